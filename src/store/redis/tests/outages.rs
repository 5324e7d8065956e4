//! Redis goes away, and comes back or does not.

use super::{Redis, World};
use crate::store::redis::FORMAT_KEY;
use crate::store::{Config, Store, StoreError, Written};
use std::time::{Duration, Instant};

/// More than a busy machine needs.
const LONG: Duration = Duration::from_secs(60);

/// Fails as unavailable, and names the place without the password.
async fn is_away(store: &Redis, world: &World) {
    for refused in [
        store.get("a").await.err(),
        store.put("a", 1, b"x").await.err(),
        store.take("day", 9, 1, world.in_days(1)).await.err(),
        store.list("").await.err(),
    ] {
        let refused = refused.expect("nobody is there");
        assert!(
            matches!(refused, StoreError::Unavailable { .. }),
            "{refused}"
        );
        let (text, place) = (refused.to_string(), world.server.address().to_string());
        assert!(text.contains(&place), "{text}");
        assert!(!text.contains("hush"), "{text}");
    }
}

/// Operations may still meet the connection that has ended; not for long.
async fn is_back(store: &Redis) {
    let since = Instant::now();
    // The first that is answered: with little patience the next may come too late again.
    let held = loop {
        match store.get("a").await {
            Ok(held) => break held.unwrap(),
            Err(error) => assert!(since.elapsed() < LONG, "it is not used again: {error}"),
        }
    };
    assert_eq!((held.version, held.value.as_slice()), (1, &b"1"[..]));
}

#[tokio::test]
async fn a_server_that_was_stopped_is_used_again_when_it_is_back() {
    let mut world = World::with(&["--requirepass", "hush"]).await;
    let url = format!("redis://:hush@{}/0", world.server.address());
    let store = world.try_open(&url).await.unwrap();
    let _written = store.put("a", 0, b"1").await.unwrap();
    let _taken = store.take("day", 9, 4, world.in_days(1)).await.unwrap();
    for is_killed in [false, true] {
        if is_killed {
            world.server.kill();
        } else {
            world.server.stop().await.unwrap();
        }
        is_away(&store, &world).await;
        world.server.restart().await.unwrap();
        is_back(&store).await;
        assert_eq!(store.counts(&["day".to_owned()]).await.unwrap(), [4]);
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_left_in_time_and_used_again() {
    let mut world = World::new().await;
    let patient = world.open().await;
    let _written = patient.put("a", 0, b"1").await.unwrap();
    world.operation = Duration::from_millis(400);
    let store = open_somehow(&world).await;
    world.server.freeze().unwrap();
    let since = Instant::now();
    let refused = store.get("a").await.unwrap_err().to_string();
    assert!(refused.contains("in time"), "{refused}");
    assert!(since.elapsed() < LONG, "{:?}", since.elapsed());
    is_away(&store, &world).await;
    world.server.thaw().unwrap();
    is_back(&store).await;
}

#[tokio::test]
async fn many_that_wait_for_a_silent_server_each_wait_their_own_time_only() {
    let mut world = World::new().await;
    world.operation = Duration::from_secs(3);
    let store = open_somehow(&world).await;
    world.server.freeze().unwrap();
    let since = Instant::now();
    let mut waiting = tokio::task::JoinSet::new();
    for n in 0..30 {
        let (store, expires) = (store.clone(), world.in_days(1));
        waiting.spawn(async move { store.take("day", 99, n, expires).await.is_err() });
    }
    assert!(waiting.join_all().await.iter().all(|failed| *failed));
    // Thirty times three seconds, if they waited for each other.
    assert!(since.elapsed() < LONG, "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_connection_that_was_cut_is_made_again() {
    let world = World::new().await;
    let store = world.open().await;
    let _written = store.put("a", 0, b"1").await.unwrap();
    let _: u64 = world.say(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    is_back(&store).await;
}

#[tokio::test]
async fn a_server_that_lost_what_it_held_is_not_believed() {
    let mut world = World::new().await;
    let store = world.open().await;
    let _taken = store.take("day", 50, 50, world.in_days(1)).await.unwrap();
    world.server.restart_empty().await.unwrap();
    let _first = store.get("a").await;
    for refused in [
        store.get("a").await.err(),
        store.put("a", 0, b"x").await.err(),
        store.delete("a", 0).await.err(),
        store.list("").await.err(),
        store.take("day", 50, 1, world.in_days(1)).await.err(),
        store.give_back("day", 1).await.err(),
        store.counts(&["day".to_owned()]).await.err(),
        store
            .add(&[("day".into(), 1)], world.in_days(1))
            .await
            .err(),
    ] {
        match refused.expect("it is not believed") {
            StoreError::Damaged { key, why } => {
                assert_eq!(key, FORMAT_KEY);
                assert!(why.contains("lost what it held"), "{why}");
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(world.say::<Vec<String>>(&["KEYS", "*"]).await, [""; 0]);

    // Another daemon that begins anew there does not make it ours.
    let anew = world.open().await;
    assert_eq!(anew.put("a", 0, b"1").await.unwrap(), Written::Yes(1));
    assert!(matches!(
        store.get("a").await,
        Err(StoreError::Damaged { .. })
    ));
}

#[tokio::test]
async fn a_closed_store_has_no_connection_and_makes_none() {
    let world = World::new().await;
    let store = world.open().await;
    let clone = store.clone();
    assert_eq!(ours(&world).await, 1);
    store.close().await;
    until_nobody_is_connected(&world).await;
    let refused = clone.get("a").await.unwrap_err().to_string();
    assert!(refused.contains("closed"), "{refused}");
    assert_eq!(ours(&world).await, 0);
}

#[tokio::test]
async fn a_dropped_store_has_no_connection() {
    let world = World::new().await;
    let store = world.open().await;
    let clone = store.clone();
    drop(store);
    assert_eq!(ours(&world).await, 1);
    drop(clone);
    until_nobody_is_connected(&world).await;
}

#[tokio::test]
async fn the_store_itself_is_patient_and_shows_no_password() {
    let mut world = World::with(&["--requirepass", "hush"]).await;
    let config = Config {
        url: format!("redis://:hush@{}/2", world.server.address()).into(),
        ca: None,
    };
    let store = Store::open(&config, world.server.dir(), world.clock.clone());
    let store = store.await.unwrap();
    let place = format!("redis://{}/2", world.server.address());
    assert_eq!(store.place(), place);
    assert_eq!(format!("{store:?}"), format!("Store({place})"));
    world.server.kill();
    let refused = store.get("a").await.unwrap_err().to_string();
    assert!(refused.contains(&place), "{refused}");
    world.server.restart().await.unwrap();
    let _first = store.get("a").await;
    assert_eq!(store.get("a").await.unwrap(), None);
}

/// Opens in spite of little patience and a busy machine.
pub(super) async fn open_somehow(world: &World) -> Redis {
    let since = Instant::now();
    loop {
        match world.try_open(&world.server.url()).await {
            Ok(store) => return store,
            Err(error) => assert!(since.elapsed() < LONG, "{error}"),
        }
    }
}

/// Connections beside the one that asks.
async fn ours(world: &World) -> usize {
    let clients: String = world.say(&["CLIENT", "LIST"]).await;
    let others = clients.lines().filter(|line| !line.contains("cmd=client"));
    others.count()
}

/// The server hears of a close a little after it.
async fn until_nobody_is_connected(world: &World) {
    let since = Instant::now();
    while ours(world).await > 0 {
        assert!(since.elapsed() < LONG, "one is left");
    }
}

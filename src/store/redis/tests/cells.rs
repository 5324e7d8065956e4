//! Cells in Redis: what its commands, its outages and what is not ours do to them.

use super::{Redis, World};
use crate::store::redis::FORMAT_KEY;
use crate::store::redis::cells::cells_key;
use crate::store::tests::cells::cell;
use crate::store::{Cell, Change, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How often the server was told this command.
async fn told(world: &World, command: &str) -> u64 {
    let info: String = world.say(&["INFO", "commandstats"]).await;
    let prefix = format!("cmdstat_{command}:calls=");
    let calls = info.lines().find_map(|line| line.strip_prefix(&prefix));
    let digits = calls.and_then(|calls| calls.split(',').next());
    digits.map_or(0, |digits| digits.parse().unwrap())
}

fn mark(bucket: u32, n: u32) -> Cell {
    cell("mark", bucket, &n.to_be_bytes())
}

#[tokio::test]
async fn a_question_is_one_command_for_each_bucket_and_no_script() {
    let world = World::new().await;
    let store = world.open().await;
    let _: () = world.say(&["CONFIG", "RESETSTAT"]).await;
    let asked: Vec<Cell> = (0..300).map(|n| mark(n % 10, n)).collect();
    store.cells(&asked).await.unwrap();
    assert_eq!(told(&world, "hmget").await, 10);
    store.buckets("mark", 0, 1_000).await.unwrap();
    assert_eq!(told(&world, "hgetall").await, 1_000);
    assert_eq!(told(&world, "evalsha").await, 0);
}

#[tokio::test]
async fn questions_that_come_together_are_asked_together() {
    let world = World::new().await;
    let store = world.open().await;
    let _: () = world.say(&["CONFIG", "RESETSTAT"]).await;
    // One thread: all of them ask before the first request is sent.
    let questions = (0..400).map(|n| {
        let store = store.clone();
        async move { store.cells(&[mark(7, n)]).await.unwrap() }
    });
    let questions: JoinSet<_> = questions.collect();
    assert_eq!(questions.join_all().await, vec![[None]; 400]);
    let ids = told(&world, "hget").await;
    assert!(ids <= 4, "{ids} requests");
}

#[tokio::test]
async fn changes_of_one_bucket_are_one_command_and_of_two_to_a_cell_the_later_holds() {
    let world = World::new().await;
    let store = world.open().await;
    let _: () = world.say(&["CONFIG", "RESETSTAT"]).await;
    let mut changes: Vec<Change> = (0..900).map(|n| (mark(n % 3, n), Some(vec![1]))).collect();
    changes.extend((0..30).map(|n| (mark(n % 3, n), None)));
    changes.extend((0..3).map(|n| (mark(n % 3, n), Some(vec![2]))));
    store.set_cells(&changes).await.unwrap();
    assert_eq!(told(&world, "hset").await, 3);
    assert_eq!(told(&world, "hdel").await, 3);
    let held = store.buckets("mark", 0, 3).await.unwrap();
    assert_eq!(
        held.iter().map(|(_, fields)| fields.len()).sum::<usize>(),
        873
    );
    assert_eq!(
        store.cells(&[mark(1, 1), mark(1, 4)]).await.unwrap(),
        [Some(vec![2]), None]
    );
}

#[tokio::test]
async fn a_bucket_that_is_none_fails_only_who_asked_for_it() {
    let world = World::new().await;
    let store = world.open().await;
    let key = cells_key(("mark", 13));
    let _: () = world.say(&["SET", &key, "x"]).await;
    let fine = (mark(1, 1), Some(vec![1]));
    store.set_cells(&[fine]).await.unwrap();
    let damaged = |error: StoreError| match error {
        StoreError::Damaged { key: named, why } => {
            assert_eq!(named, key);
            assert!(why.contains("bucket"), "{why}");
        }
        other => panic!("{other}"),
    };
    let mut askers = JoinSet::new();
    for n in 0..60 {
        let (store, bucket) = (store.clone(), if n % 3 == 0 { 13 } else { 1 });
        askers.spawn(async move { (bucket, store.cells(&[mark(bucket, 1)]).await) });
    }
    for (bucket, told) in askers.join_all().await {
        match bucket {
            13 => damaged(told.unwrap_err()),
            _ => assert_eq!(told.unwrap(), [Some(vec![1])]),
        }
    }
    // Nothing beside it is changed.
    let changes = [(mark(1, 1), None), (mark(13, 1), Some(vec![2]))];
    damaged(store.set_cells(&changes).await.unwrap_err());
    damaged(store.buckets("mark", 0, 20).await.unwrap_err());
    assert_eq!(store.cells(&[mark(1, 1)]).await.unwrap(), [Some(vec![1])]);
    assert_eq!(world.say::<String>(&["GET", &key]).await, "x");
}

#[tokio::test]
async fn cells_of_a_server_that_lost_what_it_held_are_not_believed() {
    let mut world = World::new().await;
    let store = world.open().await;
    let set = [(mark(1, 1), Some(vec![1]))];
    store.set_cells(&set).await.unwrap();
    let _: () = world.say(&["FLUSHALL"]).await;
    not_believed(&store, &set).await;
    world.server.restart_empty().await.unwrap();
    let _first = store.cells(&[mark(1, 1)]).await;
    not_believed(&store, &set).await;
    // Another daemon that begins anew there does not make it ours.
    let _anew = world.open().await;
    not_believed(&store, &set).await;
    assert_eq!(world.say::<Vec<String>>(&["KEYS", "*"]).await, [FORMAT_KEY]);
}

async fn not_believed(store: &Redis, set: &[Change]) {
    for refused in [
        store.cells(&[mark(1, 1)]).await.err(),
        store.set_cells(set).await.err(),
        store.buckets("mark", 0, 9).await.err(),
    ] {
        match refused.expect("it is not believed") {
            StoreError::Damaged { key, why } => {
                assert_eq!(key, FORMAT_KEY);
                assert!(why.contains("lost what it held"), "{why}");
            }
            other => panic!("{other}"),
        }
    }
}

/// Those that waited while a request was on its way had the time of that request beside their own, and those behind
/// the next one that of two.
#[tokio::test]
async fn askers_of_a_silent_server_wait_their_own_time_only() {
    let mut world = World::new().await;
    world.operation = Duration::from_secs(5);
    let store = super::outages::open_somehow(&world).await;
    world.server.freeze().unwrap();
    let since = Instant::now();
    let mut askers = JoinSet::new();
    for n in 0..30 {
        let store = store.clone();
        let asked: Vec<Cell> = (0..900).map(|at| mark(n, at)).collect();
        askers.spawn(async move { store.cells(&asked).await.unwrap_err().to_string() });
    }
    for refused in askers.join_all().await {
        assert!(refused.contains("in time"), "{refused}");
    }
    // Fifteen times five seconds, if they waited for each other.
    assert!(
        since.elapsed() < Duration::from_secs(60),
        "{:?}",
        since.elapsed()
    );
    world.server.thaw().unwrap();
    let back = Instant::now();
    while store.cells(&[mark(1, 1)]).await.is_err() {
        assert!(
            back.elapsed() < Duration::from_secs(60),
            "it is not used again"
        );
    }
}

#[test]
fn a_question_that_comes_when_the_runtime_has_ended_is_given_up() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::new());
    let store = runtime.block_on(world.open());
    let handle = runtime.handle().clone();
    runtime.shutdown_background();
    let _inside = handle.enter();
    let (answered, turn) = store.0.gathering.ask(&[mark(1, 1)]);
    tokio::spawn(crate::store::redis::cells::take_turn(store, turn.unwrap()));
    assert!(answered.blocking_recv().is_err(), "nobody will answer");
}

#[tokio::test]
async fn a_user_with_our_keys_only_is_enough_for_cells() {
    let world = World::new().await;
    let user = "ACL SETUSER mail on >hush ~mailwright:* +@read +@write +@scripting +ping";
    let _: () = world.say(&user.split(' ').collect::<Vec<_>>()).await;
    let url = format!("redis://mail:hush@{}/0", world.server.address());
    let store = world.try_open(&url).await.unwrap();
    let set = [(mark(1, 1), Some(vec![1])), (mark(2, 1), None)];
    store.set_cells(&set).await.unwrap();
    assert_eq!(store.cells(&[mark(1, 1)]).await.unwrap(), [Some(vec![1])]);
    assert_eq!(store.buckets("mark", 0, 9).await.unwrap().len(), 1);
}

/// Writers and askers go on while the server is killed and comes back, again and again: what was answered for is there,
/// and of what was not, all or nothing.
#[tokio::test]
async fn a_server_killed_in_the_midst_keeps_what_it_answered_for() {
    const WRITERS: u32 = 8;
    const KILLS: u32 = 3;
    let mut world = World::new().await;
    let store = world.open().await;
    let (kills, written) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, kills, written) = (store.clone(), kills.clone(), written.clone());
        writers.spawn(async move {
            let mut answered = Vec::new();
            let mut n = 0;
            while kills.load(Ordering::Relaxed) < KILLS {
                let set = pair(writer, n).map(|cell| (cell, Some(vec![1])));
                let done = store.set_cells(&set).await;
                let asked = store.cells(&pair(writer, n)).await;
                for refused in [done.as_ref().err(), asked.as_ref().err()] {
                    let is_away = |e: &StoreError| matches!(e, StoreError::Unavailable { .. });
                    assert!(refused.is_none_or(is_away), "{refused:?}");
                }
                if done.is_ok() {
                    written.fetch_add(1, Ordering::Relaxed);
                    assert!(asked.is_err() || asked.unwrap() == [Some(vec![1]), Some(vec![1])]);
                }
                answered.push(done.is_ok());
                n += 1;
                tokio::task::yield_now().await;
            }
            (writer, answered)
        });
    }
    for kill in 1..=KILLS {
        let since = Instant::now();
        while written.load(Ordering::Relaxed) < 200 * kill {
            assert!(since.elapsed() < Duration::from_secs(60), "nobody writes");
            tokio::task::yield_now().await;
        }
        world.server.kill();
        world.server.restart().await.unwrap();
        kills.fetch_add(1, Ordering::Relaxed);
    }
    while store.cells(&pair(0, 0)).await.is_err() {}
    for (writer, answered) in writers.join_all().await {
        for (n, is_answered) in answered.into_iter().enumerate() {
            let held = store.cells(&pair(writer, n as u32)).await.unwrap();
            assert_eq!(held[0], held[1], "half of a write");
            assert!(held[0].is_some() || !is_answered, "{writer} {n} is lost");
        }
    }
}

/// Two cells in two buckets.
fn pair(writer: u32, n: u32) -> [Cell; 2] {
    [mark(2 * writer, n), mark(2 * writer + 1, n)]
}

//! What every store does.

use super::World;
use crate::store::{MAX_COUNT, Taken, Versioned, Written};
use tokio::task::JoinSet;

pub(super) async fn a_value_is_written_only_over_the_version_that_was_read(world: &World) {
    let store = world.open().await;
    let key = "warmup/stage/ip-a/google";
    assert_eq!(store.get(key).await.unwrap(), None);
    assert_eq!(store.put(key, 1, b"{}").await.unwrap(), Written::Conflict);
    assert_eq!(
        store.put(key, 0, b"{\"stage\":1}").await.unwrap(),
        Written::Yes(1)
    );
    assert_eq!(store.put(key, 0, b"{}").await.unwrap(), Written::Conflict);
    assert_eq!(
        store.put(key, 1, b"{\"stage\":2}").await.unwrap(),
        Written::Yes(2)
    );
    assert_eq!(store.put(key, 1, b"{}").await.unwrap(), Written::Conflict);
    let held = Versioned {
        version: 2,
        value: b"{\"stage\":2}".to_vec(),
    };
    assert_eq!(store.get(key).await.unwrap(), Some(held));
}

pub(super) async fn a_value_taken_away_is_gone_and_may_be_written_anew(world: &World) {
    let store = world.open().await;
    assert_eq!(store.delete("hold", 1).await.unwrap(), Written::Conflict);
    assert_eq!(store.delete("hold", 0).await.unwrap(), Written::Yes(0));
    assert_eq!(store.put("hold", 0, b"1").await.unwrap(), Written::Yes(1));
    assert_eq!(store.put("hold", 1, b"2").await.unwrap(), Written::Yes(2));
    assert_eq!(store.delete("hold", 1).await.unwrap(), Written::Conflict);
    assert_eq!(store.delete("hold", 2).await.unwrap(), Written::Yes(2));
    assert_eq!(store.get("hold").await.unwrap(), None);
    assert_eq!(store.list("").await.unwrap(), []);
    assert_eq!(store.put("hold", 0, b"3").await.unwrap(), Written::Yes(1));
}

pub(super) async fn values_of_any_octets_come_back(world: &World) {
    let store = world.open().await;
    let all: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    for (key, value) in [("empty", &[][..]), ("all", &all), ("größe/日本", b"\r\n\0")] {
        let _written = store.put(key, 0, value).await.unwrap();
        let held = store.get(key).await.unwrap().unwrap();
        assert_eq!(held.value, value, "{key}");
    }
}

pub(super) async fn values_are_listed_by_prefix_in_the_order_of_their_keys(world: &World) {
    let store = world.open().await;
    let mut keys: Vec<String> = (0..450).map(|n| format!("window/{n:04}")).collect();
    keys.extend(["window", "windows/a", "stage/é", "stage/z", "stage/["].map(str::to_owned));
    for key in keys.iter().rev() {
        assert_eq!(
            store.put(key, 0, key.as_bytes()).await.unwrap(),
            Written::Yes(1)
        );
    }
    store
        .add(&[("window/count".to_owned(), 1)], world.in_days(1))
        .await
        .unwrap();
    keys.sort();
    for prefix in [
        "",
        "window",
        "window/",
        "window/01",
        "stage/",
        "s",
        "nothing",
        "\u{10ffff}",
    ] {
        let found = store.list(prefix).await.unwrap();
        let names: Vec<&String> = found.iter().map(|(key, _)| key).collect();
        let due: Vec<&String> = keys.iter().filter(|key| key.starts_with(prefix)).collect();
        assert_eq!(names, due, "{prefix}");
        for (key, held) in &found {
            assert_eq!((held.version, held.value.as_slice()), (1, key.as_bytes()));
        }
    }
}

pub(super) async fn a_counter_grants_up_to_its_cap(world: &World) {
    let store = world.open().await;
    let expires = world.in_days(2);
    for (cap, want, granted, total) in [
        (50, 0, 0, 0),
        (0, 10, 0, 0),
        (50, 20, 20, 20),
        (50, 20, 20, 40),
        (50, 20, 10, 50),
        (50, 20, 0, 50),
        (30, 20, 0, 50),
        (60, u64::MAX, 10, 60),
    ] {
        let taken = store.take("day", cap, want, expires).await.unwrap();
        assert_eq!(taken, Taken { granted, total }, "{want} of {cap}");
    }
    let keys = ["day".to_owned(), "never".to_owned()];
    assert_eq!(store.counts(&keys).await.unwrap(), [60, 0]);
}

pub(super) async fn what_was_given_back_can_be_taken_again(world: &World) {
    let store = world.open().await;
    let expires = world.in_days(2);
    store.give_back("day", 5).await.unwrap();
    let keys = ["day".to_owned()];
    assert_eq!(store.counts(&keys).await.unwrap(), [0]);
    let _taken = store.take("day", 10, 10, expires).await.unwrap();
    store.give_back("day", 4).await.unwrap();
    let taken = store.take("day", 10, 10, expires).await.unwrap();
    assert_eq!((taken.granted, taken.total), (4, 10));
    store.give_back("day", u64::MAX).await.unwrap();
    assert_eq!(store.counts(&keys).await.unwrap(), [0]);
}

pub(super) async fn counters_are_raised_together(world: &World) {
    let store = world.open().await;
    let counts = [("sent", 2), ("bounced", 1), ("sent", 3), ("blocked", 0)];
    let counts = counts.map(|(key, n)| (key.to_owned(), n));
    store.add(&counts, world.in_days(2)).await.unwrap();
    store.add(&counts[..1], world.in_days(2)).await.unwrap();
    let keys = ["bounced", "sent", "blocked", "sent"].map(str::to_owned);
    assert_eq!(store.counts(&keys).await.unwrap(), [1, 7, 0, 7]);
}

pub(super) async fn counters_stay_at_the_largest_number(world: &World) {
    let store = world.open().await;
    let expires = world.in_days(2);
    let keys = ["big".to_owned()];
    let big = |n| [("big".to_owned(), n)];
    store.add(&big(MAX_COUNT - 1), expires).await.unwrap();
    assert_eq!(store.counts(&keys).await.unwrap(), [MAX_COUNT - 1]);
    let taken = store.take("big", u64::MAX, 5, expires).await.unwrap();
    assert_eq!((taken.granted, taken.total), (1, MAX_COUNT));
    store.add(&big(u64::MAX), expires).await.unwrap();
    store.add(&big(1), expires).await.unwrap();
    assert_eq!(store.counts(&keys).await.unwrap(), [MAX_COUNT]);
    store.give_back("big", 1).await.unwrap();
    assert_eq!(store.counts(&keys).await.unwrap(), [MAX_COUNT - 1]);
}

pub(super) async fn a_value_and_a_counter_may_share_a_key(world: &World) {
    let store = world.open().await;
    let _written = store.put("ip-a", 0, b"{}").await.unwrap();
    let taken = store.take("ip-a", 9, 3, world.in_days(1)).await.unwrap();
    assert_eq!((taken.granted, taken.total), (3, 3));
    assert_eq!(store.get("ip-a").await.unwrap().unwrap().value, b"{}");
    assert_eq!(store.delete("ip-a", 1).await.unwrap(), Written::Yes(1));
    assert_eq!(store.counts(&["ip-a".to_owned()]).await.unwrap(), [3]);
}

pub(super) async fn nothing_is_asked_where_nothing_is_named(world: &World) {
    let store = world.open().await;
    store.add(&[], world.in_days(1)).await.unwrap();
    assert_eq!(store.counts(&[]).await.unwrap(), [0; 0]);
    assert!(!store.place().is_empty());
}

pub(super) async fn many_takers_use_a_cap_fully_and_never_pass_it(world: &World) {
    const CAP: u64 = 1_000;
    let store = world.open().await;
    let expires = world.in_days(2);
    let mut takers = JoinSet::new();
    for n in 0..40_u64 {
        let store = store.clone();
        takers.spawn(async move {
            let mut kept = 0;
            loop {
                let taken = store.take("day", CAP, 1 + n % 7, expires).await.unwrap();
                assert!(taken.total <= CAP);
                kept += taken.granted;
                if taken.granted == 0 {
                    return kept;
                }
                // Some of what was taken is not sent.
                if taken.granted > 3 {
                    store.give_back("day", 1).await.unwrap();
                    kept -= 1;
                }
            }
        });
    }
    // A taker may leave before another gives back, but whoever gave back tries once more.
    let kept: u64 = takers.join_all().await.iter().sum();
    assert_eq!(kept, CAP);
    assert_eq!(store.counts(&["day".to_owned()]).await.unwrap(), [CAP]);
}

pub(super) async fn of_many_writers_of_one_version_one_wins(world: &World) {
    let store = world.open().await;
    for version in 0..5 {
        let mut writers = JoinSet::new();
        for n in 0..20_u8 {
            let store = store.clone();
            writers.spawn(async move {
                let written = store.put("stage", version, &[n]).await.unwrap();
                (n, written)
            });
        }
        let mut winners = writers.join_all().await;
        winners.retain(|(_, written)| *written == Written::Yes(version + 1));
        let [(winner, _)] = winners[..] else {
            panic!("{winners:?}");
        };
        let held = store.get("stage").await.unwrap().unwrap();
        assert_eq!((held.version, held.value), (version + 1, vec![winner]));
    }
}

//! Reservations, leases, and what a crash takes.

use super::super::*;
use super::world::*;
use crate::store::Written;
use std::sync::Arc;

#[tokio::test]
async fn a_day_gives_its_cap_and_then_says_until_when() {
    let world = World::new("days = [50, 100]");
    let node = world.node(at(0, 9.0)).await;
    assert_eq!(send(&node, "google", 1_000, at(0, 9.0)).await, 50);
    let why = waiting(&node, "google", at(0, 9.0)).await;
    assert_eq!(why.until, Some(at(1, 0.0)));
    let expected = "50 of 50 used on sending day 1, stage 1 of 2";
    assert_eq!(why.why.to_string(), expected);
    assert_eq!(send(&node, "google", 1_000, at(1, 0.0)).await, 100);
}

#[tokio::test]
async fn a_provider_needs_room_in_its_own_cap_and_in_the_sources() {
    let world = World::new("days = [50]\nproviders = { microsoft = 0.5 }");
    let node = world.node(at(0, 9.0)).await;
    assert_eq!(send(&node, "microsoft", 1_000, at(0, 9.0)).await, 25);
    let why = waiting(&node, "microsoft", at(0, 9.0)).await;
    assert_eq!(why.provider.as_deref(), Some("microsoft"));
    assert_eq!(send(&node, "google", 1_000, at(0, 9.0)).await, 25);
    let why = waiting(&node, "google", at(0, 9.0)).await;
    assert_eq!(why.provider, None);
    assert_eq!(
        why.to_string(),
        "warm-up of ip-a to *: 50 of 50 used on sending day 1, stage 1 of 1"
    );
}

#[tokio::test]
async fn what_is_not_kept_goes_back_and_is_told_to_who_waits() {
    let world = World::new("days = [3]");
    let node = world.node(at(0, 9.0)).await;
    let now = at(0, 9.0);
    let Reserved::Some(one) = reserve(&node, "google", 1, now).await else {
        panic!()
    };
    assert_eq!(send(&node, "google", 9, now).await, 2);
    let _ = waiting(&node, "google", now).await;
    drop(one);
    let freed = node.freed().await;
    assert_eq!(&*freed.source, SOURCE);
    assert_eq!(send(&node, "google", 9, now).await, 1);
    assert_eq!(world.counter("google", date(0)).await, 3);
}

#[tokio::test]
async fn a_reservation_is_kept_in_parts() {
    let world = World::new("days = [1000]");
    let node = world.node(at(0, 9.0)).await;
    let now = at(0, 9.0);
    let Reserved::Some(mut taken) = reserve(&node, "google", 10, now).await else {
        panic!()
    };
    assert_eq!(taken.left(), 10);
    taken.keep(4);
    taken.keep(3);
    assert_eq!(taken.left(), 3);
    drop(taken);
    node.close().await.unwrap();
    assert_eq!(world.counter("google", date(0)).await, 7);
    assert_eq!(world.counter("*", date(0)).await, 7);
}

#[tokio::test]
async fn leases_are_two_percent_and_one_at_least() {
    let world = World::new("days = [1000]\nproviders = { tiny = 0.01 }");
    let node = world.node(at(0, 9.0)).await;
    let Reserved::Some(taken) = reserve(&node, "tiny", 500, at(0, 9.0)).await else {
        panic!()
    };
    assert_eq!(taken.left(), 1);
    assert_eq!(world.counter("tiny", date(0)).await, 1);
    assert_eq!(world.counter("*", date(0)).await, 20);
    let Reserved::Some(big) = reserve(&node, "google", 500, at(0, 9.0)).await else {
        panic!()
    };
    assert_eq!(big.left(), 19);
}

#[tokio::test]
async fn a_kill_costs_no_more_than_a_lease() {
    let world = World::new("days = [1000]");
    let mut sent = 0;
    for hour in 0..3 {
        let now = at(0, f64::from(hour));
        let node = world.node(now).await;
        sent += send(&node, "google", 100, now).await;
        // The process is gone, and with it what it had leased.
        std::mem::forget(reserve(&node, "google", 1, now).await);
    }
    let node = world.node(at(0, 9.0)).await;
    let rest = send(&node, "google", 10_000, at(0, 9.0)).await;
    assert!((940..1_000).contains(&(sent + rest)), "{sent} + {rest}");
}

#[tokio::test]
async fn an_orderly_stop_costs_nothing() {
    let world = World::new("days = [1000]");
    let mut sent = 0;
    for hour in 0..10 {
        let now = at(0, f64::from(hour));
        let node = world.node(now).await;
        sent += send(&node, "google", 33, now).await;
        node.close().await.unwrap();
        let Reserved::Wait(why) = reserve(&node, "google", 1, now).await else {
            panic!()
        };
        assert_eq!(why.why.to_string(), "the daemon stops");
    }
    let node = world.node(at(0, 20.0)).await;
    assert_eq!(
        sent + send(&node, "google", 10_000, at(0, 20.0)).await,
        1_000
    );
}

#[tokio::test]
async fn nodes_on_one_store_share_one_cap() {
    let world = World::new("days = [1000]");
    let (a, b) = (world.node(at(0, 0.0)).await, world.node(at(0, 0.0)).await);
    let mut sent = send(&a, "google", 510, at(0, 1.0)).await;
    sent += send(&b, "google", 10_000, at(0, 2.0)).await;
    assert_eq!(sent, 990);
    let _ = waiting(&b, "google", at(0, 2.0)).await;
    // What lies idle with one of them goes to the other, which is told.
    a.tick(at(0, 2.0), false).await.unwrap();
    b.tick(at(0, 2.0), true).await.unwrap();
    let freed = b.freed().await;
    assert_eq!(&*freed.source, SOURCE);
    assert_eq!(send(&b, "google", 10_000, at(0, 2.0)).await, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_on_two_nodes_get_the_cap_and_not_one_more() {
    let world = World::new("days = [3000]");
    let nodes = [world.node(at(0, 0.0)).await, world.node(at(0, 0.0)).await];
    let now = at(0, 9.0);
    let mut tasks = Vec::new();
    for task in 0..16usize {
        let node = nodes[task % 2].clone();
        let provider = ["google", "other"][task / 2 % 2];
        tasks.push(tokio::spawn(async move {
            let mut sent = 0u64;
            loop {
                let Reserved::Some(mut some) = reserve(&node, provider, 7, now).await else {
                    return sent;
                };
                // Every other time a part of it is not sent.
                let keep = some.left().min(1 + (task as u32) % 7);
                some.keep(keep);
                sent += u64::from(keep);
                tokio::task::yield_now().await;
            }
        }));
    }
    let mut sent = 0;
    for task in tasks {
        sent += task.await.unwrap();
    }
    // What the last ones gave back is there for others.
    for _ in 0..2 {
        for node in &nodes {
            node.tick(at(0, 10.0), true).await.unwrap();
            sent += send(node, "google", 10_000, at(0, 10.0)).await;
            sent += send(node, "other", 10_000, at(0, 10.0)).await;
        }
    }
    assert_eq!(sent, 3_000);
    assert_eq!(world.counter("*", date(0)).await, 3_000);
}

#[tokio::test]
async fn the_hours_of_a_cap_are_kept_on_all_nodes() {
    let world = World::new("days = [1200]\nspread = \"08:00-20:00\"");
    let (a, b) = (world.node(at(0, 0.0)).await, world.node(at(0, 0.0)).await);
    let why = waiting(&a, "google", at(0, 7.0)).await;
    // A tenth of a lease, two messages, is worth waking for.
    assert_eq!(why.until, Some(at(0, 8.01)));
    assert!(
        why.to_string()
            .contains("0 of 1200 used on sending day 1, stage 1 of 1, 0 released so far")
    );
    let mut sent = send(&a, "google", 10_000, at(0, 9.0)).await;
    sent += send(&b, "google", 10_000, at(0, 9.0)).await;
    assert_eq!(sent, 101);
    let why = waiting(&b, "google", at(0, 9.0)).await;
    assert_eq!(why.until, Some(at(0, 9.0 + 2.0 / 100.0)));
    sent += send(&b, "google", 10_000, at(0, 14.0)).await;
    assert_eq!(sent, 601);
    assert_eq!(
        position(&b, "google", at(0, 14.0)).budget.unwrap().released,
        601
    );
    sent += send(&a, "google", 10_000, at(0, 20.0)).await;
    assert_eq!(sent, 1_200);
    assert_eq!(
        waiting(&a, "google", at(0, 20.0)).await.until,
        Some(at(1, 0.0))
    );
}

#[tokio::test]
async fn a_clock_that_jumps_finds_the_counters_of_its_days() {
    let world = World::new("days = [50, 100, 200]");
    let node = world.node(at(0, 9.0)).await;
    assert_eq!(send(&node, "google", 30, at(0, 9.0)).await, 30);
    assert_eq!(send(&node, "google", 5, at(9, 9.0)).await, 5);
    assert_eq!(send(&node, "google", 99, at(0, 10.0)).await, 20);
    assert_eq!(send(&node, "google", 99, at(9, 9.0)).await, 45);
    assert_eq!(send(&node, "google", 99, at(0, 11.0)).await, 0);
    assert_eq!(world.counter("google", date(0)).await, 50);
}

#[tokio::test]
async fn nothing_is_sent_before_the_first_day() {
    let mut world = World::new("days = [50]");
    world.source.started = Some(date(2));
    let node = world.node(at(0, 9.0)).await;
    let why = waiting(&node, "google", at(0, 9.0)).await;
    assert_eq!(why.until, Some(at(2, 0.0)));
    assert_eq!(why.why.to_string(), "begins on 2026-11-03");
    assert_eq!(send(&node, "google", 99, at(2, 0.0)).await, 50);
}

#[tokio::test]
async fn a_source_that_does_not_warm_has_no_pair_and_one_that_stopped_no_cap() {
    let world = World::new("days = [50]");
    let node = world.node(at(0, 9.0)).await;
    assert!(node.pair("ip-b", "google").is_none());
    let pair = node.pair(SOURCE, "google").unwrap();
    assert!(pair.is_warming());
    node.configure(Rules::new(&world.config, []).unwrap(), at(0, 9.0));
    assert!(node.pair(SOURCE, "google").is_none());
    assert!(!pair.is_warming());
    assert!(matches!(pair.reserve(5, at(0, 9.0)), Reserved::Unlimited));
    assert!(node.show(at(0, 9.0)).is_empty());
}

#[tokio::test]
async fn until_is_known_as_soon_as_what_was_released_is_used() {
    for (spread, expected) in [("none", at(1, 0.0)), ("08:00-18:00", at(0, 13.0))] {
        let schedule = format!("days = [50]\nspread = \"{spread}\"");
        let world = World::new(&schedule);
        let node = world.node(at(0, 12.9)).await;
        let released = if spread == "none" { 50 } else { 25 };
        // Each message that there is, and nobody has asked for more than that.
        assert_eq!(send(&node, "google", released, at(0, 12.9)).await, released);
        for _ in 0..2 {
            for provider in ["*", "google"] {
                let until = position(&node, provider, at(0, 12.9)).until;
                assert_eq!(until, Some(expected), "{spread} {provider}");
            }
            let _ = waiting(&node, "google", at(0, 12.9)).await;
        }
    }
}

#[tokio::test]
async fn a_state_that_cannot_be_read_holds_its_unit_alone() {
    let world = World::new("days = [50]");
    let key = "warmup/unit/ip-a/google";
    let node = world.node(at(0, 9.0)).await;
    assert_eq!(send(&node, "google", 5, at(0, 9.0)).await, 5);
    node.close().await.unwrap();
    let found = world.store.get(key).await.unwrap().unwrap();
    let torn = world.store.put(key, found.version, b"{\"stage\":");
    assert_eq!(torn.await.unwrap(), Written::Yes(found.version + 1));
    world.told();
    let node = world.node(at(0, 10.0)).await;
    let why = waiting(&node, "google", at(0, 10.0)).await;
    let text = why.to_string();
    let remedy = "`mailwright warmup set ip-a google STAGE` puts it right";
    assert!(text.contains(key) && text.ends_with(remedy), "{text}");
    assert_eq!(world.told(), [format!("google: held: {text}")]);
    let shown = position(&node, "google", at(0, 10.0));
    assert_eq!(
        (shown.condition, shown.because),
        (Condition::Held, Some(text))
    );
    assert_eq!(send(&node, "other", 99, at(0, 10.0)).await, 45);
}

#[tokio::test]
async fn a_lost_state_of_a_source_is_not_made_up() {
    let world = World::new("days = [50, 100]");
    let node = world.node(at(0, 9.0)).await;
    send(&node, "google", 99, at(0, 9.0)).await;
    node.close().await.unwrap();
    let lost = world
        .store
        .get("warmup/unit/ip-a/*")
        .await
        .unwrap()
        .unwrap();
    let gone = world
        .store
        .delete("warmup/unit/ip-a/*", lost.version)
        .await
        .unwrap();
    assert_eq!(gone, Written::Yes(lost.version));
    let node = world.node(at(1, 9.0)).await;
    let why = waiting(&node, "google", at(1, 9.0)).await;
    assert!(
        why.to_string()
            .contains("it is missing, and 1 of the source's providers are there"),
        "{why}"
    );
    assert_eq!(why.provider, None);
}

#[tokio::test]
async fn a_provider_new_to_a_warm_source_begins_warm() {
    let world = World::new("days = [50, 100]");
    let node = world.node(at(0, 9.0)).await;
    send(&node, "google", 99, at(0, 9.0)).await;
    send(&node, "google", 999, at(1, 9.0)).await;
    assert!(matches!(
        reserve(&node, "google", 1, at(2, 9.0)).await,
        Reserved::Unlimited
    ));
    assert!(!node.pair(SOURCE, "google").unwrap().is_warming());
    world.told();
    assert!(matches!(
        reserve(&node, "orange", 1, at(2, 9.0)).await,
        Reserved::Unlimited
    ));
    assert_eq!(
        world.told(),
        ["orange: begins warm: the source is, and this provider is new to it"]
    );
}

#[tokio::test]
async fn asking_costs_no_more_than_one_refill_for_all_who_wait() {
    let world = World::new("days = [1000]");
    let node = world.node(at(0, 9.0)).await;
    let pair: Arc<Pair> = node.pair(SOURCE, "google").unwrap();
    let waiters: Vec<_> = (0..50)
        .map(|_| {
            let pair = pair.clone();
            tokio::spawn(async move { pair.refilled(at(0, 9.0)).await })
        })
        .collect();
    for waiter in waiters {
        waiter.await.unwrap();
    }
    assert_eq!(world.counter("google", date(0)).await, 20);
}

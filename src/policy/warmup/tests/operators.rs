//! Blocks, pauses, and what is done by hand.

use super::super::*;
use super::world::*;

const HOURS: [f64; 4] = [4.0, 8.0, 16.0, 32.0];

#[tokio::test]
async fn a_block_pauses_the_provider_alone_and_repeats_change_nothing() {
    let world = World::new("days = [50, 100]");
    let node = world.node(at(0, 9.0)).await;
    send(&node, "google", 10, at(0, 9.0)).await;
    let pair = node.pair(SOURCE, "google").unwrap();
    world.told();
    for _ in 0..20 {
        pair.blocked("550 5.7.1 listed", at(0, 9.0));
    }
    // At once, before the store knows.
    let Reserved::Wait(why) = pair.reserve(1, at(0, 9.0)) else {
        panic!()
    };
    assert_eq!(
        (why.until, why.provider.as_deref()),
        (Some(at(0, 13.0)), Some("google"))
    );
    node.tick(at(0, 9.0), false).await.unwrap();
    assert_eq!(
        world.told(),
        ["google: paused for 4h, block 1 in a row: 550 5.7.1 listed"]
    );
    assert_eq!(send(&node, "other", 5, at(0, 9.0)).await, 5);
    world.told();
    assert_eq!(send(&node, "google", 5, at(0, 12.9)).await, 0);
    assert_eq!(
        position(&node, "google", at(0, 12.9)).condition,
        Condition::Paused
    );
    assert_eq!(send(&node, "google", 5, at(0, 13.0)).await, 5);
    assert_eq!(
        world.told(),
        ["google: goes on: the pause is over (550 5.7.1 listed)"]
    );
}

#[tokio::test]
async fn pauses_double_and_begin_again_at_four_hours_after_a_clean_day() {
    let world = World::new("days = [50]");
    let node = world.node(at(0, 0.0)).await;
    let pair = node.pair(SOURCE, "google").unwrap();
    let mut hour = 0.0;
    for pause in HOURS {
        send(&node, "google", 1, at(0, hour)).await;
        pair.blocked("421 4.7.0 suspicious", at(0, hour));
        let why = waiting(&node, "google", at(0, hour)).await;
        assert_eq!(why.until, Some(at(0, hour + pause)), "{hour}");
        hour += pause;
    }
    // Day 2 has the pause in it; day 3 is clean.
    for day in [3, 4] {
        send(&node, "google", 20, at(day, 1.0)).await;
    }
    pair.blocked("421 4.7.0 suspicious", at(4, 2.0));
    assert_eq!(
        waiting(&node, "google", at(4, 2.0)).await.until,
        Some(at(4, 6.0))
    );
}

#[tokio::test]
async fn a_pause_survives_a_kill_and_is_known_to_other_nodes() {
    let world = World::new("days = [1000]");
    let (a, b) = (world.node(at(0, 9.0)).await, world.node(at(0, 9.0)).await);
    send(&a, "google", 1, at(0, 9.0)).await;
    send(&b, "google", 1, at(0, 9.0)).await;
    a.pair(SOURCE, "google")
        .unwrap()
        .blocked("550 5.7.1 listed", at(0, 9.0));
    a.tick(at(0, 9.0), false).await.unwrap();
    drop(a);
    // The other goes on with what it has leased, until it looks.
    assert_eq!(send(&b, "google", 3, at(0, 9.0)).await, 3);
    b.tick(at(0, 9.0), true).await.unwrap();
    assert_eq!(
        waiting(&b, "google", at(0, 9.0)).await.until,
        Some(at(0, 13.0))
    );
    let a = world.node(at(0, 9.5)).await;
    assert_eq!(
        waiting(&a, "google", at(0, 9.5)).await.until,
        Some(at(0, 13.0))
    );
}

#[tokio::test]
async fn two_nodes_that_are_blocked_at_once_pause_once() {
    let world = World::new("days = [1000]");
    let (a, b) = (world.node(at(0, 9.0)).await, world.node(at(0, 9.0)).await);
    for node in [&a, &b] {
        send(node, "google", 1, at(0, 9.0)).await;
        node.pair(SOURCE, "google")
            .unwrap()
            .blocked("550 5.7.1 listed", at(0, 9.0));
    }
    world.told();
    a.tick(at(0, 9.0), false).await.unwrap();
    b.tick(at(0, 9.0), false).await.unwrap();
    assert_eq!(world.told().len(), 1);
    assert_eq!(
        waiting(&b, "google", at(0, 9.0)).await.until,
        Some(at(0, 13.0))
    );
}

#[tokio::test]
async fn the_end_of_a_pause_is_told_to_who_waits() {
    let world = World::new("days = [50]");
    let node = world.node(at(0, 9.0)).await;
    send(&node, "google", 1, at(0, 9.0)).await;
    node.pair(SOURCE, "google")
        .unwrap()
        .blocked("550 5.7.1 listed", at(0, 9.0));
    let _ = waiting(&node, "google", at(0, 9.0)).await;
    node.tick(at(0, 12.0), false).await.unwrap();
    world.told();
    node.tick(at(0, 13.0), false).await.unwrap();
    assert_eq!(node.freed().await.provider.as_deref(), Some("google"));
    assert_eq!(
        world.told(),
        ["google: goes on: the pause is over (550 5.7.1 listed)"]
    );
}

#[tokio::test]
async fn an_operator_pauses_a_source_and_lets_it_go_on() {
    let world = World::new("days = [50]");
    let node = world.node(at(0, 9.0)).await;
    send(&node, "google", 1, at(0, 9.0)).await;
    world.told();
    node.pause(SOURCE, None, "moving racks", None)
        .await
        .unwrap();
    node.pause(SOURCE, Some("google"), "asked to", Some(at(0, 20.0)))
        .await
        .unwrap();
    for provider in ["google", "other"] {
        let why = waiting(&node, provider, at(0, 9.0)).await;
        assert_eq!((why.provider.as_deref(), why.until), (None, None));
        assert!(
            why.to_string()
                .ends_with("paused by hand: moving racks; until an operator lets it go on"),
            "{why}"
        );
    }
    // As durable as anything.
    let other = world.node(at(0, 10.0)).await;
    assert_eq!(send(&other, "other", 1, at(0, 10.0)).await, 0);
    assert!(node.resume(SOURCE, None).await.unwrap());
    assert!(!node.resume(SOURCE, None).await.unwrap());
    assert_eq!(node.freed().await.provider, None);
    assert_eq!(send(&node, "google", 1, at(0, 9.0)).await, 1);
    assert_eq!(
        world.told(),
        [
            "*: paused by hand: moving racks",
            "google: paused by hand: asked to",
            "*: goes on by hand; was paused: moving racks",
            "google: goes on by hand; was paused: asked to",
        ]
    );
}

#[tokio::test]
async fn whoever_ends_the_pause_of_a_provider_with_its_source_is_told_that_something_was_paused() {
    for is_lost in [false, true] {
        let world = World::new("days = [50]");
        let node = world.node(at(0, 9.0)).await;
        send(&node, "google", 1, at(0, 9.0)).await;
        let pause = node.pause(SOURCE, Some("google"), "asked to", None);
        pause.await.unwrap();
        let _ = waiting(&node, "google", at(0, 9.0)).await;
        if is_lost {
            // Another node has ended it, which this one has not seen.
            let other = world.node(at(0, 9.0)).await;
            assert!(other.resume(SOURCE, Some("google")).await.unwrap());
        }
        assert!(node.resume(SOURCE, None).await.unwrap(), "{is_lost}");
        assert_eq!(send(&node, "google", 1, at(0, 9.0)).await, 1);
        assert!(!node.resume(SOURCE, None).await.unwrap(), "{is_lost}");
    }
}

#[tokio::test]
async fn a_block_that_the_store_does_not_know_yet_is_ended_by_hand_too() {
    let world = World::new("days = [50]");
    let node = world.node(at(0, 9.0)).await;
    send(&node, "google", 1, at(0, 9.0)).await;
    node.pair(SOURCE, "google")
        .unwrap()
        .blocked("550 5.7.1 listed", at(0, 9.0));
    assert!(node.resume(SOURCE, Some("google")).await.unwrap());
    assert_eq!(send(&node, "google", 1, at(0, 9.0)).await, 1);
}

#[tokio::test]
async fn a_stage_is_set_by_hand_for_the_source_and_each_provider() {
    let world = World::new("days = [50, 100, 200]");
    let node = world.node(at(0, 9.0)).await;
    send(&node, "google", 99, at(0, 9.0)).await;
    world.told();
    node.set(SOURCE, None, Stage::At(3)).await.unwrap();
    assert_eq!(
        world.told(),
        [
            "*: set to stage 3 by hand, 200 a day",
            "google: set to stage 3 by hand, 200 a day"
        ]
    );
    assert_eq!(send(&node, "google", 999, at(0, 9.0)).await, 150);
    node.set(SOURCE, None, Stage::Warm).await.unwrap();
    assert!(matches!(
        reserve(&node, "google", 1, at(0, 9.0)).await,
        Reserved::Unlimited
    ));
    let refused = node.set(SOURCE, None, Stage::At(4)).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the schedule of ip-a has 3 stages, and no stage 4"
    );
    assert!(node.set("ip-z", None, Stage::Warm).await.is_err());
}

#[tokio::test]
async fn a_lower_stage_that_is_set_says_in_the_position_from_when_it_holds() {
    let world = World::new("days = [50, 58, 70]");
    let node = world.node(at(0, 9.0)).await;
    send(&node, "google", 1, at(0, 9.0)).await;
    node.set(SOURCE, None, Stage::At(2)).await.unwrap();
    assert_eq!(send(&node, "google", 99, at(0, 9.0)).await, 57);
    node.set(SOURCE, None, Stage::At(1)).await.unwrap();
    let says =
        "set to stage 1 by hand, 50 a day from 2026-11-02; today's cap (2026-11-01) stays 58";
    for provider in ["*", "google"] {
        let shown = position(&node, provider, at(0, 9.0));
        assert_eq!(shown.because.as_deref(), Some(says), "{provider}");
        assert_eq!(
            (shown.stage, shown.budget.unwrap().cap),
            (Stage::At(1), 58),
            "{provider}"
        );
    }
    let why = waiting(&node, "google", at(0, 9.0)).await;
    assert_eq!(
        why.why.to_string(),
        "58 of 58 used on sending day 1, stage 1 of 3"
    );
}

#[tokio::test]
async fn what_is_sent_while_warm_counts_where_the_day_gets_a_cap_by_hand() {
    for is_restarted in [false, true] {
        let world = World::new("days = [50, 100, 200]");
        let mut node = world.node(at(0, 9.0)).await;
        send(&node, "google", 1, at(0, 9.0)).await;
        node.set(SOURCE, None, Stage::Warm).await.unwrap();
        let pair = node.pair(SOURCE, "google").unwrap();
        for (outcome, n) in [(Outcome::Delivered, 60), (Outcome::Deferred, 500)] {
            assert!(matches!(
                reserve(&node, "google", n, at(0, 9.0)).await,
                Reserved::Unlimited
            ));
            pair.observe(outcome, n, at(0, 9.0));
        }
        if is_restarted {
            node.close().await.unwrap();
            node = world.node(at(0, 9.0)).await;
        }
        node.set(SOURCE, None, Stage::At(2)).await.unwrap();
        // One before, and sixty while warm.
        assert_eq!(send(&node, "google", 999, at(0, 9.0)).await, 39);
        assert_eq!(world.counter("*", date(0)).await, 100);
        // Nothing of it is left for the next day.
        assert!(send(&node, "google", 999, at(1, 9.0)).await >= 100);
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_put_right_by_setting_a_stage() {
    let world = World::new("days = [50, 100]");
    let key = "warmup/unit/ip-a/google";
    let torn = world.store.put(key, 0, b"?").await.unwrap();
    assert_eq!(torn, crate::store::Written::Yes(1));
    let node = world.node(at(0, 9.0)).await;
    node.set(SOURCE, None, Stage::At(2)).await.unwrap();
    assert_eq!(send(&node, "google", 999, at(0, 9.0)).await, 100);
    assert_eq!(stage(&node, "google", at(0, 9.0)), Stage::At(2));
}

#[tokio::test]
async fn another_schedule_holds_from_the_next_day() {
    let mut world = World::new("days = [50, 100]");
    let node = world.node(at(0, 9.0)).await;
    assert_eq!(send(&node, "google", 10, at(0, 9.0)).await, 10);
    world.config = toml::from_str("[schedule.x]\ndays = [20, 30, 80]").unwrap();
    node.configure(world.rules(), at(0, 9.0));
    world.told();
    assert_eq!(send(&node, "google", 99, at(0, 9.0)).await, 40);
    let told = "the schedule was changed: stage 1 with 50 a day is now stage 1 of 3 with 20 a day";
    assert_eq!(
        world.told(),
        [format!("*: {told}"), format!("google: {told}")]
    );
    assert_eq!(send(&node, "google", 99, at(1, 9.0)).await, 30);
}

#[tokio::test]
async fn what_a_position_says_reads_back() {
    let mut world = World::new("days = [50, 100, 200]");
    world.source.started = Some(date(-1));
    let node = world.node(at(0, 9.0)).await;
    send(&node, "google", 30, at(0, 9.0)).await;
    let pair = node.pair(SOURCE, "google").unwrap();
    pair.observe(Outcome::Bounced, 1, at(0, 9.0));
    node.tick(at(0, 9.0), false).await.unwrap();
    node.refresh(at(0, 9.0)).await.unwrap();
    let shown = position(&node, "google", at(0, 9.0));
    let text = serde_json::to_string(&shown).unwrap();
    assert_eq!(serde_json::from_str::<Position>(&text).unwrap(), shown);
    assert_eq!(
        text,
        concat!(
            r#"{"source":"ip-a","provider":"google","condition":"warming","schedule":"x","stage":1,"stages":3,"#,
            r#""planned":2,"day":1,"date":"2026-11-01","budget":{"cap":50,"released":50,"used":30,"remaining":20},"#,
            r#""window":{"delivered":30,"bounced":1,"blocked":0,"deferred":0,"complained":0},"rates":{"#,
            r#""bounces":{"part":1,"whole":31},"blocks":{"part":0,"whole":31},"#,
            r#""deferrals":{"part":0,"whole":31},"complaints":{"part":0,"whole":30}}}"#
        )
    );
    assert_eq!(pair.position(at(0, 9.0)), Some(shown));
}

#[tokio::test]
async fn the_background_looks_after_itself_until_it_is_stopped() {
    let world = World::new("days = [50, 100]");
    let node = world.node(at(0, 9.0)).await;
    send(&node, "google", 50, at(0, 9.0)).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn({
        let (node, stop) = (node.clone(), stop.clone());
        async move { node.run(stop).await }
    });
    tokio::task::yield_now().await;
    world.told();
    // Nobody sends on the next day, and the one before is judged all the same.
    node.base
        .clock
        .advance(std::time::Duration::from_secs(16 * 3600));
    while world.counter("google", date(0)).await != 50
        || stage(&node, "google", at(1, 1.0)) != Stage::At(2)
    {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    running.await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test]
async fn what_is_done_to_a_provider_before_anything_was_sent_leaves_the_source_free() {
    let world = World::new("days = [50, 100]");
    let node = world.node(at(0, 9.0)).await;
    node.pause(SOURCE, Some("google"), "not yet", None)
        .await
        .unwrap();
    assert_eq!(send(&node, "google", 5, at(0, 9.0)).await, 0);
    assert_eq!(send(&node, "other", 5, at(0, 9.0)).await, 5);

    let world = World::new("days = [50, 100]");
    let node = world.node(at(0, 9.0)).await;
    node.set(SOURCE, Some("google"), Stage::At(2))
        .await
        .unwrap();
    assert_eq!(send(&node, "google", 99, at(0, 9.0)).await, 50);
}

//! On the stores that there are: a file that outlives the process, and a Redis that goes away and comes back.

use super::super::*;
use super::world::*;
use crate::clock::Clock;
use crate::peers::redis::RedisServer;
use crate::store::{self, Store};
use crate::units::Timestamp;
use std::time::Duration;

async fn open(url: &str, dir: &std::path::Path, now: Timestamp) -> Store {
    let config = store::Config {
        url: url.to_owned().into(),
        ca: None,
    };
    Store::open(&config, dir, Clock::manual(now)).await.unwrap()
}

#[tokio::test]
async fn a_cap_outlives_the_process_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new("days = [200, 400]");
    let mut sent = 0;
    for hour in [8.0, 9.0, 10.0] {
        world.store = open("embedded", dir.path(), at(0, hour)).await;
        let node = world.node(at(0, hour)).await;
        sent += send(&node, "google", 50, at(0, hour)).await;
        // Killed: nothing is closed, and the file is free again.
        drop(node);
        world.store.close().await;
    }
    world.store = open("embedded", dir.path(), at(0, 20.0)).await;
    let node = world.node(at(0, 20.0)).await;
    sent += send(&node, "google", 999, at(0, 20.0)).await;
    // A lease is four messages, of which two or so were not sent each time.
    assert!((190..=200).contains(&sent), "{sent}");
    assert_eq!(world.counter("google", date(0)).await, 200);
    assert_eq!(send(&node, "google", 999, at(1, 0.0)).await, 400);
}

#[tokio::test]
async fn a_store_that_is_gone_ends_the_sending_with_the_lease() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new("days = [1000]");
    world.store = open("embedded", dir.path(), at(0, 9.0)).await;
    let node = world.node(at(0, 9.0)).await;
    assert_eq!(send(&node, "google", 5, at(0, 9.0)).await, 5);
    world.store.close().await;
    assert_eq!(send(&node, "google", 999, at(0, 9.0)).await, 15);
    let why = waiting(&node, "google", at(0, 9.0)).await;
    assert!(matches!(why.why, Reason::Unavailable { .. }), "{why}");
    assert_eq!(why.until, Some(at(0, 9.0) + Duration::from_secs(5)));
    assert!(node.tick(at(0, 9.1), true).await.is_err());
    assert!(node.pause(SOURCE, None, "in vain", None).await.is_err());
    assert_eq!(send(&node, "google", 999, at(1, 9.0)).await, 0);
}

#[tokio::test]
async fn nodes_share_a_cap_through_a_redis_that_goes_away_and_comes_back() {
    let mut server = RedisServer::start().await.unwrap();
    // Redis forgets counters by its own clock: here it must be today.
    let today = Zone::utc().date(Clock::machine().now());
    let now = Zone::utc().start(today) + Duration::from_secs(12 * 3600);
    let mut world = World::new("days = [1000, 2000]");
    let mut nodes = Vec::new();
    for _ in 0..2 {
        world.store = open(&server.url(), server.dir(), now).await;
        nodes.push(world.node(now).await);
    }
    let mut sent = 0;
    for node in &nodes {
        sent += send(node, "google", 105, now).await;
        node.tick(now, true).await.unwrap();
    }
    server.stop().await.unwrap();
    for node in &nodes {
        // What is leased is sent; then it waits.
        let rest = send(node, "google", 999, now).await;
        assert_eq!(rest, 15);
        sent += rest;
        let why = waiting(node, "google", now).await;
        assert!(matches!(why.why, Reason::Unavailable { .. }), "{why}");
    }
    server.restart().await.unwrap();
    let mut later = now;
    let mut left = nodes.len();
    while left > 0 {
        later = later + Duration::from_secs(6);
        left = 0;
        for node in &nodes {
            sent += send(node, "google", 999, later).await;
            let why = waiting(node, "google", later).await.why;
            left += usize::from(!matches!(why, Reason::Spent { .. }));
        }
    }
    // What was asked for in vain may count.
    assert!((950..=1000).contains(&sent), "{sent}");
    assert_eq!(world.counter("google", today).await, 1000);
    // What came of the mail while the store was away was not forgotten.
    for node in &nodes {
        node.tick(later, true).await.unwrap();
    }
    nodes[0].refresh(later).await.unwrap();
    assert_eq!(position(&nodes[0], "google", later).window.delivered, sent);
}

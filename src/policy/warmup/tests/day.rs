//! Days of 23 and 25 hours.

use super::super::*;
use super::world::*;
use crate::units::Timestamp;

fn utc(text: &str) -> Timestamp {
    serde_json::from_str(&format!("\"{text}\"")).unwrap()
}

async fn berlin(schedule: &str, now: Timestamp) -> (World, Warmup) {
    let mut world = World::new(schedule);
    world.config.zone = "Europe/Berlin".into();
    let node = world.node(now).await;
    (world, node)
}

#[tokio::test]
async fn a_day_of_23_hours_has_one_cap_and_ends_an_hour_early() {
    let start = utc("2026-03-28T23:00:00Z");
    let (world, node) = berlin("days = [50, 100]", start).await;
    assert_eq!(send(&node, "google", 99, start).await, 50);
    let why = waiting(&node, "google", utc("2026-03-29T21:59:59Z")).await;
    assert_eq!(why.until, Some(utc("2026-03-29T22:00:00Z")));
    assert_eq!(
        send(&node, "google", 999, utc("2026-03-29T22:00:00Z")).await,
        100
    );
    assert_eq!(
        world.counter("google", "2026-03-29".parse().unwrap()).await,
        50
    );
    assert_eq!(
        world.counter("google", "2026-03-30".parse().unwrap()).await,
        100
    );
}

#[tokio::test]
async fn a_day_of_25_hours_has_one_cap_and_ends_an_hour_late() {
    let start = utc("2026-10-24T22:00:00Z");
    let (world, node) = berlin("days = [50, 100]", start).await;
    // 02:30 comes twice.
    assert_eq!(
        send(&node, "google", 30, utc("2026-10-25T00:30:00Z")).await,
        30
    );
    assert_eq!(
        send(&node, "google", 99, utc("2026-10-25T01:30:00Z")).await,
        20
    );
    let why = waiting(&node, "google", utc("2026-10-25T22:59:59Z")).await;
    assert_eq!(why.until, Some(utc("2026-10-25T23:00:00Z")));
    assert_eq!(
        send(&node, "google", 999, utc("2026-10-25T23:00:00Z")).await,
        100
    );
    assert_eq!(
        world.counter("google", "2026-10-25".parse().unwrap()).await,
        50
    );
}

#[tokio::test]
async fn hours_go_by_the_clocks_on_the_wall() {
    let before = utc("2026-03-29T05:59:59Z");
    let (_world, node) = berlin("days = [100]\nspread = \"08:00-18:00\"", before).await;
    assert_eq!(send(&node, "google", 99, before).await, 0);
    assert_eq!(
        send(&node, "google", 99, utc("2026-03-29T06:00:00Z")).await,
        1
    );
    assert_eq!(
        send(&node, "google", 99, utc("2026-03-29T11:00:00Z")).await,
        50
    );
    assert_eq!(
        send(&node, "google", 99, utc("2026-03-29T16:00:00Z")).await,
        49
    );
}

#[tokio::test]
async fn what_is_left_of_a_lease_is_not_counted_as_used_when_its_day_is_judged() {
    let world = World::new("days = [200, 400]");
    let node = world.node(at(0, 9.0)).await;
    assert_eq!(send(&node, "google", 1, at(0, 9.0)).await, 1);
    assert_eq!(world.counter("google", date(0)).await, 4);
    world.told();
    // Who wants to send is faster than who looks after the days.
    assert_eq!(send(&node, "google", 1, at(1, 0.0)).await, 1);
    let judged = world.told();
    for provider in ["*", "google"] {
        let expected = format!("{provider}: held at stage 1: 1 of 200 used (0.5 %)");
        assert!(
            judged.iter().any(|told| told.starts_with(&expected)),
            "{judged:?}"
        );
    }
    assert_eq!(world.counter("google", date(0)).await, 1);
}

//! Connections at a time, and how often one opens.

use super::*;
use std::sync::Barrier;

#[test]
fn seats_are_taken_until_they_are_dropped() {
    let (world, limit) = World::with("connections = 2");
    let first = limit.connection(world.now()).unwrap();
    let _second = limit.connection(world.now()).unwrap();
    let full = limit.connection(world.now()).unwrap_err();
    let expected = Full {
        kind: Kind::Connections,
        of: source("ip-a"),
        limit: "2".into(),
        used: 2,
        key: "limits.source.connections".into(),
        until: world.now() + SECOND,
    };
    assert_eq!(full, expected);
    drop(first);
    let _third = limit.connection(world.now()).unwrap();
    assert_eq!(limit.open(), 2);
}

#[test]
fn who_finds_no_seat_asks_idle_connections_to_go_for_two_seconds() {
    let (world, limit) = World::with("connections = 1");
    let _seat = limit.connection(world.now()).unwrap();
    assert!(!limit.is_wanted(world.now()));
    limit.connection(world.now()).unwrap_err();
    assert!(limit.is_wanted(world.now()));
    world.wait(SECOND);
    assert!(limit.is_wanted(world.now()));
    world.wait(SECOND);
    assert!(!limit.is_wanted(world.now()));
}

#[test]
fn connections_open_at_their_rate_and_idle_ones_going_would_not_help() {
    let (world, limit) = World::with("connections = 10\nconnection_rate = \"60/min\"");
    let _first = limit.connection(world.now()).unwrap();
    let full = limit.connection(world.now()).unwrap_err();
    assert_eq!(full.kind, Kind::ConnectionRate);
    assert_eq!(&*full.key, "limits.source.connection_rate");
    assert_eq!(full.until, world.now() + SECOND);
    assert!(!limit.is_wanted(world.now()));
    assert_eq!(limit.open(), 1);
    world.wait(SECOND);
    let _second = limit.connection(world.now()).unwrap();
    let used: Vec<u64> = limit.fill(world.now()).iter().map(|f| f.used).collect();
    assert_eq!(used, [2, 2]);
}

#[test]
fn connections_beyond_the_first_of_a_seat_make_the_next_wait() {
    let (world, limit) = World::with("connections = 10\nconnection_rate = \"60/min\"");
    let _first = limit.connection(world.now()).unwrap();
    limit.charge_connection(world.now());
    limit.charge_connection(world.now());
    let fill = limit.fill(world.now());
    let rate = fill.iter().find(|f| f.kind == Kind::ConnectionRate);
    assert_eq!(rate.unwrap().used, 3);
    assert_eq!(rate.unwrap().until, Some(world.now() + 3 * SECOND));
    let seconds = (1..=3).find(|_| {
        world.wait(SECOND);
        limit.connection(world.now()).is_ok()
    });
    assert_eq!(seconds, Some(3));
}

#[test]
fn a_connection_for_which_there_is_no_seat_does_not_use_up_the_rate() {
    let (world, limit) = World::with("connections = 1\nconnection_rate = \"60/min\"");
    let seat = limit.connection(world.now()).unwrap();
    world.wait(SECOND);
    for _ in 0..5 {
        let full = limit.connection(world.now()).unwrap_err();
        assert_eq!(full.kind, Kind::Connections);
    }
    drop(seat);
    let _seat = limit.connection(world.now()).unwrap();
}

#[test]
fn a_seat_that_was_not_used_leaves_the_rate_as_it_was() {
    let (world, limit) = World::with("connections = 10\nconnection_rate = \"60/min\"");
    // Another limit refuses each time.
    for _ in 0..5 {
        limit.connection(world.now()).unwrap().give_back();
    }
    assert_eq!(limit.open(), 0);
    assert_eq!(limit.fill(world.now())[1].used, 0);
    let _seat = limit.connection(world.now()).unwrap();
    limit.connection(world.now()).unwrap_err();
}

#[test]
fn connections_opened_before_there_was_a_limit_count() {
    let (world, limit) = World::with("");
    let seats = [0; 3].map(|_| limit.connection(world.now()).unwrap());
    world.configure("connections = 2");
    let full = limit.connection(world.now()).unwrap_err();
    assert_eq!(full.used, 3);
    let [first, second, _third] = seats;
    drop(first);
    limit.connection(world.now()).unwrap_err();
    drop(second);
    let _seat = limit.connection(world.now()).unwrap();
}

#[test]
fn threads_never_have_more_seats_than_there_are() {
    let (world, limit) = World::with("connections = 1");
    let now = world.now();
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..20_000 {
                    let seat = limit.connection(now);
                    assert!(seat.is_err() || limit.open() == 1);
                }
            });
        }
    });
    assert_eq!(limit.open(), 0);
}

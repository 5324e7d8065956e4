//! Octets a second.

use super::*;

const MB: u64 = 1_000_000;

#[test]
fn a_large_message_goes_and_the_next_waits_until_it_is_paid_for() {
    let (world, limit) = World::with("bytes = \"1MB/s\"");
    assert_eq!(limit.message(ANYBODY, world.now()), Ok(()));
    limit.charge(5 * MB, world.now());
    let full = limit.message(ANYBODY, world.now()).unwrap_err();
    assert_eq!(full.kind, Kind::Bytes);
    assert_eq!((&*full.limit, &*full.key), ("1MB/s", "limits.source.bytes"));
    assert!(full.used.abs_diff(5 * MB) < 2_000, "{}", full.used);
    let wait = full.until.since(world.now());
    assert!(wait.abs_diff(5 * SECOND) < SECOND / 100, "{wait:?}");
    world.wait(wait - Duration::from_millis(2));
    limit.message(ANYBODY, world.now()).unwrap_err();
    world.wait(Duration::from_millis(2));
    assert_eq!(limit.message(ANYBODY, world.now()), Ok(()));
}

#[test]
fn a_debt_is_paid_while_nobody_asks() {
    let (world, limit) = World::with("bytes = \"1MB/s\"");
    limit.charge(60 * MB, world.now());
    world.wait(MINUTE);
    assert_eq!(limit.message(ANYBODY, world.now()), Ok(()));
}

#[test]
fn quiet_times_are_not_saved_up() {
    let (world, limit) = World::with("bytes = \"1MB/s\"");
    world.wait(HOUR);
    limit.charge(MB, world.now());
    let wait = world.told_to_wait(&limit);
    // A tenth of a second's worth was there.
    assert!(wait.abs_diff(SECOND * 9 / 10) < SECOND / 100, "{wait:?}");
}

#[test]
fn small_messages_are_paid_for_together() {
    let (world, limit) = World::with("bytes = \"1KiB/s\"");
    let mut sent = 0;
    let end = world.now() + 10 * MINUTE;
    while world.now() < end {
        match limit.message(ANYBODY, world.now()) {
            Ok(()) => {
                limit.charge(300, world.now());
                sent += 300;
            }
            Err(full) => world.wait(full.until.since(world.now())),
        }
    }
    let expected = 600 * 1_024;
    assert!(within(sent, expected, 2), "{sent} of {expected}");
}

#[test]
fn many_callers_keep_the_rate_without_all_coming_at_once() {
    let (world, limit) = World::with("bytes = \"1MB/s\"");
    let (size, callers) = (50_000, 100);
    let mut wakes = std::collections::BTreeSet::new();
    wakes.extend((0..callers).map(|caller| (world.now(), caller)));
    let end = world.now() + 10 * MINUTE;
    let (mut sent, mut woken) = (0, 0);
    while let Some((at, caller)) = wakes.pop_first().filter(|(at, _)| *at < end) {
        world.wait(at.since(world.now()));
        woken += 1;
        let again = match limit.message(ANYBODY, world.now()) {
            Ok(()) => {
                limit.charge(size, world.now());
                sent += size;
                // It is busy for a while.
                world.now() + SECOND / 5
            }
            Err(full) => full.until,
        };
        wakes.insert((again, caller));
    }
    let expected = 600 * MB;
    assert!(within(sent, expected, 2), "{sent} of {expected}");
    let messages = sent / size;
    assert!(woken < 3 * messages, "{woken} for {messages}");
}

#[test]
fn who_finds_that_others_did_not_come_starts_the_line_anew() {
    let (world, limit) = World::with("bytes = \"1MB/s\"");
    limit.charge(MB, world.now());
    // With messages of a megabyte, a turn is a second after the one before it.
    let turns = [0; 9].map(|_| world.told_to_wait(&limit));
    assert!(turns[8].abs_diff(turns[0] + 8 * SECOND) < SECOND / 10);
    // None of them comes but a newcomer.
    world.wait(turns[7]);
    assert_eq!(limit.message(ANYBODY, world.now()), Ok(()));
    limit.charge(MB, world.now());
    assert!(world.told_to_wait(&limit) < SECOND);
}

#[test]
fn what_is_used_is_what_is_owed_or_else_what_this_second_had() {
    let (world, limit) = World::with("bytes = \"1MB/s\"");
    world.wait(SECOND);
    limit.charge(50_000, world.now());
    let fill = &limit.fill(world.now())[0];
    assert_eq!((fill.used, fill.until), (50_000, None));
    limit.charge(2 * MB, world.now());
    let fill = &limit.fill(world.now())[0];
    assert!(fill.used.abs_diff(1_950_000) < 3_000, "{}", fill.used);
    let wait = fill.until.unwrap().since(world.now());
    assert!(wait.abs_diff(SECOND * 195 / 100) < SECOND / 100, "{wait:?}");
    world.wait(3 * SECOND);
    assert_eq!(limit.fill(world.now())[0].used, 0);
}

fn within(got: u64, expected: u64, percent: u64) -> bool {
    got.abs_diff(expected) * 100 <= expected * percent
}

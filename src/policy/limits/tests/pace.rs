//! Rates over a long time, with callers who sleep until they are told to come.

use super::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;

/// How callers behave.
struct Callers {
    count: usize,
    /// They wake up to so many milliseconds late.
    late: u64,
    /// Milliseconds that a message takes; until then its caller asks for no other.
    busy: u64,
}

/// What came of it.
struct Run {
    sent: u64,
    woken: u64,
}

impl Run {
    fn assert_within(&self, expected: u64, percent: u64) {
        let off = self.sent.abs_diff(expected) * 100;
        assert!(off <= expected * percent, "{} of {expected}", self.sent);
    }
}

const GREEDY: Callers = Callers {
    count: 1,
    late: 2,
    busy: 0,
};

/// Lets the callers send for `span`.
fn run(text: &str, callers: &Callers, span: Duration) -> Run {
    let (world, limit) = World::with(text);
    send(&world, &limit, callers, span)
}

fn send(world: &World, limit: &Limit, callers: &Callers, span: Duration) -> Run {
    let mut rng = StdRng::seed_from_u64(1);
    let end = world.now() + span;
    let mut wakes: BTreeSet<_> = (0..callers.count).map(|c| (world.now(), c)).collect();
    let (mut sent, mut woken) = (0, 0);
    while let Some((at, caller)) = wakes.pop_first().filter(|(at, _)| *at < end) {
        world.wait(at.since(world.now()));
        woken += 1;
        let late = Duration::from_millis(rng.random_range(0..=callers.late));
        let again = loop {
            match limit.message(ANYBODY, world.now()) {
                Ok(()) => sent += 1,
                Err(full) => break full.until + late,
            }
            if callers.busy > 0 {
                break world.now() + Duration::from_millis(callers.busy);
            }
        };
        wakes.insert((again, caller));
    }
    world.wait(end.since(world.now()));
    Run { sent, woken }
}

#[test]
fn one_a_minute_is_kept_over_hours() {
    for count in [1, 50] {
        let callers = Callers { count, ..GREEDY };
        run("messages = \"1/min\"", &callers, 10 * HOUR).assert_within(600, 1);
    }
}

#[test]
fn a_thousand_a_second_is_kept_over_minutes_and_each_message_costs_one_wake_up() {
    for late in [0, 2, 20] {
        let callers = Callers {
            count: 1_000,
            late,
            busy: 0,
        };
        let run = run("messages = \"1000/s\"", &callers, 3 * MINUTE);
        run.assert_within(180_000, 2);
        assert!(run.woken * 100 <= run.sent * 110, "{} wakes", run.woken);
    }
}

#[test]
fn rates_of_every_speed_are_kept_by_few_callers_and_by_many() {
    for (rate, span, expected) in [
        ("50/d", 480 * HOUR, 1_000),
        ("20/h", 50 * HOUR, 1_000),
        ("3/s", 10 * MINUTE, 1_800),
        ("9/s", 5 * MINUTE, 2_700),
        ("10/s", 5 * MINUTE, 3_000),
        ("15/s", 5 * MINUTE, 4_500),
        ("333/s", 3 * MINUTE, 59_940),
        ("5000/s", 20 * SECOND, 100_000),
        ("100000/s", 2 * SECOND, 200_000),
    ] {
        for count in [1, 3, 200] {
            let callers = Callers { count, ..GREEDY };
            let text = format!("messages = \"{rate}\"");
            run(&text, &callers, span).assert_within(expected, 1);
        }
    }
}

#[test]
fn callers_that_are_busy_sending_keep_the_rate_too() {
    for (count, busy) in [(5, 30), (300, 250), (1_000, 900)] {
        let callers = Callers {
            count,
            late: 2,
            busy,
        };
        let run = run("messages = \"100/s\"", &callers, 5 * MINUTE);
        run.assert_within(30_000, 2);
    }
}

#[test]
fn up_to_a_tenth_of_a_second_late_costs_nothing_at_any_rate() {
    for (rate, expected) in [("1/s", 600), ("5/s", 3_000), ("50/s", 30_000)] {
        let callers = Callers { late: 45, ..GREEDY };
        let text = format!("messages = \"{rate}\"");
        run(&text, &callers, 10 * MINUTE).assert_within(expected, 1);
    }
}

#[test]
fn when_most_callers_vanish_the_rest_soon_have_the_whole_rate() {
    let (world, limit) = World::with("messages = \"10/s\"");
    // A thousand are told turns; all but ten of them never come.
    assert_eq!(world.passing(&limit), 1);
    let turns = [0; 1_000].map(|_| world.told_to_wait(&limit));
    assert!(turns.iter().all(|turn| *turn <= 11 * SECOND));
    let rest = Callers {
        count: 10,
        ..GREEDY
    };
    world.wait(turns[700]);
    let run = send(&world, &limit, &rest, MINUTE);
    run.assert_within(600, 2);
    assert!(run.woken * 100 <= run.sent * 125, "{} wakes", run.woken);
}

#[test]
fn two_rates_together_keep_the_slower_and_never_break_the_faster() {
    let callers = Callers {
        count: 100,
        ..GREEDY
    };
    let run = run("messages = [\"10/s\", \"18000/h\"]", &callers, HOUR);
    run.assert_within(18_000, 1);
}

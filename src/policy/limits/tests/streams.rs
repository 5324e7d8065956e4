//! Transactional mail beside marketing that waits for the same limit in many places.

use super::*;
use std::collections::BTreeSet;

/// What came of it.
#[derive(Default)]
struct Run {
    marketing: u64,
    transactional: u64,
    /// Of transactional messages, from when each was there.
    longest: Duration,
}

/// Callers by number: those from here on are transactional.
const MARKETING: usize = 100;

/// A hundred callers have marketing without end. Each of `others` has a transactional message every so often, and comes
/// at its turn.
fn run(text: &str, others: &[Duration], span: Duration) -> Run {
    let (world, limit) = World::with(text);
    let (end, mut run) = (world.now() + span, Run::default());
    let mut wakes: BTreeSet<_> = (0..MARKETING).map(|c| (world.now(), c)).collect();
    let mut came: Vec<Timestamp> = others.iter().map(|every| world.now() + *every).collect();
    wakes.extend(came.iter().copied().zip(MARKETING..));
    while let Some((at, caller)) = wakes.pop_first().filter(|(at, _)| *at < end) {
        world.wait(at.since(world.now()));
        let Some(other) = caller.checked_sub(MARKETING) else {
            let again = loop {
                match limit.message(ANYBODY, at) {
                    Ok(()) => run.marketing += 1,
                    Err(full) => break full.until,
                }
            };
            wakes.insert((again, caller));
            continue;
        };
        let again = match limit.message(URGENT, at) {
            Ok(()) => {
                run.transactional += 1;
                run.longest = run.longest.max(at.since(came[other]));
                came[other] = came[other] + others[other];
                came[other].max(at)
            }
            Err(full) => full.until,
        };
        wakes.insert((again, caller));
    }
    run
}

#[test]
fn transactional_mail_does_not_wait_for_a_turn_behind_marketing_elsewhere() {
    let every = |n| {
        [Duration::from_millis(500); 2]
            .into_iter()
            .take(n)
            .collect::<Vec<_>>()
    };
    for (rate, longest) in [("10/s", 250), ("50/s", 100), ("1000/s", 20)] {
        let run = run(&format!("messages = \"{rate}\""), &every(2), 2 * MINUTE);
        assert_eq!(run.transactional, 2 * 239, "{rate}");
        assert!(
            run.longest <= Duration::from_millis(longest),
            "{rate}: {:?}",
            run.longest
        );
    }
    let octets = {
        let (world, limit) = World::with("bytes = \"100KiB/s\"");
        limit.charge(102_400, world.now());
        let marketing = limit.message(ANYBODY, world.now()).unwrap_err().until;
        let urgent = limit.message(URGENT, world.now());
        world.wait(urgent.unwrap_err().until.since(world.now()));
        assert!(marketing <= world.now() && limit.message(ANYBODY, world.now()).is_err());
        limit.message(URGENT, world.now())
    };
    assert_eq!(octets, Ok(()));
}

#[test]
fn marketing_has_what_transactional_mail_leaves_of_a_rate() {
    for (rate, per_second) in [("10/s", 10), ("50/s", 50), ("1000/s", 1_000)] {
        let run = run(&format!("messages = \"{rate}\""), &[SECOND; 3], 10 * MINUTE);
        let (sent, expected) = (run.marketing + run.transactional, 600 * per_second);
        assert!(sent.abs_diff(expected) * 100 <= expected, "{rate}: {sent}");
    }
}

/// Its site went down, or another source took it.
#[test]
fn transactional_mail_that_never_comes_again_costs_marketing_a_tenth_of_a_second() {
    for (rate, gap) in [("1/min", 60_000), ("10/s", 100), ("1000/s", 1)] {
        let (world, limit) = World::with(&format!("messages = \"{rate}\""));
        while limit.message(ANYBODY, world.now()).is_ok() {}
        let gone = limit.message(URGENT, world.now());
        assert!(gone.is_err());
        let mut now = world.now();
        while let Err(full) = limit.message(ANYBODY, now) {
            now = full.until;
        }
        let waited = now.since(world.now());
        assert!(
            waited <= Duration::from_millis(gap + 205),
            "{rate}: {waited:?}"
        );
    }
}

//! What holds whatever callers do.

use super::*;
use proptest::prelude::*;

/// What a caller does, and how long after the act before it.
#[derive(Debug, Clone)]
struct Act {
    /// In thousandths of the time from one message to the next.
    after: u64,
    gives_back: bool,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let after = prop_oneof![4 => Just(0_u64), 3 => 0_u64..1_500, 1 => 0_u64..20_000];
    let act = (after, prop::bool::weighted(0.3));
    let act = act.prop_map(|(after, gives_back)| Act { after, gives_back });
    prop::collection::vec(act, 1..300)
}

fn rates() -> impl Strategy<Value = Rate> {
    const TEXTS: &[&str] = &[
        "1/s", "9/s", "10/s", "70/s", "1000/s", "3/min", "90/min", "20/h", "7/d",
    ];
    prop::sample::select(TEXTS).prop_map(|text| text.parse().unwrap())
}

/// When what was taken (1) or given back (-1).
fn run(rate: Rate, acts: &[Act]) -> Vec<(Timestamp, i64)> {
    let (world, limit) = World::with(&format!("messages = \"{rate}\""));
    let interval = rate.per.duration() / rate.count.get();
    let mut happened = Vec::new();
    for act in acts {
        let wait = interval.as_nanos() as u64 * act.after / 1_000;
        world.wait(Duration::from_nanos(wait));
        if act.gives_back {
            limit.give_back(ANYBODY);
            happened.push((world.now(), -1));
        } else if limit.message(ANYBODY, world.now()).is_ok() {
            happened.push((world.now(), 1));
        }
    }
    happened
}

/// Drops what was given back and never taken: nothing may come of it.
fn without_excess(happened: Vec<(Timestamp, i64)>) -> Vec<(Timestamp, i64)> {
    let mut held = 0;
    let mut counts = |(_, n): &(Timestamp, i64)| {
        held += n;
        let excess = held < 0;
        held = held.max(0);
        !excess
    };
    happened.into_iter().filter(|e| counts(e)).collect()
}

proptest! {
    /// In no period more is taken, less what was given back in it, than the count and the burst.
    #[test]
    fn no_period_has_more_than_its_count_and_the_burst(rate in rates(), acts in acts()) {
        let happened = without_excess(run(rate, &acts));
        let most = i64::from(rate.count.get()) + i64::from(rate.burst());
        for (i, (start, _)) in happened.iter().enumerate() {
            let period = happened[i..].iter();
            let mut period = period.take_while(|(at, _)| at.since(*start) <= rate.per.duration());
            let net = period.try_fold(0, |net, (_, n)| (net + n <= most).then_some(net + n));
            prop_assert!(net.is_some());
        }
    }

    /// The same over any time, however short. What is given back is whole messages, so it may be ahead by a part of one.
    #[test]
    fn no_time_has_more_than_what_came_back_in_it_and_the_burst(rate in rates(), acts in acts()) {
        let happened = without_excess(run(rate, &acts));
        let interval = rate.per.duration().as_nanos() / u128::from(rate.count.get());
        let slack = if rate.burst() == 1 { 100_000_000 } else { 0 };
        for (i, (start, _)) in happened.iter().enumerate() {
            let (mut net, mut returned) = (0, false);
            for (at, n) in &happened[i..] {
                net += n;
                returned |= *n < 0 || happened[..i].iter().any(|(_, n)| *n < 0);
                let time = at.since(*start).as_nanos();
                let ahead = if returned { time.div_ceil(interval) } else { 0 };
                let came = ahead.max((time + slack) / interval);
                prop_assert!(net <= i64::try_from(came).unwrap() + i64::from(rate.burst()));
            }
        }
    }

    /// Who gives everything back has as much as who took nothing, and never more.
    #[test]
    fn giving_back_makes_no_free_messages(rate in rates(), acts in acts(), extra in 0_u32..50) {
        let (world, limit) = World::with(&format!("messages = \"{rate}\""));
        let (idle_world, idle) = World::with(&format!("messages = \"{rate}\""));
        for act in acts {
            let interval = rate.per.duration() / rate.count.get();
            let wait = interval.as_nanos() as u64 * act.after / 1_000;
            world.wait(Duration::from_nanos(wait));
            idle_world.wait(Duration::from_nanos(wait));
            if limit.message(ANYBODY, world.now()).is_ok() {
                limit.give_back(ANYBODY);
            }
        }
        for _ in 0..extra {
            limit.give_back(ANYBODY);
        }
        let (got, had) = (world.passing(&limit), idle_world.passing(&idle));
        prop_assert!(got <= had, "{got} of {had}");
        prop_assert!(got + 1 >= had, "{got} of {had}");
    }

    /// What is told is when it is free: not a millisecond sooner is anything there.
    #[test]
    fn the_first_turn_is_the_first_free_moment(rate in rates(), acts in acts()) {
        let (world, limit) = World::with(&format!("messages = \"{rate}\""));
        for act in acts {
            let interval = rate.per.duration() / rate.count.get();
            world.wait(Duration::from_nanos(interval.as_nanos() as u64 * act.after / 1_000));
            let free_at = limit.fill(world.now())[0].until;
            let taken = limit.message(ANYBODY, world.now());
            prop_assert_eq!(free_at.is_none(), taken.is_ok());
            if let (Some(free_at), Err(full)) = (free_at, taken) {
                prop_assert!(full.until >= free_at && free_at > world.now());
            }
        }
    }

    /// A message goes only when those before it are paid for, but for the burst and what is under a KiB.
    #[test]
    fn octets_are_paid_for(
        sends in prop::collection::vec((0_u64..3_000, 1_u64..200_000), 1..100),
    ) {
        let (world, limit) = World::with("bytes = \"100KB/s\"");
        let start = world.now();
        let mut sent = 0;
        for (wait, octets) in sends {
            world.wait(Duration::from_millis(wait));
            if limit.message(ANYBODY, world.now()).is_ok() {
                let paid = world.now().since(start).as_millis() as u64 * 100;
                prop_assert!(sent <= paid + 12_000, "{sent} of {paid}");
                limit.charge(octets, world.now());
                sent += octets;
            }
        }
    }
}

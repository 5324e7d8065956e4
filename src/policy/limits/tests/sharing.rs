//! Tenants and campaigns that want the same limit from many lanes.

use super::*;
use crate::mail::Labels;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};
use std::collections::BTreeSet;

/// A campaign that waits in several lanes.
#[derive(Debug, Clone)]
struct Campaign {
    asker: Asker,
    weight: u32,
    lanes: usize,
    /// Milliseconds that its lanes wake up late, at most.
    late: u64,
    /// Milliseconds that a message takes; until then its lane asks for no other.
    busy: u64,
    /// Messages that it has.
    messages: u64,
    /// From when on.
    from: Duration,
    /// When its last message went.
    ended: Option<Timestamp>,
}

#[derive(Debug)]
struct Run {
    sent: Vec<u64>,
    total: u64,
    woken: u64,
}

fn campaign(tenant: &str, campaign: &str, weight: u32, lanes: usize) -> Campaign {
    let labels = Labels {
        tenant: Some(tenant.into()),
        campaign: Some(campaign.into()),
        ..Labels::default()
    };
    let party = Party::new(&labels, weight);
    Campaign {
        asker: Asker { party, ..ANYBODY },
        weight,
        lanes,
        late: 2,
        busy: 0,
        messages: u64::MAX,
        from: Duration::ZERO,
        ended: None,
    }
}

fn run(text: &str, campaigns: &mut [Campaign], span: Duration, seed: u64) -> Run {
    let (world, limit) = World::with(text);
    let mut rng = StdRng::seed_from_u64(seed);
    let (start, end) = (world.now(), world.now() + span);
    let mut wakes = BTreeSet::new();
    for (number, campaign) in campaigns.iter().enumerate() {
        wakes.extend((0..campaign.lanes).map(|lane| (start + campaign.from, number, lane)));
    }
    let mut run = Run {
        sent: vec![0; campaigns.len()],
        total: 0,
        woken: 0,
    };
    while let Some((at, number, lane)) = wakes.pop_first().filter(|(at, _, _)| *at < end) {
        world.wait(at.since(world.now()));
        let campaign = &mut campaigns[number];
        if campaign.messages == 0 {
            continue;
        }
        run.woken += 1;
        let late = Duration::from_millis(rng.random_range(0..=campaign.late));
        let again = loop {
            match limit.message(campaign.asker, at) {
                Ok(()) => {
                    run.sent[number] += 1;
                    campaign.messages -= 1;
                    if campaign.messages == 0 {
                        campaign.ended = Some(at);
                        break at;
                    }
                }
                Err(full) => break full.until + late,
            }
            if campaign.busy > 0 {
                break at + Duration::from_millis(campaign.busy);
            }
        };
        wakes.insert((again, number, lane));
    }
    run.total = run.sent.iter().sum();
    run
}

/// Both with mail without end, at a limit that lets `expected` through.
fn assert_shared(text: &str, both: &mut [Campaign; 2], span: Duration, expected: u64) -> Run {
    let weights = both.each_ref().map(|c| u64::from(c.weight));
    let run = run(text, both, span, 1);
    let all = weights[0] + weights[1];
    let what = format!("{text} {both:?}: {run:?} of {expected}");
    assert!(run.total.abs_diff(expected) * 100 <= expected * 2, "{what}");
    for (sent, weight) in run.sent.iter().zip(weights) {
        let share = run.total * weight;
        assert!((sent * all).abs_diff(share) * 20 <= share, "{what}");
    }
    run
}

#[test]
fn tenants_share_by_their_weights_whatever_lanes_they_wait_in() {
    for (rate, span, expected) in [
        ("3/min", 10 * HOUR, 1_800),
        ("1/s", HOUR, 3_600),
        ("10/s", 10 * MINUTE, 6_000),
        ("50/s", 5 * MINUTE, 15_000),
        ("1000/s", MINUTE, 60_000),
    ] {
        for weights in [(1, 1), (1, 3), (5, 1)] {
            for lanes in [(100, 2), (1, 1), (3, 20)] {
                let text = format!("messages = \"{rate}\"");
                let mut both = [
                    campaign("a", "x", weights.0, lanes.0),
                    campaign("b", "x", weights.1, lanes.1),
                ];
                assert_shared(&text, &mut both, span, expected);
            }
        }
    }
}

#[test]
fn a_message_of_many_parties_costs_few_wake_ups() {
    for (rate, span) in [("10/s", 5 * MINUTE), ("100/s", MINUTE), ("1000/s", MINUTE)] {
        for (tenants, lanes, percent) in [(2, 20, 200), (20, 5, 230), (100, 1, 200)] {
            let mut all: Vec<_> = (0..tenants)
                .map(|n| campaign(&n.to_string(), "x", 1 + n % 3, lanes))
                .collect();
            let run = run(&format!("messages = \"{rate}\""), &mut all, span, 1);
            assert!(
                run.woken * 100 <= run.total * percent,
                "{rate} {tenants} × {lanes}: {} wakes for {}",
                run.woken,
                run.total
            );
        }
    }
}

#[test]
fn campaigns_share_what_is_their_tenants() {
    for (rate, span) in [("10/s", 20 * MINUTE), ("100/s", 2 * MINUTE)] {
        let mut all: Vec<_> = (0..10)
            .map(|n| campaign("a", &n.to_string(), 1, if n == 0 { 100 } else { 3 }))
            .collect();
        all.push(campaign("b", "x", 1, 2));
        let run = run(&format!("messages = \"{rate}\""), &mut all, span, 1);
        let half = run.total / 2;
        assert!(run.sent[10].abs_diff(half) * 20 <= half, "{run:?}");
        for sent in &run.sent[..10] {
            assert!(sent.abs_diff(half / 10) * 10 <= half, "{run:?}");
        }
    }
}

#[test]
fn a_campaign_in_many_lanes_does_not_keep_small_ones_waiting_that_come_and_go() {
    for (rate, per_second) in [("2/s", 2), ("10/s", 10), ("100/s", 100)] {
        let mut all = vec![campaign("big", "x", 1, 100)];
        for n in 0..30 {
            // As many as go in six seconds of every ten.
            all.push(Campaign {
                messages: 3 * per_second,
                from: 10 * SECOND * n,
                ..campaign(&(n % 7).to_string(), &n.to_string(), 1, 2)
            });
        }
        let start = World::new().now();
        let run = run(&format!("messages = \"{rate}\""), &mut all, 5 * MINUTE, 1);
        let expected = 300 * per_second;
        assert!(run.total.abs_diff(expected) * 50 <= expected, "{run:?}");
        for small in &all[1..] {
            let took = small.ended.map(|ended| ended.since(start + small.from));
            assert!(
                took.is_some_and(|took| took <= 8 * SECOND),
                "{rate} {took:?}"
            );
        }
    }
}

#[test]
fn campaigns_without_number_take_no_more_room_than_many() {
    let (world, limit) = World::with("messages = \"1/h\"");
    assert_eq!(limit.message(ANYBODY, world.now()), Ok(()));
    for n in 0..10_000 {
        let asker = campaign("a", &n.to_string(), 1, 1).asker;
        let full = limit.message(asker, world.now()).unwrap_err();
        assert!(full.until <= world.now() + HOUR);
    }
    world.wait(HOUR);
    assert_eq!(world.passing(&limit), 1);
}

prop_compose! {
    fn backlogged(tenant: &'static str)(
        weight in 1_u32..8,
        lanes in 1_usize..60,
        late in 0_u64..60,
        busy in prop_oneof![2 => Just(0_u64), 1 => 1_u64..40],
    ) -> Campaign {
        // Enough lanes that some wait while others are busy or late.
        let lanes = if busy + late > 2 { lanes + 10 } else { lanes };
        Campaign { late, busy, ..campaign(tenant, "x", weight, lanes) }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Over a long time two that both have mail have as much as their weights say, and together all there is.
    #[test]
    fn two_that_wait_have_their_shares_within_a_tenth(
        one in backlogged("a"),
        two in backlogged("b"),
        rate in prop::sample::select(&[1_u64, 3, 10, 30, 100][..]),
        seed in any::<u64>(),
    ) {
        let weights = [one.weight, two.weight].map(u64::from);
        let span = SECOND * u32::try_from(6_000 / rate).unwrap();
        let text = format!("messages = \"{rate}/s\"");
        let run = run(&text, &mut [one, two], span, seed);
        prop_assert!(run.total.abs_diff(6_000) * 50 <= 6_000, "{run:?}");
        let all = weights[0] + weights[1];
        for (sent, weight) in run.sent.iter().zip(weights) {
            let share = run.total * weight;
            prop_assert!((sent * all).abs_diff(share) * 10 <= share, "{run:?}");
        }
    }
}

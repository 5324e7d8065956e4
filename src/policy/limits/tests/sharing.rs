//! Tenants and campaigns that want the same limit from many lanes.

use super::*;
use crate::mail::Labels;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;

/// A campaign that waits in several lanes.
#[derive(Debug, Clone)]
struct Campaign {
    asker: Asker,
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

#[test]
fn explore() {
    for (rate, span, expected) in [
        ("3/min", HOUR * 10, 1800.0),
        ("1/s", HOUR, 3600.0),
        ("5/s", 10 * MINUTE, 3000.0),
        ("10/s", 10 * MINUTE, 6_000.0),
        ("50/s", 5 * MINUTE, 15_000.0),
        ("1000/s", MINUTE, 60_000.0),
    ] {
        for (w1, w2) in [(1, 1), (1, 3), (5, 1)] {
            for (l1, l2) in [(100, 2), (1, 1), (3, 20), (300, 100)] {
                for (late, busy) in [(0, 0), (2, 0), (20, 0), (2, 50), (45, 0)] {
                    let mut both = [campaign("a", "x", w1, l1), campaign("b", "y", w2, l2)];
                    both.iter_mut()
                        .for_each(|c| (c.late, c.busy) = (late, busy));
                    let r = run(&format!("messages = \"{rate}\""), &mut both, span, 1);
                    if busy > 0 && l1.min(l2) as f64 * 20.0 < expected / span.as_secs_f64() * 2.0 {
                        continue;
                    }
                    let want = f64::from(w1) / f64::from(w1 + w2);
                    let got = r.sent[0] as f64 / r.total as f64;
                    let used = r.total as f64 / expected;
                    let woken = r.woken as f64 / r.total as f64;
                    let bad = (got / want - 1.0).abs() > 0.05
                        || ((1.0 - got) / (1.0 - want) - 1.0).abs() > 0.05
                        || (used - 1.0).abs() > 0.02
                        || woken
                            > if busy > 0 { 2.2 } else { 1.3 }
                                + 1.1 * ((l1 + l2) as f64 * span.as_secs_f64() / 10.0 / expected)
                                + if expected < 2000.0 { 500.0 } else { 0.0 };
                    if bad {
                        println!(
                            "{} {rate} {w1}:{w2} lanes {l1},{l2} late {late} busy {busy}: share {got:.3} of {want:.3} used {used:.3} woken {woken:.2} floor {:.2}",
                            "BAD",
                            (l1 + l2) as f64 * span.as_secs_f64() / 10.0 / expected
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn explore_more() {
    // Many tenants, many campaigns.
    for (rate, span, expected) in [
        ("2/s", HOUR / 2, 3600.0),
        ("10/s", 5 * MINUTE, 3_000.0),
        ("100/s", MINUTE, 6_000.0),
        ("1000/s", SECOND * 20, 20_000.0),
    ] {
        let text = format!("messages = \"{rate}\"");
        for late in [0, 20] {
            for (tenants, lanes) in [(20, 1), (20, 5), (100, 1), (100, 10)] {
                let mut all: Vec<_> = (0..tenants)
                    .map(|n| campaign(&format!("t{n}"), "x", 1 + n % 3, lanes))
                    .collect();
                all.iter_mut().for_each(|c| c.late = late);
                let weights: u32 = (0..tenants).map(|n| 1 + n % 3).sum();
                let r = run(&text, &mut all, span, 1);
                let off = (0..tenants).map(|n| {
                    r.sent[n as usize] as f64
                        / r.total as f64
                        / (f64::from(1 + n % 3) / f64::from(weights))
                });
                let (least, most) = off.fold((f64::MAX, 0.0_f64), |(l, m), x| (l.min(x), m.max(x)));
                println!(
                    "{rate} {tenants}x{lanes} late {late}: {least:.2}..{most:.2} used {:.3} woken {:.2} floor {:.2}",
                    r.total as f64 / expected,
                    r.woken as f64 / r.total as f64,
                    tenants as f64 * lanes as f64 * span.as_secs_f64() / 10.0 / expected
                );
            }
            let mut all: Vec<_> = (0..10)
                .map(|n| campaign("a", &format!("c{n}"), 1, if n == 0 { 100 } else { 3 }))
                .collect();
            all.push(campaign("b", "x", 1, 2));
            all.iter_mut().for_each(|c| c.late = late);
            let r = run(&text, &mut all, span, 1);
            println!(
                "{rate} campaigns: {:?} used {:.3} woken {:.2}",
                r.sent,
                r.total as f64 / expected,
                r.woken as f64 / r.total as f64
            );
            // Small ones come and go.
            let mut all = vec![campaign("big", "x", 1, 100)];
            for n in 0..span.as_secs() / 10 {
                let mut small = campaign(&format!("s{}", n % 7), &format!("{n}"), 1, 2);
                small.messages = (expected / span.as_secs_f64() * 3.0) as u64;
                small.from = SECOND * (10 * n) as u32;
                all.push(small);
            }
            all.iter_mut().for_each(|c| c.late = late);
            let start = World::new().now();
            let r = run(&text, &mut all, span, 1);
            let mut took: Vec<f64> = all[1..]
                .iter()
                .filter_map(|c| Some(c.ended?.since(start + c.from).as_secs_f64()))
                .collect();
            took.sort_by(f64::total_cmp);
            println!(
                "{rate} churn: used {:.3} woken {:.2} fair 6 s; took {:.1} {:.1} {:.1} of {}",
                r.total as f64 / expected,
                r.woken as f64 / r.total as f64,
                took[0],
                took[took.len() / 2],
                took[took.len() - 1],
                took.len()
            );
        }
    }
}

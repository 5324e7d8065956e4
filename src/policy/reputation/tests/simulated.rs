//! Campaigns at given true rates: how many are held, and how soon.
//!
//! `cargo test --lib reputation::tests::simulated -- --nocapture` prints the tables of benches/README.md.

use super::*;
use rand::{Rng as _, SeedableRng as _};

/// Campaigns of each kind.
const RUNS: u64 = 100;
/// Messages a minute.
const RATE: usize = 50;
const LENGTH: usize = 8 * 60;

struct Row {
    ppm: u32,
    held: u64,
    /// Minutes until held, and messages by then, in order.
    minutes: Vec<usize>,
}

fn run(ppm: u32, bad: Metric) -> Row {
    let mut minutes = Vec::new();
    for seed in 0..RUNS {
        minutes.extend(minute_of_hold(seed, ppm, bad));
    }
    minutes.sort_unstable();
    Row {
        ppm,
        held: minutes.len() as u64,
        minutes,
    }
}

fn minute_of_hold(seed: u64, ppm: u32, bad: Metric) -> Option<usize> {
    let mut chance = rand::rngs::StdRng::seed_from_u64(seed);
    let slice: Slice = "campaign/acme/simulated".parse().unwrap();
    let (reputation, mut now) = (Reputation::default(), START);
    for minute in 1..=LENGTH {
        let fails = (0..RATE).filter(|_| chance.random_range(0..1_000_000) < ppm);
        let bad_ones = fails.count() as u32;
        let good = match bad {
            Metric::Complaints => RATE as u32,
            _ => RATE as u32 - bad_ones,
        };
        for (metric, n) in [
            (Metric::Delivered, good),
            (Metric::WithFeedback, good),
            (bad, bad_ones),
        ] {
            let mut book = reputation.0.book.lock();
            book.count(slice.clone(), &[metric], n, now);
        }
        now = now + MINUTE;
        let _told = reputation.look(now);
        if reputation
            .holding(std::slice::from_ref(&slice), now)
            .is_some()
        {
            return Some(minute);
        }
    }
    None
}

fn table(title: &str, rows: &[Row]) {
    println!(
        "{title}: {RUNS} campaigns of {} messages, {RATE} a minute",
        RATE * LENGTH
    );
    println!("| true rate | held | minutes until then: p50, p90, most |\n|---|---|---|");
    for row in rows {
        let at = |share: f64| {
            let nth = (row.minutes.len() as f64 * share) as usize;
            let minute = row
                .minutes
                .get(nth.min(row.minutes.len().saturating_sub(1)));
            minute.map_or("–".to_owned(), ToString::to_string)
        };
        let rate = f64::from(row.ppm) / 1e4;
        let share = row.held as f64 * 100.0 / RUNS as f64;
        println!(
            "| {rate} % | {share} % | {}, {}, {} |",
            at(0.5),
            at(0.9),
            at(1.0)
        );
    }
}

#[test]
fn bounces_over_the_threshold_are_held_soon_and_those_under_it_never() {
    let rows: Vec<Row> = [10_000, 20_000, 50_000, 70_000, 100_000]
        .map(|ppm| run(ppm, Metric::Hard))
        .into();
    table("bounces, act at 5 %", &rows);
    assert_eq!([rows[0].held, rows[1].held], [0, 0]);
    assert!(rows[2].held <= RUNS / 5, "{}", rows[2].held);
    assert_eq!([rows[3].held, rows[4].held], [RUNS, RUNS]);
    let of_ten = &rows[4].minutes;
    assert!(of_ten[of_ten.len() * 9 / 10] <= 15, "{of_ten:?}");
}

#[test]
fn complaints_over_the_threshold_are_held_and_those_under_it_never() {
    let rows: Vec<Row> = [500, 1_000, 3_000, 5_000, 10_000]
        .map(|ppm| run(ppm, Metric::Complaints))
        .into();
    table("complaints, act at 0.3 %", &rows);
    assert_eq!([rows[0].held, rows[1].held], [0, 0]);
    assert!(rows[2].held <= RUNS / 5, "{}", rows[2].held);
    assert!(rows[3].held >= RUNS * 19 / 20, "{}", rows[3].held);
    assert_eq!(rows[4].held, RUNS);
}

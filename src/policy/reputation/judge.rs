//! Whether a rate is over its threshold, with the size of the sample in mind.
//!
//! A threshold is passed where so many failures would be next to impossible if the true rate were the threshold: the
//! exact one-sided binomial test (Clopper and Pearson). One bounce of ten passes no threshold of 5 %; fifteen of a
//! hundred do. The tests are repeated as mail goes, so the chance of a false alarm is set low.

use super::counts::{Counts, Metric};
use super::rings::Window;
use crate::policy::share::Share;
use serde::{Deserialize, Serialize};

/// The chance that is taken of acting on a slice that is exactly at its threshold, at each look.
const FALSE_ALARM: f64 = 0.001;

/// A rate that has thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rate {
    /// Hard bounces of all that was answered for good.
    Bounce,
    /// Complaints of what was delivered to providers that have a feedback loop.
    Complaint,
    /// Refusals for reputation, content or rules, for now or for good, of all attempts.
    Block,
    /// Hits of spam traps of what was delivered.
    Trap,
}

/// Windows that decide. Longer ones are for people to read.
const DECIDING: [Window; 3] = [Window::QuarterHour, Window::Hour, Window::Day];
/// Who keeps traps tells of them days later.
const OF_TRAPS: [Window; 3] = [Window::Day, Window::Week, Window::Month];

impl Rate {
    pub const ALL: [Self; 4] = [Self::Bounce, Self::Complaint, Self::Block, Self::Trap];

    /// Over which it is judged.
    pub const fn windows(self) -> [Window; 3] {
        match self {
            Self::Trap => OF_TRAPS,
            Self::Bounce | Self::Complaint | Self::Block => DECIDING,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Bounce => "bounce",
            Self::Complaint => "complaint",
            Self::Block => "block",
            Self::Trap => "trap",
        }
    }

    pub fn numerator(self, counts: &Counts) -> u64 {
        match self {
            Self::Bounce => counts.get(Metric::Hard),
            Self::Complaint => counts.get(Metric::Complaints),
            Self::Block => counts.blocked(),
            Self::Trap => counts.get(Metric::Trapped),
        }
    }

    pub fn denominator(self, counts: &Counts) -> u64 {
        match self {
            Self::Bounce => counts.answered(),
            Self::Block => counts.get(Metric::Attempts),
            Self::Complaint => counts.get(Metric::WithFeedback),
            Self::Trap => counts.get(Metric::Delivered),
        }
    }
}

/// How a rate stands to its thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Under the lower threshold.
    Good,
    /// Too few to say: over a threshold, but chance could do it.
    Unsure,
    /// Over the lower threshold beyond doubt.
    Watch,
    /// Over the upper threshold beyond doubt.
    Act,
}

impl Standing {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unsure => "unsure",
            Self::Watch => "watch",
            Self::Act => "act",
        }
    }
}

/// Failures that it takes to act on a rate, however few they are of.
const LEAST: u64 = 2;

/// Where a rate stands. A `watch` of nothing is passed by the first failure.
pub fn standing(part: u64, whole: u64, watch: Share, act: Share) -> Standing {
    if part == 0 {
        Standing::Good
    } else if part >= LEAST && exceeds(part, whole, act) {
        Standing::Act
    } else if exceeds(part, whole, watch) {
        Standing::Watch
    } else if watch.is_reached(part, whole) {
        Standing::Unsure
    } else {
        Standing::Good
    }
}

/// `part` of `whole` is more than chance allows where the true rate is `share`.
pub fn exceeds(part: u64, whole: u64, share: Share) -> bool {
    // Complaints come later than what they are of: there may be more of them than of it.
    let part = part.min(whole);
    let rate = f64::from(share.as_ppm()) / 1e6;
    let expected = whole as f64 * rate;
    if (part as f64) <= expected || rate >= 1.0 {
        return false;
    }
    at_least(part, whole, rate) < FALSE_ALARM
}

/// The chance of at least `part` in `whole` tries of `rate` each.
fn at_least(part: u64, whole: u64, rate: f64) -> f64 {
    let (n, k) = (whole as f64, part as f64);
    let deviation = (n * rate * (1.0 - rate)).sqrt();
    // Far out, or so many that the normal curve is as good as exact.
    let z = (k - 0.5 - n * rate) / deviation;
    if part > EXACT {
        return if z > NORMAL { 0.0 } else { 1.0 };
    }
    let (odds, mut term) = (rate / (1.0 - rate), n * (1.0 - rate).ln());
    let mut below = 0.0;
    for i in 0..part {
        below += term.exp();
        term += ((n - i as f64) / (i as f64 + 1.0) * odds).ln();
    }
    (1.0 - below).max(0.0)
}

/// Up to so many, the chances are summed one by one.
const EXACT: u64 = 500;
/// Standard deviations beyond which less than [`FALSE_ALARM`] lies.
const NORMAL: f64 = 3.09;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_samples_pause_nobody_and_floods_are_plain() {
        let five = Share::percent(5);
        assert!(!exceeds(1, 10, five));
        assert!(!exceeds(2, 10, five));
        assert!(!exceeds(0, 0, five));
        assert!(exceeds(10, 10, five));
        assert!(exceeds(15, 100, five));
        assert!(!exceeds(50, 1_000, five));
        assert!(exceeds(80, 1_000, five));
        assert!(exceeds(60_000, 1_000_000, five));
        assert!(!exceeds(50_100, 1_000_000, five));
    }

    #[test]
    fn complaints_are_rare_and_judged_as_such() {
        let three = Share::ppm(3_000);
        assert!(!exceeds(1, 100, three));
        assert!(!exceeds(3, 500, three));
        assert!(exceeds(4, 100, three));
        assert!(exceeds(60, 10_000, three));
        assert!(exceeds(12, 10, three));
    }

    #[test]
    fn the_sum_and_the_curve_meet() {
        let ten = Share::percent(10);
        for whole in [4_600, 4_900] {
            let least = |from: u64| (from..).find(|part| exceeds(*part, whole, ten));
            let least = least(400).unwrap();
            let bound = whole as f64 * 0.1 + NORMAL * (whole as f64 * 0.09).sqrt();
            assert!((least as f64 - bound).abs() < 8.0, "{least} {bound}");
        }
    }

    #[test]
    fn one_hit_of_a_trap_is_told_and_holds_nobody() {
        let at = |part, whole| standing(part, whole, Share::default(), Share::ppm(100));
        assert_eq!(at(0, 1_000), Standing::Good);
        assert_eq!(at(1, 5), Standing::Watch);
        assert_eq!(at(1, 1_000_000), Standing::Watch);
        assert_eq!(at(3, 1_000), Standing::Act);
        assert_eq!(at(0, 0), Standing::Good);
    }

    #[test]
    fn the_standings_are_in_order() {
        let at = |part| standing(part, 1_000, Share::percent(2), Share::percent(5));
        assert_eq!(
            [at(10), at(25), at(40), at(80)],
            [
                Standing::Good,
                Standing::Unsure,
                Standing::Watch,
                Standing::Act
            ]
        );
    }
}

//! Counts over time, and the windows that are looked at.

use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// A window that is looked at, up to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Window {
    #[serde(rename = "15m")]
    QuarterHour,
    #[serde(rename = "1h")]
    Hour,
    #[serde(rename = "24h")]
    Day,
    #[serde(rename = "7d")]
    Week,
    #[serde(rename = "30d")]
    Month,
}

impl Window {
    pub const ALL: [Self; 5] = [
        Self::QuarterHour,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::QuarterHour => "15m",
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.name() == name)
    }

    /// Which ring, and how many of its slots.
    const fn span(self) -> (usize, u32) {
        match self {
            Self::QuarterHour => (MINUTES, 15),
            Self::Hour => (MINUTES, 60),
            Self::Day => (HOURS, 24),
            Self::Week => (HOURS, 7 * 24),
            Self::Month => (DAYS, 30),
        }
    }
}

const MINUTES: usize = 0;
const HOURS: usize = 1;
const DAYS: usize = 2;
/// Milliseconds in a slot of each ring.
const SLOT: [u64; 3] = [60_000, 3_600_000, 86_400_000];
/// Slots that are kept: twice the longest window, so that it can be compared with the one before.
const KEPT: [u32; 3] = [120, 14 * 24, 60];

/// What is counted in a slot of time, and can be summed.
pub trait Tally: Default {
    fn merge(&mut self, other: &Self);
}

impl Tally for u32 {
    fn merge(&mut self, other: &Self) {
        *self = self.saturating_add(*other);
    }
}

/// Counts over time: minutes for two hours, hours for two weeks, days for two months. Slots in which nothing happened
/// take no room.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rings<T>([VecDeque<(u32, T)>; 3]);

impl<T: Tally> Rings<T> {
    /// Counts in the slots of now.
    pub fn note(&mut self, now: Timestamp, count: impl Fn(&mut T)) {
        for (ring, (slot, kept)) in self.0.iter_mut().zip(SLOT.into_iter().zip(KEPT)) {
            let at = slot_of(now, slot);
            while ring.front().is_some_and(|(first, _)| first + kept <= at) {
                ring.pop_front();
            }
            // A clock put back counts in the latest slot there is.
            match ring.back_mut() {
                Some((last, counts)) if *last >= at => count(counts),
                _ => {
                    let mut counts = T::default();
                    count(&mut counts);
                    ring.push_back((at, counts));
                }
            }
        }
    }

    /// The sum of a window that ends now; of slots that begin before `from` nothing counts.
    pub fn sum(&self, window: Window, from: Timestamp, now: Timestamp) -> T {
        let (ring, slots) = window.span();
        let Some(slot) = SLOT.get(ring) else {
            return T::default();
        };
        let end = slot_of(now, *slot);
        let since = u32::try_from(from.as_millis().div_ceil(*slot)).unwrap_or(u32::MAX);
        self.between(ring, (end + 1).saturating_sub(slots).max(since), end)
    }

    /// The sum of the window before it.
    pub fn previous(&self, window: Window, now: Timestamp) -> T {
        let (ring, slots) = window.span();
        let slot = SLOT.get(ring).copied().unwrap_or(1);
        let end = (slot_of(now, slot) + 1).saturating_sub(slots + 1);
        self.between(ring, (end + 1).saturating_sub(slots), end)
    }

    /// Of the window that ends now, the time in which anything was counted.
    pub fn active(&self, window: Window, now: Timestamp) -> Duration {
        let (ring, slots) = window.span();
        let slot = SLOT.get(ring).copied().unwrap_or(1);
        let end = slot_of(now, slot);
        let first = (end + 1).saturating_sub(slots);
        let all = self.0.get(ring).into_iter().flatten();
        let active = all.filter(|(at, _)| (first..=end).contains(at)).count();
        Duration::from_millis(slot.saturating_mul(active as u64))
    }

    fn between(&self, ring: usize, first: u32, last: u32) -> T {
        let mut sum = T::default();
        for (_, counts) in self
            .0
            .get(ring)
            .into_iter()
            .flatten()
            .filter(|(at, _)| (first..=last).contains(at))
        {
            sum.merge(counts);
        }
        sum
    }

    /// When the last slot began in which anything was counted.
    pub fn last(&self) -> Timestamp {
        let [minutes, ..] = &self.0;
        let last = minutes.back().map_or(0, |(at, _)| u64::from(*at));
        Timestamp::from_millis(last * SLOT[MINUTES])
    }

    /// Nothing has happened for so long that no window would show it.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let [.., days] = &self.0;
        let today = slot_of(now, SLOT[DAYS]);
        days.back()
            .is_none_or(|(last, _)| last + KEPT[DAYS] <= today)
    }
}

fn slot_of(at: Timestamp, slot: u64) -> u32 {
    u32::try_from(at.as_millis() / slot).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::counts::{Metric, Series};
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const NEVER: Timestamp = Timestamp::from_millis(0);

    fn minutes(n: u64) -> Timestamp {
        START + Duration::from_secs(60 * n)
    }

    #[test]
    fn a_window_slides_and_knows_the_one_before() {
        let mut series = Series::default();
        for minute in 0..30 {
            series.add(Metric::Delivered, 2, minutes(minute));
        }
        let now = minutes(29);
        let sum = |window| series.sum(window, NEVER, now).get(Metric::Delivered);
        assert_eq!(sum(Window::QuarterHour), 30);
        assert_eq!(sum(Window::Hour), 60);
        assert_eq!(sum(Window::Month), 60);
        let before = series.previous(Window::QuarterHour, now);
        assert_eq!(before.get(Metric::Delivered), 30);
        let later = minutes(29 + 10);
        let sum = series.sum(Window::QuarterHour, NEVER, later);
        assert_eq!(sum.get(Metric::Delivered), 10);
    }

    #[test]
    fn the_time_in_which_something_was_counted_is_known() {
        let mut series = Series::default();
        for minute in [0, 0, 5, 7, 20] {
            series.add(Metric::Attempts, 1, minutes(minute));
        }
        let active = |window| series.active(window, minutes(20)).as_secs();
        assert_eq!(active(Window::QuarterHour), 2 * 60);
        assert_eq!(active(Window::Hour), 4 * 60);
        assert_eq!(active(Window::Day), 3600);
    }

    #[test]
    fn what_lies_before_a_fresh_start_does_not_count() {
        let mut series = Series::default();
        series.add(Metric::Hard, 5, START);
        series.add(Metric::Hard, 1, minutes(3));
        let sum = series.sum(Window::Hour, minutes(2), minutes(4));
        assert_eq!(sum.get(Metric::Hard), 1);
    }

    #[test]
    fn old_slots_go_and_a_clock_put_back_loses_nothing() {
        let mut series = Series::default();
        for day in 0..100 {
            series.add(Metric::Delivered, 1, minutes(day * 24 * 60));
        }
        assert!(series.0.iter().all(|ring| ring.len() <= 61));
        series.add(Metric::Delivered, 1, START);
        let now = minutes(99 * 24 * 60);
        let sum = series.sum(Window::Month, NEVER, now);
        assert_eq!(sum.get(Metric::Delivered), 31);
        assert!(!series.is_over(now));
        assert!(series.is_over(minutes(160 * 24 * 60)));
    }
}

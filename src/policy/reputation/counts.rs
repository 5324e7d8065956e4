//! What is counted of a slice of mail, and over which time.

use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// One thing that is counted. The order is that of the numbers in [`Counts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Attempts at a recipient.
    Attempts,
    Delivered,
    /// Of those delivered, to providers that have a feedback loop.
    WithFeedback,
    /// Refused for good because the address is bad, at once or by a notice that came back.
    Hard,
    /// Refused for good for another reason of the recipient's.
    Soft,
    /// Refused, now or for good, for the source's or the sender's reputation.
    BlockedSource,
    /// Refused, now or for good, for its content or by a rule.
    BlockedContent,
    Deferred,
    /// Refused for good for none of these reasons.
    Other,
    Complaints,
    Unsubscribed,
    Opened,
    Clicked,
    /// Delivered to an address that nobody but a harvester writes to.
    Trapped,
    /// Time ran out. Not in any rate.
    Expired,
    /// Not sent, because its recipient is suppressed. Not in any rate.
    Suppressed,
}

const METRICS: usize = Metric::ALL.len();

impl Metric {
    pub const ALL: [Self; 16] = [
        Self::Attempts,
        Self::Delivered,
        Self::WithFeedback,
        Self::Hard,
        Self::Soft,
        Self::BlockedSource,
        Self::BlockedContent,
        Self::Deferred,
        Self::Other,
        Self::Complaints,
        Self::Unsubscribed,
        Self::Opened,
        Self::Clicked,
        Self::Trapped,
        Self::Expired,
        Self::Suppressed,
    ];

    /// As reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::Delivered => "delivered",
            Self::WithFeedback => "with_feedback",
            Self::Hard => "hard",
            Self::Soft => "soft",
            Self::BlockedSource => "blocked_source",
            Self::BlockedContent => "blocked_content",
            Self::Deferred => "deferred",
            Self::Other => "other",
            Self::Complaints => "complaints",
            Self::Unsubscribed => "unsubscribed",
            Self::Opened => "opened",
            Self::Clicked => "clicked",
            Self::Trapped => "trapped",
            Self::Expired => "expired",
            Self::Suppressed => "suppressed",
        }
    }
}

/// A number for each [`Metric`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts([u32; METRICS]);

impl Counts {
    pub fn get(&self, metric: Metric) -> u64 {
        self.0.get(metric as usize).copied().unwrap_or(0).into()
    }

    /// Recipients that were answered for good: what bounces and blocks are divided by.
    pub fn answered(&self) -> u64 {
        let answers = [
            Metric::Delivered,
            Metric::Hard,
            Metric::Soft,
            Metric::BlockedSource,
            Metric::BlockedContent,
            Metric::Other,
        ];
        answers.iter().map(|metric| self.get(*metric)).sum()
    }

    pub fn blocked(&self) -> u64 {
        self.get(Metric::BlockedSource) + self.get(Metric::BlockedContent)
    }

    fn raise(&mut self, metric: Metric, n: u32) {
        if let Some(count) = self.0.get_mut(metric as usize) {
            *count = count.saturating_add(n);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }

    /// Without what is in `other`.
    pub fn without(mut self, other: &Self) -> Self {
        for (count, less) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_sub(less);
        }
        self
    }
}

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

/// The counts of one slice over time: minutes for two hours, hours for two weeks, days for two months. Slots in which
/// nothing happened take no room.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Series([VecDeque<(u32, Counts)>; 3]);

impl Series {
    pub fn add(&mut self, metric: Metric, n: u32, now: Timestamp) {
        for (ring, (slot, kept)) in self.0.iter_mut().zip(SLOT.into_iter().zip(KEPT)) {
            let at = slot_of(now, slot);
            while ring.front().is_some_and(|(first, _)| first + kept <= at) {
                ring.pop_front();
            }
            // A clock put back counts in the latest slot there is.
            match ring.back_mut() {
                Some((last, counts)) if *last >= at => counts.raise(metric, n),
                _ => {
                    let mut counts = Counts::default();
                    counts.raise(metric, n);
                    ring.push_back((at, counts));
                }
            }
        }
    }

    /// The sum of a window that ends now; of slots that begin before `from` nothing counts.
    pub fn sum(&self, window: Window, from: Timestamp, now: Timestamp) -> Counts {
        let (ring, slots) = window.span();
        let Some(slot) = SLOT.get(ring) else {
            return Counts::default();
        };
        let end = slot_of(now, *slot);
        let since = u32::try_from(from.as_millis().div_ceil(*slot)).unwrap_or(u32::MAX);
        self.between(ring, (end + 1).saturating_sub(slots).max(since), end)
    }

    /// The sum of the window before it.
    pub fn previous(&self, window: Window, now: Timestamp) -> Counts {
        let (ring, slots) = window.span();
        let slot = SLOT.get(ring).copied().unwrap_or(1);
        let end = (slot_of(now, slot) + 1).saturating_sub(slots + 1);
        self.between(ring, (end + 1).saturating_sub(slots), end)
    }

    fn between(&self, ring: usize, first: u32, last: u32) -> Counts {
        let mut sum = Counts::default();
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
    use super::*;
    use std::time::Duration;

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

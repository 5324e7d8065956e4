//! What is counted of a slice of mail.

use super::rings::{Rings, Tally};
use crate::units::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

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
    /// Refused at submission, because its recipient is suppressed. Not in any rate.
    Refused,
    /// Addresses put on the suppression list, and taken off it. Not in any rate.
    Listed,
    Unlisted,
}

const METRICS: usize = Metric::ALL.len();

impl Metric {
    pub const ALL: [Self; 19] = [
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
        Self::Refused,
        Self::Listed,
        Self::Unlisted,
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
            Self::Refused => "refused",
            Self::Listed => "listed",
            Self::Unlisted => "unlisted",
        }
    }
}

/// A number for each [`Metric`], in its order. New metrics come last: what a version before or after has written is read as
/// far as both know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts([u32; METRICS]);

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(written: D) -> Result<Self, D::Error> {
        let written = Vec::<u32>::deserialize(written)?;
        let mut counts = Self::default();
        let both = counts.0.iter_mut().zip(written);
        both.for_each(|(count, written)| *count = written);
        Ok(counts)
    }
}

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

    /// Without what is in `other`.
    pub fn without(mut self, other: &Self) -> Self {
        for (count, less) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_sub(less);
        }
        self
    }
}

/// The counts of one slice over time.
pub type Series = Rings<Counts>;

impl Tally for Counts {
    fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }
}

impl Series {
    pub fn add(&mut self, metric: Metric, n: u32, now: Timestamp) {
        self.note(now, |counts| counts.raise(metric, n));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once a version that counted more could not read what the one before had written, and began anew.
    #[test]
    fn what_another_version_has_counted_is_read_as_far_as_both_know_it() {
        let read = |n: usize| {
            let written: Vec<usize> = (1..=n).collect();
            let written = serde_json::to_string(&written).unwrap();
            serde_json::from_str::<Counts>(&written).unwrap()
        };
        let before = read(16);
        assert_eq!(before.get(Metric::Suppressed), 16);
        assert_eq!(before.get(Metric::Refused), 0);
        assert_eq!(read(METRICS + 5), read(METRICS));
    }
}

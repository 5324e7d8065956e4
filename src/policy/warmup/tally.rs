//! What came of the mail of a unit, counted.

use crate::policy::share::in_percent;
use serde::{Deserialize, Serialize};

/// What one attempt came to, or what was heard of it later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    Delivered,
    /// For good, because of the recipient: the address does not exist.
    Bounced,
    /// Because of what the provider thinks of the source, for good or for now.
    Blocked,
    /// For any other reason, to be tried again.
    Deferred,
    /// A recipient called a delivered message spam.
    Complained,
}

/// Counts of each [`Outcome`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    pub delivered: u64,
    pub bounced: u64,
    pub blocked: u64,
    pub deferred: u64,
    pub complained: u64,
}

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ratio {
    pub part: u64,
    pub whole: u64,
}

impl Outcome {
    pub const ALL: [Outcome; 5] = [
        Self::Delivered,
        Self::Bounced,
        Self::Blocked,
        Self::Deferred,
        Self::Complained,
    ];

    /// As the store's keys have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Bounced => "bounced",
            Self::Blocked => "blocked",
            Self::Deferred => "deferred",
            Self::Complained => "complained",
        }
    }
}

impl Tally {
    pub fn add(&mut self, outcome: Outcome, n: u64) {
        let count = match outcome {
            Outcome::Delivered => &mut self.delivered,
            Outcome::Bounced => &mut self.bounced,
            Outcome::Blocked => &mut self.blocked,
            Outcome::Deferred => &mut self.deferred,
            Outcome::Complained => &mut self.complained,
        };
        *count = count.saturating_add(n);
    }

    pub const fn of(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Delivered => self.delivered,
            Outcome::Bounced => self.bounced,
            Outcome::Blocked => self.blocked,
            Outcome::Deferred => self.deferred,
            Outcome::Complained => self.complained,
        }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Answers that say what the source is worth: all but those that put the mail off.
    pub const fn samples(&self) -> u64 {
        self.delivered + self.bounced + self.blocked
    }

    pub const fn bounces(&self) -> Ratio {
        Ratio {
            part: self.bounced,
            whole: self.samples(),
        }
    }

    pub const fn blocks(&self) -> Ratio {
        Ratio {
            part: self.blocked,
            whole: self.samples(),
        }
    }

    /// Of all answers: mail that was put off and delivered later counts as both.
    pub const fn deferrals(&self) -> Ratio {
        Ratio {
            part: self.deferred,
            whole: self.samples() + self.deferred,
        }
    }

    /// Of what was delivered: nobody complains of the rest.
    pub const fn complaints(&self) -> Ratio {
        Ratio {
            part: self.complained,
            whole: self.delivered,
        }
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        for outcome in Outcome::ALL {
            self.add(outcome, other.of(outcome));
        }
    }
}

/// `3 of 120 (2.5 %)`.
impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { part, whole } = self;
        match whole {
            0 => write!(f, "{part} of 0"),
            _ => write!(f, "{part} of {whole} ({})", in_percent(*part, *whole)),
        }
    }
}

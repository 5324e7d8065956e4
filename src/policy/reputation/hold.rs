//! Mail that is held for its reputation.

use super::judge::Rate;
use super::rings::Window;
use super::slice::Slice;
use crate::policy::share::{Share, in_percent};
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Holds further back do not make the next one longer, and lie outside of all windows: they are forgotten.
pub(super) const MEMORY: Duration = Duration::from_secs(30 * 86_400);

/// Numbers that a decision rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub rate: Rate,
    pub window: Window,
    /// Failures, and what they are divided by.
    pub part: u64,
    pub whole: u64,
    /// The threshold that is passed.
    pub threshold: Share,
}

/// One part of the mail that is held, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    pub slice: Slice,
    pub since: Timestamp,
    /// It is let go then, and counted anew.
    pub until: Timestamp,
    /// How often it was held within a month, with this time.
    pub times: u32,
    pub finding: Finding,
    /// Who let it go before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<(Timestamp, Box<str>)>,
}

impl Hold {
    pub fn holds(&self, now: Timestamp) -> bool {
        now < self.until && self.released.is_none()
    }

    pub(super) fn is_forgotten(&self, now: Timestamp) -> bool {
        self.ended(now).is_some_and(|at| now.since(at) >= MEMORY)
    }

    /// When it ended, where it has.
    pub fn ended(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.released {
            Some((at, _)) => Some(*at),
            None => (self.until <= now).then_some(self.until),
        }
    }
}

/// `bounces 7.2 % (72 of 1000 within 1h), over 5 %`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rate,
            window,
            part,
            whole,
            threshold,
        } = self;
        write!(
            f,
            "{}s {} ({part} of {whole} within {}), over {threshold}",
            rate.name(),
            in_percent(*part, *whole),
            window.name(),
        )
    }
}

/// To follow "waits for".
impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the reputation of {}: {}; held for the {}. time",
            self.slice, self.finding, self.times
        )
    }
}

//! Mail that goes slower than it did, because of its reputation.

use super::hold::Finding;
use super::slice::Slice;
use crate::policy::share::Share;
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One part of the mail that is slowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    pub slice: Slice,
    pub since: Timestamp,
    /// It stays slowed until then at least.
    pub least: Timestamp,
    pub finding: Finding,
    /// Of the pace that it had.
    pub share: Share,
    /// From one recipient to the next on this node, in milliseconds.
    pub spacing_ms: u64,
}

/// Recipients are this far apart at least and at most.
const NARROW: Duration = Duration::from_millis(1);
const WIDE: Duration = Duration::from_secs(60);

/// How far apart recipients are that go at a share of a pace of so many within a time.
pub(super) fn spacing(recipients: u64, within: Duration, share: Share) -> Duration {
    if recipients == 0 {
        return WIDE;
    }
    let slowed = recipients as f64 * f64::from(share.as_ppm()) / 1e6;
    let apart = within.as_secs_f64() / slowed.max(f64::MIN_POSITIVE);
    Duration::from_secs_f64(apart.clamp(NARROW.as_secs_f64(), WIDE.as_secs_f64()))
}

impl Slow {
    pub fn spacing(&self) -> Duration {
        Duration::from_millis(self.spacing_ms)
    }

    /// `slowed to 50 % of its pace, a recipient in 7.2 s`.
    pub fn measure(&self) -> String {
        let secs = self.spacing().as_secs_f64();
        format!(
            "slowed to {} of its pace, a recipient in {} s",
            self.share,
            (secs * 1000.0).round() / 1000.0
        )
    }
}

/// To follow "waits for".
impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slice, finding, .. } = self;
        write!(
            f,
            "the reputation of {slice}: {finding}; {}",
            self.measure()
        )
    }
}

/// What outlives a restart of it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Pace {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow: Option<Arc<Slow>>,
    /// When it last had its pace back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eased: Option<Timestamp>,
}

/// A slice that is slowed, and when its next recipient may go.
#[derive(Debug)]
pub(super) struct Paced {
    pub slow: Arc<Slow>,
    pub next: Timestamp,
}

impl Paced {
    /// Recipients go now: the next ones keep their distance.
    pub fn went(&mut self, recipients: u32, now: Timestamp) {
        let apart = self.slow.spacing().saturating_mul(recipients.max(1));
        self.next = self.next.max(now) + apart;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_pace_is_twice_the_distance() {
        let hour = Duration::from_secs(3600);
        let half = Share::percent(50);
        assert_eq!(spacing(1_000, hour, half), Duration::from_millis(7_200));
        assert_eq!(spacing(0, Duration::ZERO, half), WIDE);
        assert_eq!(spacing(u64::MAX, hour, half), NARROW);
    }
}

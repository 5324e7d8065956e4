//! When to try again, and when to give up.

use crate::problem::Problems;
use crate::units::{Span, Timestamp};
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `[retry]`: how a deferred message is tried again. A `[[route]]` may have its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Wait after the first deferral.
    pub first: Span,
    /// Each further wait is this many times the one before.
    pub factor: f64,
    /// The longest wait.
    pub max: Span,
    /// Each wait is made longer or shorter by up to this share, so that mail deferred together does not return together.
    pub jitter: f64,
    /// A message not delivered this long after it was accepted is given up, and bounced as expired.
    pub expire: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            first: Span::minutes(5),
            factor: 2.0,
            max: Span::hours(4),
            jitter: 0.1,
            expire: Span::days(3),
        }
    }
}

impl Config {
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if !(1.0..=10.0).contains(&self.factor) {
            problems.add(
                format!("{at}.factor"),
                "is outside 1 to 10",
                "2.0 doubles each wait",
            );
        }
        if !(0.0..=0.5).contains(&self.jitter) {
            problems.add(
                format!("{at}.jitter"),
                "is outside 0 to 0.5",
                "0.1 spreads a wait by ±10 %",
            );
        }
        if self.first.0 < Duration::from_secs(1) {
            problems.add(
                format!("{at}.first"),
                "is under a second",
                "greylisting wants minutes: \"5m\"",
            );
        }
        if self.max < self.first {
            problems.add(
                format!("{at}.max"),
                "is shorter than first",
                "make it the longest wait, such as \"4h\"",
            );
        }
        if self.expire < self.first {
            problems.add(
                format!("{at}.expire"),
                "is shorter than first, so nothing would be retried",
                "\"3d\"",
            );
        }
    }
}

/// The waits of one [`Config`].
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule(pub Config);

impl Schedule {
    /// When to try again after the `attempt`-th attempt (from 1) was put off.
    pub fn next(&self, attempt: u16, now: Timestamp, rng: &mut impl Rng) -> Timestamp {
        let plain = self.wait(attempt).as_secs_f64();
        let spread = self.0.jitter.clamp(0.0, 1.0);
        let factor = if spread > 0.0 {
            rng.random_range(1.0 - spread..=1.0 + spread)
        } else {
            1.0
        };
        now + Duration::try_from_secs_f64(plain * factor).unwrap_or(self.0.max.0)
    }

    /// When a message accepted at `received` is given up.
    pub fn expiry(&self, received: Timestamp) -> Timestamp {
        received + self.0.expire.0
    }

    fn wait(&self, attempt: u16) -> Duration {
        let exponent = i32::from(attempt.saturating_sub(1));
        let secs = self.0.first.0.as_secs_f64() * self.0.factor.powi(exponent);
        Duration::try_from_secs_f64(secs).map_or(self.0.max.0, |wait| wait.min(self.0.max.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_double_from_minutes_to_hours() {
        let schedule = Schedule(Config {
            jitter: 0.0,
            ..Config::default()
        });
        let minutes: Vec<u64> = (1..=8)
            .map(|attempt| schedule.wait(attempt).as_secs() / 60)
            .collect();
        assert_eq!(minutes, [5, 10, 20, 40, 80, 160, 240, 240]);
    }

    proptest! {
        #[test]
        fn a_wait_stays_within_its_jitter(attempt: u16) {
            let schedule = Schedule(Config::default());
            let now = Timestamp::from_millis(1_000_000);
            let wait = schedule.next(attempt, now, &mut rand::rng()).since(now).as_secs_f64();
            let plain = schedule.wait(attempt).as_secs_f64();
            prop_assert!((plain * 0.899..=plain * 1.101).contains(&wait));
        }
    }
}

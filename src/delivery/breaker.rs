//! The circuit breaker between a source and a site.
//!
//! ```text
//!            fails, and no connection is left to prove otherwise
//!   closed ───────────────────────────────────────────────────────▶ open
//!     ▲                                                             │ ▲
//!     │ the site answers          half-open ◀──── its time is over ─┘ │ the probe fails: twice the time
//!     └─────────────────────────────── └──────────────────────────────┘
//! ```
//!
//! While it is open nothing is taken; while it is half-open one connection finds out, and what lines up waits for it.

use crate::events::Breaker as State;
use crate::policy::Held;
use crate::units::Timestamp;
use std::time::Duration;

/// Longest time a site that does not answer is left alone.
pub const MAX_BACKOFF: Duration = Duration::from_secs(3600);

/// Whether connections can be had.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Breaker {
    #[default]
    Closed,
    Open(Trip),
    /// A probe is under way since it was due.
    HalfOpen(Trip),
}

/// Why it is not closed.
#[derive(Debug, Clone, PartialEq)]
pub struct Trip {
    /// When it first opened.
    pub since: Timestamp,
    /// The time of the next probe.
    pub until: Timestamp,
    /// In a row.
    pub failures: u32,
    pub why: Held,
}

/// It went from one state to another; to be told.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "nobody knows of a change that is not told"]
pub struct Change {
    pub state: State,
    pub trip: Trip,
    /// In a sentence, with the numbers.
    pub why: String,
}

impl Breaker {
    pub fn state(&self) -> State {
        match self {
            Self::Closed => State::Closed,
            Self::Open(_) => State::Open,
            Self::HalfOpen(_) => State::HalfOpen,
        }
    }

    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }

    /// Connections that may be open, where the site would take `window`.
    pub fn room(&self, window: u32) -> u32 {
        match self {
            Self::Closed => window,
            Self::Open(_) | Self::HalfOpen(_) => 1,
        }
    }

    /// What keeps mail from lining up now. Once its time is over it lines up behind the one connection that probes.
    pub fn refuses(&self, now: Timestamp) -> Option<&Trip> {
        match self {
            Self::Open(trip) if now < trip.until => Some(trip),
            _ => None,
        }
    }

    /// A connection goes to find out.
    pub fn probe(&mut self, now: Timestamp) -> Option<Change> {
        let Self::Open(trip) = self else { return None };
        if now < trip.until {
            return None;
        }
        let trip = trip.clone();
        let why = format!(
            "one connection probes, after {} failures in a row in {}",
            trip.failures,
            spoken(now.since(trip.since))
        );
        *self = Self::HalfOpen(trip.clone());
        Some(Change {
            state: State::HalfOpen,
            trip,
            why,
        })
    }

    /// The site answered, or an operator wants it tried as if it had.
    pub fn close(&mut self, how: &str, now: Timestamp) -> Option<Change> {
        let (Self::Open(trip) | Self::HalfOpen(trip)) = std::mem::take(self) else {
            return None;
        };
        let why = format!(
            "{how}, after {} failures in a row in {}",
            trip.failures,
            spoken(now.since(trip.since))
        );
        Some(Change {
            state: State::Closed,
            trip,
            why,
        })
    }

    /// No connection can be had: until when to wait, and what is to be told. A connection from before it opened changes
    /// nothing.
    pub fn fail(
        &mut self,
        backoff: Duration,
        now: Timestamp,
        held: impl FnOnce(Timestamp) -> Held,
    ) -> (Trip, Option<Change>) {
        let (since, before) = match self {
            Self::Open(trip) if now < trip.until => return (trip.clone(), None),
            Self::Open(trip) | Self::HalfOpen(trip) => (trip.since, trip.failures),
            Self::Closed => (now, 0),
        };
        let failures = before.saturating_add(1);
        let wait = backoff.saturating_mul(1 << before.min(10));
        let wait = wait.min(MAX_BACKOFF);
        let until = now + wait;
        let trip = Trip {
            since,
            until,
            failures,
            why: held(until),
        };
        *self = Self::Open(trip.clone());
        let why = format!(
            "{failures} failures in a row; left alone for {}",
            spoken(wait)
        );
        let change = Change {
            state: State::Open,
            trip: trip.clone(),
            why,
        };
        (trip, Some(change))
    }
}

/// Whole seconds of a time: `90s`, `2h`.
fn spoken(span: Duration) -> crate::units::Span {
    crate::units::Span(Duration::from_secs(span.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_millis(1_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    fn fail(breaker: &mut Breaker, now: Timestamp) -> Option<Change> {
        let held = |_| Held::SendAt;
        breaker.fail(MINUTE, now, held).1
    }

    #[test]
    fn it_opens_probes_opens_for_longer_and_closes() {
        let mut breaker = Breaker::default();
        let opened = fail(&mut breaker, START).unwrap();
        assert_eq!(
            (opened.state, opened.trip.until),
            (State::Open, START + MINUTE)
        );
        assert_eq!(breaker.probe(START), None, "not before its time");
        assert_eq!(fail(&mut breaker, START), None, "from before it opened");
        let probes = breaker.probe(START + MINUTE).unwrap();
        assert_eq!(
            probes.why,
            "one connection probes, after 1 failures in a row in 1m"
        );
        assert_eq!(breaker.probe(START + MINUTE), None, "told once");
        let again = fail(&mut breaker, START + MINUTE).unwrap();
        assert_eq!(again.trip.until, START + 3 * MINUTE);
        assert_eq!(again.why, "2 failures in a row; left alone for 2m");
        let _probes = breaker.probe(START + 3 * MINUTE).unwrap();
        let closed = breaker
            .close("the site answered", START + 3 * MINUTE)
            .unwrap();
        assert_eq!(
            closed.why,
            "the site answered, after 2 failures in a row in 3m"
        );
        assert_eq!(breaker.close("again", START), None);
    }

    proptest! {
        #[test]
        fn it_keeps_to_its_states(steps in proptest::collection::vec((0u8..4, 0u64..4000), 0..200)) {
            let mut breaker = Breaker::default();
            let mut now = START;
            for (what, secs) in steps {
                now = now + Duration::from_secs(secs);
                let before = breaker.state();
                let change = match what {
                    0 => fail(&mut breaker, now),
                    1 => breaker.probe(now),
                    2 => breaker.close("", now),
                    _ => None,
                };
                let after = breaker.state();
                prop_assert_eq!(change.as_ref().map(|change| change.state), change.as_ref().map(|_| after));
                prop_assert!(change.is_some() || before == after);
                let allowed = matches!(
                    (before, after),
                    (State::Closed, State::Open)
                        | (State::Open, State::HalfOpen)
                        | (State::HalfOpen, State::Open)
                        | (_, State::Closed)
                ) || before == after;
                prop_assert!(allowed, "{before:?} {after:?}");
                prop_assert!(breaker.is_closed() || breaker.room(20) == 1);
                if let Breaker::Open(trip) = &breaker {
                    prop_assert!(trip.until.since(now) <= MAX_BACKOFF);
                }
            }
        }
    }
}

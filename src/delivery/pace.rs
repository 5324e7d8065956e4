//! How many connections a site takes from a source, as it shows by its replies.
//!
//! Additive increase, multiplicative decrease, as TCP does it (RFC 5681):
//!
//! | phase    | when                          | a message that went through    | "too fast" |
//! |----------|-------------------------------|--------------------------------|------------|
//! | start    | window under the threshold    | one connection more            | half the window, which becomes the threshold |
//! | recovery | window at the threshold       | one connection more, once in `recover` | half the window |
//! | rest     | one connection, and still too much | half the rest, once in `recover` | twice the rest between messages |
//!
//! What comes in within `settle` of a decrease was under way when that was made, and makes no other: one burst of
//! refusals on twenty connections is one refusal.

use crate::mail::Reply;
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// The numbers it keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub initial: u32,
    pub max: u32,
    /// Between two steps up, after a decrease.
    pub recover: Duration,
    /// Between two steps down.
    pub settle: Duration,
}

/// One source × site.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    window: u32,
    /// Under it the window grows with every message, from it on once in `recover`.
    threshold: u32,
    /// Between two messages over the one connection that is left.
    rest: Duration,
    /// The last step down.
    slowed: Option<(Timestamp, Arc<Reply>)>,
    /// The last step up.
    grown: Timestamp,
    /// No message before then.
    next: Timestamp,
}

/// What is kept of a pace over a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    window: u32,
    threshold: u32,
    rest_ms: u64,
    slowed: Timestamp,
    reply: Arc<Reply>,
}

/// The first rest, and the longest.
const FIRST_REST: Duration = Duration::from_secs(1);
const MAX_REST: Duration = Duration::from_secs(300);
/// What is left of a step down after this is nothing worth remembering.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

impl Saved {
    /// It says nothing of today.
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        now.since(self.slowed) > FORGOTTEN
    }
}

impl Pace {
    pub fn new(bounds: &Bounds) -> Self {
        Self {
            window: bounds.initial.clamp(1, bounds.max.max(1)),
            threshold: bounds.max.max(1),
            rest: Duration::ZERO,
            slowed: None,
            grown: Timestamp::default(),
            next: Timestamp::default(),
        }
    }

    /// As it was before the restart; as new where that is long ago.
    pub fn restored(saved: Saved, bounds: &Bounds, now: Timestamp) -> Self {
        if saved.is_forgotten(now) {
            return Self::new(bounds);
        }
        Self {
            window: saved.window.clamp(1, bounds.max.max(1)),
            threshold: saved.threshold.clamp(1, bounds.max.max(1)),
            rest: Duration::from_millis(saved.rest_ms).min(MAX_REST),
            // A clock that was ahead must not freeze it.
            slowed: Some((saved.slowed.min(now), saved.reply)),
            // The time that it was away for has not shown anything.
            grown: now,
            next: now,
        }
    }

    /// What a restart must not forget; `None` where nothing has slowed it down.
    pub fn saved(&self) -> Option<Saved> {
        let (at, reply) = self.slowed.as_ref()?;
        Some(Saved {
            window: self.window,
            threshold: self.threshold,
            rest_ms: u64::try_from(self.rest.as_millis()).unwrap_or(u64::MAX),
            slowed: *at,
            reply: Arc::clone(reply),
        })
    }

    /// Connections that may be open.
    pub fn window(&self) -> u32 {
        self.window
    }

    /// The time before which no message is to go, and what slowed the site down.
    pub fn resting(&self, now: Timestamp) -> Option<(Timestamp, &Arc<Reply>)> {
        let (_, reply) = self.slowed.as_ref()?;
        (now < self.next).then_some((self.next, reply))
    }

    /// What last slowed it down.
    pub fn slowed_by(&self) -> Option<&Arc<Reply>> {
        self.slowed.as_ref().map(|(_, reply)| reply)
    }

    /// A message is about to go: the next one keeps its distance.
    pub fn began(&mut self, now: Timestamp) {
        self.next = now + self.rest;
    }

    /// The site took a message.
    pub fn succeeded(&mut self, bounds: &Bounds, now: Timestamp) {
        if self.rest.is_zero() && self.window >= bounds.max {
            return;
        }
        if self.window < self.threshold && self.rest.is_zero() {
            self.window = (self.window + 1).min(bounds.max);
        } else if now.since(self.grown.max(self.last_slowed())) >= bounds.recover {
            self.grown = now;
            self.step_up(bounds);
        }
    }

    fn step_up(&mut self, bounds: &Bounds) {
        if self.rest.is_zero() {
            self.window = (self.window + 1).min(bounds.max);
            self.threshold = self.window;
            if self.window == bounds.max {
                // Nothing of it is left to remember.
                self.slowed = None;
            }
            return;
        }
        self.rest /= 2;
        if self.rest < FIRST_REST {
            self.rest = Duration::ZERO;
        }
    }

    /// The site, or the way to it, cannot take as much. `false` where that is no news.
    pub fn slow_down(&mut self, bounds: &Bounds, reply: &Reply, now: Timestamp) -> bool {
        let settling = |(at, _): &(Timestamp, Arc<Reply>)| now.since(*at) < bounds.settle;
        if self.slowed.as_ref().is_some_and(settling) {
            return false;
        }
        if self.window > 1 {
            self.window /= 2;
        } else {
            self.rest = (self.rest * 2).clamp(FIRST_REST, MAX_REST);
            self.next = self.next.max(now + self.rest);
        }
        self.threshold = self.window;
        self.slowed = Some((now, Arc::new(reply.clone())));
        true
    }

    fn last_slowed(&self) -> Timestamp {
        self.slowed
            .as_ref()
            .map_or(Timestamp::default(), |(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::EnhancedCode;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds {
        initial: 2,
        max: 20,
        recover: Duration::from_secs(60),
        settle: Duration::from_secs(30),
    };

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + secs * 1000)
    }

    fn too_fast() -> Reply {
        Reply::said(421, Some(EnhancedCode(4, 7, 0)), "too fast", "MAIL")
    }

    fn wide() -> Pace {
        let mut pace = Pace::new(&BOUNDS);
        (0..100).for_each(|_| pace.succeeded(&BOUNDS, at(0)));
        pace
    }

    #[test]
    fn it_starts_fast_and_stops_at_its_bound() {
        let mut pace = Pace::new(&BOUNDS);
        pace.succeeded(&BOUNDS, at(0));
        assert_eq!(pace.window(), 3);
        assert_eq!(wide().window(), 20);
    }

    #[test]
    fn one_burst_of_refusals_is_one_step_down() {
        let mut pace = wide();
        assert!(pace.slow_down(&BOUNDS, &too_fast(), at(0)));
        (1..30).for_each(|secs| assert!(!pace.slow_down(&BOUNDS, &too_fast(), at(secs))));
        assert_eq!(pace.window(), 10);
        assert!(pace.slow_down(&BOUNDS, &too_fast(), at(30)));
        assert_eq!(pace.window(), 5);
    }

    #[test]
    fn it_recovers_step_by_step_and_does_not_snap_back() {
        let mut pace = wide();
        pace.slow_down(&BOUNDS, &too_fast(), at(0));
        // A thousand messages in the first minute prove nothing.
        (0..59).for_each(|secs| pace.succeeded(&BOUNDS, at(secs)));
        assert_eq!(pace.window(), 10);
        (60..120).for_each(|secs| pace.succeeded(&BOUNDS, at(secs)));
        assert_eq!(pace.window(), 11);
        (120..3600).for_each(|secs| pace.succeeded(&BOUNDS, at(secs)));
        assert_eq!(pace.window(), 20);
    }

    #[test]
    fn a_site_that_one_connection_is_too_much_for_gets_rests() {
        let mut pace = Pace::new(&Bounds {
            initial: 1,
            ..BOUNDS
        });
        for (step, rest) in [1, 2, 4, 8].into_iter().enumerate() {
            let now = at(step as u64 * 30);
            pace.slow_down(&BOUNDS, &too_fast(), now);
            assert_eq!(
                pace.resting(now).unwrap().0,
                now + Duration::from_secs(rest)
            );
        }
        let now = at(1000);
        assert!(pace.resting(now).is_none());
        pace.began(now);
        assert_eq!(pace.resting(now).unwrap().0, now + Duration::from_secs(8));
        // 8 → 4 → 2 → 1 → none, a minute each, and only then a second connection.
        (1..=4).for_each(|minute| pace.succeeded(&BOUNDS, at(1000 + 60 * minute)));
        pace.began(at(2000));
        assert!(pace.resting(at(2000)).is_none());
        assert_eq!(pace.window(), 1);
        pace.succeeded(&BOUNDS, at(2000));
        assert_eq!(pace.window(), 2);
    }

    #[test]
    fn a_restart_remembers_a_step_down_for_a_day() {
        let mut pace = wide();
        assert_eq!(pace.saved(), None);
        pace.slow_down(&BOUNDS, &too_fast(), at(0));
        let saved = pace.saved().unwrap();
        let text = serde_json::to_string(&saved).unwrap();
        assert_eq!(serde_json::from_str::<Saved>(&text).unwrap(), saved);
        assert_eq!(Pace::restored(saved.clone(), &BOUNDS, at(600)).window(), 10);
        assert_eq!(Pace::restored(saved, &BOUNDS, at(90_000)).window(), 2);
    }

    proptest! {
        #[test]
        fn it_keeps_to_its_bounds(steps in proptest::collection::vec((0u64..100, any::<bool>()), 0..200)) {
            let mut pace = Pace::new(&BOUNDS);
            let mut now = 0;
            for (secs, good) in steps {
                now += secs;
                match good {
                    true => pace.succeeded(&BOUNDS, at(now)),
                    false => drop(pace.slow_down(&BOUNDS, &too_fast(), at(now))),
                }
                prop_assert!((1..=20).contains(&pace.window()));
                prop_assert!(pace.rest <= MAX_REST);
                prop_assert!(pace.rest.is_zero() || pace.window() == 1);
            }
        }
    }
}

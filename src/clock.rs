//! The time, handed in: the machine's in production, a hand-moved one in tests.

use crate::units::Timestamp;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// Where `now` comes from. Clones share one time.
#[derive(Clone)]
pub struct Clock(Arc<Source>);

enum Source {
    Machine(Mutex<Anchor>),
    Manual(watch::Sender<Timestamp>),
}

/// A wall-clock reading and the monotonic instant it was taken at.
struct Anchor {
    wall: Timestamp,
    at: Instant,
}

/// Drift up to this is followed (NTP slews); a larger step of the wall clock would expire or delay mail at once.
const FOLLOWED_DRIFT: Duration = Duration::from_secs(5);
/// How often the anchor is compared with the wall clock.
const REANCHOR: Duration = Duration::from_secs(60);

impl Clock {
    /// The machine's wall clock, carried forward by its monotonic one: a step of the wall clock moves no mail.
    pub fn machine() -> Self {
        let anchor = Anchor {
            wall: wall(),
            at: Instant::now(),
        };
        Self(Arc::new(Source::Machine(Mutex::new(anchor))))
    }

    /// Stands still until [`Clock::advance`].
    pub fn manual(start: Timestamp) -> Self {
        Self(Arc::new(Source::Manual(watch::Sender::new(start))))
    }

    pub fn now(&self) -> Timestamp {
        match &*self.0 {
            Source::Machine(anchor) => anchor.lock().now(),
            Source::Manual(time) => *time.borrow(),
        }
    }

    /// Moves a manual clock forward and wakes who slept until then. The machine's clock cannot be moved.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(time) = &*self.0 {
            time.send_modify(|now| *now = *now + by);
        }
    }

    /// Returns at `deadline`, at once where that has passed.
    pub async fn sleep_until(&self, deadline: Timestamp) {
        match &*self.0 {
            Source::Machine(_) => {
                while self.now() < deadline {
                    tokio::time::sleep(deadline.since(self.now())).await;
                }
            }
            Source::Manual(time) => {
                let mut watch = time.subscribe();
                // The sender lives in `self`, so waiting cannot fail.
                let _closed = watch.wait_for(|now| *now >= deadline).await;
            }
        }
    }

    pub async fn sleep(&self, span: Duration) {
        self.sleep_until(self.now() + span).await;
    }
}

impl Anchor {
    fn now(&mut self) -> Timestamp {
        let elapsed = self.at.elapsed();
        let carried = self.wall + elapsed;
        if elapsed < REANCHOR {
            return carried;
        }
        let wall = wall();
        let drift = wall.since(carried).max(carried.since(wall));
        if drift > FOLLOWED_DRIFT {
            tracing::warn!(
                ?drift,
                "the wall clock stepped; mail keeps the time it had until restart"
            );
        }
        let next = if drift > FOLLOWED_DRIFT {
            carried
        } else {
            wall.max(carried)
        };
        *self = Anchor {
            wall: next,
            at: Instant::now(),
        };
        next
    }
}

fn wall() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(0) + since
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_its_sleepers_when_moved() {
        let clock = Clock::manual(Timestamp::from_millis(1_000));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep(Duration::from_secs(3600)).await;
                clock.now()
            }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(3599));
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        assert_eq!(sleeper.await.unwrap(), Timestamp::from_millis(3_601_000));
    }
}

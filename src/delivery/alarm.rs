//! When which lane is to be looked at again, because what held it may be over.

use super::lane::Lane;
use crate::clock::Clock;
use crate::units::Timestamp;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

/// Alarms of all lanes; cheap to clone.
#[derive(Clone, Default)]
pub struct Alarms(Arc<Shared>);

#[derive(Default)]
struct Shared {
    set: Mutex<BTreeMap<Timestamp, Vec<Weak<Lane>>>>,
    /// One was set before all others.
    earlier: Notify,
}

impl Alarms {
    pub fn set(&self, at: Timestamp, lane: &Arc<Lane>) {
        let mut set = self.0.set.lock();
        let is_first = set.first_key_value().is_none_or(|(first, _)| at < *first);
        set.entry(at).or_default().push(Arc::downgrade(lane));
        drop(set);
        if is_first {
            self.0.earlier.notify_one();
        }
    }

    /// Waits until alarms go off; gives when each was set for.
    pub async fn ring(&self, clock: &Clock) -> Vec<(Timestamp, Arc<Lane>)> {
        loop {
            let now = clock.now();
            let (due, next) = self.take(now);
            if !due.is_empty() {
                return due;
            }
            tokio::select! {
                () = self.0.earlier.notified() => {}
                () = sleep(clock, next) => {}
            }
        }
    }

    fn take(&self, now: Timestamp) -> (Vec<(Timestamp, Arc<Lane>)>, Option<Timestamp>) {
        let mut set = self.0.set.lock();
        let mut due = Vec::new();
        while let Some(first) = set.first_entry().filter(|first| *first.key() <= now) {
            let at = *first.key();
            let lanes = first.remove().into_iter();
            due.extend(lanes.filter_map(|lane| Some((at, lane.upgrade()?))));
        }
        (due, set.first_key_value().map(|(at, _)| *at))
    }
}

async fn sleep(clock: &Clock, until: Option<Timestamp>) {
    match until {
        Some(until) => clock.sleep_until(until).await,
        None => std::future::pending().await,
    }
}

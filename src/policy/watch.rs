//! Keeps an eye on reputations: looks, tells, holds, and writes down.

use super::reputation::{Decision, Hold, Reputation, Slice, Slow, Standing};
use super::suspension::{At, Suspension};
use crate::events::{Event, Events};
use crate::store::{Store, StoreError};
use crate::units::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Between two looks.
pub(super) const ROUND: Duration = Duration::from_secs(10);
/// Rounds between two times that counts are written down.
const WRITE_EVERY: u32 = 3;

pub(super) struct Watch {
    reputation: Reputation,
    store: Store,
    events: Events,
    /// What this process calls itself in the store.
    node: String,
    rounds: AtomicU32,
}

impl Watch {
    pub async fn open(
        reputation: Reputation,
        store: Store,
        events: Events,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let node = reputation.rules().node().to_owned();
        reputation.recall(&store, &node, now).await?;
        Ok(Self {
            reputation,
            store,
            events,
            node,
            rounds: AtomicU32::new(0),
        })
    }

    pub fn reputation(&self) -> &Reputation {
        &self.reputation
    }

    pub async fn refresh(&self, now: Timestamp) -> Result<(), StoreError> {
        self.reputation.refresh(&self.store, &self.node, now).await
    }

    /// One look; what it decides is in force and told when this returns, whatever the store does. Returns who is to be kept
    /// from where, and whether mail that waits may go sooner.
    pub fn look(&self, now: Timestamp) -> (Vec<Suspension>, bool) {
        let (mut suspensions, mut is_freed) = (Vec::new(), false);
        for decision in self.reputation.look(now) {
            self.events.emit(&told(&decision));
            is_freed |= matches!(decision, Decision::Eased(..));
            if let Decision::Hold(hold) = decision {
                suspensions.extend(suspension(&hold));
            }
        }
        (suspensions, is_freed)
    }

    /// Writes down what was decided, and now and then what was counted.
    pub async fn write(&self) {
        self.write_decisions().await;
        let round = self.rounds.fetch_add(1, Ordering::Relaxed);
        if round.is_multiple_of(WRITE_EVERY) {
            self.write_counts().await;
        }
    }

    pub fn release(&self, slice: &Slice, by: &str, now: Timestamp) -> Option<Arc<Hold>> {
        let released = self.reputation.release(slice, by, now)?;
        self.events.emit(&Event::Reputation {
            slice: slice.to_string(),
            action: "release",
            until: None,
            why: format!("released by {by}; it was held for {}", released.finding),
        });
        Some(released)
    }

    pub fn ease(&self, slice: &Slice, by: &str, now: Timestamp) -> Option<Arc<Slow>> {
        let eased = self.reputation.ease(slice, now)?;
        let why = format!("by {by}");
        self.events
            .emit(&told(&Decision::Eased(Arc::clone(&eased), why)));
        Some(eased)
    }

    pub async fn close(&self) {
        self.write_decisions().await;
        self.write_counts().await;
    }

    async fn write_counts(&self) {
        let written = self.reputation.write_counts(&self.store, &self.node).await;
        if let Err(error) = written {
            tracing::warn!(%error, "what was counted of reputations is not written down yet");
        }
    }

    pub async fn write_decisions(&self) {
        let (store, node) = (&self.store, &self.node);
        if let Err(error) = self.reputation.write_decisions(store, node).await {
            tracing::warn!(%error, "what is held and slowed is not written down yet: a restart would forget it");
        }
    }
}

/// What holds a source × provider is a suspension, as replies make them.
fn suspension(hold: &Hold) -> Option<Suspension> {
    let Slice::Pair(source, provider) = &hold.slice else {
        return None;
    };
    Some(Suspension {
        source: Arc::clone(source),
        at: At::Provider(Arc::clone(provider)),
        provider: Arc::clone(provider),
        since: hold.since,
        until: hold.until,
        why: format!("reputation: {}", hold.finding).into(),
        reply: None,
    })
}

fn told(decision: &Decision) -> Event {
    let (slice, action, until, why) = match decision {
        Decision::Watch(slice, finding, Standing::Act) => (
            slice,
            "page",
            None,
            format!("{finding}: a person should look at it"),
        ),
        Decision::Watch(slice, finding, _) => (slice, "watch", None, finding.to_string()),
        Decision::Hold(hold) => (
            &hold.slice,
            "hold",
            Some(hold.until),
            format!("{}; held for the {}. time", hold.finding, hold.times),
        ),
        Decision::Slow(slow) => (
            &slow.slice,
            "slow",
            None,
            format!("{}; {}", slow.finding, slow.measure()),
        ),
        Decision::Eased(slow, why) => (
            &slow.slice,
            "ease",
            None,
            format!(
                "it has its pace back: {why}; it was slowed for {}",
                slow.finding
            ),
        ),
        Decision::Released(hold) => (
            &hold.slice,
            "release",
            None,
            format!(
                "the time of its hold is over; it is counted anew. It was held for {}",
                hold.finding
            ),
        ),
        Decision::Recovered(slice, rate) => (
            slice,
            "recovered",
            None,
            format!("{}s are under their threshold", rate.name()),
        ),
    };
    Event::Reputation {
        slice: slice.to_string(),
        action,
        until,
        why,
    }
}

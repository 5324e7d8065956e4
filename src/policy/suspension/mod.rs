//! Who is kept from sending where, and until when.
//!
//! What is asked before every message is in memory. What it rests on is in the store, so that it outlives a restart and
//! counts for every process on that store: changes are written behind the caller's back, one after the other and until
//! they are there; [`Suspensions::refresh`] brings what other processes have written.

mod entry;
mod keeper;
mod table;

pub use entry::{At, Suspension};

use crate::clock::Clock;
use crate::events::{Breaker, Event, Events};
use crate::store::{Store, StoreError};
use crate::units::Timestamp;
use entry::Key;
use keeper::Keeper;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The suspensions of this process's sources. Clones are the same; the last one to go ends the writing.
#[derive(Clone)]
pub struct Suspensions(Arc<Inner>);

struct Inner {
    keeper: Arc<Keeper>,
    changed: mpsc::UnboundedSender<Key>,
    clock: Clock,
    events: Events,
}

/// A suspension is not made longer for less than this share of it: the refusals of one moment, on many connections, are
/// one suspension and not many.
const LEAST_GAIN: u32 = 20;

impl Suspensions {
    /// Reads those that hold from the store, and begins to keep it up to date. State that cannot be read is told in the
    /// log with its key and left as it is. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn load(store: Store, clock: Clock, events: Events) -> Result<Self, StoreError> {
        let keeper = Arc::new(Keeper::new(store, clock.clone()));
        keeper.refresh().await?;
        let (changed, changes) = mpsc::unbounded_channel();
        tokio::spawn(keeper.clone().run(changes));
        Ok(Self(Arc::new(Inner {
            keeper,
            changed,
            clock,
            events,
        })))
    }

    /// Keeps a source from a site or a provider. One that is there already is never made shorter. Returns the one that
    /// holds now.
    pub fn suspend(&self, suspension: Suspension) -> Arc<Suspension> {
        let now = self.0.clock.now();
        let key = suspension.key();
        let mut table = self.0.keeper.table.write();
        let there = table.get(&key).filter(|there| there.until > now).cloned();
        if let Some(there) = there
            .as_ref()
            .filter(|there| !gains(there, &suspension, now))
        {
            return there.clone();
        }
        let suspension = Arc::new(Suspension {
            since: there.map_or(suspension.since, |there| there.since),
            ..suspension
        });
        table.insert(suspension.clone());
        let write = table.mark(&key, false);
        self.0.keeper.changed(&table);
        drop(table);
        self.tell(&suspension, Breaker::Open, &suspension.why);
        self.write(key, write);
        suspension
    }

    /// Lets a source send there again. Returns the suspension that is over, where there was one.
    pub fn lift(&self, source: &str, at: &At, why: &str) -> Option<Arc<Suspension>> {
        let key = Key::new(source, at);
        let mut table = self.0.keeper.table.write();
        let lifted = table.remove(&key)?;
        let write = table.mark(&key, true);
        self.0.keeper.changed(&table);
        drop(table);
        self.tell(&lifted, Breaker::Closed, why);
        self.write(key, write);
        Some(lifted)
    }

    /// What keeps this source from this site of this provider; of two the one that ends later. Costs nanoseconds where
    /// nothing is suspended.
    pub fn until(
        &self,
        source: &str,
        site: &str,
        provider: &str,
        now: Timestamp,
    ) -> Option<Arc<Suspension>> {
        if self.0.keeper.is_empty() {
            return None;
        }
        let table = self.0.keeper.table.read();
        table.until(source, site, provider, now).cloned()
    }

    /// Those that hold, by source and place.
    pub fn list(&self) -> Vec<Arc<Suspension>> {
        let now = self.0.clock.now();
        let table = self.0.keeper.table.read();
        let holds = table.iter().filter(|suspension| suspension.until > now);
        let mut list: Vec<Arc<Suspension>> = holds.cloned().collect();
        list.sort_by(|a, b| (&a.source, &a.at).cmp(&(&b.source, &b.at)));
        list
    }

    /// Takes over what other processes have suspended and lifted, and clears away what is over; that is told by the process
    /// that does so. To be called every so often.
    ///
    /// # Errors
    /// Where the store does not answer; what was known before still holds.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        for over in self.0.keeper.refresh().await? {
            let why = format!("its time is over; it was kept away for: {}", over.why);
            self.tell(&over, Breaker::Closed, &why);
        }
        Ok(())
    }

    /// Returns when every change made so far is in the store; not before the store answers.
    pub async fn flushed(&self) {
        self.0.keeper.flushed().await;
    }

    fn write(&self, key: Key, is_new: bool) {
        if is_new {
            // The writer lives as long as its runtime; without one nothing is written any more.
            let _stopped = self.0.changed.send(key);
        }
    }

    fn tell(&self, suspension: &Suspension, state: Breaker, why: &str) {
        let is_open = state == Breaker::Open;
        self.0.events.emit(&Event::Breaker {
            state,
            source: suspension.source.clone(),
            site: suspension.at.site().cloned(),
            provider: suspension.provider.clone(),
            until: is_open.then_some(suspension.until),
            failures: None,
            reply: suspension.reply.clone().filter(|_| is_open),
            why: why.to_owned(),
        });
    }
}

/// `wanted` ends so much later that it is worth a change.
fn gains(there: &Suspension, wanted: &Suspension, now: Timestamp) -> bool {
    let gain = wanted.until.since(there.until);
    !gain.is_zero() && gain * LEAST_GAIN >= wanted.until.since(now)
}

#[cfg(test)]
mod tests;

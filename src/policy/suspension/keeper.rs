//! Keeps the store and the memory the same.

use super::entry::{Key, PREFIX, Suspension};
use super::table::Table;
use crate::clock::Clock;
use crate::store::{Store, StoreError, Written};
use parking_lot::RwLock;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, watch};

pub struct Keeper {
    pub table: RwLock<Table>,
    /// Suspensions in the table, to be asked without its lock.
    len: AtomicUsize,
    /// Changes that the store does not have.
    pending: watch::Sender<usize>,
    /// Reading the store into the table and writing to it take turns. Holds the keys that could not be read, so that each
    /// is told once.
    turn: Mutex<HashSet<String>>,
    store: Store,
    clock: Clock,
}

/// What came of writing a change.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// It is in the store, or never will be: what is there cannot be read, and is left alone.
    Settled,
    /// There is a newer change.
    Again,
    /// The store did not answer.
    Later,
}

/// Waits between attempts to write a change: doubled from the first to the last.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(60);

impl Keeper {
    pub fn new(store: Store, clock: Clock) -> Self {
        Self {
            table: RwLock::default(),
            len: AtomicUsize::new(0),
            pending: watch::Sender::new(0),
            turn: Mutex::default(),
            store,
            clock,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len.load(Ordering::Relaxed) == 0
    }

    /// To be called while the changed table is locked.
    pub fn changed(&self, table: &Table) {
        self.len.store(table.len(), Ordering::Relaxed);
        self.pending.send_replace(table.pending_count());
    }

    /// Writes changes as they come, until nobody can make any.
    pub async fn run(self: Arc<Self>, mut changes: mpsc::UnboundedReceiver<Key>) {
        while let Some(key) = changes.recv().await {
            let mut wait = FIRST_WAIT;
            loop {
                match self.write(&key).await {
                    Outcome::Settled => break,
                    Outcome::Again => {}
                    Outcome::Later => {
                        self.clock.sleep(wait).await;
                        wait = (wait * 2).min(LAST_WAIT);
                    }
                }
            }
        }
    }

    pub async fn flushed(&self) {
        let mut pending = self.pending.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _closed = pending.wait_for(|pending| *pending == 0).await;
    }

    /// Brings the store to what the memory has at `key`.
    async fn write(&self, key: &Key) -> Outcome {
        let mut unreadable = self.turn.lock().await;
        let (wanted, pending) = {
            let table = self.table.read();
            (table.get(key).cloned(), table.pending(key))
        };
        let name = key.name();
        let written = match &wanted {
            Some(wanted) => self.put(&name, wanted, pending.lifted).await,
            None => self.delete(&name).await.map(|()| None),
        };
        if let Err(StoreError::Damaged { .. }) = &written {
            unreadable.insert(name);
        }
        self.settle(key, pending.change, written)
    }

    /// Takes in what came of writing `change`: nothing, a suspension of another process that lasts longer, or an error.
    pub fn settle(
        &self,
        key: &Key,
        change: u64,
        written: Result<Option<Suspension>, StoreError>,
    ) -> Outcome {
        let longer = match written {
            Ok(longer) => longer,
            Err(error @ StoreError::Unavailable { .. }) => {
                tracing::warn!(key = key.name(), %error, "a suspension is not written yet");
                return Outcome::Later;
            }
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%error, "a suspension is not kept: remove the key");
                None
            }
        };
        let mut table = self.table.write();
        if !table.settle(key, change) {
            return Outcome::Again;
        }
        if let Some(longer) = longer {
            table.insert(Arc::new(longer));
        }
        self.changed(&table);
        Outcome::Settled
    }

    /// Returns what is there instead where that lasts longer, and was not lifted.
    async fn put(
        &self,
        name: &str,
        wanted: &Suspension,
        lifted: bool,
    ) -> Result<Option<Suspension>, StoreError> {
        loop {
            let there = self.store.get(name).await?;
            let mut version = 0;
            if let Some(there) = there {
                version = there.version;
                let there = Suspension::read(name, &there.value)?;
                if !lifted && there.until >= wanted.until {
                    return Ok(Some(there));
                }
            }
            match self.store.put(name, version, &wanted.write()).await? {
                Written::Yes(_) => return Ok(None),
                Written::Conflict => {}
            }
        }
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        while let Some(there) = self.store.get(name).await? {
            Suspension::read(name, &there.value)?;
            match self.store.delete(name, there.version).await? {
                Written::Yes(_) => break,
                Written::Conflict => {}
            }
        }
        Ok(())
    }

    /// Takes over what the store has, but for changes that it does not have yet, and deletes there what is over: gives what
    /// nobody else has deleted.
    pub async fn refresh(&self) -> Result<Vec<Suspension>, StoreError> {
        let mut unreadable = self.turn.lock().await;
        let now = self.clock.now();
        let mut holding = Vec::new();
        let mut over = Vec::new();
        for (name, there) in self.store.list(PREFIX).await? {
            match Suspension::read(&name, &there.value) {
                Ok(suspension) if suspension.until > now => holding.push(suspension),
                Ok(ended) => over.push((name, there.version, ended)),
                Err(error) if unreadable.insert(name) => {
                    tracing::error!(%error, "a suspension does not hold: remove the key, or mend it");
                }
                Err(_) => {}
            }
        }
        {
            let mut table = self.table.write();
            table.replace(holding);
            self.changed(&table);
        }
        let mut ended = Vec::new();
        for (name, version, suspension) in over {
            // Whoever wrote meanwhile knows better.
            if let Written::Yes(_) = self.store.delete(&name, version).await? {
                ended.push(suspension);
            }
        }
        Ok(ended)
    }
}

//! The embedded store: one file, one process.
//!
//! A write is durable when it returns. Writes that arrive while one is being synced share the next sync
//! ([`lane::Lane`]). Reads see the last commit and wait for no write. Both run on the runtime's blocking threads, and
//! only while there is something to do: the store has no thread and no task of its own.
//!
//! When the disk fails (it is full, for instance) the file is given up, because nobody knows how much of the last
//! write is in it; the next operation opens it again, which reads it back to its last commit.

mod bucket;
mod file;
mod lane;
mod tables;
#[cfg(test)]
mod tests;

use super::gather::{Answer, Gathering, Turn};
use super::{Cell, Change, Fields, OpenError, Seen, StoreError, Taken, Versioned, Written};
use crate::clock::Clock;
use crate::units::Timestamp;
use file::StateFile;
use lane::Lane;
use parking_lot::RwLock;
use redb::{Database, ReadableDatabase};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tables::{Fault, Reading, Writing};

/// Expired counters are looked for so often, by the first write after that.
const SWEEP: Duration = Duration::from_secs(3600);

/// How often, and how far apart, a file that is in use is tried: half a second in all.
const ATTEMPTS: u32 = 26;
const BETWEEN: Duration = Duration::from_millis(20);

#[derive(Clone)]
pub(super) struct Embedded {
    shelf: Arc<Shelf>,
    lane: Lane,
    gathering: Gathering,
}

/// Threads that look up cells at a time, should the disk keep them waiting.
const TURNS: usize = 4;

/// The file and the time.
struct Shelf {
    place: String,
    state: RwLock<State>,
    clock: Clock,
    /// When to look for expired counters next, in milliseconds.
    sweep: AtomicU64,
}

enum State {
    Open(Database, StateFile),
    /// Given up after a fault; opened again by the next operation.
    Failed(StateFile),
    Closed,
}

impl Embedded {
    /// Opens `dir/state.redb`, or makes it.
    pub(super) async fn open(dir: &Path, clock: Clock) -> Result<Self, OpenError> {
        let (file, dir) = (StateFile::path_in(dir), dir.to_owned());
        let opened = tokio::task::spawn_blocking(move || Shelf::open(&dir, clock)).await;
        // redb may panic on a file that something else has written into.
        let opened = opened.unwrap_or_else(|fault| {
            let why = fault.to_string();
            Err(OpenError::Damaged { file, why })
        });
        Ok(Self {
            shelf: Arc::new(opened?),
            lane: Lane::default(),
            gathering: Gathering::new(TURNS),
        })
    }

    pub(super) fn place(&self) -> &str {
        &self.shelf.place
    }

    pub(super) async fn close(&self) {
        let shelf = Arc::clone(&self.shelf);
        let closed = tokio::task::spawn_blocking(move || shelf.close()).await;
        if let Err(fault) = closed {
            tracing::error!(place = self.place(), %fault, "closing the state");
        }
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        let key = key.to_owned();
        self.read(move |tables| tables.value(&key)).await
    }

    pub(super) async fn put(
        &self,
        key: &str,
        expected: u64,
        value: &[u8],
    ) -> Result<Written, StoreError> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.write(move |tables| tables.put(&key, expected, &value))
            .await
    }

    pub(super) async fn delete(&self, key: &str, expected: u64) -> Result<Written, StoreError> {
        let key = key.to_owned();
        self.write(move |tables| tables.delete(&key, expected))
            .await
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>, StoreError> {
        let prefix = prefix.to_owned();
        self.read(move |tables| tables.list(&prefix)).await
    }

    pub(super) async fn take(
        &self,
        key: &str,
        cap: u64,
        want: u64,
        expires: Timestamp,
    ) -> Result<Taken, StoreError> {
        let key = key.to_owned();
        self.write(move |tables| tables.take(&key, cap, want, expires))
            .await
    }

    pub(super) async fn give_back(&self, key: &str, n: u64) -> Result<(), StoreError> {
        let key = key.to_owned();
        self.write(move |tables| tables.give_back(&key, n)).await
    }

    pub(super) async fn add(
        &self,
        counts: &[(String, u64)],
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        let counts = counts.to_owned();
        self.write(move |tables| tables.add(&counts, expires)).await
    }

    pub(super) async fn cells(&self, asked: &[Cell]) -> Answer {
        let (answered, turn) = self.gathering.ask(asked);
        if let Some(turn) = turn {
            // Who is answered may drop the last store: the file is free then.
            let shelf = Arc::downgrade(&self.shelf);
            tokio::task::spawn_blocking(move || take_turn(&shelf, turn));
        }
        let told = answered.await;
        told.unwrap_or_else(|_| Err(self.shelf.unavailable(&"the question was given up")))
    }

    pub(super) async fn set_cells(&self, cells: &[Change]) -> Result<(), StoreError> {
        let mut cells = cells.to_owned();
        // By bucket, each of which is written once; of two changes to one cell the later stays the later.
        cells.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.write(move |tables| tables.set_cells(&cells)).await
    }

    pub(super) async fn remove_cells(&self, seen: &[Seen]) -> Result<u64, StoreError> {
        let mut seen = seen.to_owned();
        seen.sort_unstable();
        self.write(move |tables| tables.remove_cells(&seen)).await
    }

    pub(super) async fn buckets(
        &self,
        table: &'static str,
        first: u32,
        count: u32,
    ) -> Result<Vec<(u32, Fields)>, StoreError> {
        self.read(move |tables| tables.buckets(table, first, count))
            .await
    }

    pub(super) async fn counts(&self, keys: &[String]) -> Result<Vec<u64>, StoreError> {
        let keys = keys.to_owned();
        self.read(move |tables| tables.counts(&keys)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Reading<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shelf = Arc::clone(&self.shelf);
        let done = tokio::task::spawn_blocking(move || {
            shelf.with(|database| {
                let transaction = database.begin_read()?;
                act(&Reading::new(&transaction, shelf.clock.now()))
            })
        });
        let ended = done.await;
        ended.unwrap_or_else(|fault| Err(self.shelf.unavailable(&fault)))
    }

    async fn write<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Writing<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let answer = self.lane.enter(&self.shelf, act);
        let answered = answer.await;
        answered.unwrap_or_else(|_| Err(self.shelf.unavailable(&"the write was given up")))
    }
}

fn take_turn(shelf: &Weak<Shelf>, mut turn: Turn) {
    while let Some(batch) = turn.next() {
        let Some(held) = shelf.upgrade() else { return };
        let found = held.with(|database| {
            let transaction = database.begin_read()?;
            Reading::new(&transaction, held.clock.now()).cells(&batch.cells)
        });
        drop(held);
        batch.answer(found);
    }
}

impl Shelf {
    fn open(dir: &Path, clock: Clock) -> Result<Self, OpenError> {
        let (file, database) = claimed(dir)?;
        let shelf = Self {
            place: file.path().display().to_string(),
            state: RwLock::new(State::Open(database, file)),
            sweep: AtomicU64::new(0),
            clock,
        };
        Ok(shelf)
    }

    /// Does `act` with the database, which is opened again first where a fault has closed it.
    fn with<T>(&self, act: impl FnOnce(&Database) -> Result<T, Fault>) -> Result<T, StoreError> {
        self.reopen()?;
        let state = self.state.read();
        let State::Open(database, _) = &*state else {
            return Err(self.unavailable(&"it is closed"));
        };
        let fault = match act(database) {
            Ok(done) => return Ok(done),
            Err(Fault::Value(error)) => return Err(error),
            Err(Fault::Disk(error)) => error,
        };
        drop(state);
        self.give_up();
        Err(self.unavailable(&fault))
    }

    fn reopen(&self) -> Result<(), StoreError> {
        if !matches!(&*self.state.read(), State::Failed(_)) {
            return Ok(());
        }
        let mut state = self.state.write();
        if let State::Failed(file) = &*state {
            let database = file.open().map_err(|error| self.unavailable(&error))?;
            if let State::Failed(file) = std::mem::replace(&mut *state, State::Closed) {
                *state = State::Open(database, file);
            }
        }
        Ok(())
    }

    /// Closes the file until the next operation.
    fn give_up(&self) {
        let mut state = self.state.write();
        match std::mem::replace(&mut *state, State::Closed) {
            State::Open(_, file) | State::Failed(file) => *state = State::Failed(file),
            State::Closed => {}
        }
    }

    fn close(&self) {
        *self.state.write() = State::Closed;
    }

    /// Whether it is time to look for expired counters; only one asker is told so.
    fn sweep_is_due(&self, now: Timestamp) -> bool {
        let due = self.sweep.load(Ordering::Relaxed);
        if now.as_millis() < due {
            return false;
        }
        let next = (now + SWEEP).as_millis();
        self.sweep.store(next, Ordering::Relaxed);
        true
    }

    fn unavailable(&self, why: &dyn std::fmt::Display) -> StoreError {
        StoreError::Unavailable {
            place: self.place.clone(),
            why: why.to_string(),
        }
    }
}

/// The file, when it is free. A process that another thread of its holder is just starting keeps the lock for a moment
/// after the holder has ended.
fn claimed(dir: &Path) -> Result<(StateFile, Database), OpenError> {
    let mut left = ATTEMPTS;
    loop {
        let opened = StateFile::claim(dir).and_then(|file| {
            let database = file.open_or_make()?;
            Ok((file, database))
        });
        left -= 1;
        match opened {
            Err(OpenError::InUse { .. }) if left > 0 => std::thread::sleep(BETWEEN),
            opened => return opened,
        }
    }
}

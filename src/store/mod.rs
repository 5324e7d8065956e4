//! What must be one truth and survive a restart: budgets, stages, windows, suspensions.
//!
//! Two stores keep one contract, written at each method of [`Store`]: the embedded one, a file in the data directory
//! that one process has open, and Redis, which several processes share. A third keeps it in memory, for tests and dry
//! runs. Keys are texts of segments joined by `/`, such as `warmup/stage/ip-a/google`; values are JSON, so that an
//! operator can read what is there. Values and counters have separate names: a value and a counter may share a key.
//!
//! What a store promises:
//!
//! - What an operation returned is true and stays: it is in the file and synced, or Redis has answered for it. How
//!   long Redis keeps it is Redis's own setting (`appendonly yes`); a Redis that came back without it is found out and
//!   answers [`StoreError::Damaged`] until the daemon is started again. Nothing is ever made up for what is missing.
//! - An operation that fails as [`StoreError::Unavailable`] may have taken place or not. Nothing is tried twice.
//! - An operation on Redis fails after [`PATIENCE`] at the latest; whatever failed, the next operation tries to reach
//!   the store anew.
//! - Dropping a future does not take back the write it began.

mod config;
mod embedded;
mod error;
mod gather;
mod memory;
mod redis;
#[cfg(test)]
pub(crate) mod tests;

pub use config::{Config, Url};
pub use error::{OpenError, StoreError};
pub use redis::PATIENCE;

use crate::clock::Clock;
use crate::units::Timestamp;
use config::Target;
use embedded::Embedded;
use memory::Memory;
use redis::Redis;
use std::fmt;
use std::path::Path;

/// Counters hold 0 to this (2⁵³−1, what every part of Redis counts exactly) and stay there when raised further.
pub const MAX_COUNT: u64 = (1 << 53) - 1;

/// A key-value and counter store. Cheap to clone; clones are one store.
///
/// The last clone that is dropped closes it: the file is free when nothing is under way, and the connection to Redis is
/// closed. Nothing is left running. [`Store::close`] does the same for all clones, and waits for it.
#[derive(Clone)]
pub struct Store(Kind);

#[derive(Clone)]
enum Kind {
    Memory(Memory),
    Embedded(Embedded),
    Redis(Redis),
}

/// A value, and how often it has been written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// From 1.
    pub version: u64,
    pub value: Vec<u8>,
}

/// Where a small value lies: a table's bucket, and a field of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// A short name of letters.
    pub table: &'static str,
    pub bucket: u32,
    /// At most 255 octets.
    pub field: Vec<u8>,
}

impl Cell {
    /// The table's bucket.
    fn place(&self) -> (&'static str, u32) {
        (self.table, self.bucket)
    }
}

/// What a cell is to hold; `None`: nothing.
pub type Change = (Cell, Option<Vec<u8>>);

/// A cell, and what was seen in it.
pub type Seen = (Cell, Vec<u8>);

/// Fields with their values.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The longest field of a cell.
pub const MAX_FIELD: usize = 255;

/// What came of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Written {
    /// It is there, and durable; its version.
    Yes(u64),
    /// Somebody else wrote meanwhile; nothing was changed.
    Conflict,
}

/// What a counter granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "what was granted is taken until it is given back"]
pub struct Taken {
    /// 0 to what was wanted.
    pub granted: u64,
    /// The counter afterwards.
    pub total: u64,
}

/// Does the same with whichever store it is.
macro_rules! each {
    ($self:ident, $store:ident => $act:expr) => {
        match &$self.0 {
            Kind::Memory($store) => $act,
            Kind::Embedded($store) => $act,
            Kind::Redis($store) => $act,
        }
    };
}

impl Store {
    /// Opens the store that `config` names: the file `state/state.redb` in `data_dir`, made where there is none, or
    /// Redis.
    ///
    /// A Redis that does not answer is tried for about ten seconds. After that the start is refused: without the truth,
    /// budgets would have to be guessed.
    ///
    /// # Errors
    /// The store cannot be reached, is in use by another process, cannot be read, or was written by a later version.
    /// Nothing that is there is ever changed or removed to get past one of these.
    pub async fn open(config: &Config, data_dir: &Path, clock: Clock) -> Result<Self, OpenError> {
        let target = config.target()?;
        Ok(Self(match target {
            Target::Embedded => {
                Kind::Embedded(Embedded::open(&data_dir.join("state"), clock).await?)
            }
            Target::Redis(server) => Kind::Redis(Redis::open(*server, clock).await?),
        }))
    }

    /// One that forgets, for tests and dry runs.
    pub fn in_memory() -> Self {
        Self(Kind::Memory(Memory::default()))
    }

    /// Where it is, to print: a file, a URL without its password, or `memory`.
    pub fn place(&self) -> &str {
        each!(self, store => store.place())
    }

    /// Other processes may have it open too.
    pub fn is_shared(&self) -> bool {
        matches!(self.0, Kind::Redis(_))
    }

    /// Waits for writes under way, then gives up the file or the connection. Every later operation fails as
    /// unavailable, with all clones. What is in memory is kept.
    pub async fn close(&self) {
        each!(self, store => store.close().await);
    }

    /// The value at `key`.
    ///
    /// # Errors
    /// The store does not answer, or what is there is no value.
    pub async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        each!(self, store => store.get(key).await)
    }

    /// Writes `value` where the version is still `expected`; 0 means that there is none. Durable when it returns.
    ///
    /// # Errors
    /// The store does not answer, and the value may have been written; or what is there is no value, and stays.
    pub async fn put(&self, key: &str, expected: u64, value: &[u8]) -> Result<Written, StoreError> {
        each!(self, store => store.put(key, expected, value).await)
    }

    /// Writes `value` whatever is there; of several at a time one stays.
    pub async fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        loop {
            let there = self.get(key).await?.map_or(0, |value| value.version);
            if let Written::Yes(_) = self.put(key, there, value).await? {
                return Ok(());
            }
        }
    }

    /// Takes the value away where the version is still `expected`, which is then what it returns.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub async fn delete(&self, key: &str, expected: u64) -> Result<Written, StoreError> {
        each!(self, store => store.delete(key, expected).await)
    }

    /// Every value whose key begins with `prefix`, in order of the keys' octets. What is written meanwhile may be in it
    /// or not.
    ///
    /// # Errors
    /// The store does not answer, or one of them is no value.
    pub async fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>, StoreError> {
        each!(self, store => store.list(prefix).await)
    }

    /// Raises the counter at `key` by as much of `want` as keeps it at or under `cap`, in one step whoever else does the
    /// same; durable when it returns. A counter that was never written is 0, and one that lies over `cap` already grants
    /// nothing. It may be forgotten after `expires`, or after a later instant that it was given before, and is kept
    /// until then: `expires` must lie after the time that is counted in it, with room for clocks that differ.
    ///
    /// # Errors
    /// The store does not answer, and the counter may have been raised by what was wanted; or what is there is no
    /// counter, and stays.
    pub async fn take(
        &self,
        key: &str,
        cap: u64,
        want: u64,
        expires: Timestamp,
    ) -> Result<Taken, StoreError> {
        let (cap, want) = (cap.min(MAX_COUNT), want.min(MAX_COUNT));
        each!(self, store => store.take(key, cap, want, expires).await)
    }

    /// Lowers the counter by `n`, not under 0.
    ///
    /// # Errors
    /// The store does not answer, and the counter may have been lowered; or what is there is no counter, and stays.
    pub async fn give_back(&self, key: &str, n: u64) -> Result<(), StoreError> {
        each!(self, store => store.give_back(key, n.min(MAX_COUNT)).await)
    }

    /// Raises counters without a cap, all or none of them. They may be forgotten after `expires`, as in
    /// [`Store::take`].
    ///
    /// # Errors
    /// The store does not answer, and all of them may have been raised; or one of them is no counter, and none was.
    pub async fn add(
        &self,
        counts: &[(String, u64)],
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        if counts.is_empty() {
            return Ok(());
        }
        each!(self, store => store.add(counts, expires).await)
    }

    /// What lies in fields of buckets, in order; all of one moment a bucket. A bucket is a small hash of fields, so that
    /// hundreds of millions of them cost few octets each. Buckets, fields and values know nothing of [`Store::get`]'s keys.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn cells(&self, asked: &[Cell]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        each!(self, store => store.cells(asked).await)
    }

    /// Writes cells, and takes away those with no value; all or none of them, and durable when it returns.
    ///
    /// # Errors
    /// The store does not answer, and all of them may have been written.
    pub async fn set_cells(&self, cells: &[Change]) -> Result<(), StoreError> {
        if cells.is_empty() {
            return Ok(());
        }
        if let Some((cell, _)) = cells.iter().find(|(cell, _)| cell.field.len() > MAX_FIELD) {
            return Err(StoreError::Damaged {
                key: format!("{}/{}", cell.table, cell.bucket),
                why: format!("a field is over {MAX_FIELD} octets"),
            });
        }
        each!(self, store => store.set_cells(cells).await)
    }

    /// Takes away those cells that still hold what was seen in them, in one step whoever else writes; what was written
    /// since stays. Returns how many went; durable when it returns.
    ///
    /// # Errors
    /// The store does not answer, and they may be gone.
    pub async fn remove_cells(&self, seen: &[Seen]) -> Result<u64, StoreError> {
        if seen.is_empty() {
            return Ok(0);
        }
        each!(self, store => store.remove_cells(seen).await)
    }

    /// Everything that lies in `count` buckets of a table from `first` on, in order of buckets and of the fields' octets;
    /// empty ones are left out. What is written meanwhile may be in it or not.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn buckets(
        &self,
        table: &'static str,
        first: u32,
        count: u32,
    ) -> Result<Vec<(u32, Fields)>, StoreError> {
        each!(self, store => store.buckets(table, first, count).await)
    }

    /// The counters at these keys, 0 where there is none; all of one moment.
    ///
    /// # Errors
    /// The store does not answer, or one of them is no counter.
    pub async fn counts(&self, keys: &[String]) -> Result<Vec<u64>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        each!(self, store => store.counts(keys).await)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.place())
    }
}

/// `total` raised by `n`, as counters are.
fn raised(total: u64, n: u64) -> u64 {
    total.saturating_add(n).min(MAX_COUNT)
}

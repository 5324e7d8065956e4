//! What must be one truth and survive a restart: budgets, stages, windows, suspensions.
//!
//! Two stores keep one contract, written at each method of [`Store`]: the embedded one, a file in the data directory
//! that one process has open, and Redis, which several processes share. Keys are texts of segments joined by `/`, such
//! as `warmup/stage/ip-a/google`; values are JSON, so that an operator can read what is there.

use crate::units::Timestamp;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A key-value and counter store. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Mutex<Memory>>);

#[derive(Default)]
struct Memory {
    values: BTreeMap<String, Versioned>,
    counters: BTreeMap<String, u64>,
}

/// A value, and how often it has been written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// From 1.
    pub version: u64,
    pub value: Vec<u8>,
}

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
pub struct Taken {
    /// 0 to what was wanted.
    pub granted: u64,
    /// The counter afterwards.
    pub total: u64,
}

/// Why the store did not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Nobody knows whether a write took place.
    #[error("the store at {place} cannot be reached: {why}")]
    Unavailable { place: String, why: String },
    /// What is there cannot be what we wrote.
    #[error("what the store holds at {key} cannot be read: {why}")]
    Damaged { key: String, why: String },
}

impl Store {
    /// One that forgets, for tests and dry runs.
    pub fn in_memory() -> Self {
        Self(Arc::default())
    }

    /// The value at `key`.
    pub async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        Ok(self.0.lock().values.get(key).cloned())
    }

    /// Writes `value` where the version is still `expected`; 0 means that there is none. Durable when it returns.
    pub async fn put(&self, key: &str, expected: u64, value: &[u8]) -> Result<Written, StoreError> {
        let mut memory = self.0.lock();
        let version = memory.values.get(key).map_or(0, |v| v.version);
        if version != expected {
            return Ok(Written::Conflict);
        }
        let value = value.to_vec();
        let version = version + 1;
        memory
            .values
            .insert(key.to_owned(), Versioned { version, value });
        Ok(Written::Yes(version))
    }

    /// Takes the value away where the version is still `expected`.
    pub async fn delete(&self, key: &str, expected: u64) -> Result<Written, StoreError> {
        let mut memory = self.0.lock();
        if memory.values.get(key).map_or(0, |v| v.version) != expected {
            return Ok(Written::Conflict);
        }
        memory.values.remove(key);
        Ok(Written::Yes(expected))
    }

    /// Every value whose key begins with `prefix`, in order of the keys.
    pub async fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>, StoreError> {
        let memory = self.0.lock();
        let found = memory.values.iter();
        let found = found.filter(|(key, _)| key.starts_with(prefix));
        Ok(found.map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    /// Raises the counter at `key` by as much of `want` as keeps it at or under `cap`, in one step whoever else does the
    /// same; durable when it returns. A counter that was never written is 0, and one that lies over `cap` already grants
    /// nothing. It may be forgotten after `expires`.
    pub async fn take(
        &self,
        key: &str,
        cap: u64,
        want: u64,
        expires: Timestamp,
    ) -> Result<Taken, StoreError> {
        let _ = expires;
        let mut memory = self.0.lock();
        let total = memory.counters.entry(key.to_owned()).or_default();
        let granted = want.min(cap.saturating_sub(*total));
        *total += granted;
        let total = *total;
        Ok(Taken { granted, total })
    }

    /// Lowers the counter by `n`, not under 0.
    pub async fn give_back(&self, key: &str, n: u64) -> Result<(), StoreError> {
        let mut memory = self.0.lock();
        if let Some(total) = memory.counters.get_mut(key) {
            *total = total.saturating_sub(n);
        }
        Ok(())
    }

    /// Raises counters without a cap, all or none of them. They may be forgotten after `expires`.
    pub async fn add(
        &self,
        counts: &[(String, u64)],
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        let _ = expires;
        let mut memory = self.0.lock();
        for (key, n) in counts {
            *memory.counters.entry(key.clone()).or_default() += n;
        }
        Ok(())
    }

    /// The counters at these keys, 0 where there is none.
    pub async fn counts(&self, keys: &[String]) -> Result<Vec<u64>, StoreError> {
        let memory = self.0.lock();
        let count = |key: &String| memory.counters.get(key).copied().unwrap_or_default();
        Ok(keys.iter().map(count).collect())
    }
}

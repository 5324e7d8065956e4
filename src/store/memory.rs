//! The store that forgets.

use super::{Cell, Change, Fields, Seen, StoreError, Taken, Versioned, Written, raised};
use crate::units::Timestamp;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Maps in memory. No counter expires: that one may be forgotten is no duty.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    values: BTreeMap<String, Versioned>,
    counters: BTreeMap<String, u64>,
    cells: BTreeMap<Cell, Vec<u8>>,
}

impl Memory {
    pub(super) fn place(&self) -> &str {
        "memory"
    }

    pub(super) async fn close(&self) {}

    pub(super) async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        Ok(self.0.lock().values.get(key).cloned())
    }

    pub(super) async fn put(
        &self,
        key: &str,
        expected: u64,
        value: &[u8],
    ) -> Result<Written, StoreError> {
        let mut held = self.0.lock();
        if held.version(key) != expected {
            return Ok(Written::Conflict);
        }
        let (value, version) = (value.to_vec(), expected + 1);
        held.values
            .insert(key.to_owned(), Versioned { version, value });
        Ok(Written::Yes(version))
    }

    pub(super) async fn delete(&self, key: &str, expected: u64) -> Result<Written, StoreError> {
        let mut held = self.0.lock();
        if held.version(key) != expected {
            return Ok(Written::Conflict);
        }
        held.values.remove(key);
        Ok(Written::Yes(expected))
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>, StoreError> {
        let held = self.0.lock();
        let found = held.values.range(prefix.to_owned()..);
        let found = found.take_while(|(key, _)| key.starts_with(prefix));
        Ok(found.map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    pub(super) async fn take(
        &self,
        key: &str,
        cap: u64,
        want: u64,
        _expires: Timestamp,
    ) -> Result<Taken, StoreError> {
        let mut held = self.0.lock();
        let total = held.counters.entry(key.to_owned()).or_default();
        let granted = want.min(cap.saturating_sub(*total));
        *total += granted;
        let total = *total;
        Ok(Taken { granted, total })
    }

    pub(super) async fn give_back(&self, key: &str, n: u64) -> Result<(), StoreError> {
        if let Some(total) = self.0.lock().counters.get_mut(key) {
            *total = total.saturating_sub(n);
        }
        Ok(())
    }

    pub(super) async fn add(
        &self,
        counts: &[(String, u64)],
        _expires: Timestamp,
    ) -> Result<(), StoreError> {
        let mut held = self.0.lock();
        for (key, n) in counts {
            let total = held.counters.entry(key.clone()).or_default();
            *total = raised(*total, *n);
        }
        Ok(())
    }

    pub(super) async fn cells(&self, asked: &[Cell]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let held = self.0.lock();
        Ok(asked.iter().map(|c| held.cells.get(c).cloned()).collect())
    }

    pub(super) async fn set_cells(&self, cells: &[Change]) -> Result<(), StoreError> {
        let mut held = self.0.lock();
        for (cell, value) in cells.iter().cloned() {
            match value {
                Some(value) => held.cells.insert(cell, value),
                None => held.cells.remove(&cell),
            };
        }
        Ok(())
    }

    pub(super) async fn remove_cells(&self, seen: &[Seen]) -> Result<u64, StoreError> {
        let mut held = self.0.lock();
        let mut removed = 0;
        for (cell, value) in seen {
            if held.cells.get(cell) == Some(value) {
                held.cells.remove(cell);
                removed += 1;
            }
        }
        Ok(removed)
    }

    pub(super) async fn buckets(
        &self,
        table: &'static str,
        first: u32,
        count: u32,
    ) -> Result<Vec<(u32, Fields)>, StoreError> {
        let held = self.0.lock();
        let from = Cell {
            table,
            bucket: first,
            field: Vec::new(),
        };
        let inside = |cell: &Cell| cell.table == table && cell.bucket - first < count;
        let mut found: Vec<(u32, Fields)> = Vec::new();
        for (cell, value) in held
            .cells
            .range(from..)
            .take_while(|(cell, _)| inside(cell))
        {
            let entry = (cell.field.clone(), value.clone());
            match found.last_mut() {
                Some((bucket, fields)) if *bucket == cell.bucket => fields.push(entry),
                _ => found.push((cell.bucket, vec![entry])),
            }
        }
        Ok(found)
    }

    pub(super) async fn counts(&self, keys: &[String]) -> Result<Vec<u64>, StoreError> {
        let held = self.0.lock();
        let count = |key: &String| held.counters.get(key).copied().unwrap_or_default();
        Ok(keys.iter().map(count).collect())
    }
}

impl Held {
    fn version(&self, key: &str) -> u64 {
        self.values.get(key).map_or(0, |held| held.version)
    }
}

//! What is in the file: a table of values, one of counters, and one of buckets of cells.
//!
//! A value's record is its version (8 octets, least significant first) and the value; a counter's is its count and
//! when it expires, in milliseconds.

use super::bucket;
use crate::store::gather::{Found, by_bucket};
use crate::store::{Cell, Change, Fields, Seen, StoreError, Taken, Versioned, Written, raised};
use crate::units::Timestamp;
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};
use std::collections::BTreeMap;

pub(super) const VALUES: TableDefinition<&str, &[u8]> = TableDefinition::new("values");
pub(super) const COUNTERS: TableDefinition<&str, (u64, u64)> = TableDefinition::new("counters");
pub(super) const CELLS: TableDefinition<(&str, u32), &[u8]> = TableDefinition::new("cells");

/// Why nothing was read or written.
#[derive(Debug)]
pub(super) enum Fault {
    /// One record; all else can be used.
    Value(StoreError),
    /// The file, or its disk.
    Disk(redb::Error),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Value(error)
    }
}

macro_rules! faults_of_the_disk {
    ($($error:ident),+) => {
        $(impl From<redb::$error> for Fault {
            fn from(error: redb::$error) -> Self {
                Self::Disk(error.into())
            }
        })+
    };
}

faults_of_the_disk!(CommitError, StorageError, TableError, TransactionError);

/// Makes the tables where they are not.
pub(super) fn create(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(VALUES)?;
    transaction.open_table(COUNTERS)?;
    transaction.open_table(CELLS)?;
    Ok(())
}

/// The tables as of one commit.
pub(super) struct Reading<'t> {
    transaction: &'t ReadTransaction,
    now: Timestamp,
}

impl<'t> Reading<'t> {
    pub(super) fn new(transaction: &'t ReadTransaction, now: Timestamp) -> Self {
        Self { transaction, now }
    }

    /// Of each cell in order; each bucket is looked for once.
    pub(super) fn cells(&self, asked: &[Cell]) -> Result<Vec<Found>, Fault> {
        let table = self.transaction.open_table(CELLS)?;
        let in_order = by_bucket(asked);
        let mut found = vec![Ok(None); asked.len()];
        for group in in_order.chunk_by(|(_, a), (_, b)| a.place() == b.place()) {
            let Some((_, first)) = group.first() else {
                continue;
            };
            let Some(record) = table.get(first.place())? else {
                continue;
            };
            for (at, cell) in group {
                let held = bucket::find(record.value(), &cell.field);
                let held = held.map(|value| value.map(<[u8]>::to_vec));
                let held = held.map_err(|why| damaged(cell.place(), why));
                found
                    .get_mut(*at)
                    .into_iter()
                    .for_each(|f| *f = held.clone());
            }
        }
        Ok(found)
    }

    pub(super) fn buckets(
        &self,
        table: &'static str,
        first: u32,
        count: u32,
    ) -> Result<Vec<(u32, Fields)>, Fault> {
        let mut found = Vec::new();
        let Some(last) = count.checked_sub(1).map(|n| first.saturating_add(n)) else {
            return Ok(found);
        };
        let cells = self.transaction.open_table(CELLS)?;
        for entry in cells.range((table, first)..=(table, last))? {
            let (place, record) = entry?;
            let (_, number) = place.value();
            let entries = bucket::read(record.value());
            let entries = entries.map_err(|why| damaged((table, number), why))?;
            let owned = |(field, value): bucket::Entry<'_>| (field.to_vec(), value.to_vec());
            found.push((number, entries.into_iter().map(owned).collect()));
        }
        Ok(found)
    }

    pub(super) fn value(&self, key: &str) -> Result<Option<Versioned>, Fault> {
        value(&self.transaction.open_table(VALUES)?, key)
    }

    pub(super) fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>, Fault> {
        let mut found = Vec::new();
        let values = self.transaction.open_table(VALUES)?;
        for entry in values.range(prefix..)? {
            let (key, record) = entry?;
            if !key.value().starts_with(prefix) {
                break;
            }
            let value = decoded(key.value(), record.value())?;
            found.push((key.value().to_owned(), value));
        }
        Ok(found)
    }

    pub(super) fn counts(&self, keys: &[String]) -> Result<Vec<u64>, Fault> {
        let counters = self.transaction.open_table(COUNTERS)?;
        let count = |key: &String| Ok(counter(&counters, key, self.now)?.map_or(0, |c| c.0));
        keys.iter().map(count).collect()
    }
}

/// The tables in a transaction that is not committed yet.
pub(super) struct Writing<'t> {
    values: Table<'t, &'static str, &'static [u8]>,
    counters: Table<'t, &'static str, (u64, u64)>,
    cells: Table<'t, (&'static str, u32), &'static [u8]>,
    now: Timestamp,
}

impl<'t> Writing<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction, now: Timestamp) -> Result<Self, Fault> {
        Ok(Self {
            values: transaction.open_table(VALUES)?,
            counters: transaction.open_table(COUNTERS)?,
            cells: transaction.open_table(CELLS)?,
            now,
        })
    }

    /// `changes` are in order.
    pub(super) fn set_cells(&mut self, changes: &[Change]) -> Result<(), Fault> {
        let same = |(a, _): &Change, (b, _): &Change| a.place() == b.place();
        // All are read before the first is written, so that a bucket that cannot be read leaves all as it was.
        let mut records = Vec::new();
        for changes in changes.chunk_by(same) {
            let Some((first, _)) = changes.first() else {
                continue;
            };
            let place = first.place();
            let there = self.cells.get(place)?;
            let there = there.as_ref().map_or(&[][..], |record| record.value());
            let entries = bucket::read(there).map_err(|why| damaged(place, why))?;
            let mut entries: BTreeMap<&[u8], &[u8]> = entries.into_iter().collect();
            for (cell, value) in changes {
                match value {
                    Some(value) => entries.insert(&cell.field, value),
                    None => entries.remove(cell.field.as_slice()),
                };
            }
            let entries: Vec<bucket::Entry<'_>> = entries.into_iter().collect();
            records.push((place, bucket::write(&entries)));
        }
        for (place, record) in records {
            match record.is_empty() {
                true => self.cells.remove(place)?,
                false => self.cells.insert(place, record.as_slice())?,
            };
        }
        Ok(())
    }

    /// `seen` is in order.
    pub(super) fn remove_cells(&mut self, seen: &[Seen]) -> Result<u64, Fault> {
        let mut still = Vec::new();
        for here in seen.chunk_by(|(a, _), (b, _)| a.place() == b.place()) {
            let Some((first, _)) = here.first() else {
                continue;
            };
            let place = first.place();
            let there = self.cells.get(place)?;
            let there = there.as_ref().map_or(&[][..], |record| record.value());
            for (cell, value) in here {
                let held = bucket::find(there, &cell.field).map_err(|why| damaged(place, why))?;
                if held == Some(value) {
                    still.push((cell.clone(), None));
                }
            }
        }
        still.dedup();
        self.set_cells(&still)?;
        Ok(still.len() as u64)
    }

    pub(super) fn put(&mut self, key: &str, expected: u64, value: &[u8]) -> Result<Written, Fault> {
        if self.version(key)? != expected {
            return Ok(Written::Conflict);
        }
        let version = expected + 1;
        let mut record = version.to_le_bytes().to_vec();
        record.extend_from_slice(value);
        self.values.insert(key, record.as_slice())?;
        Ok(Written::Yes(version))
    }

    pub(super) fn delete(&mut self, key: &str, expected: u64) -> Result<Written, Fault> {
        if self.version(key)? != expected {
            return Ok(Written::Conflict);
        }
        self.values.remove(key)?;
        Ok(Written::Yes(expected))
    }

    pub(super) fn take(
        &mut self,
        key: &str,
        cap: u64,
        want: u64,
        expires: Timestamp,
    ) -> Result<Taken, Fault> {
        let (total, _) = counter(&self.counters, key, self.now)?.unwrap_or_default();
        let granted = want.min(cap.saturating_sub(total));
        if granted > 0 {
            self.raise(key, granted, expires)?;
        }
        let total = total + granted;
        Ok(Taken { granted, total })
    }

    pub(super) fn give_back(&mut self, key: &str, n: u64) -> Result<(), Fault> {
        if let Some((total, expires)) = counter(&self.counters, key, self.now)? {
            let record = (total.saturating_sub(n), expires.as_millis());
            self.counters.insert(key, record)?;
        }
        Ok(())
    }

    pub(super) fn add(
        &mut self,
        counts: &[(String, u64)],
        expires: Timestamp,
    ) -> Result<(), Fault> {
        for (key, n) in counts {
            self.raise(key, *n, expires)?;
        }
        Ok(())
    }

    /// Removes what has expired.
    pub(super) fn sweep(&mut self) -> Result<(), Fault> {
        let now = self.now.as_millis();
        self.counters.retain(|_, (_, expires)| expires > now)?;
        Ok(())
    }

    fn raise(&mut self, key: &str, n: u64, expires: Timestamp) -> Result<(), Fault> {
        let (total, before) = counter(&self.counters, key, self.now)?.unwrap_or_default();
        let record = (raised(total, n), before.max(expires).as_millis());
        self.counters.insert(key, record)?;
        Ok(())
    }

    fn version(&self, key: &str) -> Result<u64, Fault> {
        Ok(value(&self.values, key)?.map_or(0, |held| held.version))
    }
}

fn damaged((table, bucket): (&str, u32), why: &str) -> StoreError {
    StoreError::Damaged {
        key: format!("{table}/{bucket}"),
        why: why.to_owned(),
    }
}

fn value(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<Versioned>, Fault> {
    let record = table.get(key)?;
    record
        .map(|record| decoded(key, record.value()))
        .transpose()
}

/// The count and its expiry; none where that has passed.
fn counter(
    table: &impl ReadableTable<&'static str, (u64, u64)>,
    key: &str,
    now: Timestamp,
) -> Result<Option<(u64, Timestamp)>, Fault> {
    let record = table.get(key)?.map(|record| record.value());
    let held = record.map(|(count, expires)| (count, Timestamp::from_millis(expires)));
    Ok(held.filter(|(_, expires)| *expires > now))
}

fn decoded(key: &str, record: &[u8]) -> Result<Versioned, Fault> {
    let damaged = |why: &str| StoreError::Damaged {
        key: key.to_owned(),
        why: why.to_owned(),
    };
    let Some((version, value)) = record.split_first_chunk() else {
        return Err(damaged("its record is too short to have a version").into());
    };
    match u64::from_le_bytes(*version) {
        0 => Err(damaged("its version is 0").into()),
        version => Ok(Versioned {
            version,
            value: value.to_vec(),
        }),
    }
}

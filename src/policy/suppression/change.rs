//! Putting addresses on the list and taking them off.

use super::Suppression;
use super::entry::{By, Entry, Scope};
use super::mark::Mark;
use super::print::{MARKS, Print, RECORDS, normal};
use super::record::{Change, Record};
use crate::events::Event;
use crate::mail::Address;
use crate::store::{self, Cell, StoreError};
use crate::units::Timestamp;
use std::collections::HashMap;

/// Entries that are written together.
const PIECE: usize = if cfg!(test) { 500 } else { 5_000 };

impl Suppression {
    /// Suppresses an address; durable when it returns, and told as an event where it was not suppressed so already.
    ///
    /// # Errors
    /// The store does not answer, and it may have been done or not.
    pub async fn add(&self, entry: Entry) -> Result<(), StoreError> {
        if self.write(&[&entry]).await? > 0 {
            self.0.events.emit(&added(&entry));
        }
        Ok(())
    }

    /// As [`Suppression::add`] for many, in pieces, without an event for each. Returns how many were not on the list for
    /// as long already.
    ///
    /// # Errors
    /// The store does not answer: some may have been added.
    pub async fn add_all(&self, entries: &[Entry]) -> Result<u64, StoreError> {
        let mut new = 0;
        // By bucket, so that each piece touches a part of the store only; of two of an address the later stays the later.
        let mut entries: Vec<&Entry> = entries.iter().collect();
        entries.sort_by_cached_key(|entry| self.0.printer.print(&entry.address).bucket);
        for piece in entries.chunks(PIECE) {
            new += self.write(piece).await?;
        }
        Ok(new)
    }

    /// Writes what is not there for as long already; returns how many that were.
    async fn write(&self, entries: &[&Entry]) -> Result<u64, StoreError> {
        let printer = &self.0.printer;
        let cells: Vec<Cell> = entries
            .iter()
            .map(|entry| printer.mark(printer.print(&entry.address), &entry.scope))
            .collect();
        let mut there = self.there(&cells).await?;
        let records = self.rules(None).records;
        let (now, mut new) = (self.0.clock.now(), 0);
        for (entry, cell) in entries.iter().zip(&cells) {
            let slot = there.entry(cell).or_default();
            new += u64::from(slot.add(entry, records, now));
        }
        let changed = there.iter().filter(|(_, slot)| slot.changed);
        let changes: Vec<store::Change> = changed
            .flat_map(|(cell, slot)| slot.changes(cell, records))
            .collect();
        self.0.store.set_cells(&changes).await?;
        Ok(new)
    }

    /// What is there now, with the records where they are kept.
    async fn there<'a>(&self, cells: &'a [Cell]) -> Result<HashMap<&'a Cell, Slot>, StoreError> {
        let marks = self.0.store.cells(cells).await?;
        let records = match self.rules(None).records {
            true => self.0.store.cells(&records_of(cells)).await?,
            false => vec![None; cells.len()],
        };
        let slots = marks.into_iter().zip(records).map(|(mark, record)| Slot {
            mark: mark.as_deref().map(Mark::of),
            record: record.as_deref().and_then(Record::read),
            changed: false,
        });
        Ok(cells.iter().zip(slots).collect())
    }

    /// An address may be written to again. Returns whether it was suppressed.
    ///
    /// # Errors
    /// The store does not answer, and it may have been done or not.
    pub async fn remove(
        &self,
        scope: &Scope,
        address: &Address,
        by: &By,
    ) -> Result<bool, StoreError> {
        let print = self.0.printer.print(address);
        let cell = self.0.printer.mark(print, scope);
        let record = record_cell(&cell);
        let found = self.0.store.cells(&[cell.clone(), record.clone()]).await?;
        let [Some(_), held] = found.as_slice() else {
            return Ok(false);
        };
        let now = self.0.clock.now();
        // The record stays, to say who let it go.
        let ended = held.as_deref().and_then(Record::read).map(|mut held| {
            held.note_change(Change {
                at: now,
                by: by.clone(),
                what: "removed".into(),
            });
            held.removed = true;
            held.write()
        });
        let failing = self.0.printer.failing(print);
        let changes = [(cell, None), (record, ended), (failing, None)];
        self.0.store.set_cells(&changes).await?;
        self.0.events.emit(&removed(scope, address, by));
        Ok(true)
    }

    /// Takes every trace of an address out of the records; with `forget` it may be written to again, else its marks stay,
    /// which do not say whose they are. Returns how many records there were. Where no records are kept, marks are found in
    /// the `scopes` given.
    ///
    /// # Errors
    /// The store does not answer: some may be gone.
    pub async fn erase(
        &self,
        address: &Address,
        forget: bool,
        scopes: &[Scope],
    ) -> Result<u64, StoreError> {
        let print = self.0.printer.print(address);
        let here = self.0.store.buckets(RECORDS, print.bucket, 1).await?;
        let wanted = normal(address);
        let mut changes = Vec::new();
        let mut count = 0;
        for (field, value) in here.into_iter().flat_map(|(_, fields)| fields) {
            let is_it = Record::read(&value).is_some_and(|r| normal(&r.entry.address) == wanted);
            if is_it {
                count += 1;
                changes.extend(self.erased(print, field, forget));
            }
        }
        changes.push((self.0.printer.failing(print), None));
        if forget {
            let marks = scopes.iter().map(|scope| self.0.printer.mark(print, scope));
            changes.extend(marks.map(|mark| (mark, None)));
        }
        self.0.store.set_cells(&changes).await?;
        Ok(count)
    }

    fn erased(&self, print: Print, field: Vec<u8>, forget: bool) -> Vec<store::Change> {
        let cell = |table| Cell {
            table,
            bucket: print.bucket,
            field: field.clone(),
        };
        let mut changes = vec![(cell(RECORDS), None)];
        if forget {
            changes.push((cell(MARKS), None));
        }
        changes
    }
}

/// An address in a scope, while it is changed.
#[derive(Default)]
struct Slot {
    mark: Option<Mark>,
    record: Option<Record>,
    changed: bool,
}

impl Slot {
    /// Whether the address is suppressed for longer, or for another reason. A record that was not kept before is made up
    /// for.
    fn add(&mut self, entry: &Entry, records: bool, now: Timestamp) -> bool {
        let holding = self.mark.filter(|mark| mark.holds(now));
        if let Some(there) = holding.filter(|there| there.outweighs(entry)) {
            if records && self.record.is_none() {
                let Mark { reason, until } = there;
                let entry = Entry {
                    reason,
                    until,
                    ..entry.clone()
                };
                self.record = Some(Record::new(&entry, now));
                self.changed = true;
            }
            return false;
        }
        self.mark = Some(Mark {
            reason: entry.reason,
            until: entry.until,
        });
        self.record = Some(match self.record.take() {
            Some(there) => there.renewed(entry, now),
            None => Record::new(entry, now),
        });
        self.changed = true;
        true
    }

    fn changes(&self, cell: &Cell, records: bool) -> impl Iterator<Item = store::Change> + use<> {
        let mark = (cell.clone(), self.mark.map(Mark::write));
        let record = self.record.as_ref().filter(|_| records);
        let record = record.map(|record| (record_cell(cell), Some(record.write())));
        std::iter::once(mark).chain(record)
    }
}

impl Mark {
    /// Nothing would change if `entry` were added.
    fn outweighs(self, entry: &Entry) -> bool {
        match (self.until, entry.until) {
            (None, None) => self.reason == entry.reason,
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (Some(there), Some(new)) => there >= new,
        }
    }
}

/// The cell of the record of a mark.
pub(super) fn record_cell(mark: &Cell) -> Cell {
    Cell {
        table: RECORDS,
        ..mark.clone()
    }
}

fn records_of(marks: &[Cell]) -> Vec<Cell> {
    marks.iter().map(record_cell).collect()
}

fn added(entry: &Entry) -> Event {
    Event::Suppressed {
        tenant: entry.scope.tenant().map(Into::into),
        recipient: entry.address.clone(),
        id: entry.source,
        scope: entry.scope.to_string(),
        reason: Some(entry.reason.name()),
        until: entry.until,
        why: format!("{}, by {}: {}", entry.scope, entry.by, entry.note),
    }
}

fn removed(scope: &Scope, address: &Address, by: &By) -> Event {
    Event::Suppressed {
        tenant: scope.tenant().map(Into::into),
        recipient: address.clone(),
        id: None,
        scope: scope.to_string(),
        reason: None,
        until: None,
        why: format!("{scope}, removed by {by}"),
    }
}

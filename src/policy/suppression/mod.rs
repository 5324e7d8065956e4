//! Who is not to be written to, and why.
//!
//! | table of cells | field | value |
//! |---|---|---|
//! | `sup` | hash of address and scope | a [`mark`](self): the reason, and when it ends. This is what is asked |
//! | `sup` | hash of address | failures so far, of an address that is not suppressed for them yet |
//! | `suprec` | as of the mark | the full record as JSON, for people |
//!
//! An address is asked for once when it is given at RCPT and once more before its mail leaves, since the list changes
//! while mail waits; all its scopes lie in one bucket, so each is one question. Two nodes that count a failure of one
//! address in the same moment may count it once.

mod config;
mod entry;
mod mark;
mod print;
mod record;
#[cfg(test)]
mod tests;

pub use config::{AtSubmission, Config, Reach, Unchecked};
pub use entry::{Answer, Ask, By, Entry, NotAScope, Reason, Scope};
pub use record::{Change, Record};

use crate::clock::Clock;
use crate::events::{About, Event, Events};
use crate::mail::{Address, Finding, Reply};
use crate::store::{self, Cell, Store, StoreError, Written};
use crate::units::Timestamp;
use arc_swap::ArcSwap;
use mark::{Failing, Mark};
use print::{Print, Printer, RECORDS};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Where the store keeps what the table was begun with.
const SETUP: &str = "suppression/setup";
/// Entries that are written together.
const PIECE: usize = 500;
/// Buckets that are read together.
const STEP: u32 = 400;

/// The list. Cheap to clone.
#[derive(Clone)]
pub struct Suppression(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    events: Events,
    config: ArcSwap<Config>,
    printer: Printer,
}

/// What the table was begun with.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setup {
    /// In hexadecimal.
    key: String,
    size: u8,
}

/// A page of the list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    pub records: Vec<Record>,
    /// Where to go on; `None` at the end.
    pub next: Option<u32>,
}

impl Suppression {
    /// Reads how the table was begun, or begins it.
    ///
    /// # Errors
    /// The store does not answer, or what is there cannot be read.
    pub async fn open(
        config: Arc<Config>,
        store: Store,
        clock: Clock,
        events: Events,
    ) -> Result<Self, StoreError> {
        let size = config.size;
        let setup = begin(&store, size).await?;
        if setup.size != size {
            tracing::warn!(
                begun = setup.size,
                configured = size,
                "suppression.size is as it was when the first entry was made; to change it export the list, empty the \
                 store, and import it"
            );
        }
        let key = unhex(&setup.key).ok_or_else(|| damaged("its key is not in hexadecimal"))?;
        Ok(Self(Arc::new(Inner {
            printer: Printer::new(&key, setup.size.into()),
            store,
            clock,
            events,
            config: ArcSwap::new(config),
        })))
    }

    pub fn configure(&self, config: Arc<Config>) {
        self.0.config.store(config);
    }

    pub fn config(&self) -> Arc<Config> {
        self.0.config.load_full()
    }

    /// What is known of each, in order; all with one round trip.
    ///
    /// # Errors
    /// The store does not answer: nobody can say.
    pub async fn check(&self, asks: &[Ask<'_>]) -> Result<Vec<Answer>, StoreError> {
        let (printer, now) = (&self.0.printer, self.0.clock.now());
        let mut cells: Vec<Cell> = Vec::new();
        let mut scopes: Vec<Vec<Scope>> = Vec::new();
        for ask in asks {
            let print = printer.print(ask.recipient);
            let of_ask: Vec<Scope> = Scope::of(ask.labels).collect();
            cells.push(printer.failing(print));
            cells.extend(of_ask.iter().map(|scope| printer.mark(print, scope)));
            scopes.push(of_ask);
        }
        let mut found = self.0.store.cells(&cells).await?.into_iter();
        let answer = |scopes: Vec<Scope>| {
            let failing = found.next().flatten().is_some();
            let marks: Vec<Option<Vec<u8>>> = found.by_ref().take(scopes.len()).collect();
            let mut holding = scopes.into_iter().zip(marks).filter_map(|(scope, mark)| {
                let mark = Mark::read(&mark?).filter(|mark| mark.holds(now))?;
                Some((scope, mark))
            });
            match holding.next() {
                Some((scope, mark)) => Answer::Suppressed {
                    scope,
                    reason: mark.reason,
                    until: mark.until,
                },
                None => Answer::Free { failing },
            }
        };
        Ok(scopes.into_iter().map(answer).collect())
    }

    /// Suppresses an address; durable when it returns, and told as an event where it was not suppressed so already.
    ///
    /// # Errors
    /// The store does not answer, and it may have been done or not.
    pub async fn add(&self, entry: Entry) -> Result<(), StoreError> {
        let print = self.0.printer.print(&entry.address);
        let cell = self.0.printer.mark(print, &entry.scope);
        let there = self.0.store.cells(std::slice::from_ref(&cell)).await?;
        let now = self.0.clock.now();
        let there = there.into_iter().flatten().next();
        let there = there
            .and_then(|mark| Mark::read(&mark))
            .filter(|mark| mark.holds(now));
        if there.is_some_and(|there| there.outweighs(&entry)) {
            return Ok(());
        }
        let mut changes = vec![(cell.clone(), Some(mark_of(&entry).write()))];
        if self.config().records {
            changes.push(self.recorded(&cell, &entry, now).await?);
        }
        self.0.store.set_cells(&changes).await?;
        self.0.events.emit(&added(&entry));
        Ok(())
    }

    /// As [`Suppression::add`] for many, in pieces; what was on the list already is written over, and nothing is told of
    /// each.
    ///
    /// # Errors
    /// The store does not answer: some may have been added.
    pub async fn add_all(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let (now, records) = (self.0.clock.now(), self.config().records);
        for piece in entries.chunks(PIECE) {
            let mut changes: Vec<store::Change> = Vec::new();
            for entry in piece {
                let print = self.0.printer.print(&entry.address);
                let cell = self.0.printer.mark(print, &entry.scope);
                if records {
                    let record = Record::new(entry, now);
                    changes.push((record_cell(&cell), Some(record.write())));
                }
                changes.push((cell, Some(mark_of(entry).write())));
            }
            self.0.store.set_cells(&changes).await?;
        }
        Ok(())
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

    /// Everything that is known of an address in the scopes given.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn records_of(
        &self,
        address: &Address,
        scopes: &[Scope],
    ) -> Result<Vec<Record>, StoreError> {
        let print = self.0.printer.print(address);
        let cells: Vec<Cell> = scopes
            .iter()
            .map(|scope| self.0.printer.mark(print, scope))
            .collect();
        let records: Vec<Cell> = cells.iter().map(record_cell).collect();
        let marks = self.0.store.cells(&cells).await?;
        let held = self.0.store.cells(&records).await?;
        let now = self.0.clock.now();
        let known =
            marks
                .into_iter()
                .zip(held)
                .zip(scopes)
                .filter_map(|((mark, record), scope)| {
                    let mark = Mark::read(&mark?).filter(|mark| mark.holds(now))?;
                    let record = record.as_deref().and_then(Record::read);
                    Some(record.unwrap_or_else(|| Record::bare(scope, address, mark)))
                });
        Ok(known.collect())
    }

    /// Full records, in no order that means anything; `from` is 0 or what the page before gave.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn list(&self, from: u32, most: usize) -> Result<Page, StoreError> {
        let (end, now) = (self.0.printer.buckets(), self.0.clock.now());
        let mut page = Page::default();
        let mut at = from;
        while at < end && page.records.len() < most {
            let buckets = self
                .0
                .store
                .buckets(RECORDS, at, STEP.min(end - at))
                .await?;
            let fields = buckets.into_iter().flat_map(|(_, fields)| fields);
            let records = fields.filter_map(|(_, value)| Record::read(&value));
            page.records
                .extend(records.filter(|record| record.holds(now)));
            at += STEP.min(end - at);
        }
        page.next = (at < end).then_some(at);
        Ok(page)
    }

    /// Takes every trace of an address out of the records; with `forget` it may be written to again, else its marks stay,
    /// which do not say whose they are. Returns how many records there were.
    ///
    /// # Errors
    /// The store does not answer: some may be gone.
    pub async fn erase(&self, address: &Address, forget: bool) -> Result<u64, StoreError> {
        let print = self.0.printer.print(address);
        let here = self.0.store.buckets(RECORDS, print.bucket, 1).await?;
        let wanted = print::normal(address);
        let mut changes = Vec::new();
        let mut count = 0;
        for (field, value) in here.into_iter().flat_map(|(_, fields)| fields) {
            let is_it =
                Record::read(&value).is_some_and(|r| print::normal(&r.entry.address) == wanted);
            if is_it {
                count += 1;
                changes.extend(self.erased(print, field, forget));
            }
        }
        changes.push((self.0.printer.failing(print), None));
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
            changes.push((cell(print::MARKS), None));
        }
        changes
    }

    /// A message was refused for good, or given up; what that says of its recipient. Returns whether it is suppressed
    /// now.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn hear(
        &self,
        about: &About,
        finding: Finding,
        reply: &Reply,
        by: By,
    ) -> Result<(), StoreError> {
        let Some(recipient) = &about.recipient else {
            return Ok(());
        };
        if !finding.condemns() && !finding.counts_against() {
            return Ok(());
        }
        let config = self.config();
        let mut entry = Entry {
            scope: config.reach(about.labels.tenant.as_deref()),
            address: recipient.clone(),
            reason: Reason::Hard,
            until: None,
            source: Some(about.id),
            by,
            note: reply.to_string().into(),
        };
        if !finding.condemns() {
            let Some(until) = self.count_failure(recipient, &config).await? else {
                return Ok(());
            };
            (entry.reason, entry.until) = (Reason::Soft, Some(until));
        }
        self.add(entry).await
    }

    /// One more message failed softly; until when the address is suppressed for it, where it is.
    async fn count_failure(
        &self,
        recipient: &Address,
        config: &Config,
    ) -> Result<Option<Timestamp>, StoreError> {
        let now = self.0.clock.now();
        let cell = self.0.printer.failing(self.0.printer.print(recipient));
        let there = self.0.store.cells(std::slice::from_ref(&cell)).await?;
        let there = there.into_iter().flatten().next();
        let mut failing = there
            .and_then(|octets| Failing::read(&octets))
            .unwrap_or_default();
        let mut until = None;
        if failing.add(config.soft_window.0, now) >= usize::from(config.soft_limit) {
            let span = config.soft_for.0.saturating_mul(1 << failing.times.min(8));
            until = Some(now + span.min(LONGEST));
            failing.suppressed();
        }
        self.0
            .store
            .set_cells(&[(cell, Some(failing.write()))])
            .await?;
        Ok(until)
    }

    /// Mail to an address whose mail failed before has been delivered: what was counted against it counts no more.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn delivered(&self, recipient: &Address) -> Result<(), StoreError> {
        let cell = self.0.printer.failing(self.0.printer.print(recipient));
        self.0.store.set_cells(&[(cell, None)]).await
    }

    /// The record with one more change in it.
    async fn recorded(
        &self,
        mark: &Cell,
        entry: &Entry,
        now: Timestamp,
    ) -> Result<store::Change, StoreError> {
        let cell = record_cell(mark);
        let there = self.0.store.cells(std::slice::from_ref(&cell)).await?;
        let there = there.into_iter().flatten().next();
        let record = match there.as_deref().and_then(Record::read) {
            Some(there) => there.renewed(entry, now),
            None => Record::new(entry, now),
        };
        Ok((cell, Some(record.write())))
    }
}

/// No suppression that ends by itself is longer.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

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

fn mark_of(entry: &Entry) -> Mark {
    Mark {
        reason: entry.reason,
        until: entry.until,
    }
}

fn record_cell(mark: &Cell) -> Cell {
    Cell {
        table: RECORDS,
        ..mark.clone()
    }
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

async fn begin(store: &Store, size: u8) -> Result<Setup, StoreError> {
    loop {
        if let Some(there) = store.get(SETUP).await? {
            return serde_json::from_slice(&there.value)
                .map_err(|error| damaged(&error.to_string()));
        }
        let key: [u8; 32] = rand::random();
        let setup = Setup {
            key: key.iter().map(|octet| format!("{octet:02x}")).collect(),
            size,
        };
        let value = serde_json::to_vec(&setup).map_err(|error| damaged(&error.to_string()))?;
        if let Written::Yes(_) = store.put(SETUP, 0, &value).await? {
            return Ok(setup);
        }
    }
}

fn damaged(why: &str) -> StoreError {
    StoreError::Damaged {
        key: SETUP.to_owned(),
        why: why.to_owned(),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect();
    let digits = digits.filter(|digits| !digits.is_empty() && digits.len() % 2 == 0)?;
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |n, d| n << 4 | d))
            .collect(),
    )
}

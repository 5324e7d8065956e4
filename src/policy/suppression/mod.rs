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
//! address in the same moment may count it once. Marks that have ended are swept away.
//!
//! Nothing that is heard is lost while the store is away, for nobody takes it over before it is written: what comes in by
//! mail is answered with 451, and a recipient that was refused in a session stays undone in the spool, to be tried anew
//! after a restart.

mod change;
pub mod config;
mod entry;
mod hear;
mod mark;
mod print;
mod record;
mod rules;
mod setup;
mod sweep;
#[cfg(test)]
mod tests;

pub use config::{AtSubmission, Config, Reach, TenantConfig, Unchecked};
pub use entry::{Answer, Ask, By, Entry, NotAScope, Reason, Scope};
pub use print::is_same;
pub use record::{Change, Record};
pub use rules::Rules;

use crate::clock::Clock;
use crate::events::Events;
use crate::mail::Address;
use crate::store::{Cell, Store, StoreError};
use arc_swap::ArcSwap;
use change::record_cell;
use mark::Mark;
use print::{Printer, RECORDS};
use std::sync::Arc;

/// Buckets that are read together.
const STEP: u32 = 400;

/// The list. Cheap to clone.
#[derive(Clone)]
pub struct Suppression(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    events: Events,
    rules: ArcSwap<Rules>,
    printer: Printer,
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
    /// The store does not answer, what is there cannot be read, or the table was begun with another key.
    pub async fn open(
        rules: Rules,
        store: Store,
        clock: Clock,
        events: Events,
    ) -> Result<Self, StoreError> {
        let size = rules.of(None).size;
        let begun = setup::begin(&store, size, rules.key.as_deref()).await?;
        Ok(Self(Arc::new(Inner {
            printer: Printer::new(&begun.key, begun.size.into()),
            store,
            clock,
            events,
            rules: ArcSwap::from_pointee(rules),
        })))
    }

    /// Takes over a new configuration. The key stays the one that the table was begun with.
    pub fn configure(&self, rules: Rules) {
        self.0.rules.store(Arc::new(rules));
    }

    /// As a tenant has it, or mail without one.
    pub fn rules(&self, tenant: Option<&str>) -> Arc<Config> {
        Arc::clone(self.0.rules.load().of(tenant))
    }

    /// Whether a suppressed recipient is refused at RCPT.
    pub fn refuses_at_rcpt(&self, tenant: Option<&str>) -> bool {
        self.0.rules.load().refuses_at_rcpt(tenant)
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
                let mark = Some(Mark::of(&mark?)).filter(|mark| mark.holds(now))?;
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
                    let mark = Some(Mark::of(&mark?)).filter(|mark| mark.holds(now))?;
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
}

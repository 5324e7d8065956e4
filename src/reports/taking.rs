//! Reports taken in: counted once, filed by domain, source and day.

use super::alarm::{self, Alarm};
use super::config::Settings;
use super::dmarc::{Aggregate, Source, Tally};
use super::figures::{Figures, Provider};
use super::period::{Day, Period};
use super::rows::{PolicySeen, SourceDay, TlsDay};
use super::store::{self, FIGURES, POLICIES, SEEN, SOURCES, Store, TLS, key, part};
use super::tls::TlsReport;
use super::{Report, ReportsError};
use crate::clock::Clock;
use crate::events::{Event, Events};
use crate::units::Live;
use parking_lot::Mutex;
use redb::WriteTransaction;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// The reports of this node. Cheap to clone. Its methods block for the disk.
#[derive(Clone)]
pub struct Reports(Arc<Shared>);

struct Shared {
    store: Store,
    settings: Live<Settings>,
    clock: Clock,
    events: Events,
    /// When rows that are too old were last looked for.
    swept: Mutex<Option<Day>>,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Taken {
    Stored,
    /// It, or another of the same reporter, id and domain, was stored before.
    Duplicate,
    /// It is about nothing of ours.
    NotOurs,
    /// It tells of days that have not been: stored, it would stand for the newest policy until they have.
    Ahead,
    /// There is no room for more.
    Full,
}

/// About which domains a report may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domains {
    Ours,
    /// An operator has looked at it.
    Any,
}

/// Addresses of a report that are told apart, those with the most messages; the others are put together.
const MOST_SOURCES: usize = 5_000;
/// Events of one report.
const MOST_ALARMS: usize = 50;

impl Reports {
    pub fn new(dir: PathBuf, settings: Live<Settings>, clock: Clock, events: Events) -> Self {
        Self(Arc::new(Shared {
            store: Store::new(dir),
            settings,
            clock,
            events,
            swept: Mutex::new(None),
        }))
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    pub fn settings(&self) -> Arc<Settings> {
        self.0.settings.load_full()
    }

    /// Lets the file go.
    pub fn close(&self) {
        self.0.store.close();
    }

    /// Takes a report; what it says is durable when this returns, and what it gives reason to is told.
    ///
    /// # Errors
    /// The file cannot be used; nothing is taken then.
    pub fn take(&self, report: &Report, domains: Domains) -> Result<Taken, ReportsError> {
        let settings = self.settings();
        let now = self.0.clock.now().as_secs();
        let taking = Taking {
            settings: &settings,
            any: domains == Domains::Any,
            now,
        };
        if !taking.is_ours(report) {
            return Ok(Taken::NotOurs);
        }
        if taking.is_ahead(report) {
            return Ok(Taken::Ahead);
        }
        let (taken, alarms) = self.0.store.write(|transaction| {
            self.sweep(transaction, &settings, now)?;
            if !store::has_room(transaction)? {
                return Ok((Taken::Full, Vec::new()));
            }
            match report {
                Report::Dmarc(report) => taking.dmarc(transaction, report),
                Report::Tls(report) => taking.tls(transaction, report),
                Report::Figures(figures) => taking.figures(transaction, figures),
            }
        })?;
        *self.0.swept.lock() = Some(Day::of(now));
        for alarm in alarms.iter().take(MOST_ALARMS) {
            self.0.events.emit(&Event::Report {
                domain: alarm.domain.as_str().into(),
                source: alarm.source.clone(),
                peer: alarm.address,
                reason: alarm.reason(),
                why: alarm.to_string(),
            });
        }
        Ok(taken)
    }

    /// Once a day.
    fn sweep(
        &self,
        transaction: &WriteTransaction,
        settings: &Settings,
        now: u64,
    ) -> Result<(), redb::Error> {
        let is_swept = *self.0.swept.lock() == Some(Day::of(now));
        if !is_swept {
            store::sweep(transaction, now.saturating_sub(settings.keep.0.as_secs()))?;
        }
        Ok(())
    }
}

type Done = Result<(Taken, Vec<Alarm>), redb::Error>;

/// One report being taken.
struct Taking<'a> {
    settings: &'a Settings,
    any: bool,
    /// In seconds.
    now: u64,
}

impl Taking<'_> {
    fn is_about_us(&self, domain: &str) -> bool {
        self.any || self.settings.is_ours(domain)
    }

    fn is_ours(&self, report: &Report) -> bool {
        let is = |domain: &Option<String>| {
            domain
                .as_deref()
                .is_some_and(|domain| self.is_about_us(domain))
        };
        match report {
            Report::Dmarc(report) => self.is_about_us(&report.domain),
            Report::Tls(report) => report.policies.iter().any(|policy| is(&policy.domain)),
            Report::Figures(figures) => figures.figures.iter().any(|figure| {
                figure.subject.is_some() && self.is_subject_ours(figures.provider, &figure.subject)
            }),
        }
    }

    /// Whether it ends later than a day that is today somewhere, and a clock that is a day off, allow.
    fn is_ahead(&self, report: &Report) -> bool {
        let newest = match report {
            Report::Dmarc(report) => Some(report.period.day()),
            Report::Tls(report) => Some(report.period.day()),
            Report::Figures(figures) => figures.figures.iter().map(|figure| figure.day).max(),
        };
        newest.is_some_and(|day| day > Day(Day::of(self.now).0.saturating_add(2)))
    }

    /// An address that SNDS tells of was shown to be ours to Microsoft.
    fn is_subject_ours(&self, provider: Provider, subject: &Option<String>) -> bool {
        let Some(subject) = subject else {
            return false;
        };
        match provider {
            Provider::Postmaster => self.is_about_us(subject),
            Provider::Snds => subject.parse::<IpAddr>().is_ok(),
        }
    }

    /// Whether a report of this kind, reporter, id and domain was not there before.
    fn is_first(
        &self,
        transaction: &WriteTransaction,
        kind: &str,
        identity: (&Option<String>, &Option<String>, Period),
        domain: &str,
    ) -> Result<bool, redb::Error> {
        let (organization, id, period) = identity;
        let organization = organization.as_deref().unwrap_or_default();
        let id = match id {
            Some(id) => part(id),
            None => part(&format!("{}-{}", period.begin, period.end)),
        };
        let organization = part(&organization.to_lowercase());
        let key = key(&[kind.as_bytes(), &organization, &id, domain.as_bytes()]);
        let mut table = transaction.open_table(SEEN)?;
        let known = table.insert(key.as_slice(), store::encode(&self.now).as_slice())?;
        Ok(known.is_none())
    }

    fn dmarc(&self, transaction: &WriteTransaction, report: &Aggregate) -> Done {
        let organization = report.organization.clone().or_else(|| report.email.clone());
        let identity = (&organization, &report.id, report.period);
        if !self.is_first(transaction, "dmarc", identity, &report.domain)? {
            return Ok((Taken::Duplicate, Vec::new()));
        }
        let day = report.period.day();
        let mut alarms = Vec::new();
        for (source, tally) in told_apart(report) {
            let key = source_key(&report.domain, day, source);
            store::change(transaction, SOURCES, &key, |row: &mut SourceDay| {
                row.tally.add(&tally);
                row.seen = self.now;
                if let Some(name) = self.settings.source(source) {
                    row.ours = Some(name.to_string());
                }
                let about = (report.domain.as_str(), day, source);
                if let Some(alarm) = alarm::judge(row, about, self.settings) {
                    row.told = true;
                    alarms.push(alarm);
                }
            })?;
        }
        self.policy(transaction, report)?;
        Ok((Taken::Stored, alarms))
    }

    fn policy(
        &self,
        transaction: &WriteTransaction,
        report: &Aggregate,
    ) -> Result<(), redb::Error> {
        let key = report.domain.as_bytes();
        store::change(transaction, POLICIES, key, |known: &mut PolicySeen| {
            if known.end <= report.period.end {
                *known = PolicySeen::of(&report.policy, report.period.end, self.now);
            }
        })
    }

    fn tls(&self, transaction: &WriteTransaction, report: &TlsReport) -> Done {
        let identity = (&report.organization, &report.id, report.period);
        let organization = report.organization.as_deref().unwrap_or("unknown");
        let day = report.period.day();
        let (mut first, mut stored) = (std::collections::BTreeMap::new(), false);
        for policy in &report.policies {
            let Some(domain) = policy.domain.as_deref().filter(|d| self.is_about_us(d)) else {
                continue;
            };
            // A report may have several policies of a domain: it is new for all of them or for none.
            let is_new = match first.get(domain) {
                Some(is_new) => *is_new,
                None => self.is_first(transaction, "tls", identity, domain)?,
            };
            first.insert(domain, is_new);
            if !is_new {
                continue;
            }
            stored = true;
            let key = key(&[domain.as_bytes(), &day.0.to_be_bytes(), &part(organization)]);
            store::change(transaction, TLS, &key, |row: &mut TlsDay| {
                row.success = row.success.saturating_add(policy.success);
                row.failure = row.failure.saturating_add(policy.failure);
                add_types(&mut row.failure_types, &policy.failure_types);
                row.seen = self.now;
            })?;
        }
        match stored {
            true => Ok((Taken::Stored, Vec::new())),
            false => Ok((Taken::Duplicate, Vec::new())),
        }
    }

    /// What was known of a day before is replaced.
    fn figures(&self, transaction: &WriteTransaction, figures: &Figures) -> Done {
        let mut table = transaction.open_table(FIGURES)?;
        for figure in &figures.figures {
            let Some(subject) = figure
                .subject
                .as_ref()
                .filter(|_| self.is_subject_ours(figures.provider, &figure.subject))
            else {
                continue;
            };
            let provider = figures.provider.name();
            let key = key(&[
                provider.as_bytes(),
                &part(subject),
                &figure.day.0.to_be_bytes(),
            ]);
            // Numbers that JSON has no form for are left out by the reader.
            let values = serde_json::to_string(&figure.values).unwrap_or_default();
            table.insert(
                key.as_slice(),
                store::encode(&(self.now, values)).as_slice(),
            )?;
        }
        Ok((Taken::Stored, Vec::new()))
    }
}

/// Result types of a row that are told apart.
const MOST_TYPES: usize = 64;

/// Adds failed sessions by result type.
pub(super) fn add_types(
    types: &mut std::collections::BTreeMap<String, u64>,
    more: &std::collections::BTreeMap<String, u64>,
) {
    for (kind, count) in more {
        let is_known = types.contains_key(kind) || types.len() < MOST_TYPES;
        let kind = if is_known { kind } else { "other" };
        let sum = types.entry(kind.to_owned()).or_default();
        *sum = sum.saturating_add(*count);
    }
}

/// The sources of a report; where there are too many, those with the fewest messages are put together.
fn told_apart(report: &Aggregate) -> Vec<(Source, Tally)> {
    let mut sources: Vec<_> = report.sources().into_iter().collect();
    sources.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.messages));
    if sources.len() > MOST_SOURCES {
        let mut others = Tally::default();
        for (_, tally) in sources.drain(MOST_SOURCES..) {
            others.add(&tally);
        }
        match sources.iter_mut().find(|(source, _)| source.is_none()) {
            Some((_, tally)) => tally.add(&others),
            None => sources.push((None, others)),
        }
    }
    sources
}

fn source_key(domain: &str, day: Day, source: Source) -> Vec<u8> {
    let address = match source {
        None => Vec::new(),
        Some(IpAddr::V4(address)) => address.octets().to_vec(),
        Some(IpAddr::V6(address)) => address.octets().to_vec(),
    };
    key(&[domain.as_bytes(), &day.0.to_be_bytes(), &address])
}

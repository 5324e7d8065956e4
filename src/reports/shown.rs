//! What is stored, added up over days.

use super::period::Day;
use super::rows::{FigureRow, Shown, SourceDay, SourceRow, TlsDay, TlsRow};
use super::store::{self, FIGURES, POLICIES, SOURCES, TLS};
use super::taking::add_types;
use super::{Provider, Reports, ReportsError, Settings};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Rows of each kind in one answer.
pub const MOST_SHOWN: usize = 10_000;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// This domain and those below it; `None`: all.
    pub domain: Option<String>,
    pub since: Day,
}

impl Which {
    fn is(&self, domain: &str) -> bool {
        let Some(asked) = self.domain.as_deref() else {
            return true;
        };
        let rest = domain.strip_suffix(asked);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl Reports {
    /// Adds up what reports say. Blocks for the disk.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn show(&self, which: &Which) -> Result<Shown, ReportsError> {
        let settings = self.settings();
        let shown = self.store().read(|transaction| {
            let mut adding = Adding::default();
            store::scan(transaction, SOURCES, b"", |key, row| {
                adding.source(which, key, &row, &settings);
            })?;
            store::scan(transaction, TLS, b"", |key, row| {
                adding.tls(which, key, row)
            })?;
            store::scan(transaction, FIGURES, b"", |key, row| {
                adding.figure(which, key, row);
            })?;
            store::scan(transaction, POLICIES, b"", |key, policy| {
                let domain = String::from_utf8_lossy(key).into_owned();
                if which.is(&domain) {
                    adding.shown.policies.insert(domain, policy);
                }
            })?;
            Ok(adding.finish())
        })?;
        Ok(shown.unwrap_or_default())
    }
}

#[derive(Default)]
struct Adding {
    shown: Shown,
    sources: HashMap<(String, Option<IpAddr>), SourceRow>,
    tls: BTreeMap<(String, String), TlsRow>,
    days: BTreeMap<String, BTreeSet<Day>>,
}

impl Adding {
    fn source(&mut self, which: &Which, key: &[u8], row: &SourceDay, settings: &Settings) {
        let Some((domain, day, rest)) = domain_day(key) else {
            return;
        };
        if day < which.since || !which.is(&domain) {
            return;
        }
        let address = address(rest);
        self.days.entry(domain.clone()).or_default().insert(day);
        let known = self.sources.entry((domain.clone(), address));
        let known = known.or_insert_with(|| SourceRow {
            domain,
            source_ip: address,
            source: settings.source(address).map(|name| name.to_string()),
            tally: Default::default(),
            days: 0,
            first: day,
            last: day,
        });
        known.tally.add(&row.tally);
        known.days += 1;
        known.first = known.first.min(day);
        known.last = known.last.max(day);
        if known.source.is_none() {
            known.source.clone_from(&row.ours);
        }
    }

    fn tls(&mut self, which: &Which, key: &[u8], row: TlsDay) {
        let Some((domain, day, rest)) = domain_day(key) else {
            return;
        };
        if day < which.since || !which.is(&domain) {
            return;
        }
        let organization = String::from_utf8_lossy(rest).into_owned();
        let known = self.tls.entry((domain.clone(), organization.clone()));
        let known = known.or_insert_with(|| TlsRow {
            domain,
            organization,
            success: 0,
            failure: 0,
            failure_types: BTreeMap::new(),
            first: day,
            last: day,
        });
        known.success = known.success.saturating_add(row.success);
        known.failure = known.failure.saturating_add(row.failure);
        add_types(&mut known.failure_types, &row.failure_types);
        known.first = known.first.min(day);
        known.last = known.last.max(day);
    }

    fn figure(&mut self, which: &Which, key: &[u8], (_, values): (u64, String)) {
        let Some(row) = figure_row(key, &values) else {
            return;
        };
        // Addresses have no domain: they are shown where no domain is asked for.
        let is_asked = match row.provider {
            Provider::Postmaster => which.is(&row.subject),
            Provider::Snds => which.domain.is_none(),
        };
        if row.day >= which.since && is_asked {
            self.shown.figures.push(row);
        }
    }

    fn finish(self) -> Shown {
        let mut shown = self.shown;
        shown.sources = self.sources.into_values().collect();
        shown.sources.sort_by(|a, b| {
            let order = |row: &SourceRow| (std::cmp::Reverse(row.tally.messages), row.source_ip);
            a.domain.cmp(&b.domain).then(order(a).cmp(&order(b)))
        });
        shown.tls = self.tls.into_values().collect();
        let days = self.days.into_iter();
        shown.days = days
            .map(|(domain, days)| (domain, days.len() as u64))
            .collect();
        let lengths = [shown.sources.len(), shown.tls.len(), shown.figures.len()];
        shown.more = lengths.iter().any(|length| *length > MOST_SHOWN);
        shown.sources.truncate(MOST_SHOWN);
        shown.tls.truncate(MOST_SHOWN);
        // The latest stay.
        let too_many = shown.figures.len().saturating_sub(MOST_SHOWN);
        shown.figures.sort_by_key(|row| row.day);
        shown.figures.drain(..too_many);
        shown
    }
}

/// The domain, the day and the rest of a key.
fn domain_day(key: &[u8]) -> Option<(String, Day, &[u8])> {
    let end = key.iter().position(|octet| *octet == 0)?;
    let domain = std::str::from_utf8(key.get(..end)?).ok()?.to_owned();
    let (day, rest) = key.get(end + 1..)?.split_at_checked(4)?;
    let day = Day(u32::from_be_bytes(day.try_into().ok()?));
    Some((domain, day, rest.get(1..)?))
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(octets).ok()?;
    Some(Ipv6Addr::from(octets).into())
}

fn figure_row(key: &[u8], values: &str) -> Option<FigureRow> {
    let (rest, day) = key.split_at_checked(key.len().checked_sub(4)?)?;
    let mut parts = rest.split(|octet| *octet == 0);
    let provider = match parts.next()? {
        b"postmaster" => Provider::Postmaster,
        b"snds" => Provider::Snds,
        _ => return None,
    };
    Some(FigureRow {
        provider,
        subject: String::from_utf8_lossy(parts.next()?).into_owned(),
        day: Day(u32::from_be_bytes(day.try_into().ok()?)),
        values: serde_json::from_str(values).ok()?,
    })
}

//! Records added up.

use super::{Aggregate, Disposition, Record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Messages, and how they fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    pub messages: u64,
    /// With an aligned pass of DKIM, of SPF, or of both.
    pub pass: u64,
    pub dkim: u64,
    pub spf: u64,
    pub none: u64,
    pub quarantine: u64,
    pub reject: u64,
    /// The report does not say what was done.
    pub unknown: u64,
    /// They failed, and the receiver takes them for forwarded, or trusts who brought them.
    pub forwarded: u64,
    /// From an address below the policy's domain.
    pub subdomains: u64,
}

/// Who sent: an address, or what is none.
pub type Source = Option<IpAddr>;

impl Tally {
    /// They passed neither, and so are what a policy acts on.
    pub fn failed(&self) -> u64 {
        self.messages.saturating_sub(self.pass)
    }

    pub fn add(&mut self, other: &Self) {
        let fields = [
            (&mut self.messages, other.messages),
            (&mut self.pass, other.pass),
            (&mut self.dkim, other.dkim),
            (&mut self.spf, other.spf),
            (&mut self.none, other.none),
            (&mut self.quarantine, other.quarantine),
            (&mut self.reject, other.reject),
            (&mut self.unknown, other.unknown),
            (&mut self.forwarded, other.forwarded),
            (&mut self.subdomains, other.subdomains),
        ];
        for (field, more) in fields {
            *field = field.saturating_add(more);
        }
    }

    fn of(record: &Record, domain: &str) -> Self {
        let count = |is: bool| if is { record.count } else { 0 };
        let is = |disposition| count(record.disposition == disposition);
        let is_below = record
            .header_from
            .as_deref()
            .is_some_and(|from| from != domain);
        Self {
            messages: record.count,
            pass: count(record.passes()),
            dkim: count(record.dkim),
            spf: count(record.spf),
            none: is(Disposition::None).saturating_add(is(Disposition::Pass)),
            quarantine: is(Disposition::Quarantine),
            reject: is(Disposition::Reject),
            unknown: is(Disposition::Unknown),
            forwarded: count(!record.passes() && record.is_forwarded()),
            subdomains: count(is_below),
        }
    }
}

impl Aggregate {
    /// All records together.
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        for record in &self.records {
            total.add(&Tally::of(record, &self.domain));
        }
        total
    }

    /// Records by who sent.
    pub fn sources(&self) -> BTreeMap<Source, Tally> {
        let mut sources: BTreeMap<Source, Tally> = BTreeMap::new();
        for record in &self.records {
            let tally = sources.entry(record.source).or_default();
            tally.add(&Tally::of(record, &self.domain));
        }
        sources
    }
}

//! The way up the tree of DNS (RFC 9989 §4.10).

use super::record::{Psd, Record};
use crate::auth::ask::{Ask, FAILURE_HOLD, NO_NAME_HOLD, askable};
use crate::dns::DnsFailure;
use crate::units::Timestamp;
use hickory_resolver::proto::rr::RecordType;
use std::sync::Arc;

/// What was found on the way, the longest name first.
#[derive(Debug, Clone)]
pub struct Walk {
    pub start: Box<str>,
    pub found: Vec<(Box<str>, Arc<Record>)>,
    /// Names with several records, which count as none.
    pub ambiguous: Vec<Box<str>>,
    /// Where the walk ended before its end, and why.
    pub failed: Option<DnsFailure>,
    pub expires: Timestamp,
}

/// The organizational domain of a name, in A-labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// `None` while name servers fail.
    pub domain: Option<Box<str>>,
    pub expires: Timestamp,
}

/// The names whose `_dmarc` is asked for, at most eight: the domain itself, then from seven labels down to one.
pub fn targets(domain: &str) -> impl Iterator<Item = &str> {
    let labels = domain.split('.').count();
    let shorter = std::iter::successors(Some(domain), |name| Some(name.split_once('.')?.1));
    let left = (1..=labels).rev();
    shorter
        .zip(left)
        .filter(move |(_, left)| *left == labels || *left <= 7)
        .map(|(name, _)| name)
}

/// Walks up from `domain`, which is in A-labels, until a record says that it knows (`psd`), or the root is reached.
pub async fn walk<A: Ask>(ask: &A, now: Timestamp, domain: &str) -> Walk {
    let mut walk = Walk {
        start: domain.into(),
        found: Vec::new(),
        ambiguous: Vec::new(),
        failed: None,
        expires: Timestamp::from_millis(u64::MAX),
    };
    for name in targets(domain) {
        match walk.look(ask, now, name).await {
            Err(failure) => {
                walk.failed = Some(failure);
                walk.expires = walk.expires.min(now + FAILURE_HOLD);
                break;
            }
            Ok(Some(record)) => {
                let knows = record.psd != Psd::Unsaid;
                walk.found.push((name.into(), Arc::new(record)));
                if knows {
                    break;
                }
            }
            Ok(None) => {}
        }
    }
    walk
}

/// The organizational domain of `domain`, which is in A-labels (RFC 9989 §4.10.2).
pub async fn organizational<A: Ask>(ask: &A, now: Timestamp, domain: &str) -> Organization {
    let walk = walk(ask, now, domain).await;
    Organization {
        domain: walk.organizational().map(Into::into),
        expires: walk.expires,
    }
}

impl Walk {
    /// The record at one name, where there is exactly one.
    async fn look<A: Ask>(
        &mut self,
        ask: &A,
        now: Timestamp,
        name: &str,
    ) -> Result<Option<Record>, DnsFailure> {
        let question = format!("_dmarc.{name}");
        // With its prefix a long name may be one that DNS cannot hold: then nothing is there.
        let Some(question) = askable(&question) else {
            return Ok(None);
        };
        let records = match ask.ask(question, RecordType::TXT).await {
            Ok(records) => records,
            Err(DnsFailure::NoSuchDomain(_)) => {
                self.expires = self.expires.min(now + NO_NAME_HOLD);
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        };
        self.expires = self.expires.min(records.expires);
        let texts = records.texts();
        let mut found = texts.filter_map(|text| Record::parse(&text));
        let first = found.next();
        if found.next().is_some() {
            self.ambiguous.push(name.into());
            return Ok(None);
        }
        Ok(first)
    }

    /// The record at the start itself.
    pub fn own(&self) -> Option<&Arc<Record>> {
        self.at(&self.start)
    }

    pub fn at(&self, name: &str) -> Option<&Arc<Record>> {
        let found = self.found.iter().find(|(at, _)| **at == *name);
        found.map(|(_, record)| record)
    }

    /// The organizational domain; `None` where a failure hides it.
    pub fn organizational(&self) -> Option<&str> {
        for (name, record) in &self.found {
            match record.psd {
                Psd::No => return Some(name),
                Psd::Yes if *name != self.start => return Some(self.one_below(name)),
                _ => {}
            }
        }
        if self.failed.is_some() {
            return None;
        }
        let shortest = self.found.last().map(|(name, _)| &**name);
        Some(shortest.unwrap_or(&self.start))
    }

    /// The name one label longer than `name` on the way from the start.
    fn one_below(&self, name: &str) -> &str {
        let below = self
            .start
            .strip_suffix(name)
            .and_then(|rest| rest.strip_suffix('.'));
        let label = below.map_or(0, |rest| rest.rfind('.').map_or(0, |dot| dot + 1));
        &self.start[label..]
    }
}

//! What is known to be wrong, and when that is worth a word. It is pure: answers go in, changes come out.
//!
//! | a fault is | counted | told | leaves by |
//! |---|---|---|---|
//! | suspected | 1 round | no | a second answer like it; a good answer, silently |
//! | certain | 2 rounds (a list that refuses us: 1) | when it became so | a good answer, which is told; being asked no more, silently |
//!
//! Where name servers fail, nothing is counted.

use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// An address or a domain is on a list.
    Listed,
    /// The PTR of a source is missing, or its name does not lead back (FCrDNS).
    Ptr,
    /// The EHLO name of a source does not lead to it, or is not its PTR name.
    Ehlo,
    /// A list does not answer us as it should: nothing it says is believed.
    Refused,
    /// The name servers of a list do not answer.
    Unanswered,
}

/// What a fault is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    pub what: What,
    /// A source or a domain; of a list itself, its zone.
    pub name: String,
    /// Of a source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The list that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// Something wrong, with what was found last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    #[serde(flatten)]
    pub subject: Subject,
    pub since: Timestamp,
    /// Rounds in a row.
    pub rounds: u32,
    pub detail: String,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Heard {
    pub subject: Subject,
    /// What is wrong; `None`: nothing.
    pub wrong: Option<String>,
}

/// A certificate of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Where it is.
    pub file: String,
    /// Its notAfter (RFC 5280 §4.1.2.5).
    pub expires: Timestamp,
    /// It was told that no more than so many days are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<u32>,
}

/// Something that is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Begun(Fault),
    Ended(Fault),
    /// With the days that are left at most; 0: it has expired.
    Expires(Certificate, u32),
    Renewed(Certificate),
}

/// All that is known. As JSON, what the report shows and the store keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// The last round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<Timestamp>,
    #[serde(default)]
    pub faults: Vec<Fault>,
    #[serde(default)]
    pub certificates: Vec<Certificate>,
}

/// Days before the end at which a certificate is told of, the last first.
const NOTICES: [u32; 4] = [0, 1, 7, 21];
const DAY: u64 = 86_400;

impl What {
    /// Rounds in a row until it is certain.
    const fn enough(self) -> u32 {
        match self {
            Self::Refused => 1,
            Self::Listed | Self::Ptr | Self::Ehlo | Self::Unanswered => 2,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Ptr => "ptr",
            Self::Ehlo => "ehlo",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
        }
    }
}

impl Fault {
    pub const fn is_certain(&self) -> bool {
        self.rounds >= self.subject.what.enough()
    }
}

impl Book {
    /// Takes one answer in.
    pub fn hear(&mut self, heard: Heard, now: Timestamp) -> Option<Change> {
        let Heard { subject, wrong } = heard;
        let known = self.faults.iter().position(|f| f.subject == subject);
        let Some(detail) = wrong else {
            let fault = self.faults.remove(known?);
            return fault.is_certain().then_some(Change::Ended(fault));
        };
        let at = known.unwrap_or_else(|| {
            self.faults.push(Fault {
                subject,
                since: now,
                rounds: 0,
                detail: String::new(),
            });
            self.faults.len() - 1
        });
        let fault = self.faults.get_mut(at)?;
        let was_certain = fault.is_certain();
        fault.rounds = fault.rounds.saturating_add(1);
        fault.detail = detail;
        (!was_certain && fault.is_certain()).then(|| Change::Begun(fault.clone()))
    }

    /// Drops what is not looked at any more.
    pub fn keep(&mut self, is_asked: impl Fn(&Subject) -> bool, files: &[String]) {
        self.faults.retain(|fault| is_asked(&fault.subject));
        self.certificates.retain(|one| files.contains(&one.file));
    }

    /// Takes note of a certificate's end.
    pub fn see(&mut self, file: &str, expires: Timestamp, now: Timestamp) -> Option<Change> {
        let left = expires.since(now);
        let due = NOTICES
            .into_iter()
            .find(|days| left <= Duration::from_secs(u64::from(*days) * DAY));
        let known = self.certificates.iter().position(|one| one.file == file);
        let at = known.unwrap_or_else(|| {
            self.certificates.push(Certificate {
                file: file.to_owned(),
                expires,
                told: None,
            });
            self.certificates.len() - 1
        });
        let one = self.certificates.get_mut(at)?;
        // Another certificate, of which nothing was told yet.
        let is_new = expires > one.expires;
        one.expires = expires;
        let told = std::mem::replace(&mut one.told, due);
        match (told, due) {
            (Some(told), Some(due)) if due >= told && !is_new => None,
            (_, Some(due)) => Some(Change::Expires(one.clone(), due)),
            (Some(_), None) => Some(Change::Renewed(one.clone())),
            (None, None) => None,
        }
    }

    /// What is certain, without what is only suspected.
    pub fn certain(&self) -> Self {
        let certain = self.faults.iter().filter(|fault| fault.is_certain());
        Self {
            checked: self.checked,
            faults: certain.cloned().collect(),
            certificates: self.certificates.clone(),
        }
    }

    /// The lists that have a domain, or one of ours above it, and what they say.
    pub fn listed(&self, domain: &str) -> Option<String> {
        let of = |fault: &&Fault| {
            fault.is_certain()
                && fault.subject.what == What::Listed
                && fault.subject.address.is_none()
                && self.is_believed(fault.subject.zone.as_deref())
                && is_at_or_below(domain, &fault.subject.name)
        };
        let lists: Vec<String> = self.faults.iter().filter(of).map(listing).collect();
        (!lists.is_empty()).then(|| lists.join(", "))
    }

    /// What a list said before it refused or fell silent says nothing of today.
    fn is_believed(&self, zone: Option<&str>) -> bool {
        let mut faults = self.faults.iter().filter(|fault| fault.is_certain());
        !faults.any(|fault| {
            fault.subject.zone.as_deref() == zone
                && matches!(fault.subject.what, What::Refused | What::Unanswered)
        })
    }

    /// By source, why its warm-up goes to no next stage; `holds` says which lists count.
    pub fn hindrances(&self, holds: impl Fn(&str) -> bool) -> BTreeMap<Arc<str>, Arc<str>> {
        let mut texts: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for fault in self.faults.iter().filter(|fault| fault.is_certain()) {
            let Subject {
                what,
                name,
                address,
                zone,
            } = &fault.subject;
            let text = match (what, zone.as_deref()) {
                (What::Listed, Some(at))
                    if address.is_some() && holds(at) && self.is_believed(zone.as_deref()) =>
                {
                    format!("listed at {}", listing(fault))
                }
                (What::Ptr, _) => fault.detail.clone(),
                _ => continue,
            };
            texts.entry(name).or_default().push(text);
        }
        let joined = |(name, texts): (&str, Vec<String>)| (name.into(), texts.join("; ").into());
        texts.into_iter().map(joined).collect()
    }
}

fn is_at_or_below(domain: &str, above: &str) -> bool {
    domain
        .strip_suffix(above)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// `bl.example (127.0.0.2)`
fn listing(fault: &Fault) -> String {
    let zone = fault.subject.zone.as_deref().unwrap_or_default();
    format!("{zone} ({})", fault.detail)
}

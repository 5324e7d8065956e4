//! Which record applies to a From domain, what it asks for, and what comes of a message.

use super::record::{Mode, Policy, Psd, Record, Stance};
use super::walk::{Walk, walk};
use crate::auth::ask::{Ask, FAILURE_HOLD, NO_NAME_HOLD, a_labels, askable};
use crate::dns::DnsFailure;
use crate::units::Timestamp;
use hickory_resolver::proto::rr::RecordType;
use serde::Serialize;
use std::sync::Arc;

/// What is known of a From domain.
#[derive(Debug, Clone)]
pub struct Discovery {
    /// In A-labels.
    pub domain: Box<str>,
    /// `None` where no record applies, or nobody knows.
    pub applied: Option<Applied>,
    pub walk: Walk,
    /// The name servers failed where the answer would have been.
    pub failed: Option<DnsFailure>,
    pub expires: Timestamp,
}

/// The record that applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub record: Arc<Record>,
    /// Where it is published, without `_dmarc`.
    pub at: Box<str>,
    pub publisher: Publisher,
    /// What the owner asks for, and the tag that says it.
    pub policy: Policy,
    pub tag: Tag,
    /// What receivers are to do: one level lower in a test (`t=y`).
    pub effective: Policy,
}

/// RFC 9989 §4.10.1, from the one preferred most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Publisher {
    AuthorDomain,
    OrganizationalDomain,
    PublicSuffix,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tag {
    P,
    Sp,
    Np,
}

/// What a receiver finds (RFC 9989 §5.3.6, names of RFC 8601 §2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DmarcResult {
    /// No record applies.
    None,
    Pass,
    Fail,
    TempError,
}

/// Finds the record that applies to mail from `domain`, in A-labels or U-labels.
pub async fn discover<A: Ask>(ask: &A, now: Timestamp, domain: &str) -> Discovery {
    let domain = a_labels(domain);
    let walk = walk(ask, now, &domain).await;
    let mut discovery = Discovery {
        domain: domain.as_ref().into(),
        applied: None,
        failed: None,
        expires: walk.expires,
        walk,
    };
    let Some((at, publisher, record)) = discovery.walk.applicable() else {
        discovery.failed = discovery.walk.failed.clone();
        return discovery;
    };
    let stated = match record.stance {
        Stance::Void => return discovery,
        Stance::Reports => Ok((Policy::None, Tag::P)),
        Stance::Stated { p, .. } if publisher == Publisher::AuthorDomain => Ok((p, Tag::P)),
        Stance::Stated { p, sp, np } => discovery.below(ask, now, (p, sp, np)).await,
    };
    match stated {
        Ok((policy, tag)) => {
            let effective = if record.testing {
                policy.one_lower()
            } else {
                policy
            };
            discovery.applied = Some(Applied {
                record,
                at,
                publisher,
                policy,
                tag,
                effective,
            });
        }
        Err(failure) => discovery.failed = Some(failure),
    }
    discovery
}

impl Walk {
    /// The author domain's record, else the organizational domain's, else the public suffix's.
    fn applicable(&self) -> Option<(Box<str>, Publisher, Arc<Record>)> {
        if let Some(record) = self.own() {
            return Some((self.start.clone(), Publisher::AuthorDomain, record.clone()));
        }
        let organizational = self.organizational()?;
        if let Some(record) = self.at(organizational) {
            return Some((
                organizational.into(),
                Publisher::OrganizationalDomain,
                record.clone(),
            ));
        }
        let mut suffixes = self
            .found
            .iter()
            .filter(|(_, record)| record.psd == Psd::Yes);
        let (at, record) = suffixes.next()?;
        Some((at.clone(), Publisher::PublicSuffix, record.clone()))
    }
}

type Policies = (Policy, Option<Policy>, Option<Policy>);

impl Discovery {
    /// The policy for a subdomain. Whether it exists is asked for only where it makes a difference.
    async fn below<A: Ask>(
        &mut self,
        ask: &A,
        now: Timestamp,
        stated: Policies,
    ) -> Result<(Policy, Tag), DnsFailure> {
        let (p, sp, np) = stated;
        let existing = sp.map_or((p, Tag::P), |sp| (sp, Tag::Sp));
        let Some(np) = np else {
            return Ok(existing);
        };
        match self.exists(ask, now).await {
            Ok(true) => Ok(existing),
            Ok(false) => Ok((np, Tag::Np)),
            Err(_) if np == existing.0 => Ok(existing),
            Err(failure) => Err(failure),
        }
    }

    /// NXDOMAIN alone says that a name does not exist (RFC 9989 §3.2, RFC 8020).
    async fn exists<A: Ask>(&mut self, ask: &A, now: Timestamp) -> Result<bool, DnsFailure> {
        let Some(name) = askable(&self.domain) else {
            return Ok(false);
        };
        match ask.ask(name, RecordType::A).await {
            Ok(records) => {
                self.expires = self.expires.min(records.expires);
                Ok(true)
            }
            Err(DnsFailure::NoSuchDomain(_)) => {
                self.expires = self.expires.min(now + NO_NAME_HOLD);
                Ok(false)
            }
            Err(failure) => {
                self.expires = self.expires.min(now + FAILURE_HOLD);
                Err(failure)
            }
        }
    }

    /// Whether an authenticated domain, in A-labels and lower case, speaks for the From domain; `None` where nobody
    /// knows now. `organization` is that of the authenticated domain; it is not looked at where the names are equal.
    pub fn aligned(&self, mode: Mode, domain: &str, organization: Option<&str>) -> Option<bool> {
        if *self.domain == *domain {
            return Some(true);
        }
        if mode == Mode::Strict {
            return Some(false);
        }
        Some(self.walk.organizational()? == organization?)
    }

    /// RFC 9989 §5.3: one aligned identifier that passes is enough; one that might have passed leaves the question
    /// open. `identifiers` holds, for SPF and each signature, whether it passes and whether it is aligned.
    pub fn result(
        &self,
        identifiers: impl IntoIterator<Item = (Option<bool>, Option<bool>)>,
    ) -> DmarcResult {
        if self.failed.is_some() {
            return DmarcResult::TempError;
        }
        if self.applied.is_none() {
            return DmarcResult::None;
        }
        let mut result = DmarcResult::Fail;
        for (passes, aligned) in identifiers {
            match (passes, aligned) {
                (Some(true), Some(true)) => return DmarcResult::Pass,
                (Some(false), _) | (_, Some(false)) => {}
                _ => result = DmarcResult::TempError,
            }
        }
        result
    }
}

impl DmarcResult {
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::TempError => "temperror",
        }
    }
}

//! DMARC aggregate reports: RFC 9990, RFC 7489 appendix C, and the drafts before them.
//!
//! Read as leniently as they are written: elements may be missing, unknown, doubled, in any namespace, words in any case.
//! What may not be missing is what a report is for: its domain, its period, and how many messages each record counts.

mod reader;
mod tally;

pub use reader::read;
pub use tally::{Source, Tally};

use super::period::Period;
use serde::Serialize;
use std::net::IpAddr;

/// What one receiver saw of the mail of one domain in a period.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Aggregate {
    /// `None` where the report leaves it empty.
    pub organization: Option<String>,
    pub email: Option<String>,
    pub id: Option<String>,
    pub period: Period,
    /// In lower case and A-labels.
    pub domain: String,
    pub policy: Published,
    pub records: Vec<Record>,
    /// What the reporter had trouble with.
    pub errors: Vec<String>,
}

/// The DMARC record as the reporter saw it. Words in lower case; `None` where the report is silent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Published {
    pub p: Option<String>,
    pub sp: Option<String>,
    pub np: Option<String>,
    pub adkim: Option<String>,
    pub aspf: Option<String>,
    pub pct: Option<String>,
    pub fo: Option<String>,
    pub testing: Option<String>,
    pub discovery_method: Option<String>,
}

/// Messages from one address that fared alike.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Record {
    /// `None` where what stands there is no address.
    pub source: Option<IpAddr>,
    pub count: u64,
    pub disposition: Disposition,
    /// DKIM passed, aligned with the From domain.
    pub dkim: bool,
    /// SPF passed, aligned.
    pub spf: bool,
    /// Why the policy was not applied: `forwarded`, `mailing_list`, `sampled_out`, …
    pub reasons: Vec<String>,
    pub header_from: Option<String>,
    pub envelope_from: Option<String>,
    pub envelope_to: Option<String>,
    /// What was found of each signature, whether aligned or not.
    pub signatures: Vec<AuthResult>,
    pub spf_results: Vec<AuthResult>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AuthResult {
    pub domain: Option<String>,
    pub selector: Option<String>,
    /// `mfrom` or `helo`.
    pub scope: Option<String>,
    pub result: Option<String>,
}

/// What the receiver did with the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Disposition {
    /// Nothing, by the policy: `none` though they failed, or because they passed.
    None,
    /// They passed (RFC 9990).
    Pass,
    Quarantine,
    Reject,
    /// The report does not say, or not in a word that is known.
    #[default]
    Unknown,
}

impl Disposition {
    fn of(word: &str) -> Self {
        match word {
            "none" | "deliver" | "delivered" => Self::None,
            "pass" => Self::Pass,
            "quarantine" | "quarantined" => Self::Quarantine,
            "reject" | "rejected" => Self::Reject,
            _ => Self::Unknown,
        }
    }
}

impl Record {
    /// One of the two is enough (RFC 9989).
    pub fn passes(&self) -> bool {
        self.dkim || self.spf
    }

    /// By what the receiver says. `sampled_out` and `other` say nothing of the kind.
    pub fn is_forwarded(&self) -> bool {
        let forwards = [
            "forwarded",
            "mailing_list",
            "trusted_forwarder",
            "local_policy",
        ];
        let mut reasons = self.reasons.iter();
        reasons.any(|reason| forwards.contains(&reason.as_str()))
    }
}

#[cfg(test)]
mod tests;

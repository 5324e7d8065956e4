//! What came of a check.

use super::SpfError;
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// RFC 7208 §2.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpfResult {
    /// The domain says nothing, or is no domain.
    None,
    /// The domain says that it says nothing.
    Neutral,
    Pass,
    Fail,
    SoftFail,
    TempError,
    PermError,
}

/// Whose domain is checked (RFC 7208 §2.3, §2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Identity {
    MailFrom,
    /// The return path is empty: the name given in EHLO stands for it.
    Helo,
}

/// The result, and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub result: SpfResult,
    /// The domain whose policy was asked for, in A-labels.
    pub domain: Box<str>,
    pub identity: Identity,
    /// The mechanism that matched, as written but for its qualifier; `default` where none did (RFC 7208 §9.1); `None`
    /// where the record was not evaluated to its end.
    pub mechanism: Option<Box<str>>,
    /// What the domain has to say about a `fail` (RFC 7208 §6.2). Text of strangers: printable ASCII.
    pub explanation: Option<Box<str>>,
    /// Terms that asked DNS, of the ten allowed.
    pub lookups: u8,
    /// Terms that found nothing there, of the two allowed.
    pub voids: u8,
    pub error: Option<SpfError>,
    /// The terms that asked DNS, and the one that decided, in order.
    pub trace: Vec<Step>,
    /// A macro took the local part of the return path: another address of the domain may fare otherwise.
    pub personal: bool,
    /// The answer may be used until then.
    pub expires: Timestamp,
}

/// A term on the way to the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Whose record it stands in.
    pub domain: Box<str>,
    /// How many `include` and `redirect` lead there.
    pub depth: u8,
    /// As written.
    pub term: Box<str>,
    /// `None` while it is being looked at, and for ever if that ended in an error.
    pub matched: Option<bool>,
}

impl SpfResult {
    /// As RFC 8601 §2.7.2 writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Neutral => "neutral",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

impl fmt::Display for SpfResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `example.com: include:_spf.example.net did not match`.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.matched {
            Some(true) => "matched",
            Some(false) => "did not match",
            None => "could not be decided",
        };
        write!(f, "{}: {} {outcome}", self.domain, self.term)
    }
}

//! `[suppression]` as written.

use super::entry::Scope;
use crate::problem::Problems;
use crate::units::Span;
use serde::{Deserialize, Serialize};

/// `[suppression]`: who is not written to any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// For whose mail an address is suppressed that bounced: "global" is everybody's, "tenant" the sender's.
    pub bounces: Reach,
    /// So many messages to an address that fail softly (mailbox full) within `soft_window`, with no delivery between,
    /// suppress it.
    pub soft_limit: u8,
    pub soft_window: Span,
    /// For how long the first time; each further time twice as long.
    pub soft_for: Span,
    /// What becomes of mail to a suppressed recipient at submission: "reject" at RCPT (550), or "drop" with an event.
    pub at_submission: AtSubmission,
    /// What transactional mail does while the list cannot be read. Marketing mail always waits.
    pub transactional_unchecked: Unchecked,
    /// Keep the address, the note and the history of each entry beside its mark: for `list` and `export`.
    pub records: bool,
    /// Entries that are expected, in powers of two times 100 (10: 100 thousand, 17: 13 million, 23: 840 million). Can be
    /// chosen before the first entry only.
    pub size: u8,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    #[default]
    Global,
    Tenant,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum AtSubmission {
    #[default]
    Reject,
    Drop,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Unchecked {
    #[default]
    Wait,
    Send,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bounces: Reach::Global,
            soft_limit: 5,
            soft_window: Span::days(14),
            soft_for: Span::days(30),
            at_submission: AtSubmission::Reject,
            transactional_unchecked: Unchecked::Wait,
            records: true,
            size: 17,
        }
    }
}

impl Config {
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if !(4..=30).contains(&self.size) {
            problems.add(
                format!("{at}.size"),
                format!("{} is not from 4 to 30", self.size),
                "write 17 for up to 13 million entries, one more for each doubling",
            );
        }
        if !(1..=60).contains(&self.soft_limit) {
            problems.add(
                format!("{at}.soft_limit"),
                format!("{} is not from 1 to 60", self.soft_limit),
                "write such as 5",
            );
        }
        if self.soft_for.0.is_zero() {
            problems.add(
                format!("{at}.soft_for"),
                "a suppression of no time suppresses nothing",
                "write such as \"30d\"",
            );
        }
    }

    /// For whose mail an address is suppressed whose mail of this tenant bounced.
    pub fn reach(&self, tenant: Option<&str>) -> Scope {
        match (self.bounces, tenant) {
            (Reach::Tenant, Some(tenant)) => Scope::Tenant(tenant.into()),
            _ => Scope::Global,
        }
    }
}

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
    /// The key that addresses are hashed with, `"file:PATH"` or `"env:NAME"`, of 32 octets or more; absent: one that is kept
    /// in the store beside the hashes. With a key of yours, and `records = false`, the store alone says nothing of who is
    /// on the list. Chosen before the first entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_key: Option<String>,
    /// Keep the address, the note and the history of each entry beside its mark: for `list` and `export`.
    pub records: bool,
    /// Entries that are expected, in powers of two times 100 (10: 100 thousand, 17: 13 million, 23: 840 million). Can be
    /// chosen before the first entry only.
    pub size: u8,
}

/// `[tenant.suppression]`: what one tenant has otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TenantConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounces: Option<Reach>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_limit: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_window: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_for: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_submission: Option<AtSubmission>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transactional_unchecked: Option<Unchecked>,
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
            hash_key: None,
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
        validate_soft(at, self.soft_limit, self.soft_for, problems);
    }

    /// As it is for one tenant.
    pub fn of(&self, own: &TenantConfig) -> Self {
        Self {
            bounces: own.bounces.unwrap_or(self.bounces),
            soft_limit: own.soft_limit.unwrap_or(self.soft_limit),
            soft_window: own.soft_window.unwrap_or(self.soft_window),
            soft_for: own.soft_for.unwrap_or(self.soft_for),
            at_submission: own.at_submission.unwrap_or(self.at_submission),
            transactional_unchecked: own
                .transactional_unchecked
                .unwrap_or(self.transactional_unchecked),
            ..self.clone()
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

impl TenantConfig {
    /// Nothing is otherwise.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub fn validate(&self, at: &str, problems: &mut Problems) {
        let all = Config::default();
        let limit = self.soft_limit.unwrap_or(all.soft_limit);
        validate_soft(at, limit, self.soft_for.unwrap_or(all.soft_for), problems);
    }
}

fn validate_soft(at: &str, limit: u8, span: Span, problems: &mut Problems) {
    if !(1..=60).contains(&limit) {
        problems.add(
            format!("{at}.soft_limit"),
            format!("{limit} is not from 1 to 60"),
            "write such as 5",
        );
    }
    if span.0.is_zero() {
        problems.add(
            format!("{at}.soft_for"),
            "a suppression of no time suppresses nothing",
            "write such as \"30d\"",
        );
    }
}

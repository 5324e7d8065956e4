//! What receivers say when they refuse, the notices we write (RFC 3464), and what lets answers find their message.

mod help;
pub mod notice;
pub mod replies;
pub mod report;
pub mod return_path;
pub mod rules;
pub mod stamps;
pub mod token;

use crate::mail::{Finding, Reply};
use crate::problem::Problems;
use crate::units::Span;
use serde::{Deserialize, Serialize};

/// What follows from a reply that is not positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a refusal that nobody acts on is mail that waits for ever"]
pub enum Fate {
    /// Try again later.
    Defer(Finding),
    /// Give up.
    Bounce(Finding),
}

impl Fate {
    /// Only 5xx is given up (RFC 5321 §4.2.1).
    pub fn of(reply: &Reply, finding: Finding) -> Self {
        match reply.is_permanent() {
            true => Self::Bounce(finding),
            false => Self::Defer(finding),
        }
    }
}

/// Who is told by mail what became of their message.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Notices {
    /// Where the sender asked with NOTIFY (RFC 3461). Platforms that read events need no more.
    #[default]
    Requested,
    /// Also of every failure for which the sender did not say NOTIFY.
    Failures,
    /// Nobody, even where NOTIFY asks.
    Never,
}

/// `[bounce]`: what is done when mail fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Notices by mail to the return path (RFC 3464): "requested" where the sender asked with NOTIFY, "failures" also
    /// of every failure without NOTIFY, "never" none at all. Mail with an empty return path never gets one.
    pub notices: Notices,
    /// A sender that asked for it (NOTIFY=DELAY) is told when a message has waited this long.
    pub delay_after: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            notices: Notices::default(),
            delay_after: Span::hours(4),
        }
    }
}

impl Config {
    /// Every value that can be written is valid.
    pub fn validate(&self, _at: &str, _problems: &mut Problems) {}
}

//! Reputations as the API tells of them.

use crate::bounce::replies::ReplyPattern;
use crate::outside::Book;
use crate::policy::reputation::{Hold, Row, Slow, Stopped, Window};
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The query of `GET /api/v1/reputation`; the answer is a [`Report`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WhichReputation {
    /// `source`, `pool`, `provider`, `pair`, `tenant`, `campaign`, `stream`, `domain`, several with commas; empty: all.
    pub by: String,
    /// `15m`, `1h`, `24h`, `7d` or `30d`.
    pub since: String,
    /// Patterns of replies at most.
    pub replies: usize,
}

impl Default for WhichReputation {
    fn default() -> Self {
        Self {
            by: String::new(),
            since: "24h".to_owned(),
            replies: 20,
        }
    }
}

/// What became of mail within a window up to now, why, and what was done about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub since: Window,
    pub at: Timestamp,
    /// Rates by slice, the worst first.
    pub slices: Vec<Row>,
    /// What mail was deferred or refused with by this node's connections, the most frequent first.
    pub replies: Vec<ReplyPattern>,
    /// What the suppression list took in and stopped, that which stopped most first.
    pub suppressed: Vec<Stopped>,
    /// What others see wrong with our sources and domains, and when certificates expire.
    #[serde(default)]
    pub outside: Book,
}

/// The body of `POST /api/v1/reputation/release`: a slice that is held may send again, and is counted anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// As the report writes it: `campaign/acme/spring`.
    pub slice: String,
    /// Who, and why: for the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What was let go; empty where it was neither held nor slowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Released {
    pub released: Vec<Arc<Hold>>,
    #[serde(default)]
    pub eased: Vec<Arc<Slow>>,
}

//! Reputations as the API tells of them.

use crate::policy::reputation::Hold;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The query of `GET /api/v1/reputation`. The answer is a list of [`crate::policy::reputation::Row`]s, the worst first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WhichReputation {
    /// `source`, `pool`, `provider`, `pair`, `tenant`, `campaign`, `stream`, `domain`, several with commas; empty: all.
    pub by: String,
    /// `15m`, `1h`, `24h`, `7d` or `30d`.
    pub since: String,
}

impl Default for WhichReputation {
    fn default() -> Self {
        Self {
            by: String::new(),
            since: "24h".to_owned(),
        }
    }
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

/// What was let go; empty where it was not held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Released {
    pub released: Vec<Arc<Hold>>,
}

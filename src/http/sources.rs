//! Our addresses as the API tells of them.

use crate::policy::suspension::Suspension;
use crate::policy::warmup::Position;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// One source. `GET /api/v1/sources` answers with all of them, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceEntry {
    pub name: String,
    /// Absent: the kernel chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The address was one of this machine when last looked at; otherwise the source is left out.
    pub present: bool,
    pub ehlo: String,
    /// The pools it is a member of.
    pub pools: Vec<Membership>,
    /// The source as a whole; absent where it does not warm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup: Option<Position>,
    /// What it is kept from, until when and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspensions: Vec<Arc<Suspension>>,
}

/// A source's part in a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    pub name: String,
    /// Its share, relative to the other members.
    pub weight: u32,
}

/// The body of `POST /api/v1/sources/lift`: suspensions that end. Neither `site` nor `provider`: all of the source's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lift {
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Excludes `site`: the suspension from the provider as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// A note for the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The suspensions that have ended; empty where there was none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lifted {
    pub lifted: Vec<Arc<Suspension>>,
}

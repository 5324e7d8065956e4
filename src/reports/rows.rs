//! What reports come to, by domain, source and day; and added up, as it is shown.

use super::dmarc::{Published, Tally};
use super::figures::{Provider, Value};
use super::period::Day;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Messages of a domain from an address on a day, by all reporters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SourceDay {
    pub tally: Tally,
    /// Which of our sources the address was.
    pub ours: Option<String>,
    /// When the last report came, in seconds.
    pub seen: u64,
    /// That it failed is told already.
    pub told: bool,
}

/// What a reporter says of the sessions to a domain on a day.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TlsDay {
    pub success: u64,
    pub failure: u64,
    pub failure_types: BTreeMap<String, u64>,
    pub seen: u64,
}

/// The policy that was published last, as a reporter saw it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PolicySeen {
    pub p: Option<String>,
    pub sp: Option<String>,
    pub pct: Option<String>,
    pub testing: Option<String>,
    /// The end of its report, in seconds.
    pub end: u64,
    pub seen: u64,
}

impl PolicySeen {
    pub fn of(policy: &Published, end: u64, seen: u64) -> Self {
        Self {
            p: policy.p.clone(),
            sp: policy.sp.clone(),
            pct: policy.pct.clone(),
            testing: policy.testing.clone(),
            end,
            seen,
        }
    }
}

/// A source of a domain over several days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceRow {
    pub domain: String,
    /// `null`: what the reports have there is no address, or there were too many of them.
    pub source_ip: Option<IpAddr>,
    /// Which of our sources it is, or was.
    pub source: Option<String>,
    #[serde(flatten)]
    pub tally: Tally,
    /// On how many days it was seen, and on which first and last.
    pub days: u64,
    pub first: Day,
    pub last: Day,
}

/// Sessions to a domain over several days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TlsRow {
    pub domain: String,
    pub organization: String,
    pub success: u64,
    pub failure: u64,
    pub failure_types: BTreeMap<String, u64>,
    pub first: Day,
    pub last: Day,
}

/// Figures of a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FigureRow {
    pub provider: Provider,
    pub subject: String,
    pub day: Day,
    pub values: BTreeMap<String, Value>,
}

/// Everything that is known, added up.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Shown {
    /// The most messages first.
    pub sources: Vec<SourceRow>,
    pub tls: Vec<TlsRow>,
    pub figures: Vec<FigureRow>,
    /// By domain, as reporters saw them last.
    pub policies: BTreeMap<String, PolicySeen>,
    /// By domain: on how many days there was a report.
    pub days: BTreeMap<String, u64>,
    /// There is more than is shown.
    pub more: bool,
}

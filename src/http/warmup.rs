//! What operators ask of warm-ups.

use crate::policy::warmup::{Position, Stage};
use crate::units::{Span, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};

/// The query of `GET /api/v1/warmup`: what is left out fits all. The answer is a list of [`Position`]s.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WhichWarmup {
    pub source: Option<String>,
    /// `*` is the source as a whole.
    pub provider: Option<String>,
}

/// The order of `POST /api/v1/warmup/{pause|resume|set}`, answered with [`Steered`].
#[derive(Debug, Clone, PartialEq)]
pub enum Steer {
    Pause(Pause),
    Resume(Resume),
    Set(Set),
}

/// Nothing is sent, until an instant or until it is resumed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    pub source: String,
    /// Absent or `*`: all mail of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// A note for the event and for `warmup show`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// RFC 3339. Absent: until it is resumed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read_until"
    )]
    pub until: Option<Timestamp>,
    /// `for`, such as `4h`: excludes `until`.
    #[serde(
        rename = "for",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read_span"
    )]
    pub span: Option<Span>,
}

impl Pause {
    /// When it ends, where that is said.
    pub fn ends(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.or_else(|| Some(now + self.span?.0))
    }
}

/// A pause ends, whoever began it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    pub source: String,
    /// Absent or `*`: the source as a whole, and each provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

/// Another stage: a number from 1, or `"warm"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    pub source: String,
    /// Absent or `*`: the source as a whole, and each provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    pub stage: Stage,
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Steered {
    /// False where there was nothing to do: nothing was paused.
    pub done: bool,
    /// Where the mail concerned is now.
    pub positions: Vec<Position>,
}

/// With the key and the remedy, which the text of a date has not.
fn read_until<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    Option::deserialize(deserializer).map_err(|error: D::Error| {
        let remedy = "write a date of RFC 3339 such as \"2026-11-01T08:00:00Z\"";
        serde::de::Error::custom(format!("until: {remedy}: {error}"))
    })
}

fn read_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Span>, D::Error> {
    Option::deserialize(deserializer)
        .map_err(|error: D::Error| serde::de::Error::custom(format!("for: {error}")))
}

impl Steer {
    pub fn source(&self) -> &str {
        match self {
            Self::Pause(Pause { source, .. })
            | Self::Resume(Resume { source, .. })
            | Self::Set(Set { source, .. }) => source,
        }
    }

    pub fn provider(&self) -> Option<&str> {
        match self {
            Self::Pause(Pause { provider, .. })
            | Self::Resume(Resume { provider, .. })
            | Self::Set(Set { provider, .. }) => provider.as_deref(),
        }
    }
}

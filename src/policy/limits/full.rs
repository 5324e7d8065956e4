//! How much of a limit is used, and what a refused caller is told.

use super::Of;
use super::cells::Moment;
use super::rules::Number;
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What is counted. As JSON, and in a table of limits, the key: `messages`, `connection_rate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Messages,
    Connections,
    ConnectionRate,
    Bytes,
}

/// A limit lets nothing through now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Full {
    pub kind: Kind,
    pub of: Of,
    /// The number as configured: `100/min`, `20`, `10MB/s`.
    pub limit: Arc<str>,
    /// Of a rate, what was taken in this second, minute, hour or day of the clock (UTC); of connections, those open; of
    /// bytes, the octets that were sent and are not paid for.
    pub used: u64,
    /// Where the number is configured: `source[0].limits.messages`.
    pub key: Arc<str>,
    /// When to ask again: a turn of the caller's own. Asking sooner is a further caller in the line. Where tenants and
    /// campaigns share the limit, it goes by their shares and may be later than the limit has room.
    pub until: Timestamp,
}

/// One configured number, and how much of it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    pub kind: Kind,
    pub of: Of,
    /// As in [`Full`].
    pub limit: Arc<str>,
    /// As in [`Full`]; of bytes that are paid for, the octets of this second.
    pub used: u64,
    /// As in [`Full`].
    pub key: Arc<str>,
    /// When something is free again; `None` where it is now, but for who comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A number as configured, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub limit: Arc<str>,
    pub key: Arc<str>,
}

/// What one number says now; [`Full`] and [`Fill`] without what they are of.
pub(super) struct State<U> {
    pub kind: Kind,
    pub name: Name,
    pub used: u64,
    pub until: U,
}

impl Name {
    pub fn of<T: fmt::Display>(number: &Number<T>) -> Self {
        Self {
            limit: number.value.to_string().into(),
            key: Arc::clone(&number.key),
        }
    }
}

impl State<Moment> {
    pub fn refuse(self, of: &Of) -> Full {
        Full {
            kind: self.kind,
            of: of.clone(),
            limit: self.name.limit,
            used: self.used,
            key: self.name.key,
            until: self.until.to_timestamp(),
        }
    }
}

impl State<Option<Timestamp>> {
    pub fn fill(self, of: &Of) -> Fill {
        Fill {
            kind: self.kind,
            of: of.clone(),
            limit: self.name.limit,
            used: self.used,
            key: self.name.key,
            until: self.until,
        }
    }
}

impl Kind {
    /// Its key in a table of limits.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Connections => "connections",
            Self::ConnectionRate => "connection_rate",
            Self::Bytes => "bytes",
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Connections => "at a time",
            Self::ConnectionRate => "connections",
            Self::Bytes => "octets",
        }
    }
}

/// `source ip-a at mx.example.net: 100/min messages (limits.site.messages)`.
impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, noun) = (&self.limit, self.kind.noun());
        write!(f, "{}: {limit} {noun} ({})", self.of, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_limit_says_which_line_to_change_and_reads_back_from_json() {
        let full = Full {
            kind: Kind::ConnectionRate,
            of: Of::Tenant {
                tenant: "acme".into(),
            },
            limit: "60/min".into(),
            used: 60,
            key: "tenant[1].limits.connection_rate".into(),
            until: Timestamp::from_millis(1_000),
        };
        assert_eq!(
            full.to_string(),
            "tenant acme: 60/min connections (tenant[1].limits.connection_rate)"
        );
        let json = serde_json::to_string(&full).unwrap();
        assert!(json.starts_with(r#"{"kind":"connection_rate","of":{"on":"tenant""#));
        assert_eq!(serde_json::from_str::<Full>(&json).unwrap(), full);
    }
}

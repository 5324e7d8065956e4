//! `[inbound]`: limits of what may come in, and of what is kept for a person.

use crate::problem::Problems;
use crate::units::Size;
use serde::{Deserialize, Serialize};

/// Limits of listeners with role = "inbound", in place of those of `[smtp]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Inbound")]
pub struct Config {
    /// Largest message. It is held in memory while it comes in and is read.
    pub max_message: Size,
    /// Recipients of one message.
    pub max_recipients: usize,
    /// Connections of all these listeners together; a newcomer beyond it is answered 421.
    pub max_connections: usize,
    /// Connections from one address; a newcomer beyond it is answered 421.
    pub max_connections_per_address: usize,
    /// Messages kept for a person in `data_dir/inbound/unread`; beyond it the oldest go.
    pub unread_count: usize,
    /// Their octets together; beyond it the oldest go.
    pub unread_size: Size,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_message: Size::mib(1),
            max_recipients: 10,
            max_connections: 100,
            max_connections_per_address: 20,
            unread_count: 1000,
            unread_size: Size::mib(100),
        }
    }
}

impl Config {
    /// Adds what is wrong. `at` is the key of this section.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        let counts = [
            ("max_recipients", self.max_recipients),
            ("max_connections", self.max_connections),
            (
                "max_connections_per_address",
                self.max_connections_per_address,
            ),
            ("unread_count", self.unread_count),
        ];
        for (key, _) in counts.iter().filter(|(_, count)| *count == 0) {
            let key = format!("{at}.{key}");
            problems.add(key, "zero would keep out everything", "write 1 or more");
        }
        if self.max_message.0 < SMALLEST {
            problems.add(
                format!("{at}.max_message"),
                format!("{} is less than many notices have", self.max_message),
                "write \"64KiB\" or more",
            );
        }
        if self.unread_size < self.max_message {
            problems.add(
                format!("{at}.unread_size"),
                "it has no room for one message",
                "write max_message or more",
            );
        }
    }
}

/// RFC 5321 §4.5.3.1.7.
const SMALLEST: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_would_keep_out_everything_are_told() {
        let mut problems = Problems::default();
        Config::default().validate("inbound", &mut problems);
        assert!(problems.0.is_empty());
        let bad = Config {
            max_message: Size(10),
            max_recipients: 0,
            unread_size: Size(1),
            ..Config::default()
        };
        bad.validate("inbound", &mut problems);
        let keys: Vec<_> = problems.0.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "inbound.max_recipients",
                "inbound.max_message",
                "inbound.unread_size"
            ]
        );
    }
}

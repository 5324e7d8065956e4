//! `[reports.tls]`: whether others are told of TLS to their hosts, and in whose name.

use crate::mail::Address;
use crate::problem::Problems;
use crate::units::Span;
use serde::{Deserialize, Serialize};

/// TLS reports of our own sending (RFC 8460).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "TlsReports")]
pub struct Config {
    /// Send them. Left out: where `organization` and `from` are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Who reports.
    pub organization: String,
    /// The address that reports come from by mail. A key of [[dkim]] must sign for its domain.
    pub from: String,
    /// Whom to ask about a report: an address or a URL. Empty: `from`.
    pub contact: String,
    /// Reports of a day leave within this time behind its end, so that not all of the world's come at midnight.
    pub spread: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: None,
            organization: String::new(),
            from: String::new(),
            contact: String::new(),
            spread: Span::hours(4),
        }
    }
}

/// The longest time that reports may be spread over: they are of yesterday.
const MOST_SPREAD: Span = Span::hours(20);

impl Config {
    /// Adds what is wrong. `at` is the key of this section.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        let is_wanted = self.enabled.unwrap_or_else(|| self.is_begun());
        for (key, text) in [("organization", &self.organization), ("from", &self.from)] {
            if is_wanted && text.is_empty() {
                problems.add(
                    format!("{at}.{key}"),
                    "is empty, and reports say who sends them",
                    "write organization and from, or enabled = false",
                );
            }
        }
        for (key, text) in [
            ("organization", &self.organization),
            ("contact", &self.contact),
        ] {
            if text.chars().any(char::is_control) || text.len() > 255 {
                problems.add(
                    format!("{at}.{key}"),
                    "is longer than 255 octets, or has control characters",
                    "write a short text",
                );
            }
        }
        if !self.from.is_empty() && self.sender().is_none() {
            problems.add(
                format!("{at}.from"),
                format!("\"{}\" is no address that anybody can answer", self.from),
                "write one such as \"tls-reports@example.com\"",
            );
        }
        if self.spread > MOST_SPREAD {
            problems.add(
                format!("{at}.spread"),
                format!("{} is too long: reports are of the day before", self.spread),
                format!("write \"{MOST_SPREAD}\" or less"),
            );
        }
    }

    /// Reports are sent.
    pub fn is_on(&self) -> bool {
        let is_whole = !self.organization.is_empty() && self.sender().is_some();
        self.enabled.unwrap_or(true) && is_whole
    }

    /// The address that they come from.
    pub fn sender(&self) -> Option<Address> {
        let sender: Option<Address> = self.from.parse().ok();
        sender.filter(Address::is_ascii)
    }

    /// Whom to ask about them.
    pub fn contact(&self) -> &str {
        match self.contact.is_empty() {
            true => &self.from,
            false => &self.contact,
        }
    }

    fn is_begun(&self) -> bool {
        !self.organization.is_empty() || !self.from.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(config: &Config) -> Vec<String> {
        let mut problems = Problems::default();
        config.validate("reports.tls", &mut problems);
        problems.0.into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn reports_go_where_it_is_said_who_sends_them() {
        let none = Config::default();
        assert!(!none.is_on() && keys(&none).is_empty());
        let whole = Config {
            organization: "Acme".into(),
            from: "tls@acme.example".into(),
            ..Config::default()
        };
        assert!(whole.is_on() && keys(&whole).is_empty());
        assert_eq!(whole.contact(), "tls@acme.example");
        let off = Config {
            enabled: Some(false),
            ..whole
        };
        assert!(!off.is_on() && keys(&off).is_empty());
    }

    #[test]
    fn what_cannot_be_sent_is_told() {
        let half = Config {
            from: "nobody".into(),
            contact: "a\r\nb".into(),
            spread: Span::days(2),
            ..Config::default()
        };
        let expected = ["organization", "contact", "from", "spread"];
        assert_eq!(
            keys(&half),
            expected.map(|key| format!("reports.tls.{key}"))
        );
        let wanted = Config {
            enabled: Some(true),
            ..Config::default()
        };
        assert_eq!(
            keys(&wanted),
            ["organization", "from"].map(|key| format!("reports.tls.{key}"))
        );
    }
}

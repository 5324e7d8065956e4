//! `[reports]`: where reports come in, whose they may be, and from when on somebody is told.

use crate::mail::Address;
use crate::problem::Problems;
use crate::units::Span;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Reports of others about our mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Reports")]
pub struct Config {
    /// Where DMARC aggregate reports (rua=mailto: of DMARC records) and TLS reports (of TLS-RPT records) come to, on a
    /// listener with role = "inbound".
    pub addresses: Vec<String>,
    /// Domains that reports may be about, beside those of tenants, of [[dkim]] and of [return_path], and what is above or
    /// below them. A report that comes by mail and is about others is kept for a person.
    pub domains: Vec<String>,
    /// What reports say is kept as long, from when they came.
    pub keep: Span,
    /// An event tells that our own mail fails: so many messages of a domain from one of our sources on one day passed
    /// neither DKIM nor SPF.
    pub own_failing: u64,
    /// An event tells that somebody else sends as us: so many from an address that is none of our sources failed.
    pub foreign_failing: u64,
    /// TLS reports of our own sending, to the domains that want them.
    pub tls: crate::tlsrpt::config::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            domains: Vec::new(),
            keep: Span::days(400),
            own_failing: 1,
            foreign_failing: 10,
            tls: crate::tlsrpt::config::Config::default(),
        }
    }
}

impl Config {
    /// Adds what is wrong. `at` is the key of this section.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        for (i, address) in self.addresses.iter().enumerate() {
            if address.parse::<Address>().is_err() {
                problems.add(
                    format!("{at}.addresses[{i}]"),
                    format!("\"{address}\" is no address"),
                    "write one such as \"dmarc-reports@example.com\"",
                );
            }
        }
        self.tls.validate(&format!("{at}.tls"), problems);
        for (i, domain) in self.domains.iter().enumerate() {
            if super::text::domain(domain).is_none() {
                problems.add(
                    format!("{at}.domains[{i}]"),
                    format!("\"{domain}\" is no domain"),
                    "write one such as \"example.com\"",
                );
            }
        }
        if self.keep < Span::days(1) {
            problems.add(
                format!("{at}.keep"),
                format!("{} is too short: reports are of days", self.keep),
                "write \"1d\" or more",
            );
        }
        for (key, count) in [
            ("own_failing", self.own_failing),
            ("foreign_failing", self.foreign_failing),
        ] {
            if count == 0 {
                let key = format!("{at}.{key}");
                problems.add(key, "zero would tell of everything", "write 1 or more");
            }
        }
    }

    /// The addresses; those that are none are left out.
    pub fn addresses(&self) -> Vec<Address> {
        let addresses = self.addresses.iter();
        addresses
            .filter_map(|address| address.parse().ok())
            .collect()
    }

    /// With what else is ours: domains that we send from, and sources by address.
    pub fn settings<'a>(
        &'a self,
        domains: impl IntoIterator<Item = &'a str>,
        sources: impl IntoIterator<Item = (IpAddr, &'a str)>,
    ) -> Settings {
        let own = self.domains.iter().map(String::as_str);
        let sources = sources.into_iter();
        Settings {
            domains: own.chain(domains).filter_map(super::text::domain).collect(),
            sources: sources
                .map(|(address, name)| (address.to_canonical(), name.into()))
                .collect(),
            keep: self.keep,
            own_failing: self.own_failing,
            foreign_failing: self.foreign_failing,
        }
    }
}

/// What reports are held against.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    pub domains: BTreeSet<String>,
    pub sources: BTreeMap<IpAddr, Arc<str>>,
    pub keep: Span,
    pub own_failing: u64,
    pub foreign_failing: u64,
}

impl Settings {
    /// Whether a report may be about `domain`: one of ours, one below, or the organisation's above it.
    pub fn is_ours(&self, domain: &str) -> bool {
        let is_below = |domain: &str, above: &str| {
            domain
                .strip_suffix(above)
                .is_some_and(|rest| rest.ends_with('.'))
        };
        let mut own = self.domains.iter();
        own.any(|own| {
            let is_above = domain.contains('.') && is_below(own, domain);
            own == domain || is_below(domain, own) || is_above
        })
    }

    /// Which of our sources an address is.
    pub fn source(&self, address: Option<IpAddr>) -> Option<&Arc<str>> {
        self.sources.get(&address?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_and_below_our_domains_is_ours() {
        let settings = Config::default().settings(["Mail.Acme.Example", "not a domain"], []);
        for (domain, expected) in [
            ("mail.acme.example", true),
            ("news.mail.acme.example", true),
            ("acme.example", true),
            ("example", false),
            ("other.example", false),
            ("amail.acme.example", false),
        ] {
            assert_eq!(settings.is_ours(domain), expected, "{domain}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let mut problems = Problems::default();
        Config::default().validate("reports", &mut problems);
        assert!(problems.0.is_empty());
        let bad = Config {
            addresses: vec!["nobody".into()],
            domains: vec!["a b".into()],
            keep: Span::hours(1),
            own_failing: 0,
            foreign_failing: 1,
            ..Config::default()
        };
        bad.validate("reports", &mut problems);
        let keys: Vec<_> = problems.0.iter().map(|p| p.key.as_str()).collect();
        let expected = ["addresses[0]", "domains[0]", "keep", "own_failing"];
        assert_eq!(keys, expected.map(|key| format!("reports.{key}")));
    }
}

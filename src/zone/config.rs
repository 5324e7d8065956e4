//! `[zone]`: what is published for our domains beyond what the rest of the configuration says already.

use super::template::Templates;
use crate::auth::dkim::ascii_domain;
use crate::mail::Address;
use crate::problem::Problems;
use crate::units::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// How far a domain is with DMARC (RFC 9989): what receivers do with mail that nobody of ours has sent.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// They report it.
    #[default]
    None,
    /// They put it to the spam.
    Quarantine,
    /// They refuse it.
    Reject,
}

/// How far a domain is with MTA-STS (RFC 8461 §3.2).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum MtaSts {
    /// Nothing is published.
    Off,
    /// A policy that takes an earlier one back.
    None,
    /// Failures are reported, mail goes all the same.
    #[default]
    Testing,
    /// Mail goes over verified TLS or not at all.
    Enforce,
}

/// `[zone]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Zone")]
pub struct Config {
    /// A directory of templates: a file there takes the place of the one of its name that is built in.
    pub templates: Option<PathBuf>,
    /// How long others may keep our records.
    pub ttl: Span,
    /// How far our domains are with DMARC: "none", "quarantine" or "reject".
    pub dmarc: Stage,
    /// The address that receivers send DMARC reports to. Empty: the first of `[reports] addresses`; where there is none
    /// either, none is asked for.
    pub dmarc_reports: String,
    /// The address that senders report failed encryption to (TLS-RPT). Empty: as with DMARC.
    pub tls_reports: String,
    /// How far the domains that take what comes back are with MTA-STS: "off", "none", "testing" or "enforce".
    pub mta_sts: MtaSts,
    /// The host that takes what comes back: the MX of return paths and feedback. Empty: `hostname`.
    pub mx: String,
    /// Its public addresses. Empty: those of the inbound listeners, or of the sources that have its name.
    #[schemars(with = "Vec<String>")]
    pub mx_addresses: Vec<IpAddr>,
    /// What receivers see of a source behind NAT: its address and the public one.
    #[schemars(with = "BTreeMap<String, String>")]
    pub public_addresses: BTreeMap<IpAddr, IpAddr>,
    /// What is different for one domain.
    pub domain: Vec<DomainConfig>,
}

/// `[[zone.domain]]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ZoneDomain")]
pub struct DomainConfig {
    /// The From domain.
    pub name: String,
    /// In place of `[zone] dmarc`.
    pub dmarc: Option<Stage>,
    /// In place of `[zone] dmarc_reports`.
    pub dmarc_reports: Option<String>,
    /// SPF records of other services that send as the domain.
    pub spf_include: Vec<String>,
    /// The logo for BIMI: an HTTPS address of an SVG file.
    pub bimi_logo: Option<String>,
    /// The certificate for the logo: an HTTPS address of a PEM file.
    pub bimi_certificate: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            templates: None,
            ttl: Span::hours(1),
            dmarc: Stage::None,
            dmarc_reports: String::new(),
            tls_reports: String::new(),
            mta_sts: MtaSts::Testing,
            mx: String::new(),
            mx_addresses: Vec::new(),
            public_addresses: BTreeMap::new(),
            domain: Vec::new(),
        }
    }
}

impl Stage {
    /// As the `p=` tag has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::None, Self::Quarantine, Self::Reject];
        all.into_iter()
            .find(|stage| stage.name().eq_ignore_ascii_case(name))
    }
}

impl MtaSts {
    /// As the policy has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off | Self::None => "none",
            Self::Testing => "testing",
            Self::Enforce => "enforce",
        }
    }
}

impl Config {
    /// Adds what is wrong. `at` is the key of this section.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        address(
            &self.dmarc_reports,
            &format!("{at}.dmarc_reports"),
            problems,
        );
        address(&self.tls_reports, &format!("{at}.tls_reports"), problems);
        if !self.mx.is_empty() {
            host(&self.mx, &format!("{at}.mx"), problems);
        }
        if !(1..=MOST_TTL).contains(&self.ttl.0.as_secs()) {
            problems.add(
                format!("{at}.ttl"),
                format!("{} is no time that names are kept", self.ttl),
                "write \"1s\" to \"4w\", such as \"1h\"",
            );
        }
        if let Err(wrong) = Templates::load(self.templates.as_deref()) {
            problems.0.extend(wrong.0);
        }
        for (i, domain) in self.domain.iter().enumerate() {
            domain.validate(&format!("{at}.domain[{i}]"), problems);
            let twin =
                |other: &DomainConfig| ascii_domain(&other.name) == ascii_domain(&domain.name);
            if self.domain.iter().take(i).any(twin) {
                let key = format!("{at}.domain[{i}].name");
                problems.add(key, "this domain has an entry already", "write one entry");
            }
        }
    }

    /// What is said of this domain alone.
    pub fn of(&self, domain: &str) -> Option<&DomainConfig> {
        let mut entries = self.domain.iter();
        entries.find(|entry| ascii_domain(&entry.name).is_ok_and(|name| name == domain))
    }
}

impl DomainConfig {
    fn validate(&self, at: &str, problems: &mut Problems) {
        host(&self.name, &format!("{at}.name"), problems);
        if let Some(reports) = &self.dmarc_reports {
            address(reports, &format!("{at}.dmarc_reports"), problems);
        }
        for (i, include) in self.spf_include.iter().enumerate() {
            // Names of SPF records may have underscores.
            host(
                &include.replace('_', ""),
                &format!("{at}.spf_include[{i}]"),
                problems,
            );
        }
        let links = [
            ("bimi_logo", &self.bimi_logo),
            ("bimi_certificate", &self.bimi_certificate),
        ];
        for (key, link) in links {
            if link.as_deref().is_some_and(|link| !is_link(link)) {
                problems.add(
                    format!("{at}.{key}"),
                    "is not an HTTPS address",
                    "write one such as \"https://example.com/logo.svg\", without \";\" and spaces",
                );
            }
        }
    }
}

/// Four weeks; longer, and a mistake outlives everybody's patience.
const MOST_TTL: u64 = 4 * 7 * 24 * 60 * 60;

fn is_link(link: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && !b"\";\\{}".contains(&b);
    let rest = link.strip_prefix("https://");
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(plain))
}

/// An address in a `mailto:` of a record: some characters would have to be written in percent there (RFC 6068 §2).
fn address(text: &str, at: &str, problems: &mut Problems) {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"@.-_+=".contains(&b);
    let fits = text.bytes().all(plain) && text.parse::<Address>().is_ok();
    if !text.is_empty() && !fits {
        problems.add(
            at,
            format!("{text:?} is no address for reports"),
            "write one such as \"dmarc@example.com\", or leave it empty",
        );
    }
}

fn host(name: &str, at: &str, problems: &mut Problems) {
    if let Err(why) = ascii_domain(name) {
        problems.add(at, why, "write a domain such as \"example.com\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_right_is_let_pass_and_every_mistake_is_told_at_its_key() {
        let mut problems = Problems::default();
        let good = Config {
            dmarc_reports: "dmarc+a@example.com".into(),
            domain: vec![DomainConfig {
                name: "bücher.example".into(),
                spf_include: vec!["_spf.example.net".into()],
                bimi_logo: Some("https://example.com/logo.svg".into()),
                ..DomainConfig::default()
            }],
            ..Config::default()
        };
        good.validate("zone", &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        let entry = DomainConfig {
            name: "a.test".into(),
            dmarc_reports: Some("nobody".into()),
            spf_include: vec!["a b".into()],
            bimi_logo: Some("http://a.test".into()),
            bimi_certificate: Some("https://a.test/;x".into()),
            ..DomainConfig::default()
        };
        let bad = Config {
            ttl: Span::secs(0),
            dmarc_reports: "a%b@example.com".into(),
            tls_reports: "x".into(),
            mx: "a b".into(),
            domain: vec![entry.clone(), entry],
            ..Config::default()
        };
        bad.validate("zone", &mut problems);
        let keys: Vec<&str> = problems.0.iter().map(|p| p.key.as_str()).collect();
        let of_entry = [
            "dmarc_reports",
            "spf_include[0]",
            "bimi_logo",
            "bimi_certificate",
        ];
        let of = |i| {
            of_entry
                .iter()
                .map(move |key| format!("zone.domain[{i}].{key}"))
        };
        let mut expected: Vec<String> = ["dmarc_reports", "tls_reports", "mx", "ttl"]
            .iter()
            .map(|key| format!("zone.{key}"))
            .collect();
        expected.extend(of(0).chain(of(1)));
        expected.push("zone.domain[1].name".into());
        assert_eq!(keys, expected);
    }
}

//! `[outside]`.

use crate::auth::Secret;
use crate::auth::dkim::ascii_domain;
use crate::dns::is_public;
use crate::problem::Problems;
use crate::units::Span;
use crate::zone::facts::SourceFact;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;

/// `[outside]`: how others see our addresses, domains and certificates, looked at again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Outside")]
pub struct Config {
    /// Whether anything is looked at.
    pub check: bool,
    /// Between two rounds. A listing is believed when two rounds in a row find it.
    pub every: Span,
    /// The warm-up of a source stays at its stage while the source is on a list, or its PTR does not lead back to it.
    pub hold_warmup: bool,
    /// The DNS blocklists that are asked.
    pub zone: Vec<ZoneConfig>,
}

/// `[[outside.zone]]`: one blocklist in DNS (RFC 5782).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "OutsideZone")]
pub struct ZoneConfig {
    /// `bl.spamcop.net`
    pub name: String,
    /// What it lists: "addresses" or "domains".
    #[serde(default)]
    pub lists: Lists,
    /// What its answers mean: { "127.0.0.2" = "spam source" }.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub codes: BTreeMap<Ipv4Addr, String>,
    /// The key of a subscriber, asked for in front of the name: "file:PATH" or "env:NAME".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A listing there holds the warm-up of the source.
    #[serde(default = "yes")]
    pub hold: bool,
    /// A listing there is for a person to look at now.
    #[serde(default)]
    pub page: bool,
}

/// What a blocklist has entries of.
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
pub enum Lists {
    #[default]
    Addresses,
    Domains,
}

/// What is looked at, and where.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    pub check: bool,
    pub every: Span,
    pub hold_warmup: bool,
    pub zones: Vec<Zone>,
    /// As receivers see them; those that nobody outside sees are left out.
    pub sources: Vec<SourceFact>,
    /// That we send from, as A-labels.
    pub domains: BTreeSet<String>,
}

/// A blocklist, ready to be asked.
#[derive(Clone, PartialEq)]
pub struct Zone {
    pub config: ZoneConfig,
    /// What questions end in. With a subscriber's key it is nobody else's matter.
    pub suffix: String,
}

/// Without the suffix, which may hold a key.
impl std::fmt::Debug for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Zone").field(&self.config).finish()
    }
}

/// Lists ask not to be asked more often than their entries change.
const LEAST_EVERY: Span = Span::minutes(10);

fn yes() -> bool {
    true
}

impl ZoneConfig {
    fn free(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            lists: Lists::Addresses,
            codes: BTreeMap::new(),
            key: None,
            hold: true,
            page: false,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            check: true,
            every: Span::hours(1),
            hold_warmup: true,
            // Those that anybody may ask, by any resolver and without a contract.
            zone: ["bl.spamcop.net", "psbl.surriel.com", "bl.mailspike.net"]
                .map(ZoneConfig::free)
                .into(),
        }
    }
}

impl Config {
    /// Adds what is wrong. `at` is the key of this section.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.every < LEAST_EVERY {
            problems.add(
                format!("{at}.every"),
                format!("{} is too often for the lists", self.every),
                format!("write \"{LEAST_EVERY}\" or more, such as \"1h\""),
            );
        }
        let mut names = BTreeSet::new();
        for (i, zone) in self.zone.iter().enumerate() {
            let at = format!("{at}.zone[{i}]");
            zone.validate(&at, problems);
            if !names.insert(zone.name.to_ascii_lowercase()) {
                let message = format!("\"{}\" is asked already", zone.name);
                problems.add(format!("{at}.name"), message, "write one entry");
            }
        }
    }

    /// With what is looked at. The keys of subscribers are read.
    ///
    /// # Errors
    /// Every key that cannot be read, or is none.
    pub fn settings(
        &self,
        sources: Vec<SourceFact>,
        domains: BTreeSet<String>,
    ) -> Result<Settings, Problems> {
        let mut problems = Problems::default();
        let mut zones = Vec::new();
        for (i, config) in self.zone.iter().enumerate() {
            match config.suffix() {
                Ok(suffix) => zones.push(Zone {
                    config: config.clone(),
                    suffix,
                }),
                Err((why, remedy)) => problems.add(format!("outside.zone[{i}].key"), why, remedy),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let seen = sources.into_iter();
        Ok(Settings {
            check: self.check,
            every: self.every,
            hold_warmup: self.hold_warmup,
            zones,
            sources: seen.filter(|source| is_public(source.address)).collect(),
            domains,
        })
    }
}

impl ZoneConfig {
    fn validate(&self, at: &str, problems: &mut Problems) {
        if let Err(why) = ascii_domain(&self.name) {
            let remedy = "write the zone of a list such as \"bl.spamcop.net\"";
            problems.add(format!("{at}.name"), why, remedy);
        }
        for code in self.codes.keys().filter(|code| !code.is_loopback()) {
            problems.add(
                format!("{at}.codes"),
                format!("{code} is no answer of a list"),
                "write an address of 127.0.0.0/8",
            );
        }
    }

    fn suffix(&self) -> Result<String, (String, String)> {
        let name = ascii_domain(&self.name).unwrap_or_else(|_| self.name.clone());
        let Some(reference) = &self.key else {
            return Ok(name);
        };
        let key = Secret::of(reference, Path::new("")).read()?;
        let key = String::from_utf8_lossy(&key);
        let key = key.trim();
        let is_label = (1..=63).contains(&key.len())
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        match is_label {
            true => Ok(format!("{key}.{name}")),
            false => Err((
                "the key is no label of a name".to_owned(),
                "write the key as the list gave it: letters and digits".to_owned(),
            )),
        }
    }
}

impl Settings {
    /// The entry of a list.
    pub fn zone(&self, name: &str) -> Option<&ZoneConfig> {
        let mut zones = self.zones.iter().map(|zone| &zone.config);
        zones.find(|zone| zone.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_at_its_key() {
        let mut problems = Problems::default();
        Config::default().validate("outside", &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        let config: Config = toml::from_str(
            "every = \"1m\"\n[[zone]]\nname = \"a b\"\n[[zone]]\nname = \"bl.test\"\n\
             codes = { \"192.0.2.1\" = \"x\" }\n[[zone]]\nname = \"BL.test\"\n",
        )
        .unwrap();
        config.validate("outside", &mut problems);
        let keys: Vec<&str> = problems.0.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "outside.every",
                "outside.zone[0].name",
                "outside.zone[1].codes",
                "outside.zone[2].name"
            ]
        );
    }

    #[test]
    fn a_subscribers_key_is_asked_with_and_shown_to_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let settings = |key: &str| {
            let file = dir.path().join("key");
            std::fs::write(&file, key).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&file, mode).unwrap();
            let zone = ZoneConfig {
                key: Some(format!("file:{}", file.display())),
                ..ZoneConfig::free("zen.dq.test")
            };
            let config = Config {
                zone: vec![zone],
                ..Config::default()
            };
            config.settings(Vec::new(), BTreeSet::new())
        };
        let known = settings("s3cretkey\n").unwrap();
        assert_eq!(known.zones[0].suffix, "s3cretkey.zen.dq.test");
        assert!(!format!("{known:?}").contains("s3cretkey"));
        let wrong = settings("two words").unwrap_err();
        assert_eq!(wrong.0[0].key, "outside.zone[0].key");
    }
}

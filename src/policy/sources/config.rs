//! `[[source]]` and `[[pool]]` as written.

use crate::policy::limits;
use crate::policy::warmup::{self, SourceWarmup};
use crate::problem::Problems;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// `[[source]]`: one of our addresses, and the name it says EHLO with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    pub name: String,
    /// Bound before connecting; must be an address of this machine.
    pub address: IpAddr,
    /// EHLO name; should be the address's PTR name.
    pub ehlo: String,
    /// What it may do, to all sites together, in place of `[limits.source]`.
    #[serde(default)]
    pub limits: limits::Config,
    /// How it earns its reputation; absent where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup: Option<SourceWarmup>,
}

impl SourceConfig {
    /// A source with nothing said about it beyond what must be.
    pub fn plain(name: &str, address: IpAddr) -> Self {
        Self {
            name: name.to_owned(),
            address,
            ehlo: format!("{name}.example.com"),
            limits: limits::Config::default(),
            warmup: None,
        }
    }
}

/// `[[pool]]`: sources that share the mail of tenants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolConfig {
    pub name: String,
    pub sources: Vec<PoolMember>,
}

/// A source's share of its pool's mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolMember {
    pub name: String,
    /// Share of the mail, relative to the other members.
    #[serde(default = "one")]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

/// Checks sources and pools together: names are unique, pools name sources that are there, and warm-ups schedules and
/// pools.
pub fn validate(
    sources: &[SourceConfig],
    pools: &[PoolConfig],
    schedules: &warmup::Config,
    problems: &mut Problems,
) {
    let named: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
    let mut names = HashSet::new();
    for (i, source) in sources.iter().enumerate() {
        let at = format!("source[{i}]");
        if !names.insert(source.name.as_str()) {
            let message = format!("\"{}\" is the name of an earlier source", source.name);
            let remedy = "give each source its own name";
            problems.add(format!("{at}.name"), message, remedy);
        }
        source.validate(&at, problems);
        if let Some(warmup) = &source.warmup {
            warmup.validate(&format!("{at}.warmup"), schedules, &named, problems);
        }
    }
    let mut pool_names = HashSet::new();
    for (i, pool) in pools.iter().enumerate() {
        let at = format!("pool[{i}]");
        if !pool_names.insert(pool.name.as_str()) {
            let message = format!("\"{}\" is the name of an earlier pool", pool.name);
            let remedy = "give each pool its own name, or list all its sources in one";
            problems.add(format!("{at}.name"), message, remedy);
        }
        pool.validate(&at, &names, problems);
    }
    let mut addresses = HashMap::new();
    for (i, source) in sources.iter().enumerate() {
        if let Some(first) = addresses.insert(source.address, &source.name) {
            let message = format!("is the address of source \"{first}\" too");
            let remedy = "one address has one reputation: make it one source";
            problems.add(format!("source[{i}].address"), message, remedy);
        }
    }
}

impl SourceConfig {
    fn validate(&self, at: &str, problems: &mut Problems) {
        let odd = |c: char| c.is_whitespace() || c.is_control();
        if self.ehlo.is_empty() || self.ehlo.contains(odd) {
            let remedy = "write the address's PTR name";
            problems.add(format!("{at}.ehlo"), "is not a host name", remedy);
        }
        // The names of sources are parts of keys in the store.
        if self.name.is_empty() || self.name.contains(odd) || self.name.contains(['/', '*']) {
            let remedy = "write a word without \"/\" and \"*\", such as \"ip-a\"";
            problems.add(format!("{at}.name"), "is not a name", remedy);
        }
        self.limits.validate(&format!("{at}.limits"), problems);
    }
}

/// What `overflow` means by these words is no pool.
const RESERVED: [&str; 3] = ["next", "wait", "reject"];

impl PoolConfig {
    fn validate(&self, at: &str, sources: &HashSet<&str>, problems: &mut Problems) {
        if RESERVED.contains(&self.name.as_str()) {
            let message = format!("\"{}\" is a word of `overflow`", self.name);
            problems.add(format!("{at}.name"), message, "give the pool another name");
        }
        if self.sources.is_empty() {
            let remedy = "write such as sources = [{ name = \"ip-a\" }]";
            problems.add(format!("{at}.sources"), "the pool has no source", remedy);
        } else if self.sources.iter().all(|member| member.weight == 0) {
            let remedy = "give one a weight of 1";
            problems.add(
                format!("{at}.sources"),
                "no member has a weight over 0",
                remedy,
            );
        }
        let mut seen = HashSet::new();
        for (j, member) in self.sources.iter().enumerate() {
            if !seen.insert(member.name.as_str()) {
                let message = format!("\"{}\" is in the pool already", member.name);
                let remedy = "say its share with `weight`";
                problems.add(format!("{at}.sources[{j}].name"), message, remedy);
            }
        }
        for (j, member) in self.sources.iter().enumerate() {
            if !sources.contains(member.name.as_str()) {
                let message = format!("there is no source \"{}\"", member.name);
                problems.add(
                    format!("{at}.sources[{j}].name"),
                    message,
                    "name a [[source]]",
                );
            }
        }
    }
}

//! `[[source]]` and `[[pool]]` as written.

use crate::problem::Problems;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::net::IpAddr;

/// `[[source]]`: one of our addresses, and the name it says EHLO with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    pub name: String,
    /// Bound before connecting; must be an address of this machine.
    pub address: IpAddr,
    /// EHLO name; should be the address's PTR name.
    pub ehlo: String,
}

impl SourceConfig {
    /// A source with nothing said about it beyond what must be.
    pub fn plain(name: &str, address: IpAddr) -> Self {
        Self {
            name: name.to_owned(),
            address,
            ehlo: format!("{name}.example.com"),
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

/// Checks sources and pools together: names are unique and pools name sources that are there.
pub fn validate(sources: &[SourceConfig], pools: &[PoolConfig], problems: &mut Problems) {
    let mut names = HashSet::new();
    for (i, source) in sources.iter().enumerate() {
        if !names.insert(source.name.as_str()) {
            let message = format!("\"{}\" is the name of an earlier source", source.name);
            problems.add(
                format!("source[{i}].name"),
                message,
                "give each source its own name",
            );
        }
        if source.ehlo.is_empty()
            || source
                .ehlo
                .contains(|c: char| c.is_whitespace() || c.is_control())
        {
            problems.add(
                format!("source[{i}].ehlo"),
                "is not a host name",
                "write the address's PTR name",
            );
        }
    }
    for (i, pool) in pools.iter().enumerate() {
        if pool.sources.iter().all(|member| member.weight == 0) {
            problems.add(
                format!("pool[{i}].sources"),
                "no member has a weight over 0",
                "give one a weight of 1",
            );
        }
        for (j, member) in pool
            .sources
            .iter()
            .enumerate()
            .filter(|(_, m)| !names.contains(m.name.as_str()))
        {
            let message = format!("there is no source \"{}\"", member.name);
            problems.add(
                format!("pool[{i}].sources[{j}].name"),
                message,
                "name a [[source]]",
            );
        }
    }
}

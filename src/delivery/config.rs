//! `[delivery]`, `[[route]]`, `[[source]]` and `[[pool]]` as written; [`super::routing`] is what they mean.

use crate::problem::Problems;
use crate::queue;
use crate::smtp::client::Timeouts;
use crate::tls::client::Policy;
use crate::units::Span;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::net::IpAddr;

/// `[delivery]`: how mail leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Port of the MX hosts. The world uses 25.
    pub port: u16,
    /// Open connections to all sites together.
    pub max_connections: u32,
    /// Connections that a site is given before it has shown that it can take more.
    pub initial_connections_per_site: u32,
    /// Most connections to one site from one source.
    pub max_connections_per_site: u32,
    /// Most recipients of one message in one transaction.
    pub max_recipients: u16,
    /// A connection is closed after this many messages.
    pub max_messages_per_connection: u32,
    /// A connection is closed when it is this old and between messages.
    pub max_connection_age: Span,
    /// A connection with nothing to send is closed after this.
    pub idle: Span,
    /// Addresses tried in one attempt before the message is put off.
    pub max_addresses: u8,
    /// How long a site that refuses or does not answer is left alone; doubled on each failure, up to an hour.
    pub site_backoff: Span,
    /// TLS to MX hosts where no route says otherwise.
    pub tls: Policy,
    /// Accept MX answers that point to this machine. For test set-ups; elsewhere such an answer is a loop.
    pub allow_loopback: bool,
    /// How long a server may take (RFC 5321 §4.5.3.2).
    pub timeouts: Timeouts,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 25,
            max_connections: 2000,
            initial_connections_per_site: 5,
            max_connections_per_site: 20,
            max_recipients: 100,
            max_messages_per_connection: 1000,
            max_connection_age: Span::minutes(10),
            idle: Span::secs(5),
            max_addresses: 5,
            site_backoff: Span::minutes(1),
            tls: Policy::Opportunistic,
            allow_loopback: false,
            timeouts: Timeouts::default(),
        }
    }
}

impl Config {
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        let counts = [
            ("max_connections", u64::from(self.max_connections)),
            (
                "initial_connections_per_site",
                u64::from(self.initial_connections_per_site),
            ),
            (
                "max_connections_per_site",
                u64::from(self.max_connections_per_site),
            ),
            ("max_recipients", u64::from(self.max_recipients)),
            (
                "max_messages_per_connection",
                u64::from(self.max_messages_per_connection),
            ),
            ("max_addresses", u64::from(self.max_addresses)),
            ("port", u64::from(self.port)),
        ];
        for (key, _) in counts.into_iter().filter(|(_, n)| *n == 0) {
            problems.add(
                format!("{at}.{key}"),
                "is 0, so no mail would leave",
                "write 1 or more",
            );
        }
        if self.initial_connections_per_site > self.max_connections_per_site {
            let key = format!("{at}.initial_connections_per_site");
            problems.add(
                key,
                "is over max_connections_per_site",
                "lower it or raise the maximum",
            );
        }
        self.timeouts.validate(&format!("{at}.timeouts"), problems);
    }
}

/// `[[route]]`: overrides what DNS and `[delivery]` say for some domains. The most specific route wins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// `example.net`, `*.example.net` (its subdomains) or `*`.
    pub domain: String,
    /// `host:port` in order of preference, in place of the domain's MX. Brackets around IPv6: `[::1]:25`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next_hop: Vec<String>,
    /// TLS on this route in place of `[delivery] tls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Policy>,
    /// Retry schedule of this route in place of `[retry]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<queue::Config>,
    /// Accept answers that point to this machine.
    #[serde(default)]
    pub allow_loopback: bool,
}

impl RouteConfig {
    /// The way of domains that no entry names.
    pub(super) fn anywhere() -> Self {
        Self {
            domain: "*".into(),
            next_hop: Vec::new(),
            tls: None,
            retry: None,
            allow_loopback: false,
        }
    }

    pub fn validate(&self, at: &str, problems: &mut Problems) {
        let domain = self.domain.strip_prefix("*.").unwrap_or(&self.domain);
        if self.domain != "*" && (domain.is_empty() || domain.contains(['*', '@', ' ', '/'])) {
            let remedy = "write \"example.net\", \"*.example.net\" or \"*\"";
            problems.add(
                format!("{at}.domain"),
                format!("\"{}\" is not a domain", self.domain),
                remedy,
            );
        }
        for (i, hop) in self.next_hop.iter().enumerate() {
            if super::routing::NextHop::parse(hop).is_none() {
                let message = format!("\"{hop}\" is not host:port");
                problems.add(
                    format!("{at}.next_hop[{i}]"),
                    message,
                    "write \"127.0.0.1:2526\" or \"relay.example.net:25\"",
                );
            }
        }
        if let Some(retry) = &self.retry {
            retry.validate(&format!("{at}.retry"), problems);
        }
    }
}

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
pub fn validate_sources(sources: &[SourceConfig], pools: &[PoolConfig], problems: &mut Problems) {
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

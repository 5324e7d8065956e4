//! `[delivery]` and `[[route]]` as written; [`super::routing`] is what they mean.

use crate::problem::Problems;
use crate::queue;
use crate::smtp::client::Timeouts;
use crate::tls::client::Policy;
use crate::tls::memory;
use crate::units::Span;
use serde::{Deserialize, Serialize};

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
    /// A site that says it is sent too much is given half the connections, at most once in this time.
    pub slow_down_every: Span,
    /// After that it is given one connection more at most once in this time, up to the maximum.
    pub recover_every: Span,
    /// How long a site that refuses or does not answer is left alone; doubled on each failure, up to an hour.
    pub site_backoff: Span,
    /// TLS to MX hosts where no route says otherwise.
    pub tls: Policy,
    /// What is made of MX hosts that have spoken TLS before, where it is opportunistic.
    pub starttls_memory: memory::Config,
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
            slow_down_every: Span::secs(30),
            recover_every: Span::minutes(1),
            site_backoff: Span::minutes(1),
            tls: Policy::Opportunistic,
            starttls_memory: memory::Config::default(),
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
        self.starttls_memory
            .validate(&format!("{at}.starttls_memory"), problems);
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

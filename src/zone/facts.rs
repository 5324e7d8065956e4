//! What the configuration says that has to be seen in DNS.

use super::config::{MtaSts, Stage};
use crate::auth::dkim::PublicKey;
use crate::mail::Address;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Everything about one From domain. Names are A-labels in lower case without the final dot.
#[derive(Debug, Clone)]
pub struct Facts {
    pub domain: String,
    /// Seconds.
    pub ttl: u32,
    pub keys: Vec<KeyFact>,
    pub sources: Vec<SourceFact>,
    /// The return paths that mail of the domain has: those of ours, and the domain itself where platforms' are kept.
    pub mail_from: BTreeSet<String>,
    /// Domains that take what comes back.
    pub inbound: Vec<Inbound>,
    pub host: Host,
    pub dmarc: Stage,
    pub dmarc_reports: Option<Address>,
    pub tls_reports: Option<Address>,
    pub mta_sts: MtaSts,
    /// Mechanisms of the domain's SPF beside our sources: `include:_spf.example.net`, or what that was flattened to.
    pub spf_others: Vec<String>,
    pub bimi: Option<Bimi>,
    /// What cannot be said, and which key would.
    pub gaps: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct KeyFact {
    pub selector: String,
    /// The From domain or one above it.
    pub domain: String,
    pub public: PublicKey,
    /// What a rotation says of it; `None` for a key that is only configured.
    pub signs: bool,
}

/// As receivers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFact {
    pub name: String,
    pub address: IpAddr,
    pub ehlo: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    pub domain: String,
    pub serves: Serves,
}

/// What a domain takes in; the one that matters most where there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Serves {
    Returns,
    Unsubscribing,
    Feedback,
    Reports,
}

#[derive(Debug, Clone)]
pub struct Host {
    pub name: String,
    /// Empty where the configuration does not say.
    pub addresses: Vec<IpAddr>,
}

#[derive(Debug, Clone)]
pub struct Bimi {
    pub logo: String,
    /// Empty: none.
    pub certificate: String,
}

impl Serves {
    /// In a sentence: "the MX for bounces".
    pub fn what(self) -> &'static str {
        match self {
            Self::Returns => "bounces",
            Self::Unsubscribing => "unsubscribing by mail",
            Self::Feedback => "complaints",
            Self::Reports => "reports",
        }
    }
}

impl SourceFact {
    /// `ip4:192.0.2.10`.
    pub fn mechanism(&self) -> String {
        mechanism(self.address)
    }
}

pub fn mechanism(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => format!("ip4:{v4}"),
        IpAddr::V6(v6) => format!("ip6:{v6}"),
    }
}

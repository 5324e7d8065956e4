//! What only others can know about a message: DNS, keys, counters. Each fact may be absent; its rules are silent then.

use crate::mail::{Address, Stream};
use crate::policy::share::Share;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Everything that is known beside the message.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// `None` is marketing, as everywhere.
    pub stream: Option<Stream>,
    /// MAIL FROM; `Some(None)` is the null sender.
    pub return_path: Option<Option<Address>>,
    pub recipients: Vec<Address>,
    /// Whether the transaction may carry UTF-8 in fields (RFC 6531).
    pub smtputf8: Option<bool>,
    /// By domain in A-labels; see [`super::Message::domains`] for which are of interest.
    pub domains: BTreeMap<String, Domain>,
    /// What DKIM signatures of ours it would carry.
    pub signing: Option<Signing>,
    /// The sources it may leave from.
    pub sources: Vec<Source>,
    /// Of the From domain.
    pub dmarc: Option<Dmarc>,
    /// How the way to its recipients is kept from readers.
    pub tls: Option<Tls>,
    /// Fields that we put in where they are missing, before we sign: `Date`.
    pub adds: Vec<&'static str>,
    /// Whether bounces and complaints lead back to the message by a token of ours.
    pub traced: Option<bool>,
    /// What the suppression list answers for those of the recipients that are on it: why.
    pub suppressed: Vec<(Address, String)>,
    /// Messages of the From domain in the last 24 hours, by provider.
    pub volume: BTreeMap<String, u64>,
    /// How mail like this fares.
    pub rates: Vec<Rate>,
    pub limits: Limits,
}

/// What is known of a domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Domain {
    /// Whether the tenant who sends may speak in its name.
    pub ours: Option<bool>,
    pub mail: Option<MailHost>,
    /// The blocklist that has it, and what it says.
    pub listed: Option<String>,
}

/// Whether a domain takes mail (RFC 5321 §5.1, RFC 7505).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailHost {
    Accepts,
    /// It publishes a null MX.
    Refuses,
    /// It exists and has neither MX nor address.
    Nowhere,
    /// There is no such domain.
    Missing,
}

/// Our DKIM signatures of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signing {
    /// No key is for its From domain.
    Unsigned,
    Signed(Vec<Signature>),
}

/// One DKIM signature (RFC 6376 §3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    pub domain: String,
    pub selector: String,
    pub key: KeyKind,
    /// The h= tag, names in lower case, as often as it has them.
    pub covers: Vec<String>,
    /// It has an l= tag.
    pub is_partial: bool,
    /// The organizational domain of d= is that of From; `None`: nobody has looked.
    pub aligned: Option<bool>,
    pub published: Option<Published>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    Rsa {
        bits: usize,
    },
    Ed25519,
    /// Of a signature that came with the message.
    Unknown,
}

/// What DNS has at SELECTOR._domainkey.DOMAIN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// The public half of our key.
    Ours,
    /// Another key.
    Other,
    Nothing,
    /// A record that verifiers do not read, with its fault.
    Unreadable(String),
}

/// One address of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub name: String,
    pub address: IpAddr,
    /// Of MAIL FROM, seen from this address.
    pub spf: Option<Spf>,
    pub reverse: Option<Reverse>,
}

/// The result of SPF (RFC 7208 §2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spf {
    pub result: SpfResult,
    /// The organizational domain of MAIL FROM is that of From.
    pub aligned: bool,
    /// Terms that asked DNS, of 10; answers that were empty, of 2 (RFC 7208 §4.6.4).
    pub lookups: u32,
    pub void_lookups: u32,
    /// The domain, and what decided.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpfResult {
    Pass,
    Fail,
    SoftFail,
    Neutral,
    None,
    TempError,
    PermError,
}

impl SpfResult {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::Neutral => "neutral",
            Self::None => "none",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

/// What DNS says of an address of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverse {
    /// The first name of its PTR record.
    pub name: Option<String>,
    /// That name leads to the address.
    pub is_confirmed: bool,
    /// What we say in EHLO.
    pub ehlo: String,
    /// That leads to the address.
    pub ehlo_resolves: bool,
}

/// The DMARC record that holds for the From domain (RFC 9989), and what it makes of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dmarc {
    pub record: DmarcRecord,
    /// SPF or DKIM passes and is aligned.
    pub passes: Option<bool>,
    /// Where the record was looked for, or what decided.
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DmarcRecord {
    Missing,
    Invalid(String),
    Found {
        policy: DmarcPolicy,
        /// It says where aggregate reports go.
        has_reports: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DmarcPolicy {
    None,
    Quarantine,
    Reject,
}

/// What the route to the recipients says of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    Never,
    Opportunistic,
    Required,
}

/// How many of `of` mails came back, or were complained of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    pub kind: RateKind,
    pub part: u64,
    pub of: u64,
    /// Whose mail: `tenant acme, 24 h`.
    pub slice: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateKind {
    Bounces,
    Complaints,
}

/// What the rules count against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From so many messages of a From domain to a provider in 24 hours on its sender counts as one in bulk.
    pub bulk_from: u64,
    /// Octets of a message that every large provider takes.
    pub largest: u64,
    /// Octets of HTML that Gmail shows.
    pub shown_html: usize,
    pub complaints: (Share, Share),
    pub bounces: (Share, Share),
    /// Mails of a slice before its rates block anything.
    pub least_sample: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bulk_from: 5_000,
            largest: 25 << 20,
            shown_html: 102 << 10,
            complaints: (Share::ppm(1_000), Share::ppm(3_000)),
            bounces: (Share::percent(2), Share::percent(5)),
            least_sample: 1_000,
        }
    }
}

impl Facts {
    /// The provider for which the From domain sends in bulk, with the messages of 24 hours: the one with the most.
    pub fn bulk(&self) -> Option<(&str, u64)> {
        let reached = self.volume.iter().map(|(name, count)| (&**name, *count));
        reached
            .filter(|(_, count)| *count >= self.limits.bulk_from)
            .max_by_key(|(_, count)| *count)
    }

    pub fn domain(&self, name: &str) -> Option<&Domain> {
        self.domains.get(name)
    }

    /// Whether we put the field in where it is missing.
    pub fn adds(&self, field: &str) -> bool {
        self.adds
            .iter()
            .any(|added| added.eq_ignore_ascii_case(field))
    }
}

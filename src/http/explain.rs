//! What would become of one message now: the question, and the whole verdict.

use crate::delivery::Explained;
use crate::mail::{Address, Reply, Stream};
use crate::policy::Held;
use crate::units::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The query of `GET /api/v1/explain`: a message that nobody sends.
///
/// `?from=news@acme.example&to=ann@example.net&tenant=acme&stream=marketing&engagement=80`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The return path; empty, or `<>`, is the null sender.
    #[serde(serialize_with = "write_path", deserialize_with = "read_path")]
    pub from: Option<Address>,
    pub to: Address,
    #[serde(default)]
    pub tenant: Option<Box<str>>,
    #[serde(default)]
    pub campaign: Option<Box<str>>,
    /// `marketing` or `transactional`.
    #[serde(default)]
    pub stream: Option<Stream>,
    /// The mailing list that it is of.
    #[serde(default)]
    pub list: Option<Box<str>>,
    #[serde(default)]
    pub pool: Option<Box<str>>,
    /// The pool by the name that another MTA's field gives: counts where there is one of that name.
    #[serde(default)]
    pub virtual_mta: Option<Box<str>>,
    /// 0 to 100.
    #[serde(default)]
    pub engagement: Option<u8>,
    /// RFC 3339.
    #[serde(default)]
    pub send_at: Option<Timestamp>,
    /// RFC 3339.
    #[serde(default)]
    pub expires: Option<Timestamp>,
}

/// Everything that decides about a message, and what holds it. As JSON, beside the fields here: `domain`, `by`, `tls`,
/// `pool`, `site`, `provider`, `candidates`, `limits`, `held`, `waits` and `until`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// In one sentence: `would go now from ip-a to mx.example.net`, `waits for …; until …`.
    pub summary: String,
    #[serde(flatten)]
    pub explained: Explained,
    /// What its sender would be told in place of 250.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Reply>,
    /// Why its recipient is not written to: `suppressed (tenant/acme): its reader complained`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
    /// What receivers would make of it, at each source that may carry it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alignment: Vec<Aligned>,
    /// The hours that it is held to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// Everything that holds it, or one of the sources it might leave from, and what can be done about that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<Advice>,
    pub keys: Keys,
    /// What else is worth knowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// SPF, DKIM and DMARC as a receiver finds them of mail from one source; results as RFC 8601 names them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Aligned {
    pub source: Arc<str>,
    pub address: IpAddr,
    /// `pass for bounces.acme.example, aligned`
    pub spf: String,
    /// Of each key that signs: `s1._domainkey.acme.example: ours, aligned`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dkim: Vec<String>,
    /// `pass, p=reject at acme.example`
    pub dmarc: String,
    /// What is to be said of it, the worst first: `L08 … (what to do)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
}

/// Hours in which mail goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// `tenant acme`, `provider google`.
    pub of: String,
    /// As configured: `08:00-22:00 Europe/Berlin`.
    pub window: String,
    pub open: bool,
    /// When that changes.
    pub until: Timestamp,
    pub key: String,
}

/// What holds mail, and what can be done about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    pub held: Held,
    /// `held` as people read it, to follow "waits for".
    pub text: String,
    /// The keys of the configuration that decide about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// The command that ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// Where in the configuration it is written; what is absent is not written there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Keys {
    /// Where its site comes from: `route[0].next_hop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// `provider[0]`, or the file of those that come with the program.
    pub provider: String,
    /// `delivery.tls`
    pub tls: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Of each candidate by its name: `{"ip-a": "source[0]"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<Arc<str>, String>,
}

impl Verdict {
    /// What can be done about `held`, where that is known.
    pub fn advice_on(&self, held: &Held) -> Option<&Advice> {
        self.advice.iter().find(|advice| advice.held == *held)
    }
}

/// In one sentence.
pub fn summary(explained: &Explained, refused: Option<&Reply>) -> String {
    if let Some(reply) = refused {
        return format!("would be refused when it is handed in: {reply}");
    }
    match &explained.waits {
        None => format!("would go now {}", way(explained)),
        Some(held) => format!("waits for {}", until(held, explained.until)),
    }
}

/// `from ip-a to mx.example.net`
pub fn way(explained: &Explained) -> String {
    let mut candidates = explained.explanation.candidates.iter();
    let taken = candidates.find(|candidate| candidate.taken);
    let source = taken.map_or("no source", |candidate| &*candidate.source);
    format!("from {source} to {}", explained.explanation.site)
}

/// What `held` is, to follow "waits for".
pub fn text(held: &Held) -> String {
    match held {
        // Of a source by itself, not of a pool.
        Held::NoSource { pool, why } if pool.is_empty() => why.to_string(),
        Held::Warmup(waiting) if waiting.provider.is_none() => {
            let all = " to all providers together: ";
            waiting.to_string().replacen(" to *: ", all, 1)
        }
        held => held.to_string(),
    }
}

/// The text of `held`, with until when it holds, where that is known.
pub fn until(held: &Held, until: Option<Timestamp>) -> String {
    let text = text(held);
    match until.map(|until| format!("until {until}")) {
        // Some say it themselves.
        Some(until) if !text.contains(&until) => format!("{text}; {until}"),
        _ => text,
    }
}

fn read_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    let text = String::deserialize(deserializer)?;
    return_path(&text).map_err(serde::de::Error::custom)
}

/// A return path as people write it: empty, or `<>`, is the null sender.
///
/// # Errors
/// It is no address.
pub fn return_path(text: &str) -> Result<Option<Address>, crate::mail::AddressError> {
    match text {
        "" | "<>" => Ok(None),
        text => text.parse().map(Some),
    }
}

fn write_path<S: Serializer>(path: &Option<Address>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(path.as_ref().map_or("", Address::as_str))
}

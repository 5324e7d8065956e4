//! Keys as they are published (RFC 6376 §3.6.1, RFC 8463 §4).

use crate::auth::ask::{Ask, FAILURE_HOLD, NO_NAME_HOLD, askable};
use crate::auth::tags::tags;
use crate::dns::DnsFailure;
use crate::units::Timestamp;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hickory_resolver::proto::rr::RecordType;

/// A key record that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    kind: Kind,
    /// As in `p=`, decoded. Never empty.
    octets: Vec<u8>,
    /// `t=y`: the domain tests DKIM, and receivers may not count it.
    pub testing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    Ed25519,
}

/// What a receiver finds at `selector._domainkey.domain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyState {
    /// The key that signs.
    Ours(Published),
    /// Another key: no signature of ours verifies.
    Other(Published),
    /// An empty `p=`.
    Revoked,
    /// No TXT record there.
    Missing,
    /// What is there is no key for mail signed with SHA-256.
    Unusable(&'static str),
    /// The name servers failed.
    Unknown(DnsFailure),
}

impl Published {
    /// Reads a record.
    ///
    /// # Errors
    /// [`KeyState::Revoked`], or [`KeyState::Unusable`] with the reason.
    pub fn parse(text: &[u8]) -> Result<Self, KeyState> {
        let unusable = |why| Err(KeyState::Unusable(why));
        let Ok(text) = std::str::from_utf8(text) else {
            return unusable("it is not text");
        };
        let value = |name: &str| {
            tags(text)
                .find(|(tag, _)| *tag == name)
                .map(|(_, value)| value)
        };
        let listed = |name: &str, wanted: &[&str]| {
            let items = value(name).map(|list| {
                list.split(':')
                    .map(str::trim)
                    .any(|item| wanted.contains(&item))
            });
            items.unwrap_or(true)
        };
        if value("v").is_some_and(|version| version != "DKIM1") {
            return unusable("its version is not DKIM1");
        }
        let kind = match value("k").unwrap_or("rsa") {
            "rsa" => Kind::Rsa,
            "ed25519" => Kind::Ed25519,
            _ => return unusable("k= names a kind of key that nobody knows"),
        };
        if !listed("h", &["sha256"]) {
            return unusable("h= does not allow sha256");
        }
        if !listed("s", &["*", "email"]) {
            return unusable("s= does not allow mail");
        }
        let Some(p) = value("p") else {
            return unusable("it has no p=");
        };
        let p: String = p.split_ascii_whitespace().collect();
        if p.is_empty() {
            return Err(KeyState::Revoked);
        }
        let Ok(octets) = BASE64.decode(p) else {
            return unusable("p= is not base64");
        };
        let testing =
            value("t").is_some_and(|flags| flags.split(':').any(|flag| flag.trim() == "y"));
        Ok(Self {
            kind,
            octets,
            testing,
        })
    }

    /// The length of an RSA key; `None` for Ed25519, and where the octets are not a key.
    pub fn rsa_bits(&self) -> Option<usize> {
        match self.kind {
            Kind::Rsa => modulus_bits(&self.octets),
            Kind::Ed25519 => None,
        }
    }

    fn same_key(&self, other: &Self) -> bool {
        (self.kind, &self.octets) == (other.kind, &other.octets)
    }
}

/// Asks for the key, and compares it with the record that ought to be there. Returns how long that holds.
pub async fn find<A: Ask>(
    ask: &A,
    now: Timestamp,
    name: &str,
    ours: &str,
) -> (KeyState, Timestamp) {
    let Some(name) = askable(name) else {
        return (KeyState::Missing, now + NO_NAME_HOLD);
    };
    let records = match ask.ask(name, RecordType::TXT).await {
        Ok(records) => records,
        Err(DnsFailure::NoSuchDomain(_)) => return (KeyState::Missing, now + NO_NAME_HOLD),
        Err(failure) => return (KeyState::Unknown(failure), now + FAILURE_HOLD),
    };
    let mut texts = records.texts();
    let state = match (texts.next(), texts.next()) {
        (None, _) => KeyState::Missing,
        (Some(_), Some(_)) => KeyState::Unusable("there are several TXT records"),
        (Some(text), None) => compare(&text, ours),
    };
    (state, records.expires)
}

fn compare(text: &[u8], ours: &str) -> KeyState {
    match (Published::parse(text), Published::parse(ours.as_bytes())) {
        (Ok(found), Ok(ours)) if found.same_key(&ours) => KeyState::Ours(found),
        (Ok(found), _) => KeyState::Other(found),
        (Err(state), _) => state,
    }
}

/// The length of the modulus in DER: a SubjectPublicKeyInfo (RFC 5280 §4.1), or the bare RSAPublicKey that some publish
/// (RFC 8017 A.1.1).
fn modulus_bits(der: &[u8]) -> Option<usize> {
    let (key, _) = element(der, SEQUENCE)?;
    let modulus = match element(key, INTEGER) {
        Some((modulus, _)) => modulus,
        None => {
            let (_algorithm, rest) = element(key, SEQUENCE)?;
            let (bits, _) = element(rest, BIT_STRING)?;
            let (inner, _) = element(bits.strip_prefix(&[0])?, SEQUENCE)?;
            element(inner, INTEGER)?.0
        }
    };
    let first = modulus.iter().position(|octet| *octet != 0)?;
    let significant = modulus.get(first..)?;
    let leading = significant.first()?.leading_zeros() as usize;
    Some(significant.len() * 8 - leading)
}

const INTEGER: u8 = 2;
const BIT_STRING: u8 = 3;
const SEQUENCE: u8 = 0x30;

/// The content of the element of this tag at the start of `der`, and what is behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (head, rest) = der.split_at_checked(2)?;
    if head.first() != Some(&tag) {
        return None;
    }
    let short = usize::from(*head.get(1)?);
    let (length, rest) = match short {
        0..=0x7f => (short, rest),
        0x81..=0x83 => {
            let (octets, rest) = rest.split_at_checked(short - 0x80)?;
            let length = octets
                .iter()
                .fold(0, |sum, octet| sum << 8 | usize::from(*octet));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

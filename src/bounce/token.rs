//! Signed tokens that name one of our messages and a recipient of it.
//!
//! 25 octets, written as 40 letters and digits of the message id's lower-case alphabet:
//!
//! | octets | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 8 | message id, which holds the time |
//! | 2 | position of the recipient in the envelope from 1; 0 for the whole message |
//! | 4 | the first octets of SHA-256 of the tenant's name; 0 without one |
//! | 10 | the first octets of HMAC-SHA256 over purpose and all above |
//!
//! The same message and recipient have the same token in every attempt, so that greylisting sees one return path.

use crate::mail::MessageId;
use crate::mail::envelope::ALPHABET;
use crate::units::Timestamp;
use aws_lc_rs::{constant_time, digest, hmac};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Letters and digits of a token.
pub const LENGTH: usize = 40;

/// Octets that a secret has at least: those of SHA-256 (RFC 2104 §3).
pub const LEAST_SECRET: usize = 32;

/// What a token is good for; one of a purpose cannot be used for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// In return paths and content: whoever has it may say that a message came back or was complained of.
    Return,
    /// In List-Unsubscribe: whoever has it may unsubscribe its recipient.
    Unsubscribe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub id: MessageId,
    /// Position in the envelope from 0, as the spool and the books count; `None` is the whole message.
    pub recipient: Option<u16>,
    /// The first octets of SHA-256 of the tenant's name; 0 without one.
    pub tenant: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("it is not a token")]
    Shape,
    #[error("its signature is not ours")]
    Forged,
    #[error("it is too old")]
    Expired,
}

/// Why secrets are no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    #[error("there is no key")]
    None,
    /// Position of the key, and its octets.
    #[error("the key has {1} octets, and {LEAST_SECRET} are the least")]
    Short(usize, usize),
}

/// The keys: the first signs, all verify. Cheap to clone.
#[derive(Clone)]
pub struct Keys {
    first: hmac::Key,
    others: Arc<[hmac::Key]>,
    valid_for: Duration,
}

impl Token {
    /// The token of a recipient, or of a whole message, of `tenant`'s mail.
    pub fn new(id: MessageId, recipient: Option<u16>, tenant: Option<&str>) -> Self {
        Self {
            id,
            recipient,
            tenant: tenant.map_or(0, mark_of),
        }
    }

    fn octets(&self) -> [u8; SIGNED] {
        // The last position of all has no number left, and its token names the whole message.
        let place = self
            .recipient
            .map_or(0, |position| position.wrapping_add(1));
        let mut octets = [0; SIGNED];
        let parts = [VERSION]
            .into_iter()
            .chain(self.id.0.to_be_bytes())
            .chain(place.to_be_bytes())
            .chain(self.tenant.to_be_bytes());
        octets
            .iter_mut()
            .zip(parts)
            .for_each(|(to, from)| *to = from);
        octets
    }

    fn from_octets(octets: &[u8; SIGNED]) -> Option<Self> {
        let [version, id @ .., p0, p1, t0, t1, t2, t3] = octets;
        let place = u16::from_be_bytes([*p0, *p1]);
        (*version == VERSION).then(|| Self {
            id: MessageId(u64::from_be_bytes(*id)),
            recipient: place.checked_sub(1),
            tenant: u32::from_be_bytes([*t0, *t1, *t2, *t3]),
        })
    }
}

impl Keys {
    /// Keys of these secrets, the one that signs first; tokens of messages that were accepted longer than `valid_for`
    /// ago are too old.
    ///
    /// # Errors
    /// There is none, or one is too short.
    pub fn new<S: AsRef<[u8]>>(secrets: &[S], valid_for: Duration) -> Result<Self, KeysError> {
        let mut keys = Vec::with_capacity(secrets.len());
        for (at, secret) in secrets.iter().enumerate() {
            let secret = secret.as_ref();
            if secret.len() < LEAST_SECRET {
                return Err(KeysError::Short(at, secret.len()));
            }
            keys.push(hmac::Key::new(hmac::HMAC_SHA256, secret));
        }
        let (first, others) = keys.split_first().ok_or(KeysError::None)?;
        Ok(Self {
            first: first.clone(),
            others: others.into(),
            valid_for,
        })
    }

    /// How long after its message was accepted a token is good.
    pub fn valid_for(&self) -> Duration {
        self.valid_for
    }

    /// Tells a token.
    pub fn seal(&self, token: &Token, purpose: Purpose) -> String {
        let octets = token.octets();
        let signature = sign(&self.first, &octets, purpose);
        let mut whole = [0; WHOLE];
        let parts = octets.iter().chain(signature.as_ref());
        whole
            .iter_mut()
            .zip(parts)
            .for_each(|(to, from)| *to = *from);
        write(&whole)
    }

    /// Reads a token, in any case of its letters.
    ///
    /// # Errors
    /// It is none of ours, or its message is older than it may be at `now`.
    pub fn open(&self, text: &str, purpose: Purpose, now: Timestamp) -> Result<Token, TokenError> {
        let whole = read(text).ok_or(TokenError::Shape)?;
        let (octets, signature) = whole.split_first_chunk().ok_or(TokenError::Shape)?;
        let token = Token::from_octets(octets).ok_or(TokenError::Shape)?;
        let ours = |key| {
            let expected = sign(key, octets, purpose);
            let expected = expected.as_ref().get(..SIGNATURE).unwrap_or_default();
            constant_time::verify_slices_are_equal(expected, signature).is_ok()
        };
        if !ours(&self.first) && !self.others.iter().any(ours) {
            return Err(TokenError::Forged);
        }
        if now.since(token.id.accepted()) > self.valid_for {
            return Err(TokenError::Expired);
        }
        Ok(token)
    }
}

/// Nothing of a secret is printed.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.others.len() + 1)
    }
}

const VERSION: u8 = 1;
/// Octets that are signed, of the signature that are kept, and of both.
const SIGNED: usize = 15;
const SIGNATURE: usize = 10;
const WHOLE: usize = SIGNED + SIGNATURE;

fn mark_of(tenant: &str) -> u32 {
    let digest = digest::digest(&digest::SHA256, tenant.as_bytes());
    let start = digest.as_ref().first_chunk().copied();
    start.map_or(0, u32::from_be_bytes)
}

fn sign(key: &hmac::Key, octets: &[u8; SIGNED], purpose: Purpose) -> hmac::Tag {
    let purpose: &[u8] = match purpose {
        Purpose::Return => b"r",
        Purpose::Unsubscribe => b"u",
    };
    let mut context = hmac::Context::with_key(key);
    context.update(purpose);
    context.update(octets);
    context.sign()
}

/// Five octets are eight characters.
fn write(whole: &[u8; WHOLE]) -> String {
    let mut text = String::with_capacity(LENGTH);
    for five in whole.chunks_exact(5) {
        let bits = five
            .iter()
            .fold(0u64, |bits, octet| bits << 8 | u64::from(*octet));
        let digits = (0..8).rev().map(|at| (bits >> (5 * at)) as usize & 31);
        text.extend(
            digits
                .filter_map(|digit| ALPHABET.get(digit))
                .map(|c| char::from(*c)),
        );
    }
    text
}

fn read(text: &str) -> Option<[u8; WHOLE]> {
    if text.len() != LENGTH {
        return None;
    }
    let mut whole = [0; WHOLE];
    for (eight, five) in text
        .as_bytes()
        .chunks_exact(8)
        .zip(whole.chunks_exact_mut(5))
    {
        let bits = eight.iter().try_fold(0u64, |bits, c| {
            let c = c.to_ascii_lowercase();
            let digit = ALPHABET.iter().position(|a| *a == c)?;
            Some(bits << 5 | digit as u64)
        })?;
        let octets = bits.to_be_bytes().into_iter().skip(3);
        five.iter_mut()
            .zip(octets)
            .for_each(|(to, from)| *to = from);
    }
    Some(whole)
}

#[cfg(test)]
mod tests;

//! The envelope (RFC 5321 §2.3.1) and what a platform says about a message beside it.

use super::Address;
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Our name for a message: unique within a node's spool, sortable by time of acceptance.
///
/// Milliseconds since the epoch in the upper 44 bits, a counter in the lower 20. Written as 13 characters of
/// lower-case base 32 (Crockford's alphabet, so that no letter looks like a digit).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId(pub u64);

impl MessageId {
    /// When it was made.
    pub const fn accepted(self) -> Timestamp {
        Timestamp::from_millis(self.0 >> 20)
    }
}

/// Base 32 without letters that look like digits (Crockford).
pub(crate) const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 13];
        for (i, slot) in text.iter_mut().enumerate() {
            *slot = ALPHABET[(self.0 >> (60 - 5 * i)) as usize & 31];
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not thirteen characters of the alphabet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a message id: thirteen letters and digits, as the accepting reply gave it")]
pub struct NotAMessageId;

impl FromStr for MessageId {
    type Err = NotAMessageId;
    fn from_str(text: &str) -> Result<Self, NotAMessageId> {
        if text.len() != 13 {
            return Err(NotAMessageId);
        }
        let mut id = 0u128;
        for byte in text.bytes() {
            let digit = ALPHABET
                .iter()
                .position(|a| *a == byte)
                .ok_or(NotAMessageId)?;
            id = id << 5 | digit as u128;
        }
        u64::try_from(id).map(MessageId).map_err(|_| NotAMessageId)
    }
}

/// RFC 6152: what the sender says of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BodyType {
    #[default]
    SevenBit,
    EightBitMime,
}

/// RFC 3461 §4.3: how much of the message a failure notice returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ret {
    Full,
    Headers,
}

/// RFC 3461 §4.1: which notices a recipient's sender asked for. `None` there is the absence of NOTIFY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notify {
    Never,
    On {
        success: bool,
        failure: bool,
        delay: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    pub address: Address,
    pub notify: Option<Notify>,
    /// RFC 3461 §4.2 as `type;address`, decoded from xtext.
    pub orcpt: Option<Box<str>>,
}

impl Recipient {
    pub fn new(address: Address) -> Self {
        Self {
            address,
            notify: None,
            orcpt: None,
        }
    }
}

/// Who sends to whom, and how the sender wants it handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The return path; `None` is the null sender `<>`.
    pub sender: Option<Address>,
    pub recipients: Vec<Recipient>,
    pub body: BodyType,
    pub smtputf8: bool,
    pub ret: Option<Ret>,
    /// RFC 3461 §4.4, decoded from xtext.
    pub envid: Option<Box<str>>,
}

/// What kind of mail a message is; transactional overtakes marketing.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    #[default]
    Marketing,
    Transactional,
}

impl Stream {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Marketing => "marketing",
            Self::Transactional => "transactional",
        }
    }

    /// By its name, in lower case.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Marketing, Self::Transactional]
            .into_iter()
            .find(|stream| stream.name() == name)
    }
}

/// What the sender of a message asks of TLS on its whole way, beside what routes and domains ask (RFC 8689).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TlsWish {
    #[default]
    None,
    /// REQUIRETLS in MAIL: over verified TLS alone, and to hosts that ask the same of the next.
    Requires,
    /// `TLS-Required: No` in the header section: what the recipient's domain asks is passed over.
    Waives,
    /// A notice about a message that required it: with REQUIRETLS where the next host knows it, and not lost where it
    /// does not (§5).
    Prefers,
}

impl TlsWish {
    /// As the spool writes it.
    pub const fn octet(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Requires => 1,
            Self::Waives => 2,
            Self::Prefers => 3,
        }
    }

    /// Back from [`TlsWish::octet`]; `None` for an octet that it does not write.
    pub const fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            0 => Self::None,
            1 => Self::Requires,
            2 => Self::Waives,
            3 => Self::Prefers,
            _ => return None,
        })
    }

    /// MAIL is said with REQUIRETLS where the server offers it.
    pub const fn is_passed_on(self) -> bool {
        matches!(self, Self::Requires | Self::Prefers)
    }
}

/// What the platform says about a message in `X-Mailwright-*` and AUTH; not part of what is sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Labels {
    pub tenant: Option<Box<str>>,
    pub campaign: Option<Box<str>>,
    pub stream: Option<Stream>,
    pub pool: Option<Box<str>>,
    /// The mailing list, as `X-Mailwright-List` or List-Id (RFC 2919) names it.
    pub list: Option<Box<str>>,
    /// 0 to 100.
    pub engagement: Option<u8>,
    pub tag: Option<Box<str>>,
    /// The spool keeps it in the header of the message's record.
    #[serde(skip)]
    pub tls: TlsWish,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_read_back_and_sort_as_text(a: u64, b: u64) {
            let (x, y) = (MessageId(a), MessageId(b));
            prop_assert_eq!(x.to_string().parse::<MessageId>().unwrap(), x);
            prop_assert_eq!(x.to_string().cmp(&y.to_string()), x.cmp(&y));
        }
    }

    #[test]
    fn text_that_is_no_id_is_refused() {
        for bad in [
            "",
            "short",
            "zzzzzzzzzzzzz",
            "0000000000000x",
            "000000000000u",
        ] {
            assert_eq!(bad.parse::<MessageId>(), Err(NotAMessageId), "{bad}");
        }
    }
}

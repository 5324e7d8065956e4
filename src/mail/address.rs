//! A mailbox as an envelope carries it (RFC 5321 §4.1.2, RFC 6531 §3.3).

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A mailbox that is safe to write into a command: no control characters, no bare specials.
///
/// The local part is kept as written (quoted where it must be), the domain in lower case. An address literal keeps
/// its brackets: `user@[192.0.2.1]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    text: Box<str>,
    at: u16,
}

/// What is wrong with a mailbox as given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("the address is empty")]
    Empty,
    #[error("the address has no domain")]
    NoDomain,
    #[error("the address is over 254 octets, or its local part over 64")]
    TooLong,
    #[error("the local part \"{0}\" is not a dot-string or a quoted string")]
    LocalPart(String),
    #[error("the domain \"{0}\" is not a host name or an address literal")]
    Domain(String),
}

impl Address {
    /// Local part as it stands in commands, quotes included.
    pub fn local(&self) -> &str {
        &self.text[..usize::from(self.at)]
    }

    /// Domain in lower case; may hold U-labels where the address does.
    pub fn domain(&self) -> &str {
        &self.text[usize::from(self.at) + 1..]
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Needs SMTPUTF8 (RFC 6531) to be sent as it is.
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }

    /// The domain in A-labels, as DNS is asked. `[192.0.2.1]` stays as it is.
    pub fn ascii_domain(&self) -> Cow<'_, str> {
        todo!()
    }

    /// The same mailbox with its domain in A-labels; `None` where the local part is not ASCII.
    pub fn to_ascii(&self) -> Option<Address> {
        todo!()
    }
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(_text: &str) -> Result<Self, AddressError> {
        todo!()
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.text.into()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

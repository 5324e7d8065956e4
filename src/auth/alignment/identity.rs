//! What a message will say of itself, and where it will come from.

use std::net::IpAddr;
use std::sync::Arc;

/// The domains a message speaks for. The same for all messages of a stream, whatever their addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The domain of the From address.
    pub from: Box<str>,
    /// The domain of the return path; `None` for notices, which have none.
    pub return_path: Option<Box<str>>,
    /// The signatures that will be made; each is shared by all messages that its key signs.
    pub signatures: Box<[Arc<Signature>]>,
}

impl Identity {
    /// A return path by itself: what SPF makes of it at a source is the same whoever the author is.
    pub fn of_return_path(domain: &str) -> Self {
        Self {
            from: domain.into(),
            return_path: Some(domain.into()),
            signatures: Box::default(),
        }
    }
}

/// A DKIM signature that will be made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Signature {
    /// `d=`, in A-labels.
    pub domain: Box<str>,
    /// `s=`.
    pub selector: Box<str>,
    /// The record that ought to be published for the key: [`crate::auth::dkim::PublicKey::text`].
    pub record: Box<str>,
    /// `h=`, in any order and case.
    pub covers: Box<[Box<str>]>,
}

/// One of our addresses, and the name it gives itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    pub ip: IpAddr,
    /// The name in EHLO.
    pub ehlo: Box<str>,
}

impl Signature {
    pub(super) fn covers(&self, field: &str) -> bool {
        self.covers
            .iter()
            .any(|name| name.eq_ignore_ascii_case(field))
    }
}

//! A published policy, read once (RFC 7208 §4.6, §5, §6).

use super::SpfResult;
use super::macros::MacroString;
use ipnet::IpNet;
use std::net::IpAddr;

/// A record whose every term is known to be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub directives: Vec<Directive>,
    pub(super) redirect: Option<MacroString>,
    pub(super) explanation: Option<MacroString>,
}

/// A mechanism, and what it means where it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    pub qualifier: Qualifier,
    pub mechanism: Mechanism,
    /// As written.
    pub text: Box<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qualifier {
    Pass,
    Fail,
    SoftFail,
    Neutral,
}

/// RFC 7208 §5. Without a domain of its own a mechanism speaks of the domain whose record it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mechanism {
    All,
    Include(MacroString),
    A(Option<MacroString>, Lengths),
    Mx(Option<MacroString>, Lengths),
    Ptr(Option<MacroString>),
    /// `ip4` and `ip6`.
    Ip(IpNet),
    Exists(MacroString),
}

/// How many leading bits of an address have to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    pub(super) v4: u8,
    pub(super) v6: u8,
}

/// Whether a TXT record is an SPF record (RFC 7208 §4.5): its version is followed by a space or by nothing.
pub fn is_spf(text: &[u8]) -> bool {
    body(text).is_some()
}

/// What follows the version.
pub(super) fn body(text: &[u8]) -> Option<&[u8]> {
    let (version, rest) = text.split_at_checked(b"v=spf1".len())?;
    let ends = matches!(rest.first(), None | Some(b' '));
    (ends && version.eq_ignore_ascii_case(b"v=spf1")).then_some(rest)
}

impl Directive {
    /// The mechanism as written, without the qualifier.
    pub fn mechanism_text(&self) -> &str {
        self.text.trim_start_matches(['+', '-', '~', '?'])
    }
}

impl Lengths {
    pub(super) const WHOLE: Self = Self { v4: 32, v6: 128 };

    /// Whether both addresses are of one family and of one network of this length.
    pub(super) fn agree(self, a: IpAddr, b: IpAddr) -> bool {
        let length = match a {
            IpAddr::V4(_) => self.v4,
            IpAddr::V6(_) => self.v6,
        };
        IpNet::new(a, length).is_ok_and(|network| network.contains(&b))
    }
}

impl From<Qualifier> for SpfResult {
    fn from(qualifier: Qualifier) -> Self {
        match qualifier {
            Qualifier::Pass => Self::Pass,
            Qualifier::Fail => Self::Fail,
            Qualifier::SoftFail => Self::SoftFail,
            Qualifier::Neutral => Self::Neutral,
        }
    }
}

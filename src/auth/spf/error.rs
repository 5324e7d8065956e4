//! What keeps a policy from being evaluated.

use super::SpfResult;
use crate::dns::DnsFailure;

/// Why the result is `temperror` or `permerror`. Texts name the domain whose record is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpfError {
    #[error("the SPF record of {domain} is wrong at \"{term}\": {why}")]
    Syntax {
        domain: Box<str>,
        term: Box<str>,
        why: &'static str,
    },
    #[error("{0} has more than one SPF record")]
    SeveralRecords(Box<str>),
    #[error("over {MAX_LOOKUPS} terms ask DNS; the one too many is \"{term}\" of {domain}")]
    Lookups { domain: Box<str>, term: Box<str> },
    #[error("over {MAX_VOIDS} terms found nothing in DNS; the last is \"{term}\" of {domain}")]
    Voids { domain: Box<str>, term: Box<str> },
    #[error("{0} has over {MAX_NAMES} MX records")]
    Exchanges(Box<str>),
    #[error("\"{term}\" of {domain} leads to {target}, which has no SPF record")]
    NoRecord {
        domain: Box<str>,
        term: Box<str>,
        target: Box<str>,
    },
    /// The name servers failed.
    #[error("{0}")]
    Dns(DnsFailure),
    #[error("the evaluation took over {MAX_SECONDS} seconds")]
    Time,
}

/// RFC 7208 §4.6.4: `include`, `a`, `mx`, `ptr`, `exists` and `redirect`, of all records together.
pub const MAX_LOOKUPS: u8 = 10;
/// RFC 7208 §4.6.4: terms that found nothing.
pub const MAX_VOIDS: u8 = 2;
/// RFC 7208 §4.6.4: names of one MX or PTR answer.
pub const MAX_NAMES: usize = 10;
/// RFC 7208 §4.6.4: at least this long.
pub const MAX_SECONDS: u64 = 20;

impl SpfError {
    /// RFC 7208 §2.6.6 and §2.6.7.
    pub fn result(&self) -> SpfResult {
        match self {
            Self::Dns(_) | Self::Time => SpfResult::TempError,
            _ => SpfResult::PermError,
        }
    }

    /// What the owner of the domain does about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Syntax { domain, term, .. } => {
                format!("correct \"{term}\" in the TXT record of {domain}")
            }
            Self::SeveralRecords(domain) => {
                format!(
                    "publish one TXT record at {domain} that starts with \"v=spf1\", not several"
                )
            }
            Self::Lookups { .. } => format!(
                "leave out includes that are not needed, or write networks as ip4: and ip6:, until {MAX_LOOKUPS} terms or fewer ask DNS"
            ),
            Self::Voids { domain, term } => {
                format!(
                    "remove \"{term}\" and its like from the record of {domain}: they name nothing"
                )
            }
            Self::Exchanges(domain) => {
                format!("replace the mx mechanism for {domain} by the networks of its hosts")
            }
            Self::NoRecord {
                term,
                domain,
                target,
            } => {
                format!(
                    "publish an SPF record at {target}, or remove \"{term}\" from the record of {domain}"
                )
            }
            Self::Dns(_) | Self::Time => "see that the name servers of the domain answer".into(),
        }
    }
}

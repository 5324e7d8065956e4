//! Why a domain has no next hop, and what that means for its mail.

use crate::mail::{BounceClass, EnhancedCode, Reply};

/// A domain or host that cannot be reached, in the words of DNS. Texts name the domain asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsFailure {
    /// NXDOMAIN, or a name that DNS cannot hold.
    #[error("the domain {0} does not exist")]
    NoSuchDomain(Box<str>),
    /// RFC 7505: the domain says that it takes no mail.
    #[error("the domain {0} accepts no mail (null MX)")]
    NullMx(Box<str>),
    /// The domain exists, but neither it nor its MX hosts have an address.
    #[error("no mail host of {0} has an address")]
    NoAddress(Box<str>),
    /// The name servers failed, or did not answer: nothing is known. Holds what went wrong.
    #[error("{0}")]
    Temporary(Box<str>),
    /// The answers lead to this machine (RFC 5321 §5.1).
    #[error("mail for {0} loops back to this server")]
    LoopsBack(Box<str>),
}

impl DnsFailure {
    /// The failure as the reply that is recorded for a recipient: 4xx where waiting may help.
    pub fn reply(&self) -> Reply {
        let (code, enhanced) = match self {
            Self::NoSuchDomain(_) => (550, EnhancedCode(5, 1, 2)),
            Self::NullMx(_) => (556, EnhancedCode(5, 1, 10)),
            Self::NoAddress(_) => (550, EnhancedCode(5, 4, 4)),
            Self::Temporary(_) => (451, EnhancedCode(4, 4, 3)),
            Self::LoopsBack(_) => (554, EnhancedCode(5, 4, 6)),
        };
        Reply::local(code, enhanced, self.to_string(), "dns")
    }

    /// How the recipient bounces; `None` where the mail should wait instead.
    pub fn bounce_class(&self) -> Option<BounceClass> {
        match self {
            Self::NoSuchDomain(_) | Self::NullMx(_) | Self::NoAddress(_) => Some(BounceClass::Hard),
            Self::LoopsBack(_) => Some(BounceClass::Config),
            Self::Temporary(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_temporary_failure_waits() {
        let domain = || "example.test".into();
        for failure in [
            DnsFailure::NoSuchDomain(domain()),
            DnsFailure::NullMx(domain()),
            DnsFailure::NoAddress(domain()),
            DnsFailure::LoopsBack(domain()),
            DnsFailure::Temporary(domain()),
        ] {
            let permanent = failure.bounce_class().is_some();
            assert_eq!(failure.reply().is_permanent(), permanent, "{failure}");
            assert!(failure.reply().local);
            assert!(failure.reply().text.contains("example.test"));
        }
    }
}

//! What is to be said of an identity.

use super::published::KeyState;
use crate::auth::dmarc::Policy;
use crate::auth::spf::{SpfError, SpfResult};
use crate::mail::{EnhancedCode, Reply};
use serde::Serialize;

/// One thing a receiver will find, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub weight: Weight,
    pub kind: Kind,
    /// What is the case, in a sentence that names the domain.
    pub text: String,
    /// What the operator does about it.
    pub remedy: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Worth knowing.
    Note,
    /// The mail passes today; something about it is weak.
    Weak,
    /// Receivers will not take the mail for the domain's own, or cannot tell now.
    Broken,
}

/// What was found. Each kind is one remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The source may not send for the return-path domain, or nobody says that it may.
    Spf(SpfResult),
    SpfError(SpfError),
    /// Nine or ten of the ten terms that may ask DNS.
    SpfNearLimit(u8),
    /// The policy looks at the local part, so this result is for one address only.
    SpfPersonal,
    SpfUnaligned,
    /// The message will have no signature.
    Unsigned,
    Key(KeyState),
    /// `t=y`.
    KeyTesting,
    /// An RSA key of so many bits.
    KeyShort(usize),
    DkimUnaligned,
    /// A field that the signature does not cover.
    NotCovered(&'static str),
    NoPolicy,
    /// Two records at one name are none.
    SeveralPolicies,
    /// A record without a valid policy.
    PolicyVoid,
    PolicyUnknown,
    NoReports,
    /// `t=y` or `pct=0`.
    PolicyTesting,
    /// `pct` of a record of before RFC 9989.
    PolicySampled(u8),
    /// Nothing that passes is aligned; receivers are asked for this.
    Unauthenticated(Policy),
}

impl Kind {
    /// The check of the lint that it belongs to.
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Unsigned | Self::Key(_) | Self::KeyTesting | Self::DkimUnaligned => "L06",
            Self::KeyShort(_) | Self::NotCovered(_) => "L07",
            Self::Spf(_) | Self::SpfError(_) | Self::SpfNearLimit(_) | Self::SpfPersonal => "L08",
            Self::SpfUnaligned => "L09",
            Self::NoPolicy
            | Self::SeveralPolicies
            | Self::PolicyVoid
            | Self::PolicyUnknown
            | Self::NoReports
            | Self::PolicyTesting
            | Self::PolicySampled(_) => "L10",
            Self::Unauthenticated(_) => "L11",
        }
    }

    pub(super) fn weight(&self) -> Weight {
        match self {
            Self::Spf(_) | Self::SpfError(_) | Self::Unsigned | Self::Key(_) => Weight::Broken,
            Self::NotCovered("From") | Self::Unauthenticated(_) => Weight::Broken,
            Self::NoPolicy | Self::SeveralPolicies | Self::PolicyVoid => Weight::Broken,
            Self::PolicyUnknown => Weight::Broken,
            Self::KeyShort(bits) if *bits < LEAST_BITS => Weight::Broken,
            Self::SpfPersonal | Self::NoReports | Self::PolicyTesting => Weight::Note,
            _ => Weight::Weak,
        }
    }

    /// Whether it may be otherwise in a minute.
    fn is_temporary(&self) -> bool {
        match self {
            Self::Key(KeyState::Unknown(_)) | Self::PolicyUnknown => true,
            Self::SpfError(error) => error.result() == SpfResult::TempError,
            _ => false,
        }
    }

    /// RFC 7372 §3; DMARC has no code of its own there, 5.7.1 is what receivers give.
    const fn detail(&self) -> u16 {
        match self {
            Self::Unsigned | Self::Key(_) | Self::KeyTesting | Self::KeyShort(_) => 20,
            Self::NotCovered(_) => 21,
            Self::DkimUnaligned => 22,
            Self::Spf(_) | Self::SpfUnaligned => 23,
            Self::SpfError(_) | Self::SpfNearLimit(_) | Self::SpfPersonal => 24,
            Self::Unauthenticated(_) => 26,
            _ => 1,
        }
    }
}

/// RFC 8301 §3.2: shorter keys do not count.
pub const LEAST_BITS: usize = 1024;
/// What mailbox providers ask for.
pub const GOOD_BITS: usize = 2048;

impl Finding {
    /// Receivers will not take the mail for the domain's own, and no name server that failed is to blame.
    pub fn is_fault(&self) -> bool {
        self.weight == Weight::Broken && !self.kind.is_temporary()
    }

    /// The reply of one who refuses the message for it: 550 5.7.x, or 451 4.7.x where waiting may help.
    pub fn reply(&self) -> Reply {
        let (code, class) = match self.kind.is_temporary() {
            true => (451, 4),
            false => (550, 5),
        };
        let text = format!("{} ({}): {}", self.text, self.kind.rule(), self.remedy);
        Reply::local(
            code,
            EnhancedCode(class, 7, self.kind.detail()),
            text,
            "preflight",
        )
    }
}

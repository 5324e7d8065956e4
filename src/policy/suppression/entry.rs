//! What is on the list.

use crate::mail::{Address, Labels, MessageId, Stream};
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// For whose mail an entry holds. Written as `global`, `tenant/acme`, `stream/acme/marketing`, `list/acme/news`; `-`
/// stands for mail without a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// Everybody's.
    Global,
    /// One tenant's.
    Tenant(Box<str>),
    /// One stream of a tenant, or of mail without a tenant.
    Stream(Option<Box<str>>, Stream),
    /// One mailing list of a tenant, or of mail without a tenant.
    List(Option<Box<str>>, Box<str>),
}

/// The text names no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no scope: write global, tenant/NAME, stream/TENANT/marketing or list/TENANT/NAME, with - for mail \
     without a tenant"
)]
pub struct NotAScope(pub String);

const NOBODY: &str = "-";

impl Scope {
    /// Those that hold for mail with these labels, the widest first.
    pub fn of(labels: &Labels) -> impl Iterator<Item = Self> + use<> {
        let tenant = labels.tenant.clone();
        let of_tenant = tenant.clone().map(Self::Tenant);
        let stream = Self::Stream(tenant.clone(), labels.stream.unwrap_or_default());
        let list = labels.list.clone().map(|list| Self::List(tenant, list));
        let narrow = of_tenant.into_iter().chain([stream]).chain(list);
        std::iter::once(Self::Global).chain(narrow)
    }

    /// The tenant whose books it belongs to.
    pub fn tenant(&self) -> Option<&str> {
        match self {
            Self::Global => None,
            Self::Tenant(tenant) => Some(tenant),
            Self::Stream(tenant, _) | Self::List(tenant, _) => tenant.as_deref(),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = |tenant: &Option<Box<str>>| tenant.as_deref().unwrap_or(NOBODY).to_owned();
        match self {
            Self::Global => f.write_str("global"),
            Self::Tenant(tenant) => write!(f, "tenant/{tenant}"),
            Self::Stream(tenant, stream) => write!(f, "stream/{}/{}", owner(tenant), stream.name()),
            Self::List(tenant, list) => write!(f, "list/{}/{list}", owner(tenant)),
        }
    }
}

impl FromStr for Scope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        let refused = || NotAScope(text.to_owned());
        let owner = |tenant: &str| (tenant != NOBODY).then(|| Box::from(tenant));
        let mut parts = text.splitn(3, '/');
        let scope = match (parts.next(), parts.next(), parts.next()) {
            (Some("global"), None, None) => Self::Global,
            (Some("tenant"), Some(tenant), None) if !tenant.is_empty() => {
                Self::Tenant(tenant.into())
            }
            (Some("stream"), Some(tenant), Some(stream)) if !tenant.is_empty() => {
                Self::Stream(owner(tenant), Stream::named(stream).ok_or_else(refused)?)
            }
            (Some("list"), Some(tenant), Some(list)) if !tenant.is_empty() && !list.is_empty() => {
                Self::List(owner(tenant), list.into())
            }
            _ => return Err(refused()),
        };
        Ok(scope)
    }
}

impl TryFrom<String> for Scope {
    type Error = NotAScope;

    fn try_from(text: String) -> Result<Self, NotAScope> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The address is bad.
    Hard,
    /// It failed again and again.
    Soft,
    Complaint,
    Unsubscribe,
    Manual,
    /// It cannot be an address that anybody reads.
    Invalid,
}

impl Reason {
    pub const ALL: [Self; 6] = [
        Self::Hard,
        Self::Soft,
        Self::Complaint,
        Self::Unsubscribe,
        Self::Manual,
        Self::Invalid,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
            Self::Complaint => "complaint",
            Self::Unsubscribe => "unsubscribe",
            Self::Manual => "manual",
            Self::Invalid => "invalid",
        }
    }

    /// To follow "is suppressed: ".
    pub const fn told(self) -> &'static str {
        match self {
            Self::Hard => "the address is bad",
            Self::Soft => "it failed again and again",
            Self::Complaint => "its reader complained",
            Self::Unsubscribe => "its reader unsubscribed",
            Self::Manual => "by hand",
            Self::Invalid => "nobody can read it",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// Who or what changed the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// What happened to mail.
    Reply,
    Notice,
    Feedback,
    Recipient,
    /// An operator or a platform, by the API: its name there.
    Operator(Box<str>),
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply => f.write_str("a reply"),
            Self::Notice => f.write_str("a notice that came back"),
            Self::Feedback => f.write_str("a feedback report"),
            Self::Recipient => f.write_str("the recipient"),
            Self::Operator(name) => f.write_str(name),
        }
    }
}

/// One address that is suppressed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub scope: Scope,
    pub address: Address,
    pub reason: Reason,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The message whose fate led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<MessageId>,
    pub by: By,
    /// The reply, or what a person wrote.
    #[serde(default)]
    pub note: Box<str>,
}

/// What is asked of one recipient.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub recipient: &'a Address,
    pub labels: &'a Labels,
}

/// What is known of a recipient.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It may be written to. `failing`: its mail failed before, so that a delivery is worth telling.
    Free { failing: bool },
    Suppressed {
        scope: Scope,
        reason: Reason,
        until: Option<Timestamp>,
    },
}

impl Answer {
    /// `suppressed until 2027-01-01T00:00:00Z (tenant/acme): its reader complained`; `None` where it is not.
    pub fn told(&self) -> Option<String> {
        let Self::Suppressed {
            scope,
            reason,
            until,
        } = self
        else {
            return None;
        };
        let until = until.map_or_else(String::new, |until| format!(" until {until}"));
        Some(format!("suppressed{until} ({scope}): {}", reason.told()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_read_back() {
        for text in [
            "global",
            "tenant/acme",
            "stream/acme/marketing",
            "stream/-/transactional",
            "list/acme/news/2026",
            "list/-/news",
        ] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "tenant",
            "tenant/",
            "stream/acme",
            "stream/acme/loud",
            "list/a/",
            "world",
        ] {
            assert!(bad.parse::<Scope>().is_err(), "{bad}");
        }
    }
}

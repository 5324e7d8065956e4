//! The slices of mail that have a reputation of their own.

use crate::events::{About, Attempt};
use crate::mail::{Address, Stream};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;

/// A part of the mail. Written as `campaign/acme/spring`; a `/` or `%` in a name as `%2F`, `%25`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Slice {
    Source(Arc<str>),
    Pool(Arc<str>),
    Provider(Arc<str>),
    /// Mail of a source to a provider.
    Pair(Arc<str>, Arc<str>),
    Tenant(Arc<str>),
    /// Of a tenant; `-` for mail without one.
    Campaign(Arc<str>, Arc<str>),
    /// Of a tenant; `-` for mail without one.
    Stream(Arc<str>, Stream),
    /// The domain of the sender.
    Domain(Arc<str>),
    /// Addresses that are suppressed for a reason in a scope; it has no rates.
    Suppression(Arc<str>, Arc<str>),
}

/// Stands for mail without a tenant.
pub const NOBODY: &str = "-";

/// The text names no slice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" names no part of the mail: write such as \"tenant/acme\", \"campaign/acme/spring\" or \"pair/ip-a/google\""
)]
pub struct NotASlice(pub String);

impl Slice {
    /// What [`Slice::kind`] gives of mail.
    pub const KINDS: [&'static str; 8] = [
        "source", "pool", "provider", "pair", "tenant", "campaign", "stream", "domain",
    ];

    /// Those that a recipient's outcome belongs to.
    pub fn of(about: &About, attempt: Option<&Attempt>) -> SmallVec<[Self; 8]> {
        let labels = &about.labels;
        let shared = |text: &Option<Box<str>>| text.as_deref().map(Arc::<str>::from);
        let tenant = shared(&labels.tenant);
        let owner = tenant.clone().unwrap_or_else(|| NOBODY.into());
        let stream = labels.stream.unwrap_or_default();
        let mut slices = SmallVec::new();
        slices.push(Self::Stream(Arc::clone(&owner), stream));
        slices.extend(shared(&labels.campaign).map(|name| Self::Campaign(owner, name)));
        slices.extend(tenant.map(Self::Tenant));
        slices.extend(shared(&labels.pool).map(Self::Pool));
        let sender = about.sender.as_ref().map(Address::domain);
        slices.extend(sender.map(|domain| Self::Domain(domain.into())));
        let source = attempt.and_then(|attempt| attempt.source.clone());
        let provider = attempt.and_then(|attempt| attempt.provider.clone());
        if let (Some(source), Some(provider)) = (&source, &provider) {
            slices.push(Self::Pair(Arc::clone(source), Arc::clone(provider)));
        }
        slices.extend(source.map(Self::Source));
        slices.extend(provider.map(Self::Provider));
        slices
    }

    /// The first word of its text, by which reports group.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Source(_) => "source",
            Self::Pool(_) => "pool",
            Self::Provider(_) => "provider",
            Self::Pair(..) => "pair",
            Self::Tenant(_) => "tenant",
            Self::Campaign(..) => "campaign",
            Self::Stream(..) => "stream",
            Self::Domain(_) => "domain",
            Self::Suppression(..) => "suppression",
        }
    }

    /// Whose mail it is, where it is one tenant's.
    pub fn tenant(&self) -> Option<&str> {
        match self {
            Self::Tenant(tenant) | Self::Campaign(tenant, _) | Self::Stream(tenant, _) => {
                Some(tenant)
                    .map(|tenant| &**tenant)
                    .filter(|t| *t != NOBODY)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Source(name)
            | Self::Pool(name)
            | Self::Provider(name)
            | Self::Tenant(name)
            | Self::Domain(name) => write!(f, "{kind}/{}", escaped(name)),
            Self::Pair(first, second)
            | Self::Campaign(first, second)
            | Self::Suppression(first, second) => {
                write!(f, "{kind}/{}/{}", escaped(first), escaped(second))
            }
            Self::Stream(tenant, stream) => {
                write!(f, "{kind}/{}/{}", escaped(tenant), stream.name())
            }
        }
    }
}

impl From<Slice> for String {
    fn from(slice: Slice) -> Self {
        slice.to_string()
    }
}

impl TryFrom<String> for Slice {
    type Error = NotASlice;

    fn try_from(text: String) -> Result<Self, NotASlice> {
        text.parse()
    }
}

impl std::str::FromStr for Slice {
    type Err = NotASlice;

    fn from_str(text: &str) -> Result<Self, NotASlice> {
        let refused = || NotASlice(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        let name = |part: &str| -> Arc<str> { unescaped(part).into() };
        Ok(match *parts.as_slice() {
            [_, "", ..] | [_, _, ""] => return Err(refused()),
            ["source", one] => Self::Source(name(one)),
            ["pool", one] => Self::Pool(name(one)),
            ["provider", one] => Self::Provider(name(one)),
            ["tenant", one] => Self::Tenant(name(one)),
            ["domain", one] => Self::Domain(name(one)),
            ["pair", one, two] => Self::Pair(name(one), name(two)),
            ["suppression", one, two] => Self::Suppression(name(one), name(two)),
            ["campaign", one, two] => Self::Campaign(name(one), name(two)),
            ["stream", one, two] => {
                let stream = Stream::named(two).ok_or_else(refused)?;
                Self::Stream(name(one), stream)
            }
            _ => return Err(refused()),
        })
    }
}

fn escaped(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

fn unescaped(text: &str) -> String {
    text.replace("%2F", "/").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn slices_read_back(one in "[ -~]{1,12}", two in "[ -~]{1,12}", kind in 0..9_u8) {
            let (one, two): (Arc<str>, Arc<str>) = (one.into(), two.into());
            let slice = match kind {
                0 => Slice::Source(one),
                1 => Slice::Pool(one),
                2 => Slice::Provider(one),
                3 => Slice::Pair(one, two),
                4 => Slice::Tenant(one),
                5 => Slice::Campaign(one, two),
                6 => Slice::Stream(one, Stream::Transactional),
                7 => Slice::Suppression(one, two),
                _ => Slice::Domain(one),
            };
            prop_assert_eq!(slice.to_string().parse::<Slice>(), Ok(slice));
        }
    }

    #[test]
    fn texts_that_name_nothing_are_refused() {
        for text in [
            "",
            "tenant",
            "tenant/",
            "x/y",
            "stream/acme/loud",
            "pair/a",
            "a/b/c/d",
        ] {
            assert!(text.parse::<Slice>().is_err(), "{text}");
        }
    }
}

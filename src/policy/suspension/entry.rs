//! One suspension, and where it is kept.

use crate::mail::Reply;
use crate::store::StoreError;
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// A source is kept from a site or a provider for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    pub source: Arc<str>,
    pub at: At,
    /// Who has the mailboxes there.
    pub provider: Arc<str>,
    pub since: Timestamp,
    /// It may send again from then on.
    pub until: Timestamp,
    pub why: Box<str>,
    /// What the server had said, where that is the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
}

/// What a source is kept from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum At {
    /// One site, by its name.
    Site(Arc<str>),
    /// Every site of a provider, by its name.
    Provider(Arc<str>),
}

impl At {
    /// The site, where it is one.
    pub fn site(&self) -> Option<&Arc<str>> {
        match self {
            Self::Site(site) => Some(site),
            Self::Provider(_) => None,
        }
    }
}

/// To follow "waits for".
impl fmt::Display for Suspension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, why) = (&self.source, &self.why);
        match &self.at {
            At::Site(site) => write!(f, "source {source} is kept from {site}, {why}")?,
            At::Provider(provider) => {
                write!(f, "source {source} is kept from provider {provider}, {why}")?;
            }
        }
        let said = self.reply.as_ref();
        said.map_or(Ok(()), |reply| write!(f, "; it had said: {reply}"))
    }
}

/// A source and what it is kept from: there is one suspension of it at most.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub source: Arc<str>,
    pub at: At,
}

/// How the keys of all of them begin.
pub const PREFIX: &str = "suspension/";

impl Key {
    pub fn new(source: &str, at: &At) -> Self {
        Self {
            source: source.into(),
            at: at.clone(),
        }
    }

    /// The key in the store: `suspension/ip-a/site/mx.example.net`.
    pub fn name(&self) -> String {
        let (kind, name) = match &self.at {
            At::Site(name) => ("site", name),
            At::Provider(name) => ("provider", name),
        };
        format!("{PREFIX}{}/{kind}/{}", segment(&self.source), segment(name))
    }
}

/// `text` without what ends a segment of a key.
fn segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '/' | '%') || c.is_control() {
            // Writing into a String cannot fail.
            let _infallible = write!(segment, "%{:02X}", u32::from(c));
        } else {
            segment.push(c);
        }
    }
    segment
}

impl Suspension {
    pub fn key(&self) -> Key {
        Key::new(&self.source, &self.at)
    }

    pub(super) fn write(&self) -> Vec<u8> {
        // A value of texts and numbers cannot fail to be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what the store has at `name`.
    pub(super) fn read(name: &str, value: &[u8]) -> Result<Self, StoreError> {
        let damaged = |why: String| StoreError::Damaged {
            key: name.to_owned(),
            why,
        };
        let read: Self =
            serde_json::from_slice(value).map_err(|error| damaged(error.to_string()))?;
        if read.key().name() != name {
            return Err(damaged(
                "it is about something else than its key".to_owned(),
            ));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::EnhancedCode;
    use proptest::prelude::*;

    fn at() -> impl Strategy<Value = At> {
        let name = "[a-c/%]{0,4}";
        prop_oneof![
            name.prop_map(|name| At::Site(name.into())),
            name.prop_map(|name| At::Provider(name.into())),
        ]
    }

    proptest! {
        #[test]
        fn different_places_have_different_keys(
            one in ("[a-c/%]{0,4}", at()),
            two in ("[a-c/%]{0,4}", at()),
        ) {
            let (one, two) = (Key::new(&one.0, &one.1), Key::new(&two.0, &two.1));
            prop_assert_eq!(one.name() == two.name(), one == two);
            prop_assert_eq!(one.name().matches('/').count(), 3);
        }

        #[test]
        fn what_is_written_is_read_back(source in any::<String>(), at in at(), text in any::<String>(), until in 0u64..1 << 45) {
            let suspension = Suspension {
                source: source.as_str().into(),
                at,
                provider: "google".into(),
                since: Timestamp::from_millis(1),
                until: Timestamp::from_millis(until),
                why: text.as_str().into(),
                reply: Some(Reply::said(421, Some(EnhancedCode(4, 7, 28)), &text, "RCPT")),
            };
            let name = suspension.key().name();
            prop_assert_eq!(Suspension::read(&name, &suspension.write()).unwrap(), suspension);
        }
    }

    #[test]
    fn what_is_not_ours_is_not_read() {
        let name = "suspension/ip-a/site/mx.test";
        let good = r#"{"source":"ip-a","at":{"site":"mx.test"},"provider":"other","since":"2026-01-01T00:00:00.000Z","until":"2026-01-01T02:00:00.000Z","why":"x"}"#;
        assert_eq!(&*Suspension::read(name, good.as_bytes()).unwrap().why, "x");
        for bad in [
            "",
            "{}",
            "null",
            &good.replace("ip-a", "ip-b"),
            &good.replace("site", "provider"),
            &good.replace("2026-01-01T02:00:00.000Z", "soon"),
            &good[..good.len() - 1],
        ] {
            let error = Suspension::read(name, bad.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(name), "{bad}: {error}");
        }
    }
}

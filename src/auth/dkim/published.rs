//! What the DNS has at a selector, compared with our key (RFC 6376 §3.6.1).

use super::PublicKey;
use crate::auth::tags::Tags;

/// What is published, as seen from our key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    Ours,
    /// Ours, and marked as a test (`t=y`), which tells receivers to treat its signatures as none.
    Testing,
    /// An empty `p=`.
    Revoked,
    /// The key of somebody else.
    Other,
    /// No key record.
    Unreadable,
    Absent,
    /// Several records, of which receivers take any.
    Several,
}

impl Published {
    /// What is wrong with it, in a sentence.
    pub fn what(self) -> &'static str {
        match self {
            Self::Ours => "the published key is ours",
            Self::Testing => "the key is marked as a test (t=y)",
            Self::Revoked => "the key is revoked (an empty p=)",
            Self::Other => "another key than ours is published",
            Self::Unreadable => "this is no DKIM key record",
            Self::Absent => "the key is not published",
            Self::Several => "there are several records, of which receivers take any: leave one",
        }
    }

    /// What the TXT records of a selector are to `public`.
    pub fn of(texts: &[String], public: &PublicKey) -> Self {
        match texts {
            [] => Self::Absent,
            [one] => Self::one(one, public),
            _ => Self::Several,
        }
    }

    fn one(text: &str, public: &PublicKey) -> Self {
        let Some(tags) = Tags::parse(text) else {
            return Self::Unreadable;
        };
        let version = tags.get("v").unwrap_or("DKIM1");
        let (Some(key), "DKIM1") = (tags.get("p"), version) else {
            return Self::Unreadable;
        };
        // RFC 6376 §3.6.1: keys for other hashes or services are passed over.
        let has = |tag: &str, wanted: &[&str]| {
            tags.get(tag)
                .is_none_or(|list| list.split(':').any(|one| wanted.contains(&one.trim())))
        };
        if !has("h", &["sha256"]) || !has("s", &["*", "email"]) {
            return Self::Unreadable;
        }
        let key: String = key.split_whitespace().collect();
        if key.is_empty() {
            return Self::Revoked;
        }
        if !public.is(tags.get("k").unwrap_or("rsa"), &key) {
            return Self::Other;
        }
        let mut flags = tags.get("t").unwrap_or_default().split(':');
        match flags.any(|flag| flag.trim() == "y") {
            true => Self::Testing,
            false => Self::Ours,
        }
    }
}

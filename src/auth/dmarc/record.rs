//! A DMARC policy record, read once (RFC 9989 §4.7, §4.8).

use crate::auth::tags::tags;
use serde::Serialize;

/// A record whose version is right. Whatever else is wrong in it counts as not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub stance: Stance,
    /// `aspf`.
    pub spf: Mode,
    /// `adkim`.
    pub dkim: Mode,
    pub psd: Psd,
    /// `t=y`, or `pct=0` where there is no `t`: the policy is to be applied one level lower.
    pub testing: bool,
    /// As written in a record of RFC 7489; no longer honoured.
    pub pct: Option<u8>,
    /// Where aggregate reports go; only what is a URI.
    pub rua: Vec<Box<str>>,
}

/// What the record asks for (RFC 9989 §4.10.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stance {
    Stated {
        p: Policy,
        /// For subdomains.
        sp: Option<Policy>,
        /// For subdomains that do not exist.
        np: Option<Policy>,
    },
    /// `p` is missing, or one of the policies is none that exists; since reports are wanted, it counts as `p=none`.
    Reports,
    /// Likewise, and no reports are wanted: DMARC does not apply.
    Void,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    None,
    Quarantine,
    Reject,
}

/// What counts as the same domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The same organizational domain.
    #[default]
    Relaxed,
    Strict,
}

/// Whether the name is a public suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Psd {
    Yes,
    /// It is not, and it is an organizational domain.
    No,
    #[default]
    Unsaid,
}

impl Record {
    /// `None` where the text is not a DMARC record: its first tag has to be `v=DMARC1`, in these letters.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (version, rest) = text.split_once(';').unwrap_or((text, ""));
        let first = tags(version).next()?;
        if !first.0.eq_ignore_ascii_case("v") || first.1 != "DMARC1" {
            return None;
        }
        let value = |name: &str| {
            let mut tags = tags(rest);
            let found = tags.find(|(tag, _)| tag.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value)
        };
        let rua: Vec<Box<str>> = value("rua").map(uris).unwrap_or_default();
        let pct = value("pct").and_then(|text| text.parse().ok().filter(|pct| *pct <= 100));
        let testing = match value("t") {
            Some(text) => text.eq_ignore_ascii_case("y"),
            None => pct == Some(0),
        };
        Some(Self {
            stance: stance(value("p"), value("sp"), value("np"), !rua.is_empty()),
            spf: value("aspf").map(Mode::of).unwrap_or_default(),
            dkim: value("adkim").map(Mode::of).unwrap_or_default(),
            psd: value("psd").map(Psd::of).unwrap_or_default(),
            testing,
            pct,
            rua,
        })
    }
}

fn stance(p: Option<&str>, sp: Option<&str>, np: Option<&str>, reports: bool) -> Stance {
    let stated = || {
        let p = Policy::of(p?)?;
        let sp = sp.map(|text| Policy::of(text).ok_or(())).transpose().ok()?;
        let np = np.map(|text| Policy::of(text).ok_or(())).transpose().ok()?;
        Some(Stance::Stated { p, sp, np })
    };
    match stated() {
        Some(stated) => stated,
        None if reports => Stance::Reports,
        None => Stance::Void,
    }
}

/// Whatever has a scheme. The size limit of RFC 7489 behind a `!` is dropped.
fn uris(list: &str) -> Vec<Box<str>> {
    let uris = list.split(',').map(str::trim);
    let uris = uris.map(|uri| uri.split_once('!').map_or(uri, |(uri, _)| uri));
    let valid = |uri: &&str| {
        uri.split_once(':').is_some_and(|(scheme, rest)| {
            let inner = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(inner)
                && !rest.is_empty()
        })
    };
    uris.filter(valid).map(Into::into).collect()
}

impl Policy {
    fn of(text: &str) -> Option<Self> {
        let all = [Self::None, Self::Quarantine, Self::Reject];
        all.into_iter()
            .find(|policy| policy.name().eq_ignore_ascii_case(text))
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }

    /// RFC 9989 §4.7, `t`.
    pub const fn one_lower(self) -> Self {
        match self {
            Self::Reject => Self::Quarantine,
            Self::Quarantine | Self::None => Self::None,
        }
    }
}

impl Mode {
    fn of(text: &str) -> Self {
        match text.eq_ignore_ascii_case("s") {
            true => Self::Strict,
            false => Self::Relaxed,
        }
    }
}

impl Psd {
    fn of(text: &str) -> Self {
        match text {
            "y" | "Y" => Self::Yes,
            "n" | "N" => Self::No,
            _ => Self::Unsaid,
        }
    }
}

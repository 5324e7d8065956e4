//! A policy as a domain publishes it, and the record that names it (RFC 8461 §3).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a domain asks of whoever sends to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Policy {
    pub mode: Mode,
    /// How long it may be kept, in seconds.
    pub max_age: u32,
    /// The hosts that may take its mail.
    pub mx: Hosts,
}

/// Hosts, in the order of the policy. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hosts(Arc<[Pattern]>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// No delivery to other hosts, nor without a certificate that verifies.
    Enforce,
    /// The same is looked at and reported; mail goes all the same.
    Testing,
    /// As if there were none: how a domain takes its policy back.
    None,
}

/// A host name in lower case, or `*.` before one: any one label in front of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(Box<str>);

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("is not UTF-8")]
    Octets,
    #[error("does not say version: STSv1")]
    Version,
    #[error("says no mode, or another than enforce, testing and none")]
    Mode,
    #[error("says no max_age of 0 to {MAX_AGE} seconds")]
    MaxAge,
    #[error("names no mx")]
    NoMx,
    #[error("names an mx that is no host: {0:?}")]
    Mx(String),
}

/// RFC 8461 §3.2: a year and a little.
const MAX_AGE: u32 = 31_557_600;
/// More hosts than any domain has; the rest of a longer list would not help anybody.
const MOST_MX: usize = 200;

impl Policy {
    /// Reads the policy file. Of a key that may stand once the first counts; keys that nobody knows are passed over.
    ///
    /// # Errors
    /// It is no policy: then the domain has none (§3.3).
    pub fn parse(octets: &[u8]) -> Result<Self, PolicyError> {
        let text = std::str::from_utf8(octets).map_err(|_| PolicyError::Octets)?;
        let fields: Vec<(&str, &str)> = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.trim(), value.trim()))
            .collect();
        let first = |wanted: &str| {
            let mut all = fields.iter().filter(|(key, _)| *key == wanted);
            all.next().map(|(_, value)| *value)
        };
        if first("version") != Some("STSv1") {
            return Err(PolicyError::Version);
        }
        let mode = match first("mode") {
            Some("enforce") => Mode::Enforce,
            Some("testing") => Mode::Testing,
            Some("none") => Mode::None,
            _ => return Err(PolicyError::Mode),
        };
        let age = first("max_age").filter(|age| age.len() <= 10 && is_number(age));
        let age = age.and_then(|age| age.parse::<u32>().ok());
        let max_age = age
            .filter(|age| *age <= MAX_AGE)
            .ok_or(PolicyError::MaxAge)?;
        let mx = fields.iter().filter(|(key, _)| *key == "mx").take(MOST_MX);
        let mx = mx
            .map(|(_, host)| Pattern::new(host).ok_or_else(|| PolicyError::Mx((*host).to_owned())));
        let mx = mx.collect::<Result<Arc<[_]>, _>>()?;
        if mx.is_empty() && mode != Mode::None {
            return Err(PolicyError::NoMx);
        }
        let mx = Hosts(mx);
        Ok(Self { mode, max_age, mx })
    }

    /// The lines of its file that count (RFC 8460 §4.4, `policy-string`).
    pub fn lines(&self) -> Vec<String> {
        let mode = format!("mode: {}", self.mode.name());
        let hosts = self.mx.patterns().map(|host| format!("mx: {host}"));
        let head = ["version: STSv1".to_owned(), mode].into_iter();
        let age = std::iter::once(format!("max_age: {}", self.max_age));
        head.chain(hosts).chain(age).collect()
    }

    pub fn lifetime(&self) -> Duration {
        Duration::from_secs(u64::from(self.max_age))
    }
}

impl Hosts {
    /// As the policy writes them.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|pattern| &*pattern.0)
    }

    /// Whether an MX host is one of those that may take the mail.
    pub fn allow(&self, host: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(host))
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.patterns().collect();
        f.write_str(&names.join(", "))
    }
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }
}

impl Pattern {
    fn new(text: &str) -> Option<Self> {
        let host = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let name = host.strip_prefix("*.").unwrap_or(&host);
        let is_label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let is_host = name.len() <= 253 && name.split('.').all(is_label);
        is_host.then(|| Self(host.into()))
    }

    /// A wildcard stands for one label, no more and no less (§4.1).
    fn matches(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        match self.0.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(label, rest)| {
                !label.is_empty() && rest.eq_ignore_ascii_case(parent)
            }),
            None => host.eq_ignore_ascii_case(&self.0),
        }
    }
}

/// The id of the one record that says there is a policy; with none of them or several there is no policy (§3.1).
pub fn record_id(texts: impl Iterator<Item = Vec<u8>>) -> Option<Box<str>> {
    let is_sts = |text: &Vec<u8>| text.starts_with(b"v=STSv1;") || text == b"v=STSv1";
    let mut records = texts.filter(is_sts);
    let record = records.next().filter(|_| records.next().is_none())?;
    let record = std::str::from_utf8(&record).ok()?;
    let mut fields = record.split(';').filter_map(|field| field.split_once('='));
    let (_, id) = fields.find(|(key, _)| key.trim() == "id")?;
    let id = id.trim();
    let is_id = (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    is_id.then(|| id.into())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WHOLE: &str = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n";

    #[test]
    fn a_policy_says_who_may_take_the_mail() {
        let policy = Policy::parse(WHOLE.as_bytes()).unwrap();
        assert_eq!((policy.mode, policy.max_age), (Mode::Enforce, 604_800));
        for (host, allowed) in [
            ("mail.example.com", true),
            ("MAIL.Example.Com.", true),
            ("mx1.example.net", true),
            ("example.net", false),
            ("a.b.example.net", false),
            (".example.net", false),
            ("other.example.com", false),
            ("mail.example.com.evil.test", false),
        ] {
            assert_eq!(policy.mx.allow(host), allowed, "{host}");
        }
    }

    #[test]
    fn the_first_of_a_key_counts_and_unknown_ones_are_passed_over() {
        let text = "version:STSv1\nmode:testing\nmode:enforce\nnew_key: x\nmax_age:10\nmx:a.test\nno colon\n";
        let policy = Policy::parse(text.as_bytes()).unwrap();
        assert_eq!((policy.mode, policy.max_age), (Mode::Testing, 10));
        let taken_back = Policy::parse(b"version: STSv1\nmode: none\nmax_age: 0\n").unwrap();
        assert_eq!(
            (taken_back.mode, taken_back.mx.to_string()),
            (Mode::None, String::new())
        );
    }

    #[test]
    fn what_is_no_policy_says_why() {
        for (text, why) in [
            ("", PolicyError::Version),
            ("version: STSv2\nmode: enforce", PolicyError::Version),
            ("version: STSv1\nmax_age: 1\nmx: a.test", PolicyError::Mode),
            (
                "version: STSv1\nmode: loud\nmax_age: 1\nmx: a.test",
                PolicyError::Mode,
            ),
            (
                "version: STSv1\nmode: enforce\nmx: a.test",
                PolicyError::MaxAge,
            ),
            (
                "version: STSv1\nmode: enforce\nmax_age: 31557601\nmx: a.test",
                PolicyError::MaxAge,
            ),
            (
                "version: STSv1\nmode: enforce\nmax_age: +1\nmx: a.test",
                PolicyError::MaxAge,
            ),
            (
                "version: STSv1\nmode: enforce\nmax_age: 1",
                PolicyError::NoMx,
            ),
            (
                "version: STSv1\nmode: enforce\nmax_age: 1\nmx: *.*.test",
                PolicyError::Mx("*.*.test".into()),
            ),
        ] {
            assert_eq!(Policy::parse(text.as_bytes()), Err(why), "{text:?}");
        }
    }

    #[test]
    fn one_record_names_the_policy_and_several_name_none() {
        let id = |texts: &[&str]| record_id(texts.iter().map(|text| text.as_bytes().to_vec()));
        assert_eq!(
            id(&["v=STSv1; id=20160831085700Z;"]).as_deref(),
            Some("20160831085700Z")
        );
        assert_eq!(id(&["other", "v=STSv1;id=1"]).as_deref(), Some("1"));
        for none in [
            &["v=STSv1; id=1", "v=STSv1; id=2"][..],
            &["v=STSv1"],
            &["v=STSv1; id=a-b"],
            &["v=STSv1; id="],
            &["V=STSV1; id=1"],
            &[],
        ] {
            assert_eq!(id(none), None, "{none:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_published_is_read_or_refused(octets: Vec<u8>) {
            let _policy = Policy::parse(&octets);
            let _id = record_id(std::iter::once(octets));
        }

        #[test]
        fn a_policy_reads_back_from_where_it_is_kept(hosts in prop::collection::vec("(\\*\\.)?[a-z]{1,10}\\.test", 1..5)) {
            let lines: String = hosts.iter().map(|host| format!("mx: {host}\n")).collect();
            let text = format!("version: STSv1\nmode: enforce\nmax_age: 5\n{lines}");
            let policy = Policy::parse(text.as_bytes()).unwrap();
            let kept = serde_json::to_vec(&policy).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Policy>(&kept).unwrap(), policy);
        }
    }
}

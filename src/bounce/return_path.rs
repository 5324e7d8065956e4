//! `[return_path]`, `[feedback]` and `[unsubscribe]`: where what comes back is to go.

use crate::mail::Address;
use crate::problem::Problems;
use crate::units::Span;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// `[return_path]`: the addresses that notices of failure come back to, and the tokens in them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReturnPath {
    /// MAIL FROM becomes `b-TOKEN@` this domain, one recipient a transaction. Its MX leads to an inbound listener. Empty:
    /// the return paths of the platforms are kept.
    pub domain: String,
    /// The keys of tokens: `"file:PATH"` or `"env:NAME"`, each of 32 octets or more. The first signs, all verify. None: one
    /// is made in `data_dir/keys/token.key`.
    pub keys: Vec<String>,
    /// How long after its message was accepted a token is good; the books are kept as long.
    pub valid_for: Span,
}

/// `[feedback]`: who complaints are sent to (RFC 9477).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Feedback {
    /// The address in CFBL-Address, which asks for reports in ARF. Empty: the field is not added.
    pub address: String,
}

/// `[unsubscribe]`: List-Unsubscribe for marketing mail that has none (RFC 2369, RFC 8058), and the page it leads to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Unsubscribe {
    /// The link is `URL/u/TOKEN`; one click there unsubscribes. Empty: no link is added.
    pub url: String,
    /// Also `mailto:u-TOKEN@` this domain, whose MX leads to an inbound listener. Empty: no mailto is added.
    pub mailto_domain: String,
    /// Address and port that the page behind `url` is served on. Absent: somebody else serves it.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// The page's certificate with its intermediates, PEM. Absent with `key`: plain HTTP, for a proxy that adds TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// The certificate's private key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

impl Default for ReturnPath {
    fn default() -> Self {
        Self {
            domain: String::new(),
            keys: Vec::new(),
            valid_for: Span::days(60),
        }
    }
}

impl ReturnPath {
    /// Adds what is wrong. `at` is the key of this section.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        validate_domain(&self.domain, &format!("{at}.domain"), problems);
        for (i, reference) in self.keys.iter().enumerate() {
            if !reference.starts_with("file:") && !reference.starts_with("env:") {
                // The value is not repeated: it may be a key.
                problems.add(
                    format!("{at}.keys[{i}]"),
                    "a key is a reference, never the secret itself",
                    "write \"file:PATH\" or \"env:NAME\"",
                );
            }
        }
        if self.valid_for < LEAST_VALID {
            problems.add(
                format!("{at}.valid_for"),
                format!(
                    "{} is over before mail that is put off has come back",
                    self.valid_for
                ),
                format!("write \"{LEAST_VALID}\" or more"),
            );
        }
    }
}

impl Feedback {
    /// Adds what is wrong. `at` is the key of this section.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        let address: Result<Address, _> = self.address.parse();
        if !self.address.is_empty() && !address.is_ok_and(|address| address.is_ascii()) {
            problems.add(
                format!("{at}.address"),
                format!("{:?} is not an address in ASCII", self.address),
                "write one such as \"fbl@bounces.example.com\", or leave it empty",
            );
        }
    }
}

impl Unsubscribe {
    /// Adds what is wrong. `at` is the key of this section.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if !self.url.is_empty() && !is_https(&self.url) {
            problems.add(
                format!("{at}.url"),
                format!(
                    "{:?} is not an HTTPS address, which RFC 8058 asks for",
                    self.url
                ),
                "write one such as \"https://u.example.com\", or leave it empty",
            );
        }
        let key = format!("{at}.mailto_domain");
        validate_domain(&self.mailto_domain, &key, problems);
        if self.certificate.is_some() != self.key.is_some() {
            problems.add(
                format!("{at}.certificate"),
                "a certificate and its key go together",
                "write both certificate and key, or neither where a proxy adds TLS",
            );
        }
    }

    /// Something is added to mail that asks for it.
    pub fn is_on(&self) -> bool {
        !self.url.is_empty() || !self.mailto_domain.is_empty()
    }
}

/// Adds what is wrong with a domain of return paths; empty is fine.
pub fn validate_domain(domain: &str, at: &str, problems: &mut Problems) {
    if !domain.is_empty() && ascii_domain(domain).is_none() {
        problems.add(
            at,
            format!("{domain:?} is not a domain that tokens fit before"),
            "write a domain such as \"bounces.example.com\", or leave it empty",
        );
    }
}

/// In A-labels and lower case, where an address of the longest token has room for it (RFC 5321 §4.5.3.1.3).
pub(super) fn ascii_domain(domain: &str) -> Option<Box<str>> {
    if domain.contains(['@', '[']) {
        return None;
    }
    let probe = format!("{}@{domain}", "x".repeat(super::token::LENGTH + 2));
    let probe: Address = probe.parse().ok()?;
    Some(probe.ascii_domain().into())
}

/// Tokens that are good for less are not worth making.
const LEAST_VALID: Span = Span::days(7);
/// Behind it a path and a token must fit in a line of 998 octets (RFC 5322 §2.1.1).
const LONGEST_URL: usize = 512;

fn is_https(url: &str) -> bool {
    // Neither a query nor a fragment: a path is put behind it.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:[]%@!$&'()*+,;=".contains(&b);
    let rest = url.strip_prefix("https://");
    url.len() <= LONGEST_URL
        && rest.is_some_and(|rest| {
            let host = rest.split('/').next().unwrap_or_default();
            // A comma or a bracket would end the field's list of addresses.
            !host.is_empty() && rest.bytes().all(plain) && !rest.contains(',')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(validate: impl Fn(&mut Problems)) -> Vec<String> {
        let mut problems = Problems::default();
        validate(&mut problems);
        problems.0.into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn what_is_right_is_let_pass() {
        let good = ReturnPath {
            domain: "bounces.bücher.example".into(),
            keys: vec!["file:a".into(), "env:B".into()],
            valid_for: Span::days(7),
        };
        assert!(told(|p| good.validate("r", p)).is_empty());
        assert!(told(|p| ReturnPath::default().validate("r", p)).is_empty());
        assert!(told(|p| Feedback::default().validate("f", p)).is_empty());
        for url in [
            "",
            "https://u.example.com",
            "https://example.com:8443/mail/",
        ] {
            let unsubscribe = Unsubscribe {
                url: url.into(),
                ..Unsubscribe::default()
            };
            assert!(told(|p| unsubscribe.validate("u", p)).is_empty(), "{url}");
        }
    }

    #[test]
    fn every_mistake_is_told_at_its_key_and_no_secret_with_it() {
        let bad = ReturnPath {
            domain: "a b".into(),
            keys: vec!["file:a".into(), "s3cret".into()],
            valid_for: Span::days(1),
        };
        let keys = told(|p| bad.validate("return_path", p));
        assert_eq!(
            keys,
            [
                "return_path.domain",
                "return_path.keys[1]",
                "return_path.valid_for"
            ]
        );
        let mut problems = Problems::default();
        bad.validate("return_path", &mut problems);
        assert!(!format!("{problems:?}").contains("s3cret"));
        for address in ["fbl", "ä@example.com", "fbl@"] {
            let feedback = Feedback {
                address: address.into(),
            };
            assert_eq!(told(|p| feedback.validate("f", p)), ["f.address"]);
        }
        for url in [
            "http://u.example.com",
            "u.example.com",
            "https://",
            "https://u.example.com/?a=b",
            "https://u.example.com/a,b",
            "https://u.example.com/>",
        ] {
            let unsubscribe = Unsubscribe {
                url: url.into(),
                mailto_domain: "[192.0.2.1]".into(),
                ..Unsubscribe::default()
            };
            let keys = told(|p| unsubscribe.validate("u", p));
            assert_eq!(keys, ["u.url", "u.mailto_domain"], "{url}");
        }
        let long = format!("{0}.{0}.{0}.{0}.test", "x".repeat(54));
        let mut problems = Problems::default();
        validate_domain(&long, "d", &mut problems);
        assert_eq!(problems.0.len(), 1);
    }
}

//! `[[dkim]]`: which key signs for which domain.

use crate::problem::Problems;
use crate::units::Span;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One key. Several entries with the same domain sign a message several times, such as RSA and Ed25519.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The domain that signs (the d= tag). Mail From this domain or one below it is signed, unless a domain between
    /// them has keys of its own.
    pub domain: String,
    /// The selector (the s= tag): the key is published at SELECTOR._domainkey.DOMAIN.
    pub selector: String,
    /// The private key: a PEM file (PKCS#8 or PKCS#1) of an RSA key of 2048 bits or more, or an Ed25519 key. It must
    /// be readable by its owner alone (mode 0600). A relative path starts where the configuration file is.
    pub key: PathBuf,
    /// Only mail of this tenant is signed with the key, and then instead of the domain's other keys. Without it the
    /// key signs for everybody who may use the domain.
    pub tenant: Option<String>,
    /// How long a signature stays valid (the x= tag). Without it signatures do not expire.
    pub expires: Option<Span>,
}

impl Config {
    /// Checks what is written. The key file is looked at by [`super::Signers::load`], which knows where it is.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if let Err(why) = ascii_domain(&self.domain) {
            problems.add(
                format!("{at}.domain"),
                why,
                "write the domain of the From addresses, such as \"example.com\"",
            );
        }
        if !is_selector(&self.selector) {
            problems.add(
                format!("{at}.selector"),
                format!("\"{}\" is not a selector", self.selector),
                "write letters, digits, hyphens and dots, such as \"s1\" or \"2026-11\"",
            );
        }
        if self.expires.is_some_and(|span| span < Span::minutes(60)) {
            problems.add(
                format!("{at}.expires"),
                "signatures would expire while mail is still on its way",
                "write a span longer than the queue keeps mail, such as \"7d\", or leave it out",
            );
        }
    }
}

/// Every entry by itself, and that no two keys share a name.
pub fn validate_all(entries: &[Config], at: &str, problems: &mut Problems) {
    for (i, entry) in entries.iter().enumerate() {
        entry.validate(&format!("{at}[{i}]"), problems);
        let twin = entries.iter().take(i).position(|other| {
            other.selector.eq_ignore_ascii_case(&entry.selector)
                && ascii_domain(&other.domain) == ascii_domain(&entry.domain)
                && other.tenant == entry.tenant
        });
        if let Some(twin) = twin {
            problems.add(
                format!("{at}[{i}].selector"),
                format!("{at}[{twin}] has this domain and selector too"),
                "give each key a selector of its own",
            );
        }
    }
}

/// A domain in A-labels and lower case, as it is written into d= and compared.
pub fn ascii_domain(domain: &str) -> Result<String, String> {
    idna::domain_to_ascii_strict(domain.trim_end_matches('.'))
        .ok()
        .filter(|ascii| !ascii.is_empty())
        .ok_or_else(|| format!("\"{domain}\" is not a domain name"))
}

/// RFC 6376 §3.1: sub-domains joined by dots.
fn is_selector(selector: &str) -> bool {
    selector.len() <= 63
        && selector.split('.').all(|label| {
            let inner = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
            label.bytes().all(inner) && !label.is_empty() && !label.starts_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_with_its_key() {
        let entry = Config {
            domain: "not a domain".into(),
            selector: "a b".into(),
            key: "/nonexistent/key.pem".into(),
            tenant: None,
            expires: Some(Span::secs(30)),
        };
        let mut problems = Problems::default();
        validate_all(&[entry], "dkim", &mut problems);
        let keys: Vec<&str> = problems.0.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(
            keys,
            ["dkim[0].domain", "dkim[0].selector", "dkim[0].expires"]
        );
    }

    #[test]
    fn two_keys_with_one_name_are_a_mistake() {
        let entry = Config {
            domain: "Example.com".into(),
            selector: "s1".into(),
            ..Config::default()
        };
        let other = Config {
            domain: "example.com.".into(),
            ..entry.clone()
        };
        let own = Config {
            tenant: Some("acme".into()),
            ..entry.clone()
        };
        let mut problems = Problems::default();
        validate_all(&[entry, other, own], "dkim", &mut problems);
        let keys: Vec<&str> = problems.0.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(keys, ["dkim[1].selector"]);
    }
}

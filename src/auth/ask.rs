//! What the judges of identity ask of DNS, so that a test can hand them a world of its own.

use crate::dns::{DnsFailure, Records, Resolver};
use hickory_resolver::proto::rr::{Name, RecordType};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// Who answers questions to DNS: [`Resolver`] in the daemon, a map in tests.
pub trait Ask: Send + Sync {
    /// The records of `kind` at `name`, aliases followed. No data means that the name exists without such records.
    ///
    /// # Errors
    /// [`DnsFailure::NoSuchDomain`] where the name does not exist, anything else where nobody knows.
    fn ask(
        &self,
        name: &str,
        kind: RecordType,
    ) -> impl Future<Output = Result<Arc<Records>, DnsFailure>> + Send;
}

impl Ask for Resolver {
    async fn ask(&self, name: &str, kind: RecordType) -> Result<Arc<Records>, DnsFailure> {
        self.records(name, kind).await
    }
}

impl<A: Ask> Ask for Arc<A> {
    async fn ask(&self, name: &str, kind: RecordType) -> Result<Arc<Records>, DnsFailure> {
        A::ask(self, name, kind).await
    }
}

/// How long "there is no such name" is believed where the answer does not say.
pub const NO_NAME_HOLD: Duration = Duration::from_secs(300);
/// How long a failure of name servers stands before they are asked again (RFC 9520 §3.2: at least a second).
pub const FAILURE_HOLD: Duration = Duration::from_secs(30);

/// The name without its final dot, where DNS can hold it (RFC 1035 §2.3.4): labels of 1 to 63 octets, 253 in all.
pub fn askable(name: &str) -> Option<&str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let fits = |label: &str| (1..=63).contains(&label.len());
    (name.is_ascii() && name.len() <= 253 && name.split('.').all(fits)).then_some(name)
}

/// The domain as DNS is asked: A-labels, lower case, no final dot.
pub fn a_labels(domain: &str) -> Cow<'_, str> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    if !domain.is_ascii() {
        return idna::domain_to_ascii(domain).map_or(Cow::Borrowed(domain), Cow::Owned);
    }
    match domain.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(domain.to_ascii_lowercase()),
        false => Cow::Borrowed(domain),
    }
}

/// A name out of an answer as text, lower case, no final dot; the root is empty.
pub fn plain(name: &Name) -> String {
    let labels = name.iter().map(String::from_utf8_lossy);
    labels.collect::<Vec<_>>().join(".").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_askable_where_dns_can_hold_it() {
        let long = "a".repeat(64);
        assert_eq!(askable("a.example."), Some("a.example"));
        for none in ["", ".", "a..example", ".example", "ä.example", &long] {
            assert_eq!(askable(none), None, "{none}");
        }
        assert!(askable(&["a123456"; 31].join(".")).is_some());
        assert!(askable(&["a123456"; 32].join(".")).is_none());
    }
}

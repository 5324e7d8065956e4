//! A mailbox as an envelope carries it (RFC 5321 §4.1.2, RFC 6531 §3.3).

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A mailbox that is safe to write into a command: no control characters, no bare specials.
///
/// The local part is kept as written (quoted where it must be), the domain in lower case. An address literal keeps
/// its brackets: `user@[192.0.2.1]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    text: Box<str>,
    at: u16,
}

/// What is wrong with a mailbox as given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("the address is empty")]
    Empty,
    #[error("the address has no domain")]
    NoDomain,
    #[error("the address is over 254 octets, or its local part over 64")]
    TooLong,
    #[error("the local part {0:?} is not a dot-string or a quoted string")]
    LocalPart(String),
    #[error("the domain {0:?} is not a host name or an address literal")]
    Domain(String),
}

impl Address {
    /// Local part as it stands in commands, quotes included.
    pub fn local(&self) -> &str {
        &self.text[..usize::from(self.at)]
    }

    /// Domain in lower case; may hold U-labels where the address does.
    pub fn domain(&self) -> &str {
        &self.text[usize::from(self.at) + 1..]
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Needs SMTPUTF8 (RFC 6531) to be sent as it is.
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }

    /// The domain in A-labels, as DNS is asked. `[192.0.2.1]` stays as it is.
    pub fn ascii_domain(&self) -> Cow<'_, str> {
        let domain = self.domain();
        if domain.is_ascii() {
            return Cow::Borrowed(domain);
        }
        // Parsing has shown that the conversion succeeds.
        to_a_labels(domain).unwrap_or(Cow::Borrowed(domain))
    }

    /// The same mailbox with its domain in A-labels; `None` where the local part is not ASCII.
    pub fn to_ascii(&self) -> Option<Address> {
        if !self.local().is_ascii() {
            return None;
        }
        Some(Self::assemble(self.local(), &self.ascii_domain()))
    }

    /// Joins parts that have been checked.
    fn assemble(local: &str, domain: &str) -> Address {
        let mut text = String::with_capacity(local.len() + 1 + domain.len());
        text.push_str(local);
        text.push('@');
        text.push_str(domain);
        Address {
            text: text.into(),
            // At most MAX_LOCAL.
            at: local.len() as u16,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads `Mailbox` of RFC 5321 §4.1.2 with the additions of RFC 6531 §3.3.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.len() > MAX_ADDRESS {
            return Err(AddressError::TooLong);
        }
        // A domain holds no "@", so the last one separates even where a quoted local part holds others.
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoDomain)?;
        if domain.is_empty() {
            return Err(AddressError::NoDomain);
        }
        if local.len() > MAX_LOCAL {
            return Err(AddressError::TooLong);
        }
        if !is_dot_string(local) && !is_quoted_string(local) {
            return Err(AddressError::LocalPart(local.to_owned()));
        }
        let domain = parse_domain(domain)?;
        let address = Self::assemble(local, &domain);
        let ascii = local.len() + 1 + address.ascii_domain().len();
        if address.text.len().max(ascii) > MAX_ADDRESS {
            return Err(AddressError::TooLong);
        }
        Ok(address)
    }
}

/// RFC 5321 §4.5.3.1.3: a path of 256 octets with its two brackets.
const MAX_ADDRESS: usize = 254;
/// RFC 5321 §4.5.3.1.1.
const MAX_LOCAL: usize = 64;
/// RFC 1035 §3.1: 255 octets on the wire are 253 as text.
const MAX_DOMAIN: usize = 253;
/// RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;

/// `Dot-string` of RFC 5321 §4.1.2.
fn is_dot_string(text: &str) -> bool {
    text.split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// RFC 5322 §3.2.3, RFC 6532 §3.2.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_utf8_text(c)
}

/// `Quoted-string` of RFC 5321 §4.1.2, which allows neither line ends nor tabs.
fn is_quoted_string(text: &str) -> bool {
    let Some(inner) = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return false;
    };
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let fine = match c {
            '\\' => chars
                .next()
                .is_some_and(|escaped| matches!(escaped, ' '..='~')),
            '"' => false,
            ' '..='~' => true,
            other => is_utf8_text(other),
        };
        if !fine {
            return false;
        }
    }
    true
}

/// `UTF8-non-ascii` less what a terminal or a header would take for a line end or a control.
fn is_utf8_text(c: char) -> bool {
    !c.is_ascii() && !c.is_control() && !c.is_whitespace()
}

/// Checks a domain or an address literal and returns it in lower case.
fn parse_domain(domain: &str) -> Result<Cow<'_, str>, AddressError> {
    let wrong = || AddressError::Domain(domain.to_owned());
    if let Some(literal) = domain.strip_prefix('[') {
        let inner = literal.strip_suffix(']').ok_or_else(wrong)?;
        return parse_literal(inner).map(Cow::Owned).ok_or_else(wrong);
    }
    if domain.is_ascii() {
        if !is_host_name(domain) {
            return Err(wrong());
        }
        return Ok(lower(domain));
    }
    let ascii = to_a_labels(domain).ok_or_else(wrong)?;
    if !is_host_name(&ascii) {
        return Err(wrong());
    }
    let (unicode, outcome) =
        Uts46::new().to_unicode(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::Allow);
    outcome.map_err(|_| wrong())?;
    Ok(Cow::Owned(unicode.into_owned()))
}

fn lower(domain: &str) -> Cow<'_, str> {
    if domain.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(domain.to_ascii_lowercase())
    } else {
        Cow::Borrowed(domain)
    }
}

/// `address-literal` of RFC 5321 §4.1.3; no tag but `IPv6` was ever registered.
fn parse_literal(inner: &str) -> Option<String> {
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => {
            let ip: Ipv6Addr = inner.get(5..)?.parse().ok()?;
            Some(format!("[IPv6:{ip}]"))
        }
        _ => {
            let ip: Ipv4Addr = inner.parse().ok()?;
            Some(format!("[{ip}]"))
        }
    }
}

/// `Domain` of RFC 5321 §4.1.2: labels of letters, digits and inner hyphens.
fn is_host_name(domain: &str) -> bool {
    domain.len() <= MAX_DOMAIN && domain.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn to_a_labels(domain: &str) -> Option<Cow<'_, str>> {
    Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::Allow,
            DnsLength::Verify,
        )
        .ok()
}

impl TryFrom<String> for Address {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.text.into()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Address, AddressError> {
        text.parse()
    }

    #[test]
    fn mailboxes_of_the_standards_are_read() {
        for (text, local, domain) in [
            ("ann@example.net", "ann", "example.net"),
            ("Ann.B+c@Example.NET", "Ann.B+c", "example.net"),
            ("!#$%&'*+-/=?^_`{|}~@a.b", "!#$%&'*+-/=?^_`{|}~", "a.b"),
            ("\"a b\"@c.d", "\"a b\"", "c.d"),
            ("\"a\\\"@b\"@c.d", "\"a\\\"@b\"", "c.d"),
            ("\"\"@c.d", "\"\"", "c.d"),
            ("u@[192.0.2.1]", "u", "[192.0.2.1]"),
            ("u@[ipv6:2001:DB8::1]", "u", "[IPv6:2001:db8::1]"),
            ("u@localhost", "u", "localhost"),
            ("jörg@BÜCHER.example", "jörg", "bücher.example"),
        ] {
            let address = parse(text).unwrap();
            assert_eq!(
                (address.local(), address.domain()),
                (local, domain),
                "{text}"
            );
        }
    }

    #[test]
    fn what_could_break_out_of_a_command_is_refused() {
        for text in [
            "",
            "a",
            "@b.c",
            "a@",
            "a b@c.d",
            "a\r\nRCPT TO:<x@y.z>@c.d",
            "\"a\r\n\"@c.d",
            "\"a\0\"@c.d",
            "\"a\tb\"@c.d",
            "\"a\\\"@c.d",
            "\"a\"b\"@c.d",
            "\"@c.d",
            "a>@c.d",
            "<a@c.d>",
            ".a@c.d",
            "a..b@c.d",
            "a.@c.d",
            "a@c..d",
            "a@c.d.",
            "a@-c.d",
            "a@c-.d",
            "a@c d",
            "a@c_d.e",
            "a@c.d\n",
            "a@[1.2.3]",
            "a@[1.2.3.4",
            "a@[IPv6:zz]",
            "a@[x:y]",
            "a\u{85}@c.d",
            "a\u{2028}@c.d",
            "a@b\u{2100}.c",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn lengths_end_where_the_standard_ends_them() {
        assert!(parse(&format!("{}@b.c", "a".repeat(64))).is_ok());
        assert_eq!(
            parse(&format!("{}@b.c", "a".repeat(65))),
            Err(AddressError::TooLong)
        );
        assert!(parse(&format!("a@{}.c", "b".repeat(63))).is_ok());
        assert!(parse(&format!("a@{}.c", "b".repeat(64))).is_err());
        let long = format!("a@{}c", "bcd.".repeat(63));
        assert_eq!(parse(&long), Err(AddressError::TooLong));
    }

    #[test]
    fn domains_go_to_a_labels_and_local_parts_stay() {
        let address = parse("ann@bücher.example").unwrap();
        assert!(!address.is_ascii());
        assert_eq!(address.ascii_domain(), "xn--bcher-kva.example");
        assert_eq!(
            address.to_ascii().unwrap().as_str(),
            "ann@xn--bcher-kva.example"
        );
        assert_eq!(parse("jörg@example.net").unwrap().to_ascii(), None);
        assert_eq!(
            parse("u@[192.0.2.1]").unwrap().ascii_domain(),
            "[192.0.2.1]"
        );
    }

    proptest! {
        #[test]
        fn what_is_read_is_safe_and_reads_back(text in "[ -~\r\n\0éßö。]{0,12}@[ -~\r\n\0éßö。]{0,12}") {
            if let Ok(address) = parse(&text) {
                prop_assert!(!address.as_str().chars().any(char::is_control));
                prop_assert_eq!(parse(address.as_str()).unwrap(), address.clone());
                if let Some(ascii) = address.to_ascii() {
                    prop_assert!(ascii.is_ascii());
                    prop_assert_eq!(parse(ascii.as_str()).unwrap(), ascii);
                }
            }
        }
    }
}

//! A record as it stands in a zone file (RFC 1035 §5.1).

use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One record, its names in A-labels without the final dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub name: String,
    /// Seconds; `None` leaves it to the zone.
    pub ttl: Option<u32>,
    pub data: Data,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Mx(u16, String),
    /// The whole text, however many strings it takes.
    Txt(String),
    Ptr(String),
    Cname(String),
}

/// Octets in one string of a TXT record (RFC 1035 §3.3).
const TXT_STRING: usize = 255;

impl Record {
    pub fn txt(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ttl: None,
            data: Data::Txt(text.into()),
        }
    }

    /// `A` or `AAAA`.
    pub fn address(name: impl Into<String>, address: IpAddr) -> Self {
        let data = match address {
            IpAddr::V4(v4) => Data::A(v4),
            IpAddr::V6(v6) => Data::Aaaa(v6),
        };
        Self {
            name: name.into(),
            ttl: None,
            data,
        }
    }
}

impl Data {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::A(_) => "A",
            Self::Aaaa(_) => "AAAA",
            Self::Mx(..) => "MX",
            Self::Txt(_) => "TXT",
            Self::Ptr(_) => "PTR",
            Self::Cname(_) => "CNAME",
        }
    }

    /// The strings of a TXT record, each within 255 octets; nothing for others.
    pub fn strings(&self) -> Vec<String> {
        let Self::Txt(text) = self else {
            return Vec::new();
        };
        let mut strings = vec![String::new()];
        for character in text.chars() {
            let last = strings.last().map_or(0, String::len);
            if last + character.len_utf8() > TXT_STRING {
                strings.push(String::new());
            }
            if let Some(string) = strings.last_mut() {
                string.push(character);
            }
        }
        strings
    }

    /// Without quotes: the text, or the fields.
    pub fn value(&self) -> String {
        match self {
            Self::Txt(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// As a zone file has it: `10 mx.example.com.`, `( "…" "…" )`.
impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => write!(f, "{address}"),
            Self::Aaaa(address) => write!(f, "{address}"),
            Self::Mx(preference, host) if host.is_empty() => write!(f, "{preference} ."),
            Self::Mx(preference, host) => write!(f, "{preference} {host}."),
            Self::Ptr(name) | Self::Cname(name) => write!(f, "{name}."),
            Self::Txt(_) => match self.strings().as_slice() {
                [one] => quoted(one, f),
                strings => {
                    f.write_str("(")?;
                    for string in strings {
                        f.write_char(' ')?;
                        quoted(string, f)?;
                    }
                    f.write_str(" )")
                }
            },
        }
    }
}

/// The zone line, its name with the final dot.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, ttl, data } = self;
        write!(f, "{name}.")?;
        if let Some(ttl) = ttl {
            write!(f, " {ttl}")?;
        }
        write!(f, " IN {} {data}", data.kind())
    }
}

/// RFC 1035 §5.1: quotes and backslashes are escaped, what is not printable is written in decimal.
fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for octet in text.bytes() {
        match octet {
            b'"' | b'\\' => write!(f, "\\{}", char::from(octet))?,
            b' '..=b'~' => f.write_char(char::from(octet))?,
            _ => write!(f, "\\{octet:03}")?,
        }
    }
    f.write_char('"')
}

/// The name in the reverse zone (RFC 1035 §3.5, RFC 3596 §2.5).
pub fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let nibbles =
                v6.octets()
                    .into_iter()
                    .rev()
                    .fold(String::with_capacity(72), |mut name, octet| {
                        let _fits = write!(name, "{:x}.{:x}.", octet & 15, octet >> 4);
                        name
                    });
            format!("{nibbles}ip6.arpa")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_what_a_zone_file_has() {
        let line = |name: &str, data| {
            let name = name.to_owned();
            Record {
                name,
                ttl: Some(60),
                data,
            }
            .to_string()
        };
        let mx = Data::Mx(10, "mx.a.test".into());
        assert_eq!(line("a.test", mx), "a.test. 60 IN MX 10 mx.a.test.");
        assert_eq!(
            line("a.test", Data::Txt(r#"say "a\b"; ä"#.into())),
            r#"a.test. 60 IN TXT "say \"a\\b\"; \195\164""#
        );
        let long = Data::Txt("x".repeat(300));
        let expected = format!(
            "a.test. 60 IN TXT ( \"{}\" \"{}\" )",
            "x".repeat(255),
            "x".repeat(45)
        );
        assert_eq!(line("a.test", long), expected);
    }

    #[test]
    fn reverse_names() {
        let name = |text: &str| reverse(text.parse().unwrap());
        assert_eq!(name("192.0.2.10"), "10.2.0.192.in-addr.arpa");
        assert_eq!(
            name("2001:db8::567:89ab"),
            "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
    }

    proptest! {
        #[test]
        fn strings_are_short_and_make_the_text(text in "\\PC{0,900}") {
            let strings = Data::Txt(text.clone()).strings();
            prop_assert!(strings.iter().all(|string| string.len() <= TXT_STRING));
            prop_assert_eq!(strings.concat(), text);
        }
    }
}

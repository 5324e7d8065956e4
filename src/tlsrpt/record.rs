//! Whom a domain wants told: `_smtp._tls.DOMAIN TXT "v=TLSRPTv1; rua=…"` (RFC 8460 §3).

use crate::auth::tags::Tags;
use crate::mail::Address;

/// Of the addresses of a record so many are told.
const MOST: usize = 5;
const VERSION: &str = "TLSRPTv1";

/// Where a report goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Mail(Address),
    Https {
        host: String,
        port: u16,
        /// With what follows it.
        path: String,
    },
}

/// The destinations of the one record that there is, each as it is written; those that nobody can use are left out. With
/// several records nobody is told.
pub fn destinations(texts: impl Iterator<Item = Vec<u8>>) -> Vec<(String, Destination)> {
    let texts = texts.filter_map(|text| String::from_utf8(text).ok());
    let records: Vec<String> = texts.filter(|text| is_record(text)).collect();
    let [record] = records.as_slice() else {
        return Vec::new();
    };
    let rua = Tags::of_version(record, VERSION).and_then(|tags| tags.get("rua"));
    let written = rua.unwrap_or_default().split(',').map(str::trim);
    let mut found: Vec<(String, Destination)> = Vec::new();
    for uri in written {
        let read = Destination::parse(uri);
        let new = read.filter(|to| !found.iter().any(|(_, known)| known == to));
        found.extend(new.map(|to| (uri.to_owned(), to)));
    }
    found.truncate(MOST);
    found
}

fn is_record(text: &str) -> bool {
    let rest = text.strip_prefix("v=TLSRPTv1");
    rest.is_some_and(|rest| rest.trim_start().starts_with(';') || rest.trim().is_empty())
}

impl Destination {
    /// `mailto:reports@example.net` or `https://reports.example.net/v1/tlsrpt`.
    fn parse(uri: &str) -> Option<Self> {
        let (scheme, rest) = uri.split_once(':')?;
        if scheme.eq_ignore_ascii_case("mailto") {
            let address = rest.split('?').next()?;
            let address: Address = address.parse().ok()?;
            return address.is_ascii().then_some(Self::Mail(address));
        }
        let rest = rest.strip_prefix("//")?;
        let is_https = scheme.eq_ignore_ascii_case("https");
        let is_plain = rest.bytes().all(|octet| octet.is_ascii_graphic());
        if !is_https || !is_plain || rest.contains(['@', '#']) {
            return None;
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)?),
            None => (authority, 443),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let is_host = !host.is_empty() && host.chars().all(is_name);
        is_host.then(|| Self::Https {
            host: host.to_ascii_lowercase(),
            port,
            path: match path.starts_with('/') {
                true => path.to_owned(),
                false => format!("/{path}"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(texts: &[&str]) -> Vec<Destination> {
        let texts = texts.iter().map(|text| text.as_bytes().to_vec());
        destinations(texts).into_iter().map(|(_, to)| to).collect()
    }

    fn https(host: &str, port: u16, path: &str) -> Destination {
        Destination::Https {
            host: host.into(),
            port,
            path: path.into(),
        }
    }

    #[test]
    fn a_record_names_addresses_and_urls() {
        let found = of(&[
            "other",
            "v=TLSRPTv1; rua=mailto:a@b.test?x=y, https://R.test/v1?k=1,https://r.test:8443,ftp://r.test/;",
        ]);
        let mail = Destination::Mail("a@b.test".parse().unwrap());
        assert_eq!(
            found,
            [
                mail,
                https("r.test", 443, "/v1?k=1"),
                https("r.test", 8443, "/")
            ]
        );
    }

    #[test]
    fn who_says_nothing_or_too_much_is_not_told() {
        for none in [
            &[
                "v=TLSRPTv1; rua=mailto:a@b.test",
                "v=TLSRPTv1; rua=mailto:c@b.test",
            ][..],
            &["v=TLSRPTv2; rua=mailto:a@b.test"],
            &["v=TLSRPTv1x; rua=mailto:a@b.test"],
            &["v=TLSRPTv1"],
            &["v=TLSRPTv1; rua=mailto:,https://,http://a.test/,https://a@b/,https://a:0/"],
            &[],
        ] {
            assert_eq!(of(none), [], "{none:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_published_is_read_or_passed_over(text in "(v=TLSRPTv1; ?rua=)?.{0,80}") {
            let _found = of(&[&text]);
        }
    }
}

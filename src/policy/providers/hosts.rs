//! Whose a host is, by the end of its name.

use std::borrow::Cow;
use std::collections::HashMap;

/// The end of host names: a domain, in lower case, without dots around it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Suffix(Box<str>);

/// Longest host name (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;

impl Suffix {
    /// Reads `.example.net`; the dot before it and one behind it may be there or not. `None` where no host name can end
    /// so.
    pub fn parse(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('.').unwrap_or(text);
        let bare = bare.strip_suffix('.').unwrap_or(bare);
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        let fits = bare.len() <= MAX_NAME && bare.split('.').all(label);
        fits.then(|| Self(bare.to_ascii_lowercase().into()))
    }
}

/// What belongs to the ends of host names.
#[derive(Debug)]
pub struct Hosts<T>(HashMap<Box<str>, T>);

impl<T> Default for Hosts<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> Hosts<T> {
    /// Gives hosts that end in `suffix` to `owner`. Returns to whom they belong where somebody has them already.
    #[must_use]
    pub fn claim(&mut self, suffix: Suffix, owner: T) -> Option<&T> {
        use std::collections::hash_map::Entry;
        match self.0.entry(suffix.0) {
            Entry::Occupied(taken) => Some(taken.into_mut()),
            Entry::Vacant(free) => {
                free.insert(owner);
                None
            }
        }
    }

    /// The owner of the longest end of this name that somebody has. It ends at a dot: `notexample.net` does not end in
    /// `example.net`.
    pub fn find(&self, host: &str) -> Option<&T> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let host = match host.bytes().any(|b| b.is_ascii_uppercase()) {
            true => Cow::Owned(host.to_ascii_lowercase()),
            false => Cow::Borrowed(host),
        };
        let mut rest = &*host;
        loop {
            if let Some(owner) = self.0.get(rest) {
                return Some(owner);
            }
            (_, rest) = rest.split_once('.')?;
        }
    }

    /// The same ends with other owners; those without one are left out.
    pub fn map<U>(self, owner: impl Fn(T) -> Option<U>) -> Hosts<U> {
        let owned = self.0.into_iter();
        Hosts(
            owned
                .filter_map(|(end, t)| Some((end, owner(t)?)))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hosts(ends: &[&'static str]) -> Hosts<&'static str> {
        let mut hosts = Hosts::default();
        for end in ends {
            assert!(hosts.claim(Suffix::parse(end).unwrap(), *end).is_none());
        }
        hosts
    }

    #[test]
    fn the_longest_end_counts_and_ends_at_a_dot() {
        let hosts = hosts(&[".outlook.com", ".olc.protection.outlook.com."]);
        for (host, end) in [
            (
                "outlook-com.olc.protection.outlook.com",
                Some(".olc.protection.outlook.com."),
            ),
            (
                "A.OLC.Protection.Outlook.COM.",
                Some(".olc.protection.outlook.com."),
            ),
            ("a.mail.protection.outlook.com", Some(".outlook.com")),
            ("outlook.com", Some(".outlook.com")),
            ("notoutlook.com", None),
            ("outlook.com.example.net", None),
            ("[192.0.2.1]", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(hosts.find(host).copied(), end, "{host}");
        }
    }

    #[test]
    fn ends_that_no_host_can_have_are_refused() {
        for bad in [
            "",
            ".",
            "..",
            "..example.net",
            "example..net",
            ".example.net..",
            "*.example.net",
            " .example.net",
            "example.net ",
            "exa mple.net",
            "user@example.net",
            "example.net:25",
            "bücher.example",
            "[192.0.2.1]",
        ] {
            assert_eq!(Suffix::parse(bad), None, "{bad:?}");
        }
        assert!(Suffix::parse(&"a".repeat(64)).is_none());
        assert!(Suffix::parse(&["abcdefg"; 40].join(".")).is_none());
    }

    #[test]
    fn an_end_that_is_taken_stays_where_it_is() {
        let mut hosts = hosts(&["example.net"]);
        let taken = hosts.claim(Suffix::parse(".EXAMPLE.net.").unwrap(), "mine");
        assert_eq!(taken.copied(), Some("example.net"));
        assert_eq!(hosts.find("mx.example.net").copied(), Some("example.net"));
    }

    proptest! {
        #[test]
        fn find_agrees_with_comparing_labels_from_the_right(
            ends in prop::collection::hash_set(name(), 1..8),
            host in name(),
        ) {
            let mut hosts = Hosts::default();
            for end in &ends {
                prop_assert!(hosts.claim(Suffix::parse(end).unwrap(), end.clone()).is_none());
            }
            let labels = |name: &str| name.split('.').rev().map(str::to_owned).collect::<Vec<_>>();
            let fits = |end: &&String| labels(&host).starts_with(&labels(end));
            let longest = ends.iter().filter(fits).max_by_key(|end| end.len());
            prop_assert_eq!(hosts.find(&host), longest);
        }

        #[test]
        fn case_and_dots_around_change_nothing(end in name(), below in name()) {
            let mut hosts = Hosts::default();
            let shouted = format!(".{}.", end.to_ascii_uppercase());
            let taken = hosts.claim(Suffix::parse(&shouted).unwrap(), ());
            prop_assert_eq!(taken, None);
            let joined = format!("{below}.{end}");
            let other = format!("{below}x{end}");
            prop_assert!(hosts.find(&joined).is_some());
            let shouted = format!("{}.", joined.to_ascii_uppercase());
            prop_assert!(hosts.find(&shouted).is_some());
            prop_assert_eq!(hosts.find(&other).is_some(), other.ends_with(&format!(".{end}")));
        }

        #[test]
        fn no_text_is_too_strange_for_either(text in any::<String>()) {
            let mut hosts = Hosts::default();
            if let Some(end) = Suffix::parse(&text) {
                prop_assert_eq!(hosts.claim(end, ()), None);
                let below = format!("mx.{}", text.trim_start_matches('.'));
                prop_assert_eq!(hosts.find(&below), Some(&()));
            }
            let _found = hosts.find(&text);
        }
    }

    /// Names of few labels, so that they often end alike.
    fn name() -> impl Strategy<Value = String> {
        "[ab]{1,2}(\\.[ab]{1,2}){0,3}"
    }
}

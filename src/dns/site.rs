//! A site: the hosts that take a domain's mail.

use rand::Rng;
use rand::seq::SliceRandom;
use std::sync::Arc;

/// One host of a site and its MX preference; lower is tried first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MxHost {
    pub preference: u16,
    /// Lower-case host name in A-labels without the final dot; an address literal keeps its brackets.
    pub name: Box<str>,
}

/// The canonical MX set behind a domain. Domains with the same set of hosts are one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The host names, sorted and joined by commas; at most [`MAX_NAME`] octets.
    pub name: Arc<str>,
    /// By preference; never empty.
    pub hosts: Vec<MxHost>,
}

/// Longest name of a site. A longer list of hosts is shortened to its first host and a digest of the list.
pub const MAX_NAME: usize = 255;

/// A domain with more MX records than this is served by its most preferred ones.
const MAX_HOSTS: usize = 32;

impl Site {
    /// The site of these hosts; a host listed twice counts with its better preference.
    pub(super) fn new(mut hosts: Vec<MxHost>) -> Self {
        hosts.sort();
        let mut seen = std::collections::HashSet::new();
        hosts.retain(|host| seen.insert(host.name.clone()));
        hosts.truncate(MAX_HOSTS);
        Self {
            name: canonical_name(&hosts),
            hosts,
        }
    }

    /// A site of one host: an implicit MX (RFC 5321 §5.1) or an address literal.
    pub(super) fn single(name: &str) -> Self {
        let host = MxHost {
            preference: 0,
            name: name.into(),
        };
        Self::new(vec![host])
    }

    /// The hosts in the order to try them: by preference, equals at random (RFC 5321 §5.1).
    pub fn order<R: Rng + ?Sized>(&self, rng: &mut R) -> Vec<&MxHost> {
        let mut order: Vec<&MxHost> = self.hosts.iter().collect();
        order.shuffle(rng);
        order.sort_by_key(|host| host.preference);
        order
    }
}

fn canonical_name(hosts: &[MxHost]) -> Arc<str> {
    let mut names: Vec<&str> = hosts.iter().map(|host| &*host.name).collect();
    names.sort_unstable();
    let joined = names.join(",");
    if joined.len() <= MAX_NAME {
        return joined.into();
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, joined.as_bytes());
    let short: String = digest.as_ref().iter().take(8).map(hex).collect();
    let first = names.first().copied().unwrap_or_default();
    // A host name has at most 253 octets, all ASCII (A-labels).
    let room = first.len().min(MAX_NAME - short.len() - 1);
    format!("{}#{short}", first.get(..room).unwrap_or_default()).into()
}

fn hex(octet: &u8) -> String {
    format!("{octet:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use std::collections::HashSet;

    fn host(preference: u16, name: &str) -> MxHost {
        MxHost {
            preference,
            name: name.into(),
        }
    }

    #[test]
    fn the_name_is_the_set_whatever_the_order() {
        let one = Site::new(vec![host(10, "b.test"), host(20, "a.test")]);
        let two = Site::new(vec![
            host(5, "a.test"),
            host(5, "b.test"),
            host(9, "a.test"),
        ]);
        assert_eq!(&*one.name, "a.test,b.test");
        assert_eq!(one.name, two.name);
        assert_eq!(two.hosts.len(), 2);
    }

    #[test]
    fn a_long_list_gets_a_bounded_name_of_its_own() {
        let many = |from: u16| {
            let hosts =
                (from..from + 30).map(|n| host(n, &format!("mx{n}.{}.test", "x".repeat(40))));
            Site::new(hosts.collect())
        };
        let (one, two) = (many(100), many(101));
        assert!(one.name.len() <= MAX_NAME);
        assert_ne!(one.name, two.name);
        assert_eq!(one.name, many(100).name);
    }

    #[test]
    fn equals_are_tried_in_every_order_and_preferences_hold() {
        let site = Site::new(vec![host(20, "c"), host(10, "a"), host(10, "b")]);
        let mut rng = StdRng::seed_from_u64(1);
        let mut seen = HashSet::new();
        for _ in 0..64 {
            let order = site.order(&mut rng);
            assert_eq!(&*order[2].name, "c");
            seen.insert(order[0].name.clone());
        }
        assert_eq!(seen.len(), 2);
    }
}

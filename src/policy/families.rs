//! Which families of addresses a site has, so that a source of another one is not the one to try.

use std::net::IpAddr;

/// IPv4 addresses, IPv6 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Families {
    v4: bool,
    v6: bool,
}

impl Families {
    /// Both, or nobody has looked yet.
    pub const ANY: Self = Self { v4: true, v6: true };

    /// Those of a site with these addresses. Without any there is nothing to go by.
    pub fn of(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let (mut v4, mut v6) = (false, false);
        for address in addresses {
            v4 |= address.is_ipv4();
            v6 |= address.is_ipv6();
        }
        match v4 || v6 {
            true => Self { v4, v6 },
            false => Self::ANY,
        }
    }

    /// Whether a source with this address reaches one of them; `None` is the machine's own choice.
    pub fn suit(self, source: Option<IpAddr>) -> bool {
        match source {
            None => true,
            Some(IpAddr::V4(_)) => self.v4,
            Some(IpAddr::V6(_)) => self.v6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_reaches_a_site_that_has_its_family_or_of_which_nothing_is_known() {
        let v4: IpAddr = [192, 0, 2, 1].into();
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        for (families, by_v4, by_v6) in [
            (Families::of([v4]), true, false),
            (Families::of([v6]), false, true),
            (Families::of([v6, v4]), true, true),
            (Families::of([]), true, true),
        ] {
            let suit = (families.suit(Some(v4)), families.suit(Some(v6)));
            assert_eq!(suit, (by_v4, by_v6), "{families:?}");
            assert!(families.suit(None));
        }
    }
}

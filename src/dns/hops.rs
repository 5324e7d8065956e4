//! From a site to the addresses to try, without those that lead back to us.

use super::{DnsFailure, MxHost, Resolver, Site};
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;

/// Where answers may lead.
#[derive(Debug, Clone)]
pub enum Loops {
    /// Anywhere: the operator has said so (a route, `[delivery] allow_loopback`).
    Allowed,
    /// Not to loopback or unspecified addresses, nor to these, at which we take mail ourselves.
    Refused { own: Arc<[IpAddr]> },
}

/// One address to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// MX host name, which a verified certificate must carry; an address literal has its brackets.
    pub host: Box<str>,
    pub address: IpAddr,
}

impl Resolver {
    /// The addresses of a site in the order to try them, at most `limit`. Hosts without addresses are passed over;
    /// where none remains, the failure says whether waiting may help.
    pub async fn hops(
        &self,
        site: &Site,
        loops: &Loops,
        limit: usize,
    ) -> Result<Vec<Hop>, DnsFailure> {
        let order: Vec<MxHost> = site.order(&mut rand::rng()).into_iter().cloned().collect();
        let mut walk = Walk::default();
        for host in &order {
            if walk.hops.len() >= limit || !walk.may_try(host) {
                break;
            }
            let found = self.addresses(&host.name).await;
            walk.add(host, found, loops);
        }
        walk.hops.truncate(limit);
        walk.finish(&site.name)
    }
}

/// Hosts in order of preference, as far as they have been looked up.
#[derive(Default)]
struct Walk {
    hops: Vec<(u16, Hop)>,
    /// Preference of the first host that is ourselves.
    ours: Option<u16>,
    temporary: Option<Box<str>>,
}

impl Walk {
    /// RFC 5321 §5.1: where we are one of the hosts, only those preferred to us may be tried.
    fn may_try(&self, host: &MxHost) -> bool {
        self.ours.is_none_or(|ours| host.preference < ours)
    }

    fn add(&mut self, host: &MxHost, found: Result<Arc<[IpAddr]>, DnsFailure>, loops: &Loops) {
        match found {
            Ok(found) if found.iter().any(|address| loops.refuse(*address)) => {
                self.ours = Some(host.preference);
                self.hops.retain(|(other, _)| *other < host.preference);
            }
            Ok(found) => self.hops.extend(found.iter().map(|address| {
                let hop = Hop {
                    host: host.name.clone(),
                    address: *address,
                };
                (host.preference, hop)
            })),
            Err(DnsFailure::Temporary(why)) => self.temporary = Some(why),
            Err(_) => {}
        }
    }

    /// Where nothing is left to try, a host that could not be looked up may be there later.
    fn finish(self, site: &str) -> Result<Vec<Hop>, DnsFailure> {
        match (self.hops.is_empty(), self.temporary, self.ours) {
            (false, _, _) => Ok(self.hops.into_iter().map(|(_, hop)| hop).collect()),
            (true, Some(why), _) => Err(DnsFailure::Temporary(why)),
            (true, None, Some(_)) => Err(DnsFailure::LoopsBack(site.into())),
            (true, None, None) => Err(DnsFailure::NoAddress(site.into())),
        }
    }
}

impl Loops {
    fn refuse(&self, address: IpAddr) -> bool {
        let Self::Refused { own } = self else {
            return false;
        };
        let address = address.to_canonical();
        let ours = |own: &IpAddr| takes_mail_at(*own, address, is_local);
        address.is_loopback() || address.is_unspecified() || own.iter().any(ours)
    }
}

/// Whether listening on `own` is listening on `address`: `0.0.0.0` and `[::]` are every address of this machine.
fn takes_mail_at(own: IpAddr, address: IpAddr, is_local: impl Fn(IpAddr) -> bool) -> bool {
    let every = own.is_unspecified() && (own.is_ipv6() || address.is_ipv4());
    own == address || (every && is_local(address))
}

/// Only an address of this machine can be bound.
fn is_local(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_everywhere_is_listening_on_each_address_of_the_machine() {
        let [ours, theirs]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let six: IpAddr = "2001:db8::1".parse().unwrap();
        let [all_four, all_six]: [IpAddr; 2] = ["0.0.0.0", "::"].map(|ip| ip.parse().unwrap());
        let local = |address| address == ours || address == six;
        assert!(takes_mail_at(all_four, ours, local) && takes_mail_at(all_six, ours, local));
        assert!(takes_mail_at(all_six, six, local) && !takes_mail_at(all_four, six, local));
        assert!(!takes_mail_at(all_four, theirs, local) && !takes_mail_at(all_six, theirs, local));
        assert!(takes_mail_at(theirs, theirs, local) && !takes_mail_at(theirs, ours, local));
        assert!(is_local("127.0.0.1".parse().unwrap()));
        assert!(!is_local("192.0.2.1".parse().unwrap()));
    }
}

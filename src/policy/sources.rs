//! Our addresses, the pools they form, and in which order a message would leave from them.

use crate::auth::alignment::Origin;
use crate::mail::{Labels, MessageId};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

mod config;

pub use config::{PoolConfig, PoolMember, SourceConfig, validate};

/// One of our addresses.
#[derive(Debug)]
pub struct Source {
    pub name: Arc<str>,
    /// `None`: the kernel chooses.
    pub address: Option<IpAddr>,
    pub ehlo: Box<str>,
    /// The two as receivers see them, where the address is known.
    pub origin: Option<Arc<Origin>>,
    /// Its address is one of this machine.
    present: AtomicBool,
    /// Recipients in the lines of its lanes.
    waiting: AtomicU64,
}

/// Sources that share mail.
#[derive(Debug)]
pub struct Pool {
    pub name: Arc<str>,
    /// With their weights, over 0.
    members: Vec<(Arc<Source>, u32)>,
}

/// `[[source]]` and `[[pool]]`, compiled.
#[derive(Debug)]
pub struct Sources {
    pools: HashMap<Box<str>, Pool>,
    /// Where mail leaves from that names no pool: every source, or the machine's own choice. Never empty.
    everywhere: Pool,
    /// Some have IPv4 addresses and others IPv6 ones.
    mixed: bool,
    /// Several have addresses that receivers see: what SPF makes of them can decide which is taken.
    several: bool,
}

/// The sources a message may leave from, the one it would leave from first in front.
pub type Order<'a> = smallvec::SmallVec<[&'a Arc<Source>; 8]>;

impl Source {
    /// A source that the kernel chooses the address of.
    fn of_the_machine(hostname: &str) -> Self {
        Self {
            name: "default".into(),
            address: None,
            ehlo: hostname.into(),
            origin: None,
            present: AtomicBool::new(true),
            waiting: AtomicU64::new(0),
        }
    }

    fn new(config: &SourceConfig, public: &BTreeMap<IpAddr, IpAddr>) -> Self {
        let seen = *public.get(&config.address).unwrap_or(&config.address);
        let origin = Origin {
            ip: seen,
            ehlo: config.ehlo.as_str().into(),
        };
        // Behind NAT, and nobody says what receivers see.
        let is_hidden = match seen {
            IpAddr::V4(v4) => v4.is_private(),
            IpAddr::V6(v6) => v6.is_unique_local(),
        };
        Self {
            name: config.name.as_str().into(),
            address: Some(config.address),
            ehlo: config.ehlo.as_str().into(),
            origin: (!is_hidden).then(|| Arc::new(origin)),
            present: AtomicBool::new(true),
            waiting: AtomicU64::new(0),
        }
    }

    /// Whether the address was one of this machine when last looked at.
    pub fn is_present(&self) -> bool {
        self.present.load(Ordering::Relaxed)
    }

    /// Recipients that wait to leave from here.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// So many line up.
    pub fn line_up(&self, recipients: u16) {
        self.waiting.fetch_add(recipients.into(), Ordering::Relaxed);
    }

    /// So many leave their line.
    pub fn leave_line(&self, recipients: u16) {
        self.waiting.fetch_sub(recipients.into(), Ordering::Relaxed);
    }

    /// Whether a socket can have its address.
    fn bind(&self) -> io::Result<()> {
        match self.address {
            None => Ok(()),
            Some(address) => std::net::UdpSocket::bind((address, 0)).map(drop),
        }
    }

    /// Looks whether the address is there, and says so in the log where that has changed.
    pub fn look(&self) {
        let (name, bound) = (&self.name, self.bind());
        let was = self.present.swap(bound.is_ok(), Ordering::Relaxed);
        match (was, bound) {
            (true, Err(error)) => {
                let address = self.address;
                tracing::warn!(source = %name, ?address, %error, "the source is left out: its address is not one of this machine");
            }
            (false, Ok(())) => {
                tracing::info!(source = %name, "the source's address is there again")
            }
            _ => {}
        }
    }
}

impl Pool {
    /// All members, by rendezvous hashing: the order depends on the message alone, so that a retry leaves from the
    /// address that greylisting has seen, and a member that comes or goes moves only its own share of the mail.
    pub fn order(&self, id: MessageId) -> Order<'_> {
        if let [(only, _)] = self.members.as_slice() {
            return Order::from_slice(&[only]);
        }
        let mut scored: smallvec::SmallVec<[(f64, &Arc<Source>); 8]> = self
            .members
            .iter()
            .map(|(source, weight)| (score(id, &source.name, *weight), source))
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        scored.into_iter().map(|(_, source)| source).collect()
    }

    pub fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.members.iter().map(|(source, _)| source)
    }
}

impl Sources {
    pub fn new(
        hostname: &str,
        (sources, public): (&[SourceConfig], &BTreeMap<IpAddr, IpAddr>),
        pools: &[PoolConfig],
    ) -> Self {
        let compiled: HashMap<&str, Arc<Source>> = sources
            .iter()
            .map(|source| (source.name.as_str(), Arc::new(Source::new(source, public))))
            .collect();
        let pools = pools
            .iter()
            .map(|pool| (pool.name.as_str().into(), compile(pool, &compiled)));
        let mut members: Vec<(Arc<Source>, u32)> =
            compiled.values().map(|s| (Arc::clone(s), 1)).collect();
        members.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        if members.is_empty() {
            members.push((Arc::new(Source::of_the_machine(hostname)), 1));
        }
        let everywhere = Pool {
            name: "every source".into(),
            members,
        };
        let of_v4 = |source: &&SourceConfig| source.address.is_ipv4();
        Self {
            pools: pools.collect(),
            everywhere,
            several: compiled.values().filter(|s| s.origin.is_some()).count() > 1,
            mixed: (1..sources.len()).contains(&sources.iter().filter(of_v4).count()),
        }
    }

    /// The pool that mail with these labels leaves from; `None` where they name one that is not there.
    pub fn pool(&self, labels: &Labels) -> Option<&Pool> {
        match labels.pool.as_deref() {
            None => Some(&self.everywhere),
            Some(name) => self.named(name),
        }
    }

    pub fn named(&self, pool: &str) -> Option<&Pool> {
        self.pools.get(pool)
    }

    /// Names of all pools, in order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.pools.keys().map(|name| &**name).collect();
        names.sort_unstable();
        names
    }

    /// Every source, by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.everywhere.sources()
    }

    /// Whether some have IPv4 addresses and others IPv6 ones, so that not every one reaches every site.
    pub fn are_mixed(&self) -> bool {
        self.mixed
    }

    /// Several have addresses that receivers see.
    pub fn are_several(&self) -> bool {
        self.several
    }

    /// Looks which addresses this machine has.
    pub fn look(&self) {
        self.all().for_each(|source| source.look());
    }
}

fn compile(pool: &PoolConfig, known: &HashMap<&str, Arc<Source>>) -> Pool {
    let weighty = pool.sources.iter().filter(|member| member.weight > 0);
    let members = weighty
        .filter_map(|m| Some((Arc::clone(known.get(m.name.as_str())?), m.weight)))
        .collect();
    Pool {
        name: pool.name.as_str().into(),
        members,
    }
}

/// Weighted rendezvous hashing: the highest of `-weight / ln(u)`, with u between 0 and 1 by message and member.
fn score(id: MessageId, source: &str, weight: u32) -> f64 {
    // FNV-1a over the name, then a finisher of splitmix64: ids of one millisecond differ in their low bits only.
    let mut hash = source.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = hash.wrapping_add(id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    // The upper 53 bits, never 0.
    let unit = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    -f64::from(weight) / unit.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(weights: &[u32]) -> Sources {
        let name = |i: usize| format!("ip-{i}");
        let configs: Vec<SourceConfig> = (0..weights.len())
            .map(|i| SourceConfig::plain(&name(i), [127, 0, 0, 1].into()))
            .collect();
        let members = weights.iter().enumerate().map(|(i, weight)| PoolMember {
            name: name(i),
            weight: *weight,
        });
        let pool = PoolConfig {
            name: "shared".into(),
            sources: members.collect(),
        };
        Sources::new("mta.test", (&configs, &BTreeMap::new()), &[pool])
    }

    fn firsts(sources: &Sources) -> Vec<String> {
        let pool = sources.named("shared").unwrap();
        (0..10_000)
            .map(|id| pool.order(MessageId(id))[0].name.to_string())
            .collect()
    }

    #[test]
    fn weights_are_kept_and_a_message_keeps_its_source() {
        let of_three_and_one = sources(&[3, 1]);
        let first = firsts(&of_three_and_one);
        assert_eq!(first, firsts(&of_three_and_one));
        let heavy = first.iter().filter(|name| *name == "ip-0").count();
        assert!(
            (7_300..7_700).contains(&heavy),
            "{heavy} of 10000 by a weight of 3 in 4"
        );
    }

    #[test]
    fn a_member_that_goes_moves_only_its_own_mail() {
        let (before, after) = (firsts(&sources(&[1, 1, 1])), firsts(&sources(&[1, 1])));
        for (before, after) in before.iter().zip(&after) {
            assert!(before == after || before == "ip-2", "{before} → {after}");
        }
    }

    #[test]
    fn a_pool_that_is_not_there_is_none() {
        let sources = sources(&[1]);
        let labels = |pool: &str| Labels {
            pool: Some(pool.into()),
            ..Labels::default()
        };
        assert!(sources.pool(&labels("shared")).is_some());
        assert!(sources.pool(&labels("sahred")).is_none());
        assert!(sources.pool(&Labels::default()).is_some());
    }

    #[test]
    fn receivers_see_the_public_address_of_a_source_behind_nat() {
        let (inside, outside) = (IpAddr::from([10, 0, 0, 5]), IpAddr::from([198, 51, 100, 7]));
        let seen = |public: &[(IpAddr, IpAddr)]| {
            let public = public.iter().copied().collect();
            let source = Source::new(&SourceConfig::plain("ip", inside), &public);
            source.origin.map(|origin| origin.ip)
        };
        assert_eq!(seen(&[(inside, outside)]), Some(outside));
        assert_eq!(seen(&[]), None);
    }

    #[test]
    fn a_source_that_is_no_address_of_ours_is_found_out() {
        let source = |address: [u8; 4]| {
            Source::new(&SourceConfig::plain("ip", address.into()), &BTreeMap::new())
        };
        let ours = source([127, 0, 0, 1]);
        ours.look();
        assert!(ours.is_present());
        // TEST-NET-1 is nobody's (RFC 5737).
        let theirs = source([192, 0, 2, 1]);
        theirs.look();
        assert!(!theirs.is_present());
    }
}

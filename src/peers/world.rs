//! Names in memory, without a server: what [`Ask`] is answered from in tests that need no sockets.

use crate::auth::ask::{Ask, plain};
use crate::clock::Clock;
use crate::dns::{DnsFailure, Records};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, PTR, TXT};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A map of names. Records live for [`World::ttl`], at first 300 seconds, from when they are asked for.
pub struct World(Mutex<Inner>);

struct Inner {
    clock: Clock,
    ttl: Duration,
    names: HashMap<String, Holding>,
    asked: Vec<(String, RecordType)>,
}

/// What a name holds; where it fails, only what is not there fails.
#[derive(Default)]
struct Holding {
    data: Vec<RData>,
    fails: bool,
}

/// Longest chain of aliases that is followed.
const CHAIN: usize = 8;

impl World {
    pub fn new(clock: Clock) -> Self {
        Self(Mutex::new(Inner {
            clock,
            ttl: Duration::from_secs(300),
            names: HashMap::new(),
            asked: Vec::new(),
        }))
    }

    pub fn add(&self, name: &str, data: RData) -> &Self {
        self.holding(name, |holding| holding.data.push(data))
    }

    pub fn txt(&self, name: &str, text: &str) -> &Self {
        self.add(name, txt(text.as_bytes()))
    }

    pub fn address(&self, name: &str, ip: IpAddr) -> &Self {
        self.add(name, address(ip))
    }

    /// A name that exists and holds nothing.
    pub fn bare(&self, name: &str) -> &Self {
        self.holding(name, |_| {})
    }

    /// Takes all records from a name, and with them the name.
    pub fn remove(&self, name: &str) -> &Self {
        self.0.lock().names.remove(&key(name));
        self
    }

    /// From now on what is asked of `name` and not there is not known to anybody.
    pub fn fail(&self, name: &str) -> &Self {
        self.holding(name, |holding| holding.fails = true)
    }

    pub fn heal(&self, name: &str) -> &Self {
        self.holding(name, |holding| holding.fails = false)
    }

    pub fn ttl(&self, ttl: Duration) -> &Self {
        self.0.lock().ttl = ttl;
        self
    }

    /// The questions so far, in their order.
    pub fn asked(&self) -> Vec<(String, RecordType)> {
        self.0.lock().asked.clone()
    }

    fn holding(&self, name: &str, change: impl FnOnce(&mut Holding)) -> &Self {
        change(self.0.lock().names.entry(key(name)).or_default());
        self
    }
}

impl Ask for World {
    async fn ask(&self, name: &str, kind: RecordType) -> Result<Arc<Records>, DnsFailure> {
        let mut inner = self.0.lock();
        inner.asked.push((key(name), kind));
        let data = inner.find(name, kind)?;
        let expires = inner.clock.now() + inner.ttl;
        Ok(Arc::new(Records { data, expires }))
    }
}

impl Inner {
    fn find(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, DnsFailure> {
        let mut at = key(name);
        for _ in 0..CHAIN {
            let Some(holding) = self.names.get(&at) else {
                return match self.has_children(&at) {
                    true => Ok(Vec::new()),
                    false => Err(DnsFailure::NoSuchDomain(name.into())),
                };
            };
            let wanted = holding
                .data
                .iter()
                .filter(|data| data.record_type() == kind);
            let wanted: Vec<RData> = wanted.cloned().collect();
            let alias = holding.data.iter().find_map(|data| match data {
                RData::CNAME(target) => Some(plain(&target.0)),
                _ => None,
            });
            match alias {
                Some(target) if wanted.is_empty() => at = target,
                _ if wanted.is_empty() && holding.fails => {
                    let why = format!("{kind} of {name}: no answer");
                    return Err(DnsFailure::Temporary(why.into()));
                }
                _ => return Ok(wanted),
            }
        }
        Err(DnsFailure::Temporary(
            format!("{name}: a loop of aliases").into(),
        ))
    }

    /// A name above one that exists, exists too (RFC 8020).
    fn has_children(&self, name: &str) -> bool {
        let suffix = format!(".{name}");
        self.names.keys().any(|held| held.ends_with(&suffix))
    }
}

/// Text as a TXT record, in strings of 255 octets; no text is one empty string (RFC 1035 §3.3.14).
pub fn txt(text: &[u8]) -> RData {
    let strings = text.chunks(255).collect::<Vec<_>>();
    RData::TXT(TXT::from_bytes(match strings.is_empty() {
        true => vec![text],
        false => strings,
    }))
}

pub fn address(ip: IpAddr) -> RData {
    match ip {
        IpAddr::V4(v4) => RData::A(A(v4)),
        IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
    }
}

pub fn mx(preference: u16, host: &str) -> RData {
    RData::MX(MX::new(preference, name(host)))
}

pub fn ptr(host: &str) -> RData {
    RData::PTR(PTR(name(host)))
}

pub fn cname(target: &str) -> RData {
    RData::CNAME(CNAME(name(target)))
}

/// A name of any octets; what is too long for a name is the root.
pub fn name(text: &str) -> Name {
    let labels = text
        .split('.')
        .filter(|label| !label.is_empty())
        .map(str::as_bytes);
    let mut name = Name::from_labels(labels).unwrap_or_default();
    name.set_fqdn(true);
    name
}

fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

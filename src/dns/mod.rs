//! From a domain to a [`Site`] and its addresses (RFC 5321 §5.1).
//!
//! `site` asks for MX, falls back to the domain's own address (implicit MX), and understands "no mail here" (null MX,
//! RFC 7505). `hops` turns a site into the addresses to try, in order, and refuses those that lead back to us.
//! Answers are cached on [`Clock`] with their TTLs; many askers make one question; when name servers fail, the last
//! good answer serves for a while, so that an outage of DNS is not an outage of mail. `records` gives what is published
//! as it is, in the same way.

mod cache;
mod failure;
mod hops;
mod lookup;
mod records;
mod site;
#[cfg(test)]
mod tests;

pub use failure::DnsFailure;
pub use hops::{Hop, Loops};
pub use records::{Records, text};
pub use site::{MAX_NAME, MxHost, Site};

use crate::clock::Clock;
use crate::problem::Problems;
use crate::units::Span;
use cache::{Answer, Cache, FAILURE_HOLD};
use hickory_resolver::proto::rr::{RData, RecordType};
use lookup::{Asker, Found};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// `[dns]`: whom to ask, and how long answers are used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name servers to ask, as `"127.0.0.1:53"`. Empty: those of the system (/etc/resolv.conf). A caching resolver on
    /// this machine is best.
    #[schemars(with = "Vec<String>")]
    pub nameservers: Vec<SocketAddr>,
    /// How long one attempt waits for an answer.
    pub timeout: Span,
    /// Attempts before the name servers count as failing.
    pub attempts: u8,
    /// Questions that may be under way at once.
    pub concurrency: u16,
    /// Also ask for IPv6 addresses. Switch off where no source has one.
    pub ipv6: bool,
    /// Answers kept in memory, domains and hosts each; about 400 octets a domain.
    pub cache_size: usize,
    /// An answer is used at least this long, whatever its TTL says.
    pub min_ttl: Span,
    /// An answer is used at most this long.
    pub max_ttl: Span,
    /// "There is no such name" is believed at most this long.
    pub max_negative_ttl: Span,
    /// While name servers fail, expired answers serve this much longer.
    pub stale: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            nameservers: Vec::new(),
            timeout: Span::secs(3),
            attempts: 2,
            concurrency: 256,
            ipv6: true,
            cache_size: 200_000,
            min_ttl: Span::secs(5),
            max_ttl: Span::days(1),
            max_negative_ttl: Span::hours(1),
            stale: Span::days(1),
        }
    }
}

impl Config {
    /// Notes what is wrong with `[dns]`; `at` is its key.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        let mut positive = |key: &str, zero: bool, remedy: &str| {
            if zero {
                problems.add(format!("{at}.{key}"), "is zero", remedy);
            }
        };
        let no_timeout = self.timeout.0.is_zero();
        positive("timeout", no_timeout, "write a time such as \"3s\"");
        positive("attempts", self.attempts == 0, "write 1 or more");
        positive("concurrency", self.concurrency == 0, "write 1 or more");
        positive("cache_size", self.cache_size == 0, "write 1 or more");
        if self.min_ttl > self.max_ttl {
            let key = format!("{at}.min_ttl");
            problems.add(key, "is over max_ttl", "lower it, or raise max_ttl");
        }
    }
}

/// Asks DNS and remembers. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    asker: Asker,
    clock: Clock,
    ipv6: bool,
    sites: Cache<Arc<Site>>,
    addresses: Cache<Arc<[IpAddr]>>,
    records: Cache<Arc<Records>>,
}

impl Resolver {
    /// Fails where the system's name servers are wanted and cannot be read.
    pub fn new(config: &Config, clock: Clock) -> io::Result<Self> {
        let (size, stale) = (config.cache_size, config.stale.0);
        Ok(Self(Arc::new(Inner {
            asker: Asker::new(config)?,
            ipv6: config.ipv6,
            sites: Cache::new(clock.clone(), size, stale),
            addresses: Cache::new(clock.clone(), size, stale),
            records: Cache::new(clock.clone(), size, stale),
            clock,
        })))
    }

    /// The site that takes mail for `domain`: a host name in A- or U-labels, or an address literal such as
    /// `[192.0.2.1]`.
    pub async fn site(&self, domain: &str) -> Result<Arc<Site>, DnsFailure> {
        if domain.starts_with('[') {
            let known = literal(domain).is_some();
            let site = known.then(|| Arc::new(Site::single(domain)));
            return site.ok_or_else(|| DnsFailure::NoSuchDomain(domain.into()));
        }
        let domain = a_labels(domain)?;
        let cache = &self.0.sites;
        cache.get(&domain, || self.find_site(&domain)).await
    }

    /// As [`Resolver::site`], where that needs no question.
    pub fn known_site(&self, domain: &str) -> Option<Arc<Site>> {
        let domain = a_labels(domain).ok()?;
        self.0.sites.fresh(&domain)?.ok()
    }

    /// As [`Resolver::addresses`], where that needs no question.
    pub fn known_addresses(&self, host: &str) -> Option<Result<Arc<[IpAddr]>, DnsFailure>> {
        if let Some(address) = literal(host) {
            return Some(Ok([address].into()));
        }
        let host = a_labels(host).ok()?;
        self.0.addresses.fresh(&host)
    }

    /// IPv4 and IPv6 addresses of a host; never empty. A name that is an address is that address.
    pub async fn addresses(&self, host: &str) -> Result<Arc<[IpAddr]>, DnsFailure> {
        if let Some(address) = literal(host) {
            return Ok([address].into());
        }
        let host = a_labels(host)?;
        let cache = &self.0.addresses;
        cache.get(&host, || self.find_addresses(&host)).await
    }

    async fn find_site(&self, domain: &str) -> Answer<Arc<Site>> {
        let (result, ttl) = match self.0.asker.ask(domain, RecordType::MX).await {
            Found::Records(records, ttl) => (mx_site(domain, &records), ttl),
            Found::NoData(ttl) => (self.implicit_site(domain).await, ttl),
            Found::NoName(ttl) => (Err(DnsFailure::NoSuchDomain(domain.into())), ttl),
            Found::Failed(why) => (Err(DnsFailure::Temporary(why)), FAILURE_HOLD),
        };
        let temporary = matches!(result, Err(DnsFailure::Temporary(_)));
        let ttl = if temporary { FAILURE_HOLD } else { ttl };
        let result = result.map(Arc::new);
        Answer { result, ttl }
    }

    /// No MX: the domain itself, where it has an address (RFC 5321 §5.1).
    async fn implicit_site(&self, domain: &str) -> Result<Site, DnsFailure> {
        self.addresses(domain).await?;
        Ok(Site::single(domain))
    }

    async fn find_addresses(&self, host: &str) -> Answer<Arc<[IpAddr]>> {
        let asker = &self.0.asker;
        let (v4, v6) = tokio::join!(asker.ask(host, RecordType::A), async {
            match self.0.ipv6 {
                true => asker.ask(host, RecordType::AAAA).await,
                false => Found::NoData(Duration::MAX),
            }
        });
        merge(host, v4, v6)
    }
}

/// The site that MX records describe; `MX 0 .` alone is "no mail here".
fn mx_site(domain: &str, records: &[RData]) -> Result<Site, DnsFailure> {
    let exchanges = records.iter().filter_map(|data| match data {
        RData::MX(mx) if !mx.exchange.is_root() => Some(MxHost {
            preference: mx.preference,
            name: plain(&mx.exchange.to_ascii()).into(),
        }),
        _ => None,
    });
    let hosts: Vec<MxHost> = exchanges.collect();
    if hosts.is_empty() {
        return Err(DnsFailure::NullMx(domain.into()));
    }
    Ok(Site::new(hosts))
}

/// One family suffices. Where neither has an address, ignorance about one is ignorance about the host.
fn merge(host: &str, v4: Found, v6: Found) -> Answer<Arc<[IpAddr]>> {
    let mut addresses = Vec::new();
    let mut ttl = Duration::MAX;
    let (mut no_name, mut failed) = (false, None);
    for found in [v4, v6] {
        match found {
            Found::Records(records, lasts) => {
                addresses.extend(records.iter().filter_map(RData::ip_addr));
                ttl = ttl.min(lasts);
            }
            Found::NoData(lasts) => ttl = ttl.min(lasts),
            Found::NoName(lasts) => (no_name, ttl) = (true, ttl.min(lasts)),
            Found::Failed(why) => (failed, ttl) = (Some(why), ttl.min(FAILURE_HOLD)),
        }
    }
    let result = match (addresses.is_empty(), failed) {
        (false, _) => Ok(addresses.into()),
        (true, Some(why)) => Err(DnsFailure::Temporary(why)),
        (true, None) if no_name => Err(DnsFailure::NoSuchDomain(host.into())),
        (true, None) => Err(DnsFailure::NoAddress(host.into())),
    };
    Answer { result, ttl }
}

/// An address with or without the brackets of RFC 5321 §4.1.3. MX records that hold addresses are survived.
fn literal(text: &str) -> Option<IpAddr> {
    let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) else {
        return text.parse().ok();
    };
    match inner
        .get(..5)
        .filter(|tag| tag.eq_ignore_ascii_case("IPv6:"))
    {
        Some(tag) => inner[tag.len()..].parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => inner.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// The name as DNS is asked: A-labels, lower case, no final dot.
///
/// # Errors
/// It is no name.
pub fn a_labels(name: &str) -> Result<Cow<'_, str>, DnsFailure> {
    let plain_already = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase();
    if name.bytes().all(plain_already) && !name.ends_with('.') && !name.is_empty() {
        return Ok(Cow::Borrowed(name));
    }
    let ascii = if name.is_ascii() {
        plain(name)
    } else {
        let converted = idna::domain_to_ascii(name).ok();
        plain(&converted.unwrap_or_default())
    };
    if ascii.is_empty() {
        return Err(DnsFailure::NoSuchDomain(name.into()));
    }
    Ok(Cow::Owned(ascii))
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether the internet can see this address. Documentation addresses count as such, so that examples work.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || shared)
        }
        IpAddr::V6(v6) => {
            let local = v6.is_unique_local() || v6.is_unicast_link_local();
            !(v6.is_loopback() || v6.is_unspecified() || local)
        }
    }
}

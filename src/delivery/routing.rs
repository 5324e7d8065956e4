//! Where mail for a domain goes, and which source it leaves from.

use super::config::{Config, PoolConfig, RouteConfig, SourceConfig};
use crate::mail::{Labels, MessageId};
use crate::queue::{self, Schedule};
use crate::tls::client::Policy;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The configuration of delivery, compiled. A reload swaps it whole.
#[derive(Debug)]
pub struct Routing {
    pub delivery: Config,
    routes: Routes,
    sources: Sources,
}

/// `[[route]]` by how specific it is.
#[derive(Debug)]
struct Routes {
    exact: HashMap<String, Arc<Route>>,
    /// Longest suffix first.
    suffixes: Vec<(String, Arc<Route>)>,
    fallback: Arc<Route>,
}

/// `[[source]]` and `[[pool]]`.
#[derive(Debug)]
struct Sources {
    pools: HashMap<String, Vec<(Arc<Source>, u32)>>,
    /// Where mail leaves from whose pool is not named: every source, or the machine's own choice. Never empty.
    everywhere: Vec<(Arc<Source>, u32)>,
}

/// How mail for some domains travels.
#[derive(Debug)]
pub struct Route {
    /// What stands for the site where the route names its hosts; `None` where the domain's MX do.
    pub site: Option<Arc<str>>,
    pub terms: Arc<Terms>,
    pub retry: Schedule,
}

/// What decides how a connection is made: only mail of equal terms shares one.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Terms {
    /// Empty: the domain's MX.
    pub next_hop: Vec<NextHop>,
    pub tls: Policy,
    pub allow_loopback: bool,
    /// Of MX hosts.
    pub port: u16,
}

/// A host that a route names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NextHop {
    pub host: Arc<str>,
    pub port: u16,
}

/// One of our addresses.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    pub name: Arc<str>,
    /// `None`: the kernel chooses.
    pub address: Option<IpAddr>,
    pub ehlo: Box<str>,
}

/// What routing is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub hostname: &'a str,
    pub delivery: &'a Config,
    pub retry: &'a queue::Config,
    pub routes: &'a [RouteConfig],
    pub sources: &'a [SourceConfig],
    pub pools: &'a [PoolConfig],
}

impl Terms {
    fn site(&self) -> Option<Arc<str>> {
        let name = |hop: &NextHop| format!("{}:{}", hop.host, hop.port);
        let hops: Vec<String> = self.next_hop.iter().map(name).collect();
        (!hops.is_empty()).then(|| hops.join(",").into())
    }
}

impl Source {
    /// Whether a socket can have its address.
    fn probe(&self) -> std::io::Result<()> {
        let Some(address) = self.address else {
            return Ok(());
        };
        std::net::UdpSocket::bind((address, 0)).map(drop)
    }
}

impl NextHop {
    /// `host:port`, `192.0.2.1:25` or `[::1]:25`.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host
            .strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'))
            .unwrap_or(host);
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let plain =
            !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control());
        plain.then(|| Self {
            host: host.into(),
            port,
        })
    }
}

impl Routing {
    pub fn new(parts: Parts<'_>) -> Self {
        Self {
            delivery: parts.delivery.clone(),
            routes: Routes::new(parts),
            sources: Sources::new(parts),
        }
    }

    /// The most specific route for a domain: itself, the longest suffix, `*`.
    pub fn route(&self, domain: &str) -> &Arc<Route> {
        let Routes {
            exact,
            suffixes,
            fallback,
        } = &self.routes;
        let suffix = || {
            suffixes
                .iter()
                .find(|(suffix, _)| domain.ends_with(suffix.as_str()))
        };
        exact
            .get(domain)
            .or_else(|| suffix().map(|(_, route)| route))
            .unwrap_or(fallback)
    }

    /// The source a message leaves from. It depends on the message and its pool alone, so that a message keeps its
    /// source across retries: greylisting remembers the address it deferred.
    pub fn source(&self, id: MessageId, labels: &Labels) -> &Arc<Source> {
        let Sources { pools, everywhere } = &self.sources;
        let pool = labels.pool.as_deref().and_then(|pool| pools.get(pool));
        pick(
            pool.filter(|members| !members.is_empty())
                .unwrap_or(everywhere),
            id,
        )
    }

    /// Says in the log which sources cannot be sent from: their mail would wait.
    pub fn warn_of_unusable_sources(&self) {
        for (source, _) in &self.sources.everywhere {
            if let Err(error) = source.probe() {
                let (name, address) = (&source.name, source.address);
                tracing::warn!(source = %name, ?address, %error, "the source cannot be used: is its address one of this machine? Its mail waits until it is");
            }
        }
    }
}

impl Routes {
    fn new(parts: Parts<'_>) -> Self {
        let mut routes = Self {
            exact: HashMap::new(),
            suffixes: Vec::new(),
            fallback: Arc::new(compile_route(&RouteConfig::anywhere(), parts)),
        };
        for config in parts.routes {
            routes.add(
                &config.domain.to_ascii_lowercase(),
                Arc::new(compile_route(config, parts)),
            );
        }
        routes
            .suffixes
            .sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        routes
    }

    fn add(&mut self, domain: &str, route: Arc<Route>) {
        match domain.strip_prefix('*') {
            Some("") => self.fallback = route,
            Some(suffix) => self.suffixes.push((suffix.to_owned(), route)),
            None => {
                self.exact.insert(domain.to_owned(), route);
            }
        }
    }
}

impl Sources {
    fn new(parts: Parts<'_>) -> Self {
        let compiled = parts
            .sources
            .iter()
            .map(|source| (source.name.as_str(), compile_source(source)));
        let known: HashMap<&str, Arc<Source>> = compiled.collect();
        let members = |pool: &PoolConfig| -> Vec<(Arc<Source>, u32)> {
            let weighty = pool.sources.iter().filter(|member| member.weight > 0);
            weighty
                .filter_map(|m| Some((Arc::clone(known.get(m.name.as_str())?), m.weight)))
                .collect()
        };
        let mut everywhere: Vec<_> = known
            .values()
            .map(|source| (Arc::clone(source), 1))
            .collect();
        everywhere.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        if everywhere.is_empty() {
            let ehlo = parts.hostname.into();
            let own = Source {
                name: "default".into(),
                address: None,
                ehlo,
            };
            everywhere.push((Arc::new(own), 1));
        }
        let pools = parts
            .pools
            .iter()
            .map(|pool| (pool.name.clone(), members(pool)));
        Self {
            pools: pools.collect(),
            everywhere,
        }
    }
}

/// Weighted choice by the message's id. `members` is never empty, by construction.
fn pick(members: &[(Arc<Source>, u32)], id: MessageId) -> &Arc<Source> {
    let total: u64 = members.iter().map(|(_, weight)| u64::from(*weight)).sum();
    // Fibonacci hashing: ids of one millisecond differ in their low bits only.
    let mut point = (id.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % total.max(1);
    for (source, weight) in members {
        match point.checked_sub(u64::from(*weight)) {
            Some(rest) => point = rest,
            None => return source,
        }
    }
    &members[0].0
}

fn compile_source(config: &SourceConfig) -> Arc<Source> {
    Arc::new(Source {
        name: config.name.as_str().into(),
        address: Some(config.address),
        ehlo: config.ehlo.as_str().into(),
    })
}

fn compile_route(config: &RouteConfig, parts: Parts<'_>) -> Route {
    let terms = Terms {
        next_hop: config
            .next_hop
            .iter()
            .filter_map(|hop| NextHop::parse(hop))
            .collect(),
        tls: config.tls.unwrap_or(parts.delivery.tls),
        allow_loopback: config.allow_loopback || parts.delivery.allow_loopback,
        port: parts.delivery.port,
    };
    Route {
        site: terms.site(),
        terms: Arc::new(terms),
        retry: Schedule(config.retry.as_ref().unwrap_or(parts.retry).clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routing(routes: &[(&str, &str)], weights: &[u32]) -> Routing {
        let routes: Vec<RouteConfig> = routes
            .iter()
            .map(|(domain, hop)| RouteConfig {
                domain: (*domain).into(),
                next_hop: vec![(*hop).into()],
                tls: None,
                retry: None,
                allow_loopback: false,
            })
            .collect();
        let name = |i: usize| format!("ip-{i}");
        let sources: Vec<SourceConfig> = (0..weights.len())
            .map(|i| SourceConfig {
                name: name(i),
                address: [127, 0, 0, 1].into(),
                ehlo: "a.test".into(),
            })
            .collect();
        let members = weights.iter().enumerate();
        let pool = PoolConfig {
            name: "shared".into(),
            sources: members
                .map(|(i, w)| super::super::config::PoolMember {
                    name: name(i),
                    weight: *w,
                })
                .collect(),
        };
        Routing::new(Parts {
            hostname: "mta.test",
            delivery: &Config::default(),
            retry: &queue::Config::default(),
            routes: &routes,
            sources: &sources,
            pools: &[pool],
        })
    }

    #[test]
    fn the_most_specific_route_wins() {
        let routing = routing(
            &[
                ("*", "star:25"),
                ("*.example.net", "suffix:25"),
                ("*.b.example.net", "longer:25"),
                ("a.example.net", "exact:25"),
            ],
            &[],
        );
        let hop = |domain: &str| routing.route(domain).terms.next_hop[0].host.to_string();
        assert_eq!(hop("a.example.net"), "exact");
        assert_eq!(hop("c.example.net"), "suffix");
        assert_eq!(hop("x.b.example.net"), "longer");
        assert_eq!(
            hop("example.net"),
            "star",
            "*.example.net is its subdomains"
        );
    }

    #[test]
    fn a_message_keeps_its_source_and_weights_are_kept() {
        let routing = routing(&[], &[3, 1]);
        let labels = Labels {
            pool: Some("shared".into()),
            ..Labels::default()
        };
        let first = |id| routing.source(MessageId(id), &labels).name.to_string();
        assert!((0..100).all(|id| first(id) == first(id)));
        let heavy = (0..10_000).filter(|id| first(*id) == "ip-0").count();
        assert!(
            (7_000..8_000).contains(&heavy),
            "{heavy} of 10000 by a weight of 3 in 4"
        );
    }

    #[test]
    fn a_source_that_is_no_address_of_ours_is_found_out() {
        let source = |address: [u8; 4]| Source {
            name: "ip".into(),
            address: Some(address.into()),
            ehlo: "a.test".into(),
        };
        assert!(source([127, 0, 0, 1]).probe().is_ok());
        // TEST-NET-1 is nobody's (RFC 5737).
        assert!(source([192, 0, 2, 1]).probe().is_err());
    }

    #[test]
    fn next_hops_are_host_and_port() {
        let parsed = NextHop::parse("[::1]:2526").map(|hop| (hop.host.to_string(), hop.port));
        assert_eq!(parsed, Some(("::1".into(), 2526)));
        for bad in ["", "host", ":25", "host:0", "host:x", "ho st:25"] {
            assert_eq!(NextHop::parse(bad), None, "{bad}");
        }
    }
}

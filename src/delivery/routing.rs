//! Where mail for a domain goes, and on what terms.

use super::config::{Config, RouteConfig};
use crate::mail::TlsWish;
use crate::queue::{self, Schedule};
use crate::sts::Hosts;
use crate::tls::client::Policy;
use std::collections::HashMap;
use std::sync::Arc;

/// The configuration of delivery, compiled. A reload swaps it whole.
#[derive(Debug)]
pub struct Routing {
    pub delivery: Config,
    routes: Routes,
}

/// `[[route]]` by how specific it is.
#[derive(Debug)]
struct Routes {
    exact: HashMap<String, Arc<Route>>,
    /// Longest suffix first.
    suffixes: Vec<(String, Arc<Route>)>,
    fallback: Arc<Route>,
}

/// How mail for some domains travels.
#[derive(Debug)]
pub struct Route {
    /// What stands for the site where the route names its hosts; `None` where the domain's MX do.
    pub site: Option<Arc<str>>,
    pub terms: Arc<Terms>,
    /// The same with TLS required, and verified, for providers that ask for it where the route leaves that open.
    stricter: Option<[Arc<Terms>; 2]>,
    /// What domains publish is heeded: the mail goes to their MX, and nobody here has said what TLS it goes by.
    pub heeds_domains: bool,
    pub retry: Schedule,
}

/// What decides how a connection is made: only mail of equal terms shares one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Terms {
    /// Empty: the domain's MX.
    pub next_hop: Vec<NextHop>,
    pub tls: Policy,
    /// The MX hosts that may be used, where the domain says which (RFC 8461).
    pub hosts: Option<Hosts>,
    /// What the sender asks beside that.
    pub wish: TlsWish,
    /// The operator or the domain itself says which hosts are the domain's, for mail that requires TLS (RFC 8689 §4.2.1).
    pub is_vouched: bool,
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

/// What routing is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub delivery: &'a Config,
    pub retry: &'a queue::Config,
    pub routes: &'a [RouteConfig],
}

impl Route {
    /// The terms of connections to a provider that asks for this TLS.
    pub fn terms(&self, asked: Option<Policy>) -> &Arc<Terms> {
        match (asked, &self.stricter) {
            (Some(Policy::Required), Some([required, _])) => required,
            (Some(Policy::Verify), Some([_, verify])) => verify,
            _ => &self.terms,
        }
    }
}

impl Terms {
    /// The same to a domain that names the hosts that may take its mail, and wants their certificates verified.
    pub fn enforcing(&self, hosts: &Hosts) -> Self {
        Self {
            tls: Policy::Verify,
            hosts: Some(hosts.clone()),
            ..self.clone()
        }
    }

    /// The same for a message that asks for verified TLS (RFC 8689); `hosts` are those that the domain names. A route that
    /// never encrypts goes on to do so: that nothing is sent over it is said where it would be.
    pub fn requiring(&self, hosts: Option<&Hosts>, by_operator: bool) -> Self {
        Self {
            tls: match self.tls {
                Policy::Off => Policy::Off,
                _ => Policy::Verify,
            },
            hosts: hosts.cloned(),
            wish: TlsWish::Requires,
            is_vouched: by_operator || hosts.is_some(),
            ..self.clone()
        }
    }

    /// The same for a message that asks for something that needs no other connection.
    pub fn wishing(&self, wish: TlsWish) -> Self {
        Self {
            wish,
            ..self.clone()
        }
    }

    /// What decides about TLS, as events name it.
    pub fn policy(&self) -> &'static str {
        match (self.wish, &self.hosts) {
            (TlsWish::Requires, _) => "requiretls",
            (_, Some(_)) => "mta-sts",
            (_, None) => self.tls.name(),
        }
    }

    fn site(&self) -> Option<Arc<str>> {
        let name = |hop: &NextHop| format!("{}:{}", hop.host, hop.port);
        let hops: Vec<String> = self.next_hop.iter().map(name).collect();
        (!hops.is_empty()).then(|| hops.join(",").into())
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

fn compile_route(config: &RouteConfig, parts: Parts<'_>) -> Route {
    let terms = Terms {
        next_hop: config
            .next_hop
            .iter()
            .filter_map(|hop| NextHop::parse(hop))
            .collect(),
        tls: config.tls.unwrap_or(parts.delivery.tls),
        hosts: None,
        wish: TlsWish::None,
        is_vouched: false,
        allow_loopback: config.allow_loopback || parts.delivery.allow_loopback,
        port: parts.delivery.port,
    };
    let stricter = |tls| {
        Arc::new(Terms {
            tls,
            ..terms.clone()
        })
    };
    let is_open = config.tls.is_none() && terms.tls == Policy::Opportunistic;
    Route {
        site: terms.site(),
        heeds_domains: config.tls.is_none()
            && terms.tls != Policy::Off
            && terms.next_hop.is_empty(),
        stricter: is_open.then(|| [stricter(Policy::Required), stricter(Policy::Verify)]),
        terms: Arc::new(terms),
        retry: Schedule(config.retry.as_ref().unwrap_or(parts.retry).clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routing(routes: &[(&str, &str)]) -> Routing {
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
        Routing::new(Parts {
            delivery: &Config::default(),
            retry: &queue::Config::default(),
            routes: &routes,
        })
    }

    #[test]
    fn the_most_specific_route_wins() {
        let routing = routing(&[
            ("*", "star:25"),
            ("*.example.net", "suffix:25"),
            ("*.b.example.net", "longer:25"),
            ("a.example.net", "exact:25"),
        ]);
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
    fn a_provider_may_ask_for_tls_where_the_route_leaves_it_open() {
        let routing = routing(&[]);
        let route = routing.route("example.net");
        assert_eq!(route.terms(None).tls, Policy::Opportunistic);
        assert_eq!(route.terms(Some(Policy::Required)).tls, Policy::Required);
        let closed = RouteConfig {
            tls: Some(Policy::Off),
            ..RouteConfig::anywhere()
        };
        let routing = Routing::new(Parts {
            delivery: &Config::default(),
            retry: &queue::Config::default(),
            routes: &[closed],
        });
        let terms = routing.route("example.net").terms(Some(Policy::Required));
        assert_eq!(terms.tls, Policy::Off);
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

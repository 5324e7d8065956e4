//! One connection of a lane, before it is open and while it is: which addresses to try, and when it has served enough.

use super::encryption::Told;
use super::lane::Lane;
use super::routing::{NextHop, Terms};
use super::settle::{Fate, Part, Via};
use super::{Batch, Config, Delivery};
use crate::dns::{DnsFailure, Hop, Loops, Site};
use crate::events::Tls;
use crate::mail::{EnhancedCode, Reply, TlsWish};
use crate::policy::sources::Source;
use crate::policy::{Ask, Choice, Families, Way};
use crate::smtp::client::{Connection, Failure, State, Target, Transaction};
use crate::tls::client::{Fault, Policy};
use crate::units::Timestamp;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Addresses of a site that are looked at; a source may reach only some of them.
const MOST_LOOKED_UP: usize = 64;

/// A connection, none yet, or none any more.
#[derive(Default)]
pub(super) struct Link {
    open: Option<Open>,
    /// There was one.
    had: bool,
    /// One was asked for.
    tried: bool,
}

struct Open {
    connection: Connection,
    host: Box<str>,
    since: Timestamp,
    messages: u32,
    policy: &'static str,
    /// Whose sessions it has been counted among.
    told: Told,
}

/// A connection that was just opened.
struct Dialed {
    connection: Connection,
    /// In clear, because TLS did not work.
    fell_back: bool,
}

impl Link {
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// It was open, and is not any more.
    pub fn is_lost(&self) -> bool {
        self.had && self.open.is_none()
    }

    /// A connection was opened, or tried to.
    pub fn was_tried(&self) -> bool {
        self.tried
    }

    /// One more connection is opened. The seats are paid for the first.
    fn dials(&mut self, way: &Way, now: Timestamp) {
        if std::mem::replace(&mut self.tried, true) {
            way.reconnect(now);
        }
    }

    /// How long to wait for the next message: an open connection is worth keeping for a while.
    pub fn linger(&self, config: &Config) -> Duration {
        self.open.as_ref().map_or(Duration::ZERO, |_| config.idle.0)
    }

    /// Where it leads, for events.
    pub fn via(&self, lane: &Lane) -> Via {
        Via {
            site: Some(Arc::clone(&lane.place.site)),
            source: Some(Arc::clone(&lane.place.source)),
            provider: Some(Arc::clone(&lane.way().provider.name)),
            tls: self.open.as_ref().map(|open| Tls {
                version: open.connection.tls_version().unwrap_or("none"),
                policy: open.policy,
            }),
            host: self.open.as_ref().map(|open| open.host.clone()),
            dsn: self
                .open
                .as_ref()
                .is_some_and(|open| open.connection.offers().dsn),
        }
    }

    /// Says QUIT and closes, politely but without waiting long.
    pub async fn quit(&mut self) {
        if let Some(open) = self.open.take() {
            open.connection.quit().await;
        }
    }

    /// Messages carried so far.
    pub fn messages(&self) -> u32 {
        self.open.as_ref().map_or(0, |open| open.messages)
    }

    /// Recipients that the server takes in one transaction, where it says so (RFC 9422 §3.2, RCPTMAX).
    pub fn most_recipients(&self) -> Option<usize> {
        let most = self.open.as_ref()?.connection.offers().rcpt_max?;
        usize::try_from(most).ok()
    }

    /// `most` messages are what its provider takes over one connection.
    pub fn has_served_enough(
        &self,
        config: &Config,
        most: Option<NonZeroU32>,
        now: Timestamp,
    ) -> bool {
        let configured = config.max_messages_per_connection;
        let most = most.map_or(configured, |most| most.get().min(configured));
        self.open.as_ref().is_some_and(|open| {
            open.connection.is_spent()
                || open.messages >= most
                || now.since(open.since) >= config.max_connection_age.0
        })
    }
}

impl Delivery {
    /// Makes sure that a usable connection is open; `true` where it has lain idle.
    pub(super) async fn checkout(
        &self,
        lane: &Lane,
        link: &mut Link,
        batch: &Batch,
    ) -> Result<bool, Fate> {
        let now = self.0.with.clock.now();
        let most = batch
            .going
            .as_ref()
            .and_then(|g| g.way.provider.messages_per_connection);
        if link.has_served_enough(&batch.routing.delivery, most, now) {
            link.quit().await;
        }
        if link.is_open() {
            return Ok(true);
        }
        let connected = self.connect(lane, link, batch).await;
        let (dialed, hop) = connected.map_err(|fate| as_required(fate, &lane.terms))?;
        link.had = true;
        link.open = Some(Open {
            told: Told::new(hop.address, dialed.fell_back),
            connection: dialed.connection,
            host: hop.host,
            since: now,
            messages: 0,
            policy: lane.terms.policy(),
        });
        Ok(false)
    }

    /// Tries the site's addresses in order until one takes the connection.
    async fn connect(
        &self,
        lane: &Lane,
        link: &mut Link,
        batch: &Batch,
    ) -> Result<(Dialed, Hop), Fate> {
        let source = Arc::clone(&lane.way().source);
        if lane.terms.wish == TlsWish::Requires && lane.terms.tls == Policy::Off {
            let text = "its route has tls = \"off\"";
            return Err(Fate::Failed(unencrypted(text)));
        }
        let mut last = None;
        for (hop, port) in self.hops(lane, &source, batch).await? {
            match self.dial((&hop, port), lane, link, batch).await {
                Ok(dialed) => return Ok((dialed, hop)),
                // A source that cannot be used does no better with another address. Without one it may be that this
                // machine lacks a family of addresses.
                Err(failure @ Failure::Local(_)) => match source.address {
                    Some(_) => return Err(Fate::Failed(failure)),
                    None => last = last.or(Some(failure)),
                },
                // A host that could not be asked may have what others lack.
                Err(failure)
                    if lane.terms.wish == TlsWish::Requires
                        && failure.is_lasting()
                        && last.is_some() => {}
                Err(failure) => last = Some(failure),
            }
        }
        let last = last.unwrap_or_else(|| no_address(unreachable(&source)));
        Err(Fate::Failed(self.with_policy(last, lane, batch)))
    }

    /// A failure of TLS with the policy of the domain that forbids to go on without.
    fn with_policy(&self, failure: Failure, lane: &Lane, batch: &Batch) -> Failure {
        let domain = batch.jobs.first().map(|job| &*job.domain);
        match (failure, &lane.terms.hosts, domain) {
            (Failure::Tls(reply, fault), Some(_), Some(domain))
                if lane.terms.wish != TlsWish::Requires =>
            {
                let text = format!(
                    "{} (the MTA-STS policy of {domain} is enforced)",
                    reply.text
                );
                let text = text.into();
                Failure::Tls(Reply { text, ..reply }, fault)
            }
            (failure, _, _) => failure,
        }
    }

    /// Opportunistic TLS that fails is tried again in clear, on a new connection (RFC 7435).
    async fn dial(
        &self,
        (hop, port): (&Hop, u16),
        lane: &Lane,
        link: &mut Link,
        batch: &Batch,
    ) -> Result<Dialed, Failure> {
        let way = lane.way();
        let source = &way.source;
        let target = |tls| Target {
            address: SocketAddr::new(hop.address, port),
            host: &hop.host,
            source: source.address,
            ehlo: &source.ehlo,
            tls,
            examine: self.0.with.tally.is_on(),
        };
        let timeouts = &batch.routing.delivery.timeouts;
        link.dials(&way, self.0.with.clock.now());
        let opened = Connection::open(&target(lane.terms.tls), timeouts, &self.0.with.tls).await;
        let (connection, fell_back) = match opened {
            Err(Failure::Tls(reply, fault)) => {
                self.count_failure(lane, batch, Some(hop), fault);
                if lane.terms.tls != Policy::Opportunistic {
                    return Err(Failure::Tls(reply, fault));
                }
                self.is_missed(lane, hop, batch).await?;
                link.dials(&way, self.0.with.clock.now());
                let target = target(Policy::Off);
                let opened = Connection::open(&target, timeouts, &self.0.with.tls).await;
                (opened?, true)
            }
            opened => (opened?, false),
        };
        let dialed = Dialed {
            connection,
            fell_back,
        };
        self.suits(dialed, lane, hop, batch).await
    }

    /// Closes a connection that is not encrypted as its mail wants it.
    async fn suits(
        &self,
        dialed: Dialed,
        lane: &Lane,
        hop: &Hop,
        batch: &Batch,
    ) -> Result<Dialed, Failure> {
        let connection = &dialed.connection;
        let suits = match connection.tls_version() {
            Some(_) if lane.terms.wish == TlsWish::Requires && !connection.offers().requiretls => {
                let mut told = Told::new(hop.address, false);
                self.count_sessions(lane, (connection, &*hop.host), &mut told, batch);
                Err(unencrypted(format!("{} does not offer it", hop.host)))
            }
            Some(_) => {
                self.has_spoken(lane, hop).await;
                Ok(())
            }
            None if dialed.fell_back => Ok(()),
            None => self.is_missed(lane, hop, batch).await,
        };
        if let Err(failure) = suits {
            if let Failure::Tls(_, fault) = failure {
                self.count_failure(lane, batch, Some(hop), fault);
            }
            dialed.connection.quit().await;
            return Err(failure);
        }
        Ok(dialed)
    }

    /// Addresses to try, with their ports: those of the route, or of the domain's MX.
    async fn hops(
        &self,
        lane: &Lane,
        source: &Source,
        batch: &Batch,
    ) -> Result<Vec<(Hop, u16)>, Fate> {
        let mut hops = match lane.terms.next_hop.is_empty() {
            true => self.mx_hops(lane, batch).await?,
            false => self.route_hops(&lane.terms.next_hop).await,
        };
        // A source of one family reaches addresses of that family only. Another of the pool may do better, now that they
        // are known.
        let families = Families::of(hops.iter().map(|(hop, _)| hop.address));
        if !families.suit(source.address) && self.goes_elsewhere(lane, batch, families) {
            return Err(Fate::Moved);
        }
        if let Some(source) = source.address {
            hops.retain(|(hop, _)| hop.address.is_ipv4() == source.is_ipv4());
        }
        hops.truncate(usize::from(batch.routing.delivery.max_addresses.max(1)));
        Ok(hops)
    }

    /// Another source would take it, by the addresses that were found and by those that the dispatcher knows: where the
    /// two differ, moving it would only bring it back.
    fn goes_elsewhere(&self, lane: &Lane, batch: &Batch, families: Families) -> bool {
        let Some(job) = batch.jobs.first() else {
            return false;
        };
        let route = batch.routing.route(&job.domain);
        let Some(known) = self.known_target(&job.domain, route) else {
            return false;
        };
        let way = lane.way();
        let sender = batch.stored.meta.envelope.sender.as_ref();
        let sender = sender.map(|sender| sender.ascii_domain());
        let return_path = self.return_identity(&job.labels, sender.as_deref());
        let goes = |families| {
            let ask = Ask {
                id: job.id,
                labels: &job.labels,
                site: &way.site,
                provider: &way.provider,
                last: None,
                avoid: None,
                families,
                spf: self.spf(return_path.as_ref()),
            };
            let choice = self.0.with.policy.choose(&ask, self.0.with.clock.now());
            matches!(choice, Choice::Source(other) if other.name != way.source.name)
        };
        goes(families) && goes(known.families)
    }

    async fn route_hops(&self, next: &[NextHop]) -> Vec<(Hop, u16)> {
        let mut hops = Vec::new();
        for next in next {
            // A host without an address leaves the others to try.
            let addresses = self.0.with.resolver.addresses(&next.host).await;
            let addresses = addresses.as_deref().unwrap_or_default().iter();
            let hop = |address: &IpAddr| Hop {
                host: (&*next.host).into(),
                address: *address,
            };
            hops.extend(addresses.map(|address| (hop(address), next.port)));
        }
        hops
    }

    async fn mx_hops(&self, lane: &Lane, batch: &Batch) -> Result<Vec<(Hop, u16)>, Fate> {
        let Some(job) = batch.jobs.first() else {
            return Ok(Vec::new());
        };
        let failed = |failure: DnsFailure| Fate::Failed(Failure::Connection(failure.reply()));
        let resolver = &self.0.with.resolver;
        let site = resolver.site(&job.domain).await.map_err(failed)?;
        // Other domains' mail would follow this domain to its new hosts, which know nothing of them.
        if site.name != lane.place.site {
            return Err(Fate::Moved);
        }
        let own = Arc::clone(&self.0.with.own_addresses);
        let loops = match lane.terms.allow_loopback {
            true => Loops::Allowed,
            false => Loops::Refused { own },
        };
        if lane.terms.wish == TlsWish::Requires && !lane.terms.is_vouched {
            // Domains with one MX share the lane: while one of them may yet have a policy none of them is refused.
            let mut jobs = batch.jobs.iter();
            let is_unsure = jobs.any(|job| self.0.with.sts.is_unsure(&job.domain));
            return Err(Fate::Failed(unvouched(&job.domain, is_unsure)));
        }
        let site = allowed(&site, &lane.terms, &job.domain).map_err(|failure| {
            self.count_failure(lane, batch, None, Fault::ValidationFailure);
            Fate::Failed(failure)
        })?;
        let found = resolver.hops(&site, &loops, MOST_LOOKED_UP).await;
        let hops = found.map_err(failed)?.into_iter();
        Ok(hops.map(|hop| (hop, lane.terms.port)).collect())
    }

    /// Carries one part of a message over the open connection.
    pub(super) async fn transact(
        &self,
        lane: &Lane,
        link: &mut Link,
        batch: &mut Batch,
        part: &Part,
    ) -> Fate {
        let Some(open) = link.open.as_mut() else {
            return Fate::Failed(no_address("no connection".into()));
        };
        self.count_sessions(lane, (&open.connection, &*open.host), &mut open.told, batch);
        let (spool, stored) = (&self.0.with.spool, Arc::clone(&batch.stored));
        let meta = &stored.meta;
        let mut content = match spool.content(meta.id).await {
            Ok(content) => content,
            Err(error) => return Fate::Unready(error),
        };
        let recipients = part.recipients.iter();
        let recipients = recipients.filter_map(|at| meta.envelope.recipients.get(usize::from(*at)));
        let return_path = batch.return_path(part);
        let transaction = Transaction {
            sender: return_path.as_ref().or(meta.envelope.sender.as_ref()),
            ..Transaction::new(meta, recipients.collect())
        };
        let journal = spool.in_doubt(meta.id, &part.recipients, part.attempt);
        open.messages += 1;
        batch.begin(part, self.0.with.clock.now());
        let transacted = open
            .connection
            .transact(&transaction, &mut content, journal)
            .await;
        if transacted.state == State::Closed {
            link.open = None;
        }
        Fate::Answered(transacted)
    }
}

/// The hosts of a site that the domain's own policy allows (RFC 8461 §4.1).
fn allowed(site: &Arc<Site>, terms: &Terms, domain: &str) -> Result<Arc<Site>, Failure> {
    let Some(hosts) = &terms.hosts else {
        return Ok(Arc::clone(site));
    };
    let mut allowed = Site::clone(site);
    allowed.hosts.retain(|host| hosts.allow(&host.name));
    if allowed.hosts.is_empty() {
        let text = format!(
            "the MTA-STS policy of {domain} allows none of its MX hosts ({}): it allows {hosts}",
            site.name
        );
        let reply = Reply::local(454, EnhancedCode(4, 7, 5), text, "connect");
        return Err(Failure::Tls(reply, Fault::ValidationFailure));
    }
    Ok(Arc::new(allowed))
}

/// No host will do for mail that requires TLS on its whole way: that is the server's last word (RFC 8689 §4.2.1).
fn as_required(fate: Fate, terms: &Terms) -> Fate {
    match fate {
        // It is tried again as long as any mail.
        Fate::Failed(failure @ Failure::Tls(..)) if !failure.is_lasting() => Fate::Failed(failure),
        Fate::Failed(Failure::Tls(reply, fault)) if terms.wish == TlsWish::Requires => {
            Fate::Failed(match fault {
                Fault::StarttlsNotSupported => unencrypted(&reply.text),
                _ => {
                    let text = format!("encryption needed for REQUIRETLS: {}", reply.text);
                    let code = EnhancedCode(5, 7, 10);
                    Failure::RequireTls(Reply::local(550, code, text, "STARTTLS"))
                }
            })
        }
        fate => fate,
    }
}

/// Without DNSSEC only a policy says which MX hosts are the domain's (RFC 8689 §4.2.1, step 2).
fn unvouched(domain: &str, is_unsure: bool) -> Failure {
    if is_unsure {
        let text = format!(
            "REQUIRETLS needs the MTA-STS policy of {domain}, and whether it has one cannot be had now"
        );
        let code = EnhancedCode(4, 4, 3);
        return Failure::Connection(Reply::local(451, code, text, "dns"));
    }
    unencrypted(format!(
        "{domain} publishes no MTA-STS policy that says which MX hosts are its own; a [[route]] with tls = \"verify\" \
         vouches for them"
    ))
}

fn unencrypted(why: impl AsRef<str>) -> Failure {
    let text = format!("REQUIRETLS needed: {}", why.as_ref());
    Failure::RequireTls(Reply::local(550, EnhancedCode(5, 7, 30), text, "MAIL"))
}

fn unreachable(source: &Source) -> String {
    let family = match source.address {
        None => return "the next hop has no address".to_owned(),
        Some(IpAddr::V4(_)) => "IPv4",
        Some(IpAddr::V6(_)) => "IPv6",
    };
    let name = &source.name;
    format!("the next hop has no {family} address, and source {name} has no other")
}

fn no_address(text: String) -> Failure {
    Failure::Connection(Reply::local(450, EnhancedCode(4, 4, 4), text, "connect"))
}

//! One connection of a lane, before it is open and while it is: which addresses to try, and when it has served enough.

use super::lane::Lane;
use super::settle::{Fate, Part, Via};
use super::{Batch, Config, Delivery};
use crate::dns::{Hop, Loops};
use crate::events::Tls;
use crate::mail::{EnhancedCode, Reply};
use crate::smtp::client::{Connection, Failure, State, Target, Transaction};
use crate::tls::client::Policy;
use crate::units::Timestamp;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A connection, or none yet.
#[derive(Default)]
pub(super) struct Link(Option<Open>);

struct Open {
    connection: Connection,
    host: Box<str>,
    since: Timestamp,
    messages: u32,
    policy: Policy,
}

impl Link {
    pub fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// How long to wait for the next message: an open connection is worth keeping for a while.
    pub fn linger(&self, config: &Config) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |_| config.idle.0)
    }

    /// Where it leads, for events.
    pub fn via(&self, lane: &Lane) -> Via {
        Via {
            site: Some(Arc::clone(&lane.place.site)),
            source: Some(Arc::clone(&lane.place.source)),
            tls: self.0.as_ref().map(|open| Tls {
                version: open.connection.tls_version().unwrap_or("none"),
                policy: open.policy.name(),
            }),
            host: self.0.as_ref().map(|open| open.host.clone()),
            dsn: self
                .0
                .as_ref()
                .is_some_and(|open| open.connection.offers().dsn),
        }
    }

    /// Says QUIT and closes, politely but without waiting long.
    pub async fn quit(&mut self) {
        if let Some(open) = self.0.take() {
            open.connection.quit().await;
        }
    }

    fn has_served_enough(&self, config: &Config, now: Timestamp) -> bool {
        self.0.as_ref().is_some_and(|open| {
            open.connection.is_spent()
                || open.messages >= config.max_messages_per_connection
                || now.since(open.since) >= config.max_connection_age.0
        })
    }
}

impl Delivery {
    /// Makes sure that a usable connection is open.
    pub(super) async fn checkout(&self, link: &mut Link, batch: &Batch) -> Result<(), Failure> {
        let now = self.0.with.clock.now();
        if link.has_served_enough(&batch.routing.delivery, now) {
            link.quit().await;
        }
        if link.0.is_none() {
            let (connection, host) = self.connect(batch).await?;
            let policy = batch.route.tls;
            link.0 = Some(Open {
                connection,
                host,
                since: now,
                messages: 0,
                policy,
            });
        }
        Ok(())
    }

    /// Tries the site's addresses in order until one takes the connection.
    async fn connect(&self, batch: &Batch) -> Result<(Connection, Box<str>), Failure> {
        let mut last = None;
        for (hop, port) in self.hops(batch).await? {
            match self.dial(&hop, port, batch).await {
                Ok(connection) => return Ok((connection, hop.host)),
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or_else(|| no_address("the next hop has no address")))
    }

    /// Opportunistic TLS that fails is tried again in clear, on a new connection (RFC 7435).
    async fn dial(&self, hop: &Hop, port: u16, batch: &Batch) -> Result<Connection, Failure> {
        let target = |tls| Target {
            address: SocketAddr::new(hop.address, port),
            host: &hop.host,
            source: batch.source.address,
            ehlo: &batch.source.ehlo,
            tls,
        };
        let timeouts = &batch.routing.delivery.timeouts;
        match Connection::open(&target(batch.route.tls), timeouts, &self.0.with.tls).await {
            Err(Failure::Tls(_)) if batch.route.tls == Policy::Opportunistic => {
                Connection::open(&target(Policy::Off), timeouts, &self.0.with.tls).await
            }
            opened => opened,
        }
    }

    /// Addresses to try, with their ports: those of the route, or of the domain's MX.
    async fn hops(&self, batch: &Batch) -> Result<Vec<(Hop, u16)>, Failure> {
        let most = usize::from(batch.routing.delivery.max_addresses.max(1));
        let resolver = &self.0.with.resolver;
        let mut hops = Vec::new();
        if !batch.route.next_hop.is_empty() {
            for next in &batch.route.next_hop {
                if let Ok(addresses) = resolver.addresses(&next.host).await {
                    let hop = |address: &_| {
                        (
                            Hop {
                                host: (&*next.host).into(),
                                address: *address,
                            },
                            next.port,
                        )
                    };
                    hops.extend(addresses.iter().map(hop));
                }
            }
        } else if let Some(job) = batch.jobs.first() {
            let site = resolver
                .site(&job.domain)
                .await
                .map_err(|failure| Failure::Connection(failure.reply()))?;
            let own = Arc::clone(&self.0.with.own_addresses);
            let loops = if batch.route.allow_loopback {
                Loops::Allowed
            } else {
                Loops::Refused { own }
            };
            let found = resolver.hops(&site, &loops, most).await;
            let found = found.map_err(|failure| Failure::Connection(failure.reply()))?;
            hops.extend(found.into_iter().map(|hop| (hop, batch.route.port)));
        }
        // A source of one family reaches addresses of that family only.
        if let Some(source) = batch.source.address {
            hops.retain(|(hop, _)| hop.address.is_ipv4() == source.is_ipv4());
        }
        hops.truncate(most);
        Ok(hops)
    }

    /// Carries one part of a message over the open connection.
    pub(super) async fn transact(&self, link: &mut Link, batch: &Batch, part: &Part) -> Fate {
        let Some(open) = link.0.as_mut() else {
            return Fate::Failed(no_address("no connection"));
        };
        let (spool, meta) = (&self.0.with.spool, &batch.stored.meta);
        let mut content = match spool.content(meta.id).await {
            Ok(content) => content,
            Err(error) => return Fate::Unready(error),
        };
        let recipients = part.recipients.iter();
        let recipients = recipients.filter_map(|at| meta.envelope.recipients.get(usize::from(*at)));
        let transaction = Transaction::new(meta, recipients.collect());
        let journal = spool.in_doubt(meta.id, &part.recipients, part.attempt);
        open.messages += 1;
        let transacted = open
            .connection
            .transact(&transaction, &mut content, journal)
            .await;
        if transacted.state == State::Closed {
            link.0 = None;
        }
        Fate::Answered(transacted)
    }
}

fn no_address(text: &str) -> Failure {
    Failure::Connection(Reply::local(450, EnhancedCode(4, 4, 4), text, "connect"))
}

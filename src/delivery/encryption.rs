//! What became of TLS with MX hosts: remembered, counted for reports, told where it is lost.

use super::lane::Lane;
use super::{Batch, Delivery};
use crate::dns::Hop;
use crate::events::Event;
use crate::mail::{EnhancedCode, Reply, TlsWish};
use crate::smtp::client::{Connection, Failure};
use crate::tls::client::{Fault, Policy};
use crate::tlsrpt;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// Domains that one connection is counted for.
const MOST_TOLD: usize = 1_000;

/// The domains whose sessions a connection has been counted among.
pub(super) struct Told {
    address: IpAddr,
    /// The attempt at TLS was counted, and failed.
    fell_back: bool,
    domains: BTreeSet<Arc<str>>,
}

impl Told {
    pub fn new(address: IpAddr, fell_back: bool) -> Self {
        Self {
            address,
            fell_back,
            domains: BTreeSet::new(),
        }
    }
}

impl Delivery {
    /// Counts an open connection among the sessions of the domains that it carries mail for.
    pub(super) fn count_sessions(
        &self,
        lane: &Lane,
        (connection, host): (&Connection, &str),
        told: &mut Told,
        batch: &Batch,
    ) {
        if !self.counts(lane) || told.fell_back {
            return;
        }
        for job in &batch.jobs {
            let is_told = told.domains.contains(&job.domain);
            if is_told || told.domains.len() >= MOST_TOLD {
                continue;
            }
            told.domains.insert(Arc::clone(&job.domain));
            let policy = self.policy_of(&job.domain);
            let (failure, why) = match connection.tls_version() {
                Some(_) => self.judged(&job.domain, connection, host),
                None => (Some(Fault::StarttlsNotSupported), None),
            };
            self.0.with.tally.count(&tlsrpt::Session {
                domain: &job.domain,
                policy: &policy,
                failure,
                why,
                source: lane.way().source.address,
                to: Some((host, told.address)),
            });
        }
    }

    /// What an encrypted session is worth to a domain.
    fn judged(
        &self,
        domain: &str,
        connection: &Connection,
        host: &str,
    ) -> (Option<Fault>, Option<&'static str>) {
        let known = self.0.with.sts.held(domain);
        match known.as_ref().and_then(|known| known.hosts()) {
            Some(hosts) if !hosts.allow(host) => {
                (Some(Fault::ValidationFailure), Some("mx-not-in-policy"))
            }
            Some(_) => (connection.certificate().err(), None),
            None => (self.0.with.sts.fault(domain), None),
        }
    }

    /// Counts that there is no session, because TLS failed.
    pub(super) fn count_failure(
        &self,
        lane: &Lane,
        batch: &Batch,
        hop: Option<&Hop>,
        fault: Fault,
    ) {
        if !self.counts(lane) {
            return;
        }
        let domains: BTreeSet<&Arc<str>> = batch.jobs.iter().map(|job| &job.domain).collect();
        for domain in domains {
            let policy = self.policy_of(domain);
            self.0.with.tally.count(&tlsrpt::Session {
                domain,
                policy: &policy,
                failure: Some(fault),
                why: hop.is_none().then_some("mx-not-in-policy"),
                source: lane.way().source.address,
                to: hop.map(|hop| (&*hop.host, hop.address)),
            });
        }
    }

    /// Sessions with a domain's MX hosts, where TLS is sought. Reports themselves are among those that do not ask for it.
    fn counts(&self, lane: &Lane) -> bool {
        let terms = &lane.terms;
        self.0.with.tally.is_on()
            && terms.next_hop.is_empty()
            && terms.tls != Policy::Off
            && terms.wish != TlsWish::Waives
    }

    fn policy_of(&self, domain: &str) -> tlsrpt::Policy {
        let known = self.0.with.sts.held(domain);
        let known = known.as_ref().filter(|known| known.hosts().is_some());
        match known {
            Some(known) => tlsrpt::Policy {
                is_sts: true,
                lines: known.policy.lines(),
                hosts: known.policy.mx.patterns().map(str::to_owned).collect(),
            },
            None => tlsrpt::Policy {
                is_sts: self.0.with.sts.fault(domain).is_some(),
                ..tlsrpt::Policy::default()
            },
        }
    }

    /// A host has spoken TLS: it is expected to do so again.
    pub(super) async fn has_spoken(&self, lane: &Lane, hop: &Hop) {
        if !lane.terms.next_hop.is_empty() || !self.0.with.memory.spoke(&hop.host).await {
            return;
        }
        self.0.with.events.emit(&Event::Tls {
            domain: None,
            host: Some(hop.host.clone()),
            reason: "restored",
            until: None,
            why: format!("{} speaks TLS again", hop.host),
        });
    }

    /// A host does not speak TLS now: told where it has before, and a failure where its mail is to wait.
    pub(super) async fn is_missed(
        &self,
        lane: &Lane,
        hop: &Hop,
        batch: &Batch,
    ) -> Result<(), Failure> {
        let terms = &lane.terms;
        // `TLS-Required: No` passes over what the domain asks, not over what the operator does.
        let is_sought = terms.tls == Policy::Opportunistic;
        if !is_sought || !terms.next_hop.is_empty() {
            return Ok(());
        }
        let config = &batch.routing.delivery.starttls_memory;
        let Some(loss) = self.0.with.memory.missed(&hop.host, config).await else {
            return Ok(());
        };
        let until = loss.waits_until(config, self.0.with.clock.now());
        let what = match until {
            Some(until) => format!("mail to it waits for that until {until} at the latest"),
            None => "mail to it goes in clear".to_owned(),
        };
        let why = format!(
            "{} has spoken TLS before (last on {}) and does not now: {what} ([delivery.starttls_memory])",
            hop.host, loss.spoke
        );
        if loss.is_news {
            self.0.with.events.emit(&Event::Tls {
                domain: batch.jobs.first().map(|job| Box::from(&*job.domain)),
                host: Some(hop.host.clone()),
                reason: "downgrade",
                until,
                why: why.clone(),
            });
        }
        match until {
            None => Ok(()),
            Some(_) => {
                let reply = Reply::local(454, EnhancedCode(4, 7, 5), why, "STARTTLS");
                Err(Failure::Tls(reply, Fault::StarttlsNotSupported))
            }
        }
    }
}

//! From "due" to a place in a lane's line: expiry, hours, route, site, source.

use super::lane::{Lane, Offered, Setup};
use super::line::{FlowKey, Waiter};
use super::pace::Bounds;
use super::routing::{Route, Routing, Terms};
use super::settle::Via;
use super::{AGAIN, Delivery};
use crate::dns::{DnsFailure, Site};
use crate::mail::{BounceClass, EnhancedCode, Reply, TlsWish};
use crate::policy::providers::Provider;
use crate::policy::sources::Source;
use crate::policy::{Ask, Choice, Families, Held, Settings};
use crate::queue::{Due, Place};
use crate::tls::client;
use crate::units::Timestamp;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Entries that wait for one domain's MX; one question to DNS serves them all.
#[derive(Default)]
pub(super) struct Waiting(Mutex<HashMap<Arc<str>, Vec<Due>>>);

impl Waiting {
    /// `true` for the first asker, who is to ask.
    fn join(&self, due: Due) -> bool {
        let mut waiting = self.0.lock();
        let line = waiting.entry(Arc::clone(&due.domain)).or_default();
        line.push(due);
        line.len() == 1
    }

    #[must_use = "these entries are in no queue now"]
    fn take(&self, domain: &str) -> Vec<Due> {
        self.0.lock().remove(domain).unwrap_or_default()
    }
}

/// Where mail is going.
pub(super) struct Target {
    pub site: Arc<str>,
    pub provider: Arc<Provider>,
    pub families: Families,
}

/// A place in line for an entry.
fn waiter(due: &Due) -> Waiter {
    Waiter {
        key: due.key,
        id: due.id,
        since: due.id.accepted(),
        recipients: due.recipients,
        engagement: due.labels.engagement,
    }
}

impl Target {
    pub fn ask<'a>(&'a self, due: &'a Due) -> Ask<'a> {
        Ask {
            id: due.id,
            labels: &due.labels,
            site: &self.site,
            provider: &self.provider,
            last: due.last.as_ref().map(|place| &*place.source),
            avoid: None,
            families: self.families,
            spf: None,
        }
    }
}

/// A question to DNS on its way. Should it break off, who waits for the answer asks again later.
struct Asking<'a>(&'a Delivery, &'a Arc<str>);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let with = &self.0.0.with;
        for due in self.0.0.waiting.take(self.1) {
            let domain = Arc::clone(self.1);
            let until = with.clock.now() + AGAIN;
            with.queue.wait(due.key, until, Held::Routing { domain });
        }
    }
}

impl Delivery {
    pub(super) fn dispatch(&self, due: Due) {
        if due.expired {
            let delivery = self.clone();
            return self.spawn(async move {
                let _turn = delivery.0.expiring.acquire().await;
                delivery.expire(due).await;
            });
        }
        let now = self.0.with.clock.now();
        if let Err(closed) = self.0.with.policy.tenant_hours(&due.labels, now) {
            return self.wait(&due, closed);
        }
        let routing = self.0.with.routing.load();
        let route = routing.route(&due.domain);
        let terms_are_known = !route.heeds_domains || self.0.with.sts.is_known(&due.domain);
        let target = self.known_target(&due.domain, route);
        if let Some(target) = target.filter(|_| terms_are_known) {
            self.line_up(&due, &target, route, &routing);
        } else if self.0.waiting.join(due.clone()) {
            let delivery = self.clone();
            self.spawn(async move { delivery.resolve(due.domain).await });
        }
    }

    async fn resolve(&self, domain: Arc<str>) {
        let asking = Asking(self, &domain);
        let site = self.0.with.resolver.site(&domain).await;
        let routing = self.0.with.routing.load_full();
        let route = Arc::clone(routing.route(&domain));
        if site.is_ok() && route.heeds_domains {
            self.0.with.sts.find(&domain).await;
        }
        let waiting = self.0.waiting.take(&domain);
        // Who joins from now on asks anew.
        std::mem::forget(asking);
        for due in waiting {
            match &site {
                Ok(site) => self.line_up(&due, &self.target_at(site), &route, &routing),
                Err(failure) => self.unroutable(&due, failure).await,
            }
        }
    }

    /// Where mail for a domain goes, where that needs no question to DNS.
    pub(super) fn known_target(&self, domain: &str, route: &Route) -> Option<Target> {
        let by_route = self.target_of(route);
        by_route.or_else(|| {
            let site = self.0.with.resolver.known_site(domain)?;
            Some(self.target_at(&site))
        })
    }

    /// Where a route's own hosts lead.
    pub(super) fn target_of(&self, route: &Route) -> Option<Target> {
        let site = Arc::clone(route.site.as_ref()?);
        let settings = self.0.with.policy.settings();
        let hosts = route.terms.next_hop.iter().map(|hop| &*hop.host);
        Some(Target {
            provider: settings.provider(&site, hosts.clone()),
            families: self.families(&settings, hosts),
            site,
        })
    }

    /// Where a domain's MX lead.
    pub(super) fn target_at(&self, site: &Site) -> Target {
        let settings = self.0.with.policy.settings();
        let hosts = site.hosts.iter().map(|host| &*host.name);
        Target {
            provider: settings.provider(&site.name, hosts.clone()),
            families: self.families(&settings, hosts),
            site: Arc::clone(&site.name),
        }
    }

    /// Of the addresses of hosts, where they make a difference and all of them are known.
    fn families<'h>(&self, settings: &Settings, hosts: impl Iterator<Item = &'h str>) -> Families {
        if !settings.sources.are_mixed() {
            return Families::ANY;
        }
        let mut addresses = Vec::new();
        for host in hosts {
            match self.0.with.resolver.known_addresses(host) {
                Some(Ok(found)) => addresses.extend_from_slice(&found),
                // It has none, or nobody can say.
                Some(Err(_)) => {}
                None => return Families::ANY,
            }
        }
        Families::of(addresses)
    }

    fn line_up(&self, due: &Due, target: &Target, route: &Route, routing: &Routing) {
        let now = self.0.with.clock.now();
        let policy = &self.0.with.policy;
        let return_path = self.return_identity(&due.labels, due.sender.as_deref());
        let ask = Ask {
            spf: self.spf(return_path.as_ref()),
            ..target.ask(due)
        };
        let source = match policy.choose(&ask, now) {
            Choice::Source(source) => source,
            Choice::Nowhere(why) => return self.wait(due, why),
        };
        let asked = (target.provider.tls, due.labels.tls);
        let terms = self.terms(route, asked, &due.domain);
        let lane = self.lane(&source, target, &terms, routing);
        // Another may find the site up that does not answer this one.
        let other = || {
            let ask = Ask {
                avoid: Some(&source.name),
                ..ask
            };
            match policy.choose(&ask, now) {
                Choice::Source(other) => Some(self.lane(&other, target, &terms, routing)),
                Choice::Nowhere(_) => None,
            }
        };
        // Who has tried in vain does not probe again and again until it expires.
        let has_tried = ask.last == Some(&*source.name);
        if has_tried
            && lane.is_down()
            && other().is_some_and(|lane| self.offer(&lane, due).is_none())
        {
            return;
        }
        if let Some((until, why)) = self.offer(&lane, due)
            && other().is_none_or(|lane| self.offer(&lane, due).is_some())
        {
            self.0.with.queue.wait(due.key, until, why);
        }
    }

    /// Until when, and why, it does not take the entry.
    fn offer(&self, lane: &Arc<Lane>, due: &Due) -> Option<(Timestamp, Held)> {
        let policy = &self.0.with.policy;
        self.0.with.queue.place(due.key, &lane.place);
        let flow = FlowKey::from(&*due.labels);
        match lane.offer(waiter(due), flow, || policy.flow(&due.labels)) {
            Offered::Queued => None,
            Offered::Open(slot) => {
                self.open(slot);
                None
            }
            Offered::Refused { until, why } => Some((until, why)),
        }
    }

    /// Something holds it before it can line up; where nobody knows until when, it is looked at again in a while.
    fn wait(&self, due: &Due, why: Held) {
        let until = why.until().unwrap_or(self.0.with.clock.now() + AGAIN);
        self.0.with.queue.wait(due.key, until, why);
    }

    /// On which terms mail for a domain travels to a provider that asks for this TLS, of a sender who wishes that.
    pub(super) fn terms(
        &self,
        route: &Route,
        (asked, wish): (Option<client::Policy>, TlsWish),
        domain: &str,
    ) -> Arc<Terms> {
        let terms = route.terms(asked);
        let held = match route.heeds_domains && wish != TlsWish::Waives {
            true => self.0.with.sts.held(domain),
            false => None,
        };
        let known = held.as_ref();
        if wish == TlsWish::Requires {
            let hosts = known.and_then(|known| known.hosts());
            return Arc::new(terms.requiring(hosts, !route.heeds_domains));
        }
        match (known.and_then(|known| known.enforced()), wish) {
            (Some(hosts), wish) => Arc::new(terms.enforcing(hosts).wishing(wish)),
            (None, TlsWish::None) => Arc::clone(terms),
            (None, wish) => Arc::new(terms.wishing(wish)),
        }
    }

    fn lane(
        &self,
        source: &Arc<Source>,
        target: &Target,
        terms: &Arc<Terms>,
        routing: &Routing,
    ) -> Arc<Lane> {
        let place = Arc::new(Place {
            site: Arc::clone(&target.site),
            source: Arc::clone(&source.name),
        });
        let mut lanes = self.0.lanes.lock();
        if lanes.len() >= lanes.capacity() {
            // Room is about to double: let go of lanes that nobody uses instead, where there are any.
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || !lane.is_spent());
        }
        let make = |(place, terms): &(Arc<Place>, Arc<Terms>)| {
            let setup = Setup {
                place: Arc::clone(place),
                terms: Arc::clone(terms),
                way: self
                    .0
                    .with
                    .policy
                    .way(source, &target.site, &target.provider),
                bounds: Bounds::of(&routing.delivery),
                backoff: routing.delivery.site_backoff.0,
                saved: self.0.paces.lock().remove(place),
            };
            Lane::new(setup, self.0.for_lanes.clone())
        };
        let key = (place, Arc::clone(terms));
        let lane = Arc::clone(lanes.entry(key).or_insert_with_key(make));
        drop(lanes);
        // A reload may have said that the site is another provider's.
        if !Arc::ptr_eq(&lane.way().provider, &target.provider) {
            let policy = &self.0.with.policy;
            self.renew(
                &lane,
                policy.way(source, &target.site, &target.provider),
                routing,
            );
        }
        lane
    }

    /// No site to go to: the domain's mail bounces, or waits where waiting may help.
    async fn unroutable(&self, due: &Due, failure: &DnsFailure) {
        let Some(mut batch) = self.take_up(due.key).await else {
            return;
        };
        while let Some(part) = batch.parts.pop_front() {
            self.settle_all(&mut batch, &part, Via::default(), &failure.reply());
        }
        self.requeue(batch);
    }

    async fn expire(&self, due: Due) {
        let Some(batch) = self.take_up(due.key).await else {
            return;
        };
        let recipients = batch.jobs.iter().flat_map(|job| &job.recipients);
        let mut progress = recipients.filter_map(|at| batch.stored.progress.get(usize::from(*at)));
        let last = progress.find_map(|progress| progress.last.clone());
        let text = match last {
            Some(last) => format!("not delivered in time; the last attempt said: {last}"),
            None => "not delivered in time".to_owned(),
        };
        let why = Reply::local(554, EnhancedCode(5, 4, 7), text, "expire");
        self.end(batch, BounceClass::Expired, &why).await;
    }
}

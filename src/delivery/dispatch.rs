//! From "due" to a place in a lane's line: expiry, route, site, source.

use super::lane::{Bounds, Lane, Offered, Ready};
use super::routing::{Route, Routing, Terms};
use super::settle::Via;
use super::{AGAIN, Delivery};
use crate::dns::DnsFailure;
use crate::mail::{BounceClass, EnhancedCode, Reply};
use crate::policy::Held;
use crate::queue::{Due, Place};
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
        let routing = self.0.with.routing.load();
        let route = routing.route(&due.domain);
        if due.expired {
            let delivery = self.clone();
            self.spawn(async move { delivery.expire(due).await });
        } else if let Some(site) = &route.site {
            self.line_up(&due, Arc::clone(site), route, &routing);
        } else if let Some(site) = self.0.with.resolver.known_site(&due.domain) {
            self.line_up(&due, Arc::clone(&site.name), route, &routing);
        } else if self.0.waiting.join(due.clone()) {
            let delivery = self.clone();
            self.spawn(async move { delivery.resolve(due.domain).await });
        }
    }

    async fn resolve(&self, domain: Arc<str>) {
        let _asking = Asking(self, &domain);
        let site = self.0.with.resolver.site(&domain).await;
        let routing = self.0.with.routing.load_full();
        let route = Arc::clone(routing.route(&domain));
        for due in self.0.waiting.take(&domain) {
            match &site {
                Ok(site) => self.line_up(&due, Arc::clone(&site.name), &route, &routing),
                Err(failure) => self.unroutable(&due, failure).await,
            }
        }
    }

    fn line_up(&self, due: &Due, site: Arc<str>, route: &Route, routing: &Routing) {
        let source = Arc::clone(&routing.source(due.id, &due.labels).name);
        let place = Arc::new(Place { site, source });
        let now = self.0.with.clock.now();
        let ready = Ready {
            key: due.key,
            id: due.id,
        };
        let lane = self.lane(place, route, routing);
        self.0.with.queue.place(due.key, &lane.place);
        match lane.offer(ready, now) {
            Offered::Queued => {}
            Offered::Open(slot) => self.open(slot),
            Offered::Refused { until, why } => self.0.with.queue.wait(due.key, until, why),
        }
    }

    fn lane(&self, place: Arc<Place>, route: &Route, routing: &Routing) -> Arc<Lane> {
        let mut lanes = self.0.lanes.lock();
        if lanes.len() >= lanes.capacity() {
            // Room is about to double: let go of lanes that nobody uses instead, where there are any.
            let now = self.0.with.clock.now();
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || !lane.is_spent(now));
        }
        let make = |(place, terms): &(Arc<Place>, Arc<Terms>)| {
            let config = &routing.delivery;
            let bounds = Bounds {
                initial: config.initial_connections_per_site,
                max: config.max_connections_per_site,
                backoff: config.site_backoff.0,
            };
            Lane::new(Arc::clone(place), Arc::clone(terms), bounds)
        };
        let key = (place, Arc::clone(&route.terms));
        Arc::clone(lanes.entry(key).or_insert_with_key(make))
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

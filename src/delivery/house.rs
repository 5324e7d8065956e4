//! What delivery does beside moving mail: takes over changes, lets mail go elsewhere, remembers the pace of sites.

use super::dispatch::Target;
use super::lane::Lane;
use super::line::Waiter;
use super::pace::{Bounds, Saved};
use super::routing::Routing;
use super::{Config, Delivery};
use crate::policy::{Ask, Choice, Families, Held, Way};
use crate::queue::Place;
use crate::store::{Store, StoreError};
use crate::units::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked which addresses are there, and what other nodes have decided.
const ROUND: Duration = Duration::from_secs(30);

/// How often what is remembered of hosts is looked through.
const DAY: Duration = Duration::from_secs(86_400);

/// Of the keys of paces in the store.
const PREFIX: &str = "pace/";

impl Delivery {
    /// Reads back how fast sites could take mail before the restart. What cannot be read is told and begun anew.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn recall(&self) -> Result<(), StoreError> {
        let found = self.0.with.store.list(PREFIX).await?;
        let mut paces = HashMap::new();
        for (key, value) in found {
            let place = place_in(&key);
            match (place, serde_json::from_slice::<Saved>(&value.value)) {
                (Some(_), Ok(saved)) if saved.is_forgotten(self.0.with.clock.now()) => {
                    // Somebody may have written it anew.
                    let _conflict = self.0.with.store.delete(&key, value.version).await?;
                }
                (Some(place), Ok(saved)) => {
                    paces.insert(place, saved);
                }
                (_, Err(error)) => {
                    tracing::warn!(%key, %error, "a remembered pace cannot be read; the site is begun with anew");
                }
                (None, _) => tracing::warn!(%key, "a remembered pace of no place"),
            }
        }
        *self.0.paces.lock() = paces;
        Ok(())
    }

    pub(super) async fn keep_house(&self) {
        let with = &self.0.with;
        let mut swept = with.clock.now();
        loop {
            tokio::select! {
                () = with.policy.changed() => self.renew_all(),
                () = with.clock.sleep(ROUND) => {
                    with.policy.settings().sources.look();
                    with.policy.refresh().await;
                    self.forget_hosts(&mut swept).await;
                }
            }
        }
    }

    /// Once a day, lets go of hosts that have not spoken TLS for long.
    async fn forget_hosts(&self, swept: &mut Timestamp) {
        let with = &self.0.with;
        let now = with.clock.now();
        if now.since(*swept) < DAY {
            return;
        }
        *swept = now;
        let keep = with.routing.load().delivery.starttls_memory.keep.0;
        if let Err(error) = with.memory.sweep(keep).await {
            tracing::warn!(%error, "hosts that have spoken TLS are not forgotten yet");
        }
    }

    /// Something has changed that mail may wait for: every lane takes over what is said now, and what waits in it is
    /// dispatched anew.
    fn renew_all(&self) {
        let with = &self.0.with;
        let routing = with.routing.load();
        let lanes: Vec<Arc<Lane>> = self.0.lanes.lock().values().cloned().collect();
        for lane in lanes {
            self.renew(&lane, with.policy.renewed(&lane.way()), &routing);
        }
        let may_be_over = |held: &Held| {
            matches!(
                held,
                Held::SendWindow { .. } | Held::NoSource { .. } | Held::State { .. }
            )
        };
        with.queue.reconsider(may_be_over);
    }

    pub(super) fn renew(&self, lane: &Lane, way: Arc<Way>, routing: &Routing) {
        let config = &routing.delivery;
        self.dispatch_anew(lane.renew(way, Bounds::of(config), config.site_backoff.0));
    }

    /// What waits in a lane may be taken from another source: looks for each pool whether one takes the first of its
    /// mail, and if so has all of that choose again.
    pub(super) fn elsewhere(&self, lane: &Lane) {
        for (pool, first) in lane.samples() {
            if !self.stays(lane, &first) {
                self.dispatch_anew(lane.drain_pool(pool.as_deref()));
            }
        }
    }

    fn stays(&self, lane: &Lane, waiter: &Waiter) -> bool {
        let with = &self.0.with;
        // One that has left the queue says nothing of the others.
        let Some(due) = with.queue.peek(waiter.key) else {
            return false;
        };
        let routing = with.routing.load();
        let known = self.known_target(&due.domain, routing.route(&due.domain));
        let way = lane.way();
        let target = known.unwrap_or_else(|| Target {
            site: Arc::clone(&way.site),
            provider: Arc::clone(&way.provider),
            families: Families::ANY,
        });
        let return_path = self.return_identity(&due.labels, due.sender.as_deref());
        let ask = Ask {
            spf: self.spf(return_path.as_ref()),
            ..target.ask(&due)
        };
        let choice = with.policy.choose(&ask, with.clock.now());
        matches!(&choice, Choice::Source(source) if source.name == lane.place.source)
    }

    pub(super) fn dispatch_anew(&self, waiters: Vec<Waiter>) {
        let (now, queue) = (self.0.with.clock.now(), &self.0.with.queue);
        for waiter in waiters {
            if let Some(due) = queue.peek(waiter.key) {
                let domain = due.domain;
                queue.wait(waiter.key, now, Held::Routing { domain });
            }
        }
    }

    /// Remembers a pace in the background.
    pub(super) fn keep_pace(&self, place: Arc<Place>, saved: Saved) {
        let store = self.0.with.store.clone();
        self.spawn(async move { remember(&store, &place, &saved).await });
    }

    /// Remembers every pace that something has slowed down.
    pub(super) async fn keep_paces(&self) {
        let lanes: Vec<Arc<Lane>> = self.0.lanes.lock().values().cloned().collect();
        for lane in lanes {
            if let Some(saved) = lane.saved() {
                remember(&self.0.with.store, &lane.place, &saved).await;
            }
        }
    }
}

impl Bounds {
    pub fn of(config: &Config) -> Self {
        Self {
            initial: config.initial_connections_per_site,
            max: config.max_connections_per_site,
            recover: config.recover_every.0,
            settle: config.slow_down_every.0,
        }
    }
}

/// A pace that is lost costs a site some patience, no mail: it is told, and that is all.
async fn remember(store: &Store, place: &Place, saved: &Saved) {
    let key = format!("{PREFIX}{}/{}", place.source, place.site);
    let written = match serde_json::to_vec(saved) {
        Ok(value) => store.set(&key, &value).await,
        Err(error) => return tracing::error!(%key, %error, "a pace has no JSON form"),
    };
    if let Err(error) = written {
        tracing::warn!(%key, %error, "the pace of a site is not remembered");
    }
}

fn place_in(key: &str) -> Option<Place> {
    let (source, site) = key.strip_prefix(PREFIX)?.split_once('/')?;
    Some(Place {
        site: site.into(),
        source: source.into(),
    })
}

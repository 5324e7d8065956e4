//! Movement: how many connections go where, and what each attempt came to.
//!
//! The unit is the [`lane::Lane`], one source × site (and TLS policy). The dispatcher takes what the scheduled queue
//! says is due, finds its lane and lines it up there; each open connection of the lane runs [`Delivery::serve`], which
//! takes the next message and carries it through four steps: `plan → checkout → transact → settle`.

mod config;
mod dispatch;
mod lane;
mod line;
mod link;
mod notify;
mod operate;
mod room;
mod routing;
mod settle;

pub use config::{Config, PoolConfig, PoolMember, RouteConfig, SourceConfig, validate_sources};
pub use lane::{Bounds, Lane};
pub use line::{Admit, FlowKey, FlowView, Line, Order, Share, Taken, Turn, Waiter};
pub use operate::Action;
pub use routing::{NextHop, Parts, Route, Routing, Source, Terms};

use crate::auth::credentials::Tenants;
use crate::bounce;
use crate::clock::Clock;
use crate::dns::Resolver;
use crate::events::Events;
use crate::intake::Intake;
use crate::mail::Disposition;
use crate::policy::Held;
use crate::queue::{Job, Key, Place, Queue};
use crate::spool::{Spool, SpoolError, Stored};
use crate::tls::client::ClientTls;
use crate::units::Live;
use dispatch::Waiting;
use lane::{Ready, Slot};
use link::Link;
use parking_lot::Mutex;
use room::Room;
use settle::{Fate, Part, Verdict};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::SemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What delivery works with; handed in by the assembly.
#[derive(Clone)]
pub struct Collaborators {
    pub clock: Clock,
    pub queue: Queue,
    pub spool: Spool,
    pub resolver: Resolver,
    pub intake: Arc<Intake>,
    pub events: Events,
    pub tls: ClientTls,
    pub routing: Live<Routing>,
    pub notices: Live<bounce::Config>,
    pub tenants: Live<Tenants>,
    /// Addresses at which we take mail: an MX that leads there is a loop.
    pub own_addresses: Arc<[IpAddr]>,
    /// EHLO name of last resort and `Reporting-MTA` of notices.
    pub hostname: Arc<str>,
}

/// The delivery side of the daemon. Cheap to clone.
#[derive(Clone)]
pub struct Delivery(Arc<Shared>);

struct Shared {
    with: Collaborators,
    lanes: Mutex<HashMap<LaneKey, Arc<Lane>>>,
    waiting: Waiting,
    room: Room,
    /// Held by an operator's command until the spool has been told: two that come at a time must not reach queue and
    /// spool in different orders.
    command: tokio::sync::Mutex<()>,
    /// Connections, records and commands under way, for shutdown to wait for.
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// When what a fault of ours kept from being tried is tried again.
const AGAIN: Duration = Duration::from_secs(60);
/// Messages that a connection carries before it gives its room to others that wait for some.
const FAIR_SHARE: u32 = 50;

type LaneKey = (Arc<Place>, Arc<Terms>);

/// One message on its way over one connection: the entries taken, and what the spool says of them.
struct Batch {
    delivery: Delivery,
    jobs: Vec<Job>,
    /// Recipients still to be tried.
    parts: VecDeque<Part>,
    stored: Arc<Stored>,
    routing: Arc<Routing>,
    source: Arc<Source>,
    /// What the recipients came to so far.
    outcomes: Vec<(u16, Disposition)>,
}

impl Drop for Batch {
    /// A fault on the way must leave no entry with nobody.
    fn drop(&mut self) {
        if std::thread::panicking() && !self.jobs.is_empty() {
            self.delivery.clone().abandon(self);
        }
    }
}

impl Delivery {
    pub fn new(with: Collaborators) -> Self {
        let connections = with.routing.load().delivery.max_connections;
        Self(Arc::new(Shared {
            room: Room::new(connections),
            with,
            lanes: Mutex::default(),
            waiting: Waiting::default(),
            command: tokio::sync::Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }))
    }

    /// Takes what is due to its lane, until [`Delivery::stop`].
    pub async fn run(&self) {
        loop {
            tokio::select! {
                () = self.0.stop.cancelled() => return,
                due = self.0.with.queue.due() => due.into_iter().for_each(|due| self.dispatch(due)),
            }
        }
    }

    /// Starts no further message, and waits for what is under way and its records. What the deadline cuts off is
    /// journalled as in doubt and tried again after the next start.
    pub async fn stop(&self, deadline: Duration) {
        self.0.stop.cancel();
        self.0.tasks.close();
        if tokio::time::timeout(deadline, self.0.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                left = self.0.tasks.len(),
                "stopping with deliveries under way; they are journalled"
            );
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(task);
    }

    /// Starts a connection of a lane.
    fn open(&self, slot: Slot) {
        self.spawn(self.clone().serve(slot));
    }

    /// The life of one connection of a lane: message after message, until the lane has no more for it.
    async fn serve(self, slot: Slot) {
        let mut slot = Some(slot);
        while let Some(held) = slot.take() {
            let lane = Arc::clone(held.lane());
            if let Some(_permit) = self.permit().await {
                // A task of its own: a fault ends this connection, not the service of the lane.
                let served = tokio::spawn(self.clone().serve_lane(Arc::clone(&lane)));
                if let Err(error) = served.await {
                    tracing::error!(site = %lane.place.site, %error, "a connection broke off by a fault of ours");
                }
            }
            drop(held);
            // Mail that came between the last look and giving up the slot would wait for nobody.
            slot = lane.another().filter(|_| !self.0.stop.is_cancelled());
        }
    }

    async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            biased;
            () = self.0.stop.cancelled() => None,
            permit = self.0.room.enter() => permit,
        }
    }

    async fn serve_lane(self, lane: Arc<Lane>) {
        let mut link = Link::default();
        while !self.should_part(&link) {
            let linger = match self.0.room.is_wanted() {
                true => Duration::ZERO,
                false => link.linger(&self.0.with.routing.load().delivery),
            };
            let ready = tokio::select! {
                biased;
                () = self.0.stop.cancelled() => break,
                ready = lane.next(linger) => ready,
                () = self.0.room.wanted(), if link.is_open() => break,
            };
            let Some(ready) = ready else { break };
            // What came while this connection was idle may be more than it can take at once.
            if let Some(slot) = lane.another() {
                self.open(slot);
            }
            self.deliver(&lane, &mut link, ready).await;
        }
        link.quit().await;
    }

    /// A connection that has had its share closes, and another lines up for its room behind all who wait for some.
    fn should_part(&self, link: &Link) -> bool {
        let config = &self.0.with.routing.load().delivery;
        link.has_served_enough(config, self.0.with.clock.now())
            || (self.0.room.is_wanted() && link.messages() >= FAIR_SHARE)
    }

    /// One message over one connection.
    async fn deliver(&self, lane: &Lane, link: &mut Link, ready: Vec<Ready>) {
        let Some(mut batch) = self.plan(lane, ready).await else {
            return;
        };
        while let Some(mut part) = batch.parts.pop_front() {
            let fate = self.attempt(lane, link, &mut batch, &mut part).await;
            if matches!(fate, Fate::Moved) {
                break;
            }
            let left = self.settle(&mut batch, part, link.via(lane), fate);
            batch.parts.extend(left);
        }
        self.requeue(batch);
    }

    /// Takes the entries from the queue, and what the spool knows of their message.
    async fn plan(&self, lane: &Lane, ready: Vec<Ready>) -> Option<Batch> {
        let begun = ready
            .into_iter()
            .filter_map(|ready| self.0.with.queue.begin(ready.key));
        self.load(self.only_fitting(lane, begun.collect())).await
    }

    /// Puts back what no longer belongs in the lane, because a reload has changed its source or the terms of its
    /// connections: it is lined up anew.
    fn only_fitting(&self, lane: &Lane, jobs: Vec<Job>) -> Vec<Job> {
        let routing = self.0.with.routing.load();
        let (fitting, moved): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| {
            routing.route(&job.domain).terms == lane.terms
                && routing.source(job.id, &job.labels).name == lane.place.source
        });
        moved.iter().for_each(|job| self.line_up_anew(job));
        fitting
    }

    fn line_up_anew(&self, job: &Job) {
        let domain = Arc::clone(&job.domain);
        let now = self.0.with.clock.now();
        self.0
            .with
            .queue
            .put_back(job, now, Held::Routing { domain });
    }

    /// Takes one entry that is in no lane.
    async fn take_up(&self, key: Key) -> Option<Batch> {
        self.load(self.0.with.queue.begin(key).into_iter().collect())
            .await
    }

    /// What the spool knows of the message whose entries were taken.
    async fn load(&self, jobs: Vec<Job>) -> Option<Batch> {
        let first = jobs.first()?;
        let routing = self.0.with.routing.load_full();
        let source = Arc::clone(routing.source(first.id, &first.labels));
        match self.0.with.spool.stored(first.id).await {
            Ok(stored) => Some(Batch {
                delivery: self.clone(),
                parts: Part::split(&jobs, routing.delivery.max_recipients),
                jobs,
                stored: Arc::new(stored),
                routing,
                source,
                outcomes: Vec::new(),
            }),
            Err(error) => {
                self.unreadable(&jobs, &error);
                None
            }
        }
    }

    /// Connects where no connection is open, and sends. A connection that was open before gets one free retry on a
    /// fresh one, where nobody was answered: the server may have closed it while it lay idle.
    async fn attempt(
        &self,
        lane: &Lane,
        link: &mut Link,
        batch: &mut Batch,
        part: &mut Part,
    ) -> Fate {
        loop {
            let reused = match self.checkout(lane, link, batch).await {
                Ok(reused) => reused,
                Err(fate) => {
                    self.tell(lane, &fate);
                    return fate;
                }
            };
            if let Some(rest) = part.cut(link.most_recipients()) {
                batch.parts.push_front(rest);
            }
            let fate = self.transact(link, batch, part).await;
            if reused && fate.decides_nothing() {
                continue;
            }
            self.tell(lane, &fate);
            return fate;
        }
    }

    /// Lets the lane draw its conclusions. Where no connection can be had, what waits in its line waits elsewhere.
    fn tell(&self, lane: &Lane, fate: &Fate) {
        let now = self.0.with.clock.now();
        let back = match fate.verdict() {
            Verdict::SiteUp => return lane.succeeded(),
            Verdict::None => return,
            Verdict::SiteFailed(why) => lane.failed(why, now),
            Verdict::SourceFailed(why) => {
                tracing::error!(source = %lane.place.source, %why, "a source cannot be used; its mail waits");
                lane.unusable(why, now)
            }
        };
        for (ready, until, held) in back {
            self.0.with.queue.wait(ready.key, until, held);
        }
    }

    /// The spool cannot say what a message is. A passing fault is waited out; a record that is gone or was set aside
    /// has been reported there, and its entries have nothing left to deliver.
    fn unreadable(&self, jobs: &[Job], error: &SpoolError) {
        let until = self.0.with.clock.now() + AGAIN;
        for job in jobs {
            tracing::error!(id = %job.id, %error, "a queued message cannot be read");
            match error {
                SpoolError::NotFound | SpoolError::Corrupt(_) => self.0.with.queue.forget(job.key),
                _ => self.0.with.queue.put_back(
                    job,
                    until,
                    Held::Spool {
                        why: error.to_string(),
                    },
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests;

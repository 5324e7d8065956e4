//! Movement: how many connections go where, and what each attempt came to.
//!
//! The unit is the [`lane::Lane`], one source × site (and TLS policy). The dispatcher takes what the scheduled queue
//! says is due, finds its lane and lines it up there; each open connection of the lane runs [`Delivery::serve`], which
//! takes the next message and carries it through four steps: `plan → checkout → transact → settle`.

mod config;
mod dispatch;
mod lane;
mod link;
mod notify;
mod operate;
mod routing;
mod settle;

pub use config::{Config, PoolConfig, PoolMember, RouteConfig, SourceConfig, validate_sources};
pub use lane::{Bounds, Lane};
pub use operate::Action;
pub use routing::{NextHop, Parts, Route, Routing, Source};

use crate::auth::credentials::Tenants;
use crate::bounce;
use crate::clock::Clock;
use crate::dns::Resolver;
use crate::events::Events;
use crate::intake::Intake;
use crate::mail::{Disposition, Reply};
use crate::policy::Held;
use crate::queue::{Job, Place, Queue};
use crate::spool::{Spool, SpoolError, Stored};
use crate::tls::client::{ClientTls, Policy};
use crate::units::Live;
use dispatch::Waiting;
use lane::{Ready, Slot};
use link::Link;
use parking_lot::Mutex;
use settle::{Fate, Part};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
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
    connections: Semaphore,
    /// Connections and records under way, for shutdown to wait for.
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// When a message that could not be read is asked for again.
const UNREADABLE_AGAIN: Duration = Duration::from_secs(60);

type LaneKey = (Arc<Place>, Policy);

/// One message on its way over one connection: the entries taken, and what the spool says of them.
struct Batch {
    jobs: Vec<Job>,
    stored: Arc<Stored>,
    routing: Arc<Routing>,
    route: Arc<Route>,
    source: Arc<Source>,
    /// What the recipients came to so far.
    outcomes: Vec<(u16, Disposition)>,
}

impl Delivery {
    pub fn new(with: Collaborators) -> Self {
        let connections = with.routing.load().delivery.max_connections;
        Self(Arc::new(Shared {
            connections: Semaphore::new(connections as usize),
            with,
            lanes: Mutex::default(),
            waiting: Waiting::default(),
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
            if let Ok(_permit) = self.0.connections.acquire().await {
                self.serve_lane(&lane).await;
            }
            drop(held);
            // Mail that came between the last look and giving up the slot would wait for nobody.
            slot = lane.another().filter(|_| !self.0.stop.is_cancelled());
        }
    }

    async fn serve_lane(&self, lane: &Arc<Lane>) {
        let mut link = Link::default();
        loop {
            let linger = link.linger(&self.0.with.routing.load().delivery);
            let ready = tokio::select! {
                () = self.0.stop.cancelled() => break,
                ready = lane.next(linger) => ready,
            };
            let Some(ready) = ready else { break };
            self.deliver(lane, &mut link, ready).await;
            if let Some(slot) = lane.another() {
                self.open(slot);
            }
        }
        link.quit().await;
    }

    /// One message over one connection.
    async fn deliver(&self, lane: &Lane, link: &mut Link, ready: Vec<Ready>) {
        let Some(mut batch) = self.plan(ready).await else {
            return;
        };
        let mut parts = Part::split(&batch);
        while let Some(part) = parts.pop_front() {
            let fate = self.attempt(lane, link, &batch, &part).await;
            let via = link.via(lane);
            parts.extend(self.settle(&mut batch, part, via, fate));
        }
        self.requeue(&batch);
    }

    /// Takes the entries from the queue and what is known of the message from the spool.
    async fn plan(&self, ready: Vec<Ready>) -> Option<Batch> {
        let begun = ready
            .into_iter()
            .filter_map(|ready| self.0.with.queue.begin(ready.key));
        self.load(begun.collect()).await
    }

    async fn load(&self, jobs: Vec<Job>) -> Option<Batch> {
        let first = jobs.first()?;
        let routing = self.0.with.routing.load_full();
        let route = Arc::clone(routing.route(&first.domain));
        let source = Arc::clone(routing.source(first.id, &first.labels));
        match self.0.with.spool.stored(first.id).await {
            Ok(stored) => Some(Batch {
                jobs,
                stored: Arc::new(stored),
                routing,
                route,
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
    /// fresh one: the server may have closed it while it lay idle.
    async fn attempt(&self, lane: &Lane, link: &mut Link, batch: &Batch, part: &Part) -> Fate {
        loop {
            let reused = link.is_open();
            if let Err(failure) = self.checkout(link, batch).await {
                self.site_failed(lane, failure.reply());
                return Fate::Failed(failure);
            }
            let fate = self.transact(link, batch, part).await;
            match fate.lost_connection() {
                None => {
                    lane.succeeded();
                    return fate;
                }
                Some(_) if reused => {}
                Some(reply) => {
                    self.site_failed(lane, reply);
                    return fate;
                }
            }
        }
    }

    /// The site refused or did not answer: what waits in its line waits elsewhere.
    fn site_failed(&self, lane: &Lane, why: &Reply) {
        for (ready, until, held) in lane.failed(why, self.0.with.clock.now()) {
            self.0.with.queue.wait(ready.key, until, held);
        }
    }

    /// The spool cannot say what a message is. A passing fault is waited out; a record that is gone or was set aside
    /// has been reported there, and its entries have nothing left to deliver.
    fn unreadable(&self, jobs: &[Job], error: &SpoolError) {
        let until = self.0.with.clock.now() + UNREADABLE_AGAIN;
        for job in jobs {
            tracing::error!(id = %job.id, %error, "a queued message cannot be read");
            match error {
                SpoolError::NotFound | SpoolError::Corrupt(_) => self.0.with.queue.forget(job.key),
                _ => self.0.with.queue.wait(
                    job.key,
                    until,
                    Held::Spool {
                        why: error.to_string(),
                    },
                ),
            }
        }
    }
}

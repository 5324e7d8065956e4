//! Movement: how many connections go where, and what each attempt came to.
//!
//! The unit is the [`lane::Lane`], one source × site (and TLS policy). The dispatcher takes what the scheduled queue
//! says is due, finds its lane and lines it up there; each open connection of the lane runs [`Delivery::serve`], which
//! takes the next message and carries it through four steps: `plan → checkout → transact → settle`.

mod alarm;
mod breaker;
mod config;
mod dispatch;
mod encryption;
mod explain;
mod forget;
mod heed;
mod house;
mod lane;
pub mod line;
mod link;
mod notify;
mod operate;
mod pace;
mod return_path;
mod room;
mod routing;
mod settle;
mod sift;

pub use config::{Config, RouteConfig};
pub use explain::{Subject, Verdict as Explained};
pub use lane::Lane;
pub use operate::Action;
pub use pace::{Bounds, Pace};
pub use routing::{NextHop, Parts, Route, Routing, Terms};

use crate::auth::alignment::Alignment;
use crate::auth::credentials::Tenants;
use crate::books::Books;
use crate::bounce;
use crate::bounce::replies::Replies;
use crate::bounce::rules::Classifier;
use crate::bounce::stamps::Stamps;
use crate::clock::Clock;
use crate::dns::Resolver;
use crate::events::Events;
use crate::intake::Intake;
use crate::mail::Disposition;
use crate::policy::{Held, Lease, Policy, Way};
use crate::queue::{Job, Key, Place, Queue};
use crate::spool::{Spool, SpoolError, Stored};
use crate::store::Store;
use crate::sts::Sts;
use crate::tls::client::ClientTls;
use crate::tls::memory::Memory;
use crate::tlsrpt::Tally;
use crate::units::Live;
use alarm::Alarms;
use dispatch::Waiting;
use lane::{Next, Slot};
use line::Waiter;
use link::Link;
use pace::Saved;
use parking_lot::Mutex;
use room::Room;
use settle::{Fate, Part, Verdict};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
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
    pub sts: Sts,
    /// Of hosts that have spoken TLS.
    pub memory: Memory,
    /// What sessions came to, for reports of it.
    pub tally: Tally,
    pub routing: Live<Routing>,
    pub policy: Policy,
    pub alignment: Alignment,
    pub store: Store,
    pub notices: Live<bounce::Config>,
    pub stamps: Live<Stamps>,
    pub books: Books,
    pub classifier: Live<Classifier>,
    pub replies: Replies,
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
    for_lanes: lane::Collaborators,
    /// Paces from before the restart, until their lanes are made.
    paces: Mutex<HashMap<Place, Saved>>,
    waiting: Waiting,
    /// Messages that are given up at a time: each is read, and may become a notice.
    expiring: Semaphore,
    /// Held by each failure that waits for the suppression list to be written.
    unlisted: Arc<()>,
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
/// How long stopping waits for the store.
const FAREWELL: Duration = Duration::from_secs(5);
/// Messages given up at a time.
const EXPIRING: usize = 256;
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
    stamps: Arc<Stamps>,
    /// From where to where, with leave to go; `None` for what is ended without an attempt.
    going: Option<Going>,
    /// What the recipients came to so far.
    outcomes: Vec<(u16, Disposition)>,
    /// Recipients whose mail failed before: a delivery is worth telling.
    failing: Vec<u16>,
}

/// What a batch that is on its way goes by.
struct Going {
    way: Arc<Way>,
    lease: Lease,
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
        let for_lanes = lane::Collaborators {
            clock: with.clock.clone(),
            alarms: Alarms::default(),
            events: with.events.clone(),
        };
        Self(Arc::new(Shared {
            room: Room::new(connections),
            with,
            lanes: Mutex::default(),
            for_lanes,
            paces: Mutex::default(),
            waiting: Waiting::default(),
            expiring: Semaphore::new(EXPIRING),
            unlisted: Arc::default(),
            command: tokio::sync::Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }))
    }

    /// Moves mail until [`Delivery::stop`].
    pub async fn run(&self) {
        tokio::select! {
            () = self.0.stop.cancelled() => {}
            () = self.begin_due() => {}
            () = self.ring() => {}
            () = self.ring_freed() => {}
            () = self.keep_house() => {}
        }
    }

    /// Takes what is due to its lane.
    async fn begin_due(&self) {
        loop {
            let due = self.0.with.queue.due().await;
            due.into_iter().for_each(|due| self.dispatch(due));
        }
    }

    /// Has lanes looked at when what holds them may be over.
    async fn ring(&self) {
        let shared = &self.0.for_lanes;
        loop {
            for (at, lane) in shared.alarms.ring(&shared.clock).await {
                lane.alarmed(at)
                    .into_iter()
                    .for_each(|slot| self.open(slot));
            }
        }
    }

    /// Has lanes looked at whose warm-up has room again.
    async fn ring_freed(&self) {
        loop {
            let freed = self.0.with.policy.freed().await;
            let lanes: Vec<Arc<Lane>> = self.0.lanes.lock().values().cloned().collect();
            let concerned = |lane: &&Arc<Lane>| {
                let provider = &lane.way().provider.name;
                let of_provider = freed
                    .provider
                    .as_ref()
                    .is_none_or(|freed| freed == provider);
                lane.place.source == freed.source && of_provider
            };
            for lane in lanes.iter().filter(concerned) {
                lane.ring().into_iter().for_each(|slot| self.open(slot));
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
        // A store that does not answer keeps nobody from stopping.
        if tokio::time::timeout(FAREWELL, self.keep_paces())
            .await
            .is_err()
        {
            tracing::warn!(
                "how fast sites could take mail is not remembered: the store does not answer"
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
        while let Some(mut held) = slot.take() {
            let lane = Arc::clone(held.lane());
            if let Some(_permit) = self.permit().await {
                // A task of its own: a fault ends this connection, not the service of the lane.
                let served = tokio::spawn(self.clone().serve_lane(Arc::clone(&lane)));
                match served.await {
                    Ok(false) => {}
                    Ok(true) => held.opened(),
                    Err(error) => {
                        held.opened();
                        tracing::error!(site = %lane.place.site, %error, "a connection broke off by a fault of ours");
                    }
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

    /// Whether a connection was opened, or tried to.
    async fn serve_lane(self, lane: Arc<Lane>) -> bool {
        let mut link = Link::default();
        while !self.should_part(&lane, &link) {
            let way = lane.way();
            let linger = match self.0.room.is_wanted() {
                true => Duration::ZERO,
                false => link.linger(&self.0.with.routing.load().delivery),
            };
            let next = tokio::select! {
                biased;
                () = self.0.stop.cancelled() => break,
                next = lane.next(linger) => next,
                () = self.0.room.wanted(), if link.is_open() => break,
                () = way.wanted(), if link.is_open() => break,
            };
            match next {
                Next::Nothing => break,
                Next::Elsewhere => self.elsewhere(&lane),
                Next::Send(waiters, lease) => {
                    // What came while this connection was idle may be more than it can take at once.
                    lane.another().into_iter().for_each(|slot| self.open(slot));
                    self.deliver(&lane, &mut link, waiters, lease).await;
                }
            }
        }
        link.quit().await;
        link.was_tried()
    }

    /// A connection that has had its share closes, and another lines up for its room behind all who wait for some. So
    /// does one that was lost: its successor asks for leave to connect.
    fn should_part(&self, lane: &Lane, link: &Link) -> bool {
        link.is_lost() || self.has_had_its_share(lane, link)
    }

    fn has_had_its_share(&self, lane: &Lane, link: &Link) -> bool {
        let (config, now) = (
            &self.0.with.routing.load().delivery,
            self.0.with.clock.now(),
        );
        let way = lane.way();
        let is_wanted = self.0.room.is_wanted() || way.is_wanted(now);
        link.has_served_enough(config, way.provider.messages_per_connection, now)
            || (is_wanted && link.messages() >= FAIR_SHARE)
    }

    /// One message over one connection.
    async fn deliver(&self, lane: &Lane, link: &mut Link, waiters: Vec<Waiter>, lease: Lease) {
        let Some(mut batch) = self.plan(lane, waiters, lease).await else {
            return;
        };
        if !self.sift(&mut batch).await {
            return;
        }
        while let Some(mut part) = batch.next_part() {
            let fate = self.attempt(lane, link, &mut batch, &mut part).await;
            if matches!(fate, Fate::Moved) {
                break;
            }
            let settled = self.settle(&mut batch, part, link.via(lane), fate);
            batch.parts.extend(settled.left);
            self.heed(lane, link, settled.heard).await;
            if !lane.goes_on() || !batch.goes_on(self.0.with.clock.now()) {
                break;
            }
            // With a transaction each, the recipients of one message may be more than a connection takes: the next asks
            // for leave to connect.
            if self.has_had_its_share(lane, link) {
                break;
            }
        }
        self.requeue(batch);
    }

    /// Takes the entries from the queue, and what the spool knows of their message.
    async fn plan(&self, lane: &Lane, waiters: Vec<Waiter>, lease: Lease) -> Option<Batch> {
        let way = lane.way();
        let begun = waiters
            .into_iter()
            .filter_map(|waiter| self.0.with.queue.begin(waiter.key));
        let jobs = self.only_fitting(lane, &way, begun.collect());
        self.load(jobs, Some(Going { way, lease })).await
    }

    /// Puts back what no longer belongs in the lane, because a reload has changed the terms of its connections: it is
    /// lined up anew.
    fn only_fitting(&self, lane: &Lane, way: &Way, jobs: Vec<Job>) -> Vec<Job> {
        let routing = self.0.with.routing.load();
        let (fitting, moved): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| {
            let route = routing.route(&job.domain);
            let asked = (way.provider.tls, job.labels.tls);
            self.terms(route, asked, &job.domain) == lane.terms
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
        self.load(self.0.with.queue.begin(key).into_iter().collect(), None)
            .await
    }

    /// What the spool knows of the message whose entries were taken.
    async fn load(&self, jobs: Vec<Job>, going: Option<Going>) -> Option<Batch> {
        let first = jobs.first()?;
        let with = &self.0.with;
        let (routing, stamps) = (with.routing.load_full(), with.stamps.load_full());
        match with.spool.stored(first.id).await {
            Ok(stored) => {
                let now = with.clock.now();
                let mut going = going;
                if let Some(going) = &mut going {
                    going.lease.weigh(stored.size, now);
                }
                let most = match return_path::is_own(&stamps, &stored.meta) {
                    true => 1,
                    false => most_recipients(&routing, going.as_ref()),
                };
                Some(Batch {
                    delivery: self.clone(),
                    parts: Part::split(&jobs, most),
                    jobs,
                    stored: Arc::new(stored),
                    routing,
                    stamps,
                    going,
                    outcomes: Vec::new(),
                    failing: Vec::new(),
                })
            }
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
            let fate = self.transact(lane, link, batch, part).await;
            if reused && fate.decides_nothing() && !batch.is_kept_away(&fate) {
                continue;
            }
            self.tell(lane, &fate);
            return fate;
        }
    }

    /// Lets the lane draw its conclusions. Where no connection can be had, what waits in its line waits elsewhere.
    fn tell(&self, lane: &Lane, fate: &Fate) {
        let back = match fate.verdict() {
            Verdict::Taken => return lane.succeeded(),
            Verdict::Answered => return lane.answered(),
            Verdict::None => return,
            Verdict::SiteFailed(why) => {
                let back = lane.failed(why);
                self.keeps_away(&lane.way(), why);
                // Another source may find the site up.
                let back = back.into_iter().map(|(waiter, ..)| waiter);
                return self.dispatch_anew(back.collect());
            }
            Verdict::SourceFailed(why) => {
                tracing::error!(source = %lane.place.source, %why, "a source cannot be used; its mail waits");
                lane.way().source.look();
                lane.unusable(why)
            }
        };
        for (waiter, until, held) in back {
            self.0.with.queue.wait(waiter.key, until, held);
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

impl Batch {
    /// The next recipients to try, as many as there is leave for.
    fn next_part(&mut self) -> Option<Part> {
        let left = self.going.as_ref()?.lease.left();
        if left == 0 {
            return None;
        }
        let mut part = self.parts.pop_front()?;
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        if let Some(rest) = part.cut(Some(most)) {
            self.parts.push_front(rest);
        }
        Some(part)
    }
}

/// In one transaction.
fn most_recipients(routing: &Routing, going: Option<&Going>) -> u16 {
    let asked = going.and_then(|going| going.way.provider.recipients_per_transaction);
    let most = routing.delivery.max_recipients;
    asked.map_or(most, |asked| asked.get().min(most))
}

#[cfg(test)]
mod tests;

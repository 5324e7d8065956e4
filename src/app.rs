//! Assembly: a whole Mailwright from a configuration, sockets, a resolver and a clock.
//!
//! [`App::build`] makes every part and hands each its collaborators; [`App::run`] lets them work until told to stop,
//! then stops them in the order of the mail's way: listeners first, deliveries next, spool and event log last.

mod control;
mod doors;
mod heard;
mod live;
mod outside;
mod recover;

pub use control::{Daemon, lint};
pub use live::Compiled;

use crate::auth::alignment::{self, Alignment};
use crate::auth::credentials::Gate;
use crate::auth::token_keys;
use crate::books::{Books, BooksError};
use crate::clock::Clock;
use crate::config::{Config, Refused};
use crate::delivery::{Collaborators, Delivery, Routing};
use crate::dns::Resolver;
use crate::events::{Event, EventLog, Events, Metrics, Operators, Sink};
use crate::http;
use crate::inbound::{self, Inbound, Unread};
use crate::intake::{self, Intake};
use crate::outside::Known;
use crate::policy::reputation::Reputation;
use crate::policy::warmup::{Budget, Position};
use crate::policy::{self, Policy};
use crate::queue::Queue;
use crate::reports::Reports;
use crate::spool::{self, Spool, Stored};
use crate::store::{self, Store, StoreError};
use crate::sts::Sts;
use crate::tls::client::ClientTls;
use crate::tls::https::Https;
use crate::tls::memory::Memory;
use crate::tlsrpt::{self, Daily, Tally};
use crate::units::{Live, Timestamp};
use doors::{Certificates, Doors, Making};
use heard::Heard;
use live::Lives;
use parking_lot::Mutex;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long stopping waits for deliveries that are under way.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long stopping waits for the store.
const FAREWELL: Duration = Duration::from_secs(10);

/// How long a start waits until what it told again is in the event log. Deliveries may be what makes room on its disk.
const TELLING: Duration = Duration::from_secs(5);

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Sockets, bound before anything else so that a port in use is told at once.
pub struct Bound {
    /// One for each `[[listener]]`, in order.
    pub smtp: Vec<TcpListener>,
    pub http: TcpListener,
    /// Where `[unsubscribe]` has an address.
    pub unsubscribe: Option<TcpListener>,
}

/// What a daemon is made of.
pub struct Setup {
    pub config: Config,
    /// Read again on reload.
    pub file: Option<PathBuf>,
    pub bound: Bound,
    pub resolver: Resolver,
    pub clock: Clock,
    /// Take every event beside the log and the metrics.
    pub sinks: Vec<Box<dyn Sink>>,
}

/// Why a daemon does not start; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Something that the configuration names cannot be used.
    #[error("{0}")]
    Config(Refused),
    #[error(transparent)]
    Spool(#[from] spool::OpenError),
    #[error(transparent)]
    Store(#[from] store::OpenError),
    #[error(transparent)]
    Books(#[from] BooksError),
    /// It is there, and cannot be read.
    #[error(transparent)]
    State(#[from] StoreError),
    #[error("{what}: {error}")]
    Io { what: String, error: std::io::Error },
}

/// A built daemon that does not run yet.
pub struct App {
    daemon: Arc<Daemon>,
    doors: Doors,
    http: (TcpListener, http::Access),
    daily: Daily,
    log: EventLog,
}

/// What start-up has made before the parts are put together.
struct Ground {
    clock: Clock,
    events: Events,
    metrics: Metrics,
    log: EventLog,
    lives: Lives,
    queue: Queue,
    spool: Spool,
    store: Store,
    policy: Policy,
    books: Books,
    heard: Heard,
    reports: Reports,
    tally: Tally,
}

impl Bound {
    /// Binds what the configuration names.
    ///
    /// # Errors
    /// The address that cannot be had.
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        let listeners = config
            .listener
            .iter()
            .map(|listener| bind(listener.address));
        Ok(Self {
            smtp: listeners.collect::<Result<_, _>>()?,
            http: bind(config.http.address)?,
            unsubscribe: config.unsubscribe.address.map(bind).transpose()?,
        })
    }
}

impl App {
    /// Makes every part. Reads the spool back; what it holds is in the queue when this returns. Blocks meanwhile, on a
    /// thread of a tokio runtime that may be blocked.
    ///
    /// # Errors
    /// What the configuration names cannot be used; the data directory cannot be used, or another daemon uses it.
    pub fn build(
        config: Config,
        bound: Bound,
        resolver: Resolver,
        clock: Clock,
    ) -> Result<Self, StartError> {
        Self::build_with(Setup {
            config,
            file: None,
            bound,
            resolver,
            clock,
            sinks: Vec::new(),
        })
    }

    /// As [`App::build`], with a file to reload and more sinks.
    pub fn build_with(setup: Setup) -> Result<Self, StartError> {
        let Setup {
            config,
            file,
            bound,
            resolver,
            clock,
            sinks,
        } = setup;
        let refuse = |problems| StartError::Config(Refused::located(file.as_deref(), problems));
        token_keys::provide(&config.return_path, &config.data_dir)
            .map_err(failed("the key of tokens in data_dir/keys"))?;
        let (compiled, settings) = Compiled::new(&config).map_err(refuse)?;
        let lives = Lives::new(compiled);
        let access = http::Access::load(&config.http)
            .map_err(|error| failed("http.tokens")(std::io::Error::other(error)))?;
        let ground = Ground::lay(&config, (lives, settings), clock, sinks)?;
        let certificates = Certificates::load(&config)?;
        let alignment = ground.alignment(resolver.clone());
        let outside = ground.outside(&config, resolver.clone(), certificates.all())?;
        let known = (alignment.clone(), outside.known().clone());
        let intake = ground.intake(&config, known);
        let tls = ClientTls::new(&config.tls).map_err(failed("tls.ca_file"))?;
        let https = Https {
            resolver: resolver.clone(),
            tls: tls.clone(),
            hidden: config.delivery.allow_loopback,
        };
        let daily = ground.daily(https, intake.clone());
        let asked = (resolver, tls, alignment.clone());
        let delivery = ground.delivery(&config, asked, Arc::new(intake.clone()))?;
        let inbound = ground.inbound(&config)?;
        let gate = Gate::new(
            Arc::clone(&ground.lives.tenants),
            &config.auth,
            ground.clock.clone(),
        );
        let doors = Doors::new(
            (bound.smtp, bound.unsubscribe),
            Making {
                config: &config,
                certificates: &certificates,
                gate,
                events: &ground.events,
                intake: (Arc::new(intake), Arc::clone(&ground.lives.limits)),
                inbound: (inbound, Arc::clone(&ground.lives.inbound_limits)),
            },
        );
        ground.gauges(&delivery);
        let daemon = Daemon {
            clock: ground.clock,
            file,
            config: Mutex::new(config),
            lives: ground.lives,
            certificates: certificates.all(),
            delivery,
            policy: ground.policy,
            alignment,
            books: ground.books,
            heard: ground.heard,
            reports: ground.reports,
            outside,
            store: ground.store,
            spool: ground.spool,
            events: ground.events,
            log: ground.log.clone(),
            metrics: ground.metrics,
            feeding: tokio::sync::Mutex::default(),
            up: AtomicBool::new(false),
        };
        Ok(Self {
            daemon: Arc::new(daemon),
            doors,
            http: (bound.http, access),
            daily,
            log: ground.log,
        })
    }

    /// For reload by signal.
    pub fn daemon(&self) -> Arc<Daemon> {
        Arc::clone(&self.daemon)
    }

    /// Runs until `stop`; then listeners finish their messages, deliveries theirs, and everything is synced.
    ///
    /// # Errors
    /// A socket cannot be used, or the last sync failed.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StartError> {
        let Self {
            daemon,
            doors,
            http,
            daily,
            log,
        } = self;
        let (closing, faces) = (CancellationToken::new(), TaskTracker::new());
        let sessions = TaskTracker::new();
        doors.open(&stop, &sessions)?;
        let api = http::serve(
            into_tokio(http.0)?,
            Arc::clone(&daemon),
            http.1,
            closing.clone(),
        );
        faces.spawn(api);
        let (policy, policing) = (daemon.policy.clone(), CancellationToken::new());
        let keeping = tokio::spawn({
            let policing = policing.clone();
            let (heard, outside) = (daemon.heard.clone(), daemon.outside.clone());
            let alignment = daemon.alignment.clone();
            async move {
                tokio::join!(
                    policy.run(policing.clone()),
                    alignment.run(policing.clone()),
                    heard.run(policing.clone()),
                    outside.run(policing.clone()),
                    daily.run(policing)
                );
            }
        });
        let delivery = daemon.delivery.clone();
        let mut moving = tokio::spawn(async move { delivery.run().await });
        daemon.up.store(true, Ordering::Relaxed);
        daemon.events.emit(&Event::Config {
            ok: true,
            why: "started".to_owned(),
        });
        notify_supervisor(sd_notify::NotifyState::Ready);

        let fault = tokio::select! {
            () = stop.cancelled() => Ok(()),
            ended = &mut moving => {
                // Whoever restarts us gets mail moving again; taking more of it without moving any would not.
                tracing::error!(?ended, "deliveries are no longer begun, by a fault of ours; stopping");
                stop.cancel();
                ended
            }
        };
        notify_supervisor(sd_notify::NotifyState::Stopping);
        daemon.up.store(false, Ordering::Relaxed);
        sessions.close();
        sessions.wait().await;
        daemon.delivery.stop(PATIENCE).await;
        daemon.books.close().await;
        daemon.reports.close();
        moving.abort();
        policing.cancel();
        let kept = keeping.await;
        let farewell = async { tokio::join!(daemon.policy.close(), daemon.heard.write()) };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::warn!(
                "what was taken of budgets in advance stays counted: the store does not answer"
            );
        }
        daemon.store.close().await;
        let closed = daemon.spool.close().await;
        closing.cancel();
        faces.close();
        faces.wait().await;
        let logged = tokio::task::spawn_blocking(move || log.close()).await;
        logged.map_err(|error| failed("closing the event log")(error.into()))?;
        kept.map_err(|error| failed("keeping budgets")(error.into()))?;
        closed.map_err(|error| failed("closing the spool")(std::io::Error::other(error)))?;
        fault.map_err(|error| failed("beginning deliveries")(error.into()))
    }
}

impl Ground {
    fn lay(
        config: &Config,
        (lives, settings): (Lives, policy::Settings),
        clock: Clock,
        mut sinks: Vec<Box<dyn Sink>>,
    ) -> Result<Self, StartError> {
        let directory = config.events_dir();
        let log = EventLog::open(&directory, &config.events, clock.now());
        let log = log.map_err(failed(format!("the event log in {}", directory.display())))?;
        let metrics = Metrics::new();
        sinks.push(Box::new(log.clone()));
        sinks.push(Box::new(metrics.clone()));
        sinks.push(Box::new(Operators));
        let reputation = Reputation::default();
        sinks.push(Box::new(reputation.clone()));
        let events = Events::new(clock.clone(), sinks);
        let (store, policy) = remembering(config, settings, &clock, (&events, reputation))?;
        let heard = Heard::recall(store.clone(), clock.clone(), &config.hostname);
        let heard = Handle::current().block_on(heard)?;
        let queue = Queue::new(clock.clone());
        let waiting = |stored| enqueue(&queue, &lives.routing, &stored);
        let (spool, report) = Spool::open(
            &config.data_dir,
            config.spool.clone(),
            clock.clone(),
            waiting,
        )?;
        // Behind the spool, whose lock says that no other daemon has the directory.
        let stamps = Arc::clone(&lives.stamps);
        let kept_for = Box::new(move || stamps.load().keys().valid_for());
        let books = Books::open(&config.books_dir(), clock.clone(), kept_for)?;
        let reports = Reports::new(
            config.reports_dir(),
            Arc::clone(&lives.reported),
            clock.clone(),
            events.clone(),
        );
        let counted = Arc::clone(&lives.tls_reports);
        let tally = Tally::new(counted, store.clone(), clock.clone());
        recover::tell(&report);
        recover::tell_owed(&report, &directory, &events)
            .map_err(failed("reading the event log back"))?;
        if !log.flush_within(TELLING) {
            tracing::warn!("the event log takes nothing yet; a kill now could cost events");
        }
        Ok(Self {
            clock,
            events,
            metrics,
            log,
            lives,
            queue,
            spool,
            store,
            policy,
            books,
            heard,
            reports,
            tally,
        })
    }

    fn alignment(&self, resolver: Resolver) -> Alignment {
        Alignment::new(alignment::Parts {
            resolver,
            clock: self.clock.clone(),
            settings: Arc::clone(&self.lives.alignment),
            counts: self.metrics.counters(
                "alignment",
                "Messages handed in, by what SPF, DKIM and DMARC make of them and what was done about it",
                "what",
            ),
        })
    }

    fn intake(&self, config: &Config, (alignment, outside): (Alignment, Known)) -> Intake {
        let (queue, routing) = (self.queue.clone(), Arc::clone(&self.lives.routing));
        let schedules = Arc::clone(&routing);
        Intake::new(intake::Parts {
            config: Arc::clone(&self.lives.intake),
            hostname: config.hostname.as_str().into(),
            signers: Arc::clone(&self.lives.signers),
            tenants: Arc::clone(&self.lives.tenants),
            stamps: Arc::clone(&self.lives.stamps),
            lint: Arc::clone(&self.lives.lint),
            alignment,
            outside,
            spool: self.spool.clone(),
            events: self.events.clone(),
            clock: self.clock.clone(),
            policy: self.policy.clone(),
            given_up: Box::new(move |domain, begins| {
                schedules.load().route(domain).retry.expiry(begins)
            }),
            handoff: Box::new(move |stored| enqueue(&queue, &routing, &stored)),
        })
    }

    fn inbound(&self, config: &Config) -> Result<Inbound, StartError> {
        let dir = config.data_dir.join("inbound").join("unread");
        let unread = Unread::open(dir.clone());
        let unread = unread.map_err(failed(format!("{}", dir.display())))?;
        let counted = unread.clone();
        self.metrics.gauge(
            "inbound_unread",
            "Messages kept for a person in data_dir/inbound/unread",
            move || counted.count() as f64,
        );
        Ok(Inbound::new(inbound::Parts {
            clock: self.clock.clone(),
            config: Arc::clone(&self.lives.inbound),
            addresses: Arc::clone(&self.lives.addresses),
            stamps: Arc::clone(&self.lives.stamps),
            classifier: Arc::clone(&self.lives.classifier),
            read: crate::bounce::report::read,
            books: self.books.clone(),
            policy: self.policy.clone(),
            unread,
            reports: self.reports.clone(),
            events: self.events.clone(),
            counts: self.metrics.counters(
                "inbound",
                "What came back by mail, by what it is",
                "what",
            ),
        }))
    }

    fn delivery(
        &self,
        config: &Config,
        (resolver, tls, alignment): (Resolver, ClientTls, Alignment),
        intake: Arc<Intake>,
    ) -> Result<Delivery, StartError> {
        let own: Vec<IpAddr> = config
            .listener
            .iter()
            .map(|listener| listener.address.ip())
            .collect();
        let to_ask = (resolver.clone(), tls.clone());
        let delivery = Delivery::new(Collaborators {
            sts: Sts::new(
                config.mta_sts.clone(),
                to_ask,
                self.store.clone(),
                self.clock.clone(),
            ),
            memory: Memory::new(self.store.clone(), self.clock.clone()),
            tally: self.tally.clone(),
            clock: self.clock.clone(),
            queue: self.queue.clone(),
            spool: self.spool.clone(),
            resolver,
            intake,
            events: self.events.clone(),
            tls,
            routing: Arc::clone(&self.lives.routing),
            policy: self.policy.clone(),
            alignment,
            store: self.store.clone(),
            notices: Arc::clone(&self.lives.bounce),
            stamps: Arc::clone(&self.lives.stamps),
            books: self.books.clone(),
            classifier: Arc::clone(&self.lives.classifier),
            replies: self.heard.replies().clone(),
            tenants: Arc::clone(&self.lives.tenants),
            own_addresses: own.into(),
            hostname: config.hostname.as_str().into(),
        });
        Handle::current().block_on(delivery.recall())?;
        Ok(delivery)
    }

    /// Reports of our own sending.
    fn daily(&self, https: Https, intake: Intake) -> Daily {
        Daily::new(tlsrpt::Parts {
            config: Arc::clone(&self.lives.tls_reports),
            tally: self.tally.clone(),
            store: self.store.clone(),
            clock: self.clock.clone(),
            https,
            intake: Arc::new(intake),
            signers: Arc::clone(&self.lives.signers),
            events: self.events.clone(),
        })
    }

    fn gauges(&self, delivery: &Delivery) {
        let depth = |pick: fn(crate::queue::Depth) -> usize| {
            let queue = self.queue.clone();
            move || pick(queue.depth()) as f64
        };
        self.metrics.gauge(
            "queue_scheduled",
            "Entries that wait for their time",
            depth(|d| d.scheduled),
        );
        self.metrics.gauge(
            "queue_ready",
            "Entries that wait for a connection",
            depth(|d| d.ready),
        );
        self.metrics
            .gauge("queue_sending", "Entries being sent", depth(|d| d.sending));
        self.metrics.gauge(
            "queue_held",
            "Entries held by the operator",
            depth(|d| d.held),
        );
        self.metrics.gauge(
            "connections_out",
            "Outbound connections, open or opening",
            delivery.open_connections(),
        );
        self.metrics.gauge(
            "failures_unlisted",
            "Failures that wait for the suppression list to be written before they are told",
            delivery.unlisted(),
        );
        let books = self.books.clone();
        self.metrics.gauge(
            "books_dropped",
            "Delivered messages that were not written down for what comes back, because the books were behind",
            move || books.dropped() as f64,
        );
        let replies = self.heard.replies().clone();
        self.metrics.counter(
            "replies_unmatched",
            "Refusals that no bounce rule knows, once a recipient",
            move || replies.unmatched_total(),
        );
        self.traffic_gauges();
    }

    /// Of policy.
    fn traffic_gauges(&self) {
        let (policy, clock) = (self.policy.for_gauges(), self.clock.clone());
        let budgets = move |pick: fn(Budget) -> u64| {
            let (policy, clock) = (policy.clone(), clock.clone());
            move || -> Vec<([Arc<str>; 2], f64)> {
                let positions = policy().map(|policy| policy.warmup().show(clock.now()));
                let positions = positions.unwrap_or_default().into_iter();
                let budget = |at: Position| {
                    let labels = [at.source.into(), at.provider.into()];
                    Some((labels, pick(at.budget?) as f64))
                };
                positions.filter_map(budget).collect()
            }
        };
        self.metrics.gauges(
            "warmup_cap",
            "Messages that a source which warms may send today, by provider and as a whole",
            ["source", "provider"],
            budgets(|budget| budget.cap),
        );
        self.metrics.gauges(
            "warmup_used",
            "Messages of the cap that are sent, being sent or leased",
            ["source", "provider"],
            budgets(|budget| budget.used),
        );
        let policy = self.policy.for_gauges();
        self.metrics.gauge(
            "suspensions",
            "Sites and providers that sources are kept from",
            move || policy().map_or(0.0, |policy| policy.suspensions().list().len() as f64),
        );
    }
}

/// The store, and policy with what the store remembers.
fn remembering(
    config: &Config,
    settings: policy::Settings,
    clock: &Clock,
    (events, reputation): (&Events, Reputation),
) -> Result<(Store, Policy), StartError> {
    Handle::current().block_on(async {
        let store = Store::open(&config.state, &config.data_dir, clock.clone()).await?;
        let beside = (events.clone(), reputation);
        let opened = Policy::open(settings, store.clone(), clock.clone(), beside).await;
        Ok((store, opened?))
    })
}

fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let what = format!("cannot listen on {address}");
    let socket = TcpListener::bind(address).map_err(failed(what.clone()))?;
    // The standard library's 128 would make a burst of newcomers wait for a second SYN.
    rustix::net::listen(&socket, BACKLOG).map_err(|error| failed(what)(error.into()))?;
    Ok(socket)
}

/// A message that is in the spool goes into the queue, with the expiry of its routes.
fn enqueue(queue: &Queue, routing: &Live<Routing>, stored: &Stored) {
    let routing = routing.load();
    let expiry = |domain: &str| -> Timestamp {
        // Its time to be delivered in begins when it may go.
        let begins = stored
            .meta
            .received
            .max(stored.meta.send_at.unwrap_or_default());
        let scheduled = || routing.route(domain).retry.expiry(begins);
        stored.meta.expires.unwrap_or_else(scheduled)
    };
    queue.insert(stored, expiry);
}

fn into_tokio(socket: TcpListener) -> Result<tokio::net::TcpListener, StartError> {
    socket
        .set_nonblocking(true)
        .map_err(failed("a listening socket"))?;
    tokio::net::TcpListener::from_std(socket).map_err(failed("a listening socket"))
}

/// Tells systemd, where it is listening.
fn notify_supervisor(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(false, &[state]) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

fn failed(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> StartError {
    let what = what.into();
    move |error| StartError::Io { what, error }
}

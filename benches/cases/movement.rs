//! The queue, and the way from due to a place in line and out of it.

use super::policy::{self, campaign};
use super::spool::{NOW, meta, open, stored};
use super::telling::labels;
use super::tokens::keys;
use super::{Case, at_once, first_step};
use arc_swap::ArcSwap;
use mailwright::auth::alignment::{self, Alignment};
use mailwright::auth::{credentials::Tenants, dkim::Signers};
use mailwright::books::Books;
use mailwright::bounce::{self, stamps::Stamps};
use mailwright::clock::Clock;
use mailwright::delivery::line::{Admit, FlowKey, Share, Taken, Waiter};
use mailwright::delivery::{Collaborators, Config, Delivery, Parts, RouteConfig, Routing, line};
use mailwright::dns::{self, Resolver};
use mailwright::events::{Events, Metrics};
use mailwright::intake::{self, Intake};
use mailwright::mail::{Disposition, Labels, MessageId, Reply};
use mailwright::policy::providers::Provider;
use mailwright::policy::sources::{PoolConfig, PoolMember, SourceConfig};
use mailwright::policy::{Ask, Choice, Families, Policy, Settings};
use mailwright::queue::{self, Key, Queue, Selector};
use mailwright::spool::{Meta, Stored, disk::Machine};
use mailwright::store::Store;
use mailwright::sts::{self, Sts};
use mailwright::tls::client::{self, ClientTls};
use mailwright::units::{Live, Timestamp};
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// One message to one recipient through the queue (in, due, taken, delivered) beside 10,000 that wait.
pub struct QueueLife;

impl Case for QueueLife {
    type Input = (Queue, Stored, [(u16, Disposition); 1]);
    type Output = Self::Input;

    fn input() -> Self::Input {
        static QUEUE: LazyLock<Queue> = LazyLock::new(|| {
            let queue = Queue::new(Clock::manual(NOW));
            for _ in 0..10_000 {
                let later = Meta {
                    send_at: Some(NOW + Duration::from_secs(3600)),
                    ..meta(next_id())
                };
                queue.insert(&stored(later), |_| EXPIRY);
            }
            // The first look at a queue also looks over a chunk of it for what has expired, as it does for each once a
            // minute.
            drop(QueueLife::run((queue.clone(), next_stored(), delivered())));
            queue
        });
        (QUEUE.clone(), next_stored(), delivered())
    }

    fn run((queue, stored, outcomes): Self::Input) -> Self::Output {
        queue.insert(&stored, |_| EXPIRY);
        for due in at_once(queue.due()) {
            let job = queue.begin(due.key).expect("it is there");
            queue.settle(job.key, &outcomes);
        }
        (queue, stored, outcomes)
    }
}

fn delivered() -> [(u16, Disposition); 1] {
    let taken = Reply::said(250, None, "2.0.0 taken", ".");
    [(0, Disposition::Delivered(taken))]
}

/// The route of a domain among 1,000 and the source of a message in a pool of four.
pub struct RouteAndSource;

impl Case for RouteAndSource {
    type Input = (&'static Routes, Arc<Labels>);
    type Output = (Choice, Arc<Labels>);

    fn input() -> Self::Input {
        static ROUTES: LazyLock<Routes> = LazyLock::new(Routes::new);
        (&ROUTES, labels())
    }

    fn run((routes, labels): Self::Input) -> Self::Output {
        std::hint::black_box(routes.routing.route("example.net"));
        let ask = Ask {
            id: MessageId(42),
            labels: &labels,
            site: &routes.site,
            provider: &routes.provider,
            last: None,
            avoid: None,
            families: Families::ANY,
            spf: None,
        };
        (routes.policy.choose(&ask, NOW), labels)
    }
}

/// What says where mail goes and from which source.
pub struct Routes {
    routing: Routing,
    policy: Policy,
    site: Arc<str>,
    provider: Arc<Provider>,
    _runtime: Runtime,
}

impl Routes {
    fn new() -> Self {
        let runtime = runtime();
        let policy = runtime.block_on(policy::policy(settings(), Store::in_memory()));
        let site: Arc<str> = "smart.example.com:25".into();
        Self {
            routing: routing(),
            provider: policy
                .settings()
                .provider(&site, std::iter::once("smart.example.com")),
            policy,
            site,
            _runtime: runtime,
        }
    }
}

/// One message into a line and another out of it, where a thousand campaigns of a hundred tenants have ten each in line.
pub struct PushAndTake;

impl Case for PushAndTake {
    type Input = (&'static Mutex<Line>, Waiter, Labels);
    type Output = (Vec<Waiter>, Labels);

    fn input() -> Self::Input {
        static LINE: LazyLock<Mutex<Line>> = LazyLock::new(|| Mutex::new(line_of_a_thousand()));
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let flow = NEXT.fetch_add(FLOW_STRIDE, Ordering::Relaxed) % FLOWS;
        (&LINE, waiter(), campaign(flow))
    }

    fn run((line, waiter, labels): Self::Input) -> Self::Output {
        let mut line = line.lock().expect("no panic");
        line.push(waiter, FlowKey::from(&labels), |_| ALIKE);
        let admit = |(): &(), _: &Waiter| Admit::Go(());
        match line.take(NOW, admit, |(), _| true) {
            Taken::Some { batch, .. } => (batch, labels),
            Taken::Empty | Taken::Waiting { .. } => panic!("somebody may go"),
        }
    }
}

/// As a lane has one, but that nothing is asked of the flows.
type Line = line::Line<(), ()>;

const FLOWS: usize = 1_000;
/// Has no divisor of their number.
const FLOW_STRIDE: usize = 389;
const ALIKE: Share<()> = Share {
    kept: (),
    weight: 1,
};

fn line_of_a_thousand() -> Line {
    let mut line = Line::default();
    for n in 0..10 * FLOWS {
        let labels = campaign(n % FLOWS);
        line.push(waiter(), FlowKey::from(&labels), |_| ALIKE);
    }
    line
}

/// Of a message of its own.
fn waiter() -> Waiter {
    static KEY: LazyLock<Key> = LazyLock::new(|| {
        let queue = Queue::new(Clock::manual(NOW));
        queue.insert(&next_stored(), |_| EXPIRY);
        at_once(queue.due())[0].key
    });
    Waiter {
        key: *KEY,
        id: next_id(),
        since: NOW,
        recipients: 1,
        engagement: None,
    }
}

/// One message from the spool to its place in line: into the queue and due at once, route, site, source, its lane
/// found, lined up behind one that is being sent.
pub struct LineUp;

impl Case for LineUp {
    type Input = (Arc<World>, Stored);
    type Output = (LinedUp, Stored);

    fn input() -> Self::Input {
        static WORLD: LazyLock<Mutex<Arc<World>>> = LazyLock::new(Mutex::default);
        let mut world = WORLD.lock().expect("no panic");
        if world.inputs.fetch_add(1, Ordering::Relaxed) == MOST_IN_LINE {
            *world = Arc::default();
        }
        (Arc::clone(&world), next_stored())
    }

    fn run((world, stored): Self::Input) -> Self::Output {
        world.queue.insert(&stored, |_| EXPIRY);
        world.dispatch();
        (LinedUp(world), stored)
    }
}

/// Nobody takes what lines up in a world's lanes; after so many messages there is a new one.
const MOST_IN_LINE: usize = 1 << 16;

/// Dropped, it takes the message out of the queue again.
pub struct LinedUp(Arc<World>);

impl Drop for LinedUp {
    fn drop(&mut self) {
        self.0.clear();
    }
}

/// A delivery whose connections never run: nobody drives its runtime.
pub struct World {
    /// Messages made for it.
    inputs: AtomicUsize,
    runtime: Runtime,
    delivery: Delivery,
    queue: Queue,
    _dir: TempDir,
}

impl Default for World {
    fn default() -> Self {
        let runtime = runtime();
        let dir = tempfile::tempdir().expect("a directory");
        let queue = Queue::new(Clock::manual(NOW));
        let world = Self {
            inputs: AtomicUsize::new(0),
            delivery: runtime.block_on(delivery(dir.path(), queue.clone())),
            runtime,
            queue,
            _dir: dir,
        };
        // The first message from each source takes the one connection that its lane may have.
        for _ in 0..64 {
            world.queue.insert(&next_stored(), |_| EXPIRY);
        }
        world.dispatch();
        world.clear();
        world
    }
}

impl World {
    /// Lines up everything that is due.
    fn dispatch(&self) {
        let _context = self.runtime.enter();
        let dispatcher = pin!(self.delivery.run());
        assert!(first_step(dispatcher).is_pending());
    }

    fn clear(&self) {
        for job in self.queue.take(&Selector::default()).flatten() {
            self.queue.forget(job.key);
        }
    }
}

/// Delivery by way of a smart host, from a pool of four sources.
async fn delivery(dir: &Path, queue: Queue) -> Delivery {
    let clock = Clock::manual(NOW);
    let spool = open(dir, Arc::new(Machine));
    let events = Events::new(clock.clone(), Vec::new());
    let tenants = live(Tenants::load(&[], dir).expect("no tenants"));
    let store = Store::in_memory();
    let policy = policy::policy(settings(), store.clone()).await;
    let stamps = live(Stamps::none(keys()));
    let books = dir.join("books");
    let books = Books::open(&books, clock.clone(), Box::new(|| Duration::ZERO));
    let resolver = Resolver::new(&dns::Config::default(), clock.clone()).expect("a resolver");
    let alignment = Alignment::new(alignment::Parts {
        resolver: resolver.clone(),
        clock: clock.clone(),
        settings: live(alignment::Settings::new(
            &alignment::Config {
                action: alignment::Action::Off,
            },
            [],
        )),
        counts: Metrics::new().counters("alignment", "Of tests", "what"),
    });
    let intake = Intake::new(intake::Parts {
        outside: mailwright::outside::Known::default(),
        policy: policy.clone(),
        config: live(intake::Config::default()),
        hostname: HOSTNAME.into(),
        signers: live(Signers::none()),
        tenants: Arc::clone(&tenants),
        stamps: Arc::clone(&stamps),
        lint: live(mailwright::lint::Settings::default()),
        alignment: alignment.clone(),
        spool: spool.clone(),
        events: events.clone(),
        clock: clock.clone(),
        given_up: Box::new(|_, begins| begins + Duration::from_secs(3 * 86_400)),
        handoff: Box::new(|_| {}),
    });
    let tls = ClientTls::new(&client::Config::default()).expect("a TLS client");
    let to_ask = (resolver.clone(), tls.clone());
    Delivery::new(Collaborators {
        memory: mailwright::tls::memory::Memory::new(store.clone(), clock.clone()),
        tally: mailwright::tlsrpt::Tally::new(
            live(mailwright::tlsrpt::config::Config::default()),
            store.clone(),
            clock.clone(),
        ),
        sts: Sts::new(sts::Config::default(), to_ask, store.clone(), clock.clone()),
        resolver,
        tls,
        routing: live(routing()),
        policy,
        alignment,
        store,
        notices: live(bounce::Config::default()),
        stamps,
        books: books.expect("the books"),
        classifier: live(bounce::rules::Classifier::new().expect("the shipped rules")),
        replies: bounce::replies::Replies::default(),
        own_addresses: Arc::new([]),
        hostname: HOSTNAME.into(),
        intake: Arc::new(intake),
        clock,
        queue,
        spool,
        events,
        tenants,
    })
}

/// 1,000 domains with a route each.
fn routing() -> Routing {
    let route = |domain: String| RouteConfig {
        domain,
        next_hop: vec!["smart.example.com:25".into()],
        tls: None,
        retry: None,
        allow_loopback: false,
    };
    let others = (1..1000).map(|n| format!("customer-{n}.example"));
    let domains = others.chain(["example.net".to_owned()]);
    let routes: Vec<RouteConfig> = domains.map(route).collect();
    let delivery = Config {
        initial_connections_per_site: 1,
        ..Config::default()
    };
    Routing::new(Parts {
        delivery: &delivery,
        retry: &queue::Config::default(),
        routes: &routes,
    })
}

/// Four sources in one pool.
fn settings() -> Settings {
    let source = |n: u8| SourceConfig::plain(&format!("ip-{n}"), [127, 0, 0, n].into());
    let sources: Vec<SourceConfig> = (1..=4).map(source).collect();
    let member = |source: &SourceConfig| PoolMember {
        name: source.name.clone(),
        weight: 1,
    };
    let pool = PoolConfig {
        name: "shared".into(),
        sources: sources.iter().map(member).collect(),
    };
    Settings::plain(HOSTNAME, &sources, &[pool]).expect("the shipped rules")
}

fn runtime() -> Runtime {
    let builder = Builder::new_current_thread().enable_all().build();
    builder.expect("a runtime")
}

fn live<T>(value: T) -> Live<T> {
    Arc::new(ArcSwap::from_pointee(value))
}

/// A message of its own, accepted now.
fn next_stored() -> Stored {
    stored(meta(next_id()))
}

fn next_id() -> MessageId {
    static NEXT: AtomicU64 = AtomicU64::new(NOW.as_millis() << 20);
    MessageId(NEXT.fetch_add(1, Ordering::Relaxed))
}

const HOSTNAME: &str = "mta.example.com";
const EXPIRY: Timestamp = Timestamp::from_millis(NOW.as_millis() + 5 * 86_400_000);

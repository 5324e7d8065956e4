//! What is asked before a message moves: whether now, and from which source.

use super::Case;
use super::spool::NOW;
use mailwright::clock::Clock;
use mailwright::config::Config;
use mailwright::events::Events;
use mailwright::mail::{Labels, MessageId, Stream};
use mailwright::policy::providers::Provider;
use mailwright::policy::reputation::Reputation;
use mailwright::policy::suspension::{At, Suspension};
use mailwright::policy::{Admission, Ask, Choice, Families, Flow, Policy, Settings, Wait, Way};
use mailwright::store::Store;
use mailwright::units::Timestamp;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Leave for one message to go, its transaction begun and delivered, and the lease dropped: in turn over 1,000 source ×
/// site pairs and 100 campaigns of ten tenants, with every kind of limit for each of them. `K` says what is special.
pub struct Admit<K>(PhantomData<K>);

/// Nothing is in the way.
pub struct Free;
/// All sources warm, and the node has budget in advance.
pub struct Warming;
/// A hundred other pairs are suspended.
pub struct Suspending;
/// Each source has had its one message of the day: of the five limits the one that is asked last refuses.
pub struct Refused;

pub trait Kind {
    fn ways() -> &'static Ways;
    /// Whether a message is to be refused.
    const REFUSED: bool = false;
}

impl<K: Kind> Case for Admit<K> {
    type Input = Asked;
    type Output = Option<Wait>;

    fn input() -> Asked {
        K::ways().next()
    }

    fn run(asked: Asked) -> Option<Wait> {
        let answer = match asked.way.admit(asked.flow, 1, asked.now) {
            Admission::Go(mut lease) => {
                lease.begin(1, 10_240, asked.now);
                lease.keep(1);
                None
            }
            Admission::Flow(wait) | Admission::Tenant(wait) => Some(wait),
            Admission::Marketing(wait) | Admission::Way(wait) => Some(wait),
            Admission::Elsewhere(wait) => Some(wait),
            Admission::Refill => panic!("the budget that was taken in advance is used up"),
        };
        assert!(answer.is_some() == K::REFUSED, "{answer:?}");
        answer
    }
}

impl Kind for Free {
    fn ways() -> &'static Ways {
        static WAYS: LazyLock<Ways> = LazyLock::new(|| Ways::new(PLENTY, ""));
        &WAYS
    }
}

impl Kind for Warming {
    fn ways() -> &'static Ways {
        static WAYS: LazyLock<Ways> = LazyLock::new(|| {
            let ways = Ways::new(PLENTY, r#"warmup = { schedule = "much" }"#);
            ways.ways.iter().for_each(|way| ways.world.refill(way));
            ways
        });
        &WAYS
    }
}

impl Kind for Suspending {
    fn ways() -> &'static Ways {
        static WAYS: LazyLock<Ways> = LazyLock::new(|| {
            let ways = Ways::new(PLENTY, "");
            for n in 0..100 {
                ways.world
                    .suspend(n % SOURCES, &format!("closed-{n}.example"));
            }
            ways
        });
        &WAYS
    }
}

impl Kind for Refused {
    fn ways() -> &'static Ways {
        static WAYS: LazyLock<Ways> = LazyLock::new(|| {
            let ways = Ways::new(ONE_A_DAY, "");
            // A millisecond each, so that the tenant's rate is not what refuses.
            let begin = NOW.as_millis() - ways.ways.len() as u64;
            for (way, at) in ways.ways.iter().zip(begin..) {
                spend(way.admit(&ways.flows[0], 1, Timestamp::from_millis(at)));
            }
            ways
        });
        &WAYS
    }

    const REFUSED: bool = true;
}

fn spend(admission: Admission) {
    if let Admission::Go(mut lease) = admission {
        lease.begin(1, 10_240, NOW);
        lease.keep(1);
    }
}

/// The source of a message in a pool of four, where the one that it would leave from has used up what it may send while
/// it warms.
pub struct Choose;

impl Case for Choose {
    type Input = (&'static Choosing, MessageId);
    type Output = Choice;

    fn input() -> Self::Input {
        static CHOOSING: LazyLock<Choosing> = LazyLock::new(Choosing::new);
        (&CHOOSING, CHOOSING.next())
    }

    fn run((choosing, id): Self::Input) -> Choice {
        let choice = choosing.choose(id);
        assert!(matches!(&choice, Choice::Source(source) if *source.name != *SPENT));
        choice
    }
}

/// A pool of which one source is spent.
pub struct Choosing {
    world: World,
    labels: Labels,
    site: Arc<str>,
    provider: Arc<Provider>,
    next: AtomicU64,
}

const SPENT: &str = "ip-0";

impl Choosing {
    fn new() -> Self {
        let world = World::new(&format!(
            "{}{}{}",
            source(0, r#"warmup = { schedule = "one" }"#),
            (1..4).map(|n| source(n, "")).collect::<String>(),
            pool(4) + SCHEDULES,
        ));
        let way = world.way(SPENT, "mx.example.net");
        world.refill(&way);
        spend(way.admit(&world.policy.flow(&Labels::default()), 1, NOW));
        // The answer to this is that there is no more today.
        world.refill(&way);
        Self {
            world,
            labels: Labels {
                pool: Some("shared".into()),
                ..Labels::default()
            },
            site: Arc::clone(&way.site),
            provider: Arc::clone(&way.provider),
            next: AtomicU64::new(NOW.as_millis() << 20),
        }
    }

    /// A message that would leave from the source which is spent.
    fn next(&self) -> MessageId {
        let settings = self.world.policy.settings();
        let pool = settings.sources.named("shared").expect("it is there");
        loop {
            let id = MessageId(self.next.fetch_add(1, Ordering::Relaxed));
            if *pool.order(id)[0].name == *SPENT {
                return id;
            }
        }
    }

    fn choose(&self, id: MessageId) -> Choice {
        let ask = Ask {
            id,
            labels: &self.labels,
            site: &self.site,
            provider: &self.provider,
            last: None,
            avoid: None,
            families: Families::ANY,
            spf: None,
        };
        self.world.policy.choose(&ask, NOW)
    }
}

/// Every way and every flow there is, and whose turn it is.
pub struct Ways {
    world: World,
    ways: Vec<Arc<Way>>,
    flows: Vec<Flow>,
    turn: AtomicU64,
}

/// One message that asks.
pub struct Asked {
    way: &'static Way,
    flow: &'static Flow,
    now: Timestamp,
}

const SOURCES: usize = 10;
const SITES: usize = 100;
const PROVIDERS: usize = 10;
const TENANTS: usize = 10;
const CAMPAIGNS: usize = 10;
/// From one pair to the next, so that it does not lie behind the one before in memory. Has no divisor of their number.
const STRIDE: usize = 389;
/// Messages that ask in one millisecond: 10,000 a second.
const AT_A_TIME: u64 = 10;

impl Ways {
    /// `limits` is of each source, `more` what else is said of it.
    fn new(limits: &str, more: &str) -> Self {
        let more = format!("limits = {limits}\n{more}");
        let sources = (0..SOURCES).map(|n| source(n, &more));
        let providers = (0..PROVIDERS).map(provider);
        let tables = ["site", "provider", "tenant", "campaign"];
        let tables = tables.map(|table| format!("{table} = {PLENTY}\n"));
        let limits = format!("[limits]\n{}", tables.concat());
        let text: String = sources.chain(providers).collect();
        let world = World::new(&(text + &limits + SCHEDULES));
        let way = |n: usize| {
            let (source, site) = (format!("ip-{}", n / SITES), n % SITES);
            let site = format!("mx{site}.p{}.example", site % PROVIDERS);
            world.way(&source, &site)
        };
        let flow = |n| world.policy.flow(&campaign(n));
        Self {
            ways: (0..SOURCES * SITES).map(way).collect(),
            flows: (0..TENANTS * CAMPAIGNS).map(flow).collect(),
            world,
            turn: AtomicU64::default(),
        }
    }

    fn next(&'static self) -> Asked {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let at = usize::try_from(turn).expect("not so many");
        Asked {
            way: &self.ways[at.wrapping_mul(STRIDE) % self.ways.len()],
            flow: &self.flows[at % self.flows.len()],
            now: NOW + Duration::from_millis(1 + turn / AT_A_TIME),
        }
    }
}

/// The labels of campaign `n`, of all tenants together.
pub fn campaign(n: usize) -> Labels {
    Labels {
        tenant: Some(format!("tenant-{}", n / CAMPAIGNS).into()),
        campaign: Some(format!("campaign-{n}").into()),
        stream: Some(Stream::Marketing),
        ..Labels::default()
    }
}

/// A policy over a store in memory, and the runtime that its tasks are on.
struct World {
    runtime: Runtime,
    policy: Policy,
}

impl World {
    fn new(config: &str) -> Self {
        let config = Config::parse(config, Path::new("bench.toml"));
        let settings = match config {
            Ok(config) => config.policy().expect("policy that can be compiled"),
            Err(refused) => panic!("{refused}"),
        };
        let builder = Builder::new_current_thread().enable_all().build();
        let runtime = builder.expect("a runtime");
        let policy = runtime.block_on(policy(settings, Store::in_memory()));
        Self { runtime, policy }
    }

    fn way(&self, source: &str, site: &str) -> Arc<Way> {
        let settings = self.policy.settings();
        let site: Arc<str> = site.into();
        let provider = settings.provider(&site, std::iter::once(&*site));
        let mut sources = settings.sources.all();
        let source = sources.find(|known| *known.name == *source);
        self.policy
            .way(source.expect("it is there"), &site, &provider)
    }

    /// Has the budget of a way asked for.
    fn refill(&self, way: &Way) {
        self.runtime.block_on(way.refilled(NOW));
    }

    fn suspend(&self, source: usize, site: &str) {
        let suspension = Suspension {
            source: format!("ip-{source}").into(),
            at: At::Site(site.into()),
            provider: "other".into(),
            since: NOW,
            until: NOW + Duration::from_secs(30 * 86_400),
            why: "by rule".into(),
            reply: None,
        };
        drop(self.policy.suspensions().suspend(suspension));
    }
}

/// Must be called in a runtime.
pub async fn policy(settings: Settings, store: Store) -> Policy {
    let clock = Clock::manual(NOW);
    let events = Events::new(clock.clone(), Vec::new());
    let policy = Policy::open(settings, store, clock, (events, Reputation::default())).await;
    policy.expect("the store is read")
}

fn source(n: usize, more: &str) -> String {
    let address = format!("127.0.0.{}", n + 1);
    format!(
        "[[source]]\nname = \"ip-{n}\"\naddress = \"{address}\"\nehlo = \"ip-{n}.example.com\"\n{more}\n"
    )
}

fn pool(sources: usize) -> String {
    let members = (0..sources).map(|n| format!("{{ name = \"ip-{n}\" }},"));
    let members: String = members.collect();
    format!("[[pool]]\nname = \"shared\"\nsources = [{members}]\n")
}

fn provider(n: usize) -> String {
    format!("[[provider]]\nname = \"p{n}\"\nmx = [\".p{n}.example\"]\nlimits = {PLENTY}\n")
}

/// Every kind of limit, none of which ever refuses.
const PLENTY: &str = r#"{ messages = ["900000/s", "3000000000/h"], connections = 1000, connection_rate = "900000/s", bytes = "10GB/s" }"#;
const ONE_A_DAY: &str =
    r#"{ messages = "1/d", connections = 1000, connection_rate = "20000/s", bytes = "1GB/s" }"#;
/// On two days each: after its last stage a source is warm, and has no budget.
const SCHEDULES: &str = "[warmup.schedule.much]\ndays = [1_000_000_000, 1_000_000_000]\n\
     [warmup.schedule.one]\ndays = [1, 1]\n";

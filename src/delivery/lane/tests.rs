use super::*;
use crate::clock::Clock;
use crate::events::Events;
use crate::mail::{EnhancedCode, Labels, MessageId};
use crate::policy::reputation::{self, Reputation};
use crate::policy::{Parts, Policy, Settings, limits, suppression, warmup};
use crate::queue::{Queue, keys_for_tests};
use crate::store::Store;
use crate::tls::client;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const MINUTE: Duration = Duration::from_secs(60);

/// A lane whose source and site are held to nothing, and the clock it goes by.
struct World {
    lane: Arc<Lane>,
    clock: Clock,
    policy: Policy,
    tape: Tape,
}

/// The states that the breaker went to, and what was said.
#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<(events::Breaker, String)>>>);

impl events::Sink for Tape {
    fn take(&self, _: Timestamp, event: &Event) {
        if let Event::Breaker { state, why, .. } = event {
            self.0.lock().push((*state, why.clone()));
        }
    }
}

impl World {
    async fn new() -> Self {
        Self::with(Settings::plain("mta.test", &[], &[]).unwrap()).await
    }

    async fn with(settings: Settings) -> Self {
        let (clock, tape) = (Clock::manual(NOW), Tape::default());
        let events = Events::new(clock.clone(), Vec::new());
        let policy = Policy::open(
            settings,
            Store::in_memory(),
            clock.clone(),
            (events, Reputation::default()),
        );
        let policy = policy.await.unwrap();
        let settings = policy.settings();
        let source = settings.sources.all().next().unwrap();
        let site: Arc<str> = "mx.test".into();
        let provider = settings.provider(&site, ["mx.test"].into_iter());
        let place = Place {
            site: Arc::clone(&site),
            source: Arc::clone(&source.name),
        };
        let terms = Terms {
            next_hop: Vec::new(),
            tls: client::Policy::Off,
            hosts: None,
            wish: Default::default(),
            is_vouched: false,
            allow_loopback: true,
            port: 25,
        };
        let setup = Setup {
            place: place.into(),
            terms: terms.into(),
            way: policy.way(source, &site, &provider),
            bounds: Bounds {
                initial: 2,
                max: 4,
                recover: MINUTE,
                settle: Duration::ZERO,
            },
            backoff: MINUTE,
            saved: None,
        };
        let with = Collaborators {
            clock: clock.clone(),
            alarms: Alarms::default(),
            events: Events::new(clock.clone(), vec![Box::new(tape.clone())]),
        };
        drop(settings);
        Self {
            lane: Lane::new(setup, with),
            clock,
            policy,
            tape,
        }
    }

    fn offer(&self, waiter: Waiter) -> Offered {
        self.offer_of(&Labels::default(), waiter)
    }

    fn offer_of(&self, labels: &Labels, waiter: Waiter) -> Offered {
        let flow = FlowKey::from(labels);
        self.lane.offer(waiter, flow, || self.policy.flow(labels))
    }

    fn open(&self, waiter: Waiter) -> Slot {
        match self.offer(waiter) {
            Offered::Open(slot) => slot,
            _ => panic!("the lane should want a connection"),
        }
    }

    fn why(&self, waiter: &Waiter) -> Held {
        let labels = Labels::default();
        self.lane.why(FlowKey::from(&labels), waiter.key)
    }
}

fn refusal() -> Reply {
    Reply::local(421, EnhancedCode(4, 4, 1), "connection refused", "connect")
}

/// Places in line; the keys are real, so that each is another.
fn line(ids: &[u64]) -> Vec<Waiter> {
    let queue = Queue::new(Clock::manual(NOW));
    let keys = keys_for_tests(&queue, ids.len());
    let waiter = |(id, key): (&u64, Key)| Waiter {
        key,
        id: MessageId(*id),
        since: NOW,
        recipients: 1,
        engagement: None,
    };
    ids.iter().zip(keys).map(waiter).collect()
}

async fn next(lane: &Arc<Lane>) -> Vec<Waiter> {
    match lane.next(Duration::ZERO).await {
        Next::Send(waiters, _lease) => waiters,
        _ => panic!("there should be something to send"),
    }
}

#[tokio::test]
async fn connections_open_up_to_the_window_and_success_widens_it() {
    let (world, line) = (World::new().await, line(&[1, 2, 3, 4]));
    let slots = [world.open(line[0]), world.open(line[1])];
    assert!(matches!(world.offer(line[2]), Offered::Queued));
    assert!(world.lane.another().is_none());
    world.lane.succeeded();
    let third = world.lane.another();
    assert!(third.is_some());
    assert!(world.lane.another().is_none());
    drop((slots, third));
    assert_eq!(world.lane.load(), (0, 3));
}

#[tokio::test]
async fn recipients_of_one_message_find_each_other() {
    let (world, line) = (World::new().await, line(&[7, 8, 7, 9, 7]));
    let _slots: Vec<Offered> = line.iter().map(|waiter| world.offer(*waiter)).collect();
    let first = next(&world.lane).await;
    let first: HashSet<Key> = first.iter().map(|waiter| waiter.key).collect();
    assert_eq!(
        first,
        HashSet::from([line[0].key, line[2].key, line[4].key])
    );
    assert_eq!(next(&world.lane).await[0].id, MessageId(8));
}

#[tokio::test]
async fn a_dead_site_hands_its_line_back_and_is_probed_by_one() {
    let (world, line) = (World::new().await, line(&[1, 2, 3, 4]));
    let slot = world.open(line[0]);
    let other = world.open(line[1]);
    assert!(
        world.lane.failed(&refusal()).is_empty(),
        "another connection may still prove it alive"
    );
    drop(other);
    let back = world.lane.failed(&refusal());
    assert_eq!(back.len(), 2);
    assert_eq!(back[0].1, NOW + MINUTE);
    drop(slot);

    assert!(
        matches!(world.offer(line[2]), Offered::Refused { until, .. } if until == NOW + MINUTE)
    );
    world.clock.advance(MINUTE);
    let probe = world.open(line[2]);
    assert!(
        matches!(world.offer(line[3]), Offered::Queued),
        "one probe is enough"
    );
    let back = world.lane.failed(&refusal());
    assert_eq!(back[0].1, NOW + 3 * MINUTE, "the wait doubles");
    drop(probe);
    world.clock.advance(2 * MINUTE);
    let _probe = world.open(line[2]);
    world.lane.succeeded();
    let told = world.tape.0.lock();
    use events::Breaker::{Closed, HalfOpen, Open};
    let states: Vec<events::Breaker> = told.iter().map(|(state, _)| *state).collect();
    assert_eq!(states, [Open, HalfOpen, Open, HalfOpen, Closed]);
    assert_eq!(told[2].1, "2 failures in a row; left alone for 2m");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// However failures, answers and mail come: a site that is not known to answer has one connection at most that was
    /// opened since, and nothing is opened before its time.
    #[test]
    fn a_site_that_does_not_answer_is_never_probed_by_two(
        steps in proptest::collection::vec((0u8..6, 0u64..90), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(probed_by_one(&steps))?;
    }
}

async fn probed_by_one(steps: &[(u8, u64)]) -> Result<(), TestCaseError> {
    let (world, line) = (World::new().await, line(&(1..=60).collect::<Vec<_>>()));
    let mut entries = line.into_iter();
    let (mut before, mut probes): (Vec<Slot>, Vec<Slot>) = (Vec::new(), Vec::new());
    for (what, secs) in steps {
        world.clock.advance(Duration::from_secs(*secs));
        let slot = match what {
            0 | 1 => entries.next().and_then(|entry| match world.offer(entry) {
                Offered::Open(slot) => Some(slot),
                Offered::Queued | Offered::Refused { .. } => None,
            }),
            2 => world.lane.another(),
            3 => {
                let _back = world.lane.failed(&refusal());
                // The connection that failed is gone.
                drop(probes.pop().or_else(|| before.pop()));
                None
            }
            4 => {
                world.lane.answered();
                None
            }
            _ => {
                drop(probes.pop().or_else(|| before.pop()));
                None
            }
        };
        match world.lane.is_down() {
            true => probes.extend(slot),
            false => {
                before.extend(slot);
                before.append(&mut probes);
            }
        }
        prop_assert!(probes.len() <= 1, "{} probes", probes.len());
    }
    Ok(())
}

#[tokio::test]
async fn an_unusable_source_is_not_blamed_on_the_site() {
    let (world, line) = (World::new().await, line(&[1, 2, 3]));
    let _slots = [world.open(line[0]), world.open(line[1])];
    let back = world.lane.unusable(&refusal());
    assert_eq!(back.len(), 2, "no other connection can do better");
    for (_, until, held) in back {
        assert_eq!(until, NOW + MINUTE);
        assert!(matches!(held, Held::SourceDown { source, .. } if &*source == "default"));
    }
    assert!(matches!(
        world.offer(line[2]),
        Offered::Refused {
            why: Held::SourceDown { .. },
            ..
        }
    ));
}

#[tokio::test]
async fn an_entry_in_line_waits_for_the_window_only_where_that_is_full() {
    let (world, line) = (World::new().await, line(&[1, 2, 3]));
    let _first = world.open(line[0]);
    assert!(matches!(world.why(&line[0]), Held::Sending { .. }));
    let _second = world.open(line[1]);
    let _third = world.offer(line[2]);
    assert!(matches!(
        world.why(&line[0]),
        Held::SiteWindow {
            window: 2,
            most: 4,
            ..
        }
    ));
    assert!(matches!(
        world.why(&line[2]),
        Held::Turn {
            ahead: 2,
            window: 2,
            ..
        }
    ));
}

#[tokio::test]
async fn a_site_that_answers_again_takes_its_line_at_once() {
    let (world, line) = (World::new().await, line(&[1, 2, 3]));
    let slot = world.open(line[0]);
    let _back = world.lane.failed(&refusal());
    drop(slot);
    world.clock.advance(MINUTE);
    let _probe = world.open(line[1]);
    world.lane.answered();
    assert!(matches!(
        world.offer(line[2]),
        Offered::Queued | Offered::Open(_)
    ));
}

#[tokio::test]
async fn no_connection_is_wanted_while_all_in_line_are_passed_over() {
    let mut limits = limits::Defaults::default();
    limits.campaign.messages = limits::Rates(vec!["1/min".parse().unwrap()]);
    let settings = Settings::new(Parts {
        hostname: "mta.test",
        sources: &[],
        pools: &[],
        public_addresses: &BTreeMap::new(),
        providers: &[],
        rules: &[],
        limits: &limits,
        warmup: &warmup::Config::default(),
        reputation: &reputation::Config::default(),
        suppression: &suppression::Config::default(),
        tenants: &[],
    });
    let (world, line) = (World::with(settings.unwrap()).await, line(&[1, 2, 3, 4]));
    let spring = Labels {
        campaign: Some("spring".into()),
        ..Labels::default()
    };
    let Offered::Open(slot) = world.offer_of(&spring, line[0]) else {
        panic!("the first one may go")
    };
    let Next::Send(_, mut lease) = world.lane.next(Duration::ZERO).await else {
        panic!("the first one may go")
    };
    lease.begin(1, 1, NOW);
    drop(slot);
    let queued = |offered| matches!(offered, Offered::Queued);
    // The first look finds out, and only that one costs a connection's beginning.
    let found_out = world.offer_of(&spring, line[1]);
    assert!(matches!(
        world.lane.next(Duration::ZERO).await,
        Next::Nothing
    ));
    drop(found_out);
    assert!(world.lane.another().is_none(), "it would come to nothing");
    assert!(queued(world.offer_of(&spring, line[2])));
    assert!(
        matches!(world.offer(line[3]), Offered::Open(_)),
        "of no campaign"
    );
    assert_eq!(next(&world.lane).await[0].id, MessageId(4));
    // That nothing of that one is left is found out by a look too.
    assert!(matches!(
        world.lane.next(Duration::ZERO).await,
        Next::Nothing
    ));
    assert!(world.lane.another().is_none());
    world.clock.advance(MINUTE);
    assert!(world.lane.another().is_some());
}

/// It waited until the lane's marketing had its turn, behind that of a hundred other lanes.
#[tokio::test]
async fn transactional_mail_does_not_wait_for_the_turn_of_marketing() {
    let mut limits = limits::Defaults::default();
    limits.source.messages = limits::Rates(vec!["5/s".parse().unwrap()]);
    let settings = Settings::new(Parts {
        hostname: "mta.test",
        sources: &[],
        pools: &[],
        public_addresses: &BTreeMap::new(),
        providers: &[],
        rules: &[],
        limits: &limits,
        warmup: &warmup::Config::default(),
        reputation: &reputation::Config::default(),
        suppression: &suppression::Config::default(),
        tenants: &[],
    });
    let (world, line) = (World::with(settings.unwrap()).await, line(&[1, 2, 3]));
    let _slot = world.open(line[0]);
    let Next::Send(_, mut lease) = world.lane.next(Duration::ZERO).await else {
        panic!("the first one may go")
    };
    lease.begin(1, 1, NOW);
    let of = limits::Of::Source {
        source: "default".into(),
    };
    // A lane elsewhere has the first turn.
    let asker = limits::Asker {
        stream: crate::mail::Stream::Marketing,
        party: limits::Party::new(&Labels::default(), 1),
    };
    let refused = world.policy.limit(&of).message(asker, NOW);
    let elsewhere = refused.unwrap_err().until;
    drop(world.offer(line[1]));
    assert!(matches!(
        world.lane.next(Duration::ZERO).await,
        Next::Nothing
    ));
    assert!(matches!(world.why(&line[1]), Held::Limit(_)));
    world.clock.advance(elsewhere.since(NOW));
    assert!(matches!(
        world.lane.next(Duration::ZERO).await,
        Next::Nothing
    ));
    let urgent = Labels {
        stream: Some(crate::mail::Stream::Transactional),
        ..Labels::default()
    };
    drop(world.offer_of(&urgent, line[2]));
    assert_eq!(next(&world.lane).await[0].id, MessageId(3));
}

/// Each ring from outside left its alarm behind, and each alarm set another.
#[tokio::test]
async fn an_alarm_that_another_has_come_before_means_nothing() {
    let mut limits = limits::Defaults::default();
    limits.source.messages = limits::Rates(vec!["1/min".parse().unwrap()]);
    let settings = Settings::new(Parts {
        hostname: "mta.test",
        sources: &[],
        pools: &[],
        public_addresses: &BTreeMap::new(),
        providers: &[],
        rules: &[],
        limits: &limits,
        warmup: &warmup::Config::default(),
        reputation: &reputation::Config::default(),
        suppression: &suppression::Config::default(),
        tenants: &[],
    });
    let (world, line) = (World::with(settings.unwrap()).await, line(&[1, 2]));
    let _slot = world.open(line[0]);
    let Next::Send(_, mut lease) = world.lane.next(Duration::ZERO).await else {
        panic!("the first one may go")
    };
    lease.begin(1, 1, NOW);
    drop(world.offer(line[1]));
    assert!(matches!(
        world.lane.next(Duration::ZERO).await,
        Next::Nothing
    ));
    assert!(world.lane.alarmed(NOW + MINUTE / 2).is_none());
    world.clock.advance(MINUTE);
    assert!(world.lane.alarmed(NOW + MINUTE).is_some());
    assert!(world.lane.alarmed(NOW + MINUTE).is_none(), "it went off");
}

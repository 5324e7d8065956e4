//! Whatever happens in whatever order, no cap is passed and none is lost but what crashes took.

use super::super::*;
use super::world::*;
use crate::units::Timestamp;
use jiff::civil::Date;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const PROVIDERS: [&str; 2] = ["google", "other"];
const NODES: usize = 2;

#[derive(Debug, Clone)]
enum Act {
    Reserve {
        node: usize,
        provider: usize,
        want: u32,
    },
    /// Of an open reservation, some are kept and the rest goes back.
    Finish {
        which: usize,
        keep: u32,
    },
    /// The process is gone with all it had; another begins.
    Crash {
        node: usize,
    },
    /// It ends in order. What was being sent stays counted.
    Restart {
        node: usize,
    },
    Tick {
        node: usize,
    },
    /// The node's clock moves, either way.
    Clock {
        node: usize,
        hours: i64,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let node = 0..NODES;
    prop_oneof![
        12 => (node.clone(), 0..PROVIDERS.len(), 1u32..30)
            .prop_map(|(node, provider, want)| Act::Reserve { node, provider, want }),
        8 => (any::<usize>(), 0u32..30).prop_map(|(which, keep)| Act::Finish { which, keep }),
        1 => node.clone().prop_map(|node| Act::Crash { node }),
        1 => node.clone().prop_map(|node| Act::Restart { node }),
        3 => node.clone().prop_map(|node| Act::Tick { node }),
        3 => (node, prop_oneof![3 => 0i64..10, 1 => -80i64..80])
            .prop_map(|(node, hours)| Act::Clock { node, hours }),
    ]
}

struct Node {
    warmup: Warmup,
    now: Timestamp,
}

struct Open {
    node: usize,
    provider: &'static str,
    date: Date,
    reservation: Reservation,
}

/// A unit and a date.
type Slot = (&'static str, Date);

/// Counts by itself: it knows nothing of leases and counters.
#[derive(Default)]
struct Model {
    /// Kept, being sent, or lost in a crash while it was being sent.
    counted: BTreeMap<Slot, u64>,
    /// The cap that was shown when the slot was first counted in.
    caps: BTreeMap<Slot, u64>,
    /// What crashes may have taken: a lease each, and what had not been told since.
    taken: BTreeMap<Slot, u64>,
    /// What went back on a node and had not been told to the store.
    untold: [BTreeMap<Slot, u64>; NODES],
}

impl Model {
    fn reserved(&mut self, warmup: &Warmup, provider: &'static str, n: u32, now: Timestamp) {
        for unit in ["*", provider] {
            let date = Zone::utc().date(now);
            let cap = position(warmup, unit, now).budget.unwrap().cap;
            let counted = self.counted.entry((unit, date)).or_default();
            let first = *counted == 0;
            *counted += u64::from(n);
            let known = self.caps.entry((unit, date)).or_insert(cap);
            if first {
                *known = cap;
            }
            assert_eq!(*known, cap, "the cap of {unit} on {date} has changed");
            assert!(*counted <= cap, "{counted} of {cap} to {unit} on {date}");
        }
    }

    fn gone_back(&mut self, open: &Open, n: u32) {
        for unit in ["*", open.provider] {
            let slot = (unit, open.date);
            *self.counted.entry(slot).or_default() -= u64::from(n);
            *self.untold[open.node].entry(slot).or_default() += u64::from(n);
        }
    }

    fn crashed(&mut self, node: usize) {
        for (slot, cap) in &self.caps {
            let lease = (cap * 2 / 100).max(1);
            *self.taken.entry(*slot).or_default() += lease;
        }
        for (slot, n) in std::mem::take(&mut self.untold[node]) {
            *self.taken.entry(slot).or_default() += n;
        }
    }
}

struct Run {
    world: World,
    nodes: Vec<Node>,
    open: Vec<Open>,
    model: Model,
}

impl Run {
    async fn new(schedule: &str) -> Self {
        let world = World::new(schedule);
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            let now = at(20, 9.0);
            let warmup = world.node(now).await;
            nodes.push(Node { warmup, now });
        }
        Self {
            world,
            nodes,
            open: Vec::new(),
            model: Model::default(),
        }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Reserve {
                node,
                provider,
                want,
            } => self.reserve(node, PROVIDERS[provider], want).await,
            Act::Finish { which, keep } if !self.open.is_empty() => {
                let open = self.open.swap_remove(which % self.open.len());
                self.finish(open, keep);
            }
            Act::Finish { .. } => {}
            Act::Crash { node } => {
                self.model.crashed(node);
                self.restart(node, false).await;
            }
            Act::Restart { node } => self.restart(node, true).await,
            Act::Tick { node } => {
                let Node { warmup, now } = &self.nodes[node];
                warmup.tick(*now, true).await.unwrap();
                self.model.untold[node].clear();
            }
            Act::Clock { node, hours } => {
                let now = &mut self.nodes[node].now;
                let millis = now.as_millis() as i64 + hours * 3_600_000;
                *now = Timestamp::from_millis(millis as u64);
            }
        }
    }

    async fn reserve(&mut self, node: usize, provider: &'static str, want: u32) {
        let Node { warmup, now } = &self.nodes[node];
        if let Reserved::Some(reservation) = reserve(warmup, provider, want, *now).await {
            assert!((1..=want).contains(&reservation.left()));
            self.model
                .reserved(warmup, provider, reservation.left(), *now);
            let date = Zone::utc().date(*now);
            self.open.push(Open {
                node,
                provider,
                date,
                reservation,
            });
        }
    }

    fn finish(&mut self, mut open: Open, keep: u32) {
        open.reservation.keep(keep);
        self.model.gone_back(&open, open.reservation.left());
    }

    /// What the old process was sending stays counted, here as there.
    async fn restart(&mut self, node: usize, orderly: bool) {
        let now = self.nodes[node].now;
        if orderly {
            self.nodes[node].warmup.close().await.unwrap();
            self.model.untold[node].clear();
        }
        self.nodes[node].warmup = self.world.node(now).await;
        let (gone, left) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|open| open.node == node);
        self.open = left;
        // The old process is no more: what it would give back reaches nobody.
        let gone: Vec<Open> = gone;
        drop(gone);
    }

    /// Sends all there is to one provider on the day of `now`, on all nodes; how many.
    async fn drain(&mut self, provider: &'static str, now: Timestamp) -> u64 {
        let mut sent = 0;
        for node in &mut self.nodes {
            node.now = now;
            node.warmup.tick(now, true).await.unwrap();
        }
        for _ in 0..NODES {
            for node in 0..NODES {
                let Node { warmup, .. } = &self.nodes[node];
                let n = send(warmup, provider, u64::MAX, now).await;
                sent += n;
                warmup
                    .tick(now + Duration::from_secs(61), true)
                    .await
                    .unwrap();
            }
        }
        sent
    }

    async fn quiet_days(mut self) {
        let slots: Vec<Slot> = self.model.caps.keys().copied().collect();
        let open = std::mem::take(&mut self.open);
        open.into_iter().for_each(|open| self.finish(open, 0));
        // The days that were: all of the source's cap is used but what crashes took.
        for (unit, date) in slots.into_iter().filter(|(unit, _)| *unit != "*") {
            let now = Zone::utc().start(date) + Duration::from_secs(12 * 3600);
            let sent = self.drain(unit, now).await;
            for slot in [(unit, date), ("*", date)] {
                *self.model.counted.entry(slot).or_default() += sent;
            }
            let full = |slot: Slot| {
                let count = |of: &BTreeMap<Slot, u64>| of.get(&slot).copied().unwrap_or_default();
                let cap = count(&self.model.caps);
                let counted = count(&self.model.counted);
                assert!(counted <= cap, "{counted} of {cap} at {slot:?}");
                counted + count(&self.model.taken) >= cap
            };
            assert!(
                full((unit, date)) || full(("*", date)),
                "{unit} on {date} starves"
            );
        }
        // A new day: nothing of the past is missing.
        let now = at(60, 12.0);
        let cap = {
            let sent = self.drain("google", now).await;
            let cap = position(&self.nodes[0].warmup, "google", now)
                .budget
                .unwrap()
                .cap;
            let whole = position(&self.nodes[0].warmup, "*", now)
                .budget
                .unwrap()
                .cap;
            assert_eq!(sent, cap.min(whole));
            cap
        };
        assert!(cap > 0);
    }
}

fn run(schedule: &str, acts: Vec<Act>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut run = Run::new(schedule).await;
        for act in acts {
            run.act(act).await;
        }
        run.quiet_days().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn no_interleaving_passes_a_cap_or_loses_what_no_crash_took(acts in prop::collection::vec(act(), 1..120)) {
        run("days = [20, 60, 150, 400]\nproviders = { other = 0.5 }", acts);
    }

    #[test]
    fn nor_where_a_cap_is_spread_over_hours(acts in prop::collection::vec(act(), 1..120)) {
        run("days = [20, 60, 150, 400]\nspread = \"06:00-11:30\"", acts);
    }
}

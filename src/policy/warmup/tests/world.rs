//! What the tests share: a store, nodes on it, and what is told.

use super::super::*;
use crate::clock::Clock;
use crate::events::{Event, Events, Sink};
use crate::store::Store;
use crate::units::Timestamp;
use jiff::civil::Date;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

pub const SOURCE: &str = "ip-a";

/// One store, and the configuration of every node on it.
pub struct World {
    pub store: Store,
    pub config: Config,
    pub source: SourceWarmup,
    told: Told,
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Sink for Told {
    fn take(&self, _: Timestamp, event: &Event) {
        if let Event::Warmup { provider, why, .. } = event {
            self.0.lock().push(format!("{provider}: {why}"));
        }
    }
}

impl World {
    /// With a schedule `x` for the one source, as written.
    pub fn new(schedule: &str) -> Self {
        let config = format!("[schedule.x]\n{schedule}");
        let source = SourceWarmup {
            schedule: "x".into(),
            ..SourceWarmup::default()
        };
        Self {
            store: Store::in_memory(),
            config: toml::from_str(&config).unwrap(),
            source,
            told: Told::default(),
        }
    }

    pub fn rules(&self) -> Rules {
        Rules::new(&self.config, [(SOURCE, &self.source)]).unwrap()
    }

    /// A node is started.
    pub async fn node(&self, now: Timestamp) -> Warmup {
        let clock = Clock::manual(now);
        let events = Events::new(clock.clone(), vec![Box::new(self.told.clone())]);
        let warmup = Warmup::open(self.rules(), self.store.clone(), clock, events);
        warmup.await.unwrap()
    }

    /// What has been told since the last call: `provider: why`.
    pub fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.0.lock())
    }

    /// The counter of what was taken of a date.
    pub async fn counter(&self, provider: &str, date: Date) -> u64 {
        let key = format!("warmup/used/{SOURCE}/{provider}/{date}");
        self.store.counts(&[key]).await.unwrap()[0]
    }
}

/// Midnight (UTC) of the day `n` days after the first of November, and hours.
pub fn at(n: i64, hours: f64) -> Timestamp {
    Zone::utc().start(date(n)) + Duration::from_secs_f64(hours * 3600.0)
}

pub fn date(n: i64) -> Date {
    let first = jiff::civil::date(2026, 11, 1);
    super::super::day::plus_days(first, n)
}

/// Asks until there is an answer that the store need not be asked for.
pub async fn reserve(warmup: &Warmup, provider: &str, want: u32, now: Timestamp) -> Reserved {
    let pair = warmup.pair(SOURCE, provider).unwrap();
    loop {
        match pair.reserve(want, now) {
            Reserved::Refill => pair.refilled(now).await,
            answer => return answer,
        }
    }
}

/// Sends up to `most`, each delivered; how many there was room for.
pub async fn send(warmup: &Warmup, provider: &str, most: u64, now: Timestamp) -> u64 {
    let pair = warmup.pair(SOURCE, provider).unwrap();
    let mut sent = 0;
    while sent < most {
        let want = u32::try_from(most - sent).unwrap_or(u32::MAX);
        let Reserved::Some(mut reservation) = reserve(warmup, provider, want, now).await else {
            break;
        };
        let n = reservation.left();
        reservation.keep(n);
        pair.observe(Outcome::Delivered, n, now);
        sent += u64::from(n);
    }
    sent
}

/// Why nothing can be sent now.
pub async fn waiting(warmup: &Warmup, provider: &str, now: Timestamp) -> Waiting {
    match reserve(warmup, provider, 1, now).await {
        Reserved::Wait(why) => Waiting::clone(&why),
        other => panic!("{other:?}"),
    }
}

/// The stage of a unit, as `show` has it.
pub fn stage(warmup: &Warmup, provider: &str, now: Timestamp) -> Stage {
    position(warmup, provider, now).stage
}

pub fn position(warmup: &Warmup, provider: &str, now: Timestamp) -> Position {
    let shown = warmup.show(now).into_iter();
    let mut found = shown.filter(|position| position.provider == provider);
    found.next().unwrap()
}

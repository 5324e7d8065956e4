//! All mail of a source, or its mail to one provider: what has a stage and a cap of its own.

use super::day::Day;
use super::desk::{Desk, Open, Standing};
use super::keys::{Keys, WHOLE};
use super::rules::{Rules, SourceRules};
use super::spread::Release;
use super::state::{Change, Leave, Pause, Terms};
use super::waiting::{Reason, Waiting};
use crate::clock::Clock;
use crate::events::{Event, Events};
use crate::store::{Store, StoreError};
use crate::units::Timestamp;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// What all units share.
pub(super) struct Base {
    pub store: Store,
    pub clock: Clock,
    pub events: Events,
    pub rules: ArcSwap<Rules>,
    /// Units that have room again and were waited for.
    pub freed: Mutex<BTreeSet<Name>>,
    pub free: Notify,
    /// There is something to tell the store without delay.
    pub urgent: Notify,
    /// By source, what speaks against its next stage.
    pub hindrances: ArcSwap<BTreeMap<Arc<str>, Arc<str>>>,
}

/// Which mail it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub source: Arc<str>,
    /// `None`: all of it.
    pub provider: Option<Arc<str>>,
}

pub(super) struct Unit {
    pub name: Name,
    pub keys: Keys,
    pub base: Arc<Base>,
    pub desk: Mutex<Desk>,
    /// Held by whoever talks to the store about it, so that many who find the lease empty ask once.
    pub turn: tokio::sync::Mutex<()>,
}

/// Why the store gave no answer to go by.
#[derive(Debug)]
pub(super) enum Trouble {
    Store(StoreError),
    Unreadable { key: String, because: String },
}

/// How long a store that does not answer is left alone.
const RETRY: Duration = Duration::from_secs(5);
/// How long counters are kept behind their day, and how far a node's clock may lag behind the store's.
pub(super) const KEPT: Duration = Duration::from_secs(90 * 86_400);
/// What must have been released before it is worth asking: this part of a lease.
const WORTH_ASKING: u64 = 10;

impl Unit {
    pub fn new(source: &Arc<str>, provider: Option<&Arc<str>>, base: &Arc<Base>) -> Arc<Self> {
        Arc::new(Self {
            name: Name {
                source: source.clone(),
                provider: provider.cloned(),
            },
            keys: Keys::new(source, provider.map(|p| &**p)),
            base: base.clone(),
            desk: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// Asks the store for budget, where the desk has none and does not know that there is none.
    pub async fn refill(&self, now: Timestamp) {
        let _turn = self.turn.lock().await;
        if !self.desk.lock().must_ask(now) {
            return;
        }
        let standing = match self.stand(now).await {
            Ok(standing) => standing,
            Err(trouble) => self.wait(trouble.into(), now),
        };
        self.place(standing, now);
    }

    async fn stand(&self, now: Timestamp) -> Result<Standing, Trouble> {
        let rules = self.base.rules.load_full();
        let Some(source) = rules.source(&self.name.source).cloned() else {
            return Ok(Standing::Off);
        };
        // What is left of yesterday's lease is to be back before yesterday is judged.
        let free = self.desk.lock().tidy(now);
        self.tell(free);
        self.flush().await?;
        let day = rules.zone.day(now);
        if let Some(started) = source.started.filter(|started| day.date < *started) {
            return Ok(self.wait(Reason::NotStarted { started }, now));
        }
        match self.advance(now, true).await? {
            Some(Leave::Capped { stage, cap }) => {
                self.lease((day, stage, cap), (&rules, &source), now).await
            }
            Some(Leave::Warm) | None => Ok(Standing::Warm(day)),
            Some(Leave::Paused(pause)) => Ok(self.paused(&pause, now)),
            Some(Leave::TooEarly(first)) => Ok(self.wait(Reason::ClockIsBack { first }, now)),
        }
    }

    /// Takes a lease of what has been released of the day's cap.
    async fn lease(
        &self,
        (day, stage, cap): (Day, u32, u64),
        (rules, source): (&Rules, &SourceRules),
        now: Timestamp,
    ) -> Result<Standing, Trouble> {
        self.tell_uncapped().await?;
        let release = source.ramp.spread.on(&day, &rules.zone);
        let released = release.released(cap, now);
        let share = rules.lease.of(cap).max(1);
        let key = self.keys.used(day.date);
        let taken = self.base.store.take(&key, released, share, day.end + KEPT);
        let taken = taken.await?;
        let mut desk = self.desk.lock();
        desk.saw(day.date, taken.total);
        let spent = (taken.granted == 0).then(|| {
            let until = more_at((release, &day), (cap, share, taken.total), now);
            let why = Reason::Spent {
                day: desk.sent_days().saturating_add(1),
                // Where an operator has gone to a lower one, the day keeps the cap of the stage before.
                stage: desk.stage().unwrap_or(stage),
                stages: source.ramp.stages(),
                cap,
                released,
                used: taken.total,
            };
            (now, self.waiting(why, Some(until)))
        });
        Ok(Standing::Open(Open {
            day,
            lease: taken.granted,
            spent,
            touched: now,
        }))
    }

    /// Brings what was sent without a cap into the counter of its date, which has a cap now or may get one.
    pub async fn tell_uncapped(&self) -> Result<(), StoreError> {
        let Some((date, n)) = self.desk.lock().uncapped.take() else {
            return Ok(());
        };
        let expires = self.base.rules.load().zone.end(date) + KEPT;
        let counts = [(self.keys.used(date), n)];
        let added = self.base.store.add(&counts, expires).await;
        if added.is_err() {
            // It may be there already: twice is better than not at all.
            self.desk.lock().uncapped.get_or_insert((date, n));
        }
        added
    }

    /// Puts what the store said on the desk, and tells who waits for it.
    pub fn place(&self, standing: Standing, now: Timestamp) {
        // The source may have stopped warming while the store was asked.
        let warms = self.base.rules.load().source(&self.name.source).is_some();
        let standing = if warms { standing } else { Standing::Off };
        let unreadable = standing.needs_hand().cloned();
        let (free, was) = {
            let mut desk = self.desk.lock();
            let was = desk.standing().needs_hand().cloned();
            (desk.place(standing, now), was)
        };
        if let Some(why) = unreadable.filter(|why| was.as_ref() != Some(why)) {
            let why = format!("held: {why}");
            self.emit(Change { why, until: None });
        }
        self.tell(free);
    }

    /// Tells that there is room, where `free`.
    pub fn tell(&self, free: bool) {
        if free {
            self.base.freed.lock().insert(self.name.clone());
            self.base.free.notify_one();
        }
    }

    /// What to wait for, for a reason that is none of the schedule's.
    pub fn wait(&self, why: Reason, now: Timestamp) -> Standing {
        let until = match &why {
            Reason::NotStarted { started } => Some(self.base.rules.load().zone.start(*started)),
            Reason::Unavailable { .. } => Some(now + RETRY),
            _ => None,
        };
        let why = self.waiting(why, until);
        Standing::Wait { since: now, why }
    }

    /// What a pause comes to.
    pub fn paused(&self, pause: &Pause, now: Timestamp) -> Standing {
        let why = Reason::Paused {
            because: pause.why.clone(),
            by_hand: pause.by_hand,
        };
        let why = self.waiting(why, pause.until);
        Standing::Wait { since: now, why }
    }

    /// Nothing can be had of it any more.
    pub fn shut(&self) {
        let because = "the daemon stops".into();
        let why = self.waiting(Reason::Unavailable { because }, None);
        self.desk.lock().shut(why);
    }

    fn waiting(&self, why: Reason, until: Option<Timestamp>) -> Arc<Waiting> {
        Arc::new(Waiting {
            source: self.name.source.clone(),
            provider: self.name.provider.clone(),
            until,
            why,
        })
    }

    /// What speaks against the source, whatever its mail came to.
    pub fn hindrance(&self) -> Option<Arc<str>> {
        let hindrances = self.base.hindrances.load();
        hindrances.get(&self.name.source).cloned()
    }

    pub fn emit(&self, Change { why, until }: Change) {
        let provider = self.name.provider.clone();
        self.base.events.emit(&Event::Warmup {
            source: self.name.source.clone(),
            provider: provider.unwrap_or_else(|| WHOLE.into()),
            until,
            why,
        });
    }

    pub fn terms<'a>(&'a self, rules: &'a Rules, source: &'a SourceRules) -> Terms<'a> {
        Terms {
            rules,
            ramp: &source.ramp,
            provider: self.name.provider.as_deref(),
        }
    }
}

/// When it is worth asking again where `used` of a day's `cap` is used, and that is all that has been released.
pub(super) fn more_at(
    (release, day): (Release, &Day),
    (cap, share, used): (u64, u64, u64),
    now: Timestamp,
) -> Timestamp {
    if release.released(cap, now) >= cap {
        return day.end;
    }
    let next = used.saturating_add((share / WORTH_ASKING).max(1));
    release.when(next.min(cap), cap).min(day.end)
}

impl Unit {
    /// For people: `ip-a to google`.
    pub fn called(&self) -> String {
        let provider = self.name.provider.as_deref().unwrap_or(WHOLE);
        format!("{} to {provider}", self.name.source)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { key, why } => Self::Unreadable { key, because: why },
            error => Self::Store(error),
        }
    }
}

impl From<Trouble> for Reason {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Store(error) => Self::Unavailable {
                because: error.to_string(),
            },
            Trouble::Unreadable { key, because } => Self::Unreadable { key, because },
        }
    }
}

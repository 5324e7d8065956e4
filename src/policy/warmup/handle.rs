//! The whole of it: all units, behind one handle.

use super::config::Overflow;
use super::desk::{Look, Standing};
use super::keys::{provider_at, states_of};
use super::pair::Pair;
use super::position::Position;
use super::rules::{Rules, SourceRules};
use super::unit::{Base, Name, Trouble, Unit};
use super::waiting::Waiting;
use crate::clock::Clock;
use crate::events::Events;
use crate::store::{Store, StoreError};
use crate::units::Timestamp;
use arc_swap::ArcSwap;
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

/// The warm-up of all sources. Cheap to clone; clones are one.
#[derive(Clone)]
pub struct Warmup {
    pub(super) base: Arc<Base>,
    lines: Arc<RwLock<HashMap<Arc<str>, Line>>>,
}

/// The units of one source.
struct Line {
    whole: Arc<Unit>,
    pairs: BTreeMap<Arc<str>, Arc<Pair>>,
}

/// What has room again, and was waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freed {
    pub source: Arc<str>,
    /// `None`: the source as a whole.
    pub provider: Option<Arc<str>>,
}

/// Why new mail is not taken for a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    Waits(Arc<Waiting>),
    /// What is left of the day's cap is spoken for.
    Promised {
        cap: u64,
        used: u64,
        waiting: u64,
        until: Timestamp,
    },
}

impl Refusal {
    /// When it is over, where that is known.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Waits(waiting) => waiting.until,
            Self::Promised { until, .. } => Some(*until),
        }
    }
}

/// To follow "it would wait for".
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waits(waiting) => waiting.fmt(f),
            Self::Promised {
                cap, used, waiting, ..
            } => write!(
                f,
                "the warm-up's next day: of today's cap of {cap} messages {used} are used and {waiting} promised"
            ),
        }
    }
}

impl Warmup {
    /// Reads back what the store has of the sources that warm. What of it cannot be read is told, and holds only the
    /// unit that it is about.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn open(
        rules: Rules,
        store: Store,
        clock: Clock,
        events: Events,
    ) -> Result<Self, StoreError> {
        let now = clock.now();
        let base = Base {
            store,
            clock,
            events,
            rules: ArcSwap::from_pointee(rules),
            freed: Default::default(),
            free: Default::default(),
            urgent: Default::default(),
            hindrances: Default::default(),
        };
        let warmup = Self {
            base: Arc::new(base),
            lines: Default::default(),
        };
        warmup.refresh(now).await?;
        Ok(warmup)
    }

    /// Goes by other rules from now on. Caps of days that were opened stay; a source that no longer warms has no cap.
    pub fn configure(&self, rules: Rules, now: Timestamp) {
        self.base.rules.store(Arc::new(rules));
        let rules = self.base.rules.load();
        for unit in self.units() {
            let warms = rules.source(&unit.name.source).is_some();
            let free = match warms {
                true => unit.desk.lock().forget(),
                false => unit.desk.lock().place(Standing::Off, now),
            };
            unit.tell(free);
        }
    }

    /// By source, what speaks against it as others see it. Until that is taken back, days that went well leave it at its
    /// stage; caps and what waits stay as they are.
    pub fn hinder(&self, hindrances: BTreeMap<Arc<str>, Arc<str>>) {
        self.base.hindrances.store(Arc::new(hindrances));
    }

    /// Where budget for mail of `source` to `provider` is reserved. `None`: the source does not warm. Worth keeping
    /// until the next reload; a pair whose source has stopped warming lets everything go.
    pub fn pair(&self, source: &str, provider: &str) -> Option<Arc<Pair>> {
        let rules = self.base.rules.load();
        let source = rules.name_of(source)?;
        let known = |line: &Line| line.pairs.get(provider).cloned();
        if let Some(pair) = self.lines.read().get(source).and_then(known) {
            return Some(pair);
        }
        let mut lines = self.lines.write();
        let Line { whole, pairs } = self.line(&mut lines, source);
        let provider: Arc<str> = provider.into();
        let pair = pairs.entry(provider.clone()).or_insert_with(|| {
            Arc::new(Pair {
                whole: whole.clone(),
                own: Unit::new(source, Some(&provider), &self.base),
            })
        });
        Some(pair.clone())
    }

    /// Why a source that refuses what is over its cap takes nothing more now, where it does not: the cap of the day is
    /// used, or `waiting` recipients have been promised what is left of it.
    pub fn refuses(&self, source: &str, waiting: u64, now: Timestamp) -> Option<Refusal> {
        let rules = self.base.rules.load();
        let refuses = |rules: &&Arc<SourceRules>| rules.overflow == Overflow::Reject;
        rules.source(source).filter(refuses)?;
        let unit = self.unit(source, None)?;
        let look = unit.desk.lock().look(now);
        if let Look::Wait(why) = look {
            return Some(Refusal::Waits(why));
        }
        let budget = unit.position(now)?.budget?;
        (budget.remaining <= waiting).then(|| Refusal::Promised {
            cap: budget.cap,
            used: budget.used,
            waiting,
            until: rules.zone.day(now).end,
        })
    }

    /// Waits for room that somebody was told to wait for: a part of a lease came back, a pause ended, a day began, an
    /// operator did something. One task listens.
    pub async fn freed(&self) -> Freed {
        loop {
            if let Some(Name { source, provider }) = self.base.freed.lock().pop_first() {
                return Freed { source, provider };
            }
            self.base.free.notified().await;
        }
    }

    /// Where all units are, as far as this process knows; [`Warmup::refresh`] first asks the store.
    pub fn show(&self, now: Timestamp) -> Vec<Position> {
        let units = self.units().into_iter();
        units.filter_map(|unit| unit.position(now)).collect()
    }

    /// Reads what the store has of all sources that warm.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn refresh(&self, now: Timestamp) -> Result<(), StoreError> {
        let rules = self.base.rules.load_full();
        for source in rules.sources() {
            self.unit(source, None);
            match self.base.store.list(&states_of(source)).await {
                Ok(found) => {
                    for provider in found
                        .iter()
                        .filter_map(|(key, _)| provider_at(key, source)?)
                    {
                        self.pair(source, &provider);
                    }
                }
                // Each is read for itself below, and what is damaged is told there.
                Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        for unit in self.units() {
            let _turn = unit.turn.lock().await;
            unit.look_again(now, true).await?;
        }
        Ok(())
    }

    /// The unit of `source` and `provider`, made where there is none. `None`: the source does not warm.
    pub(super) fn unit(&self, source: &str, provider: Option<&str>) -> Option<Arc<Unit>> {
        if let Some(provider) = provider {
            return self.pair(source, provider).map(|pair| pair.own.clone());
        }
        let rules = self.base.rules.load();
        let source = rules.name_of(source)?;
        Some(self.line(&mut self.lines.write(), source).whole.clone())
    }

    fn line<'l>(&self, lines: &'l mut HashMap<Arc<str>, Line>, source: &Arc<str>) -> &'l mut Line {
        lines.entry(source.clone()).or_insert_with(|| Line {
            whole: Unit::new(source, None, &self.base),
            pairs: BTreeMap::new(),
        })
    }

    /// All units, by source and provider, the source as a whole first.
    pub(super) fn units(&self) -> Vec<Arc<Unit>> {
        let lines = self.lines.read();
        let of = |line: &Line| {
            let pairs = line.pairs.values().map(|pair| pair.own.clone());
            std::iter::once(line.whole.clone())
                .chain(pairs)
                .collect::<Vec<_>>()
        };
        let mut units: Vec<_> = lines.values().flat_map(of).collect();
        units.sort_by(|a, b| a.name.cmp(&b.name));
        units
    }
}

impl Pair {
    /// Where the source's mail to this provider is, and the source as a whole.
    pub fn positions(&self, now: Timestamp) -> Vec<Position> {
        let units = [&self.own, &self.whole];
        units
            .into_iter()
            .filter_map(|unit| unit.position(now))
            .collect()
    }

    /// Where the source's mail to this provider is, as far as this process knows.
    pub fn position(&self, now: Timestamp) -> Option<Position> {
        self.own.position(now)
    }
}

impl Trouble {
    /// The store's silence ends what is going on; what cannot be read concerns one unit.
    pub(super) fn or_place(self, unit: &Unit, now: Timestamp) -> Result<(), StoreError> {
        match self {
            Self::Store(error) => Err(error),
            unreadable => {
                unit.desk.lock().known = None;
                let standing = unit.wait(unreadable.into(), now);
                unit.place(standing, now);
                Ok(())
            }
        }
    }
}

//! A source and a provider: where budget is reserved before mail is sent.

use super::config::Overflow;
use super::desk::{Look, Standing};
use super::stage::Stage;
use super::state::State;
use super::tally::Outcome;
use super::unit::Unit;
use super::waiting::Waiting;
use crate::units::Timestamp;
use jiff::civil::Date;
use std::sync::Arc;

/// What a source sends to one provider. Both its unit and the source's as a whole must have room.
pub struct Pair {
    pub(super) whole: Arc<Unit>,
    pub(super) own: Arc<Unit>,
}

/// What came of asking for budget.
#[derive(Debug)]
#[must_use]
pub enum Reserved {
    /// There is no cap.
    Unlimited,
    /// At least one, at most what was wanted.
    Some(Reservation),
    /// The store may have more: await [`Pair::refilled`] and ask again.
    Refill,
    /// Nothing now.
    Wait(Arc<Waiting>),
}

/// Budget that is being sent. What is not kept goes back when it is dropped.
#[derive(Debug)]
#[must_use = "dropped, it goes back at once"]
pub struct Reservation {
    pair: Arc<Pair>,
    left: u32,
    /// The days whose leases it is of; `None` where there is no cap.
    whole: Option<Date>,
    own: Option<Date>,
}

impl Pair {
    pub fn source(&self) -> &Arc<str> {
        &self.own.name.source
    }

    /// Reserves up to `want` messages (0 counts as 1), without waiting for anything.
    pub fn reserve(self: &Arc<Self>, want: u32, now: Timestamp) -> Reserved {
        // Always in this order: the source is shared by its providers.
        let mut whole = self.whole.desk.lock();
        let mut own = self.own.desk.lock();
        let (of_whole, of_own) = (whole.look(now), own.look(now));
        if let Look::Wait(_) = of_whole {
            whole.tell();
        }
        if let Look::Wait(_) = of_own {
            own.tell();
        }
        let room = match of_whole.and(of_own) {
            Look::Unlimited => return Reserved::Unlimited,
            Look::Ask => return Reserved::Refill,
            Look::Wait(why) => return Reserved::Wait(why),
            Look::Room(room) => room,
        };
        let left = want.max(1).min(u32::try_from(room).unwrap_or(u32::MAX));
        Reserved::Some(Reservation {
            pair: self.clone(),
            left,
            whole: whole.take(left.into(), now),
            own: own.take(left.into(), now),
        })
    }

    /// What [`Pair::reserve`] would say, without reserving.
    pub fn look(&self, now: Timestamp) -> Look {
        let whole = self.whole.desk.lock().look(now);
        let own = self.own.desk.lock().look(now);
        whole.and(own)
    }

    /// Asks the store for more, once for all who wait here. Then [`Pair::reserve`] says something else than
    /// [`Reserved::Refill`], unless others were faster.
    pub async fn refilled(&self, now: Timestamp) {
        for unit in [&self.whole, &self.own] {
            let unit = unit.clone();
            // On its own, so that a caller who gives up does not lose a lease that is on its way.
            let asked = tokio::spawn(async move {
                unit.refill(now).await;
                matches!(unit.desk.lock().look(now), Look::Wait(_))
            });
            // A provider's lease is of no use while the source waits.
            if asked.await.unwrap_or(true) {
                return;
            }
        }
    }

    /// There is a cap, or it is not known yet that there is none.
    pub fn is_warming(&self) -> bool {
        self.whole.desk.lock().is_capped() || self.own.desk.lock().is_capped()
    }

    /// What becomes of mail over the cap.
    pub fn overflow(&self) -> Overflow {
        let rules = self.own.base.rules.load();
        let source = rules.source(&self.own.name.source);
        source.map_or(Overflow::Wait, |source| source.overflow.clone())
    }

    /// Counts what came of `n` messages, for the health gate. A block counts here and pauses by [`Pair::blocked`].
    pub fn observe(&self, outcome: Outcome, n: u32, now: Timestamp) {
        for unit in [&self.whole, &self.own] {
            let mut desk = unit.desk.lock();
            if !desk.is_capped() {
                if !matches!(outcome, Outcome::Deferred | Outcome::Complained) {
                    desk.count_uncapped(n.into(), now);
                }
                continue;
            }
            let date = desk.date(now, || unit.base.rules.load().zone.date(now));
            desk.owed.count(date, outcome, n.into());
        }
    }

    /// The provider has blocked the source: nothing more goes there for a time. Nothing happens where it rests already,
    /// or is warm: others look after warm sources.
    pub fn blocked(&self, why: &str, now: Timestamp) {
        let unit = &self.own;
        let rules = unit.base.rules.load();
        let Some(source) = rules.source(&unit.name.source) else {
            return;
        };
        let mut desk = unit.desk.lock();
        if !desk.is_capped() || desk.owed.strike.is_some() {
            return;
        }
        let known = desk.known.as_ref().map(|(state, _)| State::clone(state));
        let mut state = known.unwrap_or_else(|| State::new(Stage::At(1), &source.ramp));
        // The store may know of more blocks; what is written there is then true.
        if state.strike(why, now, unit.terms(&rules, source)).is_none() {
            return;
        }
        let Some(pause) = state.pause else {
            return;
        };
        let standing: Standing = unit.paused(&pause, now);
        // Nobody finds room by a pause.
        let _free = desk.place(standing, now);
        desk.owed.strike = Some((why.to_owned(), now));
        unit.base.urgent.notify_one();
    }
}

impl Reservation {
    /// How many messages are still to be kept or given back.
    pub fn left(&self) -> u32 {
        self.left
    }

    /// `n` of them were sent and stay counted.
    pub fn keep(&mut self, n: u32) {
        self.left = self.left.saturating_sub(n);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.left == 0 {
            return;
        }
        let dated = [(&self.pair.whole, self.whole), (&self.pair.own, self.own)];
        for (unit, date) in dated {
            let Some(date) = date else { continue };
            let free = unit.desk.lock().put_back(date, self.left.into());
            unit.tell(free);
        }
    }
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pair({})", self.own.called())
    }
}

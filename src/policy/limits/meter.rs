//! One rate, kept.

use super::cells::{Cells, Moment};
use super::count::Count;
use super::rules::Number;
use super::turns::{Asker, Turns};
use super::{Name, Rate};
use crate::units::Timestamp;
use std::num::NonZeroU32;

/// A rate, how much of it is used, and whose turn is when.
pub(super) struct Meter {
    rate: Rate,
    name: Name,
    pace: Pace,
    cells: Cells,
    /// Given back, and spent before governor is asked: governor takes nothing back.
    credit: u32,
    /// Taken without asking, and not there: paid before anybody else gets one.
    owed: u32,
    /// Taken and not given back; nobody can give back more.
    taken: u64,
    last: Option<Moment>,
    turns: Turns,
    used: Count,
}

/// How a rate is spread.
///
/// One cell comes back every `each` nanoseconds, and one message takes `weight` of them. At up to ten a second a message is
/// several cells, so that a caller may come up to [`SLACK`] late without loss and still nothing can be saved up for a
/// second message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    each: u64,
    weight: u32,
    capacity: NonZeroU32,
}

/// Nanoseconds that a caller may be late without loss: timers of a millisecond, batches on the network, a busy machine.
/// The burst is what comes back in this time.
const SLACK: u64 = 100_000_000;

impl Rate {
    /// Most that pass at once: what comes back in a tenth of a second, and at least 1. In any time `t`, never more pass
    /// than `count` × `t` ÷ `per` and this.
    pub fn burst(self) -> u32 {
        let pace = Pace::of(self);
        pace.capacity.get() / pace.weight
    }
}

impl Pace {
    fn of(rate: Rate) -> Self {
        let period = u64::try_from(rate.per.duration().as_nanos()).unwrap_or(u64::MAX);
        // Rounded up here and below: rather too slow by a billionth than too fast.
        let interval = period.div_ceil(u64::from(rate.count.get()));
        let weight = interval.div_ceil(SLACK).max(1);
        let late = if weight == 1 { SLACK / interval } else { 1 };
        let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            each: interval.div_ceil(weight),
            weight: small(weight),
            capacity: NonZeroU32::MIN.saturating_add(small(weight - 1 + late)),
        }
    }

    /// Nanoseconds from one message to the next.
    fn interval(self) -> u64 {
        self.each.saturating_mul(u64::from(self.weight))
    }

    /// Nanoseconds that may be missing from a full bucket before it holds a message less.
    fn fraction(self) -> u64 {
        let cells = self.capacity.get() % self.weight;
        self.each.saturating_mul(u64::from(cells))
    }
}

impl Meter {
    /// Begins with one message, not with a burst.
    pub fn new(number: &Number<Rate>, now: Moment) -> Self {
        let pace = Pace::of(number.value);
        Self::holding(number, pace.weight, now)
    }

    /// The meter of a changed rate: it begins with what the new rate gave since the last message, at most one, so that
    /// changes however frequent let nothing through.
    pub fn changed(number: &Number<Rate>, was: &Self, now: Moment) -> Self {
        let pace = Pace::of(number.value);
        let since = was
            .last
            .map_or(u64::MAX, |last| now.since(last) / pace.each);
        let held = u32::try_from(since).unwrap_or(u32::MAX).min(pace.weight);
        let mut meter = Self::holding(number, held, now);
        meter.last = was.last;
        if was.rate.per == number.value.per {
            meter.used = was.used;
        }
        meter
    }

    fn holding(number: &Number<Rate>, held: u32, now: Moment) -> Self {
        let pace = Pace::of(number.value);
        Self {
            rate: number.value,
            name: Name::of(number),
            pace,
            cells: Cells::new(pace.each, pace.capacity, held, now),
            credit: 0,
            owed: 0,
            taken: 0,
            last: None,
            turns: Turns::default(),
            used: Count::new(number.value.per),
        }
    }

    /// The same rate, maybe written elsewhere.
    pub fn rename(&mut self, number: &Number<Rate>) {
        self.name = Name::of(number);
    }

    pub fn rate(&self) -> Rate {
        self.rate
    }

    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Nanoseconds from one message to the next.
    pub fn interval(&self) -> u64 {
        self.pace.interval()
    }

    pub fn used(&self, now: Timestamp) -> u64 {
        self.used.at(now)
    }

    /// Takes one for `asker`, or says when to come again.
    pub fn take(&mut self, asker: Asker, now: Timestamp) -> Result<(), Moment> {
        let (at, interval) = (Moment::from(now), self.pace.interval());
        if self.cells.missing(at) == 0 {
            self.turns.start_anew();
        }
        self.turns.come(asker, at);
        if let Err(earliest) = self.take_for(asker, at) {
            return Err(match earliest > at {
                true => self.turns.turn(asker, at, earliest, interval),
                false => self.turns.turn_behind_others(asker, at, interval),
            });
        }
        self.turns.pass(asker, at, interval);
        self.last = Some(at);
        self.taken += 1;
        self.used.add(now);
        Ok(())
    }

    /// Takes what was given back, or cells. Where there are none, says when they can be had: now, where they are kept for
    /// others.
    fn take_for(&mut self, asker: Asker, now: Moment) -> Result<(), Moment> {
        self.pay(now)?;
        let weight = self.pace.weight;
        let has_credit = self.has_credit(now);
        let is_there = has_credit || self.cells.free_at(weight) <= now;
        if is_there && self.turns.is_kept_from(asker, now) {
            return Err(now);
        }
        if has_credit {
            self.credit -= 1;
            return Ok(());
        }
        self.cells.take(weight, now)
    }

    /// One is used whether it is there or not; who comes next waits the longer.
    pub fn charge(&mut self, now: Timestamp) {
        let at = Moment::from(now);
        self.owed = self.owed.saturating_add(1).min(self.rate.count.get());
        // What is not paid now is paid by the next one who asks.
        let _owing = self.pay(at);
        self.last = Some(at);
        self.used.add(now);
    }

    /// Pays what is owed; says when the next part of it can be paid.
    fn pay(&mut self, now: Moment) -> Result<(), Moment> {
        while self.owed > 0 {
            self.cells.take(self.pace.weight, now)?;
            self.owed -= 1;
        }
        Ok(())
    }

    /// One that `asker` took was not used.
    pub fn give_back(&mut self, asker: Asker) {
        if let Some(taken) = self.taken.checked_sub(1) {
            self.taken = taken;
            self.credit = self.credit.saturating_add(1).min(self.rate.burst());
            self.used.take_away();
            self.turns.give_back(asker);
        }
    }

    /// When one can be had, but for who comes first; `None` is now.
    pub fn free_at(&self, now: Timestamp) -> Option<Timestamp> {
        let at = Moment::from(now);
        let owing = self.pace.interval().saturating_mul(self.owed.into());
        let free_at = self.cells.free_at(self.pace.weight).after(owing);
        let has_credit = self.credit > 0 && self.owed == 0 && self.worth(at) > 0;
        (free_at > at && !has_credit).then(|| free_at.to_timestamp())
    }

    fn has_credit(&mut self, now: Moment) -> bool {
        if self.credit > 0 {
            self.credit = self.credit.min(self.worth(now));
        }
        self.credit > 0
    }

    /// How many given back are worth something: as many as are missing from the bucket. What was given back longer ago
    /// has come back by itself meanwhile, so that both together are never more than the burst.
    fn worth(&self, now: Moment) -> u32 {
        let missing = self.cells.missing(now);
        let messages = missing
            .saturating_sub(self.pace.fraction())
            .div_ceil(self.pace.interval());
        u32::try_from(messages).unwrap_or(u32::MAX)
    }
}

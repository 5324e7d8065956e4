//! What a process has of a unit in memory: its lease, and what is to be told to the store. Nothing here waits.

use super::day::Day;
use super::stage::Stage;
use super::state::State;
use super::tally::{Outcome, Tally};
use super::waiting::{Reason, Waiting};
use crate::units::Timestamp;
use jiff::civil::Date;
use std::sync::Arc;
use std::time::Duration;

/// One for each unit, behind the unit's lock.
#[derive(Default)]
pub(super) struct Desk {
    standing: Standing,
    /// What the store was last seen to have, and its version.
    pub known: Option<(Arc<State>, u64)>,
    pub seen: Seen,
    pub owed: Owed,
    /// What was sent without a cap, and on which date: it counts where that date gets one.
    pub uncapped: Option<(Date, u64)>,
    /// Somebody was told to wait and wants to hear of room.
    told: bool,
}

/// What is to be told to the store.
#[derive(Default)]
pub(super) struct Owed {
    /// Parts of leases to be given back, with their dates.
    pub returns: Vec<(Date, u64)>,
    pub tallies: Vec<(Date, Tally)>,
    /// A block, which pauses the unit.
    pub strike: Option<(String, Timestamp)>,
}

/// What was last read of a day's counters.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen {
    on: Option<Date>,
    used: u64,
    /// Over the window of the health gate.
    pub window: Tally,
}

/// What may be done without asking the store.
#[derive(Default)]
pub(super) enum Standing {
    /// Nothing: it must be asked.
    #[default]
    Unread,
    /// The source does not warm.
    Off,
    /// Anything, on this day.
    Warm(Day),
    /// What is left of the lease, on its day.
    Open(Open),
    /// Nothing, from `since` until what is written in it. A clock that goes back before `since` must ask.
    Wait { since: Timestamp, why: Arc<Waiting> },
}

/// A day with a cap, and a lease of it.
pub(super) struct Open {
    pub day: Day,
    pub lease: u64,
    /// The store had nothing more, from an instant until what is written in it.
    pub spent: Option<(Timestamp, Arc<Waiting>)>,
    /// When it was last taken from.
    pub touched: Timestamp,
}

/// What a unit answers to whoever wants to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Anything goes.
    Unlimited,
    /// So many are there.
    Room(u64),
    /// The store must be asked.
    Ask,
    Wait(Arc<Waiting>),
}

/// A lease that nobody takes from goes back to the store, where others find it.
const IDLE: Duration = Duration::from_secs(60);

impl Desk {
    pub fn look(&self, now: Timestamp) -> Look {
        match &self.standing {
            Standing::Off => Look::Unlimited,
            Standing::Warm(day) if day.contains(now) => Look::Unlimited,
            Standing::Open(open) if open.day.contains(now) => open.look(now),
            Standing::Wait { since, why } if holds(*since, why, now) => Look::Wait(why.clone()),
            _ => Look::Ask,
        }
    }

    pub fn must_ask(&self, now: Timestamp) -> bool {
        self.look(now) == Look::Ask
    }

    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Takes `n` of the lease, which has as many; gives its date. `None` where there is no cap.
    pub fn take(&mut self, n: u64, now: Timestamp) -> Option<Date> {
        let Standing::Open(open) = &mut self.standing else {
            return None;
        };
        open.lease = open.lease.saturating_sub(n);
        open.touched = now;
        Some(open.day.date)
    }

    /// Gives `n` of the lease of `date` back. True: somebody waits for it.
    #[must_use]
    pub fn put_back(&mut self, date: Date, n: u64) -> bool {
        match &mut self.standing {
            Standing::Open(open) if open.day.date == date => {
                open.lease += n;
                std::mem::take(&mut self.told)
            }
            _ => {
                self.owed.give_back(date, n);
                false
            }
        }
    }

    /// Takes over what the store said. True: somebody waits for it.
    #[must_use]
    pub fn place(&mut self, mut standing: Standing, now: Timestamp) -> bool {
        if let (Standing::Open(late), Some(_)) = (&mut standing, &self.owed.strike) {
            // The store was asked before the block came that it has not been told of.
            let lease = std::mem::take(&mut late.lease);
            self.owed.give_back(late.day.date, lease);
            return false;
        }
        if let (Standing::Open(new), Standing::Open(old)) = (&mut standing, &mut self.standing)
            && new.day.date == old.day.date
        {
            // Something may have been given back while the store was asked.
            new.lease += std::mem::take(&mut old.lease);
        }
        self.drop_lease();
        self.standing = standing;
        !matches!(self.look(now), Look::Wait(_)) && std::mem::take(&mut self.told)
    }

    /// The end: the lease goes back, and nothing is to be had any more.
    pub fn shut(&mut self, why: Arc<Waiting>) {
        self.drop_lease();
        let since = Timestamp::default();
        self.standing = Standing::Wait { since, why };
    }

    /// Nothing is known any more: the lease goes back, and the store is asked next. True: somebody waits.
    #[must_use]
    pub fn forget(&mut self) -> bool {
        self.drop_lease();
        self.standing = Standing::Unread;
        std::mem::take(&mut self.told)
    }

    /// Gives the lease of a day that is over back, and one that lies idle. True: somebody waits for the new day.
    #[must_use]
    pub fn tidy(&mut self, now: Timestamp) -> bool {
        match &mut self.standing {
            Standing::Open(open) if open.day.contains(now) => {
                if open.lease > 0 && now.since(open.touched) >= IDLE {
                    self.owed
                        .give_back(open.day.date, std::mem::take(&mut open.lease));
                }
                false
            }
            Standing::Open(_) | Standing::Warm(_) => {
                !matches!(self.look(now), Look::Unlimited) && self.forget()
            }
            Standing::Wait { .. } => {
                self.told && self.look(now) == Look::Ask && std::mem::take(&mut self.told)
            }
            Standing::Unread | Standing::Off => false,
        }
    }

    /// Something is to be decided though nobody asks for budget.
    pub fn is_due(&self, now: Timestamp, today: Date) -> bool {
        let known = self.known.as_ref();
        known.is_some_and(|(state, _)| state.is_due(now, today))
    }

    /// The counter of `date` was read.
    pub fn saw(&mut self, date: Date, used: u64) {
        (self.seen.on, self.seen.used) = (Some(date), used);
    }

    /// What has been used of the cap of `date`, as far as is known here: without what of our own lease is left.
    pub fn used(&self, date: Date) -> u64 {
        let lease = match &self.standing {
            Standing::Open(open) if open.day.date == date => open.lease,
            _ => 0,
        };
        let seen = self.seen.on.filter(|on| *on == date);
        let uncapped = self.uncapped.filter(|(of, _)| *of == date);
        seen.map_or(0, |_| self.seen.used.saturating_sub(lease))
            .saturating_add(uncapped.map_or(0, |(_, n)| n))
    }

    /// The date of a cap of which the store had nothing more when it was asked, and its counter then.
    pub fn spent(&self, now: Timestamp) -> Option<(Date, u64)> {
        let (Standing::Open(open), Look::Wait(why)) = (&self.standing, self.look(now)) else {
            return None;
        };
        match why.why {
            Reason::Spent { used, .. } => Some((open.day.date, used)),
            _ => None,
        }
    }

    /// Asks again where others have given back of a cap that was spent. True: somebody waits for it.
    #[must_use]
    pub fn retry_spent(&mut self, now: Timestamp) -> bool {
        let spent = self.spent(now);
        spent.is_some_and(|(date, was)| self.used(date) < was) && self.forget()
    }

    /// Somebody was told to wait.
    pub fn tell(&mut self) {
        self.told = true;
    }

    /// Days on which something was sent, before this one.
    pub fn sent_days(&self) -> u32 {
        self.known.as_ref().map_or(0, |(state, _)| state.sent_days)
    }

    /// Nothing is sent for a pause, as far as is known here.
    pub fn is_paused(&self, now: Timestamp) -> bool {
        matches!(self.look(now), Look::Wait(why) if matches!(why.why, Reason::Paused { .. }))
    }

    /// Where the unit is, whatever the stage that the day has its cap of.
    pub fn stage(&self) -> Option<u32> {
        match self.known.as_ref()?.0.stage {
            Stage::At(stage) => Some(stage),
            Stage::Warm => None,
        }
    }

    pub fn is_capped(&self) -> bool {
        !matches!(self.standing, Standing::Off | Standing::Warm(_))
    }

    /// `n` messages were sent while there was no cap.
    pub fn count_uncapped(&mut self, n: u64, now: Timestamp) {
        let Standing::Warm(day) = &self.standing else {
            return;
        };
        if !day.contains(now) {
            return;
        }
        let before = self.uncapped.filter(|(of, _)| *of == day.date);
        let sum = before.map_or(n, |(_, sum)| sum.saturating_add(n));
        self.uncapped = Some((day.date, sum));
    }

    /// The date at `now`, without looking at the calendar where that can be.
    pub fn date(&self, now: Timestamp, calendar: impl FnOnce() -> Date) -> Date {
        match &self.standing {
            Standing::Open(open) if open.day.contains(now) => open.day.date,
            _ => calendar(),
        }
    }

    fn drop_lease(&mut self) {
        if let Standing::Open(open) = &mut self.standing {
            let lease = std::mem::take(&mut open.lease);
            self.owed.give_back(open.day.date, lease);
        }
    }
}

impl Standing {
    /// What time alone does not end and no pause is.
    pub fn needs_hand(&self) -> Option<&Waiting> {
        let Self::Wait { why, .. } = self else {
            return None;
        };
        let by_hand = matches!(
            why.why,
            Reason::Unreadable { .. } | Reason::ClockIsBack { .. }
        );
        by_hand.then_some(&**why)
    }
}

impl Open {
    fn look(&self, now: Timestamp) -> Look {
        match &self.spent {
            _ if self.lease > 0 => Look::Room(self.lease),
            Some((since, why)) if holds(*since, why, now) => Look::Wait(why.clone()),
            _ => Look::Ask,
        }
    }
}

fn holds(since: Timestamp, why: &Waiting, now: Timestamp) -> bool {
    since <= now && why.until.is_none_or(|until| now < until)
}

impl Look {
    /// What two units that must both have room answer together.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Wait(a), Self::Wait(b)) => Self::Wait(later(a, b)),
            (Self::Wait(why), _) | (_, Self::Wait(why)) => Self::Wait(why),
            (Self::Ask, _) | (_, Self::Ask) => Self::Ask,
            (Self::Room(a), Self::Room(b)) => Self::Room(a.min(b)),
            (Self::Unlimited, other) | (other, Self::Unlimited) => other,
        }
    }
}

/// The one that lasts longer.
fn later(a: Arc<Waiting>, b: Arc<Waiting>) -> Arc<Waiting> {
    match (a.until, b.until) {
        (None, _) => a,
        (Some(x), Some(y)) if x >= y => a,
        _ => b,
    }
}

impl Owed {
    pub fn give_back(&mut self, date: Date, n: u64) {
        match self.returns.iter_mut().find(|(of, _)| *of == date) {
            _ if n == 0 => {}
            Some((_, sum)) => *sum += n,
            None => self.returns.push((date, n)),
        }
    }

    pub fn count(&mut self, date: Date, outcome: Outcome, n: u64) {
        let mut tally = Tally::default();
        tally.add(outcome, n);
        self.add(date, tally);
    }

    pub fn add(&mut self, date: Date, tally: Tally) {
        match self.tallies.iter_mut().find(|(of, _)| *of == date) {
            Some((_, sum)) => *sum += tally,
            None => self.tallies.push((date, tally)),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.returns.is_empty() && self.tallies.is_empty() && self.strike.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::super::day::Zone;
    use super::*;

    #[test]
    fn a_lease_that_was_on_its_way_when_a_block_came_goes_back() {
        let now = Timestamp::from_millis(1_795_348_800_000);
        let day = Zone::utc().day(now);
        let mut desk = Desk::default();
        let why = Arc::new(Waiting {
            source: "ip-a".into(),
            provider: Some("google".into()),
            until: Some(day.end),
            why: Reason::Paused {
                because: "blocked".into(),
                by_hand: false,
            },
        });
        let pause = Standing::Wait {
            since: now,
            why: why.clone(),
        };
        assert!(!desk.place(pause, now));
        desk.owed.strike = Some(("blocked".into(), now));
        desk.tell();
        let late = Standing::Open(Open {
            day,
            lease: 2,
            spent: None,
            touched: now,
        });
        assert!(!desk.place(late, now), "nobody finds room");
        assert_eq!(desk.look(now), Look::Wait(why));
        assert_eq!(desk.owed.returns, [(day.date, 2)]);
    }
}

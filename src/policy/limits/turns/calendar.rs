//! For when turns have been told.

use crate::policy::limits::cells::Moment;
use std::collections::VecDeque;

/// How many turns were told for each stretch of the time to come. Of a slow number a stretch is the time from one message
/// to the next; of a fast one [`SHORTEST`], for more than that is saved up where somebody is late.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    /// Nanoseconds of a stretch.
    length: u64,
    /// Number of the first stretch that is kept, since the Unix epoch.
    first: u64,
    told: VecDeque<u16>,
}

pub(super) const SHORTEST: u64 = 50_000_000;

impl Calendar {
    /// Forgets what is over at `now`, where a message goes every `interval` nanoseconds.
    pub fn turn_to(&mut self, now: Moment, interval: u64) {
        let length = interval.max(SHORTEST);
        if length > self.length || length < self.length / 2 {
            self.told.clear();
            self.length = length;
        }
        let first = self.number(now);
        if first < self.first {
            // The clock was set back.
            self.told.clear();
        }
        let over = usize::try_from(first.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.told.drain(..over.min(self.told.len()));
        self.first = first;
    }

    /// Somebody is told to come at `turn`.
    pub fn tell(&mut self, turn: Moment) {
        let Some(place) = self.place(turn) else {
            return;
        };
        if place >= self.told.len() {
            self.told.resize(place + 1, 0);
        }
        if let Some(told) = self.told.get_mut(place) {
            *told = told.saturating_add(1);
        }
    }

    /// Nobody is told to come about `turn`.
    pub fn is_free(&self, turn: Moment) -> bool {
        self.told_about(turn) == 0
    }

    /// The first turn from `turn` on, before `end`, for which there is room.
    pub fn find(&self, turn: Moment, end: Moment, interval: u64) -> Option<Moment> {
        let mut turn = turn;
        while turn < end {
            let number = self.number(turn);
            let before = u64::from(self.told_about(turn)) * interval;
            let begins = Moment::default().after(number * self.length);
            if before < self.length {
                return Some(turn.max(begins.after(before)));
            }
            turn = match interval < self.length {
                true => begins.after(self.length),
                false => turn.after(interval),
            };
        }
        None
    }

    fn told_about(&self, turn: Moment) -> u16 {
        let place = self.place(turn);
        let told = place.and_then(|place| self.told.get(place));
        told.copied().unwrap_or_default()
    }

    fn place(&self, turn: Moment) -> Option<usize> {
        let place = self.number(turn).checked_sub(self.first)?;
        usize::try_from(place).ok().filter(|place| *place < MOST)
    }

    fn number(&self, at: Moment) -> u64 {
        at.since(Moment::default()) / self.length.max(1)
    }
}

/// Stretches that are kept: what comes later is so far away that it does not matter.
const MOST: usize = 1_024;

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
            let before = u64::from(self.told_about(turn)).saturating_mul(interval);
            let begins = Moment::default().after(number.saturating_mul(self.length));
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Moment {
        Moment::default().after(seconds * SECOND)
    }

    #[test]
    fn of_a_slow_number_each_message_is_told_to_one() {
        let mut calendar = Calendar::default();
        calendar.turn_to(at(100), SECOND);
        for second in 100..103 {
            assert_eq!(calendar.find(at(100), at(105), SECOND), Some(at(second)));
            calendar.tell(at(second));
        }
        assert!(!calendar.is_free(at(102)) && calendar.is_free(at(103)));
        assert_eq!(calendar.find(at(100), at(103), SECOND), None);
        calendar.turn_to(at(102), SECOND);
        assert_eq!(calendar.find(at(102), at(105), SECOND), Some(at(103)));
        calendar.turn_to(at(1_000), SECOND);
        assert_eq!(calendar.told.len(), 0, "what is over is forgotten");
    }

    #[test]
    fn of_a_fast_number_a_stretch_is_told_to_as_many_as_can_go_in_it() {
        let (mut calendar, milli) = (Calendar::default(), SECOND / 1_000);
        calendar.turn_to(at(100), 10 * milli);
        let told = (0..6).map(|_| {
            let turn = calendar.find(at(100), at(101), 10 * milli);
            calendar.tell(turn.unwrap());
            turn.unwrap().since(at(100)) / milli
        });
        assert_eq!(told.collect::<Vec<_>>(), [0, 10, 20, 30, 40, 50]);
    }

    #[test]
    fn what_is_far_away_takes_no_room() {
        let mut calendar = Calendar::default();
        calendar.turn_to(at(100), 1);
        calendar.tell(at(1_000_000));
        calendar.tell(at(1));
        assert_eq!(calendar.told.len(), 0);
    }
}

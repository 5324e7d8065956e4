//! When which message of a party can go.

use super::calendar::SHORTEST;
use super::line::LONGEST;
use crate::policy::limits::cells::Moment;
use std::collections::VecDeque;

/// When the messages of a party can go, where all have what is theirs.
pub(super) struct Plan {
    pub earliest: Moment,
    /// Nanoseconds from one message to the next, and to the next of this party.
    pub interval: u64,
    pub period: u64,
    /// Of all tenants.
    pub weight: u64,
    /// What a message of the party counts, and what it has had.
    pub cost: u128,
    pub had: u128,
    /// What it should have had.
    pub reached: u128,
}

impl Plan {
    /// When the first message can go for which nobody of the party is told to come. Of the turns told, as many as a message
    /// has before it may lie up to then; fewer, and somebody is missing. It is looked for by halves: turns are told about as
    /// they should be, so there is mostly one place, and any place will do.
    ///
    /// Where more wait than can go in the [longest](Plan::longest) time, several are told to come for each.
    pub fn wish(&self, told: &VecDeque<Moment>) -> Moment {
        let most = (self.longest() / self.period.max(1)).max(1);
        let at_once = 1 + told.len() as u64 / most;
        let (mut first, mut last) = (0, told.len() as u64 / at_once);
        while first < last {
            let middle = first + (last - first) / 2;
            let near = self.turn(middle).after(SHORTEST.max(self.period / 2));
            let covered = told.partition_point(|turn| *turn <= near) as u64;
            if covered / at_once <= middle {
                last = middle;
            } else {
                first = middle + 1;
            }
        }
        let turn = self.turn(first);
        if turn < self.last() {
            turn
        } else {
            self.earliest
        }
    }

    /// No turn lies behind it: at a rate slower than this everybody comes when the next message can go.
    pub fn last(&self) -> Moment {
        self.earliest.after(self.longest())
    }

    /// When its message `number` can go.
    fn turn(&self, number: u64) -> Moment {
        let tag = self.had + self.cost * u128::from(number);
        let behind = tag.saturating_sub(self.reached);
        let messages = behind * u128::from(self.weight) / UNIT;
        let messages = u64::try_from(messages).unwrap_or(u64::MAX);
        self.earliest.after(self.interval.saturating_mul(messages))
    }

    /// Nanoseconds to the last turn: who has a share of the rate waits longer for as many messages.
    fn longest(&self) -> u64 {
        let longest = self.period.saturating_mul(LONGEST / self.interval);
        longest.clamp(LONGEST, MOST_LONGEST)
    }
}

/// What one message counts for the only campaign of a tenant of weight 1.
pub(super) const UNIT: u128 = 1 << 40;
/// As [`LONGEST`], of a party that shares.
const MOST_LONGEST: u64 = 4 * LONGEST;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Moment {
        Moment::default().after(seconds * SECOND)
    }

    /// Of one of four parties alike, at one a second.
    fn plan(had: u128, reached: u128) -> Plan {
        Plan {
            earliest: at(100),
            interval: SECOND,
            period: 4 * SECOND,
            weight: 4,
            cost: UNIT,
            had,
            reached,
        }
    }

    fn wish(plan: &Plan, told: &[u64]) -> Moment {
        plan.wish(&told.iter().map(|seconds| at(*seconds)).collect())
    }

    #[test]
    fn turns_lie_as_far_apart_as_messages_of_the_party_go() {
        let plan = plan(0, 0);
        assert_eq!(wish(&plan, &[]), at(100));
        assert_eq!(wish(&plan, &[100]), at(104));
        assert_eq!(wish(&plan, &[100, 104]), at(108));
    }

    #[test]
    fn who_is_behind_comes_earlier_and_who_is_ahead_later() {
        assert_eq!(wish(&plan(0, 2 * UNIT), &[]), at(100));
        assert_eq!(wish(&plan(0, 2 * UNIT), &[100, 101]), at(100));
        assert_eq!(wish(&plan(0, 2 * UNIT), &[100, 101, 102]), at(104));
        assert_eq!(wish(&plan(UNIT, 0), &[]), at(104));
    }

    #[test]
    fn a_gap_between_turns_is_filled() {
        assert_eq!(wish(&plan(0, 0), &[100, 104, 112, 116]), at(108));
        assert_eq!(wish(&plan(0, 0), &[108, 112, 116]), at(100));
    }

    #[test]
    fn where_too_many_wait_several_come_at_a_time() {
        let plan = plan(0, 0);
        let mut told = VecDeque::new();
        for _ in 0..50 {
            let turn = plan.wish(&told);
            told.insert(told.partition_point(|told| *told <= turn), turn);
        }
        let last = at(100).after(MOST_LONGEST);
        assert!(told.iter().all(|turn| *turn <= last));
        let at_once = |turn| told.iter().filter(|told| *told == turn).count();
        assert!(told.iter().map(at_once).max() <= Some(7));
    }
}

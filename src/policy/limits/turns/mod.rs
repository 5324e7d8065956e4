//! Turns: refused callers come again one after another, transactional mail before marketing, and of marketing each tenant
//! and each of its campaigns as often as is its share.
//!
//! A turn is a hint and never a right: governor alone decides how many pass, so a wrong turn costs a wake-up in vain or
//! some waiting, and can never cost the rate.

mod calendar;
mod line;
mod party;
mod plan;
mod sharing;

pub use party::{Asker, Party};

use super::cells::Moment;
use crate::mail::Stream;
use line::Line;
use sharing::Sharing;

/// The turns at one number. What transactional mail was told to come for is not given to marketing that comes first, and
/// what a party has had less of and was told to come for is not given to another.
///
/// Whoever was told may not come; then the bucket fills, and whoever finds it full takes it as in a [`Line`]. So nothing
/// is lost by keeping, but for a tenth of a second of patience.
#[derive(Debug, Default)]
pub(super) struct Turns {
    transactional: Line,
    marketing: Sharing,
    /// Transactional callers that were told a turn, and have not been let through since.
    expected: u32,
    /// When somebody looks whether those come for whom something is kept.
    looked_for: Moment,
}

/// Nanoseconds for which something is kept for who does not come.
const PATIENCE: u64 = 100_000_000;
/// Nanoseconds before which nobody asks again for what is kept.
const HASTE: u64 = 10_000_000;

impl Turns {
    /// Somebody asks, and takes what there is or is told a turn.
    pub fn come(&mut self, asker: Asker, now: Moment) {
        if asker.stream == Stream::Marketing && !self.marketing.is_empty() {
            self.marketing.come(asker.party, now);
        }
    }

    /// What there is, is for others.
    pub fn is_kept_from(&self, asker: Asker, now: Moment) -> bool {
        asker.stream == Stream::Marketing
            && (self.expected > 0 || self.marketing.is_kept_from(asker.party, now))
    }

    /// Somebody is let through.
    pub fn pass(&mut self, asker: Asker, now: Moment, interval: u64) {
        match asker.stream {
            Stream::Transactional => self.expected = self.expected.saturating_sub(1),
            Stream::Marketing => self.marketing.charge(asker.party, now, interval.max(1)),
        }
    }

    /// Who was let through made no use of it.
    pub fn give_back(&mut self, asker: Asker) {
        if asker.stream == Stream::Marketing {
            self.marketing.refund(asker.party);
        }
    }

    /// As [`Line::turn`], where `earliest` is what the number itself says.
    pub fn turn(&mut self, asker: Asker, now: Moment, earliest: Moment, interval: u64) -> Moment {
        if asker.stream == Stream::Transactional {
            self.expected = self.expected.saturating_add(1);
            return self.transactional.turn(earliest, interval);
        }
        let after_others = match self.expected {
            0 => earliest,
            // Later is too late where they do not come.
            _ => earliest.max(self.transactional.next.min(earliest.after(PATIENCE))),
        };
        self.marketing
            .turn(asker.party, now, after_others, interval.max(1))
    }

    /// A turn of who finds at `now` that what there is [is kept](Turns::is_kept_from) for others.
    pub fn turn_behind_others(&mut self, asker: Asker, now: Moment, interval: u64) -> Moment {
        if self.looked_for <= now {
            self.looked_for = now.after(interval.clamp(HASTE, PATIENCE));
            return self.looked_for;
        }
        self.turn(asker, now, now.after(interval), interval)
    }

    /// Those who were told turns are not coming.
    pub fn start_anew(&mut self) {
        self.transactional = Line::default();
        self.expected = 0;
        self.marketing.start_anew();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const OTHERS: Asker = Asker {
        stream: Stream::Marketing,
        party: Party::all(),
    };
    const URGENT: Asker = Asker {
        stream: Stream::Transactional,
        ..OTHERS
    };

    fn at(seconds: u64) -> Moment {
        Moment::default().after(seconds * SECOND)
    }

    fn party(campaign: u64) -> Asker {
        let party = Party {
            tenant: campaign,
            campaign,
            weight: 1,
        };
        Asker { party, ..OTHERS }
    }

    #[test]
    fn marketing_comes_after_transactional_mail_that_is_expected() {
        let mut turns = Turns::default();
        let told = |turns: &mut Turns, asker| turns.turn(asker, at(99), at(100), SECOND);
        assert_eq!(told(&mut turns, URGENT), at(100));
        assert_eq!(told(&mut turns, URGENT), at(101));
        let behind = told(&mut turns, OTHERS);
        let patient = at(100).after(PATIENCE);
        assert_eq!(behind, patient, "it may be that they do not come");
        assert!(turns.is_kept_from(OTHERS, at(100)));
        assert!(!turns.is_kept_from(URGENT, at(100)));
        turns.pass(URGENT, at(100), SECOND);
        assert!(turns.is_kept_from(OTHERS, at(100)));
        turns.pass(URGENT, at(100), SECOND);
        assert!(!turns.is_kept_from(OTHERS, at(100)));
        assert_eq!(told(&mut turns, OTHERS), at(101));
    }

    #[test]
    fn what_one_party_was_told_to_come_for_is_kept_for_it_while_it_has_had_less() {
        let (greedy, small) = (party(1), party(2));
        let mut turns = Turns::default();
        assert_eq!(turns.turn(greedy, at(99), at(100), SECOND), at(100));
        assert_eq!(turns.turn(small, at(99), at(100), SECOND), at(101));
        turns.pass(greedy, at(100), SECOND);
        assert!(!turns.is_kept_from(greedy, at(100)), "it is not due yet");
        assert!(turns.is_kept_from(greedy, at(101)));
        turns.come(small, at(101));
        assert!(!turns.is_kept_from(small, at(101)));
        turns.pass(small, at(101), SECOND);
        assert!(!turns.is_kept_from(greedy, at(101)), "it came");
    }

    #[test]
    fn who_does_not_come_is_waited_for_a_tenth_of_a_second() {
        let (greedy, gone) = (party(1), party(2));
        let mut turns = Turns::default();
        assert_eq!(turns.turn(gone, at(99), at(100), SECOND), at(100));
        turns.turn(greedy, at(99), at(100), SECOND);
        turns.pass(greedy, at(100), SECOND);
        let late = at(100).after(PATIENCE);
        turns.come(greedy, late);
        assert!(turns.is_kept_from(greedy, late));
        turns.come(greedy, late.after(1));
        assert!(!turns.is_kept_from(greedy, late.after(1)));
    }

    #[test]
    fn what_nobody_is_told_to_come_for_is_for_who_asks() {
        let (greedy, small) = (party(1), party(2));
        let mut turns = Turns::default();
        let told = [small, greedy, greedy].map(|who| turns.turn(who, at(99), at(100), SECOND));
        assert_eq!(told, [at(100), at(101), at(102)]);
        // The small one has nothing left, and nobody knows.
        turns.come(small, at(100));
        turns.pass(small, at(100), SECOND);
        let told = [101, 102].map(|second| {
            turns.come(greedy, at(second));
            turns.pass(greedy, at(second), SECOND);
            turns.turn(greedy, at(second), at(second + 1), SECOND)
        });
        assert_eq!(told, [at(104), at(103)]);
    }
}

//! Turns: refused callers come again one after another, transactional mail before marketing.

mod calendar;
mod line;
mod party;
mod sharing;

pub use party::{Asker, Party};

use super::cells::Moment;
use crate::mail::Stream;
use line::Line;
use sharing::Sharing;

/// The turns at one number. What transactional mail was told to come for is not given to marketing that comes first.
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

/// Nanoseconds after which marketing asks again for what is kept from it; it may have been kept for nobody.
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

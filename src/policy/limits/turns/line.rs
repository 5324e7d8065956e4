//! Turns of callers without names: each a moment of its own.

use crate::policy::limits::cells::Moment;

/// The next moment that no refused caller has been told yet.
///
/// Callers have no names here, and some never come, so the line cannot be exact; three things keep it near the truth.
///
/// * Time: a turn that has passed is forgotten by itself, come or not come. When all callers come, the line is as long
///   as there are callers, each at its own moment, and each message costs one wake-up.
/// * A full bucket: as long as callers come at their turns, cells are taken as they come back, and the bucket never fills.
///   Who finds it full knows that turns were told to callers who did not come, and the line starts
///   anew. Were they merely late, they are told another turn.
/// * [`LONGEST`]: no turn lies further behind the first free moment, for a sleeper cannot be told that those before it are
///   gone. A longer line begins again at its front, where two callers then have the same turn and one asks in vain.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) next: Moment,
}

/// Nanoseconds from the first free moment to the last turn. At a rate slower than this everybody comes when the next cell
/// does; a thousand callers are then a hundred wake-ups a second at most.
pub(super) const LONGEST: u64 = 10_000_000_000;

impl Line {
    /// A turn of the caller's own. The next cell comes at `earliest`, and one more every `interval` nanoseconds.
    pub fn turn(&mut self, earliest: Moment, interval: u64) -> Moment {
        let mut turn = self.next.max(earliest);
        if turn >= earliest.after(LONGEST) {
            turn = earliest;
        }
        self.next = turn.after(interval);
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Moment {
        Moment::default().after(seconds * SECOND)
    }

    #[test]
    fn each_caller_gets_a_moment_of_its_own() {
        let mut line = Line::default();
        let turns = [0; 3].map(|_| line.turn(at(100), SECOND));
        assert_eq!(turns, [at(100), at(101), at(102)]);
    }

    #[test]
    fn turns_that_have_passed_are_forgotten() {
        let mut line = Line::default();
        for _ in 0..5 {
            line.turn(at(100), SECOND);
        }
        assert_eq!(line.turn(at(200), SECOND), at(200));
    }

    #[test]
    fn a_long_line_begins_again_at_its_front() {
        let mut line = Line::default();
        let turns: Vec<Moment> = (0..25).map(|_| line.turn(at(100), SECOND)).collect();
        assert!(turns.iter().all(|turn| *turn < at(110)));
        assert_eq!(turns.iter().filter(|turn| **turn == at(100)).count(), 3);
    }

    #[test]
    fn at_a_slow_rate_everybody_comes_when_the_next_cell_does() {
        let mut line = Line::default();
        for _ in 0..3 {
            assert_eq!(line.turn(at(100), 60 * SECOND), at(100));
        }
        assert_eq!(line.turn(at(160), 60 * SECOND), at(160));
    }
}

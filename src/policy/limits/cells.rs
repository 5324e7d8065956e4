//! governor, on our clock.

use crate::units::Timestamp;
use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::cell::Cell;
use std::num::NonZeroU32;
use std::ops::Add;
use std::time::Duration;

/// A [`Timestamp`] as fine as rates need it: nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Moment(u64);

/// Cells that come back one by one, in the order of governor's GCRA.
///
/// governor can be asked for cells and for nothing else, so the moment at which it has all of them is kept beside it:
/// the sum that it does itself, once more. What is taken is decided by governor alone.
pub(super) struct Cells {
    limiter: RateLimiter<NotKeyed, InMemoryState, Hand, NoOpMiddleware<Moment>>,
    /// Nanoseconds in which one cell comes back.
    each: u64,
    capacity: NonZeroU32,
    full_at: Moment,
}

/// The clock's hand as governor sees it: where the last caller's time has put it. It never goes back.
struct Hand(Cell<Moment>);

impl Moment {
    /// The latest moment, some 290 years after 1970, so that governor's sums stay within their 64 bits.
    const LAST: u64 = u64::MAX / 2;

    /// The first whole millisecond at which this moment has come.
    pub fn to_timestamp(self) -> Timestamp {
        Timestamp::from_millis(self.0.div_ceil(NANOS_PER_MILLI))
    }

    /// Nanoseconds since `earlier`; 0 where that is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    pub fn after(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos).min(Self::LAST))
    }

    pub fn before(self, nanos: u64) -> Self {
        Self(self.0.saturating_sub(nanos))
    }
}

const NANOS_PER_MILLI: u64 = 1_000_000;

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self::default().after(at.as_millis().saturating_mul(NANOS_PER_MILLI))
    }
}

impl Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, span: Nanos) -> Self {
        self.after(span.as_u64())
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        Nanos::new(self.since(earlier))
    }

    fn saturating_sub(&self, span: Nanos) -> Self {
        self.0.checked_sub(span.as_u64()).map_or(*self, Self)
    }
}

impl Hand {
    fn move_to(&self, now: Moment) -> Moment {
        let now = now.max(self.0.get());
        self.0.set(now);
        now
    }
}

impl Clock for Hand {
    type Instant = Moment;

    fn now(&self) -> Moment {
        self.0.get()
    }
}

impl Cells {
    /// `capacity` cells, of which one comes back every `each` nanoseconds, and `held` are there at once: governor would
    /// begin with all of them, so the others are taken out.
    pub fn new(each: u64, capacity: NonZeroU32, held: u32, now: Moment) -> Self {
        let each = each.max(1);
        // Only a period of nothing is refused, and that is ruled out.
        let quota = Quota::with_period(Duration::from_nanos(each))
            .unwrap_or(Quota::per_second(NonZeroU32::MIN))
            .allow_burst(capacity);
        let mut cells = Self {
            limiter: RateLimiter::direct_with_clock(quota, Hand(Cell::new(now))),
            each,
            capacity,
            full_at: now,
        };
        // Everything is there, so this is not refused.
        let _emptied = cells.take(capacity.get().saturating_sub(held), now);
        cells
    }

    /// Takes `n` cells or none; says when they can be had. `n` is at most the capacity.
    pub fn take(&mut self, n: u32, now: Moment) -> Result<(), Moment> {
        let Some(n) = NonZeroU32::new(n) else {
            return Ok(());
        };
        let now = self.limiter.clock().move_to(now);
        match self.limiter.check_n(n) {
            Ok(Ok(())) => {
                let span = self.each.saturating_mul(u64::from(n.get()));
                self.full_at = self.full_at.max(now).after(span);
                Ok(())
            }
            Ok(Err(not_until)) => Err(not_until.earliest_possible()),
            Err(_) => Err(self.full_at.max(now)),
        }
    }

    /// Cells that can be had now.
    pub fn held(&self, now: Moment) -> u32 {
        let missing = self.missing(now).div_ceil(self.each);
        let held = u64::from(self.capacity.get()).saturating_sub(missing);
        u32::try_from(held).unwrap_or(u32::MAX)
    }

    /// When `n` cells can be had, but for what is taken meanwhile; maybe in the past.
    pub fn free_at(&self, n: u32) -> Moment {
        let may_miss = self.capacity.get().saturating_sub(n);
        self.full_at
            .before(self.each.saturating_mul(u64::from(may_miss)))
    }

    /// Nanoseconds until all cells are there.
    pub fn missing(&self, now: Moment) -> u64 {
        self.full_at.since(now)
    }

    /// Nanoseconds in which one cell comes back.
    pub fn each(&self) -> u64 {
        self.each
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn start() -> Moment {
        Moment::from(Timestamp::from_millis(1_700_000_000_000))
    }

    #[test]
    fn a_moment_reads_back_as_the_next_whole_millisecond() {
        let at = Timestamp::from_millis(1_700_000_000_123);
        assert_eq!(Moment::from(at).to_timestamp(), at);
        let later = Timestamp::from_millis(1_700_000_000_124);
        assert_eq!(Moment::from(at).after(1).to_timestamp(), later);
    }

    #[test]
    fn the_end_of_time_and_a_clock_put_back_do_no_harm() {
        let day = 86_400_000_000_000;
        let mut cells = Cells::new(day, NonZeroU32::MIN, 1, start());
        let end = Moment::from(Timestamp::from_millis(u64::MAX));
        assert_eq!(cells.take(1, end), Ok(()));
        assert_eq!(cells.take(1, Moment::default()), Err(end));
        assert_eq!(cells.held(Moment::default()), 0);
    }

    #[test]
    fn more_than_there_can_ever_be_is_refused() {
        let mut cells = Cells::new(1_000, NonZeroU32::MIN, 1, start());
        assert!(cells.take(2, start()).is_err());
        assert_eq!(cells.take(1, start()), Ok(()));
    }

    proptest! {
        /// What is kept beside governor agrees with governor, whatever was taken when.
        #[test]
        fn what_is_told_is_what_governor_does(
            each in 1_u64..2_000_000,
            capacity in 1_u32..50,
            held in 0_u32..50,
            acts in prop::collection::vec((0_u64..5_000_000, 1_u32..20), 1..100),
        ) {
            let capacity = NonZeroU32::new(capacity).unwrap();
            let mut now = start();
            let mut cells = Cells::new(each, capacity, held, now);
            prop_assert_eq!(cells.held(now), held.min(capacity.get()));
            for (wait, n) in acts {
                now = now.after(wait);
                let n = n.min(capacity.get());
                let (told, free_at) = (cells.held(now), cells.free_at(n));
                match cells.take(n, now) {
                    Ok(()) => {
                        prop_assert!(told >= n && free_at <= now);
                        prop_assert_eq!(cells.held(now), told - n);
                    }
                    Err(earliest) => {
                        prop_assert!(told < n);
                        prop_assert_eq!(free_at, earliest);
                    }
                }
            }
        }
    }
}

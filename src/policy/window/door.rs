//! Windows as asked for every message.

use super::{SendWindows, State};
use crate::units::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};

/// [`SendWindows`] that remember what they said: for how long it holds is known, so that only the first to ask after a
/// change, or after a jump of the clock to either side, has to look at a calendar.
#[derive(Debug, Default)]
pub struct Door {
    windows: SendWindows,
    known: AtomicU64,
}

/// What is known, in one word so that nobody reads half of it: the second from which it holds in the upper 32 bits,
/// for how many seconds in the next 31, and whether the door is open in the lowest.
///
/// Windows open and close on whole seconds, so what holds at an instant holds from the beginning of its second.
struct Known {
    from: u64,
    seconds: u64,
    open: bool,
}

impl Door {
    pub fn new(windows: SendWindows) -> Self {
        Self {
            windows,
            known: AtomicU64::new(0),
        }
    }

    pub fn windows(&self) -> &SendWindows {
        &self.windows
    }

    /// Whether mail may go; else the instant from which it may.
    pub fn is_open(&self, now: Timestamp) -> Result<(), Timestamp> {
        if self.windows.is_empty() {
            return Ok(());
        }
        let known = Known::unpack(self.known.load(Ordering::Relaxed));
        match known.at(now).unwrap_or_else(|| self.look(now)) {
            State::Open { .. } => Ok(()),
            State::Closed { until } => Err(until),
        }
    }

    fn look(&self, now: Timestamp) -> State {
        let state = self.windows.state(now);
        let known = Known::new(now, state).pack();
        self.known.store(known, Ordering::Relaxed);
        state
    }
}

impl Known {
    fn new(now: Timestamp, state: State) -> Self {
        let (until, open) = match state {
            State::Open { until } => (until, true),
            State::Closed { until } => (until, false),
        };
        let from = now.as_secs();
        let fits = u32::try_from(from).is_ok();
        let seconds = until.as_secs().saturating_sub(from).min((1 << 31) - 1);
        Self {
            from,
            seconds: if fits { seconds } else { 0 },
            open,
        }
    }

    fn at(&self, now: Timestamp) -> Option<State> {
        let end = self.from + self.seconds;
        let until = Timestamp::from_millis(end * 1000);
        let state = if self.open {
            State::Open { until }
        } else {
            State::Closed { until }
        };
        (self.from..end).contains(&now.as_secs()).then_some(state)
    }

    fn pack(&self) -> u64 {
        self.from << 32 | self.seconds << 1 | u64::from(self.open)
    }

    fn unpack(word: u64) -> Self {
        Self {
            from: word >> 32,
            seconds: (word & u64::from(u32::MAX)) >> 1,
            open: word & 1 == 1,
        }
    }
}

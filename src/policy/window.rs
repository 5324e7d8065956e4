//! At which hours mail may go.
//!
//! A window is a stretch of wall time in its zone, and belongs to the day on which it opens: `fri 22:00-06:00` ends on
//! Saturday. Where the clocks change:
//!
//! - A time that the day does not have counts as the first instant after the gap: a window that would open within the
//!   gap opens when it is over, one that would close there closes so, and one that lies wholly in it is left out.
//! - Of a time that the day has twice, a window opens at the first and closes at the last, and does not close between.
//!   One that closes when the hour begins that comes twice closes at the first: nothing of that hour is in it.

mod door;
mod text;

pub use door::Door;
pub use text::NotAWindow;

use crate::units::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use std::fmt;
use std::time::Duration;

/// Hours of some days of the week: `"08:00-22:00 Europe/Berlin"`, `"mon-fri 09:00-17:30 America/New_York"`,
/// `"22:00-06:00 UTC"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendWindow {
    days: Days,
    opens: Minute,
    /// At or before `opens` where it is of the next day.
    closes: Minute,
    zone: TimeZone,
}

/// Any number of windows, in one of which mail may go: a text or a list of them. Without one it may always.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SendWindows(pub Vec<SendWindow>);

/// Whether mail may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Until just before `until`. Of windows that are open for more than a week on end it is an instant more than a
    /// week ahead, at which they may be open still.
    Open { until: Timestamp },
    /// Opens at `until`.
    Closed { until: Timestamp },
}

/// Days of the week, the bit of Monday lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Days(u8);

/// Minutes since midnight, up to 1,440.
type Minute = u16;

/// One time that a window is open, in part or in whole: from the first instant up to the second.
type Opening = (Timestamp, Timestamp);

/// Which one counts of a wall time that occurs twice.
#[derive(Clone, Copy)]
enum Occurrence {
    First,
    Last,
}

const DAY: Minute = 24 * 60;
const A_MOMENT: Duration = Duration::from_nanos(1);
/// How far ahead the end of what is open is looked for.
const FAR: Duration = Duration::from_secs(8 * 86_400);
/// Days from today among which there is one on which a window opens: it may be open since yesterday, in a zone that
/// has left out a day since the day before; and a day of the week may be skipped once.
const DAYS: std::ops::RangeInclusive<i64> = -2..=15;

impl SendWindow {
    pub fn state(&self, now: Timestamp) -> State {
        state_of(std::slice::from_ref(self), now)
    }

    /// The first time it is open that does not end at or before `now`.
    fn next(&self, now: Timestamp) -> Option<Opening> {
        let today = self.zone.to_datetime(instant(now)).date();
        let days = DAYS.filter_map(|day| today.checked_add(jiff::Span::new().days(day)).ok());
        let days = days.filter(|day| self.days.contains(day.weekday()));
        let mut openings = days.filter_map(|day| self.opening(day));
        openings.find(|(opens, closes)| opens < closes && *closes > now)
    }

    /// When it is open of a day's own.
    fn opening(&self, day: Date) -> Option<Opening> {
        let last = if self.closes <= self.opens {
            day.tomorrow().ok()?
        } else {
            day
        };
        let opens = self.at(day, self.opens, Occurrence::First)?;
        Some((opens, self.at(last, self.closes, Occurrence::Last)?))
    }

    fn at(&self, day: Date, minute: Minute, occurrence: Occurrence) -> Option<Timestamp> {
        let day = if minute < DAY {
            day
        } else {
            day.tomorrow().ok()?
        };
        let (hour, minute) = (minute % DAY / 60, minute % 60);
        let wall = day.at(hour.try_into().ok()?, minute.try_into().ok()?, 0, 0);
        let wall = self.zone.to_ambiguous_timestamp(wall);
        let (first, last) = (wall.earlier().ok()?, wall.later().ok()?);
        let at = match (wall.offset(), occurrence) {
            (AmbiguousOffset::Unambiguous { .. }, _) => first,
            (AmbiguousOffset::Gap { after, .. }, _) => {
                let mut changes = self.zone.following(first);
                changes.find(|change| change.offset() == after)?.timestamp()
            }
            (AmbiguousOffset::Fold { .. }, Occurrence::First) => first,
            (AmbiguousOffset::Fold { before, .. }, Occurrence::Last) => {
                let just_before = last.checked_sub(A_MOMENT).ok()?;
                let begins_there = self.zone.to_offset(just_before) == before;
                if begins_there { first } else { last }
            }
        };
        Some(timestamp(at))
    }
}

impl fmt::Display for SendWindows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, window) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{window}")?;
        }
        Ok(())
    }
}

impl SendWindows {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn state(&self, now: Timestamp) -> State {
        if self.is_empty() {
            let until = Timestamp::from_millis(u64::MAX);
            return State::Open { until };
        }
        state_of(&self.0, now)
    }
}

fn state_of(windows: &[SendWindow], now: Timestamp) -> State {
    let mut until = now;
    while until < now + FAR
        && let Some(closes) = open_at(windows, until)
    {
        until = closes;
    }
    if until > now {
        return State::Open { until };
    }
    let opens = windows.iter().filter_map(|window| window.next(now));
    let until = opens.map(|(opens, _)| opens).min();
    State::Closed {
        until: until.unwrap_or(now + FAR),
    }
}

/// When the last of those closes that are open at `now`.
fn open_at(windows: &[SendWindow], now: Timestamp) -> Option<Timestamp> {
    let next = windows.iter().filter_map(|window| window.next(now));
    let open = next.filter(|(opens, _)| *opens <= now);
    open.map(|(_, closes)| closes).max()
}

impl Days {
    const ALL: Self = Self(0b111_1111);

    fn contains(self, day: Weekday) -> bool {
        self.0 & 1 << day.to_monday_zero_offset() != 0
    }
}

fn instant(at: Timestamp) -> jiff::Timestamp {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX)
}

fn timestamp(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from_millis(u64::try_from(at.as_millisecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests;

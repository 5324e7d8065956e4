//! Days of a zone: what a sending day is counted by.

use crate::units::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use std::time::Duration;

/// The zone whose midnights part the days.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone(TimeZone);

/// One civil date of a [`Zone`]: usually 24 hours, 23 or 25 where the clocks change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    pub date: Date,
    pub start: Timestamp,
    /// The first instant that is no longer in it.
    pub end: Timestamp,
}

impl Zone {
    /// By its IANA name, such as `Europe/Berlin`. `None`: this machine knows no such zone.
    pub fn named(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(Self)
    }

    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The day that `now` is in.
    pub fn day(&self, now: Timestamp) -> Day {
        let date = self.date(now);
        Day {
            date,
            start: self.start(date),
            end: self.end(date),
        }
    }

    /// The date at `now`.
    pub fn date(&self, now: Timestamp) -> Date {
        let millis = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let instant = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
        instant.to_zoned(self.0.clone()).date()
    }

    /// The first instant of `date`.
    pub fn start(&self, date: Date) -> Timestamp {
        let start = date.to_zoned(self.0.clone());
        let start = start.and_then(|at| at.start_of_day());
        start.map_or(Timestamp::default(), |at| instant(&at))
    }

    /// The first instant after `date`.
    pub fn end(&self, date: Date) -> Timestamp {
        let start = self.start(date);
        let next = date.tomorrow().map(|next| self.start(next));
        // Where the calendar ends, in the year 9999, there is no next day.
        next.ok()
            .filter(|next| *next > start)
            .unwrap_or(start + Duration::from_secs(86_400))
    }

    /// When the clocks show `minute` (0 to 1440, counted from midnight) on `date`. Where they are set forward over it,
    /// the same distance after the gap.
    pub fn at_minute(&self, date: Date, minute: u16) -> Timestamp {
        let (hour, minute) = (minute / 60, minute % 60);
        let time = i8::try_from(hour).ok().zip(i8::try_from(minute).ok());
        let time = time.and_then(|(hour, minute)| Time::new(hour, minute, 0, 0).ok());
        let Some(time) = time else {
            return self.end(date);
        };
        let zoned = self.0.to_zoned(date.to_datetime(time));
        zoned.map_or_else(|_| self.end(date), |at| instant(&at))
    }
}

impl Day {
    pub fn contains(&self, now: Timestamp) -> bool {
        self.start <= now && now < self.end
    }
}

fn instant(at: &jiff::Zoned) -> Timestamp {
    Timestamp::from_millis(u64::try_from(at.timestamp().as_millisecond()).unwrap_or(0))
}

/// Days from `earlier` to `later`; negative where it is the other way round.
pub(super) fn days_between(earlier: Date, later: Date) -> i64 {
    let span = later.since((jiff::Unit::Day, earlier));
    span.map_or(0, |span| i64::from(span.get_days()))
}

/// `date` and `n` days; the calendar's last day where it ends before.
pub(super) fn plus_days(date: Date, n: i64) -> Date {
    let span = jiff::Span::new().try_days(n);
    let moved = span.and_then(|span| date.checked_add(span));
    moved.unwrap_or(if n < 0 { Date::MIN } else { Date::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        serde_json::from_str(&format!("\"{text}\"")).unwrap()
    }

    #[test]
    fn a_day_in_utc_is_from_midnight_to_midnight() {
        let day = Zone::utc().day(at("2026-11-01T12:34:56Z"));
        assert_eq!(day.date, jiff::civil::date(2026, 11, 1));
        assert_eq!(day.start, at("2026-11-01T00:00:00Z"));
        assert_eq!(day.end, at("2026-11-02T00:00:00Z"));
        assert!(day.contains(day.start) && !day.contains(day.end));
    }

    #[test]
    fn days_on_which_the_clocks_change_have_23_and_25_hours() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        for (noon, start, end) in [
            (
                "2026-03-29T10:00:00Z",
                "2026-03-28T23:00:00Z",
                "2026-03-29T22:00:00Z",
            ),
            (
                "2026-10-25T11:00:00Z",
                "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z",
            ),
        ] {
            let day = berlin.day(at(noon));
            assert_eq!((day.start, day.end), (at(start), at(end)));
        }
        // 02:30 does not exist on that day.
        let gap = berlin.at_minute(jiff::civil::date(2026, 3, 29), 150);
        assert_eq!(gap, at("2026-03-29T01:30:00Z"));
    }

    #[test]
    fn a_zone_that_does_not_exist_has_no_days() {
        assert_eq!(Zone::named("Europe/Atlantis"), None);
    }

    #[test]
    fn the_ends_of_the_calendar_are_no_trap() {
        let last = Zone::utc().day(Timestamp::from_millis(u64::MAX));
        assert!(last.end > last.start);
        assert_eq!(plus_days(Date::MAX, 1), Date::MAX);
        assert_eq!(days_between(Date::MIN, Date::MIN), 0);
        assert_eq!(
            days_between(
                jiff::civil::date(2026, 1, 31),
                jiff::civil::date(2026, 3, 1)
            ),
            29
        );
    }
}

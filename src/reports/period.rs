//! When something was: instants and days as reports write them.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::Serialize;

/// Seconds since the epoch, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Period {
    pub begin: u64,
    pub end: u64,
}

/// A day since the epoch, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Day(pub u32);

const DAY: u64 = 86_400;

impl Period {
    /// The day that most of it is in. Reports begin at midnight somewhere, or in the middle of a day.
    pub fn day(self) -> Day {
        let length = self.end.saturating_sub(self.begin);
        Day::of(self.begin.saturating_add(length / 2))
    }
}

impl Day {
    pub fn of(seconds: u64) -> Self {
        Self(u32::try_from(seconds / DAY).unwrap_or(u32::MAX))
    }

    pub fn start(self) -> u64 {
        u64::from(self.0) * DAY
    }

    pub fn of_date(date: Date) -> Option<Self> {
        let start = date.to_zoned(TimeZone::UTC).ok()?;
        Some(Self::of(u64::try_from(start.timestamp().as_second()).ok()?))
    }
}

/// `2026-11-26`; a day that no calendar has is written as its number.
impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = i64::try_from(self.start()).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_second(seconds) {
            Ok(at) => write!(f, "{}", at.strftime("%Y-%m-%d")),
            Err(_) => write!(f, "day {}", self.0),
        }
    }
}

impl Serialize for Day {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Back from what [`Day`]'s display writes.
impl<'de> serde::Deserialize<'de> for Day {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let day = match text.strip_prefix("day ") {
            Some(number) => number.parse().ok().map(Day),
            None => text.parse().ok().and_then(Day::of_date),
        };
        day.ok_or_else(|| serde::de::Error::custom("not a day"))
    }
}

/// An instant in seconds since the epoch: a number of seconds, or of milliseconds, or RFC 3339 and what is like it, which
/// is UTC where it names no offset.
pub fn instant(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Some(seconds) = number(text) {
        return Some(seconds);
    }
    let with_t = text.replacen(' ', "T", 1);
    let stamp = text.parse::<jiff::Timestamp>();
    let stamp = stamp.or_else(|_| with_t.parse::<jiff::Timestamp>()).ok();
    let civil = || {
        let civil = with_t.parse::<DateTime>().ok();
        let civil = civil.or_else(|| text.parse::<Date>().ok().map(DateTime::from))?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    u64::try_from(stamp.or_else(civil)?.as_second()).ok()
}

fn number(text: &str) -> Option<u64> {
    let whole = text.split_once('.').map_or(text, |(whole, rest)| {
        match rest.bytes().all(|b| b.is_ascii_digit()) {
            true => whole,
            false => text,
        }
    });
    let number: u64 = whole.parse().ok()?;
    // Seconds beyond the year 4000 are milliseconds.
    Some(match number > 64_000_000_000 {
        true => number / 1000,
        false => number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_in_the_forms_that_reports_have() {
        for (text, expected) in [
            (" 1335571200 ", Some(1_335_571_200)),
            ("1335571200.0", Some(1_335_571_200)),
            ("1335571200000", Some(1_335_571_200)),
            ("2012-04-28T00:00:00Z", Some(1_335_571_200)),
            ("2012-04-28T02:00:00+02:00", Some(1_335_571_200)),
            ("2012-04-28 00:00:00", Some(1_335_571_200)),
            ("2012-04-28T00:00:00", Some(1_335_571_200)),
            ("2012-04-28", Some(1_335_571_200)),
            ("-1", None),
            ("", None),
            ("yesterday", None),
        ] {
            assert_eq!(instant(text), expected, "{text}");
        }
    }

    #[test]
    fn a_report_is_of_the_day_that_most_of_it_is_in() {
        let day = |begin, end| Period { begin, end }.day().to_string();
        assert_eq!(day(1_335_571_200, 1_335_657_599), "2012-04-28");
        assert_eq!(day(1_335_567_600, 1_335_653_999), "2012-04-28");
        assert_eq!(day(u64::MAX, 0), "day 4294967295");
    }
}

//! The hours over which a day's cap becomes available.

use super::day::{Day, Zone};
use crate::units::{Span, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How a day's cap is spread: `"none"`, `"08:00-20:00"`, or a span from the start of the day such as `"10h"`.
///
/// What has been released and not used stays available until the day ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spread {
    /// All of it at the start of the day.
    #[default]
    None,
    /// Evenly between two times of the day, in minutes from midnight: 0 to 1440.
    Hours { from: u16, to: u16 },
    /// Evenly over this long from the start of the day, at most until its end.
    First(Span),
}

/// The text says no hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" says no hours: write \"none\", times such as \"08:00-20:00\", or a span such as \"10h\""
)]
pub struct NotASpread(pub String);

/// A [`Spread`] on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Release {
    from: Timestamp,
    to: Timestamp,
}

impl Spread {
    pub(super) fn on(self, day: &Day, zone: &Zone) -> Release {
        match self {
            Self::None => Release {
                from: day.start,
                to: day.start,
            },
            Self::Hours { from, to } => Release {
                from: zone.at_minute(day.date, from),
                to: zone.at_minute(day.date, to),
            },
            Self::First(span) => Release {
                from: day.start,
                to: (day.start + span.0).min(day.end),
            },
        }
    }
}

impl Release {
    /// How much of `cap` may be used at `now`. The first is there when the hours begin, all of it before they end.
    pub(super) fn released(&self, cap: u64, now: Timestamp) -> u64 {
        if now >= self.to {
            return cap;
        }
        if now < self.from {
            return 0;
        }
        let (passed, whole) = (now.since(self.from).as_millis(), self.length());
        let part = u128::from(cap) * passed / whole;
        cap.min(u64::try_from(part).unwrap_or(cap).saturating_add(1))
    }

    /// When `n` of `cap` will have been released.
    pub(super) fn when(&self, n: u64, cap: u64) -> Timestamp {
        if self.to <= self.from || n == 0 {
            return self.from;
        }
        let behind_first = u128::from(n.min(cap) - 1) * self.length();
        let wait = behind_first.div_ceil(u128::from(cap.max(1)));
        self.from + Duration::from_millis(u64::try_from(wait).unwrap_or(u64::MAX))
    }

    fn length(&self) -> u128 {
        self.to.since(self.from).as_millis().max(1)
    }
}

impl FromStr for Spread {
    type Err = NotASpread;

    fn from_str(text: &str) -> Result<Self, NotASpread> {
        let refused = || NotASpread(text.to_owned());
        if text.trim() == "none" {
            return Ok(Self::None);
        }
        if let Some((from, to)) = text.split_once('-') {
            let times = minute(from).zip(minute(to));
            let (from, to) = times.filter(|(from, to)| from < to).ok_or_else(refused)?;
            return Ok(Self::Hours { from, to });
        }
        let span: Span = text.parse().map_err(|_| refused())?;
        let fits = span > Span::default() && span <= Span::hours(24);
        fits.then_some(Self::First(span)).ok_or_else(refused)
    }
}

/// `08:30` as minutes from midnight; `24:00` is the end of the day.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |text: &str| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let of_day = hour * 60 + minute;
    (minute < 60 && of_day <= 1440).then_some(of_day)
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Hours { from, to } => {
                let (a, b, c, d) = (from / 60, from % 60, to / 60, to % 60);
                write!(f, "{a:02}:{b:02}-{c:02}:{d:02}")
            }
            Self::First(span) => fmt::Display::fmt(span, f),
        }
    }
}

impl Serialize for Spread {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Spread {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl schemars::JsonSchema for Spread {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Spread".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let pattern = r"^(none|\d{1,2}:\d{2} *- *\d{1,2}:\d{2}|\d+ *(ms|s|m|h|d))$";
        schemars::json_schema!({ "type": "string", "pattern": pattern })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 3_600_000;

    fn day() -> Day {
        Zone::utc().day(Timestamp::from_millis(1_795_348_800_000))
    }

    fn released(spread: &str, cap: u64, hours: f64) -> u64 {
        let (spread, day): (Spread, Day) = (spread.parse().unwrap(), day());
        let now = day.start + Duration::from_secs_f64(hours * 3600.0);
        spread.on(&day, &Zone::utc()).released(cap, now)
    }

    #[test]
    fn a_spread_reads_back_as_written() {
        for text in ["none", "08:00-20:00", "10h", "00:00-24:00", "90m"] {
            assert_eq!(text.parse::<Spread>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn hours_that_are_none_are_refused() {
        for text in [
            "",
            "8-20",
            "20:00-08:00",
            "08:00-08:00",
            "08:60-20:00",
            "00:00-24:01",
            "0h",
            "25h",
            "+8:00-9:00",
        ] {
            assert!(text.parse::<Spread>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_cap_becomes_available_evenly_over_its_hours() {
        assert_eq!(released("none", 50, 0.0), 50);
        assert_eq!(released("08:00-20:00", 1_200, 7.99), 0);
        assert_eq!(released("08:00-20:00", 1_200, 8.0), 1);
        assert_eq!(released("08:00-20:00", 1_200, 14.0), 601);
        assert_eq!(released("08:00-20:00", 1_200, 20.0), 1_200);
        assert_eq!(released("08:00-20:00", 1_200, 23.9), 1_200);
        assert_eq!(released("10h", 100, 5.0), 51);
        assert_eq!(released("24h", 1, 0.0), 1);
    }

    proptest! {
        #[test]
        fn what_is_released_only_grows_and_comes_when_foretold(
            cap in 1u64..2_000_000, n in 1u64..2_000_000, from in 0u64..20, length in 1u64..24 * HOUR,
        ) {
            let n = n.min(cap);
            let from = day().start + Duration::from_millis(from * HOUR);
            let release = Release { from, to: from + Duration::from_millis(length) };
            let when = release.when(n, cap);
            prop_assert!(when >= from && when <= release.to);
            prop_assert!(release.released(cap, when) >= n);
            if when > from {
                let before = Timestamp::from_millis(when.as_millis() - 1);
                prop_assert!(release.released(cap, before) < n);
            }
        }
    }
}

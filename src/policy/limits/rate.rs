//! A count in a time, as an operator writes it.

use crate::units;
use crate::units::Size;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::{Serialize, Serializer};
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// `"100/s"`, `"30/min"`, `"1000/h"`, `"50000/d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    pub count: NonZeroU32,
    pub per: Per,
}

/// The time a count is given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Per {
    Second,
    Minute,
    Hour,
    Day,
}

/// Any number of rates, all of which hold: a text or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rates(pub Vec<Rate>);

/// Octets a second: `"10MB/s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRate(pub Size);

/// The text is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a rate: write a whole number from 1 and a time, such as \"100/s\", \"30/min\", \"1000/h\" or \"50000/d\""
)]
pub struct NotARate(pub String);

impl Per {
    pub const fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
            Self::Day => "d",
        }
    }
}

impl FromStr for Rate {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<Self, NotARate> {
        let refused = || NotARate(text.to_owned());
        let (count, per) = text.split_once('/').ok_or_else(refused)?;
        let per = match per.trim() {
            "s" | "sec" | "second" => Per::Second,
            "m" | "min" | "minute" => Per::Minute,
            "h" | "hour" => Per::Hour,
            "d" | "day" => Per::Day,
            _ => return Err(refused()),
        };
        let count = count.trim().replace('_', "");
        let count = count.parse().map_err(|_| refused())?;
        Ok(Self { count, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.per.name())
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text(deserializer, "a rate such as \"60/min\"")?;
        text.parse().map_err(D::Error::custom)
    }
}

impl schemars::JsonSchema for Rate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9_]+ */ *(s|sec|second|m|min|minute|h|hour|d|day)$" })
    }
}

impl Rates {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One as a text, several as a list.
impl Serialize for Rates {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        units::write_one_or_more(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Rates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        units::one_or_more(deserializer, "a rate such as \"100/s\", or a list of rates").map(Self)
    }
}

impl schemars::JsonSchema for Rates {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rates".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        units::one_or_more_schema::<Rate>(generator)
    }
}

impl FromStr for ByteRate {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<Self, NotARate> {
        let refused = || NotARate(text.to_owned());
        let (size, per) = text.split_once('/').ok_or_else(refused)?;
        let size: Size = size.trim().parse().map_err(|_| refused())?;
        let fits = matches!(per.trim(), "s" | "sec" | "second") && size.0 > 0;
        fits.then_some(Self(size)).ok_or_else(refused)
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

impl Serialize for ByteRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text(deserializer, "a text such as \"10MB/s\"")?;
        text.parse().map_err(|NotARate(text)| {
            D::Error::custom(format!(
                "\"{text}\" is not a number of octets a second: write such as \"10MB/s\""
            ))
        })
    }
}

impl schemars::JsonSchema for ByteRate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByteRate".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9]+ *(B|KB|MB|GB|KiB|MiB|GiB) */ *(s|sec|second)$" })
    }
}

/// A text; where there is something else, `expected` says what to write.
fn text<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
) -> Result<String, D::Error> {
    struct Text(&'static str);
    impl Visitor<'_> for Text {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
    }
    deserializer.deserialize_str(Text(expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rates_are_read_in_any_of_their_spellings() {
        for (text, plain) in [
            ("100/s", "100/s"),
            ("100 / sec", "100/s"),
            ("1_000/second", "1000/s"),
            ("30/m", "30/min"),
            ("30/minute", "30/min"),
            ("5/hour", "5/h"),
            ("50000/day", "50000/d"),
        ] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), plain);
        }
        let bytes: ByteRate = "64 KiB / second".parse().unwrap();
        assert_eq!(bytes.to_string(), "64KiB/s");
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in [
            "",
            "100",
            "/s",
            "-1/s",
            "1.5/s",
            "0/s",
            "1/week",
            "4294967296/s",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        for text in ["10MB", "0MB/s", "10MB/min", "ten/s", "/s"] {
            assert!(text.parse::<ByteRate>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_rate_reads_back_as_written(count in 1_u32.., per in 0_usize..4) {
            let per = [Per::Second, Per::Minute, Per::Hour, Per::Day][per];
            let rate = Rate { count: NonZeroU32::new(count).unwrap(), per };
            prop_assert_eq!(rate.to_string().parse::<Rate>(), Ok(rate));
        }
    }
}

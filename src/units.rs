//! Small values that every layer shares: an instant, and the sizes and spans an operator writes.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A piece of configuration that a reload swaps while mail flows. Readers `load()` it once per decision.
pub type Live<T> = std::sync::Arc<arc_swap::ArcSwap<T>>;

/// An instant, in milliseconds since the Unix epoch. Taken only from [`crate::clock::Clock`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    pub const fn as_millis(self) -> u64 {
        self.0
    }

    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// The span since `earlier`; zero where `earlier` is later.
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This instant as a civil time in UTC.
    pub fn to_zoned(self) -> jiff::Zoned {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(millis)
            .unwrap_or(jiff::Timestamp::MAX)
            .to_zoned(jiff::tz::TimeZone::UTC)
    }

    /// As RFC 5322 §3.3 writes a date: `Thu, 1 Jan 1970 00:00:00 +0000`.
    pub fn to_rfc5322(self) -> String {
        self.to_zoned()
            .strftime("%a, %-d %b %Y %H:%M:%S +0000")
            .to_string()
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, span: Duration) -> Timestamp {
        Timestamp(
            self.0
                .saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

/// RFC 3339 with milliseconds, in UTC.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_zoned().strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// RFC 3339 text for people (JSON), milliseconds for the spool.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer).map(Self);
        }
        let text = String::deserialize(deserializer)?;
        let instant: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(Self(u64::try_from(instant.as_millisecond()).unwrap_or(0)))
    }
}

/// What is wrong with a size or a span as written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    #[error(
        "\"{0}\" is not a span of time: write a number and a unit, such as \"30s\", \"5m\", \"4h\" or \"3d\""
    )]
    Span(String),
    #[error(
        "\"{0}\" is not a size: write a number and a unit, such as \"512B\", \"64KiB\" or \"25MiB\""
    )]
    Size(String),
}

/// A span of time as an operator writes it: `"500ms"`, `"30s"`, `"5m"`, `"4h"`, `"3d"`, `"2w"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub Duration);

impl Span {
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
    pub const fn minutes(minutes: u64) -> Self {
        Self::secs(minutes * 60)
    }
    pub const fn hours(hours: u64) -> Self {
        Self::secs(hours * 3600)
    }
    pub const fn days(days: u64) -> Self {
        Self::hours(days * 24)
    }
}

/// Units of a span in milliseconds, smallest first.
const SPAN_UNITS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

/// Units of a size in bytes; decimal and binary, as IEC 80000-13 has them.
const SIZE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// `12 unit` → 12 × that unit.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

/// The number with the largest unit that divides it.
fn write_quantity(f: &mut fmt::Formatter<'_>, n: u64, units: &[(&str, u64)]) -> fmt::Result {
    let fits = |scale: u64| n != 0 && n.is_multiple_of(scale);
    let best = units
        .iter()
        .filter(|(_, scale)| fits(*scale))
        .max_by_key(|(_, scale)| *scale);
    let (name, scale) = best.copied().unwrap_or(units[0]);
    write!(f, "{}{}", n / scale, name)
}

impl FromStr for Span {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        quantity(text, &SPAN_UNITS)
            .map(Self::millis)
            .ok_or_else(|| UnitError::Span(text.to_owned()))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        write_quantity(f, millis, &SPAN_UNITS)
    }
}

/// A size in bytes as an operator writes it: `"512B"`, `"64KiB"`, `"25MB"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size(pub u64);

impl Size {
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }
}

impl FromStr for Size {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        quantity(text, &SIZE_UNITS)
            .map(Self)
            .ok_or_else(|| UnitError::Size(text.to_owned()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_quantity(f, self.0, &SIZE_UNITS)
    }
}

/// What an operator writes as one text or as a list of texts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    More(Vec<String>),
}

/// Reads one text or a list of them, each as a `T`. What is neither is told to be no `expected`.
pub fn one_or_more<'de, D, T>(deserializer: D, expected: &str) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let texts = Texts::deserialize(deserializer);
    let neither = |_| D::Error::custom(format!("expected {expected}"));
    let texts = match texts.map_err(neither)? {
        Texts::One(text) => vec![text],
        Texts::More(texts) => texts,
    };
    let values = texts
        .iter()
        .map(|text| text.parse().map_err(D::Error::custom));
    values.collect()
}

/// Writes one as a text and several as a list.
pub fn write_one_or_more<S: Serializer, T: Serialize>(
    values: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match values {
        [one] => one.serialize(serializer),
        several => several.serialize(serializer),
    }
}

/// The JSON Schema of one or a list of them.
pub fn one_or_more_schema<T: schemars::JsonSchema>(
    generator: &mut schemars::SchemaGenerator,
) -> schemars::Schema {
    let one = generator.subschema_for::<T>();
    schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
}

/// Text in configuration files; the JSON Schema says which.
macro_rules! written_as_text {
    ($type:ty, $name:literal, $pattern:literal) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

written_as_text!(Span, "Span", r"^\d+ *(ms|s|m|h|d|w)$");
written_as_text!(Size, "Size", r"^\d+ *(B|KB|MB|GB|KiB|MiB|GiB)$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_read_back_as_written() {
        for text in ["500ms", "30s", "5m", "4h", "3d", "2w"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["512B", "64KiB", "25MB", "1GiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_number_without_a_unit_is_refused_with_the_remedy() {
        assert!(
            "5".parse::<Span>()
                .unwrap_err()
                .to_string()
                .contains("\"5m\"")
        );
        assert!("99999999999999999999GB".parse::<Size>().is_err());
    }

    #[test]
    fn timestamps_print_as_the_standards_want() {
        let at = Timestamp::from_millis(86_400_123);
        assert_eq!(at.to_string(), "1970-01-02T00:00:00.123Z");
        assert_eq!(at.to_rfc5322(), "Fri, 2 Jan 1970 00:00:00 +0000");
        let json = serde_json::to_string(&at).unwrap();
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), at);
    }
}

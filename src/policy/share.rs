//! A part of a whole as an operator writes it, counted without rounding.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::str::FromStr;

/// `"80%"`, `"0.1%"`: a share of something, in parts per million, so that one in a thousand is exactly 0.1 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Share(u32);

/// The text is no share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a share: write a number and a percent sign, such as \"80%\" or \"0.1%\"")]
pub struct NotAShare(pub String);

/// Parts of one percent.
const PERCENT: u32 = 10_000;
const WHOLE: u128 = 1_000_000;
/// A million percent: more than anything that can be meant.
const MOST: u64 = 1_000_000;

impl Share {
    pub const fn percent(n: u32) -> Self {
        Self(n.saturating_mul(PERCENT))
    }

    /// Parts of a million.
    pub const fn ppm(n: u32) -> Self {
        Self(n)
    }

    pub const fn as_ppm(self) -> u32 {
        self.0
    }

    /// This share of `whole`, rounded down.
    pub fn of(self, whole: u64) -> u64 {
        let part = u128::from(whole) * u128::from(self.0) / WHOLE;
        u64::try_from(part).unwrap_or(u64::MAX)
    }

    /// `part` is at least this share of `whole`. Nothing is no share of nothing.
    pub fn is_reached(self, part: u64, whole: u64) -> bool {
        whole > 0 && u128::from(part) * WHOLE >= u128::from(whole) * u128::from(self.0)
    }
}

/// What share `part` is of `whole`, for people: `61 %`, `0.66 %`; rounded down, so that it never looks like more than
/// it is.
pub(crate) fn in_percent(part: u64, whole: u64) -> String {
    let hundredths = u128::from(part) * 10_000 / u128::from(whole.max(1));
    let (percent, rest) = (hundredths / 100, hundredths % 100);
    match rest {
        0 => format!("{percent} %"),
        rest if rest.is_multiple_of(10) => format!("{percent}.{} %", rest / 10),
        rest => format!("{percent}.{rest:02} %"),
    }
}

impl Share {
    /// As it is written in a configuration: without the space.
    fn to_text(self) -> String {
        let (percent, rest) = (self.0 / PERCENT, self.0 % PERCENT);
        let fraction = format!("{rest:04}");
        match fraction.trim_end_matches('0') {
            "" => format!("{percent}%"),
            fraction => format!("{percent}.{fraction}%"),
        }
    }
}

/// For people: `80 %`.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_text();
        write!(f, "{} %", text.trim_end_matches('%'))
    }
}

impl FromStr for Share {
    type Err = NotAShare;

    fn from_str(text: &str) -> Result<Self, NotAShare> {
        let refused = || NotAShare(text.to_owned());
        let number = text.trim().strip_suffix('%').ok_or_else(refused)?.trim();
        let (percent, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(percent) || !digits(fraction) || fraction.len() > 4 {
            return Err(refused());
        }
        let percent: u64 = percent.parse().map_err(|_| refused())?;
        let fraction: u64 = format!("{fraction:0<4}").parse().map_err(|_| refused())?;
        let ppm = percent.min(MOST) * u64::from(PERCENT) + fraction;
        u32::try_from(ppm).map(Self).map_err(|_| refused())
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl schemars::JsonSchema for Share {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": r"^\d+(\.\d{1,4})? *%$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_reads_back_as_written() {
        for text in ["80%", "0.1%", "2.5%", "0.0001%", "100%", "0%"] {
            let share: Share = text.parse().unwrap();
            assert_eq!(share.to_text(), text);
            let json = serde_json::to_string(&share).unwrap();
            assert_eq!(serde_json::from_str::<Share>(&json).unwrap(), share);
        }
        assert_eq!("80 %".parse(), Ok(Share::percent(80)));
        assert_eq!(Share::percent(80).to_string(), "80 %");
    }

    #[test]
    fn what_is_no_share_is_refused_with_the_remedy() {
        for text in [
            "80",
            "%",
            "-1%",
            "1,5%",
            "0.00001%",
            "a%",
            ".5%",
            "1.%",
            "1e3%",
            "99999999999999%",
        ] {
            let refused = text.parse::<Share>().unwrap_err().to_string();
            assert!(refused.contains("\"80%\""), "{text}");
        }
    }

    #[test]
    fn one_in_a_thousand_is_exactly_a_tenth_of_a_percent() {
        let tenth: Share = "0.1%".parse().unwrap();
        assert!(tenth.is_reached(1, 1_000));
        assert!(!tenth.is_reached(1, 1_001));
        assert!(!tenth.is_reached(0, 0));
        assert!(Share::percent(80).is_reached(40, 50));
        assert!(!Share::percent(80).is_reached(39, 50));
        assert!(Share::percent(100).is_reached(u64::MAX, u64::MAX));
        assert_eq!(Share::percent(2).of(49), 0);
        assert_eq!(Share::percent(2).of(50), 1);
    }

    #[test]
    fn a_percentage_for_people_is_never_rounded_up() {
        assert_eq!(in_percent(61, 100), "61 %");
        assert_eq!(in_percent(1, 150), "0.66 %");
        assert_eq!(in_percent(999, 1_000_000), "0.09 %");
        assert_eq!(in_percent(25, 1_000), "2.5 %");
        assert_eq!(in_percent(1, 0), "100 %");
    }
}

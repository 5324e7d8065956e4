//! Where a unit is on its ramp.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::str::FromStr;

/// A stage of the schedule, or past the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// From 1.
    At(u32),
    /// No cap.
    Warm,
}

/// The text is no stage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a stage: write a number from 1, or \"warm\"")]
pub struct NotAStage(pub String);

impl FromStr for Stage {
    type Err = NotAStage;

    fn from_str(text: &str) -> Result<Self, NotAStage> {
        let number = || text.parse().ok().filter(|n| *n >= 1).map(Self::At);
        let stage = if text == "warm" {
            Some(Self::Warm)
        } else {
            number()
        };
        stage.ok_or_else(|| NotAStage(text.to_owned()))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(stage) => stage.fmt(f),
            Self::Warm => f.write_str("warm"),
        }
    }
}

/// A number, or `"warm"`.
impl Serialize for Stage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(stage) => serializer.serialize_u32(*stage),
            Self::Warm => serializer.serialize_str("warm"),
        }
    }
}

impl<'de> Deserialize<'de> for Stage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a stage: a number from 1, or \"warm\"")]
        enum Written {
            Number(u32),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map_err(D::Error::custom)
    }
}

//! `[intake]`: what a message may look like, and what is done to it.

use crate::problem::Problems;
use crate::units::Size;
use serde::{Deserialize, Serialize};

/// What is done with 8-bit text in a body.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum EightBit {
    /// The body stays as it came. A next hop without 8BITMIME gets a bounce.
    #[default]
    Keep,
    /// Text is turned into quoted-printable and other parts into base64 before signing, unless the message is signed
    /// or encrypted. Any next hop can then take it.
    Encode,
}

/// Checks and changes on the way in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Largest message, header section included. Also announced in EHLO as SIZE.
    pub max_message: Size,
    /// Largest header section.
    pub max_header: Size,
    /// A message with more Received fields than this is in a loop and is refused.
    pub received_limit: usize,
    /// What is done with 8-bit text in a body: "keep" or "encode".
    pub eight_bit: EightBit,
    /// With eight_bit = "encode": a larger body is kept as it came. Up to this much memory is used for each message
    /// while it comes in.
    pub encode_limit: Size,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_message: Size::mib(50),
            max_header: Size::kib(256),
            received_limit: 50,
            eight_bit: EightBit::Keep,
            encode_limit: Size::mib(4),
        }
    }
}

impl Config {
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.max_header < Size::kib(8) {
            let message = format!(
                "{} is too small for the header sections of usual mail",
                self.max_header
            );
            problems.add(format!("{at}.max_header"), message, "write 8KiB or more");
        }
        if self.max_message < self.max_header {
            problems.add(
                format!("{at}.max_message"),
                format!(
                    "a message of {} cannot hold a header section of max_header",
                    self.max_message
                ),
                format!("write {} or more", self.max_header),
            );
        }
        if self.received_limit < 10 {
            problems.add(
                format!("{at}.received_limit"),
                "usual mail that was forwarded once or twice would be refused as a loop",
                "write 10 or more, such as 50",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_mistakes_are_told_together() {
        let mut problems = Problems::default();
        Config::default().validate("intake", &mut problems);
        assert!(problems.is_empty(), "{problems:?}");

        let wrong = Config {
            max_message: Size(100),
            max_header: Size(200),
            received_limit: 0,
            ..Config::default()
        };
        wrong.validate("intake", &mut problems);
        let keys: Vec<&str> = problems.0.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "intake.max_header",
                "intake.max_message",
                "intake.received_limit"
            ]
        );
    }
}

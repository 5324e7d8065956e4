//! Tokens of return paths.

use super::Case;
use mailwright::bounce::token::{Keys, Purpose, Token};
use mailwright::mail::MessageId;
use std::time::Duration;

/// The token of one recipient, as its return path has it.
pub struct Seal;

impl Case for Seal {
    type Input = Keys;
    type Output = (Keys, String);

    fn input() -> Self::Input {
        keys()
    }

    fn run(keys: Self::Input) -> Self::Output {
        let token = Token::new(MessageId(0x0000_019a_d1ff_4000), Some(0), Some("acme"));
        let text = keys.seal(&token, Purpose::Return);
        (keys, text)
    }
}

pub fn keys() -> Keys {
    Keys::new(&[[7; 32]], Duration::from_secs(3600)).expect("a key")
}

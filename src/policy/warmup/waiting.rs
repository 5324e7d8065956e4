//! Why a source may not send now.

use super::keys::WHOLE;
use crate::units::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What keeps mail from leaving by a source that warms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    pub source: Arc<str>,
    /// `None`: all mail of the source waits.
    pub provider: Option<Arc<str>>,
    /// When to ask again. `None`: when an operator has done something.
    pub until: Option<Timestamp>,
    #[serde(flatten)]
    pub why: Reason,
}

/// Which fact it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Reason {
    /// What of the day's cap has been released is used.
    Spent {
        /// Sending day, from 1.
        day: u32,
        stage: u32,
        stages: u32,
        cap: u64,
        /// Of the cap, by the hours that it is spread over.
        released: u64,
        used: u64,
    },
    /// A block, or an operator.
    Paused { because: String, by_hand: bool },
    /// The warm-up begins on a later day.
    NotStarted { started: Date },
    /// What the store has cannot be read, and is not guessed.
    Unreadable { key: String, because: String },
    /// The clock is before every day of which is known what was used.
    ClockIsBack { first: Date },
    /// The store does not answer.
    Unavailable { because: String },
}

/// What helps where the store as a whole is not what it was.
const RESTART: &str = "no command puts this right: put the data back, or restart Mailwright, which begins at stage 1 \
     where nothing is there, and then `mailwright warmup set` each source to where it was";

/// What a command of the warm-up can put right.
fn is_of_warmup(key: &str) -> bool {
    key.starts_with("warmup/")
}

/// What helps where what is at `key` cannot be read.
pub(super) fn remedy(key: &str) -> &'static str {
    match is_of_warmup(key) {
        true => "`mailwright warmup set` puts it right",
        false => RESTART,
    }
}

/// To follow "waits for"; until when is for others to say.
impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let provider = self.provider.as_deref().unwrap_or(WHOLE);
        write!(f, "warm-up of {} to {provider}: {}", self.source, self.why)?;
        match (&self.why, self.until) {
            (Reason::Unreadable { key, .. }, _) if !is_of_warmup(key) => {
                write!(f, "; {RESTART}")
            }
            (Reason::Unreadable { .. } | Reason::ClockIsBack { .. }, _) => {
                let source = &self.source;
                // A shell would make file names of a bare asterisk.
                let provider = self.provider.as_deref().unwrap_or("'*'");
                write!(
                    f,
                    "; `mailwright warmup set {source} {provider} STAGE` puts it right"
                )
            }
            (_, Some(_)) => Ok(()),
            (_, None) => write!(f, "; until an operator lets it go on"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spent {
                day,
                stage,
                stages,
                cap,
                released,
                used,
            } => {
                write!(
                    f,
                    "{used} of {cap} used on sending day {day}, stage {stage} of {stages}"
                )?;
                if released < cap {
                    write!(f, ", {released} released so far")?;
                }
                Ok(())
            }
            Self::Paused { because, by_hand } => {
                let hand = if *by_hand { " by hand" } else { "" };
                write!(f, "paused{hand}: {because}")
            }
            Self::NotStarted { started } => write!(f, "begins on {started}"),
            Self::Unreadable { key, because } => {
                write!(f, "what the store has at {key} cannot be read: {because}")
            }
            Self::ClockIsBack { first } => {
                write!(
                    f,
                    "the clock is set before {first}, the first day that is known"
                )
            }
            Self::Unavailable { because } => because.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::operate::OperateError;
    use super::*;

    fn waiting(key: &str) -> String {
        let why = Reason::Unreadable {
            key: key.into(),
            because: "it is missing".into(),
        };
        let waiting = Waiting {
            source: "ip-a".into(),
            provider: None,
            until: None,
            why,
        };
        waiting.to_string()
    }

    #[test]
    fn a_store_that_was_emptied_asks_for_a_restart_and_not_for_a_command_that_fails() {
        let error = OperateError::Unreadable {
            key: "format".into(),
            because: "Redis has lost what it held".into(),
        };
        for text in [waiting("format"), error.to_string()] {
            assert!(text.ends_with(RESTART), "{text}");
            assert!(!text.contains("STAGE"), "{text}");
        }
    }

    #[test]
    fn a_command_that_is_suggested_can_be_pasted_into_a_shell() {
        let text = waiting("warmup/unit/ip-a/*");
        let remedy = "`mailwright warmup set ip-a '*' STAGE` puts it right";
        assert!(text.ends_with(remedy), "{text}");
    }
}

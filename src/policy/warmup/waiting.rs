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

/// To follow "waits for"; until when is for others to say.
impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let provider = self.provider.as_deref().unwrap_or(WHOLE);
        write!(f, "warm-up of {} to {provider}: {}", self.source, self.why)?;
        match (&self.why, self.until) {
            (Reason::Unreadable { .. } | Reason::ClockIsBack { .. }, _) => {
                let source = &self.source;
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

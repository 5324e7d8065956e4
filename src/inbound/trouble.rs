//! Why something could not be done now.

use crate::books::BooksError;
use crate::bounce::token::TokenError;
use crate::mail::{EnhancedCode, Reply};
use crate::reports::ReportsError;
use crate::store::StoreError;
use std::io;

/// What does not answer; trying again later helps.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error("the store does not answer: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Books(#[from] BooksError),
    #[error(transparent)]
    Reports(#[from] ReportsError),
    #[error("the message could not be kept: {0}")]
    Disk(#[from] io::Error),
    #[error("the event log cannot keep up")]
    Events,
}

/// Why nobody was unsubscribed.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It is signed by us, and names nobody that we know.
    #[error("its message is not in the books")]
    Unknown,
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

impl Trouble {
    /// What the client is told: the message was not taken, and may be sent again.
    pub fn reply(&self, command: &str) -> Reply {
        let (code, enhanced, text) = match self {
            Self::Disk(_) => (
                452,
                EnhancedCode(4, 3, 1),
                "no room to keep the message, try again later",
            ),
            _ => (
                451,
                EnhancedCode(4, 3, 0),
                "what it changes cannot be written down now, try again later",
            ),
        };
        Reply::local(code, enhanced, text, command)
    }
}

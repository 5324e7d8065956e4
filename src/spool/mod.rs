//! Durable messages. (State table and format: written by the spool's author, here, before the code.)

mod cache;
mod committer;
mod compactor;
mod config;
mod content;
pub mod disk;
mod draft;
mod keeper;
mod ledger;
mod log;
mod pool;
mod queue;
mod read;
mod record;
mod recovery;
mod replay;
mod shared;
#[cfg(test)]
mod tests;
mod walk;

pub use config::Config;
pub use content::Content;
pub use draft::Draft;
pub use log::{Commit, Spool};
pub use recovery::{Damage, Final, OpenError, RecoveryReport};

use crate::mail::{Disposition, Envelope, Labels, MessageId, Reply};
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is kept about a message beside its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    pub id: MessageId,
    pub envelope: Envelope,
    pub labels: Arc<Labels>,
    /// When it was accepted.
    pub received: Timestamp,
    /// Not before this.
    pub send_at: Option<Timestamp>,
    /// Given up after this; `None` is the retry schedule's expiry.
    pub expires: Option<Timestamp>,
    /// The content has octets over 127, in its header section or its body.
    pub eight_bit_header: bool,
    pub eight_bit_body: bool,
}

/// How far one recipient has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    pub done: bool,
    pub attempts: u16,
    /// Not before this (set by a deferral).
    pub until: Timestamp,
    /// An attempt was under way at an unclean stop: the next delivery is a possible duplicate.
    pub in_doubt: bool,
    /// What the last deferral said.
    pub last: Option<Arc<Reply>>,
}

/// A message in the spool, as start-up finds it or `queue show` asks.
#[derive(Debug, Clone)]
pub struct Stored {
    pub meta: Meta,
    /// Octets of header section and body.
    pub size: u64,
    /// One a recipient, in envelope order.
    pub progress: Vec<Progress>,
    /// Held by the operator, and why.
    pub held: Option<Arc<str>>,
}

/// What became of some recipients of one message in one attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mark {
    pub id: MessageId,
    pub at: Timestamp,
    /// Recipient (position in the envelope), attempts so far, disposition.
    pub outcomes: Vec<(u16, u16, Disposition)>,
}

/// Why the spool did not take a message or a mark. Every variant is a 4xx to a client: nothing was lost.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SpoolError {
    #[error("disk space or inodes below the configured reserve")]
    NoSpace,
    #[error("the spool cannot write: {0}")]
    Io(Arc<str>),
    #[error("the spool is closed")]
    Closed,
    #[error("no such message")]
    NotFound,
    #[error("the record at {0} is corrupt and was set aside")]
    Corrupt(String),
}

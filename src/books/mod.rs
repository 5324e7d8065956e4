//! The books: what left us lately, so that what comes back finds its message.
//!
//! One record a message, for as long as tokens are good. They are an index, not the truth of delivery: the event log is.

use crate::mail::{Address, Labels, MessageId};
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub labels: Arc<Labels>,
    pub sender: Option<Address>,
    pub size: u64,
    pub recipients: Vec<Sent>,
}

/// One recipient of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// In the envelope.
    pub position: u16,
    pub address: Address,
    pub site: Option<Arc<str>>,
    pub source: Option<Arc<str>>,
    pub provider: Option<Arc<str>>,
    pub attempt: u16,
    /// When it was delivered.
    pub at: Timestamp,
    /// A notice of failure came back.
    pub returned: bool,
    /// A complaint came in.
    pub complained: bool,
    /// It asked for no more.
    pub unsubscribed: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("the books cannot be used: {0}")]
pub struct BooksError(pub String);

/// The books of this node. Cheap to clone.
#[derive(Clone)]
pub struct Books {}

impl Books {
    /// What is known of a message.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn find(&self, id: MessageId) -> Result<Option<Entry>, BooksError> {
        let _ = id;
        Ok(None)
    }
}

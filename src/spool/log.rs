//! The segment log.

use super::{Content, Draft, Mark, Meta, SpoolError, Stored};
use crate::mail::MessageId;

/// A message ready to be made durable.
pub struct Commit {
    pub meta: Meta,
    /// The header section as it will be sent, closing empty line included.
    pub head: Vec<u8>,
    pub body: Draft,
}

/// The durable store of messages. Cheap to clone.
#[derive(Clone)]
pub struct Spool {}

impl Spool {
    /// An id that no message of this spool has had.
    pub fn next_id(&self) -> MessageId {
        todo!()
    }

    /// Whether new mail may come in: space and inodes above the reserve, the log writable. Cheap: asked at MAIL.
    pub fn accepting(&self) -> Result<(), SpoolError> {
        todo!()
    }

    pub fn draft(&self) -> Draft {
        todo!()
    }

    /// Makes a message ours: durable when this returns.
    pub async fn commit(&self, _message: Commit) -> Result<(), SpoolError> {
        todo!()
    }

    /// Journals, durably, that attempt `attempt` at these recipients is about to send its final dot.
    pub async fn in_doubt(
        &self,
        _id: MessageId,
        _recipients: &[u16],
        _attempt: u16,
    ) -> Result<(), SpoolError> {
        todo!()
    }

    /// Records outcomes, durably. The message is gone when all its recipients have a final one.
    pub async fn mark(&self, _mark: Mark) -> Result<(), SpoolError> {
        todo!()
    }

    /// Holds (`Some(why)`) or releases (`None`) a message, durably.
    pub async fn hold(&self, _id: MessageId, _why: Option<&str>) -> Result<(), SpoolError> {
        todo!()
    }

    /// Meta, size and progress of a live message.
    pub async fn stored(&self, _id: MessageId) -> Result<Stored, SpoolError> {
        todo!()
    }

    /// The content of a live message.
    pub async fn content(&self, _id: MessageId) -> Result<Content, SpoolError> {
        todo!()
    }

    /// Syncs everything written and closes the log; later calls give [`SpoolError::Closed`].
    pub async fn close(&self) -> Result<(), SpoolError> {
        todo!()
    }
}

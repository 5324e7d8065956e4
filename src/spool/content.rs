//! A message's octets while they arrive and when they are read back.

use super::SpoolError;
use bytes::Bytes;

/// The body of a message being received: in memory up to the inline limit, then in a file of its own.
pub struct Draft {}

impl Draft {
    /// Appends body octets (everything behind the empty line that ends the header section).
    pub async fn write(&mut self, _chunk: &[u8]) -> Result<(), SpoolError> {
        todo!()
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        todo!()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A message as it will be sent: header section (with its closing empty line), then body.
///
/// Small bodies are held; large ones are read from their file chunk by chunk.
pub struct Content {
    pub head: Bytes,
}

impl Content {
    /// Octets of head and body.
    pub fn len(&self) -> u64 {
        todo!()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next piece of the message (head first), of at most some tens of KiB unless it is held whole; `None` at
    /// the end. Checksums are verified before the last piece is given out.
    pub async fn next(&mut self) -> Result<Option<Bytes>, SpoolError> {
        todo!()
    }
}

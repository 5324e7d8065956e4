//! A message's octets when they are read back.

use super::draft::blocking;
use super::record::Large;
use super::{SpoolError, read};
use bytes::Bytes;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// Octets of a large body that are read at once.
const PIECE: u64 = 64 << 10;

/// A message as it will be sent: header section (with its closing empty line), then body.
///
/// Small bodies are held; large ones are read from their file chunk by chunk.
pub struct Content {
    pub head: Bytes,
    head_given: bool,
    body: Body,
}

enum Body {
    Held(Bytes),
    Given(u64),
    File(Reading),
}

struct Reading {
    file: Arc<File>,
    path: PathBuf,
    aside: PathBuf,
    at: u64,
    large: Large,
    crc: crc32fast::Hasher,
}

/// A whole small message in memory.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub head: Bytes,
    pub body: Bytes,
}

impl Held {
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

impl Content {
    /// A message that is in memory.
    pub fn held(head: Bytes, body: Bytes) -> Self {
        Self {
            head,
            head_given: false,
            body: Body::Held(body),
        }
    }

    /// A message whose body is in the file `path`; a damaged one is kept as `aside`.
    pub(super) fn from_file(
        head: Bytes,
        path: PathBuf,
        aside: PathBuf,
        large: Large,
    ) -> std::io::Result<Self> {
        let file = Arc::new(File::open(&path)?);
        Ok(Self {
            head,
            head_given: false,
            body: Body::File(Reading {
                file,
                path,
                aside,
                at: 0,
                large,
                crc: crc32fast::Hasher::new(),
            }),
        })
    }

    /// Octets of head and body.
    pub fn len(&self) -> u64 {
        let body = match &self.body {
            Body::Held(body) => body.len() as u64,
            Body::Given(len) => *len,
            Body::File(reading) => reading.large.len,
        };
        self.head.len() as u64 + body
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next piece of the message (head first), of at most some tens of KiB unless it is held whole; `None` at
    /// the end. Checksums are verified before the last piece is given out.
    pub async fn next(&mut self) -> Result<Option<Bytes>, SpoolError> {
        if !self.head_given {
            self.head_given = true;
            if !self.head.is_empty() {
                return Ok(Some(self.head.clone()));
            }
        }
        match &mut self.body {
            Body::Given(_) => Ok(None),
            Body::Held(body) => {
                let body = std::mem::take(body);
                self.body = Body::Given(body.len() as u64);
                Ok((!body.is_empty()).then_some(body))
            }
            Body::File(reading) => reading.next().await,
        }
    }
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, SpoolError> {
        let len = PIECE.min(self.large.len - self.at);
        if len == 0 {
            return Ok(None);
        }
        let (file, at) = (Arc::clone(&self.file), self.at);
        let read = blocking(move || {
            let mut piece = vec![0; len as usize];
            file.read_exact_at(&mut piece, at)?;
            Ok(piece)
        })
        .await;
        let Ok(piece) = read else {
            return Err(self.set_aside());
        };
        self.at += len;
        self.crc.update(&piece);
        if self.at == self.large.len && self.crc.clone().finalize() != self.large.crc {
            return Err(self.set_aside());
        }
        Ok(Some(piece.into()))
    }

    /// Keeps the damaged file for the operator when its message is finished and its own name goes.
    fn set_aside(&self) -> SpoolError {
        read::keep_link(&self.path, &self.aside);
        SpoolError::Corrupt(self.path.display().to_string())
    }
}

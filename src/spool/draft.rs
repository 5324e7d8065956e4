//! The body of a message while it arrives.

use super::SpoolError;
use super::disk;
use super::record::Large;
use super::shared::Shared;
use crate::mail::MessageId;
use bytes::Bytes;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Octets of a large body that are gathered before they are written to its file.
const PIECE: usize = 256 << 10;

/// The body of a message being received: in memory up to the inline limit, then in a file of its own.
///
/// Holds at most the larger of the inline limit and 256 KiB. Dropped, it leaves nothing behind.
pub struct Draft {
    shared: Arc<Shared>,
    held: Vec<u8>,
    file: Option<Spill>,
    len: u64,
}

struct Spill {
    file: Arc<File>,
    written: u64,
    crc: crc32fast::Hasher,
    part: Part,
}

/// The name of an unfinished file, which goes with the draft.
struct Part(Option<PathBuf>);

/// A body that is complete: small, or durable in its file.
pub(super) enum Complete {
    Inline(Bytes),
    Large(Large),
}

impl Draft {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            held: Vec::new(),
            file: None,
            len: 0,
        }
    }

    /// Appends body octets (everything behind the empty line that ends the header section).
    pub async fn write(&mut self, chunk: &[u8]) -> Result<(), SpoolError> {
        self.held.extend_from_slice(chunk);
        self.len += chunk.len() as u64;
        let over = self.len > self.shared.config.inline_limit.0;
        if over && (self.file.is_none() || self.held.len() >= PIECE) {
            self.spill().await?;
        }
        Ok(())
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Ends the body. A large one is in its file under the name of `id`, durably, when this returns.
    pub(super) async fn complete(mut self, id: MessageId) -> Result<Complete, SpoolError> {
        if self.file.is_none() {
            // A write that was given up half-way took the octets with it.
            if self.held.len() as u64 != self.len {
                return Err(SpoolError::Io("the body is incomplete".into()));
            }
            return Ok(Complete::Inline(std::mem::take(&mut self.held).into()));
        }
        if !self.held.is_empty() {
            self.spill().await?;
        }
        let Some(spill) = self.file.take() else {
            return Err(SpoolError::NotFound);
        };
        let large = Large {
            len: spill.written,
            crc: spill.crc.finalize(),
        };
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            if shared.config.sync {
                shared.disk.sync(&spill.file)?;
            }
            let to = shared.layout.body(id);
            spill.part.rename(&to)?;
            if shared.config.sync {
                shared.disk.sync_names(&shared.layout.large())?;
            }
            Ok(())
        })
        .await?;
        Ok(Complete::Large(large))
    }

    /// Writes what is held to the file, which is made first where there is none.
    async fn spill(&mut self) -> Result<(), SpoolError> {
        let mut octets = std::mem::take(&mut self.held);
        let shared = Arc::clone(&self.shared);
        let spill = self.file.take();
        let (spill, octets) = blocking(move || {
            let mut spill = match spill {
                Some(spill) => spill,
                None => Spill::create(&shared)?,
            };
            shared.disk.write_at(&spill.file, &octets, spill.written)?;
            spill.written += octets.len() as u64;
            spill.crc.update(&octets);
            octets.clear();
            Ok((spill, octets))
        })
        .await?;
        self.file = Some(spill);
        self.held = octets;
        Ok(())
    }
}

impl Spill {
    fn create(shared: &Shared) -> std::io::Result<Self> {
        let path = shared.layout.part(shared.next_part());
        let file = Arc::new(disk::create(&path)?);
        Ok(Self {
            file,
            written: 0,
            crc: crc32fast::Hasher::new(),
            part: Part(Some(path)),
        })
    }
}

impl Part {
    /// Gives the finished file its lasting name.
    fn rename(mut self, to: &Path) -> std::io::Result<()> {
        if let Some(from) = &self.0 {
            std::fs::rename(from, to)?;
        }
        self.0 = None;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // What cannot be removed now is removed at the next start.
            let _left = std::fs::remove_file(path);
        }
    }
}

/// Runs file work where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, SpoolError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(_stopping) => Err(SpoolError::Closed),
    }
}

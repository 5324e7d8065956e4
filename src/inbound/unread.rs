//! Mail that nobody understands, kept in files for a person to see.
//!
//! ```text
//!   <time>-<id>.new    being written            a crash leaves it; the next start deletes it
//!   <time>-<id>.eml    whole and synced         250 was said, or will be when it is sent again
//! ```
//!
//! Names sort by time, so that the oldest is the first.

use crate::mail::MessageId;
use crate::units::Timestamp;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The directory and what is in it. Cheap to clone.
#[derive(Clone)]
pub struct Unread(Arc<Shared>);

struct Shared {
    dir: PathBuf,
    kept: Mutex<Kept>,
}

/// What is there, by name.
#[derive(Default)]
struct Kept {
    sizes: BTreeMap<String, u64>,
    total: u64,
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub count: usize,
    pub octets: u64,
}

impl Unread {
    /// Reads what `dir` holds; makes it with the first message. What another program put there is left alone.
    ///
    /// # Errors
    /// It is there, and cannot be read.
    pub fn open(dir: PathBuf) -> io::Result<Self> {
        let mut kept = Kept::default();
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            entries => Some(entries?),
        };
        for entry in entries.into_iter().flatten() {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if name.ends_with(".new") {
                fs::remove_file(entry.path())?;
            } else if name.ends_with(".eml") {
                kept.put(name, entry.metadata()?.len());
            }
        }
        let kept = Mutex::new(kept);
        Ok(Self(Arc::new(Shared { dir, kept })))
    }

    /// Messages kept.
    pub fn count(&self) -> usize {
        self.0.kept.lock().sizes.len()
    }

    /// Keeps a message, and removes the oldest until all are within `bounds`; the newest stays. It is durable when this
    /// returns. Blocks for the disk.
    ///
    /// # Errors
    /// The disk takes nothing.
    pub fn keep(
        &self,
        (at, id): (Timestamp, MessageId),
        message: &[&[u8]],
        bounds: Bounds,
    ) -> io::Result<PathBuf> {
        let Shared { dir, kept } = &*self.0;
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        // Without colons, which some file systems do not take.
        let time = at.to_string().replace([':', '-'], "");
        let name = format!("{time}-{id}.eml");
        let path = dir.join(&name);
        let size = write_durably(&path, message)?;
        let mut kept = kept.lock();
        kept.put(name.clone(), size);
        while let Some(oldest) = kept.too_much(bounds, &name) {
            match fs::remove_file(dir.join(&oldest)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, file = oldest, "a message that was kept cannot be removed");
                }
                _ => {}
            }
            kept.remove(&oldest);
        }
        Ok(path)
    }
}

impl Kept {
    fn put(&mut self, name: String, size: u64) {
        self.remove(&name);
        self.total += size;
        self.sizes.insert(name, size);
    }

    fn remove(&mut self, name: &str) {
        let size = self.sizes.remove(name).unwrap_or_default();
        self.total = self.total.saturating_sub(size);
    }

    /// What goes next, where more is kept than may be.
    fn too_much(&self, bounds: Bounds, newest: &str) -> Option<String> {
        let over = self.sizes.len() > bounds.count || self.total > bounds.octets;
        let mut names = self.sizes.keys().filter(|name| *name != newest);
        over.then(|| names.next().cloned()).flatten()
    }
}

fn write_durably(path: &Path, message: &[&[u8]]) -> io::Result<u64> {
    let fresh = path.with_extension("new");
    let written = write_whole(&fresh, message).and_then(|size| {
        fs::rename(&fresh, path)?;
        if let Some(dir) = path.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(size)
    });
    if written.is_err() {
        // A part of a message helps nobody, and the disk may be full.
        let _best_effort = fs::remove_file(&fresh);
    }
    written
}

fn write_whole(path: &Path, message: &[&[u8]]) -> io::Result<u64> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    for part in message {
        file.write_all(part)?;
    }
    file.sync_all()?;
    Ok(message.iter().map(|part| part.len() as u64).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const BOUNDS: Bounds = Bounds {
        count: 3,
        octets: 100,
    };

    fn keep(unread: &Unread, n: u64, text: &str) -> PathBuf {
        let at = (Timestamp::from_millis(n * 1000), MessageId(n));
        unread.keep(at, &[text.as_bytes()], BOUNDS).unwrap()
    }

    fn names(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn the_oldest_go_where_there_are_too_many_or_too_much() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("unread");
        let unread = Unread::open(dir.clone()).unwrap();
        let paths: Vec<_> = (1..=4).map(|n| keep(&unread, n, "hello")).collect();
        assert!(!paths[0].exists());
        assert_eq!(fs::read(&paths[3]).unwrap(), b"hello");
        let mode = fs::metadata(&paths[3]).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        keep(&unread, 5, &"x".repeat(92));
        assert_eq!((unread.count(), names(&dir)), (2, 2));
        // One that is too large alone stays, alone.
        keep(&unread, 6, &"x".repeat(200));
        assert_eq!((unread.count(), names(&dir)), (1, 1));
    }

    #[test]
    fn what_was_kept_is_counted_after_a_start_and_half_of_a_message_is_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let unread = Unread::open(dir.path().to_owned()).unwrap();
        keep(&unread, 1, "a");
        keep(&unread, 2, "b");
        fs::write(dir.path().join("3-x.new"), "half").unwrap();
        fs::write(dir.path().join("README"), "a person's").unwrap();
        let unread = Unread::open(dir.path().to_owned()).unwrap();
        assert_eq!(unread.count(), 2);
        keep(&unread, 3, "c");
        keep(&unread, 4, "d");
        assert_eq!((unread.count(), names(dir.path())), (3, 4));
    }
}

//! Files set aside: compressed on a thread of their own, written anew where a person is to be forgotten, removed when
//! they are old.
//!
//! ```text
//! events-T-N.jsonl                    set aside             crash → compressed at the next start
//! events-T-N.jsonl + .zst.tmp         being compressed      crash → .zst.tmp deleted, begun anew
//! events-T-N.jsonl + .zst             compressed, synced    crash → .jsonl deleted
//! events-T-N.jsonl.zst                done
//! ```

use super::erase::Erasure;
use super::file::rotated_at;
use crate::units::{Span, Timestamp};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

enum Order {
    /// A file to compress, and the time it is: what is old by then goes.
    Compress(PathBuf, Timestamp),
    Erase(Erasure),
}

/// The archive thread.
pub struct Archive {
    orders: Sender<Order>,
    thread: JoinHandle<()>,
}

impl Archive {
    /// Starts the thread with what an earlier run left uncompressed.
    pub fn start(dir: &Path, keep: Span, now: Timestamp) -> io::Result<Self> {
        let left = leftovers(dir)?;
        let (orders, queue) = channel();
        let dir = dir.to_owned();
        let thread = std::thread::Builder::new()
            .name("event-archive".to_owned())
            .spawn(move || run(&queue, &dir, keep))?;
        let archive = Self { orders, thread };
        for path in left {
            archive.add(path, now);
        }
        // Old files go at start too, where nothing is to be compressed.
        archive.add(PathBuf::new(), now);
        Ok(archive)
    }

    /// Has `path`, which is written no more, compressed.
    pub fn add(&self, path: PathBuf, now: Timestamp) {
        // A thread that ended has said so; the file stays as it is and is found at the next start.
        let _ended = self.orders.send(Order::Compress(path, now));
    }

    /// Has an address taken out of all that has been added.
    pub fn erase(&self, erasure: Erasure) {
        // As above; whoever waits is told by the drop of the order.
        let _ended = self.orders.send(Order::Erase(erasure));
    }

    /// Waits until everything added is compressed.
    pub fn finish(self) {
        drop(self.orders);
        if self.thread.join().is_err() {
            tracing::error!("the event archive failed");
        }
    }
}

fn run(queue: &Receiver<Order>, dir: &Path, keep: Span) {
    for order in queue {
        let (path, now) = match order {
            Order::Compress(path, now) => (path, now),
            Order::Erase(erasure) => {
                erasure.carry_out(dir);
                continue;
            }
        };
        if !path.as_os_str().is_empty()
            && let Err(error) = compress(&path)
        {
            tracing::error!(%error, file = %path.display(), "an event file stays uncompressed");
        }
        if let Err(error) = remove_old(dir, keep, now) {
            tracing::error!(%error, "old event files cannot be removed");
        }
    }
}

/// Level 6 makes event lines about a fifteenth of their size at tens of MB a second.
pub const LEVEL: i32 = 6;

fn compress(path: &Path) -> io::Result<()> {
    let done = path.with_extension("jsonl.zst");
    let unfinished = path.with_extension("jsonl.zst.tmp");
    let mut source = File::open(path)?;
    let target = File::create(&unfinished)?;
    let mut encoder = zstd::Encoder::new(target, LEVEL)?;
    encoder.include_checksum(true)?;
    io::copy(&mut source, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    std::fs::rename(&unfinished, &done)?;
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    std::fs::remove_file(path)
}

/// Clears up after an unclean stop; gives the files still to be compressed.
fn leftovers(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    for path in rotated_files(dir)? {
        match path.extension().and_then(|e| e.to_str()) {
            Some("tmp") => std::fs::remove_file(&path)?,
            Some("jsonl") if path.with_extension("jsonl.zst").exists() => {
                std::fs::remove_file(&path)?;
            }
            Some("jsonl") => left.push(path),
            _ => {}
        }
    }
    Ok(left)
}

fn remove_old(dir: &Path, keep: Span, now: Timestamp) -> io::Result<()> {
    for path in rotated_files(dir)? {
        if rotated_at(&path).is_some_and(|at| now.since(at) > keep.0) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Files set aside, compressed or not, oldest first.
pub fn rotated_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if rotated_at(&path).is_some() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

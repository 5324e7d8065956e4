//! The event log: JSON lines in `events.jsonl`, rotated, compressed, kept for a while.
//!
//! ```text
//! take ─▶ batch ─▶ writer thread ─▶ events.jsonl ─▶ (size, age) rename to events-TIME-N.jsonl
//!                                                           └▶ archive thread: zstd ─▶ events-TIME-N.jsonl.zst
//! ```
//!
//! An event is never dropped, and nobody waits for the disk to take one: lines wait in memory. Where more than
//! [`waiting::MOST`] do, because the disk is too slow or refuses, [`Sink::is_behind`] says so and intake takes no new mail;
//! what is in the queue goes on and bounds what can still come. (The spool stops taking mail below its reserve of disk
//! space, which the log shares.)
//!
//! Lines are complete or absent: what an unclean stop left of the last one is cut off at the next start, with a
//! warning. A line is in the hands of the kernel when [`EventLog::flush`] returns; after [`EventLog::close`] it is on
//! disk.

mod archive;
mod erase;
mod file;
mod reader;
mod waiting;
mod writer;

pub use reader::{Told, told_since};

use super::{Config, Event, Line, Sink};
use crate::mail::Address;
use crate::units::Timestamp;
use erase::Erasure;
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use waiting::Waiting;

/// The log as a sink. Clones share it.
#[derive(Clone)]
pub struct EventLog(Arc<Shared>);

struct Shared {
    waiting: Arc<Waiting>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl EventLog {
    /// Opens (or makes) the log in `dir` and starts its threads. `now` is the time by which old files are removed.
    ///
    /// # Errors
    /// The directory or the file cannot be made, read or written.
    pub fn open(dir: &Path, config: &Config, now: Timestamp) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let archive = archive::Archive::start(dir, config.keep, now)?;
        let file = file::LogFile::open(dir, config, now)?;
        let waiting = Arc::new(Waiting::default());
        let writer = std::thread::Builder::new()
            .name("event-log".to_owned())
            .spawn({
                let waiting = Arc::clone(&waiting);
                move || writer::run(&waiting, file, archive)
            })?;
        Ok(Self(Arc::new(Shared {
            waiting,
            writer: Mutex::new(Some(writer)),
        })))
    }

    /// Returns when every event taken before the call is written: a kill of the process does not lose it any more.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        self.0.waiting.flush(Box::new(move || {
            let _nobody_waits_any_more = done.send(());
        }));
        let _closed = written.await;
    }

    /// As [`EventLog::flush`], blocking, for `patience` at most; whether all is written.
    pub fn flush_within(&self, patience: Duration) -> bool {
        let (done, written) = channel();
        self.0.waiting.flush(Box::new(move || {
            let _nobody_waits_any_more = done.send(());
        }));
        written.recv_timeout(patience).is_ok()
    }

    /// Takes an address out of every line before this, in all files: in its place stands `erased@erased.invalid`. Returns
    /// the number of lines; the work goes on when nobody waits for it. What is told later names it as ever.
    ///
    /// # Errors
    /// A file cannot be read or written, or the log is closed: some lines may still name it.
    pub async fn erase(&self, address: &Address, now: Timestamp) -> io::Result<u64> {
        let (done, erased) = oneshot::channel();
        self.0.waiting.erase(Erasure {
            texts: texts(address),
            at: now,
            done: Box::new(move |lines| {
                let _nobody_waits_any_more = done.send(lines);
            }),
        });
        let closed = |_| Err(io::Error::other("the event log is closed"));
        erased.await.unwrap_or_else(closed)
    }

    /// Writes and syncs what is waiting and ends the threads; compression under way is finished first. Blocks.
    ///
    /// Events taken afterwards are reported as lost in the operators' log.
    pub fn close(&self) {
        let writer = self.0.writer.lock().take();
        if let Some(writer) = writer {
            self.0.waiting.close();
            if writer.join().is_err() {
                tracing::error!("the event log's writer failed");
            }
        }
    }
}

impl Drop for Shared {
    /// Nobody is left who could send anything: what waits is written.
    fn drop(&mut self) {
        self.waiting.close();
    }
}

impl Sink for EventLog {
    fn take(&self, at: Timestamp, event: &Event) {
        if let Err(line) = self.0.waiting.add(&Line { at, event }) {
            let line = String::from_utf8_lossy(&line);
            tracing::error!(
                event = line.trim_end(),
                "the event log is closed; this event is only here"
            );
        }
    }

    fn is_behind(&self) -> bool {
        self.0.waiting.is_behind()
    }
}

/// The ways in which events write an address.
fn texts(address: &Address) -> Vec<String> {
    let ascii = address.ascii_domain();
    let (unicode, _) = idna::domain_to_unicode(&ascii);
    let written = |domain: &str| format!("{}@{domain}", address.local());
    let mut texts = vec![address.to_string(), written(&ascii), written(&unicode)];
    texts.sort();
    texts.dedup();
    texts
}

#[cfg(test)]
mod tests;

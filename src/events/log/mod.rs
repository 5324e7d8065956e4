//! The event log: JSON lines in `events.jsonl`, rotated, compressed, kept for a while.
//!
//! ```text
//! take ─▶ channel ─▶ writer thread: batch ─▶ events.jsonl ─▶ (size, age) rename to events-TIME-N.jsonl
//!                                                                └▶ archive thread: zstd ─▶ events-TIME-N.jsonl.zst
//! ```
//!
//! An event is never dropped, and nobody waits for the disk to take one: lines wait in memory. Where more than
//! [`WAITING`] do, because the disk is too slow or refuses, [`Sink::is_behind`] says so and intake takes no new mail;
//! what is in the queue goes on and bounds what can still come. (The spool stops taking mail below its reserve of disk
//! space, which the log shares.)
//!
//! Lines are complete or absent: what an unclean stop left of the last one is cut off at the next start, with a
//! warning. A line is in the hands of the kernel when [`EventLog::flush`] returns; after [`EventLog::close`] it is on
//! disk.

mod archive;
mod file;
mod reader;
mod writer;

pub use reader::terminal_since;

use writer::Signals;

use super::{Config, Event, Line, Sink};
use crate::units::Timestamp;
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Lines that may wait for the writer before new mail is kept out.
const WAITING: usize = 65_536;

/// The log as a sink. Clones share it.
#[derive(Clone)]
pub struct EventLog(Arc<Shared>);

struct Shared {
    orders: Sender<Order>,
    writer: Mutex<Option<JoinHandle<()>>>,
    signals: Arc<Signals>,
}

/// What the writer is asked for.
enum Order {
    Line(Timestamp, Vec<u8>),
    /// Answer when all lines before this are written.
    Flush(oneshot::Sender<()>),
    Close,
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
        let (orders, queue) = channel();
        let signals = Arc::new(Signals::default());
        let writer = std::thread::Builder::new()
            .name("event-log".to_owned())
            .spawn({
                let signals = Arc::clone(&signals);
                move || writer::run(&queue, file, archive, signals)
            })?;
        Ok(Self(Arc::new(Shared {
            orders,
            signals,
            writer: Mutex::new(Some(writer)),
        })))
    }

    /// Returns when every event taken before the call is written: a kill of the process does not lose it any more.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.0.orders.send(Order::Flush(done)).is_ok() {
            let _closed = written.await;
        }
    }

    /// Writes and syncs what is waiting and ends the threads; compression under way is finished first. Blocks.
    ///
    /// Events taken afterwards are reported as lost in the operators' log.
    pub fn close(&self) {
        let writer = self.0.writer.lock().take();
        if let Some(writer) = writer {
            self.0.signals.closing.store(true, Ordering::Relaxed);
            let _gone = self.0.orders.send(Order::Close);
            if writer.join().is_err() {
                tracing::error!("the event log's writer failed");
            }
        }
    }
}

impl Sink for EventLog {
    fn take(&self, at: Timestamp, event: &Event) {
        let line = Line { at, event }.to_json();
        self.0.signals.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(refused) = self.0.orders.send(Order::Line(at, line))
            && let Order::Line(_, line) = refused.0
        {
            let line = String::from_utf8_lossy(&line);
            tracing::error!(
                event = line.trim_end(),
                "the event log is closed; this event is only here"
            );
        }
    }

    fn is_behind(&self) -> bool {
        self.0.signals.waiting.load(Ordering::Relaxed) > WAITING
    }
}

#[cfg(test)]
mod tests;

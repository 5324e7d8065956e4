//! The thread that writes.

use super::Order;
use super::archive::Archive;
use super::file::LogFile;
use crate::units::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Octets after which a batch is written though more lines wait.
const BATCH: usize = 256 << 10;
/// Between two attempts to write where the disk refuses.
const AGAIN: Duration = Duration::from_millis(500);
/// Attempts to write when the log is being closed; what the disk still refuses then goes to the operators' log.
const LAST_ATTEMPTS: u32 = 4;

/// What the log's handles and its writer tell each other beside the orders.
#[derive(Default)]
pub struct Signals {
    /// Set before the order to close, so that a disk that takes nothing cannot keep the daemon from stopping.
    pub closing: AtomicBool,
    /// Lines ordered and not written yet.
    pub waiting: AtomicUsize,
}

/// Writes what is ordered until the log is closed or nobody holds it any more.
pub fn run(queue: &Receiver<Order>, file: LogFile, archive: Archive, signals: Arc<Signals>) {
    let mut writer = Writer {
        file,
        archive,
        signals,
    };
    let mut last = false;
    while !last {
        let batch = Batch::gather(queue);
        last = batch.last;
        if last {
            writer.signals.closing.store(true, Ordering::Relaxed);
        }
        writer.write(batch);
    }
    if let Err(error) = writer.file.sync() {
        tracing::error!(%error, "the event log could not be synced");
    }
    writer.archive.finish();
}

/// Lines that are written at once.
#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    count: usize,
    /// Of the first line.
    began: Option<Timestamp>,
    waiting: Vec<oneshot::Sender<()>>,
    last: bool,
}

impl Batch {
    /// Waits for an order, then takes what else is there.
    fn gather(queue: &Receiver<Order>) -> Self {
        let mut batch = Self::default();
        match queue.recv() {
            Ok(order) => batch.take(order),
            Err(_) => batch.last = true,
        }
        while !batch.last && batch.lines.len() < BATCH {
            match queue.try_recv() {
                Ok(order) => batch.take(order),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => batch.last = true,
            }
        }
        batch
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Line(at, line) => {
                self.began.get_or_insert(at);
                self.lines.extend_from_slice(&line);
                self.count += 1;
            }
            Order::Flush(done) => self.waiting.push(done),
            Order::Close => self.last = true,
        }
    }
}

struct Writer {
    file: LogFile,
    archive: Archive,
    signals: Arc<Signals>,
}

impl Writer {
    fn write(&mut self, batch: Batch) {
        if let Some(at) = batch.began {
            self.rotate_if_due(at);
            self.append(&batch.lines, at);
            self.signals
                .waiting
                .fetch_sub(batch.count, Ordering::Relaxed);
        }
        for done in batch.waiting {
            let _nobody_waits_any_more = done.send(());
        }
    }

    fn rotate_if_due(&mut self, now: Timestamp) {
        if !self.file.is_due(now) {
            return;
        }
        match self.file.rotate(now) {
            Ok(aside) => self.archive.add(aside, now),
            Err(error) => {
                tracing::error!(%error, "the event log cannot be rotated; it grows on");
            }
        }
    }

    fn append(&mut self, lines: &[u8], at: Timestamp) {
        let mut attempts = 0;
        while let Err(error) = self.file.append(lines, at) {
            attempts += 1;
            if attempts == 1 {
                tracing::error!(%error, "the event log cannot be written; events wait");
            }
            if self.signals.closing.load(Ordering::Relaxed) && attempts >= LAST_ATTEMPTS {
                let lines = String::from_utf8_lossy(lines);
                tracing::error!(%lines, "these events are only here");
                return;
            }
            std::thread::sleep(AGAIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn a_disk_that_takes_nothing_does_not_keep_the_log_from_closing() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::from_millis(1_800_000_000_000);
        let archive = Archive::start(dir.path(), Span::days(1), now).unwrap();
        let file = LogFile::refusing(dir.path());
        let (orders, queue) = sync_channel(0);
        let signals = Arc::new(Signals::default());
        let writer = std::thread::spawn({
            let signals = Arc::clone(&signals);
            move || run(&queue, file, archive, signals)
        });
        let (done, asked) = oneshot::channel();
        orders.send(Order::Flush(done)).unwrap();
        asked.blocking_recv().unwrap();
        // The writer is at this line when the order to close comes.
        orders.send(Order::Line(now, b"{}\n".to_vec())).unwrap();
        signals.closing.store(true, Ordering::Relaxed);
        orders.send(Order::Close).unwrap();
        writer.join().unwrap();
    }
}

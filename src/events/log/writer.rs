//! The thread that writes.

use super::archive::Archive;
use super::file::LogFile;
use super::waiting::{Batch, Waiting};
use crate::units::Timestamp;
use std::io;
use std::time::Duration;

/// Between two attempts to write where the disk refuses.
const AGAIN: Duration = Duration::from_millis(500);
/// Attempts to write when the log is being closed; what the disk still refuses then goes to the operators' log.
const LAST_ATTEMPTS: u32 = 4;

/// Writes what waits until the log is closed.
pub fn run(waiting: &Waiting, file: LogFile, archive: Archive) {
    let _gone = Gone(waiting);
    let mut writer = Writer {
        file,
        archive,
        waiting,
    };
    let mut last = false;
    while !last {
        let work = waiting.take();
        last = work.last;
        for batch in work.batches {
            writer.write(batch);
        }
        for erasure in work.erasures {
            match writer.set_aside(erasure.at) {
                Ok(()) => writer.archive.erase(erasure),
                // The file that is written still names it.
                Err(error) => (erasure.done)(Err(error)),
            }
        }
        work.flushes.into_iter().for_each(|done| done());
    }
    if let Err(error) = writer.file.sync() {
        tracing::error!(%error, "the event log could not be synced");
    }
    writer.archive.finish();
}

/// However the writer ends, nobody waits for it.
struct Gone<'a>(&'a Waiting);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

struct Writer<'a> {
    file: LogFile,
    archive: Archive,
    waiting: &'a Waiting,
}

impl Writer<'_> {
    fn write(&mut self, batch: Batch) {
        self.rotate_if_due(batch.began);
        self.append(&batch.lines, batch.began);
        self.waiting.written(batch.count);
    }

    fn rotate_if_due(&mut self, now: Timestamp) {
        if self.file.is_due(now)
            && let Err(error) = self.set_aside(now)
        {
            tracing::error!(%error, "the event log cannot be rotated; it grows on");
        }
    }

    fn set_aside(&mut self, now: Timestamp) -> io::Result<()> {
        if !self.file.is_empty() {
            let aside = self.file.rotate(now)?;
            self.archive.add(aside, now);
        }
        Ok(())
    }

    fn append(&mut self, lines: &[u8], at: Timestamp) {
        let mut attempts = 0;
        while let Err(error) = self.file.append(lines, at) {
            attempts += 1;
            if attempts == 1 {
                tracing::error!(%error, "the event log cannot be written; events wait");
            }
            if self.waiting.is_closing() && attempts >= LAST_ATTEMPTS {
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
    use super::super::super::{Event, Line, sample};
    use super::*;
    use crate::units::Span;

    #[test]
    fn a_disk_that_takes_nothing_does_not_keep_the_log_from_closing() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::from_millis(1_800_000_000_000);
        let archive = Archive::start(dir.path(), Span::days(1), now).unwrap();
        let file = LogFile::refusing(dir.path());
        let waiting = Waiting::default();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| run(&waiting, file, archive));
            let (done, written) = std::sync::mpsc::channel();
            waiting.flush(Box::new(move || done.send(()).unwrap()));
            written.recv().unwrap();
            // The writer is at this line when the order to close comes.
            let about = sample::about(1);
            let event = Event::Accepted {
                about,
                peer: None,
                why: None,
            };
            let line = Line {
                at: now,
                event: &event,
            };
            waiting.add(&line).unwrap();
            waiting.close();
            writer.join().unwrap();
        });
    }
}

//! Lines between the senders and the writer.
//!
//! A sender appends its line to the batch that fills; it wakes the writer only where that sleeps. The writer lets lines
//! gather for [`GATHER`] before it takes them all, so that a busy daemon pays one wake-up and one write for many.

use super::super::Line;
use super::erase::Erasure;
use crate::units::Timestamp;
use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How long the first line waits for others. What a kill within it takes start-up tells from the spool, where it is an
/// arrival or an outcome; lines of other types are gone.
const GATHER: Duration = Duration::from_millis(5);
/// Octets after which a new batch is begun: as much as is written at once.
const BATCH: usize = 256 << 10;
/// Lines that may wait for the writer before new mail is kept out.
pub const MOST: usize = 65_536;

#[derive(Default)]
pub struct Waiting {
    state: Mutex<State>,
    changed: Condvar,
    /// Lines taken in and not written yet.
    lines: AtomicUsize,
    closing: AtomicBool,
}

#[derive(Default)]
struct State {
    batches: Vec<Batch>,
    flushes: Vec<Answer>,
    erasures: Vec<Erasure>,
    /// The writer sleeps until somebody brings work.
    idle: bool,
    /// Nothing is taken any more.
    closed: bool,
}

/// Lines that are written at once.
#[derive(Default)]
pub struct Batch {
    pub lines: Vec<u8>,
    pub count: usize,
    /// Of the first line.
    pub began: Timestamp,
}

/// Called when what was asked for is done; dropped where it never will be.
pub type Answer = Box<dyn FnOnce() + Send>;

/// Everything that waited.
pub struct Work {
    pub batches: Vec<Batch>,
    /// To be answered when the batches are written.
    pub flushes: Vec<Answer>,
    /// To be carried out behind the batches.
    pub erasures: Vec<Erasure>,
    /// Nothing comes after this.
    pub last: bool,
}

impl State {
    fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.flushes.is_empty() && self.erasures.is_empty()
    }
}

impl Waiting {
    /// Takes a line; gives it back where the log is closed.
    pub fn add(&self, line: &Line<'_>) -> Result<(), Vec<u8>> {
        let json = line.to_json();
        let mut state = self.state.lock();
        if state.closed {
            return Err(json);
        }
        self.lines.fetch_add(1, Ordering::Relaxed);
        let full = |batch: &Batch| batch.lines.len() >= BATCH;
        if state.batches.last().is_none_or(full) {
            let began = line.at;
            state.batches.push(Batch {
                began,
                ..Batch::default()
            });
        }
        if let Some(batch) = state.batches.last_mut() {
            batch.lines.extend_from_slice(&json);
            batch.count += 1;
        }
        self.wake(&mut state);
        Ok(())
    }

    /// Calls `done` when all lines before this are written.
    pub fn flush(&self, done: Answer) {
        let mut state = self.state.lock();
        if !state.closed {
            state.flushes.push(done);
            self.changed.notify_one();
        }
    }

    /// Has an address taken out of all lines before this.
    pub fn erase(&self, erasure: Erasure) {
        let mut state = self.state.lock();
        if !state.closed {
            state.erasures.push(erasure);
            self.changed.notify_one();
        }
    }

    /// Nobody writes any more: takes nothing, and answers nobody.
    pub fn abandon(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.flushes.clear();
        state.erasures.clear();
    }

    /// Lets the writer end. A disk that takes nothing does not keep it then.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        // Under the lock, so that a writer about to sleep does not miss it.
        let _state = self.state.lock();
        self.changed.notify_one();
    }

    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// More waits than should.
    pub fn is_behind(&self) -> bool {
        self.lines.load(Ordering::Relaxed) > MOST
    }

    /// For the writer: sleeps until something is there, lets more gather, and takes all of it.
    pub fn take(&self) -> Work {
        let mut state = self.state.lock();
        while state.is_empty() && !self.is_closing() {
            state.idle = true;
            self.changed.wait(&mut state);
        }
        state.idle = false;
        if state.flushes.is_empty() && !self.is_closing() {
            // Whoever cannot wait notifies; mere lines do not.
            self.changed.wait_for(&mut state, GATHER);
        }
        state.closed = self.is_closing();
        Work {
            batches: std::mem::take(&mut state.batches),
            flushes: std::mem::take(&mut state.flushes),
            erasures: std::mem::take(&mut state.erasures),
            last: state.closed,
        }
    }

    /// A batch is written.
    pub fn written(&self, count: usize) {
        self.lines.fetch_sub(count, Ordering::Relaxed);
    }

    fn wake(&self, state: &mut State) {
        if std::mem::take(&mut state.idle) {
            self.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Event, sample};
    use super::*;

    fn add(waiting: &Waiting, number: u64) -> Result<(), Vec<u8>> {
        let about = sample::about(number);
        let event = Event::Accepted {
            about,
            peer: None,
            why: None,
        };
        let at = Timestamp::from_millis(number);
        waiting.add(&Line { at, event: &event })
    }

    #[test]
    fn batches_are_bounded_and_begin_with_their_first_line() {
        let waiting = Waiting::default();
        for number in 0..3_000 {
            add(&waiting, number).unwrap();
        }
        let work = waiting.take();
        assert!(work.batches.len() > 1 && !work.last);
        let mut next = 0;
        for batch in &work.batches {
            assert_eq!(batch.began, Timestamp::from_millis(next));
            assert!(batch.lines.len() < BATCH + 4096);
            next += batch.count as u64;
        }
        assert_eq!(next, 3_000);
    }

    #[test]
    fn what_comes_after_the_last_take_is_given_back() {
        let waiting = Waiting::default();
        add(&waiting, 1).unwrap();
        waiting.close();
        let work = waiting.take();
        assert!(work.last && work.batches.len() == 1);
        assert!(add(&waiting, 2).is_err());
        let (done, written) = std::sync::mpsc::channel();
        waiting.flush(Box::new(move || done.send(()).unwrap()));
        assert!(written.recv().is_err(), "nobody writes");
    }
}

//! Segments ready for use: written with zeros ahead of need, or recycled.

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Spares that are kept whatever happens: one for outcomes on a full disk, one to change segments with.
const LEAST: usize = 2;

/// A segment file that holds nothing of value.
#[derive(Debug)]
pub struct Spare {
    pub file: Arc<File>,
    pub path: PathBuf,
    pub size: u64,
}

/// Why there is no segment to write to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSpare {
    /// None can be made.
    Full,
    Stopping,
}

/// What the keeper has to do.
#[derive(Debug, Default)]
pub struct Chores {
    /// One more segment is wanted.
    pub zero: bool,
    /// Files to delete.
    pub doomed: Vec<PathBuf>,
    pub stop: bool,
}

pub struct Pool {
    state: Mutex<State>,
    changed: Condvar,
    /// Spares to have ready.
    want: usize,
    /// Spares to keep at most.
    most: usize,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Spare>,
    doomed: Vec<PathBuf>,
    full: bool,
    stop: bool,
}

impl Pool {
    pub fn new(want: u16, most: u16) -> Self {
        let want = usize::from(want).max(LEAST);
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            want,
            most: usize::from(most).max(want),
        }
    }

    /// A spare, keeping `reserve` of them back; waits for one while the keeper can make more.
    pub fn take(&self, reserve: usize) -> Result<Spare, NoSpare> {
        let mut state = self.state.lock();
        loop {
            if state.stop {
                return Err(NoSpare::Stopping);
            }
            if state.ready.len() > reserve
                && let Some(spare) = state.ready.pop_front()
            {
                self.changed.notify_all();
                return Ok(spare);
            }
            if state.full {
                return Err(NoSpare::Full);
            }
            self.changed.wait(&mut state);
        }
    }

    /// A spare for the next use; deleted where there are enough.
    pub fn give(&self, spare: Spare) {
        let mut state = self.state.lock();
        if state.ready.len() < self.most {
            state.ready.push_back(spare);
            state.full = false;
        } else {
            state.doomed.push(spare.path);
        }
        self.changed.notify_all();
    }

    /// Has `file` deleted, soon.
    pub fn doom(&self, file: PathBuf) {
        self.state.lock().doomed.push(file);
        self.changed.notify_all();
    }

    /// Whether new segments can be had: some beyond the one kept for outcomes, or the keeper can make them.
    pub fn has_room(&self) -> bool {
        let state = self.state.lock();
        !state.full || state.ready.len() > 1
    }

    #[cfg(test)]
    pub fn wait_for(&self, count: usize) {
        let mut state = self.state.lock();
        while state.ready.len() < count {
            self.changed.wait(&mut state);
        }
    }

    pub fn has_spare(&self) -> bool {
        !self.state.lock().ready.is_empty()
    }

    /// Gives the disk back what is more than outcomes need: space is short, and no new mail comes in meanwhile.
    pub fn shed(&self) {
        let mut state = self.state.lock();
        while state.ready.len() > LEAST {
            let spare = state.ready.pop_back();
            state.doomed.extend(spare.map(|spare| spare.path));
        }
    }

    /// For the keeper: sleeps until there is something to do, or for `patience`. Where space is `low` no more segments
    /// are wanted than outcomes need.
    pub fn chores(&self, patience: Duration, low: bool) -> Chores {
        let want = if low { LEAST } else { self.want };
        let mut state = self.state.lock();
        let busy = |state: &State| {
            state.stop || !state.doomed.is_empty() || (state.ready.len() < want && !state.full)
        };
        if !busy(&state) {
            self.changed.wait_for(&mut state, patience);
        }
        Chores {
            zero: state.ready.len() < want,
            doomed: std::mem::take(&mut state.doomed),
            stop: state.stop,
        }
    }

    /// The keeper could make no segment (`true`), or may try again.
    pub fn set_full(&self, full: bool) {
        self.state.lock().full = full;
        self.changed.notify_all();
    }

    pub fn stop(&self) {
        self.state.lock().stop = true;
        self.changed.notify_all();
    }
}

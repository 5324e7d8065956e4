//! Which entry's time comes when.

use super::Key;
use crate::units::Timestamp;
use std::collections::BTreeSet;

/// Notes of scheduled entries, by time. Every note is one that counts: what is scheduled anew or goes away takes its
/// note out. A tree grows and shrinks by a node at a time; a note costs 24 to 40 octets.
#[derive(Default)]
pub(super) struct Timetable(BTreeSet<(Timestamp, Key)>);

impl Timetable {
    pub fn insert(&mut self, at: Timestamp, key: Key) {
        self.0.insert((at, key));
    }

    /// There may be no such note.
    pub fn remove(&mut self, at: Timestamp, key: Key) {
        self.0.remove(&(at, key));
    }

    pub fn first(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, _)| *at)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes out the first note whose time has come.
    pub fn take_due(&mut self, now: Timestamp) -> Option<Key> {
        self.first().filter(|at| *at <= now)?;
        self.0.pop_first().map(|(_, key)| key)
    }
}

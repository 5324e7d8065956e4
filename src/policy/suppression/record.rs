//! What people can read of an entry.

use super::entry::{By, Entry, Reason, Scope};
use super::mark::Mark;
use crate::mail::Address;
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};

/// An entry, since when it is there, and what was done to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    #[serde(flatten)]
    pub entry: Entry,
    pub since: Timestamp,
    /// The last changes, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Change>,
    /// It is here for its history only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub removed: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub at: Timestamp,
    pub by: By,
    /// `hard`, `removed`, …
    pub what: Box<str>,
}

/// Changes that are kept.
const MOST: usize = 10;
/// Characters of a note that are kept.
const NOTE: usize = 300;

impl Record {
    pub(super) fn new(entry: &Entry, now: Timestamp) -> Self {
        let note: String = entry
            .note
            .chars()
            .filter(|c| !c.is_control())
            .take(NOTE)
            .collect();
        Self {
            entry: Entry {
                note: note.into(),
                ..entry.clone()
            },
            since: now,
            history: Vec::new(),
            removed: false,
        }
    }

    /// All that a mark says.
    pub(super) fn bare(scope: &Scope, address: &Address, mark: Mark) -> Self {
        Self {
            entry: Entry {
                scope: scope.clone(),
                address: address.clone(),
                reason: mark.reason,
                until: mark.until,
                source: None,
                by: By::Operator("unknown: no records are kept".into()),
                note: "".into(),
            },
            since: Timestamp::default(),
            history: Vec::new(),
            removed: false,
        }
    }

    /// The same address suppressed anew: what was is history.
    pub(super) fn renewed(mut self, entry: &Entry, now: Timestamp) -> Self {
        let was = Change {
            at: self.since,
            by: self.entry.by.clone(),
            what: self.entry.reason.name().into(),
        };
        self.note_change(was);
        Self {
            history: self.history,
            ..Self::new(entry, now)
        }
    }

    pub(super) fn note_change(&mut self, change: Change) {
        if self.history.len() >= MOST {
            self.history.remove(0);
        }
        self.history.push(change);
    }

    /// It is on the list.
    pub fn holds(&self, now: Timestamp) -> bool {
        !self.removed && self.entry.until.is_none_or(|until| now < until)
    }

    pub(super) fn write(&self) -> Vec<u8> {
        // Texts, numbers and instants always have a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn read(octets: &[u8]) -> Option<Self> {
        serde_json::from_slice(octets).ok()
    }

    pub fn reason(&self) -> Reason {
        self.entry.reason
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

//! One entry of the queue, and the slab that holds them all.

use super::Depth;
use crate::mail::{Labels, MessageId};
use crate::policy::Held;
use crate::spool::Stored;
use crate::units::Timestamp;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;

/// Positions of recipients in the envelope.
pub type Recipients = SmallVec<[u16; 4]>;

/// Names an entry while it lives; a key kept longer finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    index: u32,
    serial: u32,
}

/// Where an entry is to be delivered and from where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    pub site: Arc<str>,
    pub source: Arc<str>,
}

/// The recipients of one message at one domain.
#[derive(Debug)]
pub(super) struct Entry {
    pub id: MessageId,
    pub domain: Arc<str>,
    pub labels: Arc<Labels>,
    pub recipients: Recipients,
    /// Attempts made so far.
    pub attempts: u16,
    pub expires: Timestamp,
    /// The ready queue it is or was last in.
    pub place: Option<Arc<Place>>,
    pub state: State,
}

#[derive(Debug, Clone)]
pub(super) enum State {
    /// `why` is `None` for the retry schedule and for mail whose first time is yet to come.
    Scheduled {
        due: Timestamp,
        why: Option<Arc<Held>>,
    },
    Ready,
    /// `hold`: an operator asked for it meanwhile.
    Sending {
        hold: Option<Arc<str>>,
    },
    Held {
        why: Arc<str>,
    },
}

/// An entry handed to one delivery.
#[derive(Debug, Clone)]
#[must_use = "a job taken is a job to settle"]
pub struct Job {
    pub key: Key,
    pub id: MessageId,
    pub labels: Arc<Labels>,
    pub domain: Arc<str>,
    pub recipients: Recipients,
    /// The number of this attempt, from 1.
    pub attempt: u16,
    pub expires: Timestamp,
}

/// An entry as `queue list` and `queue show` tell it.
#[derive(Debug, Clone)]
pub struct View {
    pub id: MessageId,
    pub domain: Arc<str>,
    pub labels: Arc<Labels>,
    pub recipients: Recipients,
    pub attempts: u16,
    pub expires: Timestamp,
    pub place: Option<Arc<Place>>,
    /// `scheduled`, `ready`, `sending` or `held`.
    pub state: &'static str,
    /// When it is due, where it is scheduled.
    pub due: Option<Timestamp>,
    /// What holds it, where that is not the retry schedule.
    pub why: Option<Arc<Held>>,
}

impl Entry {
    pub(super) fn job(&self, key: Key) -> Job {
        Job {
            key,
            id: self.id,
            labels: Arc::clone(&self.labels),
            domain: Arc::clone(&self.domain),
            recipients: self.recipients.clone(),
            attempt: self.attempts.saturating_add(1),
            expires: self.expires,
        }
    }

    pub(super) fn view(&self) -> View {
        let (state, due, why) = match &self.state {
            State::Scheduled { due, why } => ("scheduled", Some(*due), why.clone()),
            State::Ready => ("ready", None, None),
            State::Sending { .. } => ("sending", None, None),
            State::Held { why } => {
                let held = Held::Operator {
                    why: why.to_string(),
                };
                ("held", None, Some(Arc::new(held)))
            }
        };
        View {
            id: self.id,
            domain: Arc::clone(&self.domain),
            labels: Arc::clone(&self.labels),
            recipients: self.recipients.clone(),
            attempts: self.attempts,
            expires: self.expires,
            place: self.place.clone(),
            state,
            due,
            why,
        }
    }
}

/// Recipients of a stored message that will share an entry.
pub(super) struct Group {
    pub domain: Arc<str>,
    pub recipients: Recipients,
    pub attempts: u16,
    pub until: Timestamp,
}

/// Unfinished recipients by domain; after a restart also by how far they have come.
pub(super) fn group(stored: &Stored) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut seen: HashMap<(&str, u16, Timestamp), usize> = HashMap::new();
    let recipients = stored.meta.envelope.recipients.iter().zip(&stored.progress);
    for (position, (recipient, progress)) in (0u16..).zip(recipients) {
        if progress.done {
            continue;
        }
        let domain = recipient.address.domain();
        let at = *seen
            .entry((domain, progress.attempts, progress.until))
            .or_insert_with(|| {
                groups.push(Group {
                    domain: domain.into(),
                    recipients: Recipients::new(),
                    attempts: progress.attempts,
                    until: progress.until,
                });
                groups.len() - 1
            });
        if let Some(group) = groups.get_mut(at) {
            group.recipients.push(position);
        }
    }
    groups
}

/// All entries, by key; counts them by state as they change.
#[derive(Default)]
pub(super) struct Entries {
    slots: Vec<(u32, Option<Entry>)>,
    free: Vec<u32>,
    depth: Depth,
}

impl Entries {
    pub fn insert(&mut self, entry: Entry) -> Key {
        *self.depth.of(&entry.state) += 1;
        if let Some(index) = self.free.pop()
            && let Some((serial, slot)) = self.slots.get_mut(index as usize)
        {
            *slot = Some(entry);
            return Key {
                index,
                serial: *serial,
            };
        }
        let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push((0, Some(entry)));
        Key { index, serial: 0 }
    }

    pub fn get_mut(&mut self, key: Key) -> Option<&mut Entry> {
        let (serial, slot) = self.slots.get_mut(key.index as usize)?;
        if *serial == key.serial {
            slot.as_mut()
        } else {
            None
        }
    }

    pub fn set(&mut self, key: Key, state: State) {
        let Some(entry) = self.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut entry.state, state.clone());
        *self.depth.of(&before) -= 1;
        *self.depth.of(&state) += 1;
    }

    pub fn remove(&mut self, key: Key) -> Option<Entry> {
        let (serial, slot) = self.slots.get_mut(key.index as usize)?;
        if *serial != key.serial {
            return None;
        }
        let entry = slot.take()?;
        *serial = serial.wrapping_add(1);
        self.free.push(key.index);
        *self.depth.of(&entry.state) -= 1;
        Some(entry)
    }

    pub fn keys_where(&self, mut wanted: impl FnMut(&Entry) -> bool) -> Vec<Key> {
        let slots = (0u32..).zip(&self.slots);
        slots
            .filter_map(|(index, (serial, slot))| {
                let entry = slot.as_ref()?;
                wanted(entry).then_some(Key {
                    index,
                    serial: *serial,
                })
            })
            .collect()
    }

    pub fn depth(&self) -> Depth {
        self.depth
    }
}

impl Depth {
    fn of(&mut self, state: &State) -> &mut usize {
        match state {
            State::Scheduled { .. } => &mut self.scheduled,
            State::Ready => &mut self.ready,
            State::Sending { .. } => &mut self.sending,
            State::Held { .. } => &mut self.held,
        }
    }
}

//! One entry of the queue, and the slab that holds them all.

use super::{Depth, Due};
use crate::mail::{Labels, MessageId};
use crate::policy::Held;
use crate::spool::Stored;
use crate::tables::{Interned, Name, Slab};
use crate::units::Timestamp;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;

/// Positions of recipients in the envelope.
pub type Recipients = SmallVec<[u16; 4]>;

/// Names an entry while it lives; a key kept longer finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    slot: u32,
    /// Entries inserted so far, itself included, modulo 2^32: tells it from those that had the slot before.
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
    pub expires: Timestamp,
    state: State,
    // Most entries have one recipient: theirs needs no allocation. A list that is not short is boxed.
    first: u16,
    others: Option<Box<Recipients>>,
    /// Attempts made so far.
    pub attempts: u16,
    serial: u32,
    pub domain: Name<str>,
    /// The domain of MAIL FROM as it was handed in; `None` is the null sender.
    sender: Option<Name<str>>,
    pub labels: Name<Labels>,
    /// The ready queue it is or was last in.
    place: Option<Name<Place>>,
}

/// What an entry is made of.
pub(super) struct New<'a> {
    pub id: MessageId,
    pub group: &'a Group,
    pub sender: Option<&'a Arc<str>>,
    pub labels: &'a Arc<Labels>,
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
        hold: Option<Arc<Held>>,
    },
    Held {
        why: Arc<Held>,
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
    pub key: Key,
    pub id: MessageId,
    pub domain: Arc<str>,
    /// As in [`Due`].
    pub sender: Option<Arc<str>>,
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
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    fn count(&self) -> u16 {
        let others = self.others.as_ref().map_or(0, |others| others.len());
        u16::try_from(others + 1).unwrap_or(u16::MAX)
    }

    pub(super) fn recipients(&self) -> Recipients {
        let others = self.others.iter().flat_map(|others| others.iter());
        std::iter::once(self.first).chain(others.copied()).collect()
    }

    /// Takes recipients out, where others stay.
    pub(super) fn take_out(&mut self, mut goes: impl FnMut(u16) -> bool) -> Option<Recipients> {
        let (out, left): (Recipients, Recipients) = self
            .recipients()
            .into_iter()
            .partition(|recipient| goes(*recipient));
        let (first, others) = left.split_first().filter(|_| !out.is_empty())?;
        self.first = *first;
        self.others = boxed(others);
        Some(out)
    }

    /// Lets recipients go; `false` where none is left.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(u16) -> bool) -> bool {
        let mut left = self.recipients();
        left.retain(|recipient| stays(*recipient));
        match left.split_first() {
            None => false,
            Some((first, others)) => {
                self.first = *first;
                self.others = boxed(others);
                true
            }
        }
    }
}

fn boxed(others: &[u16]) -> Option<Box<Recipients>> {
    (!others.is_empty()).then(|| Box::new(others.into()))
}

/// Recipients of a stored message that will share an entry.
pub(super) struct Group {
    domain: Arc<str>,
    first: u16,
    others: Recipients,
    attempts: u16,
    pub until: Timestamp,
    expires: Timestamp,
}

/// Unfinished recipients by domain; after a restart also by how far they have come. `expires` says when those of a
/// domain are given up.
pub(super) fn group(stored: &Stored, expires: impl Fn(&str) -> Timestamp) -> Vec<Group> {
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
            .or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.others.push(position),
            None => groups.push(Group {
                domain: domain.into(),
                first: position,
                others: Recipients::new(),
                attempts: progress.attempts,
                until: progress.until,
                expires: expires(domain),
            }),
        }
    }
    groups
}

/// All entries, by key; counts them by state as they change.
#[derive(Default)]
pub(super) struct Entries {
    slots: Slab<Entry>,
    inserted: u32,
    depth: Depth,
    pub domains: Interned<str>,
    pub labels: Interned<Labels>,
    pub places: Interned<Place>,
}

impl Entries {
    pub fn insert(&mut self, new: New<'_>) -> Key {
        *self.depth.of(&new.state) += 1;
        self.inserted = self.inserted.wrapping_add(1);
        let entry = Entry {
            id: new.id,
            expires: new.group.expires,
            state: new.state,
            first: new.group.first,
            others: boxed(&new.group.others),
            attempts: new.group.attempts,
            serial: self.inserted,
            domain: self.domains.share(&new.group.domain),
            sender: new.sender.map(|domain| self.domains.share(domain)),
            labels: self.labels.share(new.labels),
            place: None,
        };
        let slot = self.slots.insert(entry);
        let serial = self.inserted;
        Key { slot, serial }
    }

    /// An entry like the one at `key`, for these recipients of its message.
    pub fn split(&mut self, key: Key, recipients: &Recipients) -> Option<Key> {
        let entry = self.get(key)?;
        let (first, others) = recipients.split_first()?;
        let group = Group {
            domain: self.domain(entry)?,
            first: *first,
            others: others.into(),
            attempts: entry.attempts,
            until: Timestamp::default(),
            expires: entry.expires,
        };
        let sender = self.sender(entry);
        let new = New {
            id: entry.id,
            group: &group,
            sender: sender.as_ref(),
            labels: &self.labels(entry)?,
            state: State::Ready,
        };
        Some(self.insert(new))
    }

    pub fn get(&self, key: Key) -> Option<&Entry> {
        let entry = self.slots.get(key.slot)?;
        (entry.serial == key.serial).then_some(entry)
    }

    pub fn get_mut(&mut self, key: Key) -> Option<&mut Entry> {
        let entry = self.slots.get_mut(key.slot)?;
        (entry.serial == key.serial).then_some(entry)
    }

    /// Returns the state it was in.
    pub fn set(&mut self, key: Key, state: State) -> Option<State> {
        let entry = self.get_mut(key)?;
        let before = std::mem::replace(&mut entry.state, state.clone());
        *self.depth.of(&before) -= 1;
        *self.depth.of(&state) += 1;
        Some(before)
    }

    pub fn set_place(&mut self, key: Key, place: &Arc<Place>) {
        if self.get(key).is_none() {
            return;
        }
        let name = self.places.share(place);
        let before = self
            .get_mut(key)
            .and_then(|entry| entry.place.replace(name));
        if let Some(before) = before {
            self.places.release(before);
        }
    }

    pub fn remove(&mut self, key: Key) -> Option<Entry> {
        self.get(key)?;
        let entry = self.slots.remove(key.slot)?;
        *self.depth.of(&entry.state) -= 1;
        self.domains.release(entry.domain);
        if let Some(sender) = entry.sender {
            self.domains.release(sender);
        }
        self.labels.release(entry.labels);
        if let Some(place) = entry.place {
            self.places.release(place);
        }
        Some(entry)
    }

    pub fn chunks(&self) -> usize {
        self.slots.chunks()
    }

    /// The entries of one chunk for which `wanted` holds.
    pub fn keys_where(&self, chunk: usize, mut wanted: impl FnMut(&Entry) -> bool) -> Vec<Key> {
        let entries = self.slots.chunk(chunk);
        entries
            .filter(|(_, entry)| wanted(entry))
            .map(|(slot, entry)| Key {
                slot,
                serial: entry.serial,
            })
            .collect()
    }

    pub fn depth(&self) -> Depth {
        self.depth
    }

    pub fn due(&self, key: Key, now: Timestamp) -> Option<Due> {
        let entry = self.get(key)?;
        Some(Due {
            key,
            id: entry.id,
            domain: self.domain(entry)?,
            sender: self.sender(entry),
            labels: self.labels(entry)?,
            recipients: entry.count(),
            last: self.place(entry).filter(|_| entry.attempts > 0).cloned(),
            expired: entry.expires <= now,
        })
    }

    pub fn job(&self, key: Key) -> Option<Job> {
        let entry = self.get(key)?;
        Some(Job {
            key,
            id: entry.id,
            labels: self.labels(entry)?,
            domain: self.domain(entry)?,
            recipients: entry.recipients(),
            attempt: entry.attempts.saturating_add(1),
            expires: entry.expires,
        })
    }

    pub fn view(&self, key: Key) -> Option<View> {
        let entry = self.get(key)?;
        let (state, due, why) = match &entry.state {
            State::Scheduled { due, why } => ("scheduled", Some(*due), why.clone()),
            State::Ready => ("ready", None, None),
            State::Sending { .. } => ("sending", None, None),
            State::Held { why } => ("held", None, Some(Arc::clone(why))),
        };
        Some(View {
            key,
            id: entry.id,
            domain: self.domain(entry)?,
            sender: self.sender(entry),
            labels: self.labels(entry)?,
            recipients: entry.recipients(),
            attempts: entry.attempts,
            expires: entry.expires,
            place: self.place(entry).cloned(),
            state,
            due,
            why,
        })
    }

    pub fn place(&self, entry: &Entry) -> Option<&Arc<Place>> {
        self.places.get(entry.place?)
    }

    fn domain(&self, entry: &Entry) -> Option<Arc<str>> {
        self.domains.get(entry.domain).cloned()
    }

    fn sender(&self, entry: &Entry) -> Option<Arc<str>> {
        self.domains.get(entry.sender?).cloned()
    }

    fn labels(&self, entry: &Entry) -> Option<Arc<Labels>> {
        self.labels.get(entry.labels).cloned()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_entry_is_72_octets() {
        // Beside it: its note in the timetable, 24 to 40 octets.
        assert_eq!(std::mem::size_of::<Option<Entry>>(), 72);
    }
}

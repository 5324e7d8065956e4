//! The scheduled queue: when each message is tried, and what it waits for.
//!
//! An [`Entry`] is the recipients of one message at one domain; they share a retry state. It is small and fixed (the
//! envelope and the content stay in the spool), so that a million can wait. Its states:
//!
//! | state       | who has it             | leaves by |
//! |-------------|------------------------|-----------|
//! | `Scheduled` | the heap, until due    | [`Queue::due`], operator |
//! | `Ready`     | a site's ready queue   | [`Queue::begin`], [`Queue::wait`], operator, expiry |
//! | `Sending`   | one delivery           | [`Queue::settle`], [`Queue::put_back`] |
//! | `Held`      | the operator           | [`Queue::release`], drop |
//!
//! Ready queues hold [`Key`]s only: an operator may take an entry away at any time, and `begin` then answers `None`.

mod entry;
mod interned;
mod retry;
mod select;

pub use entry::{Job, Key, Place, View};
pub use retry::{Config, Schedule};
pub use select::Selector;

use crate::clock::Clock;
use crate::mail::{Disposition, Labels, MessageId};
use crate::policy::Held;
use crate::spool::Stored;
use crate::units::Timestamp;
use entry::{Entries, Entry, State};
use interned::Interned;
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Most entries that one [`Queue::due`] hands out, so that the dispatcher yields now and then.
const DUE_BATCH: usize = 1024;
/// How often entries that wait in ready queues are looked over for expiry.
const SWEEP: Duration = Duration::from_secs(60);

/// An entry whose time has come, with what routing needs to know.
#[derive(Debug, Clone)]
pub struct Due {
    pub key: Key,
    pub id: MessageId,
    pub domain: Arc<str>,
    pub labels: Arc<Labels>,
    /// Its time is over: nothing more is tried.
    pub expired: bool,
}

/// How many entries are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    pub scheduled: usize,
    pub ready: usize,
    pub sending: usize,
    pub held: usize,
}

/// The scheduled queue. Cheap to clone.
#[derive(Clone)]
pub struct Queue(Arc<Shared>);

struct Shared {
    clock: Clock,
    inner: Mutex<Inner>,
    wake: Notify,
}

#[derive(Default)]
struct Inner {
    entries: Entries,
    heap: BinaryHeap<Reverse<(Timestamp, Key)>>,
    /// Due without having waited: new mail, retries asked for.
    now_due: VecDeque<Key>,
    domains: Interned<str>,
    labels: Interned<Labels>,
    swept: Timestamp,
}

impl Queue {
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Shared {
            clock,
            inner: Mutex::default(),
            wake: Notify::new(),
        }))
    }

    /// Takes charge of the unfinished recipients of a message that is in the spool. `expires` says when those of a
    /// domain are given up.
    pub fn insert(&self, stored: &Stored, expires: impl Fn(&str) -> Timestamp) {
        let now = self.0.clock.now();
        let mut inner = self.0.inner.lock();
        let labels = inner.labels.share(&stored.meta.labels);
        for group in entry::group(stored) {
            let domain = inner.domains.share(&group.domain);
            let due = group.until.max(stored.meta.send_at.unwrap_or_default());
            let entry = Entry {
                id: stored.meta.id,
                expires: expires(&domain),
                domain,
                labels: Arc::clone(&labels),
                recipients: group.recipients,
                attempts: group.attempts,
                place: None,
                state: State::Ready,
            };
            let key = inner.entries.insert(entry);
            match &stored.held {
                Some(why) => inner.set(
                    key,
                    State::Held {
                        why: Arc::clone(why),
                    },
                ),
                None => inner.schedule(key, due, None, now),
            }
        }
        drop(inner);
        self.0.wake.notify_one();
    }

    /// Waits until entries are due and hands them out; they are `Ready` then, and the caller's to place.
    pub async fn due(&self) -> Vec<Due> {
        loop {
            let (due, next) = self.0.inner.lock().take_due(self.0.clock.now());
            if !due.is_empty() {
                return due;
            }
            tokio::select! {
                () = self.0.wake.notified() => {}
                () = self.0.clock.sleep_until(next) => {}
            }
        }
    }

    /// Notes which ready queue an entry waits in.
    pub fn place(&self, key: Key, place: &Arc<Place>) {
        if let Some(entry) = self.0.inner.lock().entries.get_mut(key) {
            entry.place = Some(Arc::clone(place));
        }
    }

    /// A delivery takes the entry: `Ready` → `Sending`. `None` where it is no longer there to be sent.
    #[must_use = "a job taken is a job to settle"]
    pub fn begin(&self, key: Key) -> Option<Job> {
        let mut inner = self.0.inner.lock();
        let entry = inner.entries.get_mut(key)?;
        if !matches!(entry.state, State::Ready) {
            return None;
        }
        let job = entry.job(key);
        inner.set(key, State::Sending { hold: None });
        Some(job)
    }

    /// Takes an entry out of its ready queue: something holds it until then. One that a delivery has taken meanwhile
    /// stays with it, because a ready queue may know an entry twice.
    pub fn wait(&self, key: Key, until: Timestamp, why: Held) {
        let now = self.0.clock.now();
        let mut inner = self.0.inner.lock();
        let entry = inner.entries.get_mut(key);
        if !entry.is_some_and(|entry| matches!(entry.state, State::Ready)) {
            return;
        }
        inner.schedule(key, until, Some(Arc::new(why)), now);
        drop(inner);
        self.0.wake.notify_one();
    }

    /// A delivery gives back what it took, without an attempt: something holds it until then.
    pub fn put_back(&self, job: &Job, until: Timestamp, why: Held) {
        let now = self.0.clock.now();
        let mut inner = self.0.inner.lock();
        let hold = match inner.entries.get_mut(job.key).map(|entry| &entry.state) {
            Some(State::Sending { hold }) => hold.clone(),
            _ => return,
        };
        match hold {
            Some(why) => inner.set(job.key, State::Held { why }),
            None => inner.schedule(job.key, until, Some(Arc::new(why)), now),
        }
        drop(inner);
        self.0.wake.notify_one();
    }

    /// Lets an entry go whose message is not in the spool any more.
    pub fn forget(&self, key: Key) {
        self.0.inner.lock().entries.remove(key);
    }

    /// Records the outcome of an attempt. Recipients with a final disposition leave; the rest are tried again when the
    /// first of them may be.
    pub fn settle(&self, key: Key, outcomes: &[(u16, Disposition)]) {
        let now = self.0.clock.now();
        let mut inner = self.0.inner.lock();
        let Some(entry) = inner.entries.get_mut(key) else {
            return;
        };
        let is_final = |recipient: &u16| {
            outcomes
                .iter()
                .any(|(of, disposition)| of == recipient && disposition.is_final())
        };
        entry.recipients.retain(|recipient| !is_final(recipient));
        entry.attempts = entry.attempts.saturating_add(1);
        if entry.recipients.is_empty() {
            inner.entries.remove(key);
            return;
        }
        if let State::Sending { hold: Some(why) } = entry.state.clone() {
            inner.set(key, State::Held { why });
            return;
        }
        let until = outcomes
            .iter()
            .filter_map(|(_, disposition)| match disposition {
                Disposition::Deferred { until, .. } => Some(*until),
                _ => None,
            });
        let due = until.min().unwrap_or(now);
        inner.schedule(key, due, None, now);
        drop(inner);
        self.0.wake.notify_one();
    }

    /// Holds every message that matches; returns their ids, for the spool to remember. What is being sent is held
    /// after this attempt.
    pub fn hold(&self, selector: &Selector, why: &str) -> Vec<MessageId> {
        let why: Arc<str> = why.into();
        let mut inner = self.0.inner.lock();
        let ids = inner.messages(selector);
        for key in inner.entries.keys_where(|entry| ids.contains(&entry.id)) {
            let sending = matches!(
                inner.entries.get_mut(key).map(|e| &e.state),
                Some(State::Sending { .. })
            );
            let why = Arc::clone(&why);
            inner.set(
                key,
                if sending {
                    State::Sending { hold: Some(why) }
                } else {
                    State::Held { why }
                },
            );
        }
        ids.into_iter().collect()
    }

    /// Lets go of held messages that match, to be tried at once; returns their ids.
    pub fn release(&self, selector: &Selector) -> Vec<MessageId> {
        let now = self.0.clock.now();
        let mut inner = self.0.inner.lock();
        let ids = inner.messages(selector);
        let mut released = HashSet::new();
        for key in inner.entries.keys_where(|entry| ids.contains(&entry.id)) {
            match inner
                .entries
                .get_mut(key)
                .map(|entry| (entry.id, entry.state.clone()))
            {
                Some((id, State::Held { .. })) => {
                    inner.schedule(key, now, None, now);
                    released.insert(id);
                }
                Some((id, State::Sending { hold: Some(_) })) => {
                    inner.set(key, State::Sending { hold: None });
                    released.insert(id);
                }
                _ => {}
            }
        }
        drop(inner);
        self.0.wake.notify_one();
        released.into_iter().collect()
    }

    /// Makes matching scheduled entries due now; returns how many.
    pub fn retry(&self, selector: &Selector) -> usize {
        let now = self.0.clock.now();
        let mut inner = self.0.inner.lock();
        let keys = inner.entries.keys_where(|entry| {
            selector.matches(entry) && matches!(entry.state, State::Scheduled { .. })
        });
        for key in &keys {
            inner.schedule(*key, now, None, now);
        }
        drop(inner);
        self.0.wake.notify_one();
        keys.len()
    }

    /// Takes matching entries out of waiting, as jobs to be settled as dropped. What is being sent is not touched.
    #[must_use = "these entries are nobody's until they are settled"]
    pub fn take(&self, selector: &Selector) -> Vec<Job> {
        let mut inner = self.0.inner.lock();
        let keys = inner.entries.keys_where(|entry| {
            selector.matches(entry) && !matches!(entry.state, State::Sending { .. })
        });
        keys.into_iter()
            .filter_map(|key| {
                let job = inner.entries.get_mut(key)?.job(key);
                inner.set(key, State::Sending { hold: None });
                Some(job)
            })
            .collect()
    }

    /// What matches, in order of acceptance, at most `limit` of it.
    pub fn list(&self, selector: &Selector, limit: usize) -> Vec<View> {
        let mut inner = self.0.inner.lock();
        let mut keys = inner.entries.keys_where(|entry| selector.matches(entry));
        keys.sort_by_key(|key| inner.entries.get_mut(*key).map(|entry| entry.id));
        let views = keys.into_iter().take(limit);
        views
            .filter_map(|key| inner.entries.get_mut(key).map(|e| e.view()))
            .collect()
    }

    #[cfg(test)]
    fn list_keys_for_tests(&self) -> Vec<Key> {
        self.0.inner.lock().entries.keys_where(|_| true)
    }

    pub fn depth(&self) -> Depth {
        self.0.inner.lock().entries.depth()
    }
}

impl Inner {
    fn set(&mut self, key: Key, state: State) {
        self.entries.set(key, state);
    }

    /// Due at `at` or when it expires, whichever is first.
    fn schedule(&mut self, key: Key, at: Timestamp, why: Option<Arc<Held>>, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let due = at.min(entry.expires);
        self.set(key, State::Scheduled { due, why });
        if due <= now {
            self.now_due.push_back(key);
        } else {
            self.heap.push(Reverse((due, key)));
        }
    }

    /// What is due at `now`, and when to look again.
    fn take_due(&mut self, now: Timestamp) -> (Vec<Due>, Timestamp) {
        if now.since(self.swept) >= SWEEP {
            self.swept = now;
            let stale = |entry: &Entry| matches!(entry.state, State::Ready) && entry.expires <= now;
            for key in self.entries.keys_where(stale) {
                self.schedule(key, now, None, now);
            }
        }
        let mut due = Vec::new();
        while due.len() < DUE_BATCH {
            let Some(key) = self.next_key(now) else { break };
            due.extend(self.make_ready(key, now));
        }
        let next = self.heap.peek().map(|Reverse((at, _))| *at);
        let sweep = self.swept + SWEEP;
        (due, next.map_or(sweep, |at| at.min(sweep)))
    }

    fn next_key(&mut self, now: Timestamp) -> Option<Key> {
        if let Some(key) = self.now_due.pop_front() {
            return Some(key);
        }
        let Reverse((at, key)) = self.heap.peek().copied()?;
        (at <= now).then(|| {
            self.heap.pop();
            key
        })
    }

    /// `None` where the heap's note is out of date: the entry has gone, or is due at another time.
    fn make_ready(&mut self, key: Key, now: Timestamp) -> Option<Due> {
        let entry = self.entries.get_mut(key)?;
        if !matches!(entry.state, State::Scheduled { due, .. } if due <= now) {
            return None;
        }
        let due = Due {
            key,
            id: entry.id,
            domain: Arc::clone(&entry.domain),
            labels: Arc::clone(&entry.labels),
            expired: entry.expires <= now,
        };
        self.set(key, State::Ready);
        Some(due)
    }

    fn messages(&mut self, selector: &Selector) -> HashSet<MessageId> {
        let keys = self.entries.keys_where(|entry| selector.matches(entry));
        keys.into_iter()
            .filter_map(|key| self.entries.get_mut(key).map(|entry| entry.id))
            .collect()
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub use tests::keys_for_tests;

//! The scheduled queue: when each message is tried, and what it waits for.
//!
//! An [`Entry`] is the recipients of one message at one domain; they share a retry state. It is small and fixed (the
//! envelope and the content stay in the spool), so that a million can wait: each takes about 120 octets, however many
//! there are, and leaves them to others. Nothing that is done to all of them holds the lock for longer than a chunk of
//! a thousand takes. Its states:
//!
//! | state       | who has it             | leaves by |
//! |-------------|------------------------|-----------|
//! | `Scheduled` | the timetable, until due | [`Queue::due`], operator |
//! | `Ready`     | a site's ready queue   | [`Queue::begin`], [`Queue::wait`], operator, expiry |
//! | `Sending`   | one delivery           | [`Queue::settle`], [`Queue::put_back`] |
//! | `Held`      | the operator           | [`Queue::release`], drop |
//!
//! Ready queues hold [`Key`]s only: an operator may take an entry away at any time, and `begin` then answers `None`.

mod entry;
mod operate;
mod retry;
mod select;
mod timetable;

pub use entry::{Job, Key, Place, View};
pub use operate::Taken;
pub use retry::{Config, Schedule};
pub use select::Selector;

use crate::clock::Clock;
use crate::mail::{Disposition, Labels, MessageId};
use crate::policy::Held;
use crate::spool::Stored;
use crate::units::Timestamp;
use entry::{Entries, Entry, New, State};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use timetable::Timetable;
use tokio::sync::Notify;

/// Keys that are looked at in one go for what is due, so that the dispatcher yields now and then.
const DUE_BATCH: usize = 1024;
/// How often an entry that waits in a ready queue is looked at for expiry.
const SWEEP: Duration = Duration::from_secs(60);
/// Between the looks at two chunks at least: with over six million entries a round takes longer.
const LEAST_SHARE: Duration = Duration::from_millis(10);
/// Room that the line of what is due keeps when it has been longer.
const SHORT_LINE: usize = 4096;

/// An entry whose time has come, with what routing needs to know.
#[derive(Debug, Clone)]
pub struct Due {
    pub key: Key,
    pub id: MessageId,
    pub domain: Arc<str>,
    /// The domain of MAIL FROM as it was handed in, in A-labels; `None` is the null sender.
    pub sender: Option<Arc<str>>,
    pub labels: Arc<Labels>,
    pub recipients: u16,
    /// Where the attempt before went; `None` before the first.
    pub last: Option<Arc<Place>>,
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

impl Depth {
    /// Entries in any state.
    pub fn total(self) -> usize {
        self.scheduled + self.ready + self.sending + self.held
    }
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
    /// Scheduled entries whose time is yet to come.
    timetable: Timetable,
    /// Due without having waited: new mail, retries asked for.
    now_due: VecDeque<Key>,
    /// What was last said to hold an entry: it is often the same for many in a row.
    reason: Option<Arc<Held>>,
    /// The chunk of entries to be looked over next, and when.
    sweep: (usize, Timestamp),
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
        let groups = entry::group(stored, expires);
        let not_before = stored.meta.send_at.unwrap_or_default();
        let held = stored.held.as_ref().map(|why| Held::Operator {
            why: why.to_string(),
        });
        let sender = stored.meta.envelope.sender.as_ref();
        let sender = sender.map(|sender| Arc::from(sender.ascii_domain()));
        let mut inner = self.0.inner.lock();
        let held = held.map(|why| inner.reason(why));
        for group in &groups {
            let key = inner.entries.insert(New {
                id: stored.meta.id,
                sender: sender.as_ref(),
                labels: &stored.meta.labels,
                state: State::Ready,
                group,
            });
            match held.clone() {
                Some(why) => inner.set(key, State::Held { why }),
                None => inner.schedule(key, group.until.max(not_before), None, now),
            }
        }
        drop(inner);
        self.0.wake.notify_one();
    }

    /// Waits until entries are due and hands them out; they are `Ready` then, and the caller's to place.
    pub async fn due(&self) -> Vec<Due> {
        loop {
            let now = self.0.clock.now();
            let (due, next) = self.0.inner.lock().take_due(now);
            if !due.is_empty() {
                return due;
            }
            if next <= now {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                () = self.0.wake.notified() => {}
                () = self.0.clock.sleep_until(next) => {}
            }
        }
    }

    /// Notes which ready queue an entry waits in.
    pub fn place(&self, key: Key, place: &Arc<Place>) {
        self.0.inner.lock().entries.set_place(key, place);
    }

    /// An entry that waits in a ready queue, as it was handed out.
    pub fn peek(&self, key: Key) -> Option<Due> {
        let now = self.0.clock.now();
        let inner = self.0.inner.lock();
        let is_ready = matches!(inner.entries.get(key)?.state(), State::Ready);
        is_ready.then(|| inner.entries.due(key, now)).flatten()
    }

    /// A delivery takes the entry: `Ready` → `Sending`. `None` where it is no longer there to be sent.
    #[must_use = "a job taken is a job to settle"]
    pub fn begin(&self, key: Key) -> Option<Job> {
        let mut inner = self.0.inner.lock();
        if !matches!(inner.entries.get(key)?.state(), State::Ready) {
            return None;
        }
        let job = inner.entries.job(key)?;
        inner.set(key, State::Sending { hold: None });
        Some(job)
    }

    /// Takes an entry out of its ready queue: something holds it until then. One that a delivery has taken meanwhile
    /// stays with it, because a ready queue may know an entry twice.
    pub fn wait(&self, key: Key, until: Timestamp, why: Held) {
        let now = self.0.clock.now();
        let mut inner = self.0.inner.lock();
        let entry = inner.entries.get(key);
        if !entry.is_some_and(|entry| matches!(entry.state(), State::Ready)) {
            return;
        }
        let why = inner.reason(why);
        inner.schedule(key, until, Some(why), now);
        drop(inner);
        self.0.wake.notify_one();
    }

    /// A delivery gives back what it took, without an attempt: something holds it until then.
    pub fn put_back(&self, job: &Job, until: Timestamp, why: Held) {
        let now = self.0.clock.now();
        let mut inner = self.0.inner.lock();
        inner.give_back(job.key, until, Some(why), now);
        drop(inner);
        self.0.wake.notify_one();
    }

    /// Lets an entry go whose message is not in the spool any more.
    pub fn forget(&self, key: Key) {
        self.0.inner.lock().remove(key);
    }

    /// Records the outcome of an attempt. Recipients with a final disposition leave; those put off are tried again when
    /// the first of them may be. Recipients that have no outcome were not tried: they become an entry of their own, due
    /// now.
    pub fn settle(&self, key: Key, outcomes: &[(u16, Disposition)]) {
        let now = self.0.clock.now();
        let mut inner = self.0.inner.lock();
        let Some(entry) = inner.entries.get_mut(key) else {
            return;
        };
        let is_tried = |recipient: u16| outcomes.iter().any(|(of, _)| *of == recipient);
        let untried = entry.take_out(|recipient| !is_tried(recipient));
        let hold = match entry.state() {
            State::Sending { hold } => hold.clone(),
            _ => None,
        };
        if let Some(untried) = untried {
            inner.insert_split(key, &untried, hold.clone(), now);
        }
        let Some(entry) = inner.entries.get_mut(key) else {
            return;
        };
        let is_final = |recipient: u16| {
            outcomes
                .iter()
                .any(|(of, disposition)| *of == recipient && disposition.is_final())
        };
        entry.attempts = entry.attempts.saturating_add(1);
        if !entry.retain(|recipient| !is_final(recipient)) {
            inner.remove(key);
        } else if let Some(why) = hold {
            inner.set(key, State::Held { why });
        } else {
            let until = outcomes.iter().filter_map(|(_, d)| match d {
                Disposition::Deferred { until, .. } => Some(*until),
                _ => None,
            });
            inner.schedule(key, until.min().unwrap_or(now), None, now);
        }
        drop(inner);
        self.0.wake.notify_one();
    }

    #[cfg(test)]
    fn list_keys_for_tests(&self) -> Vec<Key> {
        let inner = self.0.inner.lock();
        let chunks = 0..inner.entries.chunks();
        chunks
            .flat_map(|chunk| inner.entries.keys_where(chunk, |_| true))
            .collect()
    }

    pub fn depth(&self) -> Depth {
        self.0.inner.lock().entries.depth()
    }
}

impl Inner {
    fn set(&mut self, key: Key, state: State) {
        if let Some(State::Scheduled { due, .. }) = self.entries.set(key, state) {
            self.timetable.remove(due, key);
        }
    }

    /// Recipients of an entry that go their own way, as far as it had come.
    fn insert_split(
        &mut self,
        key: Key,
        recipients: &entry::Recipients,
        hold: Option<Arc<Held>>,
        now: Timestamp,
    ) {
        let Some(split) = self.entries.split(key, recipients) else {
            return;
        };
        match hold {
            Some(why) => self.set(split, State::Held { why }),
            None => self.schedule(split, now, None, now),
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(State::Scheduled { due, .. }) =
            self.entries.remove(key).as_ref().map(Entry::state)
        {
            self.timetable.remove(*due, key);
        }
    }

    /// Due at `at` or when it expires, whichever is first.
    fn schedule(&mut self, key: Key, at: Timestamp, why: Option<Arc<Held>>, now: Timestamp) {
        let Some(entry) = self.entries.get(key) else {
            return;
        };
        let due = at.min(entry.expires);
        self.set(key, State::Scheduled { due, why });
        if due <= now {
            self.now_due.push_back(key);
        } else {
            self.timetable.insert(due, key);
        }
    }

    /// What was taken for sending and not tried is due at `until`, or held where that was asked for meanwhile.
    fn give_back(&mut self, key: Key, until: Timestamp, why: Option<Held>, now: Timestamp) {
        let hold = match self.entries.get(key).map(Entry::state) {
            Some(State::Sending { hold }) => hold.clone(),
            _ => return,
        };
        match hold {
            Some(why) => self.set(key, State::Held { why }),
            None => {
                let why = why.map(|why| self.reason(why));
                self.schedule(key, until, why, now);
            }
        }
    }

    /// One copy of what is said of many in a row: a site that is down holds all its mail.
    fn reason(&mut self, why: Held) -> Arc<Held> {
        match &self.reason {
            Some(last) if **last == why => Arc::clone(last),
            _ => Arc::clone(self.reason.insert(Arc::new(why))),
        }
    }

    /// What is due at `now`, and when to look again: at once where there may be more. Little or nothing of what was
    /// looked at may be due, where the line is out of date.
    fn take_due(&mut self, now: Timestamp) -> (Vec<Due>, Timestamp) {
        self.sweep(now);
        let mut due = Vec::new();
        for _ in 0..DUE_BATCH {
            let Some(key) = self.next_key(now) else { break };
            due.extend(self.make_ready(key, now));
        }
        let sweep = self.sweep.1;
        let next = match self.now_due.is_empty() {
            true => self.timetable.first().map_or(sweep, |at| at.min(sweep)),
            false => now,
        };
        (due, next)
    }

    /// Looks over one chunk of entries for those that expired in a ready queue, so that each has its turn once in
    /// [`SWEEP`].
    fn sweep(&mut self, now: Timestamp) {
        let (chunk, at) = self.sweep;
        if now < at {
            return;
        }
        let stale = |entry: &Entry| matches!(entry.state(), State::Ready) && entry.expires <= now;
        for key in self.entries.keys_where(chunk, stale) {
            self.schedule(key, now, None, now);
        }
        let chunks = self.entries.chunks().max(1);
        let share = SWEEP / u32::try_from(chunks).unwrap_or(u32::MAX);
        self.sweep = ((chunk + 1) % chunks, now + share.max(LEAST_SHARE));
    }

    fn next_key(&mut self, now: Timestamp) -> Option<Key> {
        if let Some(key) = self.now_due.pop_front() {
            if self.now_due.is_empty() {
                self.now_due.shrink_to(SHORT_LINE);
            }
            return Some(key);
        }
        self.timetable.take_due(now)
    }

    /// `None` where the line of what is due is out of date: the entry has gone, or is due at another time.
    fn make_ready(&mut self, key: Key, now: Timestamp) -> Option<Due> {
        if !matches!(self.entries.get(key)?.state(), State::Scheduled { due, .. } if *due <= now) {
            return None;
        }
        let due = self.entries.due(key, now)?;
        self.set(key, State::Ready);
        Some(due)
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub use tests::keys_for_tests;

//! What an operator does to waiting mail. Each command goes over all entries a chunk at a time and lets others to the
//! lock in between; an entry that comes in meanwhile may or may not be seen.

use super::entry::{Entry, Job, State, View};
use super::{Inner, Key, Queue, Selector};
use crate::mail::MessageId;
use crate::policy::Held;
use parking_lot::MutexGuard;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// Entries shown, or given back, under one hold of the lock.
const AT_ONCE: usize = 256;

impl Queue {
    /// Holds every message that matches; returns their ids, for the spool to remember. What is being sent is held
    /// after this attempt.
    pub fn hold(&self, selector: &Selector, why: &str) -> Vec<MessageId> {
        let why = Arc::new(Held::Operator {
            why: why.to_owned(),
        });
        self.each_of_messages(selector, |inner, key| {
            let why = Arc::clone(&why);
            let state = match is_sending(inner, key) {
                true => State::Sending { hold: Some(why) },
                false => State::Held { why },
            };
            inner.set(key, state);
            true
        })
    }

    /// Lets go of held messages that match, to be tried at once; returns their ids.
    pub fn release(&self, selector: &Selector) -> Vec<MessageId> {
        let now = self.0.clock.now();
        let released = self.each_of_messages(selector, |inner, key| {
            match inner.entries.get(key).map(|entry| entry.state()) {
                Some(State::Held { .. }) => inner.schedule(key, now, None, now),
                Some(State::Sending { hold: Some(_) }) => {
                    inner.set(key, State::Sending { hold: None })
                }
                _ => return false,
            }
            true
        });
        self.0.wake.notify_one();
        released
    }

    /// Makes matching scheduled entries due now; returns how many were not yet. What waits for a time of its sender's
    /// choosing is spared, unless it is named.
    pub fn retry(&self, selector: &Selector) -> usize {
        let is_named = selector.id.is_some();
        self.bring_forward(selector, |entry, why| {
            why.is_some() || entry.attempts > 0 || is_named
        })
    }

    /// Makes entries due now that wait for something of this kind, because it may be over; returns how many.
    pub fn reconsider(&self, is_so: impl Fn(&Held) -> bool) -> usize {
        let is_so = |why: &Arc<Held>| is_so(why);
        self.bring_forward(&Selector::default(), |_, why| why.is_some_and(is_so))
    }

    fn bring_forward(
        &self,
        selector: &Selector,
        wanted: impl Fn(&Entry, Option<&Arc<Held>>) -> bool,
    ) -> usize {
        let now = self.0.clock.now();
        let mut count = 0;
        let bring_forward = |inner: &mut Inner, key| {
            let entry = inner.entries.get(key)?;
            let State::Scheduled { due, why } = entry.state() else {
                return None;
            };
            let waits = *due > now && wanted(entry, why.as_ref());
            waits.then(|| inner.schedule(key, now, None, now))
        };
        self.each(selector, bring_forward, |some| count += some.len());
        self.0.wake.notify_one();
        count
    }

    /// Takes matching entries out of waiting, to be settled as dropped. What is being sent is not touched.
    pub fn take(&self, selector: &Selector) -> Taken {
        let mut left = Vec::new();
        let take_out = |inner: &mut Inner, key| {
            let entry = inner.entries.get(key)?;
            let (id, hold) = match entry.state() {
                State::Sending { .. } => return None,
                State::Held { why } => (entry.id, Some(Arc::clone(why))),
                State::Scheduled { .. } | State::Ready => (entry.id, None),
            };
            inner.set(key, State::Sending { hold });
            Some((id, key))
        };
        self.each(selector, take_out, |some| left.extend(some));
        left.sort_unstable_by(|a, b| b.cmp(a));
        let queue = self.clone();
        Taken { queue, left }
    }

    /// Takes recipients of one message out of waiting, to be settled as dropped. Whoever shares an entry with them waits
    /// on as before. What is being sent is not touched.
    pub fn take_recipients(&self, id: MessageId, recipients: &[u16]) -> Taken {
        let is_wanted = |recipient: u16| recipients.contains(&recipient);
        let take_out = |inner: &mut Inner, key| {
            let entry = inner.entries.get_mut(key)?;
            let hold = match entry.state() {
                State::Sending { .. } => return None,
                State::Held { why } => Some(Arc::clone(why)),
                State::Scheduled { .. } | State::Ready => None,
            };
            let whole = entry.recipients();
            if !whole.iter().any(|recipient| is_wanted(*recipient)) {
                return None;
            }
            let key = match entry.take_out(is_wanted) {
                Some(out) => inner.entries.split(key, &out)?,
                // All of them.
                None => key,
            };
            inner.set(key, State::Sending { hold });
            Some((id, key))
        };
        let mut left = Vec::new();
        self.each(&Selector::of(id), take_out, |some| left.extend(some));
        let queue = self.clone();
        Taken { queue, left }
    }

    /// How many of the entries that match wait for a time of their sender's choosing.
    pub fn not_before_their_time(&self, selector: &Selector) -> usize {
        let now = self.0.clock.now();
        let chosen = |inner: &mut Inner, key| {
            let view = inner.entries.view(key)?;
            let waits = view.due.is_some_and(|due| due > now) && view.why.is_none();
            (waits && view.attempts == 0).then_some(())
        };
        let mut count = 0;
        self.each(selector, chosen, |some| count += some.len());
        count
    }

    /// What matches, in order of acceptance, at most `limit` of it.
    pub fn list(&self, selector: &Selector, limit: usize) -> Vec<View> {
        // The largest on top, to make room for a smaller one.
        let mut first: BinaryHeap<(MessageId, Key)> = BinaryHeap::new();
        let keep_first = |some: Vec<(MessageId, Key)>| {
            for one in some {
                if first.len() < limit {
                    first.push(one);
                } else if let Some(mut last) = first.peek_mut()
                    && one < *last
                {
                    *last = one;
                }
            }
        };
        let name = |inner: &mut Inner, key| Some((id_of(inner, key)?, key));
        self.each(selector, name, keep_first);
        let mut views = Vec::with_capacity(first.len());
        for some in first.into_sorted_vec().chunks(AT_ONCE) {
            let inner = self.0.inner.lock();
            views.extend(some.iter().filter_map(|(_, key)| inner.entries.view(*key)));
            MutexGuard::unlock_fair(inner);
        }
        views
    }

    /// Every entry of every message of which one matches; returns the messages to which `visit` did something.
    fn each_of_messages(
        &self,
        selector: &Selector,
        mut visit: impl FnMut(&mut Inner, Key) -> bool,
    ) -> Vec<MessageId> {
        let mut ids = Vec::new();
        let name = |inner: &mut Inner, key| id_of(inner, key);
        self.each(selector, name, |some| ids.extend(some));
        let ids = distinct(ids);
        if ids.is_empty() {
            return ids;
        }
        let mut visited = Vec::new();
        let visit_one = |inner: &mut Inner, key| {
            let id = id_of(inner, key).filter(|id| ids.binary_search(id).is_ok())?;
            visit(inner, key).then_some(id)
        };
        self.each(&Selector::default(), visit_one, |some| visited.extend(some));
        distinct(visited)
    }

    /// Goes over what matches, a chunk at a time: `visit` has the lock; `gather` gets what it returned when others have
    /// it, because a list of all grows by leaps.
    fn each<T>(
        &self,
        selector: &Selector,
        mut visit: impl FnMut(&mut Inner, Key) -> Option<T>,
        mut gather: impl FnMut(Vec<T>),
    ) {
        for chunk in 0.. {
            let mut inner = self.0.inner.lock();
            if chunk >= inner.entries.chunks() {
                return;
            }
            let wanted = selector.among(&inner.entries);
            let keys = wanted.map(|wanted| inner.entries.keys_where(chunk, |e| wanted.is(e)));
            let keys = keys.unwrap_or_default().into_iter();
            let some = keys.filter_map(|key| visit(&mut inner, key)).collect();
            MutexGuard::unlock_fair(inner);
            gather(some);
        }
    }
}

/// Entries taken out of waiting, message by message in order of acceptance. Those not asked for go back when this is
/// dropped: due at once, or held as they were.
#[must_use = "what was taken goes back when this is dropped"]
pub struct Taken {
    queue: Queue,
    /// The next one last.
    left: Vec<(MessageId, Key)>,
}

impl Iterator for Taken {
    /// The entries of one message, as jobs to be settled.
    type Item = Vec<Job>;

    fn next(&mut self) -> Option<Vec<Job>> {
        let (id, _) = *self.left.last()?;
        let others = self.left.iter().rposition(|(of, _)| *of != id);
        let keys = self.left.split_off(others.map_or(0, |last| last + 1));
        let inner = self.queue.0.inner.lock();
        let jobs = keys.iter().filter_map(|(_, key)| inner.entries.job(*key));
        Some(jobs.collect())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let now = self.queue.0.clock.now();
        for some in self.left.rchunks(AT_ONCE) {
            let mut inner = self.queue.0.inner.lock();
            for (_, key) in some.iter().rev() {
                inner.give_back(*key, now, None, now);
            }
            MutexGuard::unlock_fair(inner);
        }
        self.queue.0.wake.notify_one();
    }
}

/// In order.
fn distinct(mut ids: Vec<MessageId>) -> Vec<MessageId> {
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn id_of(inner: &Inner, key: Key) -> Option<MessageId> {
    inner.entries.get(key).map(|entry| entry.id)
}

fn is_sending(inner: &Inner, key: Key) -> bool {
    let entry = inner.entries.get(key);
    entry.is_some_and(|entry| matches!(entry.state(), State::Sending { .. }))
}

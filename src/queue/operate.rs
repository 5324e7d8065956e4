//! What an operator does to waiting mail. Each command goes over all entries a chunk at a time and lets others to the
//! lock in between; an entry that comes in meanwhile may or may not be seen.

use super::entry::{Job, State, View};
use super::{Inner, Key, Queue, Selector};
use crate::mail::MessageId;
use crate::policy::Held;
use parking_lot::MutexGuard;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// Entries shown under one hold of the lock.
const SHOWN: usize = 256;

impl Queue {
    /// Holds every message that matches; returns their ids, for the spool to remember. What is being sent is held
    /// after this attempt.
    pub fn hold(&self, selector: &Selector, why: &str) -> Vec<MessageId> {
        let why = Arc::new(Held::Operator {
            why: why.to_owned(),
        });
        let mut held = Vec::new();
        self.each_of_messages(selector, |inner, key, id| {
            let why = Arc::clone(&why);
            let sending = is_sending(inner, key);
            inner.set(
                key,
                if sending {
                    State::Sending { hold: Some(why) }
                } else {
                    State::Held { why }
                },
            );
            held.push(id);
        });
        distinct(held)
    }

    /// Lets go of held messages that match, to be tried at once; returns their ids.
    pub fn release(&self, selector: &Selector) -> Vec<MessageId> {
        let now = self.0.clock.now();
        let mut released = Vec::new();
        self.each_of_messages(selector, |inner, key, id| {
            match inner.entries.get(key).map(|entry| entry.state()) {
                Some(State::Held { .. }) => inner.schedule(key, now, None, now),
                Some(State::Sending { hold: Some(_) }) => {
                    inner.set(key, State::Sending { hold: None })
                }
                _ => return,
            }
            released.push(id);
        });
        self.0.wake.notify_one();
        distinct(released)
    }

    /// Makes matching scheduled entries due now; returns how many.
    pub fn retry(&self, selector: &Selector) -> usize {
        let now = self.0.clock.now();
        let mut count = 0;
        self.each(selector, |inner, key| {
            let entry = inner.entries.get(key);
            if entry.is_some_and(|entry| matches!(entry.state(), State::Scheduled { .. })) {
                inner.schedule(key, now, None, now);
                count += 1;
            }
        });
        self.0.wake.notify_one();
        count
    }

    /// Takes matching entries out of waiting, as jobs to be settled as dropped. What is being sent is not touched.
    #[must_use = "these entries are nobody's until they are settled"]
    pub fn take(&self, selector: &Selector) -> Vec<Job> {
        let mut taken = Vec::new();
        self.each(selector, |inner, key| {
            if is_sending(inner, key) {
                return;
            }
            if let Some(job) = inner.entries.job(key) {
                inner.set(key, State::Sending { hold: None });
                taken.push(job);
            }
        });
        taken
    }

    /// What matches, in order of acceptance, at most `limit` of it.
    pub fn list(&self, selector: &Selector, limit: usize) -> Vec<View> {
        // The largest on top, to make room for a smaller one.
        let mut first: BinaryHeap<(MessageId, Key)> = BinaryHeap::new();
        self.each(selector, |inner, key| {
            let Some(id) = inner.entries.get(key).map(|entry| entry.id) else {
                return;
            };
            if first.len() < limit {
                first.push((id, key));
            } else if let Some(mut last) = first.peek_mut()
                && (id, key) < *last
            {
                *last = (id, key);
            }
        });
        let mut views = Vec::with_capacity(first.len());
        for some in first.into_sorted_vec().chunks(SHOWN) {
            let inner = self.0.inner.lock();
            views.extend(some.iter().filter_map(|(_, key)| inner.entries.view(*key)));
            MutexGuard::unlock_fair(inner);
        }
        views
    }

    /// Every entry of every message of which one matches.
    fn each_of_messages(
        &self,
        selector: &Selector,
        mut visit: impl FnMut(&mut Inner, Key, MessageId),
    ) {
        let mut ids = Vec::new();
        self.each(selector, |inner, key| {
            ids.extend(inner.entries.get(key).map(|entry| entry.id));
        });
        let ids = distinct(ids);
        if ids.is_empty() {
            return;
        }
        self.each(&Selector::default(), |inner, key| {
            let id = inner.entries.get(key).map(|entry| entry.id);
            if let Some(id) = id.filter(|id| ids.binary_search(id).is_ok()) {
                visit(inner, key, id);
            }
        });
    }

    fn each(&self, selector: &Selector, mut visit: impl FnMut(&mut Inner, Key)) {
        let mut chunk = 0;
        loop {
            let mut inner = self.0.inner.lock();
            if chunk >= inner.entries.chunks() {
                return;
            }
            let wanted = selector.among(&inner.entries);
            let keys = wanted.map(|wanted| inner.entries.keys_where(chunk, |e| wanted.is(e)));
            for key in keys.unwrap_or_default() {
                visit(&mut inner, key);
            }
            MutexGuard::unlock_fair(inner);
            chunk += 1;
        }
    }
}

/// In order. Lists are gathered under the lock and ordered after it, because a set would grow by leaps.
fn distinct(mut ids: Vec<MessageId>) -> Vec<MessageId> {
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn is_sending(inner: &Inner, key: Key) -> bool {
    let entry = inner.entries.get(key);
    entry.is_some_and(|entry| matches!(entry.state(), State::Sending { .. }))
}

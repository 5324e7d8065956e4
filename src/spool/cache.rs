//! Messages just accepted, so that their first attempt reads no disk.

use super::Meta;
use super::content::Held;
use crate::mail::MessageId;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// A message as it was accepted.
#[derive(Debug, Clone)]
pub struct Fresh {
    pub meta: Arc<Meta>,
    pub content: Held,
}

/// Bounded by octets; the longest held goes first.
pub struct Cache {
    held: Mutex<Contents>,
    most: usize,
}

#[derive(Default)]
struct Contents {
    by_id: HashMap<MessageId, Fresh>,
    /// In order of insertion. Ids that were taken out meanwhile stay until their turn comes.
    order: VecDeque<MessageId>,
    octets: usize,
}

impl Cache {
    pub fn new(most: u64) -> Self {
        Self {
            held: Mutex::default(),
            most: usize::try_from(most).unwrap_or(usize::MAX),
        }
    }

    pub fn insert(&self, id: MessageId, fresh: Fresh) {
        let mut held = self.held.lock();
        held.octets += fresh.content.len();
        held.order.push_back(id);
        held.by_id.insert(id, fresh);
        while held.octets > self.most || held.order.len() > 4 * held.by_id.len() + 64 {
            let Some(oldest) = held.order.pop_front() else {
                break;
            };
            held.remove(oldest);
        }
    }

    pub fn get(&self, id: MessageId) -> Option<Fresh> {
        self.held.lock().by_id.get(&id).cloned()
    }

    pub fn remove(&self, id: MessageId) -> Option<Fresh> {
        self.held.lock().remove(id)
    }
}

impl Contents {
    fn remove(&mut self, id: MessageId) -> Option<Fresh> {
        let fresh = self.by_id.remove(&id)?;
        self.octets -= fresh.content.len();
        if self.by_id.is_empty() {
            self.order.clear();
        }
        Some(fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn the_oldest_content_goes_first_and_the_bound_holds() {
        let cache = Cache::new(100);
        for id in (1..=3).map(MessageId) {
            let content = Held {
                head: Bytes::from_static(&[b'h'; 10]),
                body: Bytes::from_static(&[b'b'; 30]),
            };
            let meta = super::super::tests::meta(id, 1);
            cache.insert(id, Fresh { meta, content });
        }
        assert!(cache.get(MessageId(1)).is_none());
        assert!(cache.get(MessageId(2)).is_some() && cache.get(MessageId(3)).is_some());
        assert!(cache.remove(MessageId(2)).is_some() && cache.remove(MessageId(2)).is_none());
    }
}

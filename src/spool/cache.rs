//! Messages just accepted, so that their first attempt reads no disk.

use super::Meta;
use super::content::Held;
use crate::mail::MessageId;
use crate::units::Timestamp;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A message as it was accepted.
#[derive(Debug, Clone)]
pub struct Fresh {
    pub meta: Arc<Meta>,
    pub content: Held,
}

/// What a recipient and all the rest of a message's description take, about.
const RECIPIENT: usize = 128;
const META: usize = 512;

impl Fresh {
    /// Memory that it takes, about.
    fn octets(&self) -> usize {
        self.content.len() + META + RECIPIENT * self.meta.envelope.recipients.len()
    }
}

/// A message that was not asked for within this time waits for something; the next that comes in may use its room.
const KEPT: Duration = Duration::from_secs(10);

/// Bounded by octets. Mail is tried in the order it came: what finds no room is read from disk when its turn comes,
/// because throwing out the oldest for it would throw out what is asked for next.
pub struct Cache {
    held: Mutex<Contents>,
    most: usize,
}

#[derive(Default)]
struct Contents {
    by_id: HashMap<MessageId, Fresh>,
    /// In order of insertion. Ids that were taken out meanwhile stay until their turn comes.
    order: VecDeque<(MessageId, Timestamp)>,
    octets: usize,
}

impl Cache {
    pub fn new(most: u64) -> Self {
        Self {
            held: Mutex::default(),
            most: usize::try_from(most).unwrap_or(usize::MAX),
        }
    }

    /// Keeps what there is room for.
    pub fn insert(&self, fresh: Vec<Fresh>, now: Timestamp) {
        let mut held = self.held.lock();
        held.let_go(now);
        for fresh in fresh {
            if held.octets + fresh.octets() > self.most {
                continue;
            }
            let id = fresh.meta.id;
            held.octets += fresh.octets();
            held.order.push_back((id, now));
            held.by_id.insert(id, fresh);
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
    /// Forgets what was taken out, and lets go of what was kept long enough.
    fn let_go(&mut self, now: Timestamp) {
        while let Some((oldest, since)) = self.order.front().copied()
            && (now.since(since) >= KEPT || !self.by_id.contains_key(&oldest))
        {
            self.order.pop_front();
            self.remove(oldest);
        }
    }

    fn remove(&mut self, id: MessageId) -> Option<Fresh> {
        let fresh = self.by_id.remove(&id)?;
        self.octets -= fresh.octets();
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
    fn the_bound_holds_and_what_was_kept_long_enough_makes_room() {
        let cache = Cache::new(2 * (40 + META + RECIPIENT) as u64);
        let start = Timestamp::from_millis(1_800_000_000_000);
        let fresh = |id: u64| {
            let content = Held {
                head: Bytes::from_static(&[b'h'; 10]),
                body: Bytes::from_static(&[b'b'; 30]),
            };
            let meta = super::super::tests::meta(MessageId(id), 1);
            Fresh { meta, content }
        };
        let insert = |id, now| cache.insert(vec![fresh(id)], now);
        (1..=3).for_each(|id| insert(id, start));
        assert!(cache.get(MessageId(1)).is_some() && cache.get(MessageId(2)).is_some());
        assert!(cache.get(MessageId(3)).is_none(), "there was no room");
        assert!(cache.remove(MessageId(1)).is_some() && cache.remove(MessageId(1)).is_none());
        insert(4, start);
        assert!(cache.get(MessageId(4)).is_some());
        insert(5, start + KEPT);
        assert!(cache.get(MessageId(2)).is_none() && cache.get(MessageId(4)).is_none());
        assert!(cache.get(MessageId(5)).is_some());
    }
}

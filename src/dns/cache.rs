//! Answers kept on our own clock: many askers make one question, and an outage is bridged with what was known.

use super::DnsFailure;
use crate::clock::Clock;
use crate::units::Timestamp;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// An answer as a lookup gives it, and how long it may be used.
pub(super) struct Answer<V> {
    pub result: Result<V, DnsFailure>,
    pub ttl: Duration,
}

/// How long a failure of the name servers stands before they are asked again (RFC 2308 §7 allows five minutes; RFC 9520 §3.2 asks for a second at least).
pub(super) const FAILURE_HOLD: Duration = Duration::from_secs(5);

/// Keeps at most `capacity` answers; the least recently asked for go first.
pub(super) struct Cache<V> {
    clock: Clock,
    capacity: usize,
    stale: Duration,
    generations: Mutex<Generations<V>>,
}

/// Two maps instead of a list in order of use: when the young one is full it becomes the old one, and whatever is
/// asked for moves back. Half the capacity is the least that stays.
struct Generations<V> {
    young: HashMap<Box<str>, Arc<Entry<V>>>,
    old: HashMap<Box<str>, Arc<Entry<V>>>,
}

/// One question: unanswered while `known` is empty. The first asker looks it up and the others wait; should the first
/// give up, the next takes over.
struct Entry<V> {
    known: OnceCell<Known<V>>,
    /// The last good answer, for an outage.
    last_good: Option<(V, Timestamp)>,
}

struct Known<V> {
    result: Result<V, DnsFailure>,
    /// Asked again after this.
    expires: Timestamp,
    /// A good answer serves an outage until this.
    good_until: Timestamp,
}

impl<V: Clone> Cache<V> {
    pub fn new(clock: Clock, capacity: usize, stale: Duration) -> Self {
        let generations = Generations {
            young: HashMap::new(),
            old: HashMap::new(),
        };
        Self {
            clock,
            capacity,
            stale,
            generations: Mutex::new(generations),
        }
    }

    /// The answer for `key`, from `ask` where none is fresh.
    pub async fn get<F>(&self, key: &str, ask: impl FnOnce() -> F) -> Result<V, DnsFailure>
    where
        F: Future<Output = Answer<V>>,
    {
        let entry = self.entry(key);
        let settle = || async { entry.settle(ask().await, self.clock.now(), self.stale) };
        entry.known.get_or_init(settle).await.result.clone()
    }

    /// The answer for `key` where a fresh one is at hand.
    pub fn fresh(&self, key: &str) -> Option<Result<V, DnsFailure>> {
        let now = self.clock.now();
        let mut generations = self.generations.lock();
        let entry = Arc::clone(generations.find(key, self.capacity)?);
        drop(generations);
        let known = entry.known.get().filter(|known| known.expires > now)?;
        Some(known.result.clone())
    }

    fn entry(&self, key: &str) -> Arc<Entry<V>> {
        let now = self.clock.now();
        let mut generations = self.generations.lock();
        let held = generations.find(key, self.capacity);
        let last_good = match held {
            Some(entry) if entry.is_current(now) => return Arc::clone(entry),
            held => held.and_then(|entry| entry.good(now)),
        };
        let entry = Arc::new(Entry {
            known: OnceCell::new(),
            last_good,
        });
        generations.put(key.into(), Arc::clone(&entry), self.capacity);
        entry
    }
}

impl<V> Generations<V> {
    /// What is found counts as asked for.
    fn find(&mut self, key: &str, capacity: usize) -> Option<&Arc<Entry<V>>> {
        if let Some((key, entry)) = self.old.remove_entry(key) {
            self.put(key, entry, capacity);
        }
        self.young.get(key)
    }

    fn put(&mut self, key: Box<str>, entry: Arc<Entry<V>>, capacity: usize) {
        if self.young.len() >= (capacity / 2).max(1) && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, entry);
    }
}

impl<V: Clone> Entry<V> {
    /// Fresh, or being asked for.
    fn is_current(&self, now: Timestamp) -> bool {
        self.known.get().is_none_or(|known| known.expires > now)
    }

    fn good(&self, now: Timestamp) -> Option<(V, Timestamp)> {
        let known = self.known.get()?;
        let value = known.result.as_ref().ok()?;
        (known.good_until > now).then(|| (value.clone(), known.good_until))
    }

    fn settle(&self, answer: Answer<V>, now: Timestamp, stale: Duration) -> Known<V> {
        let bridge = self.last_good.as_ref().filter(|(_, until)| *until > now);
        match (answer.result, bridge) {
            (Err(DnsFailure::Temporary(_)), Some((value, until))) => Known {
                result: Ok(value.clone()),
                expires: now + FAILURE_HOLD,
                good_until: *until,
            },
            (result, _) => Known {
                result,
                expires: now + answer.ttl,
                good_until: now + answer.ttl + stale,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const HOUR: Duration = Duration::from_secs(3600);

    fn good(value: u32) -> Answer<u32> {
        Answer {
            result: Ok(value),
            ttl: HOUR,
        }
    }

    fn down() -> Answer<u32> {
        Answer {
            result: Err(DnsFailure::Temporary("down".into())),
            ttl: FAILURE_HOLD,
        }
    }

    fn cache(capacity: usize) -> (Clock, Cache<u32>) {
        let clock = Clock::manual(Timestamp::from_millis(1_000_000));
        (clock.clone(), Cache::new(clock, capacity, 24 * HOUR))
    }

    #[tokio::test]
    async fn an_answer_is_used_until_its_time_is_over() {
        let (clock, cache) = cache(10);
        assert_eq!(cache.get("a", || async { good(1) }).await, Ok(1));
        clock.advance(HOUR - Duration::from_secs(1));
        assert_eq!(cache.get("a", || async { good(2) }).await, Ok(1));
        clock.advance(Duration::from_secs(1));
        assert_eq!(cache.get("a", || async { good(2) }).await, Ok(2));
    }

    #[tokio::test]
    async fn an_outage_is_bridged_for_a_day_and_not_longer() {
        let (clock, cache) = cache(10);
        assert_eq!(cache.get("a", || async { good(1) }).await, Ok(1));
        for _ in 0..24 {
            clock.advance(HOUR);
            assert_eq!(cache.get("a", || async { down() }).await, Ok(1));
        }
        clock.advance(HOUR);
        assert!(cache.get("a", || async { down() }).await.is_err());
        clock.advance(FAILURE_HOLD);
        assert_eq!(cache.get("a", || async { good(2) }).await, Ok(2));
    }

    #[tokio::test]
    async fn a_denial_ends_the_bridge_at_once() {
        let (clock, cache) = cache(10);
        assert_eq!(cache.get("a", || async { good(1) }).await, Ok(1));
        clock.advance(HOUR);
        let denied = || async {
            Answer {
                result: Err(DnsFailure::NoSuchDomain("a".into())),
                ttl: HOUR,
            }
        };
        assert!(cache.get("a", denied).await.is_err());
    }

    #[tokio::test]
    async fn an_asker_that_gives_up_leaves_the_question_to_the_next() {
        let (_clock, cache) = cache(10);
        let asked = Cell::new(0);
        {
            let never = cache.get("a", || async {
                asked.set(asked.get() + 1);
                std::future::pending().await
            });
            tokio::pin!(never);
            let both = tokio::select! {
                biased;
                _ = &mut never => true,
                () = tokio::task::yield_now() => false,
            };
            assert!(!both);
        }
        assert_eq!(cache.get("a", || async { good(1) }).await, Ok(1));
        assert_eq!(asked.get(), 1);
    }

    #[tokio::test]
    async fn the_size_is_bounded_and_the_recently_asked_stay() {
        let (_clock, cache) = cache(8);
        for round in 0..100 {
            assert_eq!(cache.get("kept", || async { good(7) }).await, Ok(7));
            let key = round.to_string();
            assert_eq!(cache.get(&key, || async { good(round) }).await, Ok(round));
        }
        assert_eq!(cache.get("kept", || async { good(8) }).await, Ok(7));
        let generations = cache.generations.lock();
        assert!(generations.young.len() + generations.old.len() <= 8);
    }
}

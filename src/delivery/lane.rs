//! The ready queue of one source × site: what waits to be sent there now, and how many connections may carry it.

use super::routing::Terms;
use crate::mail::{MessageId, Reply};
use crate::policy::Held;
use crate::queue::{Key, Place};
use crate::units::Timestamp;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How far behind the front entries of the same message are looked for, to share its transaction.
const SIBLINGS: usize = 256;
/// Longest time a site that does not answer is left alone.
const MAX_BACKOFF: Duration = Duration::from_secs(3600);

/// A place in line: the entry, and its message so that recipients of one message find each other.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    pub key: Key,
    pub id: MessageId,
}

/// Connections that a lane may have, as its site shows what it can take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub initial: u32,
    pub max: u32,
    pub backoff: Duration,
}

/// One source × site, for mail whose connections are made on the same terms.
pub struct Lane {
    pub place: Arc<Place>,
    pub terms: Arc<Terms>,
    bounds: Bounds,
    state: Mutex<State>,
    wake: Notify,
}

struct State {
    ready: VecDeque<Ready>,
    /// Connections, open or opening.
    open: u32,
    /// Of those, the ones with nothing to send.
    idle: u32,
    window: u32,
    /// Messages sent since the window last grew.
    credit: u32,
    condition: Condition,
}

/// Whether connections can be had.
enum Condition {
    Up,
    /// `failures` in a row; one connection probes it after `until`.
    Down {
        until: Timestamp,
        failures: u32,
        why: Held,
    },
}

/// What became of an entry offered to a lane.
#[must_use]
pub enum Offered {
    /// It waits in line; an open connection will take it.
    Queued,
    /// It waits in line, and there is room for one more connection: whoever holds the slot opens it.
    Open(Slot),
    /// The site is down: the entry is not taken.
    Refused { until: Timestamp, why: Held },
}

/// The right to one connection of a lane; given back when dropped.
#[must_use = "dropping a slot gives up the connection it stands for"]
pub struct Slot(Arc<Lane>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.state.lock().open -= 1;
    }
}

impl Slot {
    pub fn lane(&self) -> &Arc<Lane> {
        &self.0
    }
}

impl Lane {
    pub fn new(place: Arc<Place>, terms: Arc<Terms>, bounds: Bounds) -> Arc<Self> {
        let state = State {
            ready: VecDeque::new(),
            open: 0,
            idle: 0,
            window: bounds.initial.max(1),
            credit: 0,
            condition: Condition::Up,
        };
        Arc::new(Self {
            place,
            terms,
            bounds,
            state: Mutex::new(state),
            wake: Notify::new(),
        })
    }

    /// Takes an entry into the line.
    pub fn offer(self: &Arc<Self>, ready: Ready, now: Timestamp) -> Offered {
        let mut state = self.state.lock();
        // Once `until` has passed mail lines up behind the one connection that probes.
        if let Condition::Down { until, why, .. } = &state.condition
            && now < *until
        {
            return Offered::Refused {
                until: *until,
                why: why.clone(),
            };
        }
        state.ready.push_back(ready);
        if state.idle > 0 {
            self.wake.notify_one();
            return Offered::Queued;
        }
        self.slot(&mut state).map_or(Offered::Queued, Offered::Open)
    }

    /// Room for one more connection, where more wait than are being served.
    pub fn another(self: &Arc<Self>) -> Option<Slot> {
        let mut state = self.state.lock();
        if state.ready.is_empty() || state.idle > 0 {
            None
        } else {
            self.slot(&mut state)
        }
    }

    fn slot(self: &Arc<Self>, state: &mut State) -> Option<Slot> {
        (state.open < state.room()).then(|| {
            state.open += 1;
            Slot(Arc::clone(self))
        })
    }

    /// The next entries to send in one transaction: the front one and others of the same message. Waits up to
    /// `linger` for work; `None` when none came.
    pub async fn next(&self, linger: Duration) -> Option<Vec<Ready>> {
        if let Some(batch) = self.pop() {
            return Some(batch);
        }
        if linger.is_zero() {
            return None;
        }
        self.state.lock().idle += 1;
        let _idle = Idle(self);
        let deadline = tokio::time::Instant::now() + linger;
        loop {
            if let Some(batch) = self.pop() {
                return Some(batch);
            }
            if tokio::time::timeout_at(deadline, self.wake.notified())
                .await
                .is_err()
            {
                return self.pop();
            }
        }
    }

    fn pop(&self) -> Option<Vec<Ready>> {
        let mut state = self.state.lock();
        let front = state.ready.pop_front()?;
        let mut batch = vec![front];
        let mut at = 0;
        while at < state.ready.len().min(SIBLINGS) {
            if state.ready.get(at).is_some_and(|next| next.id == front.id) {
                batch.extend(state.ready.remove(at));
            } else {
                at += 1;
            }
        }
        if !state.ready.is_empty() && state.idle > 1 {
            self.wake.notify_one();
        }
        Some(batch)
    }

    /// A transaction went through: the site can take it. The window grows by one when every connection it allows has
    /// sent a message, so that it doubles in about the time of a few messages and no faster.
    pub fn succeeded(&self) {
        let mut state = self.state.lock();
        state.condition = Condition::Up;
        state.credit += 1;
        if state.credit >= state.window && state.window < self.bounds.max {
            state.window += 1;
            state.credit = 0;
        }
    }

    /// A connection could not be made, or was refused. The window halves; when no connection is left to prove
    /// otherwise the site is down, and everything in line is handed back with the reason.
    #[must_use = "these entries are in no queue now"]
    pub fn failed(&self, why: &Reply, now: Timestamp) -> Vec<(Ready, Timestamp, Held)> {
        let mut state = self.state.lock();
        state.credit = 0;
        if state.window > 1 && matches!(state.condition, Condition::Up) {
            state.window = (state.window / 2).max(1);
            if state.open > 1 {
                return Vec::new();
            }
        }
        self.go_down(&mut state, now, |until| Held::SiteDown {
            site: Arc::clone(&self.place.site),
            until,
            reply: Arc::new(why.clone()),
        })
    }

    /// The source cannot be used, so that no connection of the lane can be made: everything in line is handed back.
    #[must_use = "these entries are in no queue now"]
    pub fn unusable(&self, why: &Reply, now: Timestamp) -> Vec<(Ready, Timestamp, Held)> {
        self.go_down(&mut self.state.lock(), now, |until| Held::SourceDown {
            source: Arc::clone(&self.place.source),
            until,
            reply: Arc::new(why.clone()),
        })
    }

    fn go_down(
        &self,
        state: &mut State,
        now: Timestamp,
        held: impl FnOnce(Timestamp) -> Held,
    ) -> Vec<(Ready, Timestamp, Held)> {
        let failures = match state.condition {
            Condition::Up => 1,
            Condition::Down { failures, .. } => failures.saturating_add(1),
        };
        let backoff = self
            .bounds
            .backoff
            .saturating_mul(1 << (failures - 1).min(10));
        let until = now + backoff.min(MAX_BACKOFF);
        let held = held(until);
        state.condition = Condition::Down {
            until,
            failures,
            why: held.clone(),
        };
        state
            .ready
            .drain(..)
            .map(|ready| (ready, until, held.clone()))
            .collect()
    }

    /// An operator wants the site tried again: what it did before no longer counts.
    pub fn forgive(&self) {
        self.state.lock().condition = Condition::Up;
    }

    /// Why an entry in line waits.
    pub fn why(&self) -> Held {
        let state = self.state.lock();
        let (site, window) = (Arc::clone(&self.place.site), state.room());
        if state.open < window {
            return Held::Sending { site: Some(site) };
        }
        Held::SiteWindow { site, window }
    }

    /// Nothing in line, no connection, nothing to remember: the lane can go.
    pub fn is_spent(&self, now: Timestamp) -> bool {
        let state = self.state.lock();
        let quiet = match state.condition {
            Condition::Up => true,
            Condition::Down { until, .. } => until + MAX_BACKOFF < now,
        };
        quiet && state.ready.is_empty() && state.open == 0
    }

    /// Connections open, and entries in line.
    pub fn load(&self) -> (u32, usize) {
        let state = self.state.lock();
        (state.open, state.ready.len())
    }
}

impl State {
    /// Connections that the lane may have now.
    fn room(&self) -> u32 {
        match self.condition {
            Condition::Up => self.window,
            // Half open: one connection finds out.
            Condition::Down { .. } => 1,
        }
    }
}

/// A connection that waits for work; counted while it lives.
struct Idle<'a>(&'a Lane);

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.state.lock().idle -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::EnhancedCode;
    use crate::queue::Queue;
    use crate::tls::client::Policy;
    use std::collections::HashSet;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    fn lane() -> Arc<Lane> {
        let place = Place {
            site: "mx.test".into(),
            source: "default".into(),
        };
        let terms = Terms {
            next_hop: Vec::new(),
            tls: Policy::Off,
            allow_loopback: true,
            port: 25,
        };
        Lane::new(
            Arc::new(place),
            Arc::new(terms),
            Bounds {
                initial: 2,
                max: 4,
                backoff: MINUTE,
            },
        )
    }

    fn refusal() -> Reply {
        Reply::local(421, EnhancedCode(4, 4, 1), "connection refused", "connect")
    }

    /// Places in line; the keys are real, so that each is another.
    fn line(ids: &[u64]) -> Vec<Ready> {
        let queue = Queue::new(crate::clock::Clock::manual(NOW));
        let keys = crate::queue::keys_for_tests(&queue, ids.len());
        ids.iter()
            .zip(keys)
            .map(|(id, key)| Ready {
                key,
                id: MessageId(*id),
            })
            .collect()
    }

    fn open(lane: &Arc<Lane>, ready: Ready) -> Slot {
        match lane.offer(ready, NOW) {
            Offered::Open(slot) => slot,
            _ => panic!("the lane should want a connection"),
        }
    }

    #[test]
    fn connections_open_up_to_the_window_and_success_widens_it() {
        let (lane, line) = (lane(), line(&[1, 2, 3, 4]));
        let slots = [open(&lane, line[0]), open(&lane, line[1])];
        assert!(matches!(lane.offer(line[2], NOW), Offered::Queued));
        lane.succeeded();
        assert!(
            lane.another().is_none(),
            "one message over two connections proves nothing yet"
        );
        lane.succeeded();
        let third = lane.another();
        assert!(third.is_some());
        assert!(lane.another().is_none());
        drop((slots, third));
        assert_eq!(lane.load(), (0, 3));
    }

    #[tokio::test]
    async fn recipients_of_one_message_find_each_other() {
        let (lane, line) = (lane(), line(&[7, 8, 7, 9, 7]));
        let _slots: Vec<Offered> = line.iter().map(|ready| lane.offer(*ready, NOW)).collect();
        let first: HashSet<Key> = lane
            .next(Duration::ZERO)
            .await
            .unwrap()
            .iter()
            .map(|r| r.key)
            .collect();
        assert_eq!(
            first,
            HashSet::from([line[0].key, line[2].key, line[4].key])
        );
        assert_eq!(lane.next(Duration::ZERO).await.unwrap()[0].id, MessageId(8));
    }

    #[test]
    fn a_dead_site_hands_its_line_back_and_is_probed_by_one() {
        let (lane, line) = (lane(), line(&[1, 2, 3, 4]));
        let slot = open(&lane, line[0]);
        let other = open(&lane, line[1]);
        assert!(
            lane.failed(&refusal(), NOW).is_empty(),
            "another connection may still prove it alive"
        );
        drop(other);
        let back = lane.failed(&refusal(), NOW);
        assert_eq!(back.len(), 2);
        assert_eq!(back[0].1, NOW + MINUTE);
        drop(slot);

        assert!(
            matches!(lane.offer(line[2], NOW), Offered::Refused { until, .. } if until == NOW + MINUTE)
        );
        let later = NOW + MINUTE;
        let Offered::Open(probe) = lane.offer(line[2], later) else {
            panic!("nobody probes")
        };
        assert!(
            matches!(lane.offer(line[3], later), Offered::Queued),
            "one probe is enough"
        );
        let back = lane.failed(&refusal(), later);
        assert_eq!(back[0].1, later + 2 * MINUTE, "the wait doubles");
        drop(probe);
    }

    #[test]
    fn an_unusable_source_is_not_blamed_on_the_site() {
        let (lane, line) = (lane(), line(&[1, 2, 3]));
        let _slots = [open(&lane, line[0]), open(&lane, line[1])];
        let back = lane.unusable(&refusal(), NOW);
        assert_eq!(back.len(), 2, "no other connection can do better");
        for (_, until, held) in back {
            assert_eq!(until, NOW + MINUTE);
            assert!(matches!(held, Held::SourceDown { source, .. } if &*source == "default"));
        }
        assert!(matches!(
            lane.offer(line[2], NOW),
            Offered::Refused {
                why: Held::SourceDown { .. },
                ..
            }
        ));
    }

    #[test]
    fn an_entry_in_line_waits_for_the_window_only_where_that_is_full() {
        let (lane, line) = (lane(), line(&[1, 2]));
        let _first = open(&lane, line[0]);
        assert!(matches!(lane.why(), Held::Sending { .. }));
        let _second = open(&lane, line[1]);
        assert!(matches!(lane.why(), Held::SiteWindow { window: 2, .. }));
    }

    #[test]
    fn a_site_that_answers_again_takes_its_line_at_once() {
        let (lane, line) = (lane(), line(&[1, 2, 3]));
        let slot = open(&lane, line[0]);
        let _back = lane.failed(&refusal(), NOW);
        drop(slot);
        let later = NOW + MINUTE;
        let Offered::Open(_probe) = lane.offer(line[1], later) else {
            panic!("nobody probes")
        };
        lane.succeeded();
        assert!(matches!(
            lane.offer(line[2], later),
            Offered::Queued | Offered::Open(_)
        ));
    }
}

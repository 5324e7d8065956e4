//! The scheduled queue, told by what comes due when.

use super::*;
use crate::mail::{BodyType, BounceClass, EnhancedCode, Envelope, Recipient, Reply};
use crate::spool::{Meta, Progress};
use proptest::prelude::*;

const HOUR: Duration = Duration::from_secs(3600);

fn stored(id: u64, recipients: &[&str]) -> Stored {
    let recipients: Vec<Recipient> = recipients
        .iter()
        .map(|r| Recipient::new(r.parse().unwrap()))
        .collect();
    Stored {
        progress: vec![Progress::default(); recipients.len()],
        meta: Arc::new(Meta {
            id: MessageId(id),
            envelope: Envelope {
                sender: None,
                recipients,
                body: BodyType::SevenBit,
                smtputf8: false,
                ret: None,
                envid: None,
            },
            labels: Arc::default(),
            received: Timestamp::default(),
            send_at: None,
            expires: None,
            eight_bit_header: false,
            eight_bit_body: false,
        }),
        size: 1,
        held: None,
    }
}

fn reply() -> Reply {
    Reply::local(451, EnhancedCode(4, 0, 0), "later", "RCPT")
}

fn deferred(until: Timestamp) -> Disposition {
    Disposition::Deferred {
        until,
        finding: BounceClass::Throttled.into(),
        why: reply(),
    }
}

fn delivered() -> Disposition {
    Disposition::Delivered(reply())
}

/// Keys of that many waiting entries.
pub fn keys_for_tests(queue: &Queue, count: usize) -> Vec<Key> {
    for id in 0..count as u64 {
        queue.insert(&stored(id, &["a@x.test"]), |_| queue.0.clock.now() + HOUR);
    }
    queue.list_keys_for_tests()
}

struct World {
    clock: Clock,
    queue: Queue,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual(Timestamp::from_millis(1_000_000));
        Self {
            queue: Queue::new(clock.clone()),
            clock,
        }
    }

    fn insert(&self, stored: &Stored) {
        self.queue.insert(stored, |_| self.clock.now() + 72 * HOUR);
    }

    /// What is due now; empty where nothing is.
    fn due_now(&self) -> Vec<Due> {
        self.queue.0.inner.lock().take_due(self.clock.now()).0
    }

    fn send_only(&self) -> Job {
        let due = self.due_now();
        assert_eq!(due.len(), 1);
        self.queue.begin(due[0].key).unwrap()
    }
}

#[test]
fn new_mail_is_due_at_once_one_entry_a_domain() {
    let world = World::new();
    world.insert(&stored(1, &["a@x.test", "b@y.test", "c@x.test"]));
    let mut due = world.due_now();
    due.sort_by(|a, b| a.domain.cmp(&b.domain));
    let domains: Vec<&str> = due.iter().map(|d| &*d.domain).collect();
    assert_eq!(domains, ["x.test", "y.test"]);
    assert_eq!(
        world.queue.begin(due[0].key).unwrap().recipients.as_slice(),
        [0, 2]
    );
}

#[test]
fn a_deferred_entry_waits_for_its_time_and_keeps_only_who_is_left() {
    let world = World::new();
    world.insert(&stored(1, &["a@x.test", "b@x.test"]));
    let job = world.send_only();
    let until = world.clock.now() + HOUR;
    world
        .queue
        .settle(job.key, &[(0, delivered()), (1, deferred(until))]);
    assert!(world.due_now().is_empty());
    world.clock.advance(HOUR);
    let again = world.send_only();
    assert_eq!(
        (again.recipients.as_slice(), again.attempt),
        ([1].as_slice(), 2)
    );
    world.queue.settle(again.key, &[(1, delivered())]);
    assert_eq!(world.queue.depth(), Depth::default());
}

#[test]
fn an_entry_in_a_ready_queue_still_expires() {
    let world = World::new();
    world.insert(&stored(1, &["a@x.test"]));
    let ready = world.due_now();
    world.clock.advance(73 * HOUR);
    let due = world.due_now();
    assert_eq!((due[0].key, due[0].expired), (ready[0].key, true));
}

#[test]
fn a_hold_asked_for_during_sending_takes_effect_after_it() {
    let world = World::new();
    world.insert(&stored(1, &["a@x.test"]));
    let job = world.send_only();
    assert_eq!(
        world.queue.hold(&Selector::of(job.id), "checking"),
        [job.id]
    );
    world
        .queue
        .settle(job.key, &[(0, deferred(world.clock.now() + HOUR))]);
    assert_eq!(world.queue.depth().held, 1);
    world.clock.advance(2 * HOUR);
    assert!(world.due_now().is_empty());
    assert_eq!(world.queue.release(&Selector::default()), [job.id]);
    assert_eq!(world.send_only().attempt, 2);
}

#[test]
fn what_an_operator_takes_away_no_delivery_begins() {
    let world = World::new();
    world.insert(&stored(1, &["a@x.test"]));
    let due = world.due_now();
    let domain = Selector {
        domain: Some("x.test".into()),
        ..Selector::default()
    };
    let taken: Vec<Job> = world.queue.take(&domain).flatten().collect();
    assert_eq!(taken.len(), 1);
    assert!(world.queue.begin(due[0].key).is_none());
    let class = BounceClass::Dropped;
    world.queue.settle(
        taken[0].key,
        &[(
            0,
            Disposition::Bounced {
                finding: class.into(),
                why: reply(),
            },
        )],
    );
    assert_eq!(world.queue.depth(), Depth::default());
}

/// A drop that broke off left what it had taken with nobody.
#[test]
fn what_was_taken_and_not_asked_for_goes_back_as_it_was() {
    let world = World::new();
    for id in 1..=3 {
        world.insert(&stored(id, &["a@x.test", "b@y.test"]));
    }
    world.queue.hold(&Selector::of(MessageId(3)), "looks odd");
    let mut taken = world.queue.take(&Selector::default());
    assert_eq!(world.queue.depth().sending, 6);
    let first = taken.next().unwrap();
    let ids: Vec<u64> = first.iter().map(|job| job.id.0).collect();
    assert_eq!(ids, [1, 1], "all of one message, the oldest first");
    drop(taken);
    let depth = world.queue.depth();
    assert_eq!((depth.sending, depth.scheduled, depth.held), (2, 2, 2));
    let back: Vec<u64> = world.due_now().iter().map(|due| due.id.0).collect();
    assert_eq!(back, [2, 2]);
}

/// Thousands of entries: several chunks, and more than are looked at in one go.
fn crowd() -> (World, usize) {
    let (world, count) = (World::new(), 3000);
    // Ids in no order, each once.
    for n in 0..count as u64 {
        let domain = if n % 3 == 0 { "a@x.test" } else { "a@y.test" };
        world.insert(&stored(n * 1009 % count as u64, &[domain]));
    }
    (world, count)
}

#[test]
fn a_command_reaches_every_chunk() {
    let (world, count) = crowd();
    let all = Selector::default();
    let listed = |limit| world.queue.list(&all, limit).into_iter();
    let ids: Vec<u64> = listed(2000).map(|view| view.id.0).collect();
    assert!(ids.into_iter().eq(0..2000), "the oldest, in order");
    let domain = Selector {
        domain: Some("x.test".into()),
        ..Selector::default()
    };
    assert_eq!(world.queue.hold(&domain, "looks odd").len(), count / 3);
    assert_eq!(world.queue.depth().held, count / 3);
    assert_eq!(listed(count).filter(|v| v.state == "held").count(), 1000);
    assert_eq!(world.queue.release(&all).len(), count / 3);
    assert_eq!(world.queue.hold(&all, "looks odd").len(), count);
    assert_eq!(world.queue.take(&all).flatten().count(), count);
}

/// They took the wait of those who were put off, and expired untried.
#[test]
fn recipients_that_were_not_tried_wait_for_nobody() {
    let world = World::new();
    let to = ["a@x.test", "b@x.test", "c@x.test", "d@x.test"];
    let expires = world.clock.now() + 72 * HOUR;
    world.queue.insert(&stored(1, &to), |_| expires);
    let job = world.queue.begin(world.due_now()[0].key).unwrap();
    let later = world.clock.now() + HOUR;
    world
        .queue
        .settle(job.key, &[(0, delivered()), (1, deferred(later))]);
    let due = world.due_now();
    assert_eq!(due.len(), 1);
    let untried = world.queue.begin(due[0].key).unwrap();
    assert_eq!(
        (untried.recipients.to_vec(), untried.attempt),
        (vec![2, 3], 1)
    );
    world.clock.advance(HOUR);
    let due = world.due_now();
    let put_off = world.queue.begin(due[0].key).unwrap();
    assert_eq!((put_off.recipients.to_vec(), put_off.attempt), (vec![1], 2));
    world
        .queue
        .settle(untried.key, &[(2, delivered()), (3, delivered())]);
    world.queue.settle(put_off.key, &[(1, delivered())]);
    assert_eq!(world.queue.depth(), Depth::default());
}

/// Once whoever shared a message with somebody who was to be forgotten was written to at once, before the time that the
/// sender had chosen.
#[test]
fn recipients_that_are_taken_out_leave_the_others_their_time_and_their_hold() {
    let world = World::new();
    let mut message = stored(1, &["a@x.test", "b@x.test", "c@y.test"]);
    let later = world.clock.now() + HOUR;
    Arc::make_mut(&mut message.meta).send_at = Some(later);
    let expires = later + 72 * HOUR;
    world.queue.insert(&message, |_| expires);
    let id = message.meta.id;
    let taken: Vec<Job> = world.queue.take_recipients(id, &[0]).flatten().collect();
    let of: Vec<Vec<u16>> = taken.iter().map(|job| job.recipients.to_vec()).collect();
    assert_eq!(of, [[0]]);
    assert_eq!(
        world.queue.take_recipients(id, &[0]).count(),
        0,
        "it is gone"
    );
    world.queue.settle(taken[0].key, &[(0, delivered())]);
    assert!(world.due_now().is_empty());
    world.queue.hold(&Selector::of(id), "looks odd");
    drop(world.queue.take_recipients(id, &[2]));
    world.clock.advance(HOUR);
    assert!(world.due_now().is_empty(), "held as they were");
    world.queue.release(&Selector::of(id));
    let mut due: Vec<Vec<u16>> = Vec::new();
    for one in world.due_now() {
        due.push(world.queue.begin(one.key).unwrap().recipients.to_vec());
    }
    due.sort();
    assert_eq!(due, [[1], [2]]);
}

/// Every one of a million stale keys was looked at in one hold of the lock, and each retry added as many.
#[test]
fn a_line_that_is_out_of_date_is_gone_through_a_piece_at_a_time() {
    let (world, count) = crowd();
    let all = Selector::default();
    assert_eq!(world.queue.retry(&all), 0, "they are due already");
    world.queue.hold(&all, "looks odd");
    let line = || world.queue.0.inner.lock().now_due.len();
    assert_eq!(line(), count);
    let (due, next) = world.queue.0.inner.lock().take_due(world.clock.now());
    assert!(due.is_empty());
    assert_eq!((line(), next), (count - DUE_BATCH, world.clock.now()));
    while line() > 0 {
        assert!(world.due_now().is_empty());
    }
    world.queue.release(&all);
    let due = std::iter::from_fn(|| Some(world.due_now()).filter(|due| !due.is_empty()));
    assert_eq!(due.flatten().count(), count);
}

#[test]
fn a_sweep_comes_by_all_entries_in_its_time() {
    let (world, count) = crowd();
    while !world.due_now().is_empty() {}
    assert_eq!(world.queue.depth().ready, count);
    world.clock.advance(73 * HOUR);
    let (start, mut expired) = (world.clock.now(), 0);
    while expired < count {
        let (due, next) = world.queue.0.inner.lock().take_due(world.clock.now());
        assert!(due.iter().all(|due| due.expired));
        expired += due.len();
        world.clock.advance(next.since(world.clock.now()));
        assert!(world.clock.now().since(start) <= SWEEP);
    }
}

/// After a peak the sweep went on over the empty chunks, seventeen times a second.
#[test]
fn an_empty_queue_has_nothing_to_look_at_but_once_a_minute() {
    let (world, _) = crowd();
    for key in world.queue.list_keys_for_tests() {
        world.queue.forget(key);
    }
    while !world.queue.0.inner.lock().now_due.is_empty() {
        assert!(world.due_now().is_empty());
    }
    world.clock.advance(SWEEP);
    let now = world.clock.now();
    let (_, next) = world.queue.0.inner.lock().take_due(now);
    assert_eq!(next.since(now), SWEEP);
}

#[test]
fn a_stale_place_in_line_takes_nothing_from_a_delivery() {
    let world = World::new();
    world.insert(&stored(1, &["a@x.test"]));
    // Held and released while it waits in line: the line knows it twice from now on.
    let before = world.due_now();
    world.queue.hold(&Selector::default(), "checking");
    world.queue.release(&Selector::default());
    let job = world.send_only();
    let why = || Held::SendAt;
    world.queue.wait(before[0].key, world.clock.now(), why());
    assert!(world.due_now().is_empty(), "it is being sent");
    assert_eq!(world.queue.depth().sending, 1);
    world.queue.put_back(&job, world.clock.now(), why());
    assert_eq!(world.send_only().attempt, 1);
}

#[test]
fn retry_now_brings_a_waiting_entry_forward_once() {
    let world = World::new();
    world.insert(&stored(1, &["a@x.test"]));
    let job = world.send_only();
    world
        .queue
        .settle(job.key, &[(0, deferred(world.clock.now() + HOUR))]);
    assert_eq!(world.queue.retry(&Selector::default()), 1);
    assert_eq!(world.queue.retry(&Selector::default()), 0, "it is due");
    let job = world.send_only();
    world.queue.settle(job.key, &[(0, delivered())]);
    world.clock.advance(2 * HOUR);
    assert!(
        world.due_now().is_empty(),
        "the time that it had before has no meaning"
    );
}

#[tokio::test]
async fn due_wakes_when_the_clock_reaches_the_first_entry() {
    let world = World::new();
    let mut message = stored(1, &["a@x.test"]);
    Arc::make_mut(&mut message.meta).send_at = Some(world.clock.now() + HOUR);
    world.insert(&message);
    let waiter = tokio::spawn({
        let queue = world.queue.clone();
        async move { queue.due().await.len() }
    });
    tokio::task::yield_now().await;
    assert!(!waiter.is_finished());
    world.clock.advance(HOUR);
    assert_eq!(waiter.await.unwrap(), 1);
}

proptest! {
    /// Whatever is done to it, an entry leaves only by a final disposition of all its recipients, and the counts by
    /// state always add up to the entries there are.
    #[test]
    fn no_entry_is_lost(steps in proptest::collection::vec((0u8..8, 0u64..4), 1..60)) {
        let world = World::new();
        let place = |n: u64| Arc::new(Place { site: format!("mx{n}.test").into(), source: "default".into() });
        let mut sending: Vec<Job> = Vec::new();
        let (mut inserted, mut finished) = (0usize, 0usize);
        for (step, n) in steps {
            match step {
                0 => { world.insert(&stored(n, &[format!("a@d{n}.test").as_str()])); inserted += 1; }
                1 => for due in world.due_now() {
                    world.queue.place(due.key, &place(n));
                    sending.extend(world.queue.begin(due.key));
                },
                2 => if let Some(job) = sending.pop() {
                    world.queue.settle(job.key, &[(0, deferred(world.clock.now() + HOUR))]);
                },
                3 => if let Some(job) = sending.pop() {
                    world.queue.settle(job.key, &[(0, delivered())]);
                    finished += 1;
                },
                4 => { world.queue.hold(&Selector::of(MessageId(n)), "test"); }
                5 => { world.queue.release(&Selector::of(MessageId(n))); }
                6 => { world.queue.retry(&Selector::default()); }
                _ => world.clock.advance(HOUR / 2),
            }
            let depth = world.queue.depth();
            let total = depth.scheduled + depth.ready + depth.sending + depth.held;
            prop_assert_eq!(total, inserted - finished);
            prop_assert_eq!(depth.sending, sending.len());
            let inner = world.queue.0.inner.lock();
            let (notes, line) = (inner.timetable.len(), inner.now_due.len());
            prop_assert!(notes <= depth.scheduled, "a note of what is not scheduled");
            prop_assert!(depth.scheduled <= notes + line, "scheduled, and nothing will bring it up");
        }
        for job in sending.into_iter().chain(world.queue.take(&Selector::default()).flatten()) {
            world.queue.settle(job.key, &[(0, delivered())]);
        }
        prop_assert_eq!(world.queue.depth(), Depth::default());
        let inner = world.queue.0.inner.lock();
        let entries = &inner.entries;
        prop_assert!(entries.domains.is_empty() && entries.labels.is_empty() && entries.places.is_empty());
    }
}

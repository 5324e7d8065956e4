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
    let taken = world.queue.take(&Selector {
        domain: Some("x.test".into()),
        ..Selector::default()
    });
    assert_eq!(taken.len(), 1);
    assert!(world.queue.begin(due[0].key).is_none());
    let class = BounceClass::Dropped;
    world.queue.settle(
        taken[0].key,
        &[(
            0,
            Disposition::Bounced {
                class,
                why: reply(),
            },
        )],
    );
    assert_eq!(world.queue.depth(), Depth::default());
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
    let job = world.send_only();
    world.queue.settle(job.key, &[(0, delivered())]);
    world.clock.advance(2 * HOUR);
    assert!(
        world.due_now().is_empty(),
        "the old note in the heap finds nothing"
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
        let mut sending: Vec<Job> = Vec::new();
        let (mut inserted, mut finished) = (0usize, 0usize);
        for (step, n) in steps {
            match step {
                0 => { world.insert(&stored(n, &["a@x.test"])); inserted += 1; }
                1 => for due in world.due_now() { sending.extend(world.queue.begin(due.key)); },
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
    }
}

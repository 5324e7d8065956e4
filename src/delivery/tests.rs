//! Faults of our own, told by what queue and spool hold afterwards.

use super::*;
use crate::auth::{alignment, credentials::Tenants, dkim::Signers};
use crate::bounce::token::Keys;
use crate::events::Metrics;
use crate::mail::{BodyType, Envelope, Recipient, Reply};
use crate::policy::reputation::Reputation;
use crate::queue::{Depth, Selector};
use crate::spool::{Commit, Meta, Progress};
use crate::units::Timestamp;
use crate::{bounce, dns, intake, policy, queue, spool, sts, tls};
use arc_swap::ArcSwap;
use std::task::Poll;

fn live<T>(value: T) -> Live<T> {
    Arc::new(ArcSwap::from_pointee(value))
}

fn routing() -> Routing {
    Routing::new(Parts {
        delivery: &Config::default(),
        retry: &queue::Config::default(),
        routes: &[],
    })
}

/// Delivery over a spool and a queue that are empty.
async fn delivery(dir: &std::path::Path) -> Delivery {
    let clock = Clock::manual(Timestamp::from_millis(1_795_348_800_000));
    let config = spool::Config {
        segment_size: crate::units::Size::mib(4),
        ready_segments: 1,
        ..spool::Config::default()
    };
    let (spool, _) = Spool::open(dir, config, clock.clone(), |_| {}).unwrap();
    let events = Events::new(clock.clone(), Vec::new());
    let settings = policy::Settings::plain("mta.test", &[], &[]).unwrap();
    let store = Store::in_memory();
    let policy = Policy::open(
        settings,
        store.clone(),
        clock.clone(),
        (events.clone(), Reputation::default()),
    );
    let policy = policy.await.unwrap();
    let keys = Keys::new(&[[7; 32]], Duration::from_secs(3600)).unwrap();
    let stamps = live(Stamps::none(keys));
    let books = Books::open(
        &dir.join("books"),
        clock.clone(),
        Box::new(|| Duration::ZERO),
    );
    let resolver = Resolver::new(&dns::Config::default(), clock.clone()).unwrap();
    let alignment = Alignment::new(alignment::Parts {
        resolver: resolver.clone(),
        clock: clock.clone(),
        settings: live(alignment::Settings::new(
            &alignment::Config {
                action: alignment::Action::Off,
            },
            [],
        )),
        counts: Metrics::new().counters("alignment", "Of tests", "what"),
    });
    let intake = Intake::new(intake::Parts {
        policy: policy.clone(),
        config: live(intake::Config::default()),
        hostname: "mta.test".into(),
        signers: live(Signers::default()),
        tenants: live(Tenants::load(&[], dir).unwrap()),
        stamps: Arc::clone(&stamps),
        lint: live(crate::lint::Settings::default()),
        alignment: alignment.clone(),
        outside: crate::outside::Known::default(),
        spool: spool.clone(),
        events: events.clone(),
        clock: clock.clone(),
        given_up: Box::new(|_, begins| begins + Duration::from_secs(3 * 86_400)),
        handoff: Box::new(|_| {}),
    });
    let tls = ClientTls::new(&tls::client::Config::default()).unwrap();
    let sts = sts::Config {
        enabled: false,
        ..sts::Config::default()
    };
    Delivery::new(Collaborators {
        memory: Memory::new(store.clone(), clock.clone()),
        tally: Tally::new(
            live(crate::tlsrpt::config::Config::default()),
            store.clone(),
            clock.clone(),
        ),
        sts: Sts::new(
            sts,
            (resolver.clone(), tls.clone()),
            store.clone(),
            clock.clone(),
        ),
        resolver,
        queue: Queue::new(clock.clone()),
        tls,
        routing: live(routing()),
        policy,
        alignment,
        store,
        notices: live(bounce::Config::default()),
        stamps,
        books: books.unwrap(),
        classifier: live(Classifier::new().unwrap()),
        replies: Replies::default(),
        tenants: live(Tenants::load(&[], dir).unwrap()),
        own_addresses: Arc::new([]),
        hostname: "mta.test".into(),
        intake: Arc::new(intake),
        clock,
        spool,
        events,
    })
}

/// A message to one recipient, in spool and queue.
async fn accept(delivery: &Delivery) -> crate::mail::MessageId {
    let with = &delivery.0.with;
    let meta = Meta {
        id: with.spool.next_id(),
        envelope: Envelope {
            sender: None,
            recipients: vec![Recipient::new("a@x.test".parse().unwrap())],
            body: BodyType::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
        },
        labels: Arc::default(),
        received: with.clock.now(),
        send_at: None,
        expires: None,
        eight_bit_header: false,
        eight_bit_body: false,
    };
    let id = meta.id;
    let commit = Commit {
        meta: meta.into(),
        head: b"From: <s@x.test>\r\n\r\n".to_vec(),
        body: with.spool.draft(),
    };
    with.spool.commit(commit).await.unwrap();
    let stored = with.spool.stored(id).await.unwrap();
    let expires = with.clock.now() + Duration::from_secs(86_400);
    with.queue.insert(&stored, |_| expires);
    id
}

#[tokio::test]
async fn a_panic_in_a_delivery_puts_its_recipients_off_in_doubt() {
    let dir = tempfile::TempDir::new().unwrap();
    let delivery = delivery(dir.path()).await;
    let id = accept(&delivery).await;
    let due = delivery.0.with.queue.due().await;
    let batch = delivery.take_up(due[0].key).await.unwrap();
    assert_eq!(delivery.0.with.queue.depth().sending, 1);

    let fault = tokio::spawn(async move {
        let _batch = batch;
        panic!("a fault");
    });
    assert!(fault.await.is_err());
    let depth = delivery.0.with.queue.depth();
    assert_eq!((depth.sending, depth.scheduled), (0, 1));
    delivery.stop(Duration::from_secs(60)).await;
    let progress: Vec<Progress> = delivery.0.with.spool.progress(id);
    assert_eq!((progress[0].attempts, progress[0].in_doubt), (1, true));
}

/// A mark that failed may be written after all; asked again, the spool then knows no such message.
#[tokio::test]
async fn an_outcome_that_took_effect_after_all_is_not_recorded_for_ever() {
    let dir = tempfile::TempDir::new().unwrap();
    let delivery = delivery(dir.path()).await;
    let id = accept(&delivery).await;
    let due = delivery.0.with.queue.due().await;
    let mut batch = delivery.take_up(due[0].key).await.unwrap();
    let part = batch.parts.pop_front().unwrap();
    let taken = Reply::said(250, None, "taken", ".");
    let mark = spool::Mark {
        id,
        at: delivery.0.with.clock.now(),
        outcomes: vec![(0, 1, Disposition::Delivered(taken.clone()))],
    };
    delivery.0.with.spool.mark(mark).await.unwrap();

    delivery.settle_all(&mut batch, &part, settle::Via::default(), &taken);
    delivery.requeue(batch);
    delivery.stop(Duration::from_secs(60)).await;
    assert!(delivery.0.tasks.is_empty());
}

/// A client that stopped waiting took the command with it: the spool had been told a part of a hold, and what a drop had
/// taken was left with nobody.
#[tokio::test]
async fn a_command_goes_on_without_its_client() {
    let dir = tempfile::TempDir::new().unwrap();
    let delivery = delivery(dir.path()).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(accept(&delivery).await);
    }
    let with = &delivery.0.with;
    begin_and_leave(&delivery, Action::Hold).await;
    // Begun later, it is carried out later.
    assert_eq!(delivery.operate(Action::Retry, &all(), "").await, 0);
    assert_eq!(with.queue.depth().held, ids.len());
    for id in &ids {
        let held = with.spool.stored(*id).await.unwrap().held;
        assert_eq!(held.as_deref(), Some("looks odd"));
    }
    begin_and_leave(&delivery, Action::Drop).await;
    delivery.stop(Duration::from_secs(60)).await;
    assert_eq!(with.queue.depth(), Depth::default());
    for id in ids {
        let gone = with.spool.stored(id).await;
        assert!(matches!(gone, Err(SpoolError::NotFound)), "{gone:?}");
    }
}

fn all() -> Selector {
    Selector::default()
}

/// The client sends its command and does not wait for the answer.
async fn begin_and_leave(delivery: &Delivery, action: Action) {
    let which = all();
    let mut answer = std::pin::pin!(delivery.operate(action, &which, "looks odd"));
    let is_early =
        std::future::poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx).is_ready())).await;
    assert!(!is_early, "nothing was done yet");
}

/// A release that overtook a hold on its way to the spool: sent now, held after the next start.
#[tokio::test]
async fn a_command_waits_until_the_spool_has_been_told_of_the_one_before() {
    let dir = tempfile::TempDir::new().unwrap();
    let delivery = delivery(dir.path()).await;
    let id = accept(&delivery).await;
    let with = &delivery.0.with;
    let before = delivery.0.command.lock().await;
    begin_and_leave(&delivery, Action::Hold).await;
    begin_and_leave(&delivery, Action::Release).await;
    tokio::task::yield_now().await;
    assert_eq!(with.queue.depth().scheduled, 1, "neither has begun");
    drop(before);
    assert_eq!(delivery.operate(Action::Retry, &all(), "").await, 0);
    assert_eq!(with.queue.depth().scheduled, 1);
    assert_eq!(with.spool.stored(id).await.unwrap().held, None);
}

#[tokio::test]
async fn a_hold_counts_what_the_spool_took() {
    let dir = tempfile::TempDir::new().unwrap();
    let delivery = delivery(dir.path()).await;
    for _ in 0..3 {
        accept(&delivery).await;
    }
    assert_eq!(delivery.operate(Action::Hold, &all(), "looks odd").await, 3);
    assert_eq!(delivery.operate(Action::Hold, &all(), "still").await, 3);
    delivery.0.with.spool.close().await.unwrap();
    assert_eq!(delivery.operate(Action::Release, &all(), "").await, 0);
}

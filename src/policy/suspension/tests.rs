use super::*;
use crate::events::Sink;
use crate::mail::{EnhancedCode, Reply};
use parking_lot::Mutex;
use std::time::Duration;

mod agreement;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The breaker events: source, site, provider, until, why, reply.
type Told = (
    String,
    Option<String>,
    String,
    Option<Timestamp>,
    String,
    bool,
);

#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<Told>>>);

impl Sink for Tape {
    fn take(&self, _: Timestamp, event: &Event) {
        if let Event::Breaker {
            source,
            site,
            provider,
            until,
            reply,
            why,
            ..
        } = event
        {
            let site = site.as_ref().map(|site| site.to_string());
            self.0.lock().push((
                source.to_string(),
                site,
                provider.to_string(),
                *until,
                why.clone(),
                reply.is_some(),
            ));
        }
    }
}

/// A store, a clock, and any number of processes on them.
struct World {
    store: Store,
    clock: Clock,
    tape: Tape,
}

impl World {
    fn new() -> Self {
        Self {
            store: Store::in_memory(),
            clock: Clock::manual(START),
            tape: Tape::default(),
        }
    }

    async fn process(&self) -> Suspensions {
        let events = Events::new(self.clock.clone(), vec![Box::new(self.tape.clone())]);
        Suspensions::load(self.store.clone(), self.clock.clone(), events)
            .await
            .unwrap()
    }

    async fn keys(&self) -> Vec<String> {
        let listed = self.store.list("").await.unwrap();
        listed.into_iter().map(|(key, _)| key).collect()
    }
}

fn suspension(source: &str, at: At, until: Timestamp) -> Suspension {
    Suspension {
        source: source.into(),
        at,
        provider: "google".into(),
        since: START,
        until,
        why: "too much".into(),
        reply: Some(Reply::said(
            421,
            Some(EnhancedCode(4, 7, 28)),
            "slow down",
            "RCPT",
        )),
    }
}

fn site(name: &str) -> At {
    At::Site(name.into())
}

fn google() -> At {
    At::Provider("google".into())
}

#[tokio::test]
async fn a_source_waits_until_its_time_is_over_and_no_other_does() {
    let world = World::new();
    let process = world.process().await;
    assert_eq!(process.until("ip-a", "mx", "google", START), None);
    process.suspend(suspension("ip-a", site("mx"), START + HOUR));
    let until = |source, site, provider, now| {
        process
            .until(source, site, provider, now)
            .map(|held| held.until)
    };
    assert_eq!(until("ip-a", "mx", "google", START), Some(START + HOUR));
    assert_eq!(until("ip-b", "mx", "google", START), None);
    assert_eq!(until("ip-a", "other-mx", "google", START), None);
    assert_eq!(until("ip-a", "mx", "google", START + HOUR), None);
}

#[tokio::test]
async fn at_a_provider_all_its_sites_wait_and_the_later_of_two_ends_counts() {
    let world = World::new();
    let process = world.process().await;
    process.suspend(suspension("ip-a", google(), START + HOUR));
    process.suspend(suspension("ip-a", site("mx"), START + 2 * HOUR));
    let until = |site| process.until("ip-a", site, "google", START).unwrap().until;
    assert_eq!(until("mx"), START + 2 * HOUR);
    assert_eq!(until("mx2"), START + HOUR);
    assert_eq!(process.until("ip-a", "mx3", "yahoo", START), None);
}

#[tokio::test]
async fn one_that_is_there_is_made_longer_and_never_shorter() {
    let world = World::new();
    let process = world.process().await;
    process.suspend(suspension("ip-a", google(), START + 2 * HOUR));
    let held = process.suspend(suspension("ip-a", google(), START + HOUR));
    assert_eq!(held.until, START + 2 * HOUR);
    world.clock.advance(HOUR);
    let longer = Suspension {
        since: START + HOUR,
        ..suspension("ip-a", google(), START + 3 * HOUR)
    };
    let held = process.suspend(longer);
    assert_eq!((held.since, held.until), (START, START + 3 * HOUR));
    assert_eq!(world.tape.0.lock().len(), 2);
}

#[tokio::test]
async fn refusals_of_one_moment_are_one_suspension() {
    let world = World::new();
    let process = world.process().await;
    for _ in 0..20 {
        let until = world.clock.now() + 2 * HOUR;
        process.suspend(suspension("ip-a", google(), until));
        world.clock.advance(Duration::from_secs(1));
    }
    process.flushed().await;
    assert_eq!(world.tape.0.lock().len(), 1);
    let stored = world
        .store
        .get("suspension/ip-a/provider/google")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.version, 1);
}

#[tokio::test]
async fn one_that_is_over_does_not_keep_a_new_one_short() {
    let world = World::new();
    let process = world.process().await;
    process.suspend(suspension("ip-a", google(), START + HOUR));
    world.clock.advance(HOUR);
    let again = START + HOUR + MINUTE;
    process.suspend(Suspension {
        since: START + HOUR,
        ..suspension("ip-a", google(), again)
    });
    let held = process
        .until("ip-a", "mx", "google", world.clock.now())
        .unwrap();
    assert_eq!((held.since, held.until), (START + HOUR, again));
}

#[tokio::test]
async fn every_suspension_and_every_lifting_is_told() {
    let world = World::new();
    let process = world.process().await;
    process.suspend(suspension("ip-a", site("mx"), START + HOUR));
    assert_eq!(process.lift("ip-a", &google(), "no such"), None);
    let lifted = process
        .lift("ip-a", &site("mx"), "the operator says so")
        .unwrap();
    assert_eq!(lifted.until, START + HOUR);
    assert_eq!(process.lift("ip-a", &site("mx"), "again"), None);
    assert_eq!(process.until("ip-a", "mx", "google", START), None);
    let told = |until, why: &str, reply| {
        (
            "ip-a".into(),
            Some("mx".into()),
            "google".into(),
            until,
            why.into(),
            reply,
        )
    };
    assert_eq!(
        *world.tape.0.lock(),
        [
            told(Some(START + HOUR), "too much", true),
            told(None, "the operator says so", false)
        ]
    );
    process.flushed().await;
    assert_eq!(world.keys().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_restart_finds_them_again() {
    let world = World::new();
    let first = world.process().await;
    first.suspend(suspension("ip-a", google(), START + HOUR));
    first.suspend(suspension("ip-b", site("a.test,b.test"), START + 2 * HOUR));
    first.flushed().await;
    assert_eq!(
        world.keys().await,
        [
            "suspension/ip-a/provider/google",
            "suspension/ip-b/site/a.test,b.test"
        ]
    );
    let second = world.process().await;
    assert_eq!(second.list(), first.list());
    assert_eq!(second.list().len(), 2);
    assert_eq!(
        world.tape.0.lock().len(),
        2,
        "what was told is not told again"
    );
}

#[tokio::test]
async fn what_is_over_leaves_memory_and_store() {
    let world = World::new();
    let process = world.process().await;
    process.suspend(suspension("ip-a", google(), START + HOUR));
    process.suspend(suspension("ip-b", google(), START + 2 * HOUR));
    process.flushed().await;
    world.clock.advance(HOUR);
    assert_eq!(process.list().len(), 1);
    process.refresh().await.unwrap();
    assert_eq!(world.keys().await, ["suspension/ip-b/provider/google"]);
    assert_eq!(process.0.keeper.table.read().len(), 1);
    world.clock.advance(HOUR);
    process.refresh().await.unwrap();
    assert_eq!(world.keys().await, Vec::<String>::new());
    assert!(process.0.keeper.is_empty());
    let told = world.tape.0.lock();
    let ended: Vec<&str> = told
        .iter()
        .filter(|t| t.3.is_none())
        .map(|t| &*t.0)
        .collect();
    assert_eq!(ended, ["ip-a", "ip-b"], "each once");
}

#[tokio::test]
async fn processes_on_one_store_see_each_others() {
    let world = World::new();
    let (one, two) = (world.process().await, world.process().await);
    one.suspend(suspension("ip-a", google(), START + HOUR));
    one.flushed().await;
    assert_eq!(two.list(), []);
    two.refresh().await.unwrap();
    assert_eq!(two.list(), one.list());
    two.lift("ip-a", &google(), "enough").unwrap();
    two.flushed().await;
    one.refresh().await.unwrap();
    assert_eq!(one.list(), []);
}

#[tokio::test]
async fn of_two_processes_the_longer_suspension_stays() {
    let world = World::new();
    let (one, two) = (world.process().await, world.process().await);
    one.suspend(suspension("ip-a", google(), START + 2 * HOUR));
    one.flushed().await;
    two.suspend(suspension("ip-a", google(), START + HOUR));
    two.flushed().await;
    let until = |process: &Suspensions| process.until("ip-a", "mx", "google", START).unwrap().until;
    assert_eq!(until(&two), START + 2 * HOUR, "taken over in writing");
    one.refresh().await.unwrap();
    assert_eq!(until(&one), START + 2 * HOUR);
}

#[tokio::test]
async fn a_lifted_one_does_not_come_back_with_a_shorter_one() {
    let world = World::new();
    let process = world.process().await;
    process.suspend(suspension("ip-a", google(), START + 4 * HOUR));
    process.flushed().await;
    process.lift("ip-a", &google(), "enough").unwrap();
    process.suspend(suspension("ip-a", google(), START + HOUR));
    process.flushed().await;
    process.refresh().await.unwrap();
    assert_eq!(process.list()[0].until, START + HOUR);
}

#[tokio::test]
async fn a_refresh_leaves_what_is_not_written_yet() {
    let world = World::new();
    let process = world.process().await;
    process.suspend(suspension("ip-b", google(), START + HOUR));
    process.flushed().await;
    // Nothing has been written when the reading begins: the writer has had no turn.
    process.suspend(suspension("ip-a", google(), START + HOUR));
    process.lift("ip-b", &google(), "enough").unwrap();
    process.0.keeper.refresh().await.unwrap();
    let sources: Vec<String> = process
        .list()
        .iter()
        .map(|s| s.source.to_string())
        .collect();
    assert_eq!(sources, ["ip-a"]);
    process.flushed().await;
    assert_eq!(world.keys().await, ["suspension/ip-a/provider/google"]);
}

#[tokio::test]
async fn state_that_cannot_be_read_is_left_alone() {
    let world = World::new();
    let broken = "suspension/ip-a/provider/google";
    let put = world.store.put(broken, 0, b"{\"until\":").await.unwrap();
    assert_eq!(put, crate::store::Written::Yes(1));
    let process = world.process().await;
    assert_eq!(process.list(), []);
    process.suspend(suspension("ip-a", google(), START + HOUR));
    process.flushed().await;
    process.refresh().await.unwrap();
    process.lift("ip-a", &google(), "enough");
    process.flushed().await;
    let stored = world.store.get(broken).await.unwrap().unwrap();
    assert_eq!(
        (stored.version, stored.value.as_slice()),
        (1, &b"{\"until\":"[..])
    );
}

#[tokio::test]
async fn a_store_that_does_not_answer_takes_nothing_away_and_is_asked_again() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::new();
    let config = crate::store::Config::default();
    let clock = world.clock.clone();
    let open = || Store::open(&config, directory.path(), clock.clone());
    let store = open().await.unwrap();
    let world = World { store, ..world };
    let process = world.process().await;
    process.suspend(suspension("ip-a", google(), START + HOUR));
    process.flushed().await;
    world.store.close().await;
    process.suspend(suspension("ip-b", google(), START + HOUR));
    for _ in 0..3 {
        assert!(process.refresh().await.is_err());
        world.clock.advance(MINUTE);
    }
    let keeper = &process.0.keeper;
    assert_eq!(keeper.table.read().pending_count(), 1);
    assert_eq!(process.list().len(), 2);
    let held = process.list()[1].key();
    let gone = StoreError::Unavailable {
        place: "here".into(),
        why: "test".into(),
    };
    assert_eq!(keeper.settle(&held, 1, Err(gone)), keeper::Outcome::Later);
    assert_eq!(keeper.settle(&held, 1, Ok(None)), keeper::Outcome::Settled);
    assert_eq!(keeper.table.read().pending_count(), 0);
    let world = World {
        store: open().await.unwrap(),
        ..world
    };
    assert_eq!(world.keys().await, ["suspension/ip-a/provider/google"]);
}

#[tokio::test]
async fn a_change_during_writing_is_written_too() {
    let world = World::new();
    let process = world.process().await;
    let keeper = &process.0.keeper;
    let held = process.suspend(suspension("ip-a", google(), START + HOUR));
    process.suspend(suspension("ip-a", google(), START + 2 * HOUR));
    let outcome = keeper.settle(&held.key(), 1, Ok(None));
    assert_eq!(outcome, keeper::Outcome::Again);
    process.flushed().await;
    assert_eq!(world.process().await.list()[0].until, START + 2 * HOUR);
}

#[tokio::test]
async fn the_last_handle_ends_the_writing() {
    let world = World::new();
    let process = world.process().await;
    let keeper = Arc::downgrade(&process.0.keeper);
    process.suspend(suspension("ip-a", google(), START + HOUR));
    drop(process);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(keeper.upgrade().is_none());
    assert_eq!(world.keys().await.len(), 1, "what was begun is finished");
}

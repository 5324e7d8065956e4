//! What only the store in a file does.

mod cells;

use super::file::{FORMAT_KEY, META};
use super::tables::{COUNTERS, VALUES};
use super::{Embedded, SWEEP};
use crate::clock::Clock;
use crate::store::{OpenError, StoreError, Written};
use crate::units::{Span, Timestamp};
use proptest::prelude::*;
use redb::{Database, ReadableDatabase, ReadableTable};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::task::JoinSet;

struct World {
    dir: TempDir,
    clock: Clock,
}

impl World {
    fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            clock: Clock::manual(Timestamp::from_millis(1_800_000_000_000)),
        }
    }

    async fn try_open(&self) -> Result<Embedded, OpenError> {
        Embedded::open(&self.dir.path().join("state"), self.clock.clone()).await
    }

    async fn open(&self) -> Embedded {
        self.try_open().await.unwrap()
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("state/state.redb")
    }

    fn in_days(&self, days: u64) -> Timestamp {
        self.clock.now() + Span::days(days).0
    }

    /// Changes the file behind the store's back, which is not open.
    fn tamper(&self, act: impl FnOnce(&redb::WriteTransaction)) {
        let database = Database::open(self.file()).unwrap();
        let transaction = database.begin_write().unwrap();
        act(&transaction);
        transaction.commit().unwrap();
    }

    /// The counters in the file, expired ones too; the store is not open.
    fn counters(&self) -> Vec<String> {
        let database = Database::open(self.file()).unwrap();
        let transaction = database.begin_read().unwrap();
        let table = transaction.open_table(COUNTERS).unwrap();
        let entries = table.iter().unwrap();
        entries
            .map(|entry| entry.unwrap().0.value().to_owned())
            .collect()
    }

    /// The refusal, which must name the file and leave it as it is.
    async fn refusal(&self) -> OpenError {
        let before = fs::read(self.file()).unwrap();
        let refused = self.try_open().await.err().expect("it is refused");
        let file = self.file().display().to_string();
        assert!(refused.to_string().contains(&file), "{refused}");
        assert!(
            fs::read(self.file()).unwrap() == before,
            "the file was changed"
        );
        refused
    }
}

#[tokio::test]
async fn what_had_returned_is_there_after_a_drop_without_a_close() {
    let world = World::new();
    for n in 0..5 {
        let store = world.open().await;
        assert_eq!(store.counts(&["day".to_owned()]).await.unwrap(), [n * 3]);
        assert_eq!(
            store.put("stage", n, &[1]).await.unwrap(),
            Written::Yes(n + 1)
        );
        let taken = store.take("day", 100, 3, world.in_days(1)).await.unwrap();
        assert_eq!(taken.total, (n + 1) * 3);
    }
}

#[tokio::test]
async fn a_kill_after_a_write_returned_leaves_it_in_the_file() {
    let world = World::new();
    let store = world.open().await;
    for n in 1..=10 {
        let _taken = store.take("day", 100, 1, world.in_days(1)).await.unwrap();
        let _written = store.put("stage", n - 1, b"{}").await.unwrap();
        // What a killed process leaves is what the file holds now, not closed.
        let left = World::new();
        fs::create_dir(left.dir.path().join("state")).unwrap();
        fs::copy(world.file(), left.file()).unwrap();
        let found = left.open().await;
        assert_eq!(found.counts(&["day".to_owned()]).await.unwrap(), [n]);
        assert_eq!(found.get("stage").await.unwrap().unwrap().version, n);
    }
}

#[tokio::test]
async fn a_store_is_open_once() {
    let world = World::new();
    let store = world.open().await;
    let refused = world.try_open().await.err().expect("it is refused");
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    assert!(
        refused
            .to_string()
            .contains(&world.file().display().to_string())
    );
    let clone = store.clone();
    drop(store);
    assert!(world.try_open().await.is_err());
    drop(clone);
    world.open().await;
}

#[tokio::test]
async fn a_closed_store_gives_up_its_file_and_answers_no_more() {
    let world = World::new();
    let store = world.open().await;
    let _written = store.put("a", 0, b"1").await.unwrap();
    let mut writes = JoinSet::new();
    for n in 0..50 {
        let (store, expires) = (store.clone(), world.in_days(1));
        writes.spawn(async move { store.take("day", 1_000, n, expires).await.is_ok() });
    }
    tokio::task::yield_now().await;
    store.close().await;
    let other = world.open().await;
    let counted = other.counts(&["day".to_owned()]).await.unwrap();
    for refused in [
        store.get("a").await.err(),
        store.put("a", 1, b"2").await.err(),
        store.list("").await.err(),
    ] {
        let refused = refused.expect("it is refused");
        assert!(
            matches!(refused, StoreError::Unavailable { .. }),
            "{refused}"
        );
        assert!(refused.to_string().contains("closed"), "{refused}");
    }
    store.close().await;
    writes.join_all().await;
    // What came too late for the close has not been written past it.
    assert_eq!(other.counts(&["day".to_owned()]).await.unwrap(), counted);
}

#[test]
fn a_write_that_comes_when_the_runtime_has_ended_is_given_up() {
    let world = World::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(world.open());
    let handle = runtime.handle().clone();
    runtime.shutdown_background();
    let (tell, told) = std::sync::mpsc::channel();
    let day = world.in_days(1);
    std::thread::spawn(move || {
        let _inside = handle.enter();
        let mut write = Box::pin(store.take("day", 100, 3, day));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        tell.send(write.as_mut().poll(&mut context)).unwrap();
    });
    let patience = std::time::Duration::from_secs(60);
    let answer = told.recv_timeout(patience).expect("it does not hang");
    let given_up = matches!(
        answer,
        std::task::Poll::Ready(Err(StoreError::Unavailable { .. }))
    );
    assert!(given_up, "{answer:?}");
}

#[tokio::test]
async fn an_expired_counter_is_none_and_is_removed_by_and_by() {
    let world = World::new();
    let store = world.open().await;
    let (short, long) = (world.in_days(1), world.in_days(2));
    for (key, expires) in [
        ("short", short),
        ("both", short),
        ("both", long),
        ("both", short),
    ] {
        let _taken = store.take(key, 10, 2, expires).await.unwrap();
    }
    store.add(&[("added".to_owned(), 7)], short).await.unwrap();
    let keys = ["short", "both", "added"].map(str::to_owned);
    world.clock.advance(Span::days(1).0 - Span::millis(1).0);
    assert_eq!(store.counts(&keys).await.unwrap(), [2, 6, 7]);
    world.clock.advance(Span::millis(1).0);
    assert_eq!(store.counts(&keys).await.unwrap(), [0, 6, 0]);
    store.give_back("short", 1).await.unwrap();
    store.close().await;
    assert_eq!(world.counters(), ["both"]);

    let store = world.open().await;
    let taken = store.take("short", 10, 20, long).await.unwrap();
    assert_eq!((taken.granted, taken.total), (10, 10));
    world.clock.advance(Span::days(1).0);
    assert_eq!(store.counts(&keys).await.unwrap(), [0, 0, 0]);
    let _written = store.put("any", 0, b"").await.unwrap();
    store.close().await;
    assert_eq!(world.counters(), Vec::<String>::new());
}

#[tokio::test]
async fn expired_counters_are_looked_for_once_an_hour() {
    let world = World::new();
    let store = world.open().await;
    let _written = store.put("any", 0, b"").await.unwrap();
    let soon = world.clock.now() + Span::secs(1).0;
    let _taken = store.take("a", 1, 1, soon).await.unwrap();
    world.clock.advance(SWEEP - Span::millis(1).0);
    let _written = store.put("any", 1, b"").await.unwrap();
    store.close().await;
    assert_eq!(world.counters(), ["a"]);
}

#[tokio::test]
async fn a_file_of_something_else_is_refused_and_left_alone() {
    let world = World::new();
    fs::create_dir(world.dir.path().join("state")).unwrap();
    for content in [&b"[state]\nurl = \"embedded\"\n"[..], &[0; 100_000], b""] {
        fs::write(world.file(), content).unwrap();
        let refused = world.refusal().await;
        assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
        assert!(refused.to_string().contains("backup"), "{refused}");
    }
    fs::remove_file(world.file()).unwrap();
    Database::create(world.file()).unwrap();
    let refused = world.try_open().await.err().unwrap();
    assert!(refused.to_string().contains("no format"), "{refused}");
}

#[tokio::test]
async fn a_store_of_an_earlier_format_is_refused() {
    let world = World::new();
    drop(world.open().await);
    world.tamper(|transaction| {
        let mut meta = transaction.open_table(META).unwrap();
        meta.insert(FORMAT_KEY, 1).unwrap();
    });
    let refused = world.try_open().await.err().unwrap();
    assert!(refused.to_string().contains("export the list"), "{refused}");
}

#[tokio::test]
async fn a_store_of_a_later_version_is_refused() {
    let world = World::new();
    drop(world.open().await);
    world.tamper(|transaction| {
        let mut meta = transaction.open_table(META).unwrap();
        meta.insert(FORMAT_KEY, 3).unwrap();
    });
    let refused = world.try_open().await.err().unwrap();
    assert!(
        matches!(
            refused,
            OpenError::Later {
                found: 3,
                ours: 2,
                ..
            }
        ),
        "{refused}"
    );
    assert!(
        refused
            .to_string()
            .contains(&world.file().display().to_string())
    );
}

#[tokio::test]
async fn a_record_that_is_no_value_is_told_by_its_key_and_kept() {
    let world = World::new();
    let store = world.open().await;
    let _written = store.put("stage/b", 0, b"{}").await.unwrap();
    store.close().await;
    world.tamper(|transaction| {
        let mut values = transaction.open_table(VALUES).unwrap();
        values.insert("stage/a", &b"short"[..]).unwrap();
        values.insert("stage/c", &[0; 9][..]).unwrap();
    });
    let store = world.open().await;
    for key in ["stage/a", "stage/c"] {
        for refused in [
            store.get(key).await.err(),
            store.put(key, 0, b"{}").await.err(),
            store.delete(key, 0).await.err(),
            store.list(key).await.err(),
        ] {
            match refused.expect("it is refused") {
                StoreError::Damaged { key: named, .. } => assert_eq!(named, key),
                other => panic!("{other}"),
            }
        }
    }
    assert!(store.list("stage/").await.is_err());
    assert_eq!(store.list("stage/b").await.unwrap().len(), 1);
    assert_eq!(
        store.put("stage/b", 1, b"{}").await.unwrap(),
        Written::Yes(2)
    );
}

#[tokio::test]
async fn a_store_that_a_crash_left_half_made_is_made_anew() {
    let world = World::new();
    let state = world.dir.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::write(state.join("state.redb.new"), [0; 5_000]).unwrap();
    let store = world.open().await;
    assert_eq!(store.list("").await.unwrap(), []);
    assert!(!state.join("state.redb.new").exists());
}

#[tokio::test]
async fn a_store_given_up_for_its_disk_is_opened_again_and_never_made_anew() {
    let world = World::new();
    let store = world.open().await;
    let _written = store.put("stage", 0, b"{}").await.unwrap();
    store.shelf.give_up();
    assert_eq!(store.get("stage").await.unwrap().unwrap().version, 1);
    assert!(world.try_open().await.is_err(), "it is still ours");

    store.shelf.give_up();
    let away = world.dir.path().join("away");
    fs::rename(world.file(), &away).unwrap();
    let refused = store.put("stage", 1, b"{}").await.err().unwrap();
    assert!(
        matches!(refused, StoreError::Unavailable { .. }),
        "{refused}"
    );
    assert!(!world.file().exists());
    fs::rename(&away, world.file()).unwrap();
    assert_eq!(store.put("stage", 1, b"{}").await.unwrap(), Written::Yes(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_waits_for_no_write() {
    let world = World::new();
    let store = world.open().await;
    let _written = store.put("stage", 0, b"{}").await.unwrap();
    let (shelf, runtime) = (store.shelf.clone(), tokio::runtime::Handle::current());
    let during = tokio::task::spawn_blocking(move || {
        shelf.with(|database| {
            let transaction = database.begin_write()?;
            let mut values = transaction.open_table(VALUES)?;
            values.insert("stage", &b"not committed"[..])?;
            Ok(runtime.block_on(store.get("stage")))
        })
    });
    let found = during.await.unwrap().unwrap().unwrap().unwrap();
    assert_eq!((found.version, found.value.as_slice()), (1, &b"{}"[..]));
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_told() {
    let world = World::new();
    fs::write(world.dir.path().join("state"), "").unwrap();
    let refused = world.try_open().await.err().unwrap();
    assert!(matches!(refused, OpenError::Io { .. }), "{refused}");
    assert!(refused.to_string().contains("state"), "{refused}");
}

#[test]
fn a_file_with_a_wrong_octet_is_refused_or_holds_the_same() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = World::new();
    runtime.block_on(async {
        let store = world.open().await;
        for n in 0..100 {
            let _written = store.put(&format!("stage/{n}"), 0, &[7; 100]).await;
        }
        store.close().await;
    });
    let whole = fs::read(world.file()).unwrap();
    let used = used(&whole);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let place = (proptest::sample::select(used), 1..=255_u8);
    let played = runner.run(&place, |(at, change)| {
        runtime.block_on(open_changed(&whole, at, change))
    });
    played.unwrap();
}

async fn open_changed(whole: &[u8], at: usize, change: u8) -> Result<(), TestCaseError> {
    let world = World::new();
    fs::create_dir(world.dir.path().join("state")).unwrap();
    let mut changed = whole.to_vec();
    changed[at] ^= change;
    fs::write(world.file(), &changed).unwrap();
    match world.try_open().await {
        Err(refused) => prop_assert!(
            refused
                .to_string()
                .contains(&world.file().display().to_string())
        ),
        Ok(store) => {
            let found = store.list("").await.unwrap();
            prop_assert_eq!(found.len(), 100);
            prop_assert!(found.iter().all(|(_, held)| held.value == [7; 100]));
        }
    }
    Ok(())
}

/// Where the file is not zero.
fn used(whole: &[u8]) -> Vec<usize> {
    (0..whole.len()).filter(|&at| whole[at] != 0).collect()
}

#[test]
fn the_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    drop(runtime.block_on(world.open()));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&world.file()), 0o600);
    assert_eq!(mode(world.file().parent().unwrap()), 0o700);
}

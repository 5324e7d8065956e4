//! Cells in the file: what a crash leaves, what cannot be read, and what they cost.

use super::World;
use crate::store::embedded::Embedded;
use crate::store::embedded::tables::CELLS;
use crate::store::tests::cells::cell;
use crate::store::{Cell, Change, StoreError};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use tokio::task::JoinSet;

/// Where the process that is to be killed keeps its store.
const PLACE: &str = "MAILWRIGHT_TEST_CELLS_DIR";

fn mark(bucket: u32, n: u32) -> Cell {
    cell("mark", bucket, &n.to_be_bytes())
}

/// Two cells in buckets far apart.
fn pair(n: u32) -> [Cell; 2] {
    [mark(n % 97, n), mark(10_000 + n % 89, n)]
}

/// Not a test of its own: what [`a_process_killed_in_the_midst_leaves_what_it_answered_for`] starts and kills.
#[tokio::test]
async fn writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(PLACE) else {
        return;
    };
    let store = Embedded::open(dir.as_ref(), crate::clock::Clock::machine()).await;
    let store = store.unwrap();
    for n in 0.. {
        let set = pair(n).map(|cell| (cell, Some(n.to_be_bytes().to_vec())));
        store.set_cells(&set).await.unwrap();
        println!("\nanswered {n}");
    }
}

#[tokio::test]
async fn a_process_killed_in_the_midst_leaves_what_it_answered_for() {
    let name = module_path!().split_once("::").unwrap().1;
    for least in [1, 20, 60] {
        let world = World::new();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg(format!("{name}::writes_until_it_is_killed"))
            .env(PLACE, world.dir.path().join("state"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let answered = |line: &str| line.strip_prefix("answered ")?.parse::<u32>().ok();
        let mut said = || lines.find_map(|line| answered(&line.unwrap()));
        let mut last = said().expect("it writes");
        while last < least {
            last = said().expect("it writes");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before it ended.
        while let Some(more) = said() {
            last = more;
        }
        let store = world.open().await;
        for n in 0..=last + 1 {
            let held = store.cells(&pair(n)).await.unwrap();
            assert_eq!(held[0], held[1], "half of a write");
            let is_there = held[0].as_deref() == Some(&n.to_be_bytes());
            assert!(is_there || n > last, "{n} is lost");
        }
    }
}

#[tokio::test]
async fn a_bucket_that_cannot_be_read_fails_only_who_asked_for_it() {
    let world = World::new();
    let store = world.open().await;
    let set = [1, 13].map(|bucket| (mark(bucket, 1), Some(vec![1])));
    store.set_cells(&set).await.unwrap();
    store.close().await;
    world.tamper(|transaction| {
        let mut cells = transaction.open_table(CELLS).unwrap();
        cells.insert(("mark", 13), &b"no bucket"[..]).unwrap();
    });
    let store = world.open().await;
    let damaged = |error: StoreError| match error {
        StoreError::Damaged { key, .. } => assert_eq!(key, "mark/13"),
        other => panic!("{other}"),
    };
    let mut askers = JoinSet::new();
    for n in 0..60 {
        let (store, bucket) = (store.clone(), if n % 3 == 0 { 13 } else { 1 });
        askers.spawn(async move { (bucket, store.cells(&[mark(bucket, 1)]).await) });
    }
    for (bucket, told) in askers.join_all().await {
        match bucket {
            13 => damaged(told.unwrap_err()),
            _ => assert_eq!(told.unwrap(), [Some(vec![1])]),
        }
    }
    let changes = [(mark(1, 1), None), (mark(13, 1), None)];
    damaged(store.set_cells(&changes).await.unwrap_err());
    damaged(store.buckets("mark", 0, 20).await.unwrap_err());
    assert_eq!(store.cells(&[mark(1, 1)]).await.unwrap(), [Some(vec![1])]);
}

#[test]
fn a_question_that_comes_when_the_runtime_has_ended_is_given_up() {
    let world = World::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(world.open());
    let handle = runtime.handle().clone();
    runtime.shutdown_background();
    let _inside = handle.enter();
    let mut question = Box::pin(async move { store.cells(&[mark(1, 1)]).await });
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let answer = question.as_mut().poll(&mut context);
    let given_up = matches!(
        answer,
        std::task::Poll::Ready(Err(StoreError::Unavailable { .. }))
    );
    assert!(given_up, "{answer:?}");
}

/// However it was written: by many changes at a time, which leave most of the file free, or by few.
#[tokio::test]
async fn a_mark_costs_at_most_twenty_octets_in_the_file_that_is_opened_again() {
    const BUCKETS: u32 = 1 << 11;
    const MARKS: u64 = 76 * BUCKETS as u64;
    let mark = |n: u64| {
        let spread = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bucket = (spread >> 32) as u32 % BUCKETS;
        (
            cell("mark", bucket, &spread.to_be_bytes()),
            Some(b"h".to_vec()),
        )
    };
    let marks: Vec<Change> = (0..MARKS).map(mark).collect();
    for piece in [20_000, 5_000, 1_000] {
        let world = World::new();
        let store = world.open().await;
        for piece in marks.chunks(piece) {
            store.set_cells(piece).await.unwrap();
        }
        store.close().await;
        let store = world.open().await;
        let (cells, held): (Vec<Cell>, Vec<_>) = marks.iter().take(3_000).cloned().unzip();
        assert_eq!(store.cells(&cells).await.unwrap(), held);
        let octets = world.file().metadata().unwrap().len() as f64 / MARKS as f64;
        assert!(octets < 20.0, "{octets:.1}");
        println!("{octets:.1}");
    }
}

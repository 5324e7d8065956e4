//! What every store does with cells.

use super::World;
use crate::store::{Cell, Change, Fields, MAX_FIELD, Store};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use tokio::task::JoinSet;

pub(in crate::store) fn cell(table: &'static str, bucket: u32, field: &[u8]) -> Cell {
    Cell {
        table,
        bucket,
        field: field.to_vec(),
    }
}

/// So many cells over 50 buckets of two tables, each with a value of its own.
fn many(count: u32) -> Vec<Change> {
    let one = |n: u32| {
        let table = ["mark", "note"][n as usize % 2];
        let field = n.wrapping_mul(2_654_435_761).to_be_bytes();
        (
            cell(table, n % 50, &field),
            Some(n.to_string().into_bytes()),
        )
    };
    (0..count).map(one).collect()
}

async fn listed(store: &Store, table: &'static str) -> Vec<(u32, Fields)> {
    store.buckets(table, 0, 1_000).await.unwrap()
}

/// The lists that `held` makes.
fn lists(held: &BTreeMap<Cell, Vec<u8>>, table: &str) -> Vec<(u32, Fields)> {
    let mut buckets: BTreeMap<u32, Fields> = BTreeMap::new();
    for (cell, value) in held.iter().filter(|(cell, _)| cell.table == table) {
        let fields = buckets.entry(cell.bucket).or_default();
        fields.push((cell.field.clone(), value.clone()));
    }
    buckets.into_iter().collect()
}

pub(super) async fn cells_hold_what_was_set_and_nothing_where_it_was_taken_away(world: &World) {
    let store = world.open().await;
    let (a, b) = (cell("mark", 7, b"\0\xffa"), cell("mark", 7, b"b"));
    let elsewhere = [cell("mark", 8, b"b"), cell("note", 7, b"b")];
    let asked = [
        a.clone(),
        b.clone(),
        elsewhere[0].clone(),
        elsewhere[1].clone(),
    ];
    assert_eq!(store.cells(&asked).await.unwrap(), [None, None, None, None]);
    let large = vec![5; 3_000];
    let set = [(a.clone(), Some(vec![])), (b.clone(), Some(large.clone()))];
    store.set_cells(&set).await.unwrap();
    let held = store.cells(&asked).await.unwrap();
    assert_eq!(held, [Some(vec![]), Some(large), None, None]);
    // Of two changes to one cell the later holds.
    let changes = [
        (a.clone(), Some(b"1".to_vec())),
        (a.clone(), None),
        (b.clone(), None),
        (b.clone(), Some(b"2".to_vec())),
        (elsewhere[0].clone(), None),
    ];
    store.set_cells(&changes).await.unwrap();
    let held = store.cells(&asked).await.unwrap();
    assert_eq!(held, [None, Some(b"2".to_vec()), None, None]);
}

pub(super) async fn a_bucket_gives_its_fields_in_order_and_knows_its_table(world: &World) {
    let store = world.open().await;
    let fields = [&b"c"[..], b"", b"a\0", b"a", b"\xff"];
    let set = |field: &&[u8]| (cell("mark", u32::MAX, field), Some(field.to_vec()));
    store
        .set_cells(&fields.iter().map(set).collect::<Vec<_>>())
        .await
        .unwrap();
    let other = (cell("note", u32::MAX, b"x"), Some(vec![1]));
    store.set_cells(&[other]).await.unwrap();
    let mut sorted: Vec<_> = fields.iter().map(|f| (f.to_vec(), f.to_vec())).collect();
    sorted.sort();
    let held = store.buckets("mark", u32::MAX - 300, 1_000).await.unwrap();
    assert_eq!(held, [(u32::MAX, sorted)]);
    assert_eq!(store.buckets("mark", 0, 300).await.unwrap(), []);
    assert_eq!(store.buckets("mark", u32::MAX, 0).await.unwrap(), []);
}

pub(super) async fn a_field_that_is_too_long_is_refused_and_nothing_is_set(world: &World) {
    let store = world.open().await;
    let fine = (cell("mark", 1, &[1; 255]), Some(vec![1]));
    let long = (cell("mark", 1, &[1; 256]), Some(vec![1]));
    assert!(store.set_cells(&[fine.clone(), long]).await.is_err());
    assert_eq!(store.buckets("mark", 1, 1).await.unwrap(), []);
    store.set_cells(&[fine]).await.unwrap();
    assert_eq!(store.buckets("mark", 1, 1).await.unwrap().len(), 1);
}

pub(super) async fn writers_of_one_bucket_lose_nothing_of_each_other(world: &World) {
    let store = world.open().await;
    let mut writers = JoinSet::new();
    for writer in 0..20_u8 {
        let store = store.clone();
        writers.spawn(async move {
            for n in 0..10_u8 {
                let here = cell("mark", 3, &[writer, n]);
                store
                    .set_cells(&[(here.clone(), Some(vec![n]))])
                    .await
                    .unwrap();
                assert_eq!(store.cells(&[here]).await.unwrap(), [Some(vec![n])]);
            }
        });
    }
    writers.join_all().await;
    let held = store.buckets("mark", 3, 1).await.unwrap();
    assert_eq!(held[0].1.len(), 200);
}

pub(super) async fn cells_outlive_the_store_that_set_them(world: &World) {
    let store = world.open().await;
    let here = cell("mark", 9, b"x");
    store
        .set_cells(&[(here.clone(), Some(b"y".to_vec()))])
        .await
        .unwrap();
    drop(store);
    let store = world.open().await;
    assert_eq!(store.cells(&[here]).await.unwrap(), [Some(b"y".to_vec())]);
}

pub(super) async fn answers_come_in_the_order_of_the_questions(world: &World) {
    let store = world.open().await;
    let set = many(900);
    store.set_cells(&set).await.unwrap();
    let mut asked: Vec<Change> = set.clone();
    asked.extend(set.iter().take(100).cloned());
    asked.extend((0..200).map(|n| (cell("mark", n % 60, &[9; 3]), None)));
    asked.shuffle(&mut StdRng::seed_from_u64(5));
    let (cells, due): (Vec<Cell>, Vec<_>) = asked.into_iter().unzip();
    assert_eq!(store.cells(&cells).await.unwrap(), due);
}

pub(super) async fn fields_have_no_octets_to_255(world: &World) {
    let store = world.open().await;
    let lens = [0, 1, 2, 127, 128, 254, MAX_FIELD];
    let set = lens.map(|len| (cell("mark", 1, &vec![0xff; len]), Some(vec![7; len])));
    store.set_cells(&set).await.unwrap();
    let due: Fields = lens.map(|n| (vec![0xff; n], vec![7; n])).into();
    assert_eq!(listed(&store, "mark").await, [(1, due)]);
    let mut asked: Vec<Cell> = set.iter().map(|(cell, _)| cell.clone()).collect();
    asked.push(cell("mark", 1, &[0xff; 256]));
    asked.push(cell("mark", 1, &[0xff; 3]));
    let mut held = lens.map(|len| Some(vec![7; len])).to_vec();
    held.extend([None, None]);
    assert_eq!(store.cells(&asked).await.unwrap(), held);
    let gone: Vec<Change> = set.into_iter().map(|(cell, _)| (cell, None)).collect();
    store.set_cells(&gone).await.unwrap();
    assert_eq!(listed(&store, "mark").await, []);
    assert_eq!(store.cells(&asked).await.unwrap(), vec![None; 9]);
}

pub(super) async fn a_bucket_whose_last_field_is_taken_away_is_none(world: &World) {
    let store = world.open().await;
    let one = cell("mark", 5, b"a");
    store
        .set_cells(&[(one.clone(), Some(b"1".to_vec()))])
        .await
        .unwrap();
    for _ in 0..2 {
        store.set_cells(&[(one.clone(), None)]).await.unwrap();
        assert_eq!(listed(&store, "mark").await, []);
    }
    let set = (one, Some(b"2".to_vec()));
    store.set_cells(&[set]).await.unwrap();
    assert_eq!(listed(&store, "mark").await.len(), 1);
}

pub(super) async fn thousands_of_changes_are_one_write(world: &World) {
    let store = world.open().await;
    let mut changes = many(6_000);
    // One bucket with more fields than a command of Redis would take from Lua.
    let full = |n: u32| (cell("mark", 77, &n.to_be_bytes()), Some(vec![n as u8]));
    changes.extend((0..5_000).map(full));
    changes.shuffle(&mut StdRng::seed_from_u64(6));
    store.set_cells(&changes).await.unwrap();
    let held = changes.iter().cloned();
    let mut held: BTreeMap<Cell, Vec<u8>> = held.filter_map(|(c, v)| Some((c, v?))).collect();
    assert_eq!(listed(&store, "mark").await, lists(&held, "mark"));
    for (n, (cell, value)) in changes.iter_mut().enumerate() {
        *value = n.is_multiple_of(3).then(|| b"new".to_vec());
        match value {
            Some(value) => held.insert(cell.clone(), value.clone()),
            None => held.remove(cell),
        };
    }
    store.set_cells(&changes).await.unwrap();
    for table in ["mark", "note"] {
        assert_eq!(listed(&store, table).await, lists(&held, table));
    }
}

pub(super) async fn askers_see_all_of_a_write_or_nothing_of_it(world: &World) {
    let store = world.open().await;
    let pair = [cell("mark", 3, b"first"), cell("mark", 3, b"second")];
    let mut tasks = JoinSet::new();
    for writer in 0..4_u8 {
        let (store, pair) = (store.clone(), pair.clone());
        tasks.spawn(async move {
            for n in 0..25_u8 {
                let value = vec![writer, n];
                let set = pair.clone().map(|cell| (cell, Some(value.clone())));
                store.set_cells(&set).await.unwrap();
            }
        });
    }
    for _ in 0..20 {
        let (store, pair) = (store.clone(), pair.clone());
        tasks.spawn(async move {
            for _ in 0..50 {
                let held = store.cells(&pair).await.unwrap();
                assert_eq!(held[0], held[1]);
            }
        });
    }
    tasks.join_all().await;
}

pub(super) async fn many_askers_are_each_told_their_own(world: &World) {
    let store = world.open().await;
    let set = many(2_000);
    store.set_cells(&set).await.unwrap();
    let mut askers = JoinSet::new();
    for asker in 0..200_u64 {
        let (store, set) = (store.clone(), set.clone());
        askers.spawn(async move {
            let mut chance = StdRng::seed_from_u64(asker);
            for _ in 0..5 {
                let count = chance.random_range(1..40);
                let asked = (0..count).map(|_| set[chance.random_range(0..set.len())].clone());
                let (cells, due): (Vec<Cell>, Vec<_>) = asked.unzip();
                assert_eq!(store.cells(&cells).await.unwrap(), due);
            }
        });
    }
    askers.join_all().await;
}

pub(super) async fn cells_outlive_a_crash(world: &mut World) {
    let store = world.open().await;
    let set = many(500);
    store.set_cells(&set).await.unwrap();
    let gone = (set[3].0.clone(), None);
    store.set_cells(std::slice::from_ref(&gone)).await.unwrap();
    world.crash().await;
    let store = world.open().await;
    let (cells, mut due): (Vec<Cell>, Vec<_>) = set.into_iter().unzip();
    due[3] = None;
    assert_eq!(store.cells(&cells).await.unwrap(), due);
}

pub(super) async fn a_cell_is_removed_only_where_it_holds_what_was_seen(world: &World) {
    let store = world.open().await;
    assert_eq!(store.remove_cells(&[]).await.unwrap(), 0);
    let cells = [
        cell("mark", 3, b"seen"),
        cell("mark", 3, b"renewed"),
        cell("mark", 4, b"seen"),
        cell("note", 3, b"seen"),
        cell("mark", 5, b"never there"),
    ];
    let old = b"s\0\0".to_vec();
    let set = |n: usize, value: &[u8]| (cells[n].clone(), Some(value.to_vec()));
    let first = [0, 1, 2, 3].map(|n| set(n, &old));
    store.set_cells(&first).await.unwrap();
    store.set_cells(&[set(1, b"new")]).await.unwrap();
    let mut seen: Vec<_> = [2, 4, 1, 0].map(|n| (cells[n].clone(), old.clone())).into();
    // Told twice, it goes once.
    seen.push(seen[0].clone());
    assert_eq!(store.remove_cells(&seen).await.unwrap(), 2);
    let left = [None, Some(b"new".to_vec()), None, Some(old), None];
    assert_eq!(store.cells(&cells).await.unwrap(), left);
    assert_eq!(store.remove_cells(&seen).await.unwrap(), 0);
}

pub(super) async fn what_is_renewed_while_it_is_removed_stays(world: &World) {
    let store = world.open().await;
    let mut pairs = JoinSet::new();
    for n in 0..60_u8 {
        let store = store.clone();
        pairs.spawn(async move {
            let here = cell("mark", u32::from(n % 3), &[n]);
            let old = (here.clone(), Some(b"old".to_vec()));
            store.set_cells(&[old]).await.unwrap();
            let seen = [(here.clone(), b"old".to_vec())];
            let new = [(here.clone(), Some(b"new".to_vec()))];
            let (removed, renewed) = tokio::join!(store.remove_cells(&seen), store.set_cells(&new));
            renewed.unwrap();
            assert!(removed.unwrap() <= 1);
            assert_eq!(store.cells(&[here]).await.unwrap(), [Some(b"new".to_vec())]);
        });
    }
    pairs.join_all().await;
}

//! Every sequence of operations on cells does what a map would do.

use super::World;
use super::cells::cell;
use crate::store::{Cell, Change, Fields, Store};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use tokio::runtime::Runtime;

#[derive(Debug, Clone)]
enum Operation {
    Set(Vec<Change>),
    /// Each as it is, or as it is not.
    Remove(Vec<(Cell, bool)>),
    Ask(Vec<Cell>),
    List(&'static str, u32, u32),
    /// The store is closed and opened again.
    Reopen,
}

#[test]
fn cells_in_memory_do_what_the_model_does() {
    play(Runtime::new().unwrap().block_on(World::memory()), 200);
}

#[test]
fn embedded_cells_do_what_the_model_does() {
    play(Runtime::new().unwrap().block_on(World::embedded()), 40);
}

#[test]
fn cells_in_redis_do_what_the_model_does() {
    play(Runtime::new().unwrap().block_on(World::redis()), 60);
}

/// Plays `cases` sequences in one world, one after the other in the same buckets.
fn play(world: World, cases: u32) {
    let runtime = Runtime::new().unwrap();
    let store = runtime.block_on(world.open());
    let state = std::cell::RefCell::new((store, BTreeMap::new()));
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let played = TestRunner::new(config).run(&vec(operation(), 1..30), |operations| {
        let (store, model) = &mut *state.borrow_mut();
        let each = |operation| runtime.block_on(compare(&world, store, model, operation));
        operations.into_iter().try_for_each(each)
    });
    played.unwrap();
}

async fn compare(
    world: &World,
    store: &mut Store,
    model: &mut BTreeMap<Cell, Vec<u8>>,
    operation: Operation,
) -> Result<(), TestCaseError> {
    match operation {
        Operation::Set(changes) => {
            store.set_cells(&changes).await.unwrap();
            for (cell, value) in changes {
                match value {
                    Some(value) => model.insert(cell, value),
                    None => model.remove(&cell),
                };
            }
        }
        Operation::Remove(cells) => {
            let seen = cells
                .into_iter()
                .map(|(cell, as_is)| match model.get(&cell) {
                    Some(value) if as_is => (cell, value.clone()),
                    _ => (cell, b"other".to_vec()),
                });
            let seen: Vec<_> = seen.collect();
            let removed = store.remove_cells(&seen).await.unwrap();
            let before = model.len();
            for (cell, value) in seen {
                if model.get(&cell) == Some(&value) {
                    model.remove(&cell);
                }
            }
            prop_assert_eq!(removed, (before - model.len()) as u64);
        }
        Operation::Ask(cells) => {
            let due: Vec<_> = cells.iter().map(|cell| model.get(cell).cloned()).collect();
            prop_assert_eq!(store.cells(&cells).await.unwrap(), due);
        }
        Operation::List(table, first, count) => {
            let mut due: Vec<(u32, Fields)> = Vec::new();
            for bucket in first..first.saturating_add(count) {
                let here = model.iter().filter(|(c, _)| c.place() == (table, bucket));
                let fields: Fields = here.map(|(c, v)| (c.field.clone(), v.clone())).collect();
                due.extend((!fields.is_empty()).then_some((bucket, fields)));
            }
            prop_assert_eq!(store.buckets(table, first, count).await.unwrap(), due);
        }
        Operation::Reopen => {
            store.close().await;
            *store = world.open().await;
        }
    }
    Ok(())
}

fn a_cell() -> impl Strategy<Value = Cell> {
    let table = proptest::sample::select(&["mark", "note"][..]);
    let field = prop_oneof![vec(0..2_u8, 0..5), vec(Just(255_u8), 250..=255)];
    (table, 0..4_u32, field).prop_map(|(table, bucket, field)| cell(table, bucket, &field))
}

fn operation() -> impl Strategy<Value = Operation> {
    let value = proptest::option::of(vec(any::<u8>(), 0..4));
    let list = (
        proptest::sample::select(&["mark", "note"][..]),
        0..5_u32,
        0..5_u32,
    );
    prop_oneof![
        5 => vec((a_cell(), value), 0..20).prop_map(Operation::Set),
        2 => vec((a_cell(), any::<bool>()), 0..10).prop_map(Operation::Remove),
        5 => vec(a_cell(), 0..20).prop_map(Operation::Ask),
        2 => list.prop_map(|(table, first, count)| Operation::List(table, first, count)),
        1 => Just(Operation::Reopen),
    ]
}

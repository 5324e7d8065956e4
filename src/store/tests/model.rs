//! Every sequence of operations does what two maps would do.

use super::World;
use crate::store::{Store, Taken, Versioned, Written};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use tokio::runtime::Runtime;

#[derive(Debug, Clone)]
enum Operation {
    Get(&'static str),
    Put(&'static str, u64, Vec<u8>),
    Delete(&'static str, u64),
    List(&'static str),
    Take(&'static str, u64, u64),
    GiveBack(&'static str, u64),
    Add(Vec<(&'static str, u64)>),
    Counts(Vec<&'static str>),
    /// The store is dropped and opened again.
    Reopen,
}

/// Two maps; what they answer is what the store must.
#[derive(Default)]
struct Model {
    values: BTreeMap<String, Versioned>,
    counters: BTreeMap<String, u64>,
}

#[test]
fn the_store_in_memory_does_what_the_model_does() {
    play(Runtime::new().unwrap().block_on(World::memory()), 200);
}

#[test]
fn the_embedded_store_does_what_the_model_does() {
    play(Runtime::new().unwrap().block_on(World::embedded()), 40);
}

#[test]
fn redis_does_what_the_model_does() {
    play(Runtime::new().unwrap().block_on(World::redis()), 60);
}

/// Plays `cases` sequences in one world, each under keys of its own.
fn play(world: World, cases: u32) {
    let runtime = Runtime::new().unwrap();
    let case = std::cell::Cell::new(0);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let played = TestRunner::new(config).run(&vec(operation(), 1..40), |operations| {
        case.set(case.get() + 1);
        runtime.block_on(compare(&world, case.get(), operations))
    });
    played.unwrap();
}

async fn compare(
    world: &World,
    case: u32,
    operations: Vec<Operation>,
) -> Result<(), TestCaseError> {
    let mut store = world.open().await;
    let mut model = Model::default();
    let at = |key: &str| format!("{case}/{key}");
    let expires = world.in_days(2);
    for operation in operations {
        match operation {
            Operation::Get(key) => prop_assert_eq!(
                store.get(&at(key)).await.unwrap(),
                model.values.get(&at(key)).cloned()
            ),
            Operation::Put(key, expected, value) => prop_assert_eq!(
                store.put(&at(key), expected, &value).await.unwrap(),
                model.put(at(key), expected, value)
            ),
            Operation::Delete(key, expected) => prop_assert_eq!(
                store.delete(&at(key), expected).await.unwrap(),
                model.delete(&at(key), expected)
            ),
            Operation::List(prefix) => {
                prop_assert_eq!(
                    store.list(&at(prefix)).await.unwrap(),
                    model.list(&at(prefix))
                );
            }
            Operation::Take(key, cap, want) => prop_assert_eq!(
                store.take(&at(key), cap, want, expires).await.unwrap(),
                model.take(at(key), cap, want)
            ),
            Operation::GiveBack(key, n) => {
                store.give_back(&at(key), n).await.unwrap();
                model.give_back(&at(key), n);
            }
            Operation::Add(counts) => {
                let counts: Vec<_> = counts.iter().map(|(key, n)| (at(key), *n)).collect();
                store.add(&counts, expires).await.unwrap();
                model.add(&counts);
            }
            Operation::Counts(keys) => {
                let keys: Vec<_> = keys.iter().map(|key| at(key)).collect();
                prop_assert_eq!(store.counts(&keys).await.unwrap(), model.counts(&keys));
            }
            Operation::Reopen => {
                store.close().await;
                store = world.open().await;
            }
        }
    }
    compare_all(&store, &model, &at("")).await
}

async fn compare_all(store: &Store, model: &Model, under: &str) -> Result<(), TestCaseError> {
    prop_assert_eq!(store.list(under).await.unwrap(), model.list(under));
    let keys: Vec<_> = KEYS.iter().map(|key| format!("{under}{key}")).collect();
    prop_assert_eq!(store.counts(&keys).await.unwrap(), model.counts(&keys));
    Ok(())
}

impl Model {
    fn version(&self, key: &str) -> u64 {
        self.values.get(key).map_or(0, |held| held.version)
    }

    fn put(&mut self, key: String, expected: u64, value: Vec<u8>) -> Written {
        if self.version(&key) != expected {
            return Written::Conflict;
        }
        let version = expected + 1;
        self.values.insert(key, Versioned { version, value });
        Written::Yes(version)
    }

    fn delete(&mut self, key: &str, expected: u64) -> Written {
        if self.version(key) != expected {
            return Written::Conflict;
        }
        self.values.remove(key);
        Written::Yes(expected)
    }

    fn list(&self, prefix: &str) -> Vec<(String, Versioned)> {
        let found = self.values.iter();
        let found = found.filter(|(key, _)| key.starts_with(prefix));
        found.map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    fn take(&mut self, key: String, cap: u64, want: u64) -> Taken {
        let total = self.counters.entry(key).or_default();
        let granted = if *total >= cap {
            0
        } else {
            want.min(cap - *total)
        };
        *total += granted;
        Taken {
            granted,
            total: *total,
        }
    }

    fn give_back(&mut self, key: &str, n: u64) {
        if let Some(total) = self.counters.get_mut(key) {
            *total -= n.min(*total);
        }
    }

    fn add(&mut self, counts: &[(String, u64)]) {
        for (key, n) in counts {
            *self.counters.entry(key.clone()).or_default() += n;
        }
    }

    fn counts(&self, keys: &[String]) -> Vec<u64> {
        let count = |key| self.counters.get(key).copied().unwrap_or(0);
        keys.iter().map(count).collect()
    }
}

const KEYS: [&str; 5] = ["a", "a/b", "a/c", "ab", "é"];

fn key() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&KEYS[..])
}

fn operation() -> impl Strategy<Value = Operation> {
    let value = vec(any::<u8>(), 0..6);
    let prefix = proptest::sample::select(&["", "a", "a/", "é", "z"][..]);
    prop_oneof![
        2 => key().prop_map(Operation::Get),
        4 => (key(), 0..4_u64, value).prop_map(|(key, expected, value)| Operation::Put(key, expected, value)),
        2 => (key(), 0..4_u64).prop_map(|(key, expected)| Operation::Delete(key, expected)),
        1 => prefix.prop_map(Operation::List),
        4 => (key(), 0..30_u64, 0..20_u64).prop_map(|(key, cap, want)| Operation::Take(key, cap, want)),
        2 => (key(), 0..20_u64).prop_map(|(key, n)| Operation::GiveBack(key, n)),
        2 => vec((key(), 0..20_u64), 0..4).prop_map(Operation::Add),
        1 => vec(key(), 0..4).prop_map(Operation::Counts),
        1 => Just(Operation::Reopen),
    ]
}

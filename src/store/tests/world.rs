//! A place for a store, that outlives it.

use crate::clock::Clock;
use crate::peers::redis::RedisServer;
use crate::store::{Config, Store};
use crate::units::{Span, Timestamp};
use tempfile::TempDir;

pub(crate) struct World {
    place: Place,
    pub(crate) clock: Clock,
}

enum Place {
    Memory(Store),
    Embedded(TempDir),
    Redis(RedisServer),
}

impl World {
    pub(super) async fn memory() -> Self {
        Self::of(Place::Memory(Store::in_memory()))
    }

    pub(crate) async fn embedded() -> Self {
        Self::of(Place::Embedded(TempDir::new().unwrap()))
    }

    pub(crate) async fn redis() -> Self {
        Self::of(Place::Redis(RedisServer::start().await.unwrap()))
    }

    fn of(place: Place) -> Self {
        let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
        Self { place, clock }
    }

    /// Opens the store; of the embedded one there may be one at a time.
    pub(crate) async fn open(&self) -> Store {
        let (url, dir) = match &self.place {
            Place::Memory(store) => return store.clone(),
            Place::Embedded(dir) => ("embedded".to_owned(), dir.path()),
            Place::Redis(server) => (server.url(), server.dir()),
        };
        let config = Config {
            url: url.into(),
            ca: None,
        };
        Store::open(&config, dir, self.clock.clone()).await.unwrap()
    }

    /// What holds the store is killed; what it leaves is what is opened next.
    pub(super) async fn crash(&mut self) {
        match &mut self.place {
            Place::Memory(_) => {}
            Place::Redis(server) => server.restart().await.unwrap(),
            Place::Embedded(dir) => {
                // What a killed process leaves is what the file holds now, not closed.
                let left = TempDir::new().unwrap();
                let file = |dir: &TempDir| dir.path().join("state/state.redb");
                std::fs::create_dir(left.path().join("state")).unwrap();
                std::fs::copy(file(dir), file(&left)).unwrap();
                *dir = left;
            }
        }
    }

    pub(crate) fn in_days(&self, days: u64) -> Timestamp {
        self.clock.now() + Span::days(days).0
    }
}

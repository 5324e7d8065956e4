//! Where the list lies, and how much of it that takes.

use mailwright::clock::Clock;
use mailwright::peers::redis::RedisServer;
use mailwright::store::{Config, Store};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

#[derive(Clone, Copy)]
pub enum Kind {
    Embedded,
    Redis,
}

impl Kind {
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "embedded" => Some(Self::Embedded),
            "redis" => Some(Self::Redis),
            _ => None,
        }
    }
}

pub enum Place {
    Embedded(TempDir),
    Redis(RedisServer),
}

impl Place {
    pub async fn new(kind: Kind) -> Self {
        match kind {
            Kind::Embedded => Self::Embedded(TempDir::new().expect("a directory")),
            Kind::Redis => Self::Redis(RedisServer::start().await.expect("redis-server")),
        }
    }

    pub async fn open(&self) -> Store {
        let (url, dir): (String, &Path) = match self {
            Self::Embedded(dir) => ("embedded".to_owned(), dir.path()),
            Self::Redis(server) => (server.url(), server.dir()),
        };
        let config = Config {
            url: url.into(),
            ca: None,
        };
        let store = Store::open(&config, dir, Clock::machine());
        store.await.expect("the store opens")
    }

    /// Octets that the list takes: of memory in Redis (`used_memory`), of disk (blocks of the file).
    pub async fn octets(&self) -> u64 {
        match self {
            Self::Redis(server) => info(server, "memory", "used_memory").await as u64,
            Self::Embedded(dir) => {
                let file = dir.path().join("state/state.redb");
                let data = file.metadata().expect("the file");
                println!(
                    "  the file: {} octets, {} on disk",
                    data.len(),
                    data.blocks() * 512
                );
                data.len()
            }
        }
    }

    /// Processor time that a server beside us has taken.
    pub async fn cpu_time(&self) -> Duration {
        let Self::Redis(server) = self else {
            return Duration::ZERO;
        };
        let user = info(server, "cpu", "used_cpu_user").await;
        let system = info(server, "cpu", "used_cpu_sys").await;
        Duration::from_secs_f64(user + system)
    }
}

async fn info(server: &RedisServer, section: &str, field: &str) -> f64 {
    let client = redis::Client::open(server.url()).expect("a URL");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("a connection");
    let mut ask = redis::cmd("INFO");
    let told: String = ask
        .arg(section)
        .query_async(&mut connection)
        .await
        .expect("an answer");
    let value = |line: &str| {
        line.strip_prefix(field)?
            .strip_prefix(':')?
            .trim()
            .parse()
            .ok()
    };
    told.lines().find_map(value).expect("the field")
}

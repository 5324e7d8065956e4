//! What only the store in Redis does.

mod cells;
mod outages;
mod refusals;

use super::link::Patience;
use super::{NAMES_KEY, Redis, count_key, value_key};
use crate::clock::Clock;
use crate::peers::redis::RedisServer;
use crate::store::config::Target;
use crate::store::{Config, OpenError, StoreError, Written};
use crate::units::{Span, Timestamp};
use ::redis::FromRedisValue;
use std::time::Duration;
use tokio::task::JoinSet;

/// A server, and what a test says to it beside the store.
struct World {
    server: RedisServer,
    clock: Clock,
    /// How long an operation waits; long, as the machine may be busy.
    operation: Duration,
}

impl World {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(settings: &[&str]) -> Self {
        Self {
            server: RedisServer::start_with(settings).await.unwrap(),
            clock: Clock::manual(Timestamp::from_millis(1_800_000_000_000)),
            operation: Duration::from_secs(20),
        }
    }

    async fn open(&self) -> Redis {
        self.try_open(&self.server.url()).await.unwrap()
    }

    async fn try_open(&self, url: &str) -> Result<Redis, OpenError> {
        let config = Config {
            url: url.into(),
            ca: None,
        };
        self.try_open_as(&config).await
    }

    /// Opens as `config` says, at the second attempt at the latest.
    async fn try_open_as(&self, config: &Config) -> Result<Redis, OpenError> {
        let Target::Redis(server) = config.target()? else {
            panic!("{config:?}");
        };
        let patience = Patience {
            operation: self.operation,
            connect: self.operation,
            attempts: 2,
            between: Duration::from_millis(10),
        };
        Redis::open_within(*server, self.clock.clone(), patience).await
    }

    fn in_days(&self, days: u64) -> Timestamp {
        self.clock.now() + Span::days(days).0
    }

    /// Says `words` to the server.
    async fn say<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_say(words).await.unwrap()
    }

    async fn try_say<T: FromRedisValue>(&self, words: &[&str]) -> ::redis::RedisResult<T> {
        let client = ::redis::Client::open(self.server.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut command = ::redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        command.query_async(&mut connection).await
    }
}

#[tokio::test]
async fn two_that_opened_the_same_store_never_pass_a_cap_together() {
    const CAP: u64 = 500;
    let world = World::new().await;
    let stores = [world.open().await, world.open().await];
    let expires = world.in_days(2);
    let mut takers = JoinSet::new();
    for n in 0..40_u64 {
        let store = stores[usize::from(n % 2 == 0)].clone();
        takers.spawn(async move {
            let mut granted = 0;
            loop {
                let taken = store.take("day", CAP, 1 + n % 5, expires).await.unwrap();
                granted += taken.granted;
                if taken.granted == 0 {
                    return granted;
                }
            }
        });
    }
    assert_eq!(takers.join_all().await.iter().sum::<u64>(), CAP);
}

#[tokio::test]
async fn what_one_wrote_the_other_reads_and_must_know_to_overwrite() {
    let world = World::new().await;
    let (ours, theirs) = (world.open().await, world.open().await);
    assert_eq!(ours.put("stage", 0, b"1").await.unwrap(), Written::Yes(1));
    assert_eq!(
        theirs.put("stage", 0, b"2").await.unwrap(),
        Written::Conflict
    );
    let seen = theirs.get("stage").await.unwrap().unwrap();
    assert_eq!(
        theirs.put("stage", seen.version, b"2").await.unwrap(),
        Written::Yes(2)
    );
    assert_eq!(ours.delete("stage", 1).await.unwrap(), Written::Conflict);
    assert_eq!(ours.list("").await.unwrap()[0].1.value, b"2");
}

#[tokio::test]
async fn a_counter_lives_until_its_latest_expiry() {
    let world = World::new().await;
    let store = world.open().await;
    let left = async |key: &str| -> u64 { world.say(&["PTTL", &count_key(key)]).await };
    let day = 86_400_000;
    // The server's own time goes on meanwhile.
    let about = |life: u64, days: u64| (days * day - 60_000..=days * day).contains(&life);

    let _taken = store.take("a", 10, 1, world.in_days(2)).await.unwrap();
    assert!(about(left("a").await, 2));
    let _taken = store.take("a", 10, 1, world.in_days(1)).await.unwrap();
    assert!(about(left("a").await, 2), "it was shortened");
    store.give_back("a", 1).await.unwrap();
    assert!(about(left("a").await, 2), "it was shortened");
    store
        .add(&[("a".into(), 1), ("b".into(), 1)], world.in_days(3))
        .await
        .unwrap();
    assert!(about(left("a").await, 3) && about(left("b").await, 3));

    // However far ahead or behind the server's clock is.
    world.clock.advance(Span::days(400).0);
    let _taken = store.take("c", 10, 1, world.in_days(2)).await.unwrap();
    assert!(about(left("c").await, 2));
    let past = Timestamp::from_millis(5);
    let _taken = store.take("d", 10, 1, past).await.unwrap();
    assert_eq!(store.counts(&["d".to_owned()]).await.unwrap(), [1]);
    let never = Timestamp::from_millis(u64::MAX);
    let _taken = store.take("e", 10, 1, never).await.unwrap();
    assert!(left("e").await > 3_000 * day);
}

#[tokio::test]
async fn an_operator_can_read_what_is_there() {
    let world = World::new().await;
    let store = world.open().await;
    let _written = store.put("warmup/stage/ip-a", 0, b"{\"stage\":3}").await;
    let _taken = store.take("warmup/day/ip-a", 50, 7, world.in_days(2)).await;
    let mut keys: Vec<String> = world.say(&["KEYS", "*"]).await;
    keys.sort();
    assert_eq!(
        keys,
        [
            "mailwright:{state}:count:warmup/day/ip-a",
            "mailwright:{state}:format",
            "mailwright:{state}:names",
            "mailwright:{state}:value:warmup/stage/ip-a",
        ]
    );
    let value: Vec<String> = world.say(&["HVALS", &keys[3]]).await;
    assert_eq!(value, ["1", "{\"stage\":3}"]);
    assert_eq!(world.say::<String>(&["GET", &keys[0]]).await, "7");
}

#[tokio::test]
async fn what_is_not_ours_is_told_by_its_key_and_left_alone() {
    let world = World::new().await;
    let store = world.open().await;
    let _written = store.put("fine", 0, b"{}").await.unwrap();
    store
        .add(&[("fine".into(), 1)], world.in_days(1))
        .await
        .unwrap();
    let _: () = world.say(&["RPUSH", &value_key("list"), "x"]).await;
    let _: () = world.say(&["RPUSH", &count_key("list"), "x"]).await;
    let _: () = world.say(&["SET", &count_key("word"), "many"]).await;
    let _: () = world.say(&["SET", &count_key("minus"), "-1"]).await;
    let _: () = world
        .say(&["HSET", &value_key("bare"), "value", "{}"])
        .await;
    let _: () = world
        .say(&["HSET", &value_key("other"), "colour", "red"])
        .await;
    let _: () = world
        .say(&["HSET", &value_key("odd"), "version", "-3", "value", "{}"])
        .await;
    let damaged = |error: StoreError, key: &str| match error {
        StoreError::Damaged { key: named, why } => {
            assert_eq!(named, key, "{why}");
            assert!(!why.is_empty());
        }
        other => panic!("{key}: {other}"),
    };
    for key in ["list", "bare", "other", "odd"] {
        damaged(store.get(key).await.unwrap_err(), key);
        damaged(store.put(key, 0, b"{}").await.unwrap_err(), key);
        damaged(store.delete(key, 0).await.unwrap_err(), key);
    }
    for key in ["list", "word", "minus"] {
        let expires = world.in_days(1);
        damaged(store.take(key, 9, 1, expires).await.unwrap_err(), key);
        damaged(store.give_back(key, 1).await.unwrap_err(), key);
        let keys = ["fine".to_owned(), key.to_owned()];
        damaged(store.counts(&keys).await.unwrap_err(), key);
        let counts = keys.map(|key| (key, 1));
        damaged(store.add(&counts, expires).await.unwrap_err(), key);
    }
    assert_eq!(store.counts(&["fine".to_owned()]).await.unwrap(), [1]);
    assert_eq!(
        world.say::<String>(&["GET", &count_key("word")]).await,
        "many"
    );

    let _: () = world.say(&["ZADD", NAMES_KEY, "0", "list"]).await;
    damaged(store.list("").await.unwrap_err(), "list");
    let _: () = world.say(&["SET", NAMES_KEY, "x"]).await;
    damaged(store.list("").await.unwrap_err(), NAMES_KEY);
    damaged(store.put("fine", 1, b"2").await.unwrap_err(), NAMES_KEY);
    damaged(store.delete("fine", 1).await.unwrap_err(), NAMES_KEY);
    assert_eq!(store.get("fine").await.unwrap().unwrap().version, 1);
}

#[tokio::test]
async fn a_server_that_forgot_its_scripts_is_told_them_again() {
    let world = World::new().await;
    let store = world.open().await;
    let _written = store.put("a", 0, b"1").await.unwrap();
    let _: () = world.say(&["SCRIPT", "FLUSH"]).await;
    assert_eq!(store.put("a", 1, b"2").await.unwrap(), Written::Yes(2));
}

#[tokio::test]
async fn a_user_with_our_keys_only_is_enough() {
    let world = World::new().await;
    let user = [
        "ACL",
        "SETUSER",
        "mail",
        "on",
        ">hush",
        "~mailwright:{state}:*",
        "+@read",
        "+@write",
        "+@scripting",
        "+ping",
    ];
    let _: () = world.say(&user).await;
    let url = format!("redis://mail:hush@{}/0", world.server.address());
    let store = world.try_open(&url).await.unwrap();
    let _written = store.put("a", 0, b"1").await.unwrap();
    let _taken = store.take("b", 3, 3, world.in_days(1)).await.unwrap();
    store.give_back("b", 1).await.unwrap();
    store
        .add(&[("c".into(), 4)], world.in_days(1))
        .await
        .unwrap();
    let keys = ["b", "c"].map(str::to_owned);
    assert_eq!(store.counts(&keys).await.unwrap(), [2, 4]);
    assert_eq!(store.list("").await.unwrap().len(), 1);
    assert_eq!(store.delete("a", 1).await.unwrap(), Written::Yes(1));
    let place = format!("redis://{}/0", world.server.address());
    assert_eq!(store.place(), place);
}

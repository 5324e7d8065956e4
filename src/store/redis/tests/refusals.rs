//! What is not opened.

use super::World;
use crate::peers::redis::RedisServer;
use crate::store::redis::FORMAT_KEY;
use crate::store::{Config, OpenError, Store};
use std::net::{SocketAddr, TcpListener};

/// The refusal, which must name the place.
async fn refusal(world: &World, url: &str) -> OpenError {
    let refused = world.try_open(url).await.err().expect("it is refused");
    let place = world.server.address().to_string();
    assert!(refused.to_string().contains(&place), "{refused}");
    refused
}

#[tokio::test]
async fn a_server_that_is_not_there_is_refused_after_some_attempts() {
    let mut world = World::new().await;
    world.server.kill();
    let refused = refusal(&world, &world.server.url()).await;
    assert!(
        matches!(refused, OpenError::Unreachable { .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("start Redis"), "{refused}");
}

#[tokio::test]
async fn a_server_that_comes_up_a_little_later_is_waited_for() {
    let mut world = World::new().await;
    world.server.kill();
    let config = Config {
        url: world.server.url().into(),
        ca: None,
    };
    let dir = world.server.dir().to_owned();
    let opening = Store::open(&config, &dir, world.clock.clone());
    let (opened, started) = tokio::join!(opening, world.server.restart());
    started.unwrap();
    assert_eq!(opened.unwrap().get("a").await.unwrap(), None);
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_repeated() {
    let world = World::with(&["--requirepass", "right"]).await;
    let url = format!("redis://:hush@{}/0", world.server.address());
    let refused = refusal(&world, &url).await.to_string();
    assert!(!refused.contains("hush"), "{refused}");
    assert!(refused.to_lowercase().contains("password"), "{refused}");
    let none = refusal(&world, &world.server.url()).await.to_string();
    assert!(none.contains("NOAUTH"), "{none}");
}

#[tokio::test]
async fn a_store_of_a_later_version_is_refused() {
    let world = World::new().await;
    let _: () = world
        .say(&["HSET", FORMAT_KEY, "format", "2", "id", "x"])
        .await;
    let refused = refusal(&world, &world.server.url()).await;
    assert!(
        matches!(
            refused,
            OpenError::Later {
                found: 2,
                ours: 1,
                ..
            }
        ),
        "{refused}"
    );
}

#[tokio::test]
async fn something_else_under_our_name_is_refused_and_left_alone() {
    let world = World::new().await;
    for words in [
        &["SET", FORMAT_KEY, "1"][..],
        &["HSET", FORMAT_KEY, "colour", "red"],
        &["HSET", FORMAT_KEY, "format", "1"],
        &["HSET", FORMAT_KEY, "id", "x"],
        &["HSET", FORMAT_KEY, "id", "x", "format", "one"],
        &["HSET", FORMAT_KEY, "id", "x", "format", "0"],
    ] {
        let _: () = world.say(&["DEL", FORMAT_KEY]).await;
        let _: () = world.say(words).await;
        let before: Vec<u8> = world.say(&["DUMP", FORMAT_KEY]).await;
        let refused = refusal(&world, &world.server.url()).await;
        assert!(
            matches!(refused, OpenError::Foreign { .. }),
            "{words:?}: {refused}"
        );
        assert!(refused.to_string().contains(FORMAT_KEY), "{refused}");
        assert_eq!(world.say::<Vec<u8>>(&["DUMP", FORMAT_KEY]).await, before);
    }
}

#[tokio::test]
async fn a_server_that_may_throw_budgets_away_is_refused() {
    let world = World::with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]).await;
    let refused = refusal(&world, &world.server.url()).await;
    assert!(refused.to_string().contains("allkeys-lru"), "{refused}");
    let _: () = world
        .say(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])
        .await;
    world.open().await;
    let _: () = world
        .say(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"])
        .await;
    refusal(&world, &world.server.url()).await;
    let _: () = world.say(&["CONFIG", "SET", "maxmemory", "0"]).await;
    world.open().await;
}

#[tokio::test]
async fn a_certificate_is_verified_against_the_authorities_that_are_named() {
    let world = World::new().await;
    let address = with_tls(&world.server).await;
    let open = async |ca: Option<&str>| {
        let config = Config {
            url: format!("rediss://{address}/0").into(),
            ca: ca.map(|name| world.server.dir().join(name)),
        };
        world.try_open_as(&config).await
    };
    let store = open(Some("ca.pem")).await.unwrap();
    assert_eq!(store.place(), format!("rediss://{address}/0"));
    assert_eq!(store.get("a").await.unwrap(), None);
    for (ca, says) in [
        (None, "certificate"),
        (Some("other.pem"), "certificate"),
        (Some("missing.pem"), "missing.pem cannot be read"),
        (Some("key.pem"), "ca"),
    ] {
        let refused = open(ca).await.err().expect("it is refused").to_string();
        assert!(refused.contains(says), "{ca:?}: {refused}");
    }
}

/// Gives the server a second port with TLS, and puts `ca.pem` (its authority), `other.pem` and `key.pem` in its
/// directory.
async fn with_tls(server: &RedisServer) -> SocketAddr {
    let made = rcgen::generate_simple_self_signed([server.address().ip().to_string()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["other.test".to_owned()]).unwrap();
    let path = |name: &str| server.dir().join(name);
    std::fs::write(path("ca.pem"), made.cert.pem()).unwrap();
    std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(path("other.pem"), other.cert.pem()).unwrap();
    let free = TcpListener::bind((server.address().ip(), 0)).unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let client = ::redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut set = ::redis::cmd("CONFIG");
    set.arg("SET").arg("tls-auth-clients").arg("no");
    set.arg("tls-cert-file").arg(path("ca.pem").to_str());
    set.arg("tls-key-file").arg(path("key.pem").to_str());
    set.arg("tls-ca-cert-file").arg(path("ca.pem").to_str());
    set.arg("tls-port").arg(address.port());
    set.exec_async(&mut connection).await.unwrap();
    address
}

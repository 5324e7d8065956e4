mod fake;
pub(crate) mod sample;
mod traffic;

pub(crate) use fake::{Daemon, entry};

use super::*;
use crate::policy::Held;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A daemon behind a socket of its own, and how to ask it.
pub(crate) struct World {
    pub(crate) daemon: Arc<Daemon>,
    pub(crate) address: std::net::SocketAddr,
    stop: CancellationToken,
}

impl World {
    pub(crate) async fn new(daemon: Daemon, access: Access) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (daemon, stop) = (Arc::new(daemon), CancellationToken::new());
        tokio::spawn(serve(listener, daemon.clone(), access, stop.clone()));
        Self {
            daemon,
            address,
            stop,
        }
    }

    /// Sends `start` (request line and header lines) with `body`; gives status and body of the answer.
    async fn ask(&self, start: &str, body: &str) -> (u16, String) {
        let answer = self.answer(start, body).await;
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// The status line and the header lines of the answer.
    async fn head(&self, start: &str) -> String {
        let answer = self.answer(start, "").await;
        answer.split_once("\r\n\r\n").unwrap().0.to_owned()
    }

    async fn answer(&self, start: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let request =
            format!("{start}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost"), "")
            .await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let start =
            format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1:1\r\nContent-Type: application/json");
        let (status, text) = self.ask(&start, &body.to_string()).await;
        (status, serde_json::from_str(&text).unwrap())
    }
}

#[tokio::test]
async fn health_readiness_and_metrics_answer_plainly() {
    let world = World::new(Daemon::default(), Access::default()).await;
    assert_eq!(world.get("/healthz").await, (200, "ok\n".into()));
    assert_eq!(world.get("/readyz").await, (200, "ready\n".into()));
    assert_eq!(world.get("/metrics").await, (200, "# EOF\n".into()));
    let (status, body) = world.get("/nothing").await;
    assert_eq!((status, body.contains("error")), (404, true));
}

#[tokio::test]
async fn a_daemon_that_takes_no_mail_says_why() {
    let daemon = Daemon {
        unready: vec!["the spool is below its reserve".into()],
        ..Daemon::default()
    };
    let world = World::new(daemon, Access::default()).await;
    let (status, body) = world.get("/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("below its reserve"), "{body}");
    assert_eq!(world.get("/healthz").await.0, 200);
}

#[tokio::test]
async fn the_queue_is_listed_and_shown() {
    let world = World::new(Daemon::default(), Access::default()).await;
    let (status, body) = world.get("/api/v1/queue?domain=example.net&limit=7").await;
    assert_eq!(status, 200);
    assert_eq!(
        serde_json::from_str::<Vec<QueueEntry>>(&body).unwrap(),
        [entry()]
    );
    assert_eq!(*world.daemon.told.lock(), ["list Some(\"example.net\") 7"]);
    let (status, body) = world.get("/api/v1/queue/0000000000001").await;
    assert_eq!(status, 200);
    let shown: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        shown[0]["waits"],
        json!({"held_by": "operator", "why": "looks odd"})
    );
    assert_eq!(world.get("/api/v1/queue/0000000000002").await.0, 404);
    assert_eq!(world.get("/api/v1/queue/nonsense").await.0, 400);
    assert_eq!(world.get("/api/v1/queue?id=nonsense").await.0, 400);
    assert_eq!(world.get("/api/v1/queue?colour=red").await.0, 400);
}

#[tokio::test]
async fn actions_name_what_they_are_for() {
    let world = World::new(Daemon::default(), Access::default()).await;
    let order = json!({"select": {"tenant": "acme"}, "why": "too fast"});
    let (status, body) = world.post("/api/v1/queue/hold", order).await;
    assert_eq!((status, body), (200, json!({"count": 3})));
    let (status, _) = world.post("/api/v1/queue/drop", json!({"all": true})).await;
    assert_eq!(status, 200);
    assert_eq!(
        *world.daemon.told.lock(),
        ["Hold Some(\"acme\") too fast", "Drop None "]
    );
}

#[tokio::test]
async fn an_order_is_json_whatever_its_content_type_says() {
    let world = World::new(Daemon::default(), Access::default()).await;
    for (kind, body, status, says) in [
        (
            "application/x-www-form-urlencoded",
            "{\"all\": true}",
            200,
            "3",
        ),
        ("text/plain", "{\"select\": {\"tenant\": \"a\"}}", 200, "3"),
        (
            "application/x-www-form-urlencoded",
            "all=true",
            400,
            "curl --json",
        ),
        ("application/json", "", 400, "the body is no JSON"),
        (
            "application/json",
            "{\"al\": true}",
            422,
            "{\"error\":\"unknown field `al`",
        ),
    ] {
        let path = "/api/v1/queue/retry";
        let start = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}");
        let (found, text) = world.ask(&start, body).await;
        assert!(
            found == status && text.contains(says),
            "{body}: {found} {text}"
        );
    }
    let (_, text) = world.get("/api/v1/queue?colour=red").await;
    assert!(
        text.starts_with("{\"error\":\"colour: unknown field `colour`"),
        "{text}"
    );
}

#[tokio::test]
async fn a_list_of_thousands_comes_in_one_order_and_no_other_order_is_as_large() {
    let w = World::new(Daemon::default(), Access::default()).await;
    let one = json!({ "address": "ann@example.net", "note": "n".repeat(500) });
    let order = |entries| json!({ "entries": vec![one.clone(); entries] });
    let (status, answer) = w.post("/api/v1/suppressions/add", order(5_000)).await;
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = w.post("/api/v1/suppressions/remove", order(130)).await;
    assert_eq!(status, 413, "{answer}");
}

#[tokio::test]
async fn a_listing_says_how_much_more_there_is() {
    let daemon = Daemon {
        waiting: Some(386),
        ..Daemon::default()
    };
    let world = World::new(daemon, Access::default()).await;
    for (query, more, total) in [
        ("", true, Some("x-total-count: 386")),
        ("?tenant=a", true, None),
        ("?limit=1000", false, Some("x-total-count: 386")),
    ] {
        let start = format!("GET /api/v1/queue{query} HTTP/1.1\r\nHost: localhost");
        let head = world.head(&start).await;
        assert_eq!(head.contains("x-more: yes"), more, "{query}: {head}");
        assert_eq!(head.contains("x-total-count"), total.is_some(), "{head}");
        assert!(total.is_none_or(|total| head.contains(total)), "{head}");
    }
}

#[tokio::test]
async fn an_order_for_nothing_in_particular_does_nothing() {
    let world = World::new(Daemon::default(), Access::default()).await;
    for (order, status) in [
        (json!({}), 400),
        (json!({"select": {}}), 400),
        (json!({"select": {"tenant": "acme"}, "all": true}), 400),
        (json!({"select": {"tennant": "acme"}}), 422),
        (json!({"select": {"id": "x"}}), 400),
    ] {
        let (found, body) = world.post("/api/v1/queue/drop", order.clone()).await;
        assert_eq!(found, status, "{order}: {body}");
        assert!(body["error"].is_string(), "{body}");
    }
    let (status, _) = world.post("/api/v1/queue/burn", json!({"all": true})).await;
    assert_eq!(status, 404);
    assert!(world.daemon.told.lock().is_empty());
}

#[tokio::test]
async fn a_reload_tells_what_needs_a_restart_or_what_is_wrong() {
    let world = World::new(Daemon::default(), Access::default()).await;
    let (status, body) = world.post("/api/v1/reload", json!({})).await;
    assert_eq!(
        (status, body),
        (200, json!({"restart_needed": ["data_dir"]}))
    );
    let broken = Daemon {
        broken: true,
        ..Daemon::default()
    };
    let world = World::new(broken, Access::default()).await;
    let (status, body) = world.post("/api/v1/reload", json!({})).await;
    assert_eq!(status, 422);
    assert!(body["error"].as_str().unwrap().contains("hostname"));
}

#[tokio::test]
async fn a_web_page_cannot_reach_a_daemon_without_tokens() {
    let world = World::new(Daemon::default(), Access::default()).await;
    for headers in [
        "Host: localhost\r\nOrigin: https://evil.example",
        "Host: rebound.evil.example:8025",
        "Host: localhost.evil.example",
    ] {
        let start = format!("POST /api/v1/reload HTTP/1.1\r\n{headers}");
        assert_eq!(world.ask(&start, "{}").await.0, 401, "{headers}");
    }
    let start = "POST /api/v1/reload HTTP/1.1\r\nHost: [::1]:8025";
    assert_eq!(world.ask(start, "{}").await.0, 200);
}

#[tokio::test]
async fn with_tokens_only_their_holders_get_in() {
    let dir = tempfile::tempdir().unwrap();
    let access = Access::load(&token_file(dir.path(), "# ours\nfirst\n\nsecond\n", 0o600)).unwrap();
    assert_eq!(access.any_token(), Some("first"));
    assert!(!format!("{access:?}").contains("first"));
    let world = World::new(Daemon::default(), access).await;
    for (header, status) in [
        ("X: y", 401),
        ("Authorization: Bearer third", 401),
        ("Authorization: Bearer ", 401),
        ("Authorization: Bearer # ours", 401),
        ("Authorization: Basic second", 401),
        ("Authorization: Bearer second", 200),
    ] {
        let start = format!("GET /metrics HTTP/1.1\r\nHost: mta.example\r\n{header}");
        assert_eq!(world.ask(&start, "").await.0, status, "{header}");
    }
    assert_eq!(world.get("/healthz").await.0, 200);
}

fn token_file(dir: &std::path::Path, text: &str, mode: u32) -> Config {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join("tokens");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    Config {
        tokens: Some(format!("file:{}", path.display())),
        ..Config::default()
    }
}

#[test]
fn tokens_that_others_can_read_or_that_are_not_there_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let open = Access::load(&token_file(dir.path(), "x\n", 0o644)).unwrap_err();
    assert!(open.to_string().contains("chmod 0600"));
    let empty = Access::load(&token_file(dir.path(), "# none\n", 0o600)).unwrap_err();
    assert!(matches!(empty, TokenError::Empty(_)));
    let config = Config {
        tokens: Some("env:MAILWRIGHT_TEST_NO_SUCH_VARIABLE".into()),
        ..Config::default()
    };
    assert!(matches!(
        Access::load(&config),
        Err(TokenError::Variable(_))
    ));
}

#[tokio::test]
async fn serving_ends_when_it_is_stopped() {
    let world = World::new(Daemon::default(), Access::default()).await;
    assert_eq!(world.get("/healthz").await.0, 200);
    world.stop.cancel();
    while TcpStream::connect(world.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn requests_that_never_end_do_not_hold_up_the_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let daemon = Arc::new(Daemon::default());
    let serving = tokio::spawn(serve(listener, daemon, Access::default(), stop.clone()));
    let mut open = Vec::new();
    for begun in [
        "GET / HTTP/1.1\r\nHost:",
        "POST /api/v1/queue/hold HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        open.push(stream);
    }
    // One that is answered came in behind them: they have been taken.
    let mut last = TcpStream::connect(address).await.unwrap();
    let whole = b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n";
    last.write_all(whole).await.unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).await.unwrap();
    stop.cancel();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), serving).await;
    ended.expect("waits for its clients").unwrap();
}

#[tokio::test]
async fn every_error_is_json() {
    let world = World::new(Daemon::default(), Access::default()).await;
    for (start, status) in [
        ("GET /api/v1/queue/%FF HTTP/1.1\r\nHost: localhost", 400),
        ("DELETE /api/v1/queue HTTP/1.1\r\nHost: localhost", 405),
        ("GET /api/v1/none HTTP/1.1\r\nHost: localhost", 404),
    ] {
        let (code, body) = world.ask(start, "").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert!(
            code == status && body["error"].is_string(),
            "{start}: {code} {body}"
        );
    }
    let start = "POST /api/v1/reload HTTP/1.1\r\nHost: localhost";
    let (code, body) = world.ask(start, &"x".repeat(70_000)).await;
    assert!(code == 413 && body.contains("error"), "{code} {body}");
}

#[tokio::test]
async fn a_message_is_examined_as_it_is_and_a_large_one_is_taken_too() {
    let world = World::new(Daemon::default(), Access::default()).await;
    let post = "POST /api/v1/lint?stream=transactional HTTP/1.1\r\nHost: localhost";
    let message = format!("From: a@b.example\r\n\r\n{}", "x\r\n".repeat(100_000));
    let (status, body) = world.ask(post, &message).await;
    let linted: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &linted["blocked"]), (200, &json!(false)));
    assert!(
        linted["findings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|f| f["id"] == "L02")
    );
    let told = format!("lint {} octets as Some(Transactional)", message.len());
    assert_eq!(*world.daemon.told.lock(), [told]);

    let (status, body) = world.ask(post, "").await;
    assert_eq!(
        (status, body.contains("--data-binary")),
        (400, true),
        "{body}"
    );
    let from_a_page = format!("{post}\r\nOrigin: https://evil.test");
    assert_eq!(world.ask(&from_a_page, &message).await.0, 401);
}

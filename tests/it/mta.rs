//! A whole Mailwright inside the test, on the world's clock.

use crate::http;
use crate::internet::World;
use crate::journal::{Event, Journal, PATIENCE};
use crate::settings::overlay;
use crate::talk::Talk;
use mailwright::app::{App, Bound, Setup};
use mailwright::config::Config;
use mailwright::dns::Resolver;
use mailwright::units::Timestamp;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub struct Mta {
    pub smtp: SocketAddr,
    pub journal: Journal,
    pub dir: PathBuf,
    http: SocketAddr,
    inbound: Option<SocketAddr>,
    page: Option<SocketAddr>,
    world: World,
    keys: String,
    sent: AtomicUsize,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Drop for Mta {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Mta {
    /// Builds and starts a daemon in `dir`; `keys` are laid over those that bind it to `world`.
    pub async fn start(world: World, dir: PathBuf, keys: &str) -> Mta {
        std::fs::create_dir_all(&dir).expect("a directory");
        let mut bound = Bound {
            smtp: vec![listen()],
            http: listen(),
            unsubscribe: None,
        };
        // Stories of what comes back say so by their keys.
        let (mut inbound, mut page) = (None, None);
        if keys.contains("[inbound]") {
            let (socket, of_page) = (listen(), listen());
            inbound = socket.local_addr().ok();
            page = of_page.local_addr().ok();
            bound.smtp.push(socket);
            bound.unsubscribe = Some(of_page);
        }
        let local = |socket: &TcpListener| socket.local_addr().expect("a bound socket");
        let (smtp, http) = (local(&bound.smtp[0]), local(&bound.http));
        let stop = CancellationToken::new();
        let mut mta = Mta {
            smtp,
            journal: Journal(dir.join("data/events")),
            http,
            inbound,
            page,
            world,
            dir,
            keys: keys.to_owned(),
            sent: AtomicUsize::new(0),
            stop: stop.clone(),
            running: tokio::spawn(async {}),
        };
        std::fs::write(mta.file(), mta.settings(keys)).expect("a file");
        let config = Config::load(Some(&mta.file())).unwrap_or_else(|e| panic!("{e}"));
        let clock = mta.world.clock.clone();
        let setup = Setup {
            resolver: Resolver::new(&config.dns, clock.clone()).expect("a resolver"),
            config,
            file: Some(mta.file()),
            bound,
            clock,
            sinks: Vec::new(),
        };
        let app = tokio::task::spawn_blocking(move || App::build_with(setup)).await;
        let app = app.expect("no panic").unwrap_or_else(|e| panic!("{e}"));
        mta.running = tokio::spawn(async move {
            app.run(stop).await.expect("a clean end");
        });
        mta
    }

    pub fn file(&self) -> PathBuf {
        self.dir.join("mailwright.toml")
    }

    fn settings(&self, keys: &str) -> String {
        let World { dns, port, ca, .. } = &self.world;
        let base = format!(
            "hostname = \"mta.test\"\ndata_dir = \"{}\"\n[dns]\nnameservers = [\"{dns}\"]\n\
             [http]\naddress = \"{}\"\n[[listener]]\naddress = \"{}\"\nrole = \"submission\"\ntls = \"starttls\"\n\
             relay_from = [\"127.0.0.0/8\"]\n[delivery]\nport = {port}\nallow_loopback = true\n\
             [tls]\nca_file = \"{}\"\n[spool]\nsegment_size = \"4MiB\"\nready_segments = 2\n",
            self.dir.join("data").display(),
            self.http,
            self.smtp,
            ca.display()
        );
        overlay(&(base + &self.returning()), keys)
    }

    /// The part of the settings that takes what comes back.
    fn returning(&self) -> String {
        let (Some(inbound), Some(page)) = (self.inbound, self.page) else {
            return String::new();
        };
        format!(
            "[[listener]]\naddress = \"{inbound}\"\nrole = \"inbound\"\ntls = \"off\"\n\
             [return_path]\ndomain = \"bounce.test\"\n[feedback]\naddress = \"fbl@bounce.test\"\n\
             [unsubscribe]\naddress = \"{page}\"\nurl = \"https://u.shop.test\"\nmailto_domain = \"bounce.test\"\n"
        )
    }

    /// Where what comes back goes to.
    pub fn inbound(&self) -> SocketAddr {
        self.inbound.expect("keys with [inbound]")
    }

    /// The public page.
    pub fn page(&self) -> SocketAddr {
        self.page.expect("keys with [inbound]")
    }

    /// Hands in a message of its own to these recipients; it must be accepted. Gives its id.
    pub async fn inject(&self, from: &str, to: &[&str]) -> String {
        let text = "From: <s@shop.test>\r\nSubject: hello\r\n\r\nHello.\r\n";
        self.inject_text(from, to, text).await
    }

    /// Hands in `message`, with a Message-ID added; gives its id.
    pub async fn inject_text(&self, from: &str, to: &[&str], message: &str) -> String {
        let number = self.sent.fetch_add(1, Relaxed);
        let message = format!("Message-ID: <story-{number}@test>\r\n{message}");
        let mut talk = Talk::open(self.smtp).await;
        let reply = talk.submit(from, to, &message).await;
        assert!(reply.starts_with("250"), "{reply}");
        id_in(&reply)
    }

    /// Hands in a message to one recipient with more header fields, each of them a line; gives its id.
    pub async fn inject_as(&self, fields: &str, to: &str) -> String {
        self.inject_text("s@shop.test", &[to], &labelled(fields))
            .await
    }

    /// As [`Mta::inject_as`] for each of these, one after another over one connection; in no event before the last.
    pub async fn inject_all(&self, fields: &str, to: &[String]) -> Vec<String> {
        let mut talk = Talk::open(self.smtp).await;
        let mut ids = Vec::new();
        for to in to {
            let number = self.sent.fetch_add(1, Relaxed);
            let text = format!("Message-ID: <story-{number}@test>\r\n{}", labelled(fields));
            let reply = talk.submit_at_once("s@shop.test", to, &text).await;
            assert!(reply.starts_with("250"), "{reply}");
            ids.push(id_in(&reply));
        }
        ids
    }

    /// The reply that refuses a message with these header fields.
    pub async fn refusal(&self, fields: &str, to: &str) -> String {
        let mut talk = Talk::open(self.smtp).await;
        let reply = talk.submit("s@shop.test", &[to], &labelled(fields)).await;
        assert!(reply.starts_with(['4', '5']), "{reply}");
        reply
    }

    /// The reply that refuses this recipient.
    pub async fn refused(&self, to: &str) -> String {
        let mut talk = Talk::open(self.smtp).await;
        talk.say("MAIL FROM:<s@shop.test>").await;
        let reply = talk.say(&format!("RCPT TO:<{to}>")).await;
        assert!(reply.starts_with(['4', '5']), "{reply}");
        reply
    }

    /// What waits, once something does and `held_by` holds all of it.
    pub async fn all_held_by(&self, held_by: &str) -> Vec<Value> {
        self.all(held_by, |entry| entry["waits"]["held_by"] == held_by)
            .await
    }

    /// What waits, once something does and `wanted` is so for all of it.
    pub async fn all(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let started = Instant::now();
        loop {
            let entries = self.get("/api/v1/queue?limit=10000").await;
            let Value::Array(entries) = entries else {
                panic!("no list: {entries}")
            };
            if !entries.is_empty() && entries.iter().all(&wanted) {
                return entries;
            }
            assert!(started.elapsed() < PATIENCE, "not all {what}: {entries:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until nothing is in the queue any more.
    pub async fn empty(&self) {
        let started = Instant::now();
        loop {
            let left = self.get("/api/v1/queue?limit=10000").await;
            if left.as_array().is_some_and(Vec::is_empty) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "still there: {left:#}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until all that is in the queue waits for a later time or for somebody; gives it.
    pub async fn at_rest(&self) -> Vec<Value> {
        let started = Instant::now();
        loop {
            let entries = self.get("/api/v1/queue?limit=10000").await;
            let entries = entries.as_array().expect("a list");
            let now = self.world.clock.now();
            match entries.iter().find(|entry| !rests(entry, now)) {
                None => return entries.clone(),
                Some(entry) => assert!(started.elapsed() < PATIENCE, "no rest for {entry}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits for what becomes of `recipient`, moving the clock on at every deferral.
    pub async fn outcome(&self, recipient: &str) -> Event {
        for attempt in 1.. {
            let what = format!("outcome {attempt} for {recipient}");
            let settled = |e: &Event| {
                e.recipient() == recipient && (e.is_terminal() || e.kind() == "deferred")
            };
            let event = self.journal.nth(attempt, &what, settled).await;
            if event.is_terminal() {
                return event;
            }
            let now = self.world.clock.now();
            self.world.clock.advance(event.until().since(now));
        }
        unreachable!("the loop ends at an outcome")
    }

    /// Waits for the first deferral of `recipient`.
    pub async fn deferral(&self, recipient: &str) -> Event {
        self.journal.first("deferred", recipient).await
    }

    /// Message id and recipient of everything that waits.
    pub async fn queue(&self) -> Vec<(String, String)> {
        let entries = self.get("/api/v1/queue?limit=10000").await;
        let entries = entries.as_array().expect("a list");
        let pairs = entries.iter().flat_map(|entry| {
            let id = entry["id"].as_str().unwrap_or_default();
            let recipients = entry["recipients"].as_array().expect("a list");
            let waiting = recipients.iter().filter(|r| r["state"] != "done");
            waiting.map(move |r| {
                (
                    id.to_owned(),
                    r["address"].as_str().unwrap_or_default().to_owned(),
                )
            })
        });
        pairs.collect()
    }

    /// The queue entry of a message, once there is one that `wanted` holds for.
    pub async fn entry(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let entries = self.get("/api/v1/queue?limit=10000").await;
            let entries = entries.as_array().expect("a list");
            if let Some(entry) = entries.iter().find(|e| e["id"] == id && wanted(e)) {
                return entry.clone();
            }
            assert!(
                started.elapsed() < PATIENCE,
                "no such entry of {id}: {entries:?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until `/metrics` has this line.
    pub async fn until_metric(&self, line: &str) {
        let started = Instant::now();
        loop {
            let (_, metrics) = self.request("GET", "/metrics", &Value::Null).await;
            if metrics.lines().any(|l| l == line) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "no {line} in {metrics}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.request("GET", path, &Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}"))
    }

    /// `retry`, `hold`, `release` or `drop` for one message; gives to how many it was done.
    pub async fn order(&self, action: &str, id: &str) -> u64 {
        let order = json!({ "select": { "id": id }, "why": "the story wants it" });
        let path = format!("/api/v1/queue/{action}");
        let (status, body) = self.request("POST", &path, &order).await;
        assert_eq!(status, 200, "{path}: {body}");
        let done: Value = serde_json::from_str(&body).expect("JSON");
        done["count"].as_u64().expect("a count")
    }

    /// Writes other keys into the configuration file and reloads; gives status and body.
    pub async fn reload(&self, keys: &str) -> (u16, String) {
        std::fs::write(self.file(), self.settings(keys)).expect("a file");
        self.request("POST", "/api/v1/reload", &Value::Null).await
    }

    pub async fn request(&self, method: &str, path: &str, body: &Value) -> (u16, String) {
        http::request(self.http, method, path, body)
            .await
            .expect("a running daemon")
    }

    /// Stops it cleanly and starts it again on the same directory.
    pub async fn restart(self) -> Mta {
        let keys = self.keys.clone();
        self.restart_with(&keys).await
    }

    /// The same with other keys.
    pub async fn restart_with(self, keys: &str) -> Mta {
        let (world, dir) = (self.world.clone(), self.dir.clone());
        self.stop().await;
        Mta::start(world, dir, keys).await
    }

    /// The same in another world, such as one whose clock shows another time.
    pub async fn restart_in(self, world: World) -> Mta {
        let (dir, keys) = (self.dir.clone(), self.keys.clone());
        self.stop().await;
        Mta::start(world, dir, &keys).await
    }

    /// Stops it cleanly.
    pub async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.running).await.expect("no panic");
    }
}

/// Nothing happens to the queue entry before the clock moves or somebody does something.
fn rests(entry: &Value, now: Timestamp) -> bool {
    let until = serde_json::from_value::<Timestamp>(entry["until"].clone());
    match entry["state"].as_str() {
        Some("scheduled") => until.is_ok_and(|until| until > now),
        Some("ready") => {
            let held_by = entry["waits"]["held_by"].as_str();
            matches!(
                held_by,
                Some("warmup" | "suspended" | "state" | "send_window" | "reputation")
            ) || (held_by == Some("slowed") && until.is_ok_and(|until| until > now))
        }
        state => state == Some("held"),
    }
}

fn listen() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port")
}

fn labelled(fields: &str) -> String {
    format!("{fields}From: <s@shop.test>\r\nSubject: hello\r\n\r\nHello.\r\n")
}

/// The message id in an accepting reply.
fn id_in(reply: &str) -> String {
    let words = reply.split(|c: char| !c.is_ascii_alphanumeric());
    let mut ids = words.filter(|w| w.parse::<mailwright::mail::MessageId>().is_ok());
    ids.next()
        .unwrap_or_else(|| panic!("no id in {reply}"))
        .to_owned()
}

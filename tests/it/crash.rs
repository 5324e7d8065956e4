//! Killed at any moment under load, the daemon loses nothing that it acknowledged.
//!
//! The load generator keeps a ledger of what it was told; the sink keeps what arrived; the event log says what the
//! daemon believes. The three must agree however often the daemon was killed.

use crate::daemon::Daemon;
use crate::journal::{Event, Journal, PATIENCE};
use mailwright::peers::load::{self, LoadConfig};
use mailwright::peers::sink::{Keep, Message, Sink, SinkConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Kills in the suite; `MAILWRIGHT_CRASH_ROUNDS` asks for more.
const ROUNDS: u32 = 50;
/// A round lasts up to this from when the daemon is ready.
const LONGEST: Duration = Duration::from_millis(700);

/// What the generator was told, by id.
#[derive(Default)]
struct Ledger {
    /// The final dot was about to be sent.
    sent: BTreeSet<String>,
    /// 250 was read.
    acknowledged: BTreeSet<String>,
}

impl Ledger {
    fn read(path: &Path) -> Ledger {
        let text = std::fs::read_to_string(path).expect("a ledger");
        let of = |what: &str| {
            let ids = text.lines().filter_map(|line| line.strip_prefix(what));
            ids.map(str::to_owned).collect()
        };
        Ledger {
            sent: of("dot "),
            acknowledged: of("250 "),
        }
    }
}

/// Copies that arrived, by id and recipient.
type Arrivals = BTreeMap<(String, Box<str>), usize>;

fn arrivals(messages: &[Arc<Message>]) -> Arrivals {
    let mut arrived = Arrivals::new();
    for message in messages {
        let id = message.header("X-Load-Id").expect("mail of the generator");
        for recipient in &message.recipients {
            *arrived.entry((id.clone(), recipient.clone())).or_default() += 1;
        }
    }
    arrived
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_a_kill_and_repeats_are_marked() {
    let rounds = match std::env::var("MAILWRIGHT_CRASH_ROUNDS") {
        Ok(text) => text.parse().expect("MAILWRIGHT_CRASH_ROUNDS is a number"),
        Err(_) => ROUNDS,
    };
    let dir = tempfile::tempdir().expect("a directory");
    // Slow answers at the dot, so that kills hit the moment between dot and reply; some are put off.
    let sink = sink(&[
        "DOT p=0.05 after=30ms pass",
        "RCPT p=0.02 451 4.3.0 not now",
    ])
    .await;
    let mut daemon = Daemon::new(dir.path(), &keys(&sink));
    let path = dir.path().join("ledger");
    for round in 0..rounds {
        daemon.start().await;
        let stop = CancellationToken::new();
        let load = tokio::spawn(load::run(load_of(&daemon, &path, round), stop.clone()));
        let life = LONGEST.mul_f64(rand::random_range(0.02..1.0));
        tokio::time::sleep(life).await;
        daemon.kill();
        stop.cancel();
        let _report = load.await.expect("no panic").expect("a ledger");
    }
    sink.set_rules(Vec::new());
    daemon.start().await;
    let ledger = Ledger::read(&path);
    assert!(
        !ledger.acknowledged.is_empty(),
        "no message was ever acknowledged"
    );
    drained(&daemon, &sink, &ledger).await;
    assert!(daemon.terminate().await.success());
    judge(&ledger, &arrivals(&sink.messages()), &daemon.journal());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_stop_under_load_loses_nothing_and_repeats_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let sink = sink(&["DOT p=0.2 after=20ms pass"]).await;
    let mut daemon = Daemon::new(dir.path(), &keys(&sink));
    let path = dir.path().join("ledger");
    for round in 0..5 {
        daemon.start().await;
        let stop = CancellationToken::new();
        let load = tokio::spawn(load::run(load_of(&daemon, &path, round), stop.clone()));
        sink.until(|t| t.messages > 50 * u64::from(round + 1)).await;
        assert!(daemon.terminate().await.success());
        stop.cancel();
        let _report = load.await.expect("no panic").expect("a ledger");
    }
    daemon.start().await;
    let ledger = Ledger::read(&path);
    drained(&daemon, &sink, &ledger).await;
    assert!(daemon.terminate().await.success());
    let arrived = arrivals(&sink.messages());
    judge(&ledger, &arrived, &daemon.journal());
    let repeated: Vec<_> = arrived.iter().filter(|(_, times)| **times > 1).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
}

async fn sink(rules: &[&str]) -> Sink {
    let rules = rules.iter().map(|r| Arc::new(r.parse().expect("a rule")));
    let config = SinkConfig {
        keep: Keep::Memory,
        rules: rules.collect(),
        ..SinkConfig::default()
    };
    Sink::bind(config).await.expect("a free port")
}

fn keys(sink: &Sink) -> String {
    format!(
        "[[route]]\ndomain = \"*\"\nnext_hop = [\"{}\"]\ntls = \"off\"\nallow_loopback = true\n\
         [retry]\nfirst = \"1s\"\nfactor = 1.0\nmax = \"1s\"\n[delivery]\nsite_backoff = \"1s\"\n\
         [events]\nrotate_size = \"256KiB\"\n",
        sink.address()
    )
}

fn load_of(daemon: &Daemon, ledger: &Path, round: u32) -> LoadConfig {
    LoadConfig {
        to: daemon.smtp.to_string().into(),
        sessions: 8,
        messages: None,
        duration: None,
        size: 2048,
        recipients: 2,
        domains: 5,
        // Enough to keep the disk busy, so little that the queue drains between kills.
        rate: Some(400.0),
        ledger: Some(ledger.to_owned()),
        run: format!("r{round}").into(),
        ..LoadConfig::default()
    }
}

/// Waits until nothing waits in the daemon and everything acknowledged has arrived.
async fn drained(daemon: &Daemon, sink: &Sink, ledger: &Ledger) {
    let started = Instant::now();
    loop {
        let arrived: BTreeSet<_> = arrivals(&sink.messages())
            .into_keys()
            .map(|(id, _)| id)
            .collect();
        let missing = ledger.acknowledged.difference(&arrived).count();
        let waiting = daemon.waiting().await;
        if waiting == 0 && missing == 0 {
            return;
        }
        let late = started.elapsed() > PATIENCE;
        let examples: Vec<_> = ledger.acknowledged.difference(&arrived).take(5).collect();
        assert!(
            !late,
            "{missing} acknowledged messages missing, such as {examples:?}; {waiting} wait"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn judge(ledger: &Ledger, arrived: &Arrivals, journal: &Journal) {
    let ids: BTreeSet<&String> = arrived.keys().map(|(id, _)| id).collect();
    for id in &ledger.acknowledged {
        let copies = arrived.keys().filter(|(arrived, _)| arrived == id).count();
        assert_eq!(copies, 2, "{id} was acknowledged for two recipients");
    }
    for id in ids {
        assert!(
            ledger.sent.contains(id),
            "{id} arrived and was never sent whole"
        );
    }
    let events = journal.events();
    let marked: BTreeSet<&str> = events
        .iter()
        .filter(|e| e.kind() == "delivered" && e.is_possible_duplicate())
        .map(Event::recipient)
        .collect();
    // A recipient is one message's alone: its address holds the id.
    for ((id, recipient), times) in arrived.iter().filter(|(_, times)| **times > 1) {
        assert!(
            marked.contains(&**recipient),
            "{id} came {times} times to {recipient}, unmarked"
        );
    }
    one_each("accepted", &events, arrived, |event| {
        event.kind() == "accepted"
    });
    one_each("terminal", &events, arrived, Event::is_terminal);
    let repeats = arrived.values().filter(|times| **times > 1).count();
    println!(
        "{} acknowledged, {} arrived, {repeats} repeated, {} marked as possible duplicates",
        ledger.acknowledged.len(),
        arrived.len(),
        marked.len()
    );
}

/// Every recipient that was reached, and no other, has one event of this kind.
fn one_each(what: &str, events: &[Event], arrived: &Arrivals, of: impl Fn(&Event) -> bool) {
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    for event in events.iter().filter(|event| of(event)) {
        *told.entry(event.recipient()).or_default() += 1;
    }
    let recipients = arrived.keys().map(|(_, recipient)| &**recipient);
    let wrong: Vec<_> = recipients
        .map(|recipient| (recipient, told.get(recipient).copied().unwrap_or(0)))
        .filter(|(_, times)| *times != 1)
        .collect();
    assert!(wrong.is_empty(), "{what} events other than one: {wrong:?}");
    assert_eq!(
        told.len(),
        arrived.len(),
        "as many {what} events as recipients that were reached"
    );
}

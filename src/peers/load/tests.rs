//! The generator against sinks.

use super::*;
use crate::peers::sink::{Keep, Sink, SinkConfig};
use std::collections::BTreeSet;

async fn sink(rules: &[&str]) -> Sink {
    let rules = rules.iter().map(|r| Arc::new(r.parse().unwrap()));
    let config = SinkConfig {
        keep: Keep::Memory,
        rules: rules.collect(),
        ..SinkConfig::default()
    };
    Sink::bind(config).await.unwrap()
}

fn load(sink: &Sink, messages: u64) -> LoadConfig {
    LoadConfig {
        to: sink.address().to_string().into(),
        sessions: 3,
        messages: Some(messages),
        size: 1000,
        ..LoadConfig::default()
    }
}

#[tokio::test]
async fn every_message_arrives_once_with_its_own_id_and_is_in_the_ledger() {
    let sink = sink(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let config = LoadConfig {
        ledger: Some(dir.path().join("ledger")),
        per_connection: Some(4),
        recipients: 2,
        ..load(&sink, 20)
    };
    let report = run(config, CancellationToken::new()).await.unwrap();
    assert_eq!(
        (report.accepted, report.recipients, report.failed),
        (20, 40, 0)
    );
    let messages = sink.messages();
    let ids: BTreeSet<_> = messages
        .iter()
        .filter_map(|m| m.header("X-Load-Id"))
        .collect();
    assert_eq!((messages.len(), ids.len()), (20, 20));
    assert!(sink.totals().connections >= 5, "{:?}", sink.totals());
    let ledger = std::fs::read_to_string(dir.path().join("ledger")).unwrap();
    let of = |what: &str| -> BTreeSet<String> {
        let lines = ledger.lines().filter_map(|l| l.strip_prefix(what));
        lines.map(|id| id.trim().to_owned()).collect()
    };
    assert_eq!((of("dot "), of("250 ")), (ids.clone(), ids));
}

#[tokio::test]
async fn failures_are_counted_by_what_was_said_and_the_session_goes_on() {
    let sink = sink(&[
        "RCPT first=2 452 4.2.2 mailbox full",
        "DOT first=1 close",
        "MAIL first=1 421 4.3.2 going down",
    ])
    .await;
    let config = LoadConfig {
        sessions: 1,
        ..load(&sink, 10)
    };
    let report = run(config, CancellationToken::new()).await.unwrap();
    assert_eq!((report.accepted, report.failed), (6, 4));
    assert_eq!(
        report.failures.get("RCPT: 452 4.2.2 mailbox full"),
        Some(&2)
    );
    assert_eq!(report.failures.get("MAIL: 421 4.3.2 going down"), Some(&1));
    assert_eq!(report.failures.get(".: connection closed"), Some(&1));
}

#[tokio::test]
async fn a_server_without_pipelining_gets_one_command_at_a_time() {
    let config = SinkConfig {
        extensions: Vec::new(),
        ..SinkConfig::default()
    };
    let sink = Sink::bind(config).await.unwrap();
    let report = run(load(&sink, 5), CancellationToken::new()).await.unwrap();
    assert_eq!(report.accepted, 5);
}

#[tokio::test]
async fn open_loop_latency_counts_from_when_a_message_was_due() {
    let started = Instant::now();
    let pace = Pace {
        started,
        started_at: SystemTime::now(),
        end: Some(started + Duration::from_millis(40)),
        rate: Some(100.0),
        limit: u64::MAX,
        next: AtomicU64::new(0),
    };
    let mut lateness = Vec::new();
    while let Some((_, due)) = pace.next().await {
        // The server takes 30 ms for each message, the plan is one every 10.
        tokio::time::sleep(Duration::from_millis(30)).await;
        lateness.push(due.elapsed().as_millis());
    }
    assert_eq!(
        lateness.len(),
        4,
        "what was due within 40 ms is sent, however late"
    );
    for (late, at_least) in lateness.iter().zip([30, 50, 70, 90]) {
        assert!(*late >= at_least, "{lateness:?}");
    }
}

#[test]
fn percentiles_tell_how_long_the_answers_took() {
    let mut tally = Tally::new();
    (1..=1000).for_each(|ms| tally.accept(1, Duration::from_millis(ms)));
    let report = tally.report(Duration::from_secs(2));
    let l = report.latency_ms;
    for (told, is) in [
        (l.p50, 500.0),
        (l.p90, 900.0),
        (l.p99, 990.0),
        (l.p999, 999.0),
        (l.max, 1000.0),
    ] {
        assert!((told - is).abs() <= is / 1000.0, "{report}");
    }
    assert_eq!((report.accepted, report.accepted_per_s), (1000, 500.0));
}

#[tokio::test]
async fn a_rate_so_low_that_nothing_more_comes_due_ends_the_run() {
    let sink = sink(&[]).await;
    let config = LoadConfig {
        rate: Some(f64::MIN_POSITIVE),
        ..load(&sink, 2)
    };
    let report = run(config, CancellationToken::new()).await.unwrap();
    assert_eq!((report.accepted, report.failed), (1, 0));
}

#[tokio::test]
async fn a_dead_server_is_a_failure_in_the_report() {
    let gone = sink(&[]).await.address();
    let config = LoadConfig {
        to: gone.to_string().into(),
        sessions: 1,
        messages: Some(2),
        ..LoadConfig::default()
    };
    let report = run(config, CancellationToken::new()).await.unwrap();
    assert_eq!((report.accepted, report.failed), (0, 2));
}

#[tokio::test]
async fn starttls_and_auth_come_before_the_mail() {
    let sink = Sink::bind(SinkConfig {
        keep: Keep::Memory,
        tls: Some(crate::peers::sink::self_signed("sink.test").unwrap()),
        ..SinkConfig::default()
    });
    let sink = sink.await.unwrap();
    let config = LoadConfig {
        starttls: true,
        auth: Some(("user".into(), "secret".into())),
        ..load(&sink, 3)
    };
    let report = run(config, CancellationToken::new()).await.unwrap();
    assert_eq!((report.accepted, report.failed), (3, 0), "{report}");
    assert!(sink.messages().iter().all(|m| m.tls == Some("TLSv1.3")));
    let commands = sink.commands();
    let auth = commands.iter().find(|(_, line)| line.starts_with("AUTH"));
    assert_eq!(&*auth.unwrap().1, "AUTH PLAIN AHVzZXIAc2VjcmV0");
}

#[tokio::test]
async fn messages_say_when_they_were_due_and_the_sink_times_each() {
    let sink = Sink::bind(SinkConfig {
        transit: true,
        keep: Keep::Memory,
        ..SinkConfig::default()
    });
    let sink = sink.await.unwrap();
    let config = LoadConfig {
        sessions: 1,
        rate: Some(1000.0),
        ..load(&sink, 5)
    };
    let report = run(config, CancellationToken::new()).await.unwrap();
    assert_eq!(report.accepted, 5);
    assert_eq!(sink.transit().0, 5);
    let messages = sink.messages();
    let due: Vec<u64> = messages
        .iter()
        .map(|message| message.header("X-Load-Due").unwrap().parse().unwrap())
        .collect();
    // The plan, in microseconds, not when each was sent.
    assert!(
        due.iter().zip(0..).all(|(at, n)| at - due[0] == 1000 * n),
        "{due:?}"
    );
}

//! The spool as the daemon uses it: drafts, checksums, index, zeroing of new segments in the background.

use crate::harness::{Latencies, MESSAGE, PRODUCERS, histogram, incompressible};
use mailwright::clock::Clock;
use mailwright::mail::{BodyType, Disposition, Envelope, Recipient, Reply};
use mailwright::spool::{Commit, Config, Mark, Meta, Spool};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Taken in, then delivered: two syncs a message.
pub fn whole_life(dir: &Path, span: Duration) -> Latencies {
    ours(dir, span, Config::default(), true)
}

/// Only taken in.
pub fn accept_only(dir: &Path, span: Duration) -> Latencies {
    ours(dir, span, Config::default(), false)
}

/// Only taken in, and not synced.
pub fn unsynced(dir: &Path, span: Duration) -> Latencies {
    let config = Config {
        sync: false,
        ..Config::default()
    };
    ours(dir, span, config, false)
}

fn ours(dir: &Path, span: Duration, config: Config, deliver: bool) -> Latencies {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let (spool, _) =
            Spool::open(dir, config, Clock::machine(), |_| ()).expect("the spool opens");
        let end = Instant::now() + span;
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|_| tokio::spawn(produce(spool.clone(), end, deliver)))
            .collect();
        let mut all = histogram();
        for producer in producers {
            all.add(producer.await.expect("a producer ends"))
                .expect("same bounds");
        }
        spool.close().await.expect("the spool closes");
        all
    })
}

async fn produce(spool: Spool, end: Instant, deliver: bool) -> Latencies {
    let mut latencies = histogram();
    let body = incompressible(MESSAGE - 500);
    while Instant::now() < end {
        let start = Instant::now();
        let id = spool.next_id();
        let mut draft = spool.draft();
        draft.write(&body).await.expect("the body is taken");
        let message = Commit {
            meta: meta(id),
            head: vec![b'h'; 500],
            body: draft,
        };
        spool.commit(message).await.expect("the message is taken");
        latencies.saturating_record(start.elapsed().as_micros() as u64);
        if deliver {
            let mark = Mark {
                id,
                at: Clock::machine().now(),
                outcomes: vec![(
                    0,
                    1,
                    Disposition::Delivered(Reply::said(250, None, "2.0.0 queued", ".")),
                )],
            };
            spool.mark(mark).await.expect("the outcome is taken");
        }
    }
    latencies
}

fn meta(id: mailwright::mail::MessageId) -> Arc<Meta> {
    let recipient = "recipient@example.net".parse().expect("an address");
    Arc::new(Meta {
        id,
        envelope: Envelope {
            sender: Some("bounces@example.com".parse().expect("an address")),
            recipients: vec![Recipient::new(recipient)],
            body: BodyType::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
        },
        labels: Arc::default(),
        received: Clock::machine().now(),
        send_at: None,
        expires: None,
        eight_bit_header: false,
        eight_bit_body: false,
    })
}

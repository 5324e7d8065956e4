//! How a new address earns its reputation, as the servers of others see it: how much comes to them from it in a day.

mod budget;
mod engagement;
mod oracle;
mod overflow;
mod ramp;
mod shared;

use crate::internet::{Internet, Mx, START};
use crate::journal::{Event, PATIENCE};
use crate::mta::Mta;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// One sending day after the other.
const DAY: Duration = Duration::from_secs(86_400);

/// Patience with the disk is not what these stories are about.
const QUICK: &str = "[spool]\nsync = false\n";

/// How many recipients got mail from `address` there.
fn count(mx: &Mx, address: IpAddr) -> u64 {
    let messages = mx.messages();
    let from = messages
        .iter()
        .filter(|message| message.peer.ip() == address);
    from.map(|message| message.recipients.len() as u64).sum()
}

/// `n` mailboxes at `domain` that nobody had before, in the order of their names.
fn mailboxes(name: &str, n: u64, domain: &str) -> Vec<String> {
    (0..n).map(|i| format!("{name}-{i:04}@{domain}")).collect()
}

/// Waits until `condition` holds.
async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What has been decided so far about `source` to `provider`.
fn decisions(mta: &Mta, source: &str, provider: &str) -> Vec<Event> {
    let mut events = mta.journal.events();
    events.retain(|e| is_about(e, source, provider));
    events
}

fn is_about(event: &Event, source: &str, provider: &str) -> bool {
    let (of, to) = (event.text("source"), event.text("provider"));
    event.kind() == "warmup" && of == source && to == provider
}

/// Where `source` to `provider` is.
async fn position(mta: &Mta, source: &str, provider: &str) -> Value {
    let path = format!("/api/v1/warmup?source={source}&provider={provider}");
    mta.get(&path).await[0].clone()
}

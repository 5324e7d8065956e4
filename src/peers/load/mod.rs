//! A load generator: many sessions that hand in mail, measured honestly.
//!
//! Closed loop (no rate): every session sends its next message when the last one was answered. Open loop (a rate):
//! message *n* is due at *n*/rate whatever the server does, and its latency counts from that instant, so that a
//! server which stalls cannot hide the messages it kept from being sent (coordinated omission).
//!
//! Every message has an id of its own in `X-Load-Id` and Message-ID, and says in `X-Load-Due` when it was due, from
//! which a [`super::sink`] on the same machine tells how long it was on its way. With a [`LoadConfig::ledger`] the fate
//! of each is on record: `dot ID` before its final dot is sent, `250 ID` once its 250 was read. After a crash of either
//! side an id with both lines must arrive, one with `dot` alone may, one with neither must not.

mod command;
mod session;

pub use command::{Args, run as run_command};

use super::latency::{Latency, Recorder};
use crate::tls::{self, client::ClientTls};
use serde::Serialize;
use session::Worker;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What to send, how fast, for how long.
#[derive(Debug, Clone)]
pub struct LoadConfig {
    /// `host:port`.
    pub to: Box<str>,
    /// Connections at once.
    pub sessions: usize,
    /// Stop after so many messages; `None` is no limit.
    pub messages: Option<u64>,
    /// Send nothing that is due later than this; `None` is no limit.
    pub duration: Option<Duration>,
    /// Octets of a message, about.
    pub size: u64,
    /// Messages a second, open loop; `None` is closed loop.
    pub rate: Option<f64>,
    /// Messages on one connection; `None` is no limit.
    pub per_connection: Option<u64>,
    /// Recipients of a message.
    pub recipients: usize,
    /// Recipient domains, `d0.load.example` and on, taken in turn.
    pub domains: u64,
    pub from: Box<str>,
    /// Header fields of every message, each with its line end.
    pub fields: String,
    /// Insist on TLS, with any certificate.
    pub starttls: bool,
    /// User and password for AUTH PLAIN.
    pub auth: Option<(Box<str>, Box<str>)>,
    /// Where the fate of every message is appended.
    pub ledger: Option<PathBuf>,
    /// What ids begin with; must differ between runs that are counted together.
    pub run: Box<str>,
}

impl Default for LoadConfig {
    fn default() -> Self {
        Self {
            to: "127.0.0.1:2525".into(),
            sessions: 50,
            messages: Some(10_000),
            duration: None,
            size: 10 * 1024,
            rate: None,
            per_connection: None,
            recipients: 1,
            domains: 100,
            from: "load@load.example".into(),
            fields: String::new(),
            starttls: false,
            auth: None,
            ledger: None,
            run: format!("{:08x}", rand::random::<u32>()).into(),
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[must_use]
pub struct Report {
    /// Messages answered with 250.
    pub accepted: u64,
    /// Recipients accepted within them.
    pub recipients: u64,
    /// Messages that were not.
    pub failed: u64,
    pub elapsed_s: f64,
    pub accepted_per_s: f64,
    /// Of accepted messages, from when each was due to its 250.
    pub latency_ms: Latency,
    /// What was said or what happened, and how often; the first [`MAX_KINDS`] different ones.
    pub failures: BTreeMap<String, u64>,
}

/// Different failures that a report tells apart; the rest is counted as `other`.
pub const MAX_KINDS: usize = 64;

/// Sends until the messages or the time are used up, or `stop`.
///
/// # Errors
/// The ledger cannot be opened. A server that cannot be reached is in the report.
pub async fn run(config: LoadConfig, stop: CancellationToken) -> io::Result<Report> {
    let started = Instant::now();
    let sessions = config.sessions.max(1);
    let job = Arc::new(Job::new(config, started)?);
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..sessions {
        let (job, stop) = (job.clone(), stop.clone());
        workers.spawn(async move {
            let mut tally = Tally::new();
            stop.run_until_cancelled(Worker::new(&job).run(&mut tally))
                .await;
            tally
        });
    }
    let mut total = Tally::new();
    while let Some(finished) = workers.join_next().await {
        total.add(finished.map_err(io::Error::other)?);
    }
    Ok(total.report(started.elapsed()))
}

/// What all sessions of a run share.
struct Job {
    config: LoadConfig,
    pace: Pace,
    body: Vec<u8>,
    ledger: Option<File>,
    tls: Option<ClientTls>,
}

impl Job {
    fn new(config: LoadConfig, started: Instant) -> io::Result<Self> {
        let ledger = match &config.ledger {
            Some(path) => Some(File::options().create(true).append(true).open(path)?),
            None => None,
        };
        Ok(Self {
            pace: Pace {
                started,
                started_at: SystemTime::now(),
                end: config.duration.map(|span| started + span),
                rate: config.rate.filter(|r| *r > 0.0),
                limit: config.messages.unwrap_or(u64::MAX),
                next: AtomicU64::new(0),
            },
            body: body(config.size),
            ledger,
            tls: match config.starttls {
                true => Some(ClientTls::new(&tls::client::Config::default())?),
                false => None,
            },
            config,
        })
    }

    /// The instant a message was due, by the clock that the sink reads.
    fn due_at(&self, due: Instant) -> SystemTime {
        self.pace.started_at + due.saturating_duration_since(self.pace.started)
    }

    fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.config.run)
    }

    /// One line, one write: lines of many sessions do not mix, and a kill leaves no half buffer.
    fn note(&self, what: &str, id: &str) -> io::Result<()> {
        match &self.ledger {
            Some(file) => (&*file).write_all(format!("{what} {id}\n").as_bytes()),
            None => Ok(()),
        }
    }
}

/// Lines of random letters and digits, so that nothing compresses them and none begins with a dot.
fn body(size: u64) -> Vec<u8> {
    const LINE: u64 = 78;
    const HEADER: u64 = 330;
    let lines = size.saturating_sub(HEADER).div_ceil(LINE).max(1);
    let letter = || {
        let at = rand::random_range(0..LETTERS.len());
        LETTERS[at]
    };
    let mut body = Vec::new();
    for _ in 0..lines {
        body.extend(std::iter::repeat_with(letter).take(LINE as usize - 2));
        body.extend_from_slice(b"\r\n");
    }
    body
}

const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Hands out message numbers and the instants they are due.
struct Pace {
    started: Instant,
    /// `started` by the clock that others can read.
    started_at: SystemTime,
    end: Option<Instant>,
    rate: Option<f64>,
    limit: u64,
    next: AtomicU64,
}

impl Pace {
    /// Waits until the next message is due; `None` when the run is over, or the rate so low that no clock gets there.
    async fn next(&self) -> Option<(u64, Instant)> {
        let number = self.next.fetch_add(1, Relaxed);
        if number >= self.limit {
            return None;
        }
        let due = match self.rate {
            Some(rate) => {
                let after = Duration::try_from_secs_f64(number as f64 / rate).ok()?;
                self.started.checked_add(after)?
            }
            None => Instant::now(),
        };
        if self.end.is_some_and(|end| due >= end) {
            return None;
        }
        tokio::time::sleep_until(due).await;
        Some((number, due))
    }
}

/// What one session, or all of them, have seen.
struct Tally {
    accepted: u64,
    recipients: u64,
    failures: BTreeMap<String, u64>,
    latency: Recorder,
}

impl Tally {
    fn new() -> Self {
        Self {
            accepted: 0,
            recipients: 0,
            failures: BTreeMap::new(),
            latency: Recorder::default(),
        }
    }

    fn accept(&mut self, recipients: u64, latency: Duration) {
        self.accepted += 1;
        self.recipients += recipients;
        self.latency.record(latency);
    }

    fn fail(&mut self, what: String, times: u64) {
        let known = self.failures.contains_key(&what) || self.failures.len() < MAX_KINDS;
        let key = if known { what } else { "other".to_owned() };
        *self.failures.entry(key).or_default() += times;
    }

    fn add(&mut self, other: Tally) {
        self.accepted += other.accepted;
        self.recipients += other.recipients;
        for (what, times) in other.failures {
            self.fail(what, times);
        }
        self.latency.add(&other.latency);
    }

    fn report(self, elapsed: Duration) -> Report {
        let seconds = elapsed.as_secs_f64();
        Report {
            accepted: self.accepted,
            recipients: self.recipients,
            failed: self.failures.values().sum(),
            elapsed_s: seconds,
            accepted_per_s: self.accepted as f64 / seconds.max(f64::MIN_POSITIVE),
            latency_ms: self.latency.latency(),
            failures: self.failures,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "accepted    {} messages, {} recipients in {:.1} s: {:.0} messages/s",
            self.accepted, self.recipients, self.elapsed_s, self.accepted_per_s
        )?;
        writeln!(f, "latency ms  {}", self.latency_ms)?;
        write!(f, "failed      {}", self.failed)?;
        for (what, times) in &self.failures {
            write!(f, "\n{times:>11} {what}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

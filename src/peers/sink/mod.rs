//! An SMTP server that takes everything and answers what its script says: the receiver of tests and benchmarks.
//!
//! A [`Sink`] serves any number of connections until it is dropped. Per message it costs one search for the end of
//! data and a handful of counters; what it keeps beyond that is chosen by [`Keep`].

mod command;
mod content;
mod session;
#[cfg(test)]
mod tests;

pub use command::{Args, run as run_command, self_signed};

use super::latency::{Latency, Recorder};
use super::script::Rule;
use super::stamp;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::Serialize;
use session::Session;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Where in a session a rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The greeting.
    Connect,
    /// EHLO and HELO.
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// The end of data: the message is whole.
    Dot,
    Rset,
    Quit,
}

impl FromStr for Stage {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text.to_ascii_uppercase().as_str() {
            "CONNECT" => Self::Connect,
            "EHLO" => Self::Ehlo,
            "STARTTLS" => Self::StartTls,
            "AUTH" => Self::Auth,
            "MAIL" => Self::Mail,
            "RCPT" => Self::Rcpt,
            "DATA" => Self::Data,
            "DOT" | "." => Self::Dot,
            "RSET" => Self::Rset,
            "QUIT" => Self::Quit,
            _ => return Err(()),
        })
    }
}

/// What becomes of a message that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Keep {
    /// Counted and forgotten.
    #[default]
    Counts,
    /// Held in memory, with every command line; read by [`Sink::messages`] and [`Sink::commands`].
    Memory,
    /// `N.eml` as received and `N.json` with its envelope, in this directory.
    Directory(PathBuf),
}

/// Which octets end a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EndOfData {
    /// CRLF.CRLF alone (RFC 5321 §4.1.1.4).
    #[default]
    Strict,
    /// As the careless servers have it that made SMTP smuggling possible: any mix of CR and LF around the dot.
    Lax,
}

/// How a sink is set up. The default takes everything at once on a free port of `127.0.0.1`.
#[derive(Clone)]
pub struct SinkConfig {
    pub listen: SocketAddr,
    /// Its name in the greeting and in EHLO.
    pub hostname: Box<str>,
    /// EHLO keywords with their parameters. STARTTLS is added where `tls` is set, LIMITS where `rcpt_max` is.
    pub extensions: Vec<Box<str>>,
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Recipients of one transaction; later ones get 452 (RFC 5321 §4.5.3.1.10).
    pub rcpt_max: Option<usize>,
    pub rules: Vec<Arc<Rule>>,
    /// Waited before each batch of answers: a round trip.
    pub latency: Duration,
    pub keep: Keep,
    pub end_of_data: EndOfData,
    /// Record how long messages of [`super::load`] were on their way; read by [`Sink::transit`].
    pub transit: bool,
}

impl Default for SinkConfig {
    fn default() -> Self {
        let extensions = [
            "PIPELINING",
            "SIZE 104857600",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
            "DSN",
        ];
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            hostname: "sink.invalid".into(),
            extensions: extensions.map(Box::from).to_vec(),
            tls: None,
            rcpt_max: None,
            rules: Vec::new(),
            latency: Duration::ZERO,
            keep: Keep::Counts,
            end_of_data: EndOfData::Strict,
            transit: false,
        }
    }
}

/// A message as the sink took it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Counted from 1 over the sink's life; messages of one connection share it.
    pub connection: u64,
    pub peer: SocketAddr,
    pub helo: Box<str>,
    /// `TLSv1.3` and its like; `None` in clear.
    pub tls: Option<&'static str>,
    /// Empty is the null sender.
    pub sender: Box<str>,
    /// What stood behind the path in MAIL.
    pub parameters: Box<str>,
    pub recipients: Vec<Box<str>>,
    /// Octets as sent, without dot stuffing and end of data.
    #[serde(skip)]
    pub content: Box<[u8]>,
}

impl Message {
    /// The value of the first header field of this name, unfolded; `None` where there is none.
    pub fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.content);
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        unfolded.split("\r\n").find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    }
}

/// What a sink has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    pub connections: u64,
    /// Connections open now.
    pub open: u64,
    /// Messages taken: answered with 2xx, or whole when the script cut the connection.
    pub messages: u64,
    /// Recipients of those messages.
    pub recipients: u64,
    /// Octets of their content.
    pub octets: u64,
    /// Commands and messages that were answered with 4xx or 5xx.
    pub refused: u64,
}

/// A running sink. It stops, and closes its connections, when it is dropped.
pub struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Sink {
    /// Listens at `config.listen` and serves in tasks of its own.
    pub async fn bind(config: SinkConfig) -> io::Result<Sink> {
        let listener = TcpListener::bind(config.listen).await?;
        if let Keep::Directory(dir) = &config.keep {
            tokio::fs::create_dir_all(dir).await?;
        }
        let sink = Sink {
            address: listener.local_addr()?,
            shared: Arc::new(Shared::new(config)),
            stop: CancellationToken::new(),
        };
        tokio::spawn(accept(listener, sink.shared.clone(), sink.stop.clone()));
        Ok(sink)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Replaces the script; sessions that are open follow it from their next command on.
    pub fn set_rules(&self, rules: Vec<Arc<Rule>>) {
        self.shared.rules.store(Arc::new(rules));
        self.shared.changed.notify_waiters();
    }

    /// Adds a rule behind those there are; the first that applies answers.
    pub fn add_rule(&self, rule: Rule) {
        let rule = Arc::new(rule);
        self.shared.rules.rcu(|rules| {
            let mut rules = Vec::clone(rules);
            rules.push(rule.clone());
            rules
        });
        self.shared.changed.notify_waiters();
    }

    pub fn totals(&self) -> Totals {
        self.shared.counts.totals()
    }

    /// Messages that say when they were due, and the time from then to the arrival of each one's end of data here.
    /// Those that claim to be due later, or more than a day ago, are left out.
    pub fn transit(&self) -> (u64, Latency) {
        let transit = self.shared.transit.lock();
        (transit.count(), transit.latency())
    }

    /// The messages kept in memory, in the order taken.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.shared.journal.lock().messages.clone()
    }

    /// Command lines in the order received over all connections, with the number of the connection.
    pub fn commands(&self) -> Vec<(u64, Box<str>)> {
        self.shared.journal.lock().commands.clone()
    }

    /// Returns once `condition` holds; asks again after every connection, message and refusal.
    pub async fn until(&self, condition: impl Fn(&Totals) -> bool) -> Totals {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let totals = self.totals();
            if condition(&totals) {
                return totals;
            }
            changed.await;
        }
    }
}

/// What all sessions of a sink share.
struct Shared {
    config: SinkConfig,
    rules: ArcSwap<Vec<Arc<Rule>>>,
    counts: Counts,
    journal: Mutex<Journal>,
    transit: Mutex<Recorder>,
    changed: Notify,
}

#[derive(Default)]
struct Journal {
    messages: Vec<Arc<Message>>,
    commands: Vec<(u64, Box<str>)>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    open: AtomicU64,
    messages: AtomicU64,
    recipients: AtomicU64,
    octets: AtomicU64,
    refused: AtomicU64,
    /// Number of the last file written.
    file: AtomicU64,
}

impl Counts {
    fn totals(&self) -> Totals {
        Totals {
            connections: self.connections.load(Relaxed),
            open: self.open.load(Relaxed),
            messages: self.messages.load(Relaxed),
            recipients: self.recipients.load(Relaxed),
            octets: self.octets.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }
}

impl Shared {
    fn new(config: SinkConfig) -> Self {
        Self {
            rules: ArcSwap::from_pointee(config.rules.clone()),
            config,
            counts: Counts::default(),
            journal: Mutex::default(),
            transit: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Returns once the script is another than now.
    async fn another_script(&self) {
        let before = self.rules.load_full();
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !Arc::ptr_eq(&before, &self.rules.load_full()) {
                return;
            }
            changed.await;
        }
    }

    /// Records how long a message with a stamp was on its way, now that its end of data is here.
    fn arrived(&self, content: &[u8]) {
        if !self.config.transit {
            return;
        }
        if let Some(transit) = stamp::transit(content, SystemTime::now()) {
            self.transit.lock().record(transit);
        }
    }

    /// Counts a message that was taken and keeps it as configured.
    async fn take(&self, message: Message) -> io::Result<()> {
        let recipients = message.recipients.len() as u64;
        let octets = message.content.len() as u64;
        match &self.config.keep {
            Keep::Counts => {}
            Keep::Memory => self.journal.lock().messages.push(Arc::new(message)),
            Keep::Directory(dir) => self.write(dir, &message).await?,
        }
        self.counts.recipients.fetch_add(recipients, Relaxed);
        self.counts.octets.fetch_add(octets, Relaxed);
        self.counts.messages.fetch_add(1, Relaxed);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Two files under the next free number; files of an earlier run stay.
    async fn write(&self, dir: &std::path::Path, message: &Message) -> io::Result<()> {
        let envelope = serde_json::to_vec(message)?;
        loop {
            let number = self.counts.file.fetch_add(1, Relaxed) + 1;
            let mut open = tokio::fs::OpenOptions::new();
            let path = dir.join(format!("{number}.json"));
            match open.write(true).create_new(true).open(&path).await {
                Ok(_ours) => {
                    tokio::fs::write(dir.join(format!("{number}.eml")), &message.content).await?;
                    return tokio::fs::write(path, &envelope).await;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((socket, peer)) = accepted else {
            // Out of file descriptors: those in use will be given back.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let number = shared.counts.connections.fetch_add(1, Relaxed) + 1;
        shared.counts.open.fetch_add(1, Relaxed);
        shared.changed.notify_waiters();
        let session = Session::new(socket, peer, number, shared.clone());
        let stop = stop.clone();
        tokio::spawn(async move {
            // How a session ended is the client's concern; what it brought is counted already.
            let _ended = stop.run_until_cancelled(session.run()).await;
        });
    }
}

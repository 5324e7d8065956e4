//! When a day is over: who wants to be told of it, and telling them.
//!
//! Whoever is told is noted in the store first, and the note taken back where telling failed: a crash between the two
//! loses a report rather than sending it twice.

use super::config::Config;
use super::document::Document;
use super::message;
use super::record::{Destination, destinations};
use super::tally::{COUNTS, Counts, Tally, read};
use crate::auth::dkim::Signers;
use crate::clock::Clock;
use crate::dns::DnsFailure;
use crate::events::{Event, Events};
use crate::intake::Intake;
use crate::mail::{Address, Labels, Stream, TlsWish};
use crate::reports::period::Day;
use crate::store::{Store, StoreError, Versioned, Written};
use crate::tls::https::Https;
use crate::units::{Live, Timestamp};
use axum::body::Body;
use hickory_resolver::proto::rr::RecordType;
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often counts are written down: so much is lost in a crash.
const EVERY: Duration = Duration::from_secs(600);
/// How long after a day's end its reports begin: other nodes have written their counts by then.
const SETTLES: Duration = Duration::from_secs(1200);
/// When what could not be told is tried again.
const AGAIN: Duration = Duration::from_secs(3600);
/// How long after its day a report is given up.
const GIVEN_UP: u32 = 2;
/// How long it is remembered who was told.
const REMEMBERED: u32 = 7;
/// How long a server may take for a report.
const PATIENCE: Duration = Duration::from_secs(60);
/// Octets of an answer that are read.
const MOST_ANSWERED: usize = 64 << 10;
/// Of the keys of notes in the store.
const SENT: &str = "tlsrpt/sent/";

/// What reports are sent with.
pub struct Parts {
    pub config: Live<Config>,
    pub tally: Tally,
    pub store: Store,
    pub clock: Clock,
    pub https: Https,
    pub intake: Arc<Intake>,
    pub signers: Live<Signers>,
    pub events: Events,
}

/// Sends the reports.
pub struct Daily(Parts);

/// Who has the report of a domain and a day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sent(Vec<String>);

/// The note as it is in the store.
struct Note {
    key: String,
    version: u64,
    sent: Sent,
}

/// Who has been told of a domain and a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    All,
    /// Some were noted before. Another node may be at it, and fail: it needs the counts until they are given up.
    Noted,
    /// Somebody is to be told later.
    Left,
}

/// Counts of a domain and a day that is over.
struct Due {
    key: String,
    version: u64,
    day: Day,
    domain: String,
    counts: Counts,
}

impl Daily {
    pub fn new(parts: Parts) -> Self {
        Self(parts)
    }

    /// Writes counts down and sends reports until `stop`; writes the last counts then.
    pub async fn run(&self, stop: CancellationToken) {
        let sending = stop.run_until_cancelled(self.send_daily());
        let writing = stop.run_until_cancelled(self.write_down());
        tokio::join!(sending, writing);
        self.0.tally.flush().await;
    }

    /// Whoever is slow to take a report keeps no counts from the store.
    async fn write_down(&self) {
        loop {
            self.0.clock.sleep(EVERY).await;
            self.0.tally.flush().await;
        }
    }

    async fn send_daily(&self) {
        let mut next = self.begins(self.today());
        loop {
            self.0.clock.sleep_until(next).await;
            self.0.tally.flush().await;
            next = self.send_due().await;
        }
    }

    fn today(&self) -> Day {
        Day::of(self.0.clock.now().as_secs())
    }

    /// When the reports of the day before `day` begin.
    fn begins(&self, day: Day) -> Timestamp {
        let midnight = Timestamp::from_millis(day.start().saturating_mul(1000));
        let spread = self.0.config.load().spread.0;
        midnight + SETTLES + spread.mul_f64(rand::random())
    }

    /// Sends what is due, and says when to look again.
    async fn send_due(&self) -> Timestamp {
        let (config, now) = (self.0.config.load_full(), self.0.clock.now());
        let begun = self.today();
        let done = match config.sender().filter(|_| config.is_on()) {
            Some(from) => self.send_all(&config, &from).await,
            None => Ok(true),
        };
        match done {
            Ok(true) => self.begins(Day(begun.0.saturating_add(1))),
            Ok(false) => now + AGAIN,
            Err(error) => {
                tracing::warn!(%error, "TLS reports wait: their counts cannot be read or written");
                now + EVERY
            }
        }
    }

    /// `false`: something is left to be tried again.
    async fn send_all(&self, config: &Config, from: &Address) -> Result<bool, StoreError> {
        let today = self.today();
        let mut done = true;
        for (key, value) in self.0.store.list(COUNTS).await? {
            let Some(due) = Due::of(key, &value).filter(|due| due.day < today) else {
                continue;
            };
            let told = self.send(config, from, &due).await?;
            if told == Told::All || today.0.saturating_sub(due.day.0) > GIVEN_UP {
                // Counts that a node has added meanwhile stay, and are told nobody.
                let (Written::Yes(_) | Written::Conflict) =
                    self.0.store.delete(&due.key, due.version).await?;
            }
            done &= told != Told::Left;
        }
        self.forget(today).await?;
        Ok(done)
    }

    /// Tells everybody whom the domain names and who has not been told.
    async fn send(&self, config: &Config, from: &Address, due: &Due) -> Result<Told, StoreError> {
        let destinations = match self.destinations(&due.domain).await {
            Ok(destinations) => destinations,
            Err(error) => {
                tracing::info!(domain = %due.domain, %error, "whether TLS reports are wanted is not known");
                return Ok(Told::Left);
            }
        };
        let report = Document {
            config,
            submitter: from.domain(),
            domain: &due.domain,
            day: due.day,
            counts: &due.counts,
        };
        let mut note = self.note(due).await?;
        let mut all = Told::All;
        for (uri, to) in destinations {
            if note.sent.0.contains(&uri) {
                all = all.max(Told::Noted);
                continue;
            }
            note.sent.0.push(uri.clone());
            if !self.write(&mut note).await? {
                // Another node is at it.
                return Ok(Told::Left);
            }
            let told = self.tell(&report, from, &to).await;
            self.emit(&report, &uri, &told);
            if told.is_err() {
                note.sent.0.retain(|told| *told != uri);
                self.write(&mut note).await?;
                all = Told::Left;
            }
        }
        Ok(all)
    }

    async fn destinations(&self, domain: &str) -> Result<Vec<(String, Destination)>, DnsFailure> {
        let name = format!("_smtp._tls.{domain}");
        match self.0.https.resolver.records(&name, RecordType::TXT).await {
            Ok(records) => Ok(destinations(records.texts())),
            Err(failure @ DnsFailure::Temporary(_)) => Err(failure),
            Err(_) => Ok(Vec::new()),
        }
    }

    /// What there is to say, of whom it was told or why not.
    fn emit(&self, report: &Document<'_>, uri: &str, told: &Result<(), String>) {
        let id = report.id();
        let (reason, why) = match told {
            Ok(()) => ("report-sent", format!("the TLS report {id} went to {uri}")),
            Err(why) => (
                "report-failed",
                format!("the TLS report {id} could not be given to {uri}: {why}"),
            ),
        };
        self.0.events.emit(&Event::Tls {
            domain: Some(report.domain.into()),
            host: None,
            reason,
            until: None,
            why,
        });
    }

    async fn tell(
        &self,
        report: &Document<'_>,
        from: &Address,
        to: &Destination,
    ) -> Result<(), String> {
        let packed = report.packed().map_err(|error| error.to_string())?;
        match to {
            Destination::Mail(to) => self.mail(report, &packed, from, to).await,
            Destination::Https { host, port, path } => self.post((host, *port), path, packed).await,
        }
    }

    async fn mail(
        &self,
        report: &Document<'_>,
        packed: &[u8],
        from: &Address,
        to: &Address,
    ) -> Result<(), String> {
        // RFC 8460 §3: a report that is not signed is nobody's.
        if !self.0.signers.load().concern(from.domain()) {
            let domain = from.domain();
            return Err(format!(
                "no [[dkim]] key signs for {domain}: add one, or change [reports.tls] from"
            ));
        }
        let envelope = message::envelope(from.clone(), to.clone());
        let content = message::message(report, packed, from, to);
        let labels = Labels {
            stream: Some(Stream::Transactional),
            tls: TlsWish::Waives,
            ..Labels::default()
        };
        let taken = self.0.intake.submit(envelope, &content, labels).await;
        taken.map(|_id| ()).map_err(|reply| reply.to_string())
    }

    async fn post(&self, to: (&str, u16), path: &str, packed: Vec<u8>) -> Result<(), String> {
        let request = Request::post(path)
            .header(CONTENT_TYPE, "application/tlsrpt+gzip")
            .body(Body::from(packed))
            .map_err(|error| error.to_string())?;
        let asked = self.0.https.ask(to, request, MOST_ANSWERED);
        let answered = tokio::time::timeout(PATIENCE, asked).await;
        let (parts, _) = answered
            .map_err(|_late| format!("no answer within {PATIENCE:?}"))?
            .map_err(|error| error.to_string())?;
        match parts.status.is_success() {
            true => Ok(()),
            false => Err(format!("it answered {}", parts.status)),
        }
    }

    async fn note(&self, due: &Due) -> Result<Note, StoreError> {
        let key = format!("{SENT}{}/{}", due.day, due.domain);
        let there = self.0.store.get(&key).await?;
        let sent = there
            .as_ref()
            .map(|there| serde_json::from_slice(&there.value));
        Ok(Note {
            version: there.map_or(0, |there| there.version),
            sent: sent.and_then(Result::ok).unwrap_or_default(),
            key,
        })
    }

    /// `false`: another node has written it meanwhile.
    async fn write(&self, note: &mut Note) -> Result<bool, StoreError> {
        // Texts always have a JSON form.
        let value = serde_json::to_vec(&note.sent).unwrap_or_default();
        match self.0.store.put(&note.key, note.version, &value).await? {
            Written::Yes(version) => {
                note.version = version;
                Ok(true)
            }
            Written::Conflict => Ok(false),
        }
    }

    /// Lets old notes go.
    async fn forget(&self, today: Day) -> Result<(), StoreError> {
        for (key, value) in self.0.store.list(SENT).await? {
            let day = key.strip_prefix(SENT).and_then(day_and_domain);
            if day.is_none_or(|(day, _)| today.0.saturating_sub(day.0) > REMEMBERED) {
                let (Written::Yes(_) | Written::Conflict) =
                    self.0.store.delete(&key, value.version).await?;
            }
        }
        Ok(())
    }
}

impl Due {
    fn of(key: String, value: &Versioned) -> Option<Self> {
        let (day, domain) = day_and_domain(key.strip_prefix(COUNTS)?)?;
        Some(Self {
            day,
            domain: domain.to_owned(),
            counts: read(&key, value),
            version: value.version,
            key,
        })
    }
}

/// `2026-11-22/example.net`.
fn day_and_domain(text: &str) -> Option<(Day, &str)> {
    let (day, domain) = text.split_once('/')?;
    Some((Day::of_date(day.parse().ok()?)?, domain))
}

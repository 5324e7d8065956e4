//! The event log of a daemon as a test reads it: from its files, rotated ones included.

use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a condition may take before a test fails: a bound for failures, never a pace.
pub const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);

/// One line of the log.
#[derive(Debug, Clone)]
pub struct Event(pub Value);

impl Event {
    pub fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }

    pub fn kind(&self) -> &str {
        self.text("type")
    }

    pub fn id(&self) -> &str {
        self.text("id")
    }

    pub fn recipient(&self) -> &str {
        self.text("recipient")
    }

    pub fn code(&self) -> u64 {
        self.0["reply"]["code"].as_u64().unwrap_or_default()
    }

    pub fn enhanced(&self) -> &str {
        self.0["reply"]["enhanced"].as_str().unwrap_or_default()
    }

    /// Of a deferral: when it is tried again.
    pub fn until(&self) -> mailwright::units::Timestamp {
        serde_json::from_value(self.0["until"].clone()).expect("a deferral says until when")
    }

    pub fn is_possible_duplicate(&self) -> bool {
        self.text("why").contains("possible duplicate")
    }

    /// The outcome of its recipient. What comes back after a delivery is no second one.
    pub fn is_terminal(&self) -> bool {
        let ends = ["delivered", "bounced", "expired", "dropped", "suppressed"];
        ends.contains(&self.kind()) && !self.text("why").contains("came back after")
    }

    pub fn is(&self, kind: &str, recipient: &str) -> bool {
        self.kind() == kind && self.recipient() == recipient
    }
}

/// The directory of an event log.
#[derive(Debug, Clone)]
pub struct Journal(pub PathBuf);

impl Journal {
    /// Every whole line so far, oldest first.
    pub fn events(&self) -> Vec<Event> {
        let mut files = self.files();
        // `events-TIME…` sorts by time; `events.jsonl` is the newest and sorts behind them.
        files.sort();
        let texts = files.iter().map(|f| text(f));
        let lines = |text: String| -> Vec<Event> {
            let whole = text.split_inclusive('\n').filter(|l| l.ends_with('\n'));
            whole
                .filter_map(|l| serde_json::from_str(l).ok())
                .map(Event)
                .collect()
        };
        texts.flat_map(lines).collect()
    }

    fn files(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.0) else {
            return Vec::new();
        };
        let paths = entries.filter_map(|e| Some(e.ok()?.path()));
        let mut files: Vec<PathBuf> = paths
            .filter(|p| p.extension().is_some_and(|e| e == "jsonl" || e == "zst"))
            .collect();
        // While a file is being compressed it is there twice.
        let all = files.clone();
        files.retain(|p| {
            !(p.extension().is_some_and(|e| e == "zst") && all.contains(&p.with_extension("")))
        });
        files
    }

    /// Waits for the `n`th event (from 1) that `wanted` holds for.
    pub async fn nth(&self, n: usize, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        let started = Instant::now();
        loop {
            let events = self.events();
            if let Some(event) = events.iter().filter(|e| wanted(e)).nth(n - 1) {
                return event.clone();
            }
            if started.elapsed() > PATIENCE {
                let lines: Vec<_> = events.iter().map(|e| e.0.to_string()).collect();
                panic!(
                    "no {what} (number {n}) among these events:\n{}",
                    lines.join("\n")
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits for the first event of `kind` about `recipient`.
    pub async fn first(&self, kind: &str, recipient: &str) -> Event {
        let what = format!("{kind} for {recipient}");
        self.nth(1, &what, |e| e.is(kind, recipient)).await
    }
}

fn text(path: &Path) -> String {
    let Ok(octets) = std::fs::read(path) else {
        return String::new();
    };
    let mut text = String::new();
    match path.extension().is_some_and(|e| e == "zst") {
        true => {
            let mut decoder = zstd::Decoder::new(&octets[..]).expect("a zstd stream");
            decoder
                .read_to_string(&mut text)
                .expect("a whole rotated log");
        }
        false => text = String::from_utf8_lossy(&octets).into_owned(),
    }
    text
}

//! One typed configuration. Each module owns its part; here they are collected, read and checked as a whole.
//!
//! To add a section: a field in [`Config`], its default, a line in [`Config::validate`], its paths in [`paths`],
//! and what of it needs a restart in [`change`].

mod change;
mod document;
mod gather;
mod help;
mod load;
mod paths;

pub use change::restart_needed;
pub use load::{Finding, Refused};

use crate::problem::Problems;
use crate::{auth, dns, events, http, intake, queue, spool, tls};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The whole configuration of one node. Every key has a default that serves on loopback.
///
/// Relative paths count from the directory of the file (from the working directory where there is no file).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Mailwright configuration")]
pub struct Config {
    /// The name this node gives itself: in EHLO where a source has none of its own, and in Message-ID and Received.
    pub hostname: String,
    /// Directory of everything the node keeps: spool, event log, keys it makes for itself.
    pub data_dir: PathBuf,
    /// How mail is kept on disk.
    pub spool: spool::Config,
    /// Name servers, and how long answers are used.
    pub dns: dns::Config,
    /// Who may send, one entry a platform, brand or stream.
    pub tenant: Vec<auth::credentials::Config>,
    /// Limits on failed authentication.
    pub auth: auth::credentials::Limits,
    /// What a message may look like, and what is done to it on its way in.
    pub intake: intake::Config,
    /// The keys that sign, one entry each.
    pub dkim: Vec<auth::dkim::Config>,
    /// When deferred mail is tried again, and when it is given up.
    pub retry: queue::Config,
    /// Which certificates of next hops are trusted.
    pub tls: tls::client::Config,
    /// The HTTP face: metrics, health and the API.
    pub http: http::Config,
    /// The log of events, one JSON object a line.
    pub events: events::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            data_dir: PathBuf::from("./data"),
            spool: spool::Config::default(),
            dns: dns::Config::default(),
            tenant: Vec::new(),
            auth: auth::credentials::Limits::default(),
            intake: intake::Config::default(),
            dkim: Vec::new(),
            retry: queue::Config::default(),
            tls: tls::client::Config::default(),
            http: http::Config::default(),
            events: events::Config::default(),
        }
    }
}

impl Config {
    /// Reads `path`; without one `./mailwright.toml` where that exists, else the defaults.
    ///
    /// # Errors
    /// [`Refused`] holds every mistake there is, each with file, line, key and remedy.
    pub fn load(path: Option<&Path>) -> Result<Self, Refused> {
        load::load(path)
    }

    /// As [`Config::load`] with the text of `file` given; relative paths count from its directory.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Refused> {
        load::parse(text, file)
    }

    /// Adds what is wrong with the values, each module for its own part.
    pub fn validate(&self, problems: &mut Problems) {
        validate_hostname(&self.hostname, problems);
        self.spool.validate("spool", problems);
        self.dns.validate("dns", problems);
        auth::credentials::validate_all(&self.tenant, "tenant", problems);
        self.auth.validate("auth", problems);
        self.intake.validate("intake", problems);
        auth::dkim::Config::validate_all(&self.dkim, problems);
        self.retry.validate("retry", problems);
        self.tls.validate("tls", problems);
        self.http.validate("http", problems);
        self.events.validate("events", problems);
    }

    /// Where the event log is.
    pub fn events_dir(&self) -> PathBuf {
        self.data_dir.join(&self.events.dir)
    }

    /// The JSON Schema of the file, for editors.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Config).to_value()
    }
}

fn validate_hostname(name: &str, problems: &mut Problems) {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        problems.add(
            "hostname",
            format!("\"{name}\" is not a host name"),
            "write the node's fully qualified name, such as \"mta1.example.com\"",
        );
    }
}

#[cfg(test)]
mod tests;

//! The running daemon's API as its client sees it, and the options that say which daemon is meant.

use super::{Exit, Failure, Outcome};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::{Access, Listed, MORE, TOTAL};
use crate::units::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;
use ureq::http::Response;
use ureq::{Agent, Body};

/// Which daemon is asked, and how its answer is printed.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The daemon's configuration: where it listens for HTTP, and its token. MAILWRIGHT_TOKEN overrides the token.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The daemon's HTTP address, in place of the configuration's.
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    #[arg(long, global = true, value_enum, default_value = "table")]
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Table,
    Json,
}

impl Options {
    /// The configuration that they name.
    pub fn config(&self) -> Result<Config, Failure> {
        Ok(Config::load(self.config.as_deref())?)
    }

    /// The daemon that they mean.
    pub fn daemon(&self) -> Result<Daemon, Failure> {
        Daemon::of(self, &self.config()?)
    }

    /// Prints `list`: one JSON object a line, or the table of it as people read it at an instant, which is now.
    pub fn print<T: Serialize>(
        &self,
        list: &[T],
        out: &mut dyn Write,
        table: impl FnOnce(&[T], Timestamp, &mut dyn Write) -> std::io::Result<()>,
    ) -> Outcome {
        if self.format == Format::Table {
            return Ok(table(list, Clock::machine().now(), out)?);
        }
        for one in list {
            writeln!(out, "{}", serde_json::json!(one))?;
        }
        Ok(())
    }
}

/// The running daemon.
pub struct Daemon {
    agent: Agent,
    url: String,
    token: Option<String>,
}

/// Why there is no answer to use.
pub enum Trouble {
    /// No daemon answers, and why.
    Nobody(String),
    Failed(Failure),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Nobody(why) => Failure::new(Exit::Unavailable, why),
            Trouble::Failed(failure) => failure,
        }
    }
}

/// A listing of a large queue takes a while.
const PATIENCE: Duration = Duration::from_secs(60);

impl Daemon {
    /// The daemon that `options` mean. Its token may be one that only the daemon's user can read.
    pub fn of(options: &Options, config: &Config) -> Result<Self, Failure> {
        let token = match std::env::var("MAILWRIGHT_TOKEN") {
            Ok(token) => Some(token),
            Err(_) => Access::load(&config.http)
                .map_err(|error| Failure::new(Exit::Config, error.to_string()))?
                .any_token()
                .map(str::to_owned),
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .build();
        Ok(Self {
            agent: agent.into(),
            url: options.url.clone().unwrap_or_else(|| url_of(config)),
            token,
        })
    }

    /// `GET`; the query is the fields of `query` that are not null.
    pub fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
    ) -> Result<T, Trouble> {
        let request = self.agent.get(format!("{}{path}", self.url));
        let request = request.query_pairs(pairs(query));
        self.read(self.authorised(request).call())
    }

    /// Entries of the queue, and how many there are beside them.
    pub fn list(&self, query: &impl Serialize) -> Result<Listed, Trouble> {
        let request = self.agent.get(format!("{}/api/v1/queue", self.url));
        let request = request.query_pairs(pairs(query));
        let answer = self.authorised(request).call();
        let headers = answer.as_ref().map(|answer| answer.headers().clone());
        let headers = headers.unwrap_or_default();
        let total = headers.get(TOTAL).and_then(|total| total.to_str().ok());
        Ok(Listed {
            entries: self.read(answer)?,
            more: headers.contains_key(MORE),
            total: total.and_then(|total| total.parse().ok()),
        })
    }

    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Trouble> {
        let request = self.agent.post(format!("{}{path}", self.url));
        self.read(self.authorised(request).send_json(body))
    }

    /// `POST` of a file as it is; the query is the fields of `query` that are not null.
    pub fn post_octets<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
        octets: &[u8],
    ) -> Result<T, Trouble> {
        let request = self.agent.post(format!("{}{path}", self.url));
        let request = request.query_pairs(pairs(query));
        self.read(self.authorised(request).send(octets))
    }

    fn authorised<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn read<T: DeserializeOwned>(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<T, Trouble> {
        let mut answer = answer.map_err(|error| self.no_answer(&error))?;
        let status = answer.status();
        if status.is_success() {
            let read = answer
                .body_mut()
                .with_config()
                .limit(LARGEST_ANSWER)
                .read_json();
            return read.map_err(|error| self.strange(&error));
        }
        let body = answer.body_mut().read_json::<serde_json::Value>();
        let body = body.map_err(|error| self.strange(&error))?;
        let said = body["error"].as_str().unwrap_or("it gives no reason");
        let exit = match status.as_u16() {
            401 => Exit::Config,
            500.. => Exit::TemporaryFailure,
            _ => Exit::Data,
        };
        Err(Trouble::Failed(Failure::new(exit, said)))
    }

    fn no_answer(&self, error: &ureq::Error) -> Trouble {
        let why = format!("no daemon answers at {}: {error}", self.url);
        match error {
            ureq::Error::Io(_) | ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => {
                Trouble::Nobody(why)
            }
            ureq::Error::Timeout(_) => Trouble::Failed(Failure::new(Exit::TemporaryFailure, why)),
            _ => Trouble::Failed(Failure::new(Exit::Unavailable, why)),
        }
    }

    fn strange(&self, error: &ureq::Error) -> Trouble {
        let message = format!("what answers at {} is no mailwright: {error}", self.url);
        Trouble::Failed(Failure::new(Exit::Unavailable, message))
    }
}

fn pairs(query: &impl Serialize) -> Vec<(String, String)> {
    let serde_json::Value::Object(fields) = serde_json::json!(query) else {
        return Vec::new();
    };
    let text = |value: serde_json::Value| match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    let fields = fields.into_iter();
    let pairs = fields.filter_map(|(name, value)| Some((name, text(value)?)));
    pairs.collect()
}

/// Ten thousand entries of a few hundred recipients.
const LARGEST_ANSWER: u64 = 1 << 30;

/// Where the daemon of `config` can be reached from this machine.
fn url_of(config: &Config) -> String {
    let mut address = config.http.address;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}")
}

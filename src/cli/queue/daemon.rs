//! The daemon's API as its client sees it.

use super::Args;
use crate::cli::{Exit, Failure};
use crate::config::Config;
use crate::http::{Access, Action, Done, Order, QueueEntry};
use crate::queue::Selector;
use serde::de::DeserializeOwned;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use ureq::http::Response;
use ureq::{Agent, Body};

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
    /// The daemon that `args` mean. Its token may be one that only the daemon's user can read.
    pub fn of(args: &Args, config: &Config) -> Result<Self, Failure> {
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
            url: args.url.clone().unwrap_or_else(|| url_of(config)),
            token,
        })
    }

    pub fn list(&self, which: &Selector, limit: usize) -> Result<Vec<QueueEntry>, Trouble> {
        let mut request = self.agent.get(format!("{}/api/v1/queue", self.url));
        let limit = limit.to_string();
        for (name, value) in [
            ("id", &which.id),
            ("site", &which.site),
            ("domain", &which.domain),
            ("tenant", &which.tenant),
            ("campaign", &which.campaign),
            ("source", &which.source),
            ("limit", &Some(limit)),
        ] {
            if let Some(value) = value {
                request = request.query(name, value);
            }
        }
        self.read(self.authorised(request).call())
    }

    pub fn show(&self, id: &str) -> Result<Vec<QueueEntry>, Trouble> {
        if id.parse::<crate::mail::MessageId>().is_err() {
            let message = format!("\"{id}\" is not a message id");
            return Err(Trouble::Failed(Failure::new(Exit::Data, message)));
        }
        let request = self.agent.get(format!("{}/api/v1/queue/{id}", self.url));
        self.read(self.authorised(request).call())
    }

    pub fn act(&self, action: Action, order: &Order) -> Result<Done, Trouble> {
        let name = serde_json::json!(action);
        let name = name.as_str().unwrap_or_default();
        let request = self.agent.post(format!("{}/api/v1/queue/{name}", self.url));
        self.read(self.authorised(request).send_json(order))
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

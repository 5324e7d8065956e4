//! Assembly: a whole Mailwright from a configuration, sockets, a resolver and a clock.
//!
//! `App::build` makes every part and hands each its collaborators; `App::run` lets them work until told to stop, then
//! stops them in the order of the mail's way: listeners first, deliveries next, the spool and the event log last.

mod control;
mod live;
mod recover;

pub use control::Daemon;

use crate::clock::Clock;
use crate::config::Config;
use crate::delivery::{Collaborators, Delivery};
use crate::dns::Resolver;
use crate::events::{EventLog, Events, Metrics, Operators, Sink};
use crate::http;
use crate::intake::{self, Intake};
use crate::queue::Queue;
use crate::smtp::listener::Listener;
use crate::spool::{self, Spool};
use crate::tls::client::ClientTls;
use live::Live;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long stopping waits for sessions to finish their message, and then for deliveries to finish theirs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sockets, bound before anything else so that a port in use is told at once.
pub struct Bound {
    /// One for each `[[listener]]`, in order.
    pub smtp: Vec<TcpListener>,
    pub http: TcpListener,
}

/// Why a daemon does not start; each names what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Something the configuration names cannot be used.
    #[error("{0}")]
    Config(String),
    #[error(transparent)]
    Spool(#[from] spool::OpenError),
    #[error("{what}: {error}")]
    Io { what: String, error: std::io::Error },
}

impl StartError {
    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }
}

/// A built daemon that does not run yet.
pub struct App {
    daemon: Arc<Daemon>,
    listeners: Vec<Listener>,
    http: (TcpListener, http::Access),
    log: EventLog,
}

impl Bound {
    /// Binds what the configuration names.
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        let bind = |address: std::net::SocketAddr| {
            let socket = TcpListener::bind(address);
            socket.map_err(StartError::io(format!("cannot listen on {address}")))
        };
        Ok(Self {
            smtp: config.listener.iter().map(|listener| bind(listener.address)).collect::<Result<_, _>>()?,
            http: bind(config.http.address)?,
        })
    }
}

impl App {
    /// Makes every part. Reads the spool back; what it holds is in the queue when this returns. Blocks meanwhile.
    ///
    /// `file` is read again on reload; `sinks` take every event beside the log and the metrics.
    pub fn build(config: Config, bound: Bound, resolver: Resolver, clock: Clock) -> Result<Self, StartError> {
        Self::build_with(Setup { config, file: None, bound, resolver, clock, sinks: Vec::new() })
    }
}

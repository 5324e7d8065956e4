//! `serve`: runs the daemon.

use super::{Exit, Failure, Outcome, telemetry};
use crate::app::{App, Bound, Daemon, Setup, StartError};
use crate::clock::Clock;
use crate::config::Config;
use crate::dns::Resolver;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Runs the daemon until SIGTERM or SIGINT. SIGHUP reads the configuration again.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The configuration. Without it: ./mailwright.toml where that exists, else defaults that serve on loopback with
    /// everything under ./data.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

const EXAMPLE: &str = "\
Example:
  mailwright serve --config /etc/mailwright/mailwright.toml

MAILWRIGHT_LOG sets what is logged (info, debug, mailwright::smtp=debug, …); MAILWRIGHT_LOG_FORMAT=json for JSON.";

pub fn run(args: &Args) -> Outcome {
    telemetry::start();
    let config = Config::load(args.config.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(daemon(config, args))
}

async fn daemon(config: Config, args: &Args) -> Outcome {
    // Before the spool is read back, which takes its time: a SIGHUP meanwhile waits, and does not end the start.
    let signals = Signals::listen()?;
    let clock = Clock::machine();
    let bound = Bound::bind(&config)?;
    for listener in &config.listener {
        tracing::info!(address = %listener.address, "taking mail");
    }
    tracing::info!(address = %config.http.address, "metrics, health and the API");
    let resolver = Resolver::new(&config.dns, clock.clone())
        .map_err(|error| Failure::new(Exit::Config, format!("[dns]: {error}")))?;
    let setup = Setup {
        config,
        file: args.config.clone(),
        bound,
        resolver,
        clock,
        sinks: Vec::new(),
    };
    let app = tokio::task::spawn_blocking(move || App::build_with(setup)).await;
    let app = app.map_err(|error| Failure::new(Exit::Software, error.to_string()))??;
    let stop = CancellationToken::new();
    let obeying = tokio::spawn(obey(signals, app.daemon(), stop.clone()));
    let outcome = app.run(stop).await;
    obeying.abort();
    Ok(outcome?)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// SIGTERM and SIGINT stop the daemon, SIGHUP makes it read its configuration again.
async fn obey(mut signals: Signals, daemon: Arc<Daemon>, stop: CancellationToken) {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = signals.hangup.recv() => match daemon.reload_now() {
                Ok(_) => {}
                Err(problems) => tracing::error!("the configuration stays as it was:\n{problems}"),
            },
        }
    }
    tracing::info!("stopping");
    stop.cancel();
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let exit = match &error {
            StartError::Config(_) => Exit::Config,
            StartError::Spool(_)
            | StartError::Store(_)
            | StartError::Books(_)
            | StartError::State(_) => Exit::TemporaryFailure,
            StartError::Io { .. } => Exit::Unavailable,
        };
        Failure::new(exit, error.to_string())
    }
}

//! `serve`: runs the daemon.

use super::{Exit, Failure, Outcome, telemetry};
use crate::config::Config;
use std::path::PathBuf;

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
    daemon(config, args)
}

/// The assembly takes over from here.
fn daemon(_config: Config, _args: &Args) -> Outcome {
    Err(Failure::new(
        Exit::Unavailable,
        "the daemon is not assembled",
    ))
}

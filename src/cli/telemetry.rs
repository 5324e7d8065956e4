//! The operators' log: tracing lines on standard error.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// The variable that says what is logged, as `tracing-subscriber` reads it: `debug`, `info,mailwright::smtp=debug`, …
const LEVELS: &str = "MAILWRIGHT_LOG";
/// `json` for one JSON object a line.
const FORMAT: &str = "MAILWRIGHT_LOG_FORMAT";

/// Starts logging. A subscriber that is already there (a test's) stays.
pub fn start() {
    let levels = EnvFilter::try_from_env(LEVELS).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(levels)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let json = std::env::var(FORMAT).is_ok_and(|format| format == "json");
    let started = match json {
        true => log.json().try_init(),
        false => log.try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was set up before");
    }
}

//! The queue as the data directory has it, where no daemon runs.

use super::Args;
use crate::cli::{Exit, Failure};
use crate::config::Config;
use crate::http::QueueEntry;
use crate::queue::Selector;

/// What is in the spool. `why` is why no daemon could be asked.
pub fn list(
    _args: &Args,
    _config: &Config,
    _which: &Selector,
    _limit: usize,
    why: &str,
) -> Result<Vec<QueueEntry>, Failure> {
    Err(Failure::new(Exit::Unavailable, why))
}

pub fn show(args: &Args, config: &Config, id: &str, why: &str) -> Result<Vec<QueueEntry>, Failure> {
    let which = Selector {
        id: Some(id.to_owned()),
        ..Selector::default()
    };
    list(args, config, &which, usize::MAX, why)
}

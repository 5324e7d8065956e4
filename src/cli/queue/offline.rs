//! The queue as the data directory has it, where no daemon runs.

use crate::cli::daemon::Options;
use crate::cli::{Exit, Failure};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::{Listed, QueueEntry};
use crate::queue::{Queue, Schedule, Selector};
use crate::spool::{OpenError, Spool};
use std::collections::HashMap;

/// What is in the spool, read without changing it. `why` is why no daemon could be asked.
///
/// A daemon named by its URL has its data directory elsewhere, so nothing is read then.
pub fn list(
    options: &Options,
    config: &Config,
    which: &Selector,
    limit: usize,
    why: &str,
) -> Result<Listed, Failure> {
    let unavailable = |more: String| Failure::new(Exit::Unavailable, format!("{why}{more}"));
    if options.url.is_some() || !config.data_dir.exists() {
        return Err(unavailable(String::new()));
    }
    let queue = Queue::new(Clock::machine());
    let schedule = Schedule(config.retry.clone());
    let mut messages = HashMap::new();
    let read = Spool::inspect(&config.data_dir, |stored| {
        let expiry = schedule.expiry(stored.meta.received);
        queue.insert(&stored, |_| stored.meta.expires.unwrap_or(expiry));
        messages.insert(stored.meta.id, stored);
    });
    match read {
        Ok(_) => eprintln!("{why}; this is what {} holds", config.data_dir.display()),
        Err(OpenError::Locked(_)) => {
            let message = format!("{why}, but one has the data directory in use");
            return Err(Failure::new(Exit::TemporaryFailure, message));
        }
        Err(error) => return Err(unavailable(format!("; {error}"))),
    }
    let views = queue.list(which, limit.saturating_add(1));
    let entry = |view| Some(QueueEntry::of(view, messages.get(&view.id)?));
    Ok(Listed {
        entries: views.iter().take(limit).filter_map(entry).collect(),
        more: views.len() > limit,
        total: which.is_empty().then(|| queue.depth().total()),
    })
}

pub fn show(
    options: &Options,
    config: &Config,
    id: &str,
    why: &str,
) -> Result<Vec<QueueEntry>, Failure> {
    let which = Selector {
        id: Some(id.to_owned()),
        ..Selector::default()
    };
    let entries = list(options, config, &which, usize::MAX, why)?.entries;
    match entries.is_empty() {
        true => Err(Failure::new(
            Exit::Data,
            format!("{id} is not in the queue"),
        )),
        false => Ok(entries),
    }
}

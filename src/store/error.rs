//! Why the store does not open, and why it does not answer; each says what to do.

use std::path::PathBuf;

/// Why the store did not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Nobody knows whether a write took place.
    #[error("the store at {place} cannot be reached: {why}")]
    Unavailable { place: String, why: String },
    /// What is there cannot be what we wrote.
    #[error("what the store holds at {key} cannot be read: {why}")]
    Damaged { key: String, why: String },
}

/// Why the store does not open. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `[state]` does not name a store; `validate` says the same of the key.
    #[error("[state] {key} {fault}: {remedy}")]
    Config {
        key: &'static str,
        fault: String,
        remedy: String,
    },
    #[error(
        "{file} is open in another process: stop that one, or give this one a data_dir of its own; several daemons \
         share one state in Redis only"
    )]
    InUse { file: PathBuf },
    #[error(
        "{file} cannot be read: {why}. It holds budgets, warm-up stages and suspensions: put it back from a backup, or \
         move it away to begin with none"
    )]
    Damaged { file: PathBuf, why: String },
    #[error("{file}: {error}")]
    Io {
        file: PathBuf,
        error: std::io::Error,
    },
    #[error(
        "the state at {place} was written by a later version of Mailwright (its format is {found}, this version reads \
         {ours}): install that version, or point [state] url elsewhere"
    )]
    Later {
        place: String,
        found: u64,
        ours: u64,
    },
    /// Redis holds something else under our names.
    #[error(
        "what {place} holds at {key} cannot be read: {why}. Remove that key if something else wrote it, or point \
         [state] url elsewhere"
    )]
    Foreign {
        place: String,
        key: String,
        why: String,
    },
    #[error(
        "{place} cannot be reached: {why}. Budgets are there, so the daemon does not start without it: start Redis or \
         correct [state] url"
    )]
    Unreachable { place: String, why: String },
    #[error(
        "{place} may throw budgets away when its memory is full (maxmemory-policy {policy}): set maxmemory-policy \
         noeviction there"
    )]
    Evicts { place: String, policy: String },
}

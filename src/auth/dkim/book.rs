//! Which keys sign, which are published for later, and which are kept in DNS for mail on its way:
//! `data_dir/keys/dkim/rotation.json`, beside the keys that rotations made.
//!
//! A key of `[[dkim]]` that the book does not know signs. The book is written whole or not at all.

use super::config::{Config, ascii_domain};
use crate::units::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

/// The life of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its record should be in DNS; it does not sign yet.
    Published,
    /// It signs.
    Active,
    /// It signs no more; its record stays for mail on its way.
    Retiring,
    /// Its record may go. Kept in mind while `[[dkim]]` has the key, which must not sign again.
    Removed,
}

/// One key that takes or took part in a rotation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// In A-labels.
    pub domain: String,
    pub selector: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// In the book the name of a file beside it, or an absolute path.
    pub key: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Span>,
    pub state: State,
    /// When it came to be so.
    pub since: Timestamp,
    /// The selector of the key that it takes over from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// When mail signed with it was last seen in the queue, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_in_queue: Option<Timestamp>,
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Book {
    pub keys: Vec<Entry>,
}

/// The book cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    #[error("{0} is no list of keys: {1}")]
    Shape(PathBuf, serde_json::Error),
    #[error("another command changes the keys at the moment")]
    Locked,
}

/// The right to change the book, until it is dropped.
#[must_use = "the book may be changed by others"]
pub struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Removed => "removed",
        }
    }

    /// In a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Published => "made, and signs once DNS has it",
            Self::Active => "signs from now on",
            Self::Retiring => "signs no more; its record stays for mail on its way",
            Self::Removed => "nothing needs its record any more",
        }
    }

    pub fn signs(self) -> bool {
        self == Self::Active
    }
}

impl Entry {
    /// A key of `[[dkim]]`, which signs.
    pub fn of(config: &Config, since: Timestamp) -> Self {
        Self {
            domain: plain(&config.domain),
            selector: config.selector.clone(),
            tenant: config.tenant.clone(),
            key: std::path::absolute(&config.key).unwrap_or_else(|_| config.key.clone()),
            expires: config.expires,
            state: State::Active,
            since,
            replaces: None,
            seen_in_queue: None,
        }
    }

    /// As `[[dkim]]` would have it.
    pub fn config(&self) -> Config {
        Config {
            domain: self.domain.clone(),
            selector: self.selector.clone(),
            key: self.key.clone(),
            tenant: self.tenant.clone(),
            expires: self.expires,
        }
    }

    pub fn is(&self, config: &Config) -> bool {
        self.domain == plain(&config.domain)
            && self.selector.eq_ignore_ascii_case(&config.selector)
            && self.tenant == config.tenant
    }
}

impl Book {
    /// The directory of the book and of the keys that rotations made.
    pub fn dir(data_dir: &Path) -> PathBuf {
        data_dir.join("keys").join("dkim")
    }

    fn file(data_dir: &Path) -> PathBuf {
        Self::dir(data_dir).join("rotation.json")
    }

    /// An empty one where there was no rotation yet.
    pub fn load(data_dir: &Path) -> Result<Self, BookError> {
        let path = Self::file(data_dir);
        match fs::read(&path) {
            Ok(text) => {
                let read = serde_json::from_slice::<Self>(&text);
                let mut book = read.map_err(|error| BookError::Shape(path, error))?;
                let dir = Self::dir(data_dir);
                // Keys that rotations made are named without their directory, which may be moved.
                book.keys
                    .iter_mut()
                    .for_each(|entry| entry.key = dir.join(&entry.key));
                Ok(book)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(BookError::File(path, error)),
        }
    }

    /// Only one command at a time may change it.
    pub fn lock(data_dir: &Path) -> Result<Lock, BookError> {
        let path = Self::dir(data_dir).join("lock");
        let failed = |error: io::Error| BookError::File(path.clone(), error);
        let mut dirs = fs::DirBuilder::new();
        let made = dirs.recursive(true).mode(0o700).create(Self::dir(data_dir));
        made.map_err(failed)?;
        hand_over(&Self::dir(data_dir), data_dir).map_err(failed)?;
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let file = file.map_err(failed)?;
        hand_over(&path, data_dir).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(fs::TryLockError::WouldBlock) => Err(BookError::Locked),
            Err(fs::TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Writes it: whole, and durable when this returns.
    pub fn save(&self, data_dir: &Path, _lock: &Lock) -> Result<(), BookError> {
        let path = Self::file(data_dir);
        let failed = |error: io::Error| BookError::File(path.clone(), error);
        let mut written = self.clone();
        for entry in &mut written.keys {
            if let Ok(own) = entry.key.strip_prefix(Self::dir(data_dir)) {
                entry.key = own.to_owned();
            }
        }
        let text = serde_json::to_vec_pretty(&written).map_err(|error| failed(error.into()))?;
        let new = path.with_extension("json.new");
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new);
        let mut file = file.map_err(failed)?;
        hand_over(&new, data_dir).map_err(failed)?;
        file.write_all(&text).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&new, &path).map_err(failed)?;
        let dir = File::open(Self::dir(data_dir)).map_err(failed)?;
        dir.sync_all().map_err(failed)
    }

    /// What is known of a configured key.
    pub fn state(&self, config: &Config) -> State {
        let known = self.keys.iter().find(|entry| entry.is(config));
        known.map_or(State::Active, |entry| entry.state)
    }

    /// The keys of rotations that `[[dkim]]` does not have.
    pub fn own<'a>(&'a self, configured: &'a [Config]) -> impl Iterator<Item = &'a Entry> {
        let unknown = |entry: &&Entry| !configured.iter().any(|config| entry.is(config));
        self.keys.iter().filter(unknown)
    }

    /// The keys whose state is another one than it was.
    pub fn changed_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a Entry> {
        let known = |entry: &Entry| {
            let same = |old: &&Entry| old.is(&entry.config());
            before.keys.iter().find(same).map(|old| old.state)
        };
        self.keys
            .iter()
            .filter(move |entry| known(entry) != Some(entry.state))
    }

    /// Every key whose record should be in DNS, with its state.
    pub fn published(&self, configured: &[Config]) -> Vec<(Config, State)> {
        let all = configured
            .iter()
            .map(|config| (config.clone(), self.state(config)));
        let own = self
            .own(configured)
            .map(|entry| (entry.config(), entry.state));
        all.chain(own)
            .filter(|(_, state)| *state != State::Removed)
            .collect()
    }
}

pub(super) fn plain(domain: &str) -> String {
    ascii_domain(domain).unwrap_or_else(|_| domain.to_ascii_lowercase())
}
/// Gives a file to whoever owns the directory: root runs the command, and the daemon, which is not root, reads what it wrote.
pub(super) fn hand_over(path: &Path, dir: &Path) -> io::Result<()> {
    let (file, owner) = (fs::metadata(path)?, fs::metadata(dir)?);
    if file.uid() == owner.uid() {
        return Ok(());
    }
    chown(path, Some(owner.uid()), Some(owner.gid()))
}

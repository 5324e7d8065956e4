//! The books: what left us lately, so that what comes back finds its message.
//!
//! One record a message, for as long as tokens are good. They are an index, not the truth of delivery: the event log is.
//! So they never hold up mail. A record waits in a channel of bounded length for the one thread that has the files; where
//! that is full, the record is dropped, counted and logged. What is written in the last second may be lost in a crash.
//!
//! ```text
//! books/2026-11-26.redb   messages that were accepted on that day (UTC), which their ids tell
//! ```
//!
//! A day's file is removed as a whole when no token of that day is good any more.

mod days;
mod desk;

use crate::clock::Clock;
use crate::events::{About, Attempt};
use crate::mail::{Address, Labels, MessageId};
use crate::units::Timestamp;
use days::Days;
use desk::{Command, Desk};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// What left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub labels: Arc<Labels>,
    pub sender: Option<Address>,
    pub size: u64,
    pub recipients: Vec<Sent>,
}

/// One recipient of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// In the envelope.
    pub position: u16,
    pub address: Address,
    pub site: Option<Arc<str>>,
    pub source: Option<Arc<str>>,
    pub provider: Option<Arc<str>>,
    pub attempt: u16,
    /// When it was delivered.
    pub at: Timestamp,
    /// A notice of failure came back.
    pub returned: bool,
    /// A complaint came in.
    pub complained: bool,
    /// It asked for no more.
    pub unsubscribed: bool,
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("the books cannot be used: {0}")]
pub struct BooksError(pub String);

/// How long a day's messages are kept; asked whenever a day may go, so that a reload can change it.
pub type KeptFor = Box<dyn Fn() -> Duration + Send>;

/// The mark of a recipient that [`Books::change`] sets.
pub type Mark = fn(&mut Sent) -> &mut bool;

/// The books of this node. Cheap to clone.
#[derive(Clone)]
pub struct Books(Arc<Shared>);

struct Shared {
    commands: SyncSender<Command>,
    dropped: AtomicU64,
}

/// Records that may wait for the thread: a second of a fast node.
const WAITING: usize = 16_384;

impl Books {
    /// Opens the books in `dir`, which is made where it is missing, and starts their thread. Days that are too old go.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn open(dir: &Path, clock: Clock, kept_for: KeptFor) -> Result<Self, BooksError> {
        Self::open_with(dir, clock, kept_for, WAITING)
    }

    fn open_with(
        dir: &Path,
        clock: Clock,
        kept_for: KeptFor,
        waiting: usize,
    ) -> Result<Self, BooksError> {
        let days = Days::open(dir)?;
        let (commands, waiting) = sync_channel(waiting);
        let desk = Desk::new(days, clock, kept_for);
        std::thread::Builder::new()
            .name("books".into())
            .spawn(move || desk.run(waiting))
            .map_err(|error| BooksError(error.to_string()))?;
        Ok(Self(Arc::new(Shared {
            commands,
            dropped: AtomicU64::new(0),
        })))
    }

    /// Writes recipients of a message down, beside those that are there. Never waits: where the books are behind, the
    /// record is dropped.
    pub fn note(&self, id: MessageId, entry: Entry) {
        if self.0.commands.try_send(Command::Note(id, entry)).is_err() {
            let dropped = self.0.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if dropped.is_power_of_two() {
                tracing::warn!(
                    dropped,
                    "the books are behind: what comes back about these messages will not find them"
                );
            }
        }
    }

    /// What is known of a message.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn find(&self, id: MessageId) -> Result<Option<Entry>, BooksError> {
        self.ask(|answer| Command::Find(id, answer)).await?
    }

    /// Sets a mark of a recipient. Whether it was not set before: a second notice about the same recipient is no second
    /// bounce. Of a recipient that is not in the books nothing is set, and nothing is new.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn change(
        &self,
        id: MessageId,
        position: u16,
        mark: Mark,
    ) -> Result<bool, BooksError> {
        self.ask(|answer| Command::Change(id, position, mark, answer))
            .await?
    }

    /// Records that were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Writes what waits; the books cannot be used after that.
    pub async fn close(&self) {
        if let Err(error) = self.ask(Command::Close).await {
            tracing::error!(%error, "closing the books");
        }
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, BooksError> {
        let closed = || BooksError("they are closed".into());
        let (answer, answered) = oneshot::channel();
        match self.0.commands.try_send(command(answer)) {
            Ok(()) => {}
            Err(TrySendError::Disconnected(_)) => return Err(closed()),
            // Who asks can wait.
            Err(TrySendError::Full(command)) => {
                let commands = self.0.commands.clone();
                let sent = tokio::task::spawn_blocking(move || commands.send(command)).await;
                sent.map_err(|_| closed())?.map_err(|_| closed())?;
            }
        }
        answered.await.map_err(|_| closed())
    }
}

impl Entry {
    /// Who is named by a text, whose local part may have been written in another case on its way.
    pub fn by_address(&self, text: &str) -> Option<&Sent> {
        self.recipients.iter().find(|sent| sent.is_at(text))
    }

    /// The recipient at the position that a token names. Only a message to several has a token that names none, and here
    /// are those alone whose mail was delivered so far: though it is one, it may be about another.
    pub fn of_token(&self, position: Option<u16>) -> Option<&Sent> {
        let position = position?;
        self.recipients
            .iter()
            .find(|sent| sent.position == position)
    }

    /// Adds what was delivered later. Marks of who is there already stay.
    fn merge(&mut self, later: Entry) {
        for sent in later.recipients {
            let known = self
                .recipients
                .iter_mut()
                .find(|known| known.position == sent.position);
            match known {
                Some(known) => {
                    *known = Sent {
                        returned: known.returned,
                        complained: known.complained,
                        unsubscribed: known.unsubscribed,
                        ..sent
                    }
                }
                None => self.recipients.push(sent),
            }
        }
    }
}

impl Sent {
    /// Whether a text names its mailbox.
    pub fn is_at(&self, text: &str) -> bool {
        let text = text.trim().trim_start_matches('<').trim_end_matches('>');
        text.parse().is_ok_and(|other: Address| {
            other.ascii_domain() == self.address.ascii_domain()
                && other.local().eq_ignore_ascii_case(self.address.local())
        })
    }

    /// As events tell of it, so long after it was accepted.
    pub fn told(&self, id: MessageId, entry: &Entry, latency: Duration) -> (About, Attempt) {
        let about = About {
            id,
            labels: Arc::clone(&entry.labels),
            sender: entry.sender.clone(),
            recipient: Some(self.address.clone()),
            size: entry.size,
        };
        let attempt = Attempt {
            number: self.attempt,
            site: self.site.clone(),
            source: self.source.clone(),
            provider: self.provider.clone(),
            tls: None,
            latency,
            possible_duplicate: false,
        };
        (about, attempt)
    }
}

#[cfg(test)]
mod tests;

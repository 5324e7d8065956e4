//! The thread that has the files: it takes records, answers, and writes once a second.

use super::days::{Day, Days};
use super::{BooksError, Entry, KeptFor, Mark};
use crate::clock::Clock;
use crate::mail::MessageId;
use crate::units::Timestamp;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use tokio::sync::oneshot;

/// What the thread is asked.
pub(super) enum Command {
    Note(MessageId, Entry),
    Find(
        MessageId,
        oneshot::Sender<Result<Option<Entry>, BooksError>>,
    ),
    Change(
        MessageId,
        u16,
        Mark,
        oneshot::Sender<Result<bool, BooksError>>,
    ),
    Close(oneshot::Sender<()>),
}

/// Longest time that a record is only in memory.
const BETWEEN: Duration = Duration::from_secs(1);
/// Records in memory; where there are more they are written at once.
const MOST: usize = 8_192;

pub(super) struct Desk {
    days: Days,
    clock: Clock,
    kept_for: KeptFor,
    /// Whole records that differ from the files, and since when.
    pending: BTreeMap<MessageId, Entry>,
    since: Timestamp,
    /// When days were last looked through.
    swept: Option<Day>,
}

impl Desk {
    pub fn new(days: Days, clock: Clock, kept_for: KeptFor) -> Self {
        Self {
            days,
            clock,
            kept_for,
            pending: BTreeMap::new(),
            since: Timestamp::default(),
            swept: None,
        }
    }

    /// Serves until closed, or until nobody can ask any more.
    pub fn run(mut self, commands: Receiver<Command>) {
        self.sweep();
        loop {
            match commands.recv_timeout(BETWEEN) {
                Ok(Command::Close(done)) => {
                    self.write();
                    // The files are free, and nobody is taken from, when who closes hears of it.
                    drop((self, commands));
                    let _gone = done.send(());
                    return;
                }
                Ok(command) => self.take(command),
                Err(RecvTimeoutError::Timeout) => self.write(),
                Err(RecvTimeoutError::Disconnected) => return self.write(),
            }
            let waited = self.clock.now().since(self.since);
            if self.pending.len() >= MOST || waited >= BETWEEN {
                self.write();
            }
        }
    }

    fn take(&mut self, command: Command) {
        // Who asked may have gone meanwhile: an answer that nobody takes is no fault.
        match command {
            Command::Note(id, entry) => self.note(id, entry),
            Command::Find(id, answer) => {
                self.sweep();
                let _gone = answer.send(self.find(id));
            }
            Command::Change(id, position, mark, answer) => {
                let _gone = answer.send(self.change(id, position, mark));
            }
            Command::Close(_) => {}
        }
    }

    fn note(&mut self, id: MessageId, entry: Entry) {
        let known = self.find(id).unwrap_or_else(|error| {
            tracing::error!(%id, %error, "a message is written down anew");
            None
        });
        let whole = match known {
            None => entry,
            Some(mut known) => {
                known.merge(entry);
                known
            }
        };
        self.keep(id, whole);
    }

    fn find(&mut self, id: MessageId) -> Result<Option<Entry>, BooksError> {
        match self.pending.get(&id) {
            Some(entry) => Ok(Some(entry.clone())),
            None => self.days.read(id),
        }
    }

    fn change(&mut self, id: MessageId, position: u16, mark: Mark) -> Result<bool, BooksError> {
        let Some(mut entry) = self.find(id)? else {
            return Ok(false);
        };
        let mut sent = entry.recipients.iter_mut();
        let Some(sent) = sent.find(|sent| sent.position == position) else {
            return Ok(false);
        };
        let is_new = !std::mem::replace(mark(sent), true);
        if is_new {
            self.keep(id, entry);
        }
        Ok(is_new)
    }

    fn keep(&mut self, id: MessageId, entry: Entry) {
        if self.pending.is_empty() {
            self.since = self.clock.now();
        }
        self.pending.insert(id, entry);
    }

    /// Writes what differs from the files, a transaction a day. What cannot be written is given up: memory is for mail.
    fn write(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        while let Some((first, _)) = pending.first_key_value() {
            let day = Day::of(first.accepted());
            let later = pending.split_off(&day.next().first_id());
            if let Err(error) = self.days.write(day, &pending) {
                let lost = pending.len();
                tracing::error!(%error, lost, "what comes back about these messages will not find them");
            }
            pending = later;
        }
        self.sweep();
    }

    /// Once a day, and at the start.
    fn sweep(&mut self) {
        let today = Day::of(self.clock.now());
        if self.swept == Some(today) {
            return;
        }
        self.swept = Some(today);
        let (now, kept_for) = (self.clock.now(), (self.kept_for)());
        if let Err(error) = self.days.remove(|day| day.next().start() + kept_for < now) {
            tracing::error!(%error, "days that are too old could not be removed");
        }
    }
}

//! What waits to be written. Callers add records to the batch that fills while the one before is being synced.

use super::cache::Fresh;
use super::ledger::Place;
use super::record::Doubt;
use super::record::Draw;
use super::{Mark, SpoolError};
use crate::mail::{MessageId, TlsWish};
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};

/// Octets that may wait to be written, in the filling batch and the one under way; beyond that callers wait.
const ROOM: u32 = 8 << 20;
/// Octets of messages being moved that may wait.
const MOVES: usize = 2 << 20;
/// Octets that are worth a write of their own: a batch this large does not wait for more.
const FULL: usize = 512 << 10;
/// Room that an emptied batch keeps for its next use.
const KEPT: usize = 4 << 20;
const KEPT_ENTRIES: usize = 4096;

pub type Answer = oneshot::Sender<Result<(), SpoolError>>;

/// What a record changes in the ledger once it is durable.
#[derive(Debug)]
pub enum Effect {
    None,
    Accept {
        recipients: usize,
        large: bool,
        fresh: Option<Fresh>,
    },
    Doubt(Doubt),
    Mark(Mark),
    Hold(Option<Arc<str>>),
    /// Messages whose large bodies go, now that the log says that they were refused.
    Void(Vec<MessageId>),
    Move(Box<Move>),
    Close,
}

/// A message to be copied forward, as read from its old place.
#[derive(Debug, Clone)]
pub struct Move {
    pub from: Place,
    pub tls: TlsWish,
    /// The `Accept` part of the new record's meta.
    pub accept: Vec<u8>,
    pub large: bool,
    pub content: Bytes,
    pub head_len: usize,
    pub content_crc: u32,
    pub id: MessageId,
    pub at: crate::units::Timestamp,
}

/// One record of a batch.
#[derive(Debug)]
pub struct Entry {
    pub id: MessageId,
    /// Octets of the record.
    pub len: usize,
    pub effect: Effect,
    pub answer: Option<Answer>,
    /// Octets to give back to [`Queue`] when the record is settled.
    pub permits: u32,
    /// Writes of it that failed.
    pub failures: u8,
}

impl Entry {
    pub fn tell(&mut self, result: Result<(), SpoolError>) {
        if let Some(answer) = self.answer.take() {
            // Nobody may wait any more; the record counts all the same.
            let _unheard = answer.send(result);
        }
    }
}

/// Records in the order in which they will be written.
#[derive(Debug, Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
    pub entries: Vec<Entry>,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Appends a record that nobody waits for.
    pub fn push(&mut self, draw: &Draw<'_>, effect: Effect) {
        let len = draw.len() as usize;
        draw.append(&mut self.bytes);
        self.entries.push(Entry {
            id: draw.id,
            len,
            effect,
            answer: None,
            permits: 0,
            failures: 0,
        });
    }

    /// Appends all of `next`.
    pub fn extend(&mut self, mut next: Batch) {
        if self.is_empty() {
            *self = next;
        } else {
            self.bytes.extend_from_slice(&next.bytes);
            self.entries.append(&mut next.entries);
        }
    }

    /// Takes as many records from the front as fit into `room` octets.
    pub fn take_fitting(&mut self, room: u64) -> Batch {
        let mut octets = 0;
        let fits = |entry: &&Entry| {
            octets += entry.len as u64;
            octets <= room
        };
        let count = self.entries.iter().take_while(fits).count();
        if count == self.entries.len() {
            return std::mem::take(self);
        }
        let octets = self.entries.iter().take(count).map(|entry| entry.len).sum();
        let rest = self.bytes.split_off(octets);
        Batch {
            bytes: std::mem::replace(&mut self.bytes, rest),
            entries: self.entries.drain(..count).collect(),
        }
    }

    /// Splits into the records for which `first` holds and the others.
    pub fn partition(self, first: impl Fn(&Entry) -> bool) -> (Batch, Batch) {
        let (mut yes, mut no) = (Batch::default(), Batch::default());
        let mut at = 0;
        for entry in self.entries {
            let record = self.bytes.get(at..at + entry.len).unwrap_or_default();
            at += entry.len;
            let side = if first(&entry) { &mut yes } else { &mut no };
            side.bytes.extend_from_slice(record);
            side.entries.push(entry);
        }
        (yes, no)
    }
}

/// What the committer has to do next.
#[derive(Debug)]
pub struct Work {
    pub moves: Vec<Move>,
    pub batch: Batch,
    /// The spool was dropped: leave everything as a crash would.
    pub stop: bool,
}

pub struct Queue {
    pending: Mutex<Pending>,
    work: Condvar,
    taken: Condvar,
    room: Semaphore,
}

#[derive(Default)]
struct Pending {
    batch: Batch,
    /// An emptied batch whose room is used again.
    emptied: Batch,
    moves: Vec<Move>,
    move_octets: usize,
    closed: bool,
    stop: bool,
    /// The committer sleeps; whoever adds work wakes it.
    idle: bool,
}

impl Pending {
    /// Waiting for more to gather gains nothing.
    fn is_urgent(&self) -> bool {
        self.stop || self.closed || self.batch.bytes.len() >= FULL
    }
}

impl Queue {
    pub fn new() -> Self {
        Self {
            pending: Mutex::default(),
            work: Condvar::new(),
            taken: Condvar::new(),
            room: Semaphore::new(ROOM as usize),
        }
    }

    /// Adds a record and returns when it is durable, or was refused. Waits while too much waits already.
    ///
    /// Dropped while waiting for room, nothing was added; dropped later, the record is written all the same.
    pub async fn submit(&self, draw: &Draw<'_>, effect: Effect) -> Result<(), SpoolError> {
        let permits = u32::try_from(draw.len()).unwrap_or(ROOM).min(ROOM);
        let room = self.room.acquire_many(permits).await;
        room.map_err(|_closed| SpoolError::Closed)?.forget();
        let (answer, answered) = oneshot::channel();
        self.add(draw, effect, answer, permits)?;
        answered.await.unwrap_or(Err(SpoolError::Closed))
    }

    fn add(
        &self,
        draw: &Draw<'_>,
        effect: Effect,
        answer: Answer,
        permits: u32,
    ) -> Result<(), SpoolError> {
        let mut pending = self.pending.lock();
        if pending.closed {
            self.room.add_permits(permits as usize);
            return Err(SpoolError::Closed);
        }
        pending.closed = matches!(effect, Effect::Close);
        pending.batch.push(draw, effect);
        if let Some(entry) = pending.batch.entries.last_mut() {
            entry.answer = Some(answer);
            entry.permits = permits;
        }
        if pending.idle || pending.batch.bytes.len() >= FULL {
            pending.idle = false;
            self.work.notify_one();
        }
        Ok(())
    }

    /// Hands the committer a message to move; blocks while enough of them wait. `false` when the spool stops.
    pub fn submit_move(&self, message: Move) -> bool {
        let mut pending = self.pending.lock();
        while pending.move_octets >= MOVES && !pending.stop && !pending.closed {
            self.taken.wait(&mut pending);
        }
        if pending.stop || pending.closed {
            return false;
        }
        pending.move_octets += message.content.len() + message.accept.len();
        pending.moves.push(message);
        pending.idle = false;
        self.work.notify_one();
        true
    }

    /// Waits until all moves handed over have been taken up. `false` when the spool stops.
    pub fn moves_taken(&self) -> bool {
        let mut pending = self.pending.lock();
        while !pending.moves.is_empty() && !pending.stop && !pending.closed {
            self.taken.wait(&mut pending);
        }
        !pending.stop && !pending.closed
    }

    /// Everything that waits, for the committer; sleeps until there is something, or for `patience` where given. Until
    /// `rest` is over more may gather.
    pub fn take(&self, patience: Option<Duration>, rest: Option<Instant>) -> Work {
        let mut pending = self.pending.lock();
        while pending.batch.is_empty() && pending.moves.is_empty() && !pending.stop {
            pending.idle = true;
            match patience {
                None => self.work.wait(&mut pending),
                Some(patience) => {
                    self.work.wait_for(&mut pending, patience);
                    break;
                }
            }
        }
        pending.idle = false;
        if let Some(rest) = rest {
            let gathers = |pending: &mut Pending| !pending.is_urgent();
            self.work.wait_while_until(&mut pending, gathers, rest);
        }
        pending.move_octets = 0;
        self.taken.notify_all();
        let emptied = std::mem::take(&mut pending.emptied);
        Work {
            moves: std::mem::take(&mut pending.moves),
            batch: std::mem::replace(&mut pending.batch, emptied),
            stop: pending.stop,
        }
    }

    /// Gives back a batch whose records have been dealt with.
    pub fn reuse(&self, mut batch: Batch) {
        batch.bytes.clear();
        batch.entries.clear();
        let small = batch.bytes.capacity() <= KEPT && batch.entries.capacity() <= KEPT_ENTRIES;
        if small {
            self.pending.lock().emptied = batch;
        }
    }

    /// A record was settled: others may take its room.
    pub fn settled(&self, permits: u32) {
        self.room.add_permits(permits as usize);
    }

    /// Refuses everything from now on and wakes who waits.
    pub fn stop(&self) {
        let mut pending = self.pending.lock();
        pending.stop = true;
        pending.closed = true;
        self.room.close();
        self.work.notify_all();
        self.taken.notify_all();
    }
}

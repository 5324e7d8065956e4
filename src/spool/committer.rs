//! The thread that writes the log: one write and one sync for all records that wait, then the ledger, then answers.
//!
//! A write or sync that failed is never trusted again: the segment is left, accepts of that batch are refused, and
//! outcomes, doubts and holds of it, which are facts, are written again to the next segment (they are *owed*).

use super::SpoolError;
use super::cache::Fresh;
use super::compactor::Orders;
use super::ledger::{Ledger, Place, Segment};
use super::pool::{NoSpare, Spare};
use super::queue::{Batch, Effect, Entry, Move};
use super::record::{Draw, Kind, Stamp, Start, UNIT, Void, date, stamp};
use super::replay::WINDOW;
use super::shared::Shared;
use crate::mail::MessageId;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What the kernel keeps of a file at a time.
const PAGE: u64 = 4096;
/// A log of fewer segments than this is not compacted.
const LEAST_SEGMENTS: usize = 4;
/// Between attempts to write on a disk that fails.
const RETRY: Duration = Duration::from_secs(1);
/// A batch of more records than this shows that many callers are at work: the next one rests, so that it fills.
const BUSY: usize = 2;
/// From the answers to one busy batch to the writing of the next. Callers answered now bring their next record within
/// it; a sync for each few of them would cost the processor more than all else that is done to their messages.
const REST: Duration = Duration::from_micros(500);
/// Failed writes after which a caller is told; the record stays owed.
const PATIENCE: u8 = 2;

pub struct Committer {
    shared: Arc<Shared>,
    orders: Arc<Orders>,
    head: Option<Head>,
    next_generation: u32,
    /// The use before the next one, for its `Start` record.
    previous: Start,
    /// Written before anything that callers add.
    owed: Batch,
    /// Emptied segments, reusable when a record that no longer counts them is durable.
    retired: Vec<Segment>,
    failures: u32,
    /// Not before this is the next batch written.
    rest: Option<Instant>,
}

/// The segment being written.
pub struct Head {
    pub generation: u32,
    pub salt: u32,
    pub file: Arc<File>,
    pub size: u64,
    pub used: u64,
    /// Its start record, until the first batch goes with it: nothing in it is acknowledged yet.
    pub start: Option<Vec<u8>>,
}

impl Head {
    /// Octets for records, with the end record's place kept.
    fn room(&self) -> u64 {
        self.size.saturating_sub(self.used + UNIT as u64)
    }
}

/// Where writing goes on after start-up.
pub struct Resume {
    pub head: Option<Head>,
    pub next_generation: u32,
    pub previous: Start,
    pub owed: Batch,
}

/// Octets of a segment that no record can have: its `Start` (with meta) and `End`.
pub const OVERHEAD: u64 = 3 * UNIT as u64;

impl Committer {
    pub fn new(shared: Arc<Shared>, orders: Arc<Orders>, resume: Resume) -> Self {
        Self {
            shared,
            orders,
            head: resume.head,
            next_generation: resume.next_generation,
            previous: resume.previous,
            owed: resume.owed,
            retired: Vec::new(),
            failures: 0,
            rest: None,
        }
    }

    /// Writes until the spool is closed or dropped.
    pub fn run(mut self) {
        loop {
            let work = self.shared.queue.take(self.patience(), self.rest);
            if work.stop {
                return;
            }
            let mut batch = self.moves(work.moves);
            batch.extend(std::mem::take(&mut self.owed));
            batch.extend(work.batch);
            let closing = batch
                .entries
                .iter()
                .any(|e| matches!(e.effect, Effect::Close));
            let busy = batch.entries.len() > BUSY;
            self.write(batch);
            self.rest = busy.then(|| Instant::now() + REST);
            if closing {
                return;
            }
            self.after();
        }
    }

    /// How long to wait for callers while something is owed.
    fn patience(&self) -> Option<Duration> {
        let owed = !self.owed.is_empty();
        owed.then_some(if self.failures > 1 {
            RETRY
        } else {
            Duration::ZERO
        })
    }

    /// Records for messages that are copied forward. They stand before everything else of the batch, so that what
    /// they fold is all that the log says before them.
    fn moves(&self, moves: Vec<Move>) -> Batch {
        let mut batch = Batch::default();
        let ledger = self.shared.ledger.lock();
        for message in moves {
            if ledger.place(message.id) != Some(message.from) {
                continue;
            }
            let Some(folded) = ledger.fold(message.id) else {
                continue;
            };
            let mut meta = message.accept.clone();
            match postcard::to_extend(&folded, meta.clone()) {
                Ok(whole) => meta = whole,
                Err(_impossible) => continue,
            }
            let (head, body) = message.content.split_at(message.head_len);
            let draw = Draw {
                kind: Kind::Move,
                tls: message.tls,
                id: message.id,
                at: message.at,
                meta: &meta,
                head,
                body,
                content_crc: message.content_crc,
            };
            batch.push(&draw, Effect::Move(Box::new(message.clone())));
        }
        batch
    }

    /// Writes a batch, in as many parts as segments have room for.
    fn write(&mut self, mut batch: Batch) {
        while !batch.is_empty() {
            let room = self.head.as_ref().map_or(0, Head::room);
            let part = batch.take_fitting(room);
            if !part.is_empty() {
                self.write_part(part);
                continue;
            }
            let accepts = batch.entries.iter().any(brings_mail);
            match self.turn(accepts) {
                Ok(()) => {}
                Err(NoSpare::Full) if accepts => {
                    let (refused, rest) = batch.partition(brings_mail);
                    self.doom_bodies(large(&refused));
                    self.settle_failed(refused, &SpoolError::NoSpace);
                    batch = rest;
                }
                Err(NoSpare::Full) => {
                    self.failures = self.failures.saturating_add(1);
                    return self.settle_failed(batch, &SpoolError::NoSpace);
                }
                Err(NoSpare::Stopping) => return,
            }
        }
    }

    /// Writes and syncs records that fit into the head, then lets them count.
    fn write_part(&mut self, mut part: Batch) {
        let Some(mut head) = self.head.take() else {
            return;
        };
        let from = head.used;
        self.stamp(&head, &mut part);
        let len = part.bytes.len();
        part.bytes.resize(len + padding(&head, len), 0);
        let written = self
            .put_start(&head)
            .and_then(|()| self.put(&head, &part.bytes, from));
        part.bytes.truncate(len);
        head.used += len as u64;
        match written {
            Ok(()) => {
                head.start = None;
                self.count(&head, from, part);
                self.head = Some(head);
            }
            Err(error) => self.failed(head, from, part, error),
        }
    }

    fn stamp(&self, head: &Head, part: &mut Batch) {
        let place = self.stamp_at(head, if head.start.is_some() { 0 } else { head.used });
        let now = self.shared.clock.now();
        let mut at = 0;
        for entry in &part.entries {
            if let Some(record) = part.bytes.get_mut(at..) {
                // Callers may have waited for room: start-up goes by when a record was written. A copy has its own time.
                if !matches!(entry.effect, Effect::Move(_)) {
                    date(record, now);
                }
                stamp(record, place);
            }
            at += entry.len;
        }
    }

    fn stamp_at(&self, head: &Head, batch: u64) -> Stamp {
        let oldest = self.shared.ledger.lock().oldest();
        Stamp {
            generation: head.generation,
            salt: head.salt,
            back: head.generation - oldest.unwrap_or(head.generation).min(head.generation),
            batch: Place::new(head.generation, batch, 0).unit,
        }
    }

    fn put_start(&self, head: &Head) -> std::io::Result<()> {
        match &head.start {
            Some(start) => self.shared.disk.write_at(&head.file, start, 0),
            None => Ok(()),
        }
    }

    fn put(&self, head: &Head, bytes: &[u8], at: u64) -> std::io::Result<()> {
        self.shared.disk.write_at(&head.file, bytes, at)?;
        if self.shared.config.sync {
            self.shared.disk.sync(&head.file)?;
        }
        Ok(())
    }

    /// The records are durable.
    fn count(&mut self, head: &Head, from: u64, mut part: Batch) {
        self.recovered();
        let now = self.shared.clock.now();
        let mut answers = Vec::with_capacity(part.entries.len());
        let (mut permits, mut fresh) = (0, Vec::new());
        let mut at = from;
        {
            let mut ledger = self.shared.ledger.lock();
            ledger.set_used(head.generation, head.used, now);
            for mut entry in part.entries.drain(..) {
                let place = Place::new(head.generation, at, entry.len as u64);
                at += entry.len as u64;
                permits += entry.permits;
                let effect = std::mem::replace(&mut entry.effect, Effect::None);
                fresh.extend(self.apply(&mut ledger, entry.id, place, effect));
                answers.extend(entry.answer.take());
            }
        }
        self.shared.cache.insert(fresh, now);
        self.shared.queue.settled(permits);
        self.shared.queue.reuse(part);
        for answer in answers {
            let _unheard = answer.send(Ok(()));
        }
        for segment in std::mem::take(&mut self.retired) {
            self.recycle(Spare {
                file: segment.file,
                path: segment.path,
                size: segment.size,
            });
        }
    }

    /// Gives back a message to keep in memory for its first attempt.
    fn apply(
        &self,
        ledger: &mut Ledger,
        id: MessageId,
        place: Place,
        effect: Effect,
    ) -> Option<Fresh> {
        match effect {
            Effect::None | Effect::Close => {}
            Effect::Accept {
                recipients,
                large,
                fresh,
            } => {
                ledger.accept(id, place, recipients, large);
                return fresh;
            }
            Effect::Doubt(doubt) => ledger.doubt(id, &doubt),
            Effect::Hold(why) => ledger.hold(id, why),
            Effect::Void(bodies) => self.doom_bodies(bodies),
            Effect::Move(message) => {
                // Finished or moved meanwhile: nothing between the fold and here changes that in this thread.
                if let (Some(folded), true) =
                    (ledger.fold(id), ledger.place(id) == Some(message.from))
                {
                    ledger.moved(id, place, message.large, folded);
                }
            }
            Effect::Mark(mark) => {
                self.shared.cache.remove(id);
                if let Some(finished) = ledger.mark(&mark) {
                    ledger.touch(finished.generation, self.shared.clock.now());
                    self.doom_bodies(finished.large.then_some(id));
                }
            }
        }
        None
    }

    /// The segment is not trusted any more: the next records go to another.
    fn failed(&mut self, head: Head, from: u64, part: Batch, error: std::io::Error) {
        tracing::error!(%error, segment = head.generation, "the spool could not write");
        let error = SpoolError::from(error);
        *self.shared.health.failing.lock() = Some(error.clone());
        self.failures = self.failures.saturating_add(1);
        let accepts = part
            .entries
            .iter()
            .filter(|e| matches!(e.effect, Effect::Accept { .. }));
        let void = Void {
            generation: head.generation,
            from,
            to: head.used,
            refused: accepts.map(|entry| entry.id).collect(),
        };
        self.owe_void(&void, large(&part));
        self.settle_failed(part, &error);
        self.previous = Start {
            previous: head.generation,
            sealed: false,
        };
        if head.start.is_some()
            && let Some(segment) = self.shared.ledger.lock().remove_segment(head.generation)
        {
            // Nothing acknowledged is in it; its next use has a generation of its own.
            self.recycle(Spare {
                file: segment.file,
                path: segment.path,
                size: segment.size,
            });
            self.previous.previous = 0;
        }
    }

    /// Refuses accepts; keeps everything else to be written again.
    fn settle_failed(&mut self, part: Batch, error: &SpoolError) {
        let (mut refused, mut owed) = part.partition(brings_mail);
        for entry in &mut refused.entries {
            self.shared
                .queue
                .settled(std::mem::take(&mut entry.permits));
            entry.tell(Err(error.clone()));
        }
        for entry in &mut owed.entries {
            entry.failures = entry.failures.saturating_add(1);
            if entry.failures >= PATIENCE {
                self.shared
                    .queue
                    .settled(std::mem::take(&mut entry.permits));
                entry.tell(Err(error.clone()));
            }
        }
        self.owed.extend(owed);
    }

    fn doom_bodies(&self, of: impl IntoIterator<Item = MessageId>) {
        let (pool, layout) = (&self.shared.pool, &self.shared.layout);
        of.into_iter().for_each(|id| pool.doom(layout.body(id)));
    }

    fn owe_void(&mut self, void: &Void, bodies: Vec<MessageId>) {
        if let Ok(meta) = postcard::to_allocvec(void) {
            let now = self.shared.clock.now();
            let draw = Draw::state(Kind::Void, self.shared.ids.last(), now, &meta);
            let mut first = Batch::default();
            first.push(&draw, Effect::Void(bodies));
            first.extend(std::mem::take(&mut self.owed));
            self.owed = first;
        }
    }

    fn recovered(&mut self) {
        if std::mem::take(&mut self.failures) > 0 {
            tracing::info!("the spool writes again");
        }
        *self.shared.health.failing.lock() = None;
    }

    /// Ends the head and begins a segment.
    fn turn(&mut self, accepts: bool) -> Result<(), NoSpare> {
        // One spare is kept back, so that outcomes can be recorded when no mail comes in any more; unless leaving the
        // head gives one back at once.
        let reserve = accepts && !self.shared.ledger.lock().all_dead();
        let spare = self.shared.pool.take(usize::from(reserve))?;
        if let Some(head) = self.head.take() {
            self.previous = Start {
                previous: head.generation,
                sealed: self.seal(&head),
            };
        }
        let head = Head {
            generation: self.next_generation,
            salt: rand::random(),
            file: spare.file,
            size: spare.size,
            used: 0,
            start: None,
        };
        self.next_generation += 1;
        self.begin(head, spare.path);
        Ok(())
    }

    /// Writes the end record. Without it start-up checks every record of the segment.
    fn seal(&self, head: &Head) -> bool {
        let mut end = Vec::new();
        Draw::state(
            Kind::End,
            self.shared.ids.last(),
            self.shared.clock.now(),
            &[],
        )
        .append(&mut end);
        stamp(&mut end, self.stamp_at(head, head.used));
        self.put(head, &end, head.used).is_ok()
    }

    /// Makes the start record, which is written and synced with the first batch.
    fn begin(&mut self, mut head: Head, path: std::path::PathBuf) {
        let segment = Segment {
            file: Arc::clone(&head.file),
            path,
            size: head.size,
            salt: head.salt,
            used: 0,
            live: 0,
            live_octets: 0,
            touched: self.shared.clock.now(),
        };
        self.shared
            .ledger
            .lock()
            .add_segment(head.generation, segment);
        let mut start = Vec::new();
        let meta = postcard::to_allocvec(&self.previous).unwrap_or_default();
        Draw::state(
            Kind::Start,
            self.shared.ids.last(),
            self.shared.clock.now(),
            &meta,
        )
        .append(&mut start);
        stamp(&mut start, self.stamp_at(&head, 0));
        head.used = start.len() as u64;
        head.start = Some(start);
        self.head = Some(head);
    }

    /// What follows from a batch: segments that are empty now, or worth emptying.
    fn after(&mut self) {
        self.leave_dead_head();
        self.shared
            .health
            .room
            .store(self.head.as_ref().map_or(0, Head::room), Ordering::Relaxed);
        let Some(head) = self.head.as_ref().map(|head| head.generation) else {
            return;
        };
        // Where room is short, mail matters more than events.
        let short = !self.shared.pool.has_room() || self.shared.health.low.load(Ordering::Relaxed);
        let rest = if short { Duration::ZERO } else { WINDOW };
        let mut ledger = self.shared.ledger.lock();
        let freed = ledger.free_before(head, self.shared.clock.now(), rest);
        let compact = ledger.worth_compacting(head, LEAST_SEGMENTS);
        drop(ledger);
        if !freed.is_empty() {
            self.retired.extend(freed);
            let draw = Draw::state(
                Kind::Note,
                self.shared.ids.last(),
                self.shared.clock.now(),
                &[],
            );
            self.owed.push(&draw, Effect::None);
        }
        if let Some(generation) = compact {
            self.orders.give(generation);
        }
    }

    /// On a full disk a head without live messages is worth more as a spare.
    fn leave_dead_head(&mut self) {
        let worn = self
            .head
            .as_ref()
            .is_some_and(|head| head.room() < head.size / 2);
        if worn && !self.shared.pool.has_room() && self.shared.ledger.lock().all_dead() {
            // Without a spare the head stays as it is.
            let _stays = self.turn(false);
        }
    }

    /// A file without value goes back to the spares, where it has the size that is wanted now.
    fn recycle(&self, spare: Spare) {
        if spare.size == self.shared.config.segment_size.0 {
            self.shared.pool.give(spare);
        } else {
            self.shared.pool.doom(spare.path);
        }
    }
}

/// Zeros to write behind `len` octets, so that the last page is written whole: the kernel would read the rest of it from
/// the disk first. Nothing of this use of the segment is there yet.
fn padding(head: &Head, len: usize) -> usize {
    let end = head.used + len as u64;
    let whole = end.next_multiple_of(PAGE).min(head.size.max(end));
    usize::try_from(whole - end).unwrap_or(0)
}

/// Messages of a batch whose body is a file of its own.
fn large(batch: &Batch) -> Vec<MessageId> {
    let large = |entry: &&Entry| matches!(entry.effect, Effect::Accept { large: true, .. });
    let entries = batch.entries.iter().filter(large);
    entries.map(|entry| entry.id).collect()
}

/// Records that are refused when they cannot be written; all others are facts.
fn brings_mail(entry: &Entry) -> bool {
    matches!(
        entry.effect,
        Effect::Accept { .. } | Effect::Move(_) | Effect::Close
    )
}

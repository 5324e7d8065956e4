//! Start-up: reads the log, cleans up what a crash left, reports what is damaged.
//!
//! The log is gone over twice: to learn what is live, then for the envelopes of that (all of them at once would take
//! more memory than the queue). Of sealed segments only headers and metas are read, about 200 octets a record, by four
//! threads. What limits a start:
//!
//! - Where the log is in the page cache: the processor, 6 to 8 µs of it a waiting message, spread over the cores. The
//!   two reads of its meta are half of that, decoding and the ledger the rest.
//! - Where it is not: the disk's rate of sequential reads. The kernel is told to read whole segments, because what lies
//!   between two metas costs less than to seek over it: a million messages of 10 KB are 10.4 GB. Where memory is too
//!   small to keep them until the second time, twice that.

use super::committer::{Head, Resume};
use super::disk::{self, Layout, create};
use super::ledger::{Known, Ledger, Place};
use super::queue::{Batch, Effect};
use super::read::Records;
use super::record::{Draw, Kind, Start, UNIT, Void};
use super::replay::{Arrival, Hole, Replay, SegmentFile, WINDOW};
use super::{Meta, Stored, read, readers};
use crate::mail::{Disposition, MessageId};
use crate::units::Timestamp;
use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Messages that a reader hands over at once.
const PIECE: usize = 256;
/// Octets of their records, which bound what their envelopes take.
const PIECE_OCTETS: u64 = 1 << 20;
/// Messages so many octets apart are read faster with all that lies between them.
const NEAR: u64 = 256 << 10;

/// Why a spool cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the spool {0} is in use by another process")]
    Locked(PathBuf),
    #[error("the spool {path} cannot be opened: {error}")]
    Io {
        path: PathBuf,
        error: std::io::Error,
    },
}

/// What start-up found.
#[derive(Debug, Default)]
pub struct RecoveryReport {
    /// The daemon had closed the spool; otherwise it was killed, or the machine stopped.
    pub clean: bool,
    /// Live messages.
    pub messages: usize,
    pub segments: usize,
    /// Damaged parts. Nothing of them was acknowledged as delivered or lost silently: see each.
    pub damages: Vec<Damage>,
    /// Octets of the write that was under way at the stop; never acknowledged, so no loss.
    pub torn: u64,
    /// Messages accepted shortly before an unclean stop, whatever became of them since, for the same reason.
    pub arrivals: Vec<Arrived>,
    /// Final outcomes recorded shortly before an unclean stop, so that the caller can check that the event log has
    /// them.
    pub finals: Vec<Final>,
    /// Files that belonged to no message and were removed.
    pub removed: usize,
}

/// A damaged part of the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where, for people.
    pub place: String,
    pub bytes: u64,
    pub why: String,
    /// The message it is about, where that can be read.
    pub id: Option<MessageId>,
    /// The message is live all the same; reading its content will fail.
    pub listed: bool,
    /// A copy of the damaged octets.
    pub aside: Option<PathBuf>,
}

/// A message that came in.
#[derive(Debug, Clone)]
pub struct Arrived {
    pub meta: Arc<Meta>,
    /// Octets of header section and body.
    pub size: u64,
    pub at: Timestamp,
}

/// A recipient's final outcome.
#[derive(Debug, Clone)]
pub struct Final {
    pub id: MessageId,
    pub recipient: u16,
    pub attempts: u16,
    pub disposition: Disposition,
    /// An earlier attempt was never answered: this delivery may be the second.
    pub in_doubt: bool,
    /// `None` where the message's segment is already used again.
    pub meta: Option<Arc<Meta>>,
    pub at: Timestamp,
}

/// Takes the lock of the spool, shared for readers.
pub fn lock(layout: &Layout, shared: bool) -> Result<File, OpenError> {
    let path = layout.lock();
    let open = || -> std::io::Result<File> {
        if shared {
            return File::open(&path);
        }
        match create(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                File::options().read(true).write(true).open(&path)
            }
            made => made,
        }
    };
    let file = open().map_err(|error| failed(layout, error))?;
    let locked = if shared {
        file.try_lock_shared()
    } else {
        file.try_lock()
    };
    match locked {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(layout.root.clone())),
        Err(TryLockError::Error(error)) => Err(failed(layout, error)),
    }
}

pub fn failed(layout: &Layout, error: std::io::Error) -> OpenError {
    OpenError::Io {
        path: layout.root.clone(),
        error,
    }
}

/// What start-up does with a log that was read.
pub struct Recovery<'a> {
    pub layout: &'a Layout,
    pub now: Timestamp,
    pub replay: Replay,
    pub report: RecoveryReport,
    pub owed: Batch,
}

impl<'a> Recovery<'a> {
    pub fn new(layout: &'a Layout, now: Timestamp, mut replay: Replay) -> Self {
        // Should this start be cut off, the next one has to tell the same.
        replay.ledger.touch_all(now);
        let report = RecoveryReport {
            clean: replay.clean || replay.newest.is_none(),
            torn: replay.torn,
            ..RecoveryReport::default()
        };
        Self {
            layout,
            now,
            replay,
            report,
            owed: Batch::default(),
        }
    }

    /// Settles doubts, sets damage aside, removes what belongs to nobody.
    pub fn clean_up(&mut self) {
        self.doubts();
        self.finals();
        for hole in std::mem::take(&mut self.replay.holes) {
            self.hole(hole);
        }
        self.large_bodies();
        self.report.messages = self.replay.ledger.len();
        self.report.segments = self.replay.newest.map_or(0, |newest| {
            let oldest = self.replay.ledger.oldest().unwrap_or(newest.generation);
            (newest.generation - oldest.min(newest.generation)) as usize + 1
        });
    }

    /// Hands every live message to the caller, in the order of the log. One that cannot be read is reported.
    pub fn tell(&mut self, mut on_message: impl FnMut(Stored)) {
        let (ledger, mut unreadable) = (&self.replay.ledger, Vec::new());
        let messages = ledger.in_order();
        let pieces = pieces(&messages);
        let job = |number: usize, give: &mut dyn FnMut(_)| {
            let piece = pieces.get(number).copied().unwrap_or_default();
            read_ahead(ledger, piece);
            let read = piece.iter().map(|(_, id)| stored(ledger, *id));
            give((piece, read.collect::<Vec<_>>()));
        };
        readers::in_order(pieces.len(), job, |_, (piece, read)| {
            for (message, stored) in piece.iter().zip(read) {
                match stored {
                    Some(stored) => on_message(stored),
                    None => unreadable.push(*message),
                }
            }
        });
        for (place, id) in unreadable {
            self.unreadable(place, id);
        }
    }

    /// Where writing goes on.
    pub fn resume(&mut self) -> Resume {
        let newest = self.replay.newest;
        let next_generation = newest.map_or(1, |newest| newest.generation + 1);
        // Behind a torn write nothing is written: as long as it is the last of its segment, it is known to be torn.
        let open = newest.filter(|newest| !newest.ended && newest.whole);
        let head = open.and_then(|newest| {
            let segment = self.replay.ledger.segment(newest.generation)?;
            Some(Head {
                generation: newest.generation,
                salt: newest.salt,
                file: Arc::clone(&segment.file),
                size: segment.size,
                used: newest.used.max(UNIT as u64),
                start: None,
            })
        });
        let previous = Start {
            previous: newest.map_or(0, |newest| newest.generation),
            sealed: newest.is_some_and(|newest| newest.ended),
        };
        Resume {
            head,
            next_generation,
            previous,
            owed: std::mem::take(&mut self.owed),
        }
    }

    /// An attempt without an outcome, and a message whose 250 may not have reached its client, stay in doubt.
    fn doubts(&mut self) {
        let fresh = std::mem::take(&mut self.replay.fresh).into_iter();
        let last = self.replay.last_at;
        let fresh = fresh.filter(|arrival| !self.report.clean && arrival.at + WINDOW >= last);
        let fresh: Vec<Arrival> = fresh.collect();
        self.arrivals(&fresh);
        let fresh: HashSet<MessageId> = fresh.iter().map(|arrival| arrival.id).collect();
        for (id, doubt) in self.replay.ledger.settle_doubts(|id| fresh.contains(&id)) {
            if let Ok(meta) = postcard::to_allocvec(&doubt) {
                let draw = Draw::state(Kind::Doubt, id, self.now, &meta);
                self.owed.push(&draw, Effect::Doubt(doubt));
            }
        }
    }

    fn arrivals(&mut self, fresh: &[Arrival]) {
        let arrived = fresh.iter().filter_map(|arrival| {
            let file = self.replay.ledger.file(arrival.place)?;
            let (header, accept) = read::accept(&file, arrival.place)?;
            Some(Arrived {
                size: read::size(&header, &accept),
                meta: accept.meta,
                at: arrival.at,
            })
        });
        self.report.arrivals = arrived.collect();
    }

    fn finals(&mut self) {
        if self.report.clean {
            return;
        }
        let last_at = self.replay.last_at;
        for last in std::mem::take(&mut self.replay.finals) {
            if last.at + WINDOW < last_at {
                continue;
            }
            let meta = last.place.and_then(|place| {
                let file = self.replay.ledger.file(place)?;
                read::meta(&file, place)
            });
            self.report.finals.push(Final {
                id: last.id,
                recipient: last.recipient,
                attempts: last.attempts,
                in_doubt: last.in_doubt,
                disposition: last.disposition,
                meta,
                at: last.at,
            });
        }
    }

    /// Reports a damaged part, keeps a copy, and notes in the log that this was done.
    fn hole(&mut self, hole: Hole) {
        let place = hole_place(&hole);
        let file = self.replay.ledger.file(place);
        let aside = file.and_then(|file| read::set_aside(self.layout, &file, place));
        tracing::error!(%place, why = hole.why, id = ?hole.id, ?aside, "damage in the spool");
        self.report.damages.push(Damage {
            aside,
            ..damage(&self.replay.ledger, &hole)
        });
        let void = Void {
            generation: hole.generation,
            from: hole.from,
            to: hole.to,
            refused: Vec::new(),
        };
        if let Ok(meta) = postcard::to_allocvec(&void) {
            let last = self.replay.last_id.unwrap_or(MessageId(0));
            self.owed.push(
                &Draw::state(Kind::Void, last, self.now, &meta),
                Effect::None,
            );
        }
    }

    fn unreadable(&mut self, place: Place, id: MessageId) {
        let file = self.replay.ledger.file(place);
        let aside = file.and_then(|file| read::set_aside(self.layout, &file, place));
        self.replay.ledger.forget(id);
        self.report.damages.push(Damage {
            place: place.to_string(),
            bytes: place.len(),
            why: "the message became unreadable".to_owned(),
            id: Some(id),
            listed: false,
            aside,
        });
    }

    /// Large bodies without a message, and messages without their large body.
    fn large_bodies(&mut self) {
        let mut found = HashSet::new();
        for path in list(&self.layout.large()) {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let id = name
                .strip_suffix(".body")
                .and_then(|id| id.parse::<MessageId>().ok());
            match id {
                Some(id) if self.large(id) => {
                    found.insert(id);
                }
                _ => self.remove(&path, id),
            }
        }
        for (place, id) in self.replay.ledger.large() {
            if !found.contains(&id) {
                self.report.damages.push(Damage {
                    place: format!("{place}, {}", self.layout.body(id).display()),
                    bytes: 0,
                    why: "the file of the message's body is missing".to_owned(),
                    id: Some(id),
                    listed: true,
                    aside: None,
                });
            }
        }
    }

    fn large(&self, id: MessageId) -> bool {
        self.replay
            .ledger
            .get(id)
            .is_some_and(|known: Known| known.large)
    }

    /// With damage in the log a body may belong to a message that cannot be read: then it is kept.
    fn remove(&mut self, path: &Path, id: Option<MessageId>) {
        if let (Some(id), false) = (id, self.report.damages.is_empty()) {
            read::keep_link(path, &self.layout.corrupt().join(format!("{id}.body")));
        }
        if std::fs::remove_file(path).is_ok() {
            self.report.removed += 1;
        }
    }
}

/// Segments that were being made when the daemon stopped.
pub fn remove_unfinished(layout: &Layout) {
    for path in list(&layout.root) {
        if path.extension().is_some_and(|extension| extension == "new") {
            let _left = std::fs::remove_file(path);
        }
    }
}

/// A number for segment files that none has.
pub fn next_number(files: &[SegmentFile]) -> u64 {
    files
        .iter()
        .map(|file| file.number.saturating_add(1))
        .max()
        .unwrap_or(0)
}

/// A damaged part as it is reported.
pub fn damage(ledger: &Ledger, hole: &Hole) -> Damage {
    Damage {
        place: hole_place(hole).to_string(),
        bytes: hole.to - hole.from,
        why: hole.why.to_owned(),
        id: hole.id,
        listed: hole.message_known && hole.id.is_some_and(|id| ledger.contains(id)),
        aside: None,
    }
}

fn hole_place(hole: &Hole) -> Place {
    Place::new(hole.generation, hole.from, hole.to - hole.from)
}

/// A live message, as its record and the ledger have it.
pub fn stored(ledger: &Ledger, id: MessageId) -> Option<Stored> {
    let known = ledger.get(id)?;
    let file = ledger.file(known.place)?;
    stored_at(&file, known)
}

pub fn stored_at(file: &impl Records, known: Known) -> Option<Stored> {
    let (header, accept) = read::accept(file, known.place)?;
    Some(Stored {
        size: read::size(&header, &accept),
        meta: accept.meta,
        progress: known.progress,
        held: known.held,
    })
}

/// Messages to be read at once: of one segment, and no more than there is memory for however many recipients they have.
fn pieces(messages: &[(Place, MessageId)]) -> Vec<&[(Place, MessageId)]> {
    let (mut pieces, mut rest) = (Vec::new(), messages);
    while let Some((first, _)) = rest.first() {
        let mut octets = 0;
        let fits = |(place, _): &&(Place, MessageId)| {
            octets += place.len();
            place.generation == first.generation && octets <= PIECE_OCTETS
        };
        let count = rest.iter().take(PIECE).take_while(fits).count();
        let (piece, behind) = rest.split_at(count.max(1));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// Messages of one segment, in order, are about to be read. After a start-up with much memory they still are in it.
fn read_ahead(ledger: &Ledger, messages: &[(Place, MessageId)]) {
    let (Some((first, _)), Some((last, _))) = (messages.first(), messages.last()) else {
        return;
    };
    let (from, to) = (first.offset(), last.offset() + last.len());
    if to - from > messages.len() as u64 * NEAR {
        return;
    }
    if let Some(file) = ledger.file(*first) {
        disk::read_ahead(&file, from, to);
    }
}

fn list(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

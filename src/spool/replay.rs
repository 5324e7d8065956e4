//! Rebuilding the ledger from the log. Reads only; what follows from it is done by `recovery`.
//!
//! Segments are read and decoded by several threads; what they say counts in the order of the log.

use super::disk::Layout;
use super::ledger::{self, Ledger, Place};
use super::record::{Header, Kind, Start, Void};
use super::steps::{self, Said, Segment, Step};
use super::walk::{Found, Walk, identify};
use super::{Mark, read, readers};
use crate::mail::{Disposition, MessageId};
use crate::units::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What happened so shortly before an unclean stop may not have reached the client or the event log.
pub const WINDOW: Duration = Duration::from_secs(2);

/// A segment file as found.
#[derive(Debug)]
pub struct SegmentFile {
    pub number: u64,
    pub path: PathBuf,
    pub file: Arc<File>,
    pub size: u64,
    /// Its latest use; `None` was never used.
    pub latest: Option<Header>,
}

/// A part of the log that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    pub generation: u32,
    pub from: u64,
    pub to: u64,
    pub id: Option<MessageId>,
    pub why: &'static str,
    /// The message is known all the same; only its content is damaged.
    pub message_known: bool,
}

/// A final outcome shortly before the end of the log.
#[derive(Debug)]
pub struct Last {
    pub at: Timestamp,
    pub id: MessageId,
    pub recipient: u16,
    pub attempts: u16,
    pub disposition: Disposition,
    pub in_doubt: bool,
    pub place: Option<Place>,
}

/// A message accepted shortly before the end of the log.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    pub at: Timestamp,
    pub id: MessageId,
    pub place: Place,
}

/// What the log says.
#[derive(Default)]
pub struct Replay {
    pub ledger: Ledger,
    pub holes: Vec<Hole>,
    /// Octets of writes that were under way at the stop: never acknowledged.
    pub torn: u64,
    pub finals: VecDeque<Last>,
    /// Messages accepted shortly before the end.
    pub fresh: VecDeque<Arrival>,
    /// The last record says so.
    pub clean: bool,
    pub last_id: MessageIdOrNone,
    /// Of the last record that a caller asked for. What a start writes does not count: were that start killed too, what
    /// the kill before it swallowed would be too old to be told.
    pub last_at: Timestamp,
    /// Files whose use is over, or that were never used.
    pub spare: Vec<SegmentFile>,
    pub newest: Option<Newest>,
}

pub type MessageIdOrNone = Option<MessageId>;

/// The segment written last.
#[derive(Debug, Clone, Copy)]
pub struct Newest {
    pub generation: u32,
    pub salt: u32,
    pub used: u64,
    pub ended: bool,
    /// Everything in it could be read.
    pub whole: bool,
}

/// The segment files of a spool.
pub fn files(layout: &Layout, write: bool) -> io::Result<Vec<SegmentFile>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&layout.root)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name
            .and_then(|n| n.strip_suffix(".seg"))
            .and_then(|n| n.parse().ok());
        let Some(number) = number else {
            continue;
        };
        let file = File::options().read(true).write(write).open(&path)?;
        let size = file.metadata()?.len();
        found.push(SegmentFile {
            number,
            path,
            latest: identify(&file, size),
            file: Arc::new(file),
            size,
        });
    }
    Ok(found)
}

/// Reads the log.
pub fn replay(files: Vec<SegmentFile>) -> Replay {
    let mut out = Replay::default();
    let mut uses: BTreeMap<u32, SegmentFile> = BTreeMap::new();
    for file in files {
        match file.latest {
            None => out.spare.push(file),
            Some(header) => {
                // Two files of one generation cannot come up; should they, neither is thrown away.
                if let Some(other) = uses.insert(header.generation, file) {
                    tracing::error!(file = %other.path.display(), "two segments claim one generation");
                }
            }
        }
    }
    let needed = oldest_needed(&uses);
    let live = uses.split_off(&needed);
    out.spare.extend(uses.into_values());
    let sealed = sealed_uses(&live);
    out.missing(needed, &live);
    let segments: Vec<_> = live
        .into_iter()
        .map(|(generation, file)| Segment {
            salt: file.latest.map_or(0, |header| header.salt),
            sealed: sealed.contains(&generation),
            generation,
            file,
        })
        .collect();
    out.follow(&segments);
    out
}

/// The oldest generation that the newest records still count on. Older files are done with, whatever is in them.
fn oldest_needed(uses: &BTreeMap<u32, SegmentFile>) -> u32 {
    let Some((generation, file)) = uses.last_key_value() else {
        return 0;
    };
    let salt = file.latest.map_or(0, |header| header.salt);
    let mut walk = Walk::sealed(Arc::clone(&file.file), file.size, *generation, salt);
    let mut needed = 0;
    while let Some(found) = walk.next() {
        if let Found::Record(record) = found {
            needed = needed.max(generation.saturating_sub(record.header.back));
        }
    }
    needed
}

/// Generations whose successor says that they were ended in order.
fn sealed_uses(live: &BTreeMap<u32, SegmentFile>) -> Vec<u32> {
    let starts = live
        .iter()
        .filter_map(|(generation, file)| start(*generation, file));
    starts
        .filter(|start| start.sealed)
        .map(|start| start.previous)
        .collect()
}

fn start(generation: u32, file: &SegmentFile) -> Option<Start> {
    let header = file.latest.filter(|header| header.kind == Kind::Start)?;
    // What the header claims may be more than there is.
    let place = Place::new(generation, 0, header.len().min(file.size));
    let (_, meta) = read::header_and_meta(&file.file, place)?;
    postcard::from_bytes(&meta).ok()
}

impl Replay {
    /// Segments that later ones name but that are not there.
    fn missing(&mut self, needed: u32, live: &BTreeMap<u32, SegmentFile>) {
        for (generation, file) in live {
            let previous = start(*generation, file).map_or(0, |start| start.previous);
            if previous >= needed.max(1) && !live.contains_key(&previous) {
                self.holes.push(Hole {
                    generation: previous,
                    from: 0,
                    to: 0,
                    id: None,
                    why: "the segment's file is missing",
                    message_known: false,
                });
            }
        }
    }

    /// Lets everything count that the segments say.
    fn follow(&mut self, segments: &[Segment]) {
        let job = |number: usize, give: &mut dyn FnMut(Vec<Step>)| {
            if let Some(segment) = segments.get(number) {
                steps::read(segment, give);
            }
        };
        let mut progress = Progress::default();
        readers::in_order(segments.len(), job, |number, steps| {
            let Some(segment) = segments.get(number) else {
                return;
            };
            self.add_segment(segment);
            for step in steps {
                self.step(segment, &mut progress, step);
            }
        });
    }

    fn add_segment(&mut self, segment: &Segment) {
        if self.ledger.segment(segment.generation).is_some() {
            return;
        }
        let new = ledger::Segment {
            file: Arc::clone(&segment.file.file),
            path: segment.file.path.clone(),
            size: segment.file.size,
            salt: segment.salt,
            used: 0,
            live: 0,
            live_octets: 0,
            touched: Timestamp::default(),
        };
        self.ledger.add_segment(segment.generation, new);
    }

    fn step(&mut self, segment: &Segment, progress: &mut Progress, step: Step) {
        let generation = segment.generation;
        match step {
            Step::Damage { from, to, header } => {
                progress.used = to;
                progress.damaged = true;
                if let Some(header) = header {
                    progress.last_batch = batch_offset(&header);
                }
                progress.holes.push(hole(generation, from, to, header));
            }
            Step::Record {
                offset,
                header,
                content_whole,
                said,
            } => {
                progress.last_batch = batch_offset(&header);
                progress.used = offset + header.len();
                progress.damaged |= !content_whole;
                let place = Place::new(generation, offset, header.len());
                let bad = self.record(place, header, content_whole, said);
                progress.holes.extend(bad);
            }
            Step::End { ended } => self.end(segment, std::mem::take(progress), ended),
        }
    }

    fn end(&mut self, segment: &Segment, progress: Progress, ended: bool) {
        let at = Timestamp::default();
        self.ledger.set_used(segment.generation, progress.used, at);
        self.newest = Some(Newest {
            generation: segment.generation,
            salt: segment.salt,
            used: progress.used,
            ended,
            whole: !progress.damaged,
        });
        for hole in progress.holes {
            self.settle_hole(hole, !segment.sealed && !ended, progress.last_batch);
        }
    }

    /// Damage in the last write of a segment that was never ended is no loss: that write was not acknowledged.
    fn settle_hole(&mut self, hole: Hole, unsealed: bool, last_batch: u64) {
        if !(unsealed && hole.from >= last_batch) {
            self.holes.push(hole);
            return;
        }
        self.torn += hole.to - hole.from;
        if let (true, Some(id)) = (hole.message_known, hole.id) {
            let place = self.ledger.place(id);
            let here =
                place.is_some_and(|p| p.generation == hole.generation && p.offset() == hole.from);
            if here {
                self.never_came(id);
            }
        }
    }

    /// Lets a record count; what is wrong with it comes back.
    fn record(
        &mut self,
        place: Place,
        header: Header,
        content_whole: bool,
        said: Option<Said>,
    ) -> Option<Hole> {
        self.last_id = self.last_id.max(Some(header.id));
        self.clean = header.kind == Kind::Close;
        let (from, to) = (place.offset(), place.offset() + header.len());
        let mut bad = hole(place.generation, from, to, Some(header));
        if header.kind == Kind::Move && !content_whole && self.ledger.contains(header.id) {
            // The original is still there, and better than a copy that was cut short.
            bad.why = "a copy of the message is damaged; the original is used";
            return Some(bad);
        }
        let Some(said) = said else {
            bad.why = "the record is of a kind or form that this version cannot read";
            return Some(bad);
        };
        if said.is_of_callers() {
            self.last_at = header.at;
        }
        self.apply(place, &header, said);
        bad.message_known = true;
        bad.why = "the message's content does not match its checksum";
        (!content_whole).then_some(bad)
    }

    fn apply(&mut self, place: Place, header: &Header, said: Said) {
        match said {
            Said::Nothing => {}
            Said::Accept { recipients, large } => {
                self.ledger.accept(header.id, place, recipients, large);
                let (at, id) = (header.at, header.id);
                self.fresh.push_back(Arrival { at, id, place });
                self.prune();
            }
            Said::Move { large, folded } => self.ledger.moved(header.id, place, large, folded),
            Said::Doubt(doubt) => self.ledger.doubt(header.id, &doubt),
            Said::Hold(why) => self.ledger.hold(header.id, why),
            Said::Mark(mark) => self.mark(mark, header.at),
            Said::Void(void) => self.void(&void),
        }
    }

    fn mark(&mut self, mark: Mark, at: Timestamp) {
        let place = self.ledger.place(mark.id);
        for (recipient, attempts, disposition) in &mark.outcomes {
            if disposition.is_final() {
                self.finals.push_back(Last {
                    in_doubt: self.ledger.is_in_doubt(mark.id, *recipient, *attempts),
                    at,
                    id: mark.id,
                    recipient: *recipient,
                    attempts: *attempts,
                    disposition: disposition.clone(),
                    place,
                });
            }
        }
        let _finished = self.ledger.mark(&mark);
        self.prune();
    }

    fn void(&mut self, void: &Void) {
        for id in &void.refused {
            self.never_came(*id);
        }
        let inside = |hole: &Hole| {
            hole.generation == void.generation && void.from <= hole.from && hole.to <= void.to
        };
        self.holes.retain(|hole| !inside(hole));
    }

    /// A message that was refused, or not written whole.
    fn never_came(&mut self, id: MessageId) {
        self.ledger.forget(id);
        self.fresh.retain(|arrival| arrival.id != id);
    }

    fn prune(&mut self) {
        let last = self.last_at;
        let old = |at: Timestamp| at + WINDOW < last;
        while self.fresh.front().is_some_and(|fresh| old(fresh.at)) {
            self.fresh.pop_front();
        }
        while self.finals.front().is_some_and(|last| old(last.at)) {
            self.finals.pop_front();
        }
    }
}

/// How far a segment has been followed.
#[derive(Default)]
struct Progress {
    used: u64,
    last_batch: u64,
    damaged: bool,
    holes: Vec<Hole>,
}

fn batch_offset(header: &Header) -> u64 {
    u64::from(header.batch) * super::record::UNIT as u64
}

fn hole(generation: u32, from: u64, to: u64, header: Option<Header>) -> Hole {
    Hole {
        generation,
        from,
        to,
        id: header.map(|header| header.id),
        why: "no readable record",
        message_known: false,
    }
}

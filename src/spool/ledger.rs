//! What the spool knows in memory: where each live message is, how far its recipients have come, what each segment
//! still holds. Start-up and the running committer change it by the same functions, in the order of the log.

use super::record::{Doubt, Folded, FoldedRecipient, UNIT};
use super::{Mark, Progress};
use crate::mail::{Disposition, MessageId, Reply};
use crate::tables::{Index, Slab, mix};
use crate::units::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where a record is: the segment's generation, then offset and length in units of 64 octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub generation: u32,
    pub unit: u32,
    pub units: u32,
}

impl Place {
    /// `offset` and `len` are multiples of 64.
    pub fn new(generation: u32, offset: u64, len: u64) -> Self {
        let units = |octets: u64| u32::try_from(octets / UNIT as u64).unwrap_or(u32::MAX);
        Self {
            generation,
            unit: units(offset),
            units: units(len),
        }
    }

    pub fn offset(&self) -> u64 {
        u64::from(self.unit) * UNIT as u64
    }

    pub fn len(&self) -> u64 {
        u64::from(self.units) * UNIT as u64
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "segment {} offset {}", self.generation, self.offset())
    }
}

/// A use of a segment file.
#[derive(Debug, Clone)]
pub struct Segment {
    pub file: Arc<File>,
    pub path: PathBuf,
    pub size: u64,
    pub salt: u32,
    /// Octets written so far.
    pub used: u64,
    pub live: u32,
    pub live_octets: u64,
    /// When a record was last written to it, or a message in it ended.
    pub touched: Timestamp,
}

/// How far one recipient has come, in 24 octets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Track {
    last: Option<Arc<Reply>>,
    until: Timestamp,
    attempts: u16,
    /// The journalled attempt whose outcome is not known yet; 0 is none.
    pending: u16,
    done: bool,
    in_doubt: bool,
}

/// Most messages have one recipient: theirs needs no allocation.
#[derive(Debug)]
enum Tracks {
    One(Track),
    Many(Box<[Track]>),
}

/// One live message.
#[derive(Debug)]
struct Slot {
    id: MessageId,
    place: Place,
    large: bool,
    tracks: Tracks,
}

/// A message as the ledger knows it.
#[derive(Debug, Clone)]
pub struct Known {
    pub place: Place,
    pub large: bool,
    pub progress: Vec<Progress>,
    pub held: Option<Arc<str>>,
}

/// The last recipient of a message got a final outcome.
#[derive(Debug, PartialEq, Eq)]
pub struct Finished {
    pub large: bool,
    /// Of the segment it was in.
    pub generation: u32,
}

#[derive(Debug, Default)]
pub struct Ledger {
    messages: Messages,
    /// Hardly any message is held.
    held: HashMap<MessageId, Arc<str>>,
    segments: BTreeMap<u32, Segment>,
    replies: Replies,
}

impl Ledger {
    pub fn len(&self) -> usize {
        self.messages.slots.len()
    }

    pub fn contains(&self, id: MessageId) -> bool {
        self.messages.get(id).is_some()
    }

    pub fn place(&self, id: MessageId) -> Option<Place> {
        self.messages.get(id).map(|slot| slot.place)
    }

    pub fn get(&self, id: MessageId) -> Option<Known> {
        let slot = self.messages.get(id)?;
        Some(Known {
            place: slot.place,
            large: slot.large,
            progress: slot.tracks().iter().map(Track::progress).collect(),
            held: self.held.get(&id).cloned(),
        })
    }

    /// The segment file that holds `place`.
    pub fn file(&self, place: Place) -> Option<Arc<File>> {
        Some(Arc::clone(&self.segments.get(&place.generation)?.file))
    }

    /// Live messages in the order of the log.
    pub fn in_order(&self) -> Vec<(Place, MessageId)> {
        let slots = self.messages.slots.iter();
        let mut all: Vec<_> = slots.map(|(_, slot)| (slot.place, slot.id)).collect();
        all.sort_unstable();
        all
    }

    /// Live messages with a body in a file of its own, in the order of the log.
    pub fn large(&self) -> Vec<(Place, MessageId)> {
        let slots = self.messages.slots.iter();
        let mut large: Vec<_> = slots
            .filter(|(_, slot)| slot.large)
            .map(|(_, slot)| (slot.place, slot.id))
            .collect();
        large.sort_unstable();
        large
    }

    /// Live messages are looked at in so many parts by who must not hold the ledger for long.
    pub fn parts(&self) -> usize {
        self.messages.slots.chunks()
    }

    /// Live messages of one part that are in a segment, in no order.
    pub fn part_of_segment(&self, part: usize, generation: u32) -> Vec<(Place, MessageId)> {
        let slots = self.messages.slots.chunk(part);
        slots
            .filter(|(_, slot)| slot.place.generation == generation)
            .map(|(_, slot)| (slot.place, slot.id))
            .collect()
    }

    /// Recipients of `id` with one.
    pub fn recipients(&self, id: MessageId) -> usize {
        self.messages.get(id).map_or(0, |slot| slot.tracks().len())
    }

    // Messages, in the order of the log.

    /// A message is durable at `place`.
    pub fn accept(&mut self, id: MessageId, place: Place, recipients: usize, large: bool) {
        let tracks = match recipients {
            1 => Tracks::One(Track::default()),
            n => Tracks::Many(vec![Track::default(); n].into()),
        };
        self.insert(id, place, large, tracks);
        self.held.remove(&id);
    }

    /// A message was copied to `place`; `folded` is all that the log said of it before.
    pub fn moved(&mut self, id: MessageId, place: Place, large: bool, folded: Folded) {
        let mut tracks: Vec<Track> = Vec::with_capacity(folded.recipients.len());
        for recipient in folded.recipients {
            tracks.push(Track {
                last: recipient.last.map(|reply| self.replies.share(&reply)),
                until: recipient.until,
                attempts: recipient.attempts,
                pending: recipient.pending,
                done: recipient.done,
                in_doubt: recipient.in_doubt,
            });
        }
        let tracks = match <[Track; 1]>::try_from(tracks) {
            Ok([one]) => Tracks::One(one),
            Err(many) => Tracks::Many(many.into()),
        };
        self.insert(id, place, large, tracks);
        self.hold(id, folded.held);
    }

    /// What a `Move` record has to carry of `id`.
    pub fn fold(&self, id: MessageId) -> Option<Folded> {
        let slot = self.messages.get(id)?;
        Some(Folded {
            recipients: slot.tracks().iter().map(Track::folded).collect(),
            held: self.held.get(&id).cloned(),
        })
    }

    /// An attempt is about to send its final dot.
    pub fn doubt(&mut self, id: MessageId, doubt: &Doubt) {
        let Some(slot) = self.messages.get_mut(id) else {
            return;
        };
        for position in &doubt.recipients {
            if let Some(track) = slot.tracks_mut().get_mut(usize::from(*position)) {
                track.doubt(doubt.attempt);
            }
        }
    }

    /// Whether an outcome of `attempt` for a recipient may be its second: an earlier attempt was never answered.
    pub fn is_in_doubt(&self, id: MessageId, recipient: u16, attempt: u16) -> bool {
        let track = self
            .messages
            .get(id)
            .and_then(|slot| slot.tracks().get(usize::from(recipient)));
        track.is_some_and(|track| track.in_doubt || track.is_unanswered_by(attempt))
    }

    /// Outcomes came in. A message whose recipients all have a final one is gone.
    pub fn mark(&mut self, mark: &Mark) -> Option<Finished> {
        let slot = self.messages.get_mut(mark.id)?;
        for (position, attempts, disposition) in &mark.outcomes {
            if let Some(track) = slot.tracks_mut().get_mut(usize::from(*position)) {
                track.outcome(*attempts, disposition, &mut self.replies);
            }
        }
        let finished = slot.tracks().iter().all(|track| track.done);
        finished.then(|| self.forget(mark.id)).flatten()
    }

    pub fn hold(&mut self, id: MessageId, why: Option<Arc<str>>) {
        match why.filter(|_| self.contains(id)) {
            Some(why) => self.held.insert(id, why),
            None => self.held.remove(&id),
        };
    }

    /// The message is no longer ours.
    pub fn forget(&mut self, id: MessageId) -> Option<Finished> {
        let slot = self.messages.remove(id)?;
        self.held.remove(&id);
        self.release(slot.place);
        Some(Finished {
            large: slot.large,
            generation: slot.place.generation,
        })
    }

    /// Recipients that an unclean stop left without an answer: all with an open attempt, and those of messages
    /// `fresh` says were accepted just before. They are marked as in doubt for good.
    pub fn settle_doubts(&mut self, fresh: impl Fn(MessageId) -> bool) -> Vec<(MessageId, Doubt)> {
        let open = |slot: &Slot| -> Vec<u16> {
            let all = fresh(slot.id);
            let is_open = |t: &Track| !t.done && (t.pending > 0 || all && !t.in_doubt);
            let tracks = (0u16..).zip(slot.tracks());
            tracks
                .filter(|(_, track)| is_open(track))
                .map(|(position, _)| position)
                .collect()
        };
        let slots = self.messages.slots.iter();
        let doubts = slots.map(|(_, slot)| {
            let doubt = Doubt {
                recipients: open(slot),
                attempt: 0,
            };
            (slot.id, doubt)
        });
        let settled: Vec<_> = doubts
            .filter(|(_, doubt)| !doubt.recipients.is_empty())
            .collect();
        for (id, doubt) in &settled {
            self.doubt(*id, doubt);
        }
        settled
    }

    // Segments.

    pub fn add_segment(&mut self, generation: u32, segment: Segment) {
        self.segments.insert(generation, segment);
    }

    /// Something happened that the event log may not have yet.
    pub fn touch(&mut self, generation: u32, now: Timestamp) {
        if let Some(segment) = self.segments.get_mut(&generation) {
            segment.touched = now;
        }
    }

    /// As [`Ledger::touch`], in every segment.
    pub fn touch_all(&mut self, now: Timestamp) {
        let segments = self.segments.values_mut();
        segments.for_each(|segment| segment.touched = now);
    }

    /// Records were written up to `used`.
    pub fn set_used(&mut self, generation: u32, used: u64, now: Timestamp) {
        if let Some(segment) = self.segments.get_mut(&generation) {
            segment.used = used;
            segment.touched = now;
        }
    }

    pub fn segment(&self, generation: u32) -> Option<&Segment> {
        self.segments.get(&generation)
    }

    pub fn remove_segment(&mut self, generation: u32) -> Option<Segment> {
        self.segments.remove(&generation)
    }

    pub fn oldest(&self) -> Option<u32> {
        self.segments.keys().next().copied()
    }

    /// Takes out the segments before `head` that hold no live message, oldest first and only as far as there is no
    /// gap: what is said of a message stands behind it in the log.
    ///
    /// Those touched less than `rest` before `now` stay: until then the event log may not have what they say.
    pub fn free_before(&mut self, head: u32, now: Timestamp, rest: Duration) -> Vec<Segment> {
        let mut freed = Vec::new();
        while let Some(entry) = self.segments.first_entry() {
            let busy = entry.get().live > 0 || entry.get().touched + rest > now;
            if *entry.key() >= head || busy {
                break;
            }
            freed.push(entry.remove());
        }
        freed
    }

    /// There is one segment, and no live message in it.
    pub fn all_dead(&self) -> bool {
        self.segments.len() == 1 && self.messages.slots.is_empty()
    }

    /// The oldest segment, where over half of a log of at least `least` segments is dead.
    pub fn worth_compacting(&self, head: u32, least: usize) -> Option<u32> {
        let (oldest, segment) = self.segments.first_key_value()?;
        if *oldest >= head || segment.live == 0 {
            return None;
        }
        let sum = |octets: fn(&Segment) -> u64| self.segments.values().map(octets).sum::<u64>();
        let dead_share = sum(|s| s.live_octets) * 2 < sum(|s| s.used);
        (self.segments.len() >= least && dead_share).then_some(*oldest)
    }

    fn insert(&mut self, id: MessageId, place: Place, large: bool, tracks: Tracks) {
        let slot = Slot {
            id,
            place,
            large,
            tracks,
        };
        if let Some(before) = self.messages.insert(slot) {
            self.release(before.place);
        }
        if let Some(segment) = self.segments.get_mut(&place.generation) {
            segment.live += 1;
            segment.live_octets += place.len();
        }
    }

    fn release(&mut self, place: Place) {
        if let Some(segment) = self.segments.get_mut(&place.generation) {
            segment.live = segment.live.saturating_sub(1);
            segment.live_octets = segment.live_octets.saturating_sub(place.len());
        }
    }
}

/// Live messages by id.
#[derive(Debug, Default)]
struct Messages {
    slots: Slab<Slot>,
    index: Index,
}

impl Messages {
    fn find(&self, id: MessageId) -> Option<u32> {
        let is_it = |slot| self.slots.get(slot).is_some_and(|slot| slot.id == id);
        self.index.find(mix(id.0), is_it)
    }

    fn get(&self, id: MessageId) -> Option<&Slot> {
        self.slots.get(self.find(id)?)
    }

    fn get_mut(&mut self, id: MessageId) -> Option<&mut Slot> {
        let slot = self.find(id)?;
        self.slots.get_mut(slot)
    }

    /// Returns what was known under the same id.
    fn insert(&mut self, slot: Slot) -> Option<Slot> {
        if let Some(known) = self.get_mut(slot.id) {
            return Some(std::mem::replace(known, slot));
        }
        let id = slot.id;
        let at = self.slots.insert(slot);
        let slots = &self.slots;
        self.index
            .insert(mix(id.0), at, |slot| hash_of(slots, slot));
        None
    }

    fn remove(&mut self, id: MessageId) -> Option<Slot> {
        let at = self.find(id)?;
        let slots = &self.slots;
        self.index
            .remove(mix(id.0), at, |slot| hash_of(slots, slot));
        self.slots.remove(at)
    }
}

fn hash_of(slots: &Slab<Slot>, at: u32) -> u64 {
    slots.get(at).map_or(0, |slot| mix(slot.id.0))
}

impl Slot {
    fn tracks(&self) -> &[Track] {
        match &self.tracks {
            Tracks::One(track) => std::slice::from_ref(track),
            Tracks::Many(tracks) => tracks,
        }
    }

    fn tracks_mut(&mut self) -> &mut [Track] {
        match &mut self.tracks {
            Tracks::One(track) => std::slice::from_mut(track),
            Tracks::Many(tracks) => tracks,
        }
    }
}

impl Track {
    fn doubt(&mut self, attempt: u16) {
        // A doubt that no outcome has resolved before the next attempt was left by an unclean stop.
        let left = self.pending > 0 && self.pending != attempt;
        self.in_doubt |= left || attempt == 0;
        self.attempts = self.attempts.max(self.pending);
        self.pending = attempt;
    }

    /// An attempt is open, and it is not this one.
    fn is_unanswered_by(&self, attempt: u16) -> bool {
        self.pending > 0 && self.pending != attempt
    }

    fn outcome(&mut self, attempts: u16, disposition: &Disposition, replies: &mut Replies) {
        if self.done {
            return;
        }
        self.in_doubt |= self.is_unanswered_by(attempts);
        self.pending = 0;
        self.attempts = attempts;
        match disposition {
            Disposition::Deferred { until, why } => {
                self.in_doubt |= disposition.leaves_doubt();
                self.until = *until;
                self.last = Some(replies.share(why));
            }
            Disposition::Delivered(_) | Disposition::Bounced { .. } => {
                self.done = true;
                self.last = None;
            }
        }
    }

    fn progress(&self) -> Progress {
        Progress {
            done: self.done,
            attempts: self.attempts,
            until: self.until,
            in_doubt: self.in_doubt,
            last: self.last.clone(),
        }
    }

    fn folded(&self) -> FoldedRecipient {
        FoldedRecipient {
            done: self.done,
            attempts: self.attempts,
            until: self.until,
            in_doubt: self.in_doubt,
            pending: self.pending,
            last: self.last.clone(),
        }
    }
}

/// Equal replies held once: a site that is down says the same of a hundred thousand recipients.
#[derive(Debug, Default)]
struct Replies(HashSet<Arc<Reply>>);

impl Replies {
    const MOST: usize = 1024;

    fn share(&mut self, reply: &Reply) -> Arc<Reply> {
        if let Some(known) = self.0.get(reply) {
            return Arc::clone(known);
        }
        if self.0.len() >= Self::MOST {
            self.0.clear();
        }
        let new = Arc::new(reply.clone());
        self.0.insert(Arc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_message_is_48_octets() {
        // Beside it: 6 to 12 octets of the index, and what its last reply takes where no other message got the same.
        assert_eq!(std::mem::size_of::<Option<Slot>>(), 48);
    }

    #[test]
    fn a_doubt_is_resolved_by_its_own_outcome_only() {
        let deferred = Disposition::Deferred {
            until: Timestamp::from_millis(5),
            why: Reply::said(451, None, "later", "."),
        };
        let mut replies = Replies::default();
        let mut track = Track::default();
        track.doubt(1);
        track.outcome(1, &deferred, &mut replies);
        assert!(!track.progress().in_doubt);
        track.doubt(2);
        track.doubt(3);
        track.outcome(3, &deferred, &mut replies);
        assert!(track.progress().in_doubt, "attempt 2 was never answered");
    }
}

//! What the spool knows in memory: where each live message is, how far its recipients have come, what each segment
//! still holds. Start-up and the running committer change it by the same functions, in the order of the log.

use super::record::{Doubt, Folded, UNIT};
use super::tracks::{Replies, Track, Tracks};
use super::{Mark, Progress};
use crate::mail::MessageId;
use crate::tables::{Indexed, Interned, Name, Slab, mix};
use crate::units::Timestamp;
use std::collections::BTreeMap;
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

/// One live message.
#[derive(Debug)]
struct Slot {
    id: MessageId,
    place: Place,
    /// Why it is held.
    held: Option<Name<str>>,
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
    /// Why messages are held: an operator says the same of all that a command is about.
    reasons: Interned<str>,
    segments: BTreeMap<u32, Segment>,
    replies: Replies,
}

impl Ledger {
    pub fn len(&self) -> usize {
        self.messages.slots().len()
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
            large: slot.tracks.is_large(),
            progress: slot.tracks.all().iter().map(Track::progress).collect(),
            held: self.reason(slot),
        })
    }

    /// The segment file that holds `place`.
    pub fn file(&self, place: Place) -> Option<Arc<File>> {
        Some(Arc::clone(&self.segments.get(&place.generation)?.file))
    }

    /// Live messages in the order of the log.
    pub fn in_order(&self) -> Vec<(Place, MessageId)> {
        let slots = self.messages.slots().iter();
        let mut all: Vec<_> = slots.map(|(_, slot)| (slot.place, slot.id)).collect();
        all.sort_unstable();
        all
    }

    /// Live messages with a body in a file of its own, in the order of the log.
    pub fn large(&self) -> Vec<(Place, MessageId)> {
        let slots = self.messages.slots().iter();
        let mut large: Vec<_> = slots
            .filter(|(_, slot)| slot.tracks.is_large())
            .map(|(_, slot)| (slot.place, slot.id))
            .collect();
        large.sort_unstable();
        large
    }

    /// Live messages are looked at in so many parts by who must not hold the ledger for long.
    pub fn parts(&self) -> usize {
        self.messages.slots().chunks()
    }

    /// Live messages of one part that are in a segment, in no order.
    pub fn part_of_segment(&self, part: usize, generation: u32) -> Vec<(Place, MessageId)> {
        let slots = self.messages.slots().chunk(part);
        slots
            .filter(|(_, slot)| slot.place.generation == generation)
            .map(|(_, slot)| (slot.place, slot.id))
            .collect()
    }

    /// Recipients of `id` with one.
    pub fn recipients(&self, id: MessageId) -> usize {
        let slot = self.messages.get(id);
        slot.map_or(0, |slot| slot.tracks.all().len())
    }

    // Messages, in the order of the log.

    /// A message is durable at `place`.
    pub fn accept(&mut self, id: MessageId, place: Place, recipients: usize, large: bool) {
        self.insert(id, place, Tracks::fresh(recipients, large));
    }

    /// A message was copied to `place`; `folded` is all that the log said of it before.
    pub fn moved(&mut self, id: MessageId, place: Place, large: bool, folded: Folded) {
        let recipients = folded.recipients.into_iter();
        let tracks = recipients.map(|recipient| Track::unfolded(recipient, &mut self.replies));
        let tracks = Tracks::of(tracks.collect(), large);
        self.insert(id, place, tracks);
        self.hold(id, folded.held);
    }

    /// What a `Move` record has to carry of `id`.
    pub fn fold(&self, id: MessageId) -> Option<Folded> {
        let slot = self.messages.get(id)?;
        Some(Folded {
            recipients: slot.tracks.all().iter().map(Track::folded).collect(),
            held: self.reason(slot),
        })
    }

    /// An attempt is about to send its final dot.
    pub fn doubt(&mut self, id: MessageId, doubt: &Doubt) {
        let Some(slot) = self.messages.get_mut(id) else {
            return;
        };
        for position in &doubt.recipients {
            if let Some(track) = slot.tracks.all_mut().get_mut(usize::from(*position)) {
                track.doubt(doubt.attempt);
            }
        }
    }

    /// Whether an outcome of `attempt` for a recipient may be its second: an earlier attempt was never answered.
    pub fn is_in_doubt(&self, id: MessageId, recipient: u16, attempt: u16) -> bool {
        let track = self
            .messages
            .get(id)
            .and_then(|slot| slot.tracks.all().get(usize::from(recipient)));
        track.is_some_and(|track| track.is_in_doubt(attempt))
    }

    /// Outcomes came in. A message whose recipients all have a final one is gone.
    pub fn mark(&mut self, mark: &Mark) -> Option<Finished> {
        let slot = self.messages.get_mut(mark.id)?;
        for (position, attempts, disposition) in &mark.outcomes {
            if let Some(track) = slot.tracks.all_mut().get_mut(usize::from(*position)) {
                track.outcome(*attempts, disposition, &mut self.replies);
            }
        }
        let finished = slot.tracks.all().iter().all(Track::is_done);
        finished.then(|| self.forget(mark.id)).flatten()
    }

    pub fn hold(&mut self, id: MessageId, why: Option<Arc<str>>) {
        let Some(slot) = self.messages.get_mut(id) else {
            return;
        };
        let held = why.map(|why| self.reasons.share(&why));
        let before = std::mem::replace(&mut slot.held, held);
        self.let_go(before);
    }

    /// As [`Ledger::forget`], of a message that is still at `place`.
    pub fn forget_at(&mut self, id: MessageId, place: Place) -> Option<Finished> {
        (self.place(id)? == place)
            .then(|| self.forget(id))
            .flatten()
    }

    /// The message is no longer ours.
    pub fn forget(&mut self, id: MessageId) -> Option<Finished> {
        let slot = self.messages.remove(id)?;
        self.let_go(slot.held);
        self.release(slot.place);
        Some(Finished {
            large: slot.tracks.is_large(),
            generation: slot.place.generation,
        })
    }

    /// Recipients that an unclean stop left without an answer: all with an open attempt, and those of messages
    /// `fresh` says were accepted just before. They are marked as in doubt for good.
    pub fn settle_doubts(&mut self, fresh: impl Fn(MessageId) -> bool) -> Vec<(MessageId, Doubt)> {
        let open = |slot: &Slot| -> Vec<u16> {
            let is_fresh = fresh(slot.id);
            let tracks = (0u16..).zip(slot.tracks.all());
            tracks
                .filter(|(_, track)| track.is_unanswered(is_fresh))
                .map(|(position, _)| position)
                .collect()
        };
        let slots = self.messages.slots().iter();
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
        self.segments.len() == 1 && self.messages.slots().is_empty()
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

    fn insert(&mut self, id: MessageId, place: Place, tracks: Tracks) {
        let slot = Slot {
            id,
            place,
            held: None,
            tracks,
        };
        if let Some(before) = self.messages.insert(slot) {
            self.let_go(before.held);
            self.release(before.place);
        }
        if let Some(segment) = self.segments.get_mut(&place.generation) {
            segment.live += 1;
            segment.live_octets += place.len();
        }
    }

    fn reason(&self, slot: &Slot) -> Option<Arc<str>> {
        self.reasons.get(slot.held?).cloned()
    }

    fn let_go(&mut self, reason: Option<Name<str>>) {
        if let Some(reason) = reason {
            self.reasons.release(reason);
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
struct Messages(Indexed<Slot>);

impl Messages {
    fn slots(&self) -> &Slab<Slot> {
        self.0.values()
    }

    fn find(&self, id: MessageId) -> Option<u32> {
        self.0.find(mix(id.0), |slot| slot.id == id)
    }

    fn get(&self, id: MessageId) -> Option<&Slot> {
        self.slots().get(self.find(id)?)
    }

    fn get_mut(&mut self, id: MessageId) -> Option<&mut Slot> {
        let slot = self.find(id)?;
        self.0.get_mut(slot)
    }

    /// Returns what was known under the same id.
    fn insert(&mut self, slot: Slot) -> Option<Slot> {
        if let Some(known) = self.get_mut(slot.id) {
            return Some(std::mem::replace(known, slot));
        }
        self.0.insert(slot, |slot| mix(slot.id.0));
        None
    }

    fn remove(&mut self, id: MessageId) -> Option<Slot> {
        let at = self.find(id)?;
        self.0.remove(at, |slot| mix(slot.id.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_message_is_48_octets() {
        // Beside it: its share of the index, and what its last reply takes where no other message got the same.
        assert_eq!(std::mem::size_of::<Option<Slot>>(), 48);
    }

    const PLACE: Place = Place {
        generation: 1,
        unit: 0,
        units: 8,
    };
    const ELSEWHERE: Place = Place {
        generation: 2,
        ..PLACE
    };

    #[test]
    fn a_reason_is_held_once_and_for_as_long_as_a_message_is_held_for_it() {
        let (mut ledger, ids) = (Ledger::default(), [1, 2, 3].map(MessageId));
        for id in ids {
            ledger.accept(id, PLACE, 1, false);
            ledger.hold(id, Some("looks odd".into()));
        }
        let held = |ledger: &Ledger, id| ledger.get(id).unwrap().held;
        let [first, second] = [ids[0], ids[1]].map(|id| held(&ledger, id).unwrap());
        assert!(Arc::ptr_eq(&first, &second));
        let folded = ledger.fold(ids[0]).unwrap();
        ledger.moved(ids[0], ELSEWHERE, false, folded);
        assert_eq!(held(&ledger, ids[0]).as_deref(), Some("looks odd"));
        ledger.hold(ids[0], Some("asked by the sender".into()));
        assert_eq!(
            held(&ledger, ids[0]).as_deref(),
            Some("asked by the sender")
        );
        ledger.hold(ids[0], None);
        ledger.forget(ids[1]);
        ledger.accept(ids[2], ELSEWHERE, 1, false);
        assert_eq!((held(&ledger, ids[0]), held(&ledger, ids[2])), (None, None));
        ledger.hold(ids[1], Some("gone".into()));
        assert!(ledger.reasons.is_empty());
    }

    /// What was handed over to be moved may arrive before its old place is found unreadable.
    #[test]
    fn a_message_is_not_forgotten_for_a_place_that_it_has_left() {
        let (mut ledger, id) = (Ledger::default(), MessageId(1));
        ledger.accept(id, PLACE, 1, true);
        let folded = ledger.fold(id).unwrap();
        ledger.moved(id, ELSEWHERE, true, folded);
        assert_eq!(ledger.forget_at(id, PLACE), None);
        assert!(ledger.contains(id));
        assert!(ledger.forget_at(id, ELSEWHERE).unwrap().large);
        assert!(!ledger.contains(id));
    }
}

//! Copies what is live in the oldest segment to the end of the log, so that the segment can be used again.

use super::ledger::Place;
use super::queue::Move;
use super::read;
use super::record::{Accept, Kind};
use super::shared::Shared;
use super::walk::{Found, Walk};
use crate::mail::MessageId;
use parking_lot::{Condvar, Mutex};
use std::collections::HashSet;
use std::sync::Arc;

/// Which segment to empty.
#[derive(Default)]
pub struct Orders {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    order: Option<u32>,
    busy: bool,
    stop: bool,
}

impl Orders {
    /// Asks for `generation` to be emptied, unless one is being emptied already.
    pub fn give(&self, generation: u32) {
        let mut state = self.state.lock();
        if !state.busy {
            state.busy = true;
            state.order = Some(generation);
            self.changed.notify_all();
        }
    }

    pub fn stop(&self) {
        self.state.lock().stop = true;
        self.changed.notify_all();
    }

    fn next(&self) -> Option<u32> {
        let mut state = self.state.lock();
        loop {
            if state.stop {
                return None;
            }
            if let Some(generation) = state.order.take() {
                return Some(generation);
            }
            self.changed.wait(&mut state);
        }
    }

    fn done(&self) {
        self.state.lock().busy = false;
    }
}

/// Empties segments as ordered until the spool stops.
pub fn run(shared: &Shared, orders: &Orders) {
    while let Some(generation) = orders.next() {
        let more = empty(shared, generation) && shared.queue.moves_taken();
        orders.done();
        if !more {
            return;
        }
    }
}

/// Hands every live message of a segment to the committer. `false` when the spool stops.
fn empty(shared: &Shared, generation: u32) -> bool {
    let Some(segment) = shared.ledger.lock().segment(generation).cloned() else {
        return true;
    };
    let mut walk = Walk::sealed(
        Arc::clone(&segment.file),
        segment.size,
        generation,
        segment.salt,
    );
    let mut handed_over = HashSet::new();
    while let Some(found) = walk.next() {
        let Found::Record(record) = found else {
            continue;
        };
        let place = Place::new(generation, record.offset, record.header.len());
        let live = matches!(record.header.kind, Kind::Accept | Kind::Move)
            && shared.ledger.lock().place(record.header.id) == Some(place);
        if live && let Some(message) = message_at(shared, place) {
            handed_over.insert(message.id);
            if !shared.queue.submit_move(message) {
                return false;
            }
        }
    }
    let mut left = Vec::new();
    let parts = shared.ledger.lock().parts();
    for part in 0..parts {
        left.extend(shared.ledger.lock().part_of_segment(part, generation));
    }
    left.retain(|(_, id)| !handed_over.contains(id));
    left.into_iter()
        .for_each(|(place, id)| give_up_unreadable(shared, place, id));
    true
}

/// The message at `place`; `None` where it cannot be read.
fn message_at(shared: &Shared, place: Place) -> Option<Move> {
    let file = shared.ledger.lock().file(place)?;
    let (header, accept) = read::accept(&file, place)?;
    // Content that is damaged is copied with the checksum that says so.
    let content = read::content_octets(&file, place, &header).ok()?;
    Some(Move {
        from: place,
        tls: header.tls,
        accept: postcard::to_allocvec::<Accept>(&accept).ok()?,
        large: accept.large.is_some(),
        content,
        head_len: header.head_len as usize,
        content_crc: header.content_crc,
        id: header.id,
        at: header.at,
    })
}

/// Gives up a message that is still at `place` where its record became unreadable since start-up: its recipients are
/// not known any more.
fn give_up_unreadable(shared: &Shared, place: Place, id: MessageId) {
    let Some(file) = shared.ledger.lock().file(place) else {
        return;
    };
    if read::accept(&file, place).is_some() || shared.ledger.lock().place(id) != Some(place) {
        return;
    }
    // First: without live messages the segment may be in another use at once.
    let aside = read::set_aside(&shared.layout, &file, place);
    let Some(lost) = shared.ledger.lock().forget_at(id, place) else {
        return;
    };
    tracing::error!(%id, %place, ?aside, "a message became unreadable on disk and is lost; set aside");
    if lost.large {
        let (body, corrupt) = (shared.layout.body(id), shared.layout.corrupt());
        read::keep_link(&body, &corrupt.join(format!("{id}.body")));
        shared.pool.doom(body);
    }
}

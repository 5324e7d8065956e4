//! Copies what is live in the oldest segment to the end of the log, so that the segment can be used again.

use super::ledger::Place;
use super::queue::Move;
use super::read;
use super::record::{Accept, Kind};
use super::shared::Shared;
use super::walk::{Found, Walk};
use parking_lot::{Condvar, Mutex};
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
    while let Some(found) = walk.next() {
        let Found::Record(record) = found else {
            continue;
        };
        let place = Place::new(generation, record.offset, record.header.len());
        let live = matches!(record.header.kind, Kind::Accept | Kind::Move)
            && shared.ledger.lock().place(record.header.id) == Some(place);
        if live && !move_one(shared, place) {
            return false;
        }
    }
    drop_unreadable(shared, generation);
    true
}

fn move_one(shared: &Shared, place: Place) -> bool {
    let Some(file) = shared.ledger.lock().file(place) else {
        return true;
    };
    let Some((header, accept)) = read::accept(&file, place) else {
        return true;
    };
    let (Ok(content), Ok(octets)) = (
        read::content_octets(&file, place, &header),
        postcard::to_allocvec::<Accept>(&accept),
    ) else {
        return true;
    };
    // Content that is damaged is copied with the checksum that says so.
    shared.queue.submit_move(Move {
        from: place,
        accept: octets,
        large: accept.large.is_some(),
        content,
        head_len: header.head_len as usize,
        content_crc: header.content_crc,
        id: header.id,
        at: header.at,
    })
}

/// Messages whose record became unreadable since start-up: their recipients are not known any more.
fn drop_unreadable(shared: &Shared, generation: u32) {
    let mut here = Vec::new();
    let parts = shared.ledger.lock().parts();
    for part in 0..parts {
        here.extend(shared.ledger.lock().part_of_segment(part, generation));
    }
    for (place, id) in here {
        let Some(file) = shared.ledger.lock().file(place) else {
            continue;
        };
        if read::accept(&file, place).is_some() {
            continue;
        }
        let aside = read::set_aside(&shared.layout, &file, place);
        tracing::error!(%id, %place, ?aside, "a message became unreadable on disk and is lost; set aside");
        shared.ledger.lock().forget(id);
    }
}

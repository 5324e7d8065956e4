//! What callers and the spool's own threads share.

use super::cache::Cache;
use super::disk::{Disk, Layout};
use super::ledger::Ledger;
use super::pool::Pool;
use super::queue::Queue;
use super::{Config, SpoolError};
use crate::clock::Clock;
use crate::mail::MessageId;
use parking_lot::Mutex;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub struct Shared {
    pub layout: Layout,
    pub config: Config,
    pub clock: Clock,
    pub disk: Arc<dyn Disk>,
    pub ledger: Mutex<Ledger>,
    pub queue: Queue,
    pub pool: Pool,
    pub cache: Cache,
    pub health: Health,
    pub ids: Ids,
    parts: AtomicU64,
    /// Held for as long as the spool is open, so that no second daemon opens it.
    _lock: File,
}

impl Shared {
    pub fn new(
        layout: Layout,
        config: Config,
        clock: Clock,
        disk: Arc<dyn Disk>,
        start: Begin,
    ) -> Self {
        Self {
            queue: Queue::new(),
            pool: Pool::new(config.ready_segments, config.recycle_segments),
            cache: Cache::new(config.cache.0),
            health: Health::default(),
            ids: Ids(AtomicU64::new(start.last_id.0)),
            parts: AtomicU64::new(0),
            ledger: Mutex::new(start.ledger),
            _lock: start.lock,
            layout,
            config,
            clock,
            disk,
        }
    }

    pub fn next_part(&self) -> u64 {
        self.parts.fetch_add(1, Ordering::Relaxed)
    }

    /// Compares free space with the reserve. Once low, it has to rise by two segments more: those are what taking mail
    /// again is about to use.
    pub fn check_space(&self) {
        let was_low = self.health.low.load(Ordering::Relaxed);
        let more = if was_low {
            2 * self.config.segment_size.0
        } else {
            0
        };
        let low = match self.disk.space(&self.layout.root) {
            Ok(space) => {
                space.bytes < self.config.reserve_space.0.saturating_add(more)
                    || space
                        .inodes
                        .is_some_and(|free| free < self.config.reserve_inodes)
            }
            Err(error) => {
                tracing::warn!(%error, "free space is unknown");
                false
            }
        };
        if low != self.health.low.swap(low, Ordering::Relaxed) {
            if low {
                tracing::warn!("free disk space or inodes below the reserve: new mail is refused");
            } else {
                tracing::info!("free disk space is above the reserve again");
            }
        }
    }

    /// Whether new mail may come in.
    pub fn accepting(&self) -> Result<(), SpoolError> {
        if self.health.closed.load(Ordering::Relaxed) {
            return Err(SpoolError::Closed);
        }
        let room = self.pool.has_room()
            || self.health.room.load(Ordering::Relaxed) > 2 * self.config.inline_limit.0;
        if self.health.low.load(Ordering::Relaxed) || !room {
            return Err(SpoolError::NoSpace);
        }
        self.health.failing.lock().clone().map_or(Ok(()), Err)
    }
}

/// What start-up found.
pub struct Begin {
    pub ledger: Ledger,
    pub last_id: MessageId,
    pub lock: File,
}

/// Why no mail may come in, if so.
#[derive(Default)]
pub struct Health {
    pub low: AtomicBool,
    pub closed: AtomicBool,
    /// Octets left in the segment being written.
    pub room: AtomicU64,
    /// What the last write said, until one succeeds.
    pub failing: Mutex<Option<SpoolError>>,
}

/// The highest id given out.
pub struct Ids(AtomicU64);

/// Low bits of an id that count within a millisecond.
const COUNTER_BITS: u32 = 20;

impl Ids {
    /// An id above all before. Follows the clock; where that stands still or steps back, counts on.
    pub fn next(&self, clock: &Clock) -> MessageId {
        let floor = clock.now().as_millis() << COUNTER_BITS;
        let step = |last: u64| Some(floor.max(last.saturating_add(1)));
        let last = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
        MessageId(floor.max(last.unwrap_or_default().saturating_add(1)))
    }

    pub fn last(&self) -> MessageId {
        MessageId(self.0.load(Ordering::Relaxed))
    }
}

//! Room for connections, over all lanes together.

use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// As many connections as `[delivery] max_connections` says. Who finds no room asks an idle connection to go: one site's
/// idle connections must not keep another's mail waiting.
pub struct Room {
    permits: Semaphore,
    waiting: AtomicUsize,
    go: Notify,
}

/// One more waits for room, as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Room {
    pub fn new(connections: u32) -> Self {
        Self {
            permits: Semaphore::new(connections as usize),
            waiting: AtomicUsize::new(0),
            go: Notify::new(),
        }
    }

    /// Waits for room, first come first served.
    pub async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(permit) = self.permits.try_acquire() {
            return Some(permit);
        }
        let _waiting = Waiting::new(&self.waiting);
        self.go.notify_one();
        self.permits.acquire().await.ok()
    }

    /// Somebody waits: a connection with nothing to send should not stay.
    pub fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Returns when an idle connection is asked to go.
    pub async fn wanted(&self) {
        self.go.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn an_idle_connection_is_asked_to_make_room() {
        let room = Arc::new(Room::new(1));
        let held = room.enter().await;
        assert!(!room.is_wanted());
        let other = tokio::spawn({
            let room = Arc::clone(&room);
            async move { room.enter().await.is_some() }
        });
        room.wanted().await;
        assert!(room.is_wanted());
        drop(held);
        assert!(other.await.unwrap());
        assert!(!room.is_wanted());
    }
}

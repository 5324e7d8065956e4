//! Writes in a row: those that wait are made durable together.

use super::Shelf;
use super::tables::{Fault, Writing};
use crate::store::StoreError;
use parking_lot::Mutex;
use redb::Database;
use std::sync::{Arc, Weak};
use tokio::sync::oneshot;

/// The writes that wait. One thread at a time works on them, and only while there are any.
#[derive(Clone, Default)]
pub(super) struct Lane(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    writes: Vec<Box<dyn Write>>,
    /// A thread is at work and will look here again.
    is_worked: bool,
}

/// Writes in one transaction at most, so that none waits for ever.
const BATCH: usize = 1000;

impl Lane {
    /// Takes a write in, and has it done. What it answers is durable.
    pub(super) fn enter<T: Send + 'static>(
        &self,
        shelf: &Arc<Shelf>,
        act: impl FnOnce(&mut Writing<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, StoreError>> {
        let (answer, answered) = oneshot::channel();
        let write = Pending {
            act: Some(act),
            outcome: None,
            answer,
        };
        let mut waiting = self.0.lock();
        waiting.writes.push(Box::new(write));
        let is_worked = std::mem::replace(&mut waiting.is_worked, true);
        // A runtime that ends drops the worker in the middle of this call, and dropping it takes the lock.
        drop(waiting);
        if !is_worked {
            let worker = Worker {
                lane: self.clone(),
                is_done: false,
            };
            // Weak, so that the last clone of the store that is dropped gives up the file there and then.
            let shelf = Arc::downgrade(shelf);
            // Detached on purpose: it ends when nothing waits, and the runtime waits for it at its own end.
            tokio::task::spawn_blocking(move || worker.run(&shelf));
        }
        answered
    }
}

/// Whoever works on a lane. Should it end before it is done, by a panic or because the runtime ends, the writes that
/// wait are given up rather than left for nobody.
struct Worker {
    lane: Lane,
    is_done: bool,
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.is_done {
            *self.lane.0.lock() = Waiting::default();
        }
    }
}

impl Worker {
    fn run(mut self, shelf: &Weak<Shelf>) {
        while let Some(batch) = self.next() {
            commit(shelf, batch);
        }
    }

    /// What waits; `None` leaves the lane to whoever enters next.
    fn next(&mut self) -> Option<Vec<Box<dyn Write>>> {
        let mut waiting = self.lane.0.lock();
        let n = waiting.writes.len().min(BATCH);
        waiting.is_worked = n > 0;
        self.is_done = n == 0;
        (n > 0).then(|| waiting.writes.drain(..n).collect())
    }
}

/// Does all of `batch` in one transaction, then tells each how it went. Where the store is gone, so is whoever waited.
fn commit(shelf: &Weak<Shelf>, mut batch: Vec<Box<dyn Write>>) {
    let Some(held) = shelf.upgrade() else {
        return;
    };
    let done = held.with(|database| apply(database, &held, &mut batch));
    drop(held);
    for write in batch {
        write.answer(&done);
    }
}

fn apply(database: &Database, shelf: &Shelf, batch: &mut [Box<dyn Write>]) -> Result<(), Fault> {
    let now = shelf.clock.now();
    let transaction = database.begin_write()?;
    {
        let mut tables = Writing::open(&transaction, now)?;
        if shelf.sweep_is_due(now) {
            tables.sweep()?;
        }
        for write in batch {
            write.apply(&mut tables)?;
        }
    }
    // Durability::Immediate is what a transaction has.
    transaction.commit()?;
    Ok(())
}

/// A write that somebody waits for.
trait Write: Send {
    /// Makes the change in the transaction. An error is one of the disk, and ends the transaction.
    fn apply(&mut self, tables: &mut Writing<'_>) -> Result<(), Fault>;
    /// Tells who waits, after the transaction was committed or was not.
    fn answer(self: Box<Self>, committed: &Result<(), StoreError>);
}

struct Pending<T, F> {
    act: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Write for Pending<T, F>
where
    T: Send,
    F: FnOnce(&mut Writing<'_>) -> Result<T, Fault> + Send,
{
    fn apply(&mut self, tables: &mut Writing<'_>) -> Result<(), Fault> {
        let Some(act) = self.act.take() else {
            return Ok(());
        };
        self.outcome = Some(match act(tables) {
            Ok(done) => Ok(done),
            Err(Fault::Value(error)) => Err(error),
            Err(disk) => return Err(disk),
        });
        Ok(())
    }

    fn answer(self: Box<Self>, committed: &Result<(), StoreError>) {
        let answer = match (committed, self.outcome) {
            (Ok(()), Some(outcome)) => outcome,
            (Err(error), _) => Err(error.clone()),
            // Not applied: who waits is told by the dropped sender.
            (Ok(()), None) => return,
        };
        // Who no longer waits needs no answer.
        drop(self.answer.send(answer));
    }
}

//! Takes marks away that have ended, slowly: nobody waits for it, and the store has other things to do.

use super::Suppression;
use super::mark::Mark;
use super::print::MARKS;
use crate::store::{Cell, Seen, StoreError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Between two pieces of the table.
const MINUTE: Duration = Duration::from_secs(60);
/// The table is gone through in a week where that needs no more than [`MOST`] buckets a minute.
const MINUTES: u32 = 7 * 24 * 60;
const MOST: u32 = 2_000;
/// Buckets that are read together.
const STEP: u32 = 100;
/// A mark stays for so long after its end: the clocks of nodes differ.
const GRACE: Duration = Duration::from_secs(86_400);

impl Suppression {
    /// Sweeps a piece of the table each minute, until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let buckets = self.0.printer.buckets();
        let share = (buckets / MINUTES + 1).min(MOST);
        // Anywhere, so that all of it is seen however short the runs of a daemon, and nodes do not go side by side.
        let mut at = rand::random_range(0..buckets);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.clock.sleep(MINUTE) => {}
            }
            let count = share.min(buckets - at);
            // A piece that cannot be read comes round again next week: it must not keep the sweep from the others.
            if let Err(error) = self.sweep(at, count).await {
                tracing::warn!(%error, "suppressions that have ended are not taken away yet");
            }
            at = (at + count) % buckets;
        }
    }

    /// Takes away the marks in `count` buckets from `first` on that ended a day ago or more, where nobody has renewed them
    /// meanwhile; their records stay, for their history. Returns how many went.
    ///
    /// # Errors
    /// The store does not answer: some may be gone.
    pub async fn sweep(&self, first: u32, count: u32) -> Result<u64, StoreError> {
        let end = first.saturating_add(count);
        let (mut at, mut gone) = (first, 0);
        while at < end {
            let step = STEP.min(end - at);
            let buckets = self.0.store.buckets(MARKS, at, step).await?;
            let now = self.0.clock.now();
            let cells = buckets.into_iter().flat_map(|(bucket, fields)| {
                let cell = move |(field, value)| {
                    let table = MARKS;
                    let cell = Cell {
                        table,
                        bucket,
                        field,
                    };
                    (cell, value)
                };
                fields.into_iter().map(cell)
            });
            let is_over = |value: &[u8]| Mark::end(value).is_some_and(|end| end + GRACE <= now);
            let over = cells.filter(|(_, value)| is_over(value));
            let over: Vec<Seen> = over.collect();
            gone += self.0.store.remove_cells(&over).await?;
            at += step;
        }
        Ok(gone)
    }
}

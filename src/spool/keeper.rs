//! The thread that keeps segments ready, deletes files that are done with, and watches free space.

use super::disk::create;
use super::pool::Spare;
use super::shared::Shared;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Between looks at the free space, and between attempts to make a segment on a full disk.
const ROUND: Duration = Duration::from_secs(1);

/// Works until the spool stops. `next` is the first unused number of a segment file.
pub fn run(shared: &Shared, mut next: u64) {
    let mut checked = std::time::Instant::now();
    loop {
        let low = shared.health.low.load(Ordering::Relaxed);
        if low {
            shared.pool.shed();
        }
        let chores = shared.pool.chores(ROUND, low);
        for file in &chores.doomed {
            if let Err(error) = std::fs::remove_file(file) {
                tracing::warn!(file = %file.display(), %error, "could not be deleted");
            }
        }
        if chores.stop {
            return;
        }
        if checked.elapsed() >= ROUND {
            checked = std::time::Instant::now();
            shared.check_space();
        }
        if chores.zero {
            make_one(shared, next);
            next += 1;
        }
    }
}

fn make_one(shared: &Shared, number: u64) {
    match zeroed(shared, number) {
        Ok(spare) => {
            shared.pool.set_full(false);
            shared.pool.give(spare);
        }
        Err(error) => {
            // Told once for each time that it begins.
            if shared.pool.has_room() {
                tracing::warn!(%error, "no further segment can be made");
            }
            shared.pool.set_full(true);
            let _left = std::fs::remove_file(shared.layout.unfinished(number));
        }
    }
}

/// A segment whose every block is written, so that no later write has to change the file's size or its extents.
pub fn zeroed(shared: &Shared, number: u64) -> io::Result<Spare> {
    let (size, unfinished) = (
        shared.config.segment_size.0,
        shared.layout.unfinished(number),
    );
    let file = create(&unfinished)?;
    shared.disk.zero(&file, &unfinished, size)?;
    shared.disk.sync(&file)?;
    let path = shared.layout.segment(number);
    std::fs::rename(unfinished, &path)?;
    shared.disk.sync_names(&shared.layout.root)?;
    Ok(Spare {
        file: Arc::new(file),
        path,
        size,
    })
}

//! Reading at start-up on several threads, what was read in order.

use std::sync::mpsc::sync_channel;
use std::thread;

/// Threads that read: enough that a disk has always something to do while what it gave is decoded.
const READERS: usize = 4;
/// Pieces that a reader may be ahead.
const AHEAD: usize = 8;

/// Does the jobs 0 to `count` on a few threads. Each hands over what it finds, piece by piece; `take` gets the pieces of
/// the first job, then those of the second, and so on. Readers run ahead by a few pieces only.
pub fn in_order<P: Send>(
    count: usize,
    job: impl Fn(usize, &mut dyn FnMut(P)) + Sync,
    mut take: impl FnMut(usize, P),
) {
    let readers = READERS.min(count);
    thread::scope(|scope| {
        let job = &job;
        let lines: Vec<_> = (0..readers)
            .map(|first| {
                let (to, line) = sync_channel(AHEAD);
                scope.spawn(move || {
                    for number in (first..count).step_by(readers) {
                        // Nobody takes it any more only where the taker panics, and then everything ends.
                        job(number, &mut |piece| drop(to.send(Some(piece))));
                        drop(to.send(None));
                    }
                });
                line
            })
            .collect();
        for (number, line) in (0..count).zip(lines.iter().cycle()) {
            while let Ok(Some(piece)) = line.recv() {
                take(number, piece);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_the_order_of_their_jobs_whoever_is_ahead() {
        for count in [0, 1, READERS, 10 * READERS + 1] {
            let mut taken = Vec::new();
            // More pieces than a reader may be ahead, and jobs without any.
            let pieces = |number: usize| number % 3 * AHEAD;
            in_order(
                count,
                |number, give| (0..pieces(number)).for_each(|piece| give((number, piece))),
                |number, piece| taken.push((number, piece)),
            );
            let expected: Vec<_> = (0..count)
                .flat_map(|n| (0..pieces(n)).map(move |piece| (n, (n, piece))))
                .collect();
            assert_eq!(taken, expected);
        }
    }
}

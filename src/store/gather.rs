//! Questions for cells that come at the same time are asked together: while some requests are on their way, what is
//! asked meanwhile gathers for the next.

use super::{Cell, StoreError};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What lies in a cell.
pub(super) type Found = Result<Option<Vec<u8>>, StoreError>;

/// What a question is answered: of each of its cells in order.
pub(super) type Answer = Result<Vec<Option<Vec<u8>>>, StoreError>;

/// The questions that wait. Clones are one.
#[derive(Clone)]
pub(super) struct Gathering(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    /// Requests that may be on their way at a time.
    turns: usize,
}

#[derive(Default)]
struct Waiting {
    questions: VecDeque<Question>,
    /// Those who are asking, and will look here again.
    asking: usize,
}

struct Question {
    cells: Vec<Cell>,
    answer: oneshot::Sender<Answer>,
}

/// Cells in one request, so that none holds up the others for long; one question alone may have more.
const MOST: usize = 1000;

impl Gathering {
    /// With so many requests on their way at a time, at least one.
    pub(super) fn new(turns: usize) -> Self {
        let turns = turns.max(1);
        let waiting = Mutex::default();
        Self(Arc::new(Shared { waiting, turns }))
    }

    /// Takes a question in. Who gets a turn with it must go on until the turn is over; else somebody else will answer.
    pub(super) fn ask(&self, cells: &[Cell]) -> (oneshot::Receiver<Answer>, Option<Turn>) {
        let (answer, answered) = oneshot::channel();
        let cells = cells.to_vec();
        let mut waiting = self.0.waiting.lock();
        waiting.questions.push_back(Question { cells, answer });
        let has_turn = waiting.asking < self.0.turns;
        waiting.asking += usize::from(has_turn);
        drop(waiting);
        let turn = has_turn.then(|| Turn {
            gathering: self.clone(),
            is_over: false,
        });
        (answered, turn)
    }
}

/// The right and the duty to ask for what waits. Should it end before it is over, by a panic or because the runtime
/// ends, and nobody else have one, what waits is given up rather than left for nobody.
pub(super) struct Turn {
    gathering: Gathering,
    is_over: bool,
}

impl Turn {
    /// What to ask next; `None` ends the turn.
    pub(super) fn next(&mut self) -> Option<Batch> {
        let mut waiting = self.gathering.0.waiting.lock();
        // Who no longer waits needs no answer.
        waiting.questions.retain(|q| !q.answer.is_closed());
        let mut batch = Batch::default();
        while let Some(question) = waiting.questions.front() {
            if !batch.fits(question) {
                break;
            }
            let question = waiting.questions.pop_front();
            question.into_iter().for_each(|q| batch.push(q));
        }
        self.is_over = batch.askers.is_empty();
        waiting.asking -= usize::from(self.is_over);
        (!self.is_over).then_some(batch)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut waiting = self.gathering.0.waiting.lock();
        waiting.asking -= 1;
        if waiting.asking == 0 {
            waiting.questions.clear();
        }
    }
}

/// Questions that are asked together.
#[derive(Default)]
pub(super) struct Batch {
    /// All of them in order.
    pub cells: Vec<Cell>,
    /// How many of the cells are whose.
    askers: Vec<(usize, oneshot::Sender<Answer>)>,
}

impl Batch {
    /// Tells each asker what lies in its cells; `found` is in the order of [`Batch::cells`]. What cannot be read is told
    /// to those who asked for it, and to nobody else.
    pub(super) fn answer(self, found: Result<Vec<Found>, StoreError>) {
        let mut found = found.map(Vec::into_iter);
        for (count, answer) in self.askers {
            let told = match &mut found {
                Ok(found) => {
                    let of_it: Vec<Found> = found.take(count).collect();
                    of_it.into_iter().collect()
                }
                Err(error) => Err(error.clone()),
            };
            // Who no longer waits needs no answer.
            drop(answer.send(told));
        }
    }

    fn fits(&self, question: &Question) -> bool {
        self.cells.is_empty() || self.cells.len() + question.cells.len() <= MOST
    }

    fn push(&mut self, question: Question) {
        self.askers.push((question.cells.len(), question.answer));
        self.cells.extend(question.cells);
    }
}

/// Cells with their places among `asked`, those of a bucket together.
pub(super) fn by_bucket(asked: &[Cell]) -> Vec<(usize, &Cell)> {
    let mut cells: Vec<(usize, &Cell)> = asked.iter().enumerate().collect();
    cells.sort_unstable_by_key(|(_, cell)| cell.place());
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(bucket: u32, count: u8) -> Vec<Cell> {
        let cell = |n| Cell {
            table: "mark",
            bucket,
            field: vec![n],
        };
        (0..count).map(cell).collect()
    }

    /// Each cell's field is what lies in it, but bucket 13 cannot be read.
    fn look_up(asked: &[Cell]) -> Vec<Found> {
        let damaged = |cell: &Cell| StoreError::Damaged {
            key: format!("{}/{}", cell.table, cell.bucket),
            why: "unlucky".into(),
        };
        let found = asked.iter().map(|cell| match cell.bucket {
            13 => Err(damaged(cell)),
            _ => Ok(Some(cell.field.clone())),
        });
        found.collect()
    }

    fn take_turn(mut turn: Turn) -> Vec<usize> {
        let mut sizes = Vec::new();
        while let Some(batch) = turn.next() {
            sizes.push(batch.cells.len());
            let found = look_up(&batch.cells);
            batch.answer(Ok(found));
        }
        sizes
    }

    #[test]
    fn what_waits_is_asked_together_and_each_is_told_its_own() {
        let gathering = Gathering::new(1);
        let (mut first, turn) = gathering.ask(&cells(1, 2));
        let (mut second, none) = gathering.ask(&cells(2, 3));
        assert!(none.is_none(), "somebody is at it");
        assert_eq!(take_turn(turn.unwrap()), [5]);
        let fields = |n: u8| (0..n).map(|n| Some(vec![n])).collect::<Vec<_>>();
        assert_eq!(first.try_recv().unwrap().unwrap(), fields(2));
        assert_eq!(second.try_recv().unwrap().unwrap(), fields(3));
        assert!(gathering.ask(&cells(1, 1)).1.is_some(), "the turn is over");
    }

    #[test]
    fn what_cannot_be_read_fails_only_who_asked_for_it() {
        let gathering = Gathering::new(1);
        let (mut fine, turn) = gathering.ask(&cells(1, 2));
        let (mut unlucky, _) = gathering.ask(&cells(13, 1));
        let (mut after, _) = gathering.ask(&cells(2, 1));
        take_turn(turn.unwrap());
        assert!(fine.try_recv().unwrap().is_ok());
        assert!(unlucky.try_recv().unwrap().is_err());
        assert_eq!(after.try_recv().unwrap().unwrap(), [Some(vec![0])]);
    }

    #[test]
    fn requests_are_bounded_and_whoever_left_is_not_asked_for() {
        let gathering = Gathering::new(1);
        let (_first, turn) = gathering.ask(&cells(1, 1));
        let many: Vec<_> = (0..10).map(|n| gathering.ask(&cells(n, 250)).0).collect();
        let (gone, _) = gathering.ask(&cells(1, 99));
        drop(gone);
        let huge: Vec<Cell> = (0..9).flat_map(|_| cells(1, 255)).collect();
        let (_huge, _) = gathering.ask(&huge);
        assert_eq!(take_turn(turn.unwrap()), [751, 1000, 750, 2295]);
        assert_eq!(many.len(), 10);
    }

    #[test]
    fn a_turn_that_ends_early_gives_up_what_nobody_else_will_ask() {
        let gathering = Gathering::new(2);
        let (mut first, one) = gathering.ask(&cells(1, 1));
        let (mut second, two) = gathering.ask(&cells(1, 1));
        drop(one);
        assert!(first.try_recv().is_err() && !first.is_terminated());
        drop(two);
        for answered in [&mut first, &mut second] {
            let told = answered.try_recv();
            assert_eq!(told.unwrap_err(), oneshot::error::TryRecvError::Closed);
        }
        assert!(gathering.ask(&cells(1, 1)).1.is_some(), "a turn is free");
    }
}

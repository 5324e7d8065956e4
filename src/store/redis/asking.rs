//! Cells that are asked for at the same time go in one request: while one is on its way, what is asked meanwhile gathers
//! for the next.

use super::Redis;
use crate::store::{Cell, StoreError};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What waits for its request.
#[derive(Default)]
pub(super) struct Asking(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    questions: Vec<Question>,
    is_asked: bool,
}

struct Question {
    cells: Vec<Cell>,
    answer: oneshot::Sender<Result<Vec<Option<Vec<u8>>>, StoreError>>,
}

/// Cells in one request, so that none holds up Redis for long.
const MOST: usize = 500;

impl Asking {
    pub(super) async fn ask(
        &self,
        redis: &Redis,
        cells: &[Cell],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let is_first = {
            let mut waiting = self.0.lock();
            let cells = cells.to_vec();
            waiting.questions.push(Question { cells, answer });
            !std::mem::replace(&mut waiting.is_asked, true)
        };
        if is_first {
            // Of its own, so that whoever asked may go away without taking the others' answers along.
            tokio::spawn(work(redis.clone(), Arc::clone(&self.0)));
        }
        let gone = |_| {
            redis
                .0
                .link
                .unavailable("the question was given up".to_owned())
        };
        answered.await.map_err(gone)?
    }
}

async fn work(redis: Redis, waiting: Arc<Mutex<Waiting>>) {
    let mut worker = Worker {
        waiting: &waiting,
        is_done: false,
    };
    while let Some(questions) = next(&waiting) {
        let cells: Vec<Cell> = questions.iter().flat_map(|q| q.cells.clone()).collect();
        let found = redis.look_up(&cells).await;
        let mut found = found.map(Vec::into_iter);
        for question in questions {
            let answer = match &mut found {
                Ok(found) => Ok(found.take(question.cells.len()).collect()),
                Err(error) => Err(error.clone()),
            };
            // Who no longer waits needs no answer.
            drop(question.answer.send(answer));
        }
    }
    worker.is_done = true;
}

fn next(waiting: &Mutex<Waiting>) -> Option<Vec<Question>> {
    let mut waiting = waiting.lock();
    let mut cells = 0;
    let fits = |question: &Question| {
        let before = cells;
        cells += question.cells.len();
        before == 0 || cells <= MOST
    };
    let n = waiting
        .questions
        .iter()
        .map(fits)
        .take_while(|fits| *fits)
        .count();
    waiting.is_asked = n > 0;
    (n > 0).then(|| waiting.questions.drain(..n).collect())
}

/// Should the work end before it is done, because the runtime ends, what waits is given up rather than left for nobody.
struct Worker<'w> {
    waiting: &'w Mutex<Waiting>,
    is_done: bool,
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            *self.waiting.lock() = Waiting::default();
        }
    }
}

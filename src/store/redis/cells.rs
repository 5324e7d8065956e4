//! Cells: many small hashes, read by plain commands in pipelines, which need no script's time on the server.
//!
//! A pipeline ends with the question for the store's id. What was answered before is believed where the id is still ours
//! then: a Redis that was emptied meanwhile gives none.

use super::scripts::LOST;
use super::{FORMAT_KEY, PIECE, Redis, STRANGE};
use crate::store::gather::{Answer, Found, Turn, by_bucket};
use crate::store::{Cell, Change, Fields, Seen, StoreError};
use redis::{FromRedisValue, Pipeline, Value};

/// Requests for cells on their way at a time: while Redis works at one, the next is on the wire.
pub(super) const TURNS: usize = 2;

/// Fields of one bucket in one command; Lua hands over no more than some thousand values.
const FIELDS: usize = 1000;

impl Redis {
    pub(in crate::store) async fn cells(&self, asked: &[Cell]) -> Answer {
        let (answered, turn) = self.0.gathering.ask(asked);
        if let Some(turn) = turn {
            // Of its own, so that whoever asked may go away without taking the others' answers along.
            tokio::spawn(take_turn(self.clone(), turn));
        }
        let link = &self.0.link;
        let told = link.in_time(answered).await;
        let told = told.map_err(|why| link.unavailable(why))?;
        told.unwrap_or_else(|_| Err(link.unavailable("the question was given up".to_owned())))
    }

    /// One round trip for all of them, and one command for each bucket.
    async fn look_up(&self, asked: &[Cell]) -> Result<Vec<Found>, StoreError> {
        let in_order = by_bucket(asked);
        let groups = || in_order.chunk_by(|(_, a), (_, b)| a.place() == b.place());
        let mut pipe = redis::pipe();
        for group in groups() {
            let keys = group
                .iter()
                .take(1)
                .map(|(_, cell)| cells_key(cell.place()));
            pipe.cmd("HMGET").arg(keys.collect::<Vec<_>>());
            group.iter().for_each(|(_, cell)| {
                pipe.arg(cell.field.as_slice());
            });
        }
        let held: Vec<Option<Vec<Option<Vec<u8>>>>> = self.pipelined(pipe).await?;
        let mut found = vec![Ok(None); asked.len()];
        for (group, held) in groups().zip(held) {
            let mut held = held.map(Vec::into_iter);
            for (at, cell) in group {
                let held = match &mut held {
                    Some(held) => Ok(held.next().flatten()),
                    None => Err(no_bucket(cells_key(cell.place()))),
                };
                found
                    .get_mut(*at)
                    .into_iter()
                    .for_each(|f| *f = held.clone());
            }
        }
        Ok(found)
    }

    pub(in crate::store) async fn set_cells(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut changes: Vec<&Change> = changes.iter().collect();
        // Stable: of several changes to a cell the last stays the last, and the others are left out.
        changes.sort_by_key(|(cell, _)| cell);
        let cells = changes.chunk_by(|(a, _), (b, _)| a == b);
        let changes: Vec<&Change> = cells.filter_map(|same| same.last().copied()).collect();
        let buckets = changes.chunk_by(|(a, _), (b, _)| a.place() == b.place());
        let pieces: Vec<&[&Change]> = buckets.flat_map(|b| b.chunks(FIELDS)).collect();
        let of_piece = |piece: &&[&Change]| piece.first().map(|(cell, _)| cells_key(cell.place()));
        let keys: Vec<String> = pieces.iter().filter_map(of_piece).collect();
        let mut call = self.call(&self.0.scripts.set_cells, keys.iter().cloned());
        for piece in pieces {
            let puts = || piece.iter().filter_map(|(c, v)| Some((c, v.as_ref()?)));
            call.arg(puts().count()).arg(piece.len() - puts().count());
            for (cell, value) in puts() {
                call.arg(cell.field.as_slice()).arg(value.as_slice());
            }
            for (cell, _) in piece.iter().filter(|(_, value)| value.is_none()) {
                call.arg(cell.field.as_slice());
            }
        }
        let names: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.run(&call, &names).await
    }

    pub(in crate::store) async fn remove_cells(&self, seen: &[Seen]) -> Result<u64, StoreError> {
        let mut seen: Vec<&Seen> = seen.iter().collect();
        seen.sort_unstable();
        let buckets = || seen.chunk_by(|(a, _), (b, _)| a.place() == b.place());
        let of_bucket = |bucket: &[&Seen]| bucket.first().map(|(cell, _)| cells_key(cell.place()));
        let keys: Vec<String> = buckets().filter_map(of_bucket).collect();
        let mut call = self.call(&self.0.scripts.remove_cells, keys.iter().cloned());
        for bucket in buckets() {
            call.arg(bucket.len());
            for (cell, value) in bucket {
                call.arg(cell.field.as_slice()).arg(value.as_slice());
            }
        }
        let names: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.run(&call, &names).await
    }

    pub(in crate::store) async fn buckets(
        &self,
        table: &'static str,
        first: u32,
        count: u32,
    ) -> Result<Vec<(u32, Fields)>, StoreError> {
        let mut numbers = (0..count).map_while(|n| first.checked_add(n));
        let mut found = Vec::new();
        loop {
            let piece: Vec<u32> = numbers.by_ref().take(PIECE).collect();
            if piece.is_empty() {
                return Ok(found);
            }
            let mut pipe = redis::pipe();
            for number in &piece {
                pipe.cmd("HGETALL").arg(cells_key((table, *number)));
            }
            let held: Vec<Option<Fields>> = self.pipelined(pipe).await?;
            for (number, fields) in piece.into_iter().zip(held) {
                let damaged = || no_bucket(cells_key((table, number)));
                let mut fields = fields.ok_or_else(damaged)?;
                // Redis has them in any order.
                fields.sort_unstable();
                if !fields.is_empty() {
                    found.push((number, fields));
                }
            }
        }
    }

    /// What each command of the pipeline found; `None` where its key is of another type than ours.
    async fn pipelined<T: FromRedisValue>(
        &self,
        mut pipe: Pipeline,
    ) -> Result<Vec<Option<T>>, StoreError> {
        let link = &self.0.link;
        let asked = pipe.len();
        pipe.cmd("HGET").arg(FORMAT_KEY).arg("id");
        let answers = link.pipe(pipe).await;
        let mut answers = answers.map_err(|why| link.unavailable(why))?;
        let id = answers.pop().flatten();
        if !matches!(id, Some(Value::BulkString(id)) if id == self.0.id.as_bytes()) {
            return Err(StoreError::Damaged {
                key: FORMAT_KEY.to_owned(),
                why: LOST.to_owned(),
            });
        }
        if answers.len() != asked {
            return Err(link.unavailable(STRANGE.to_owned()));
        }
        let read = |answer: Option<Value>| answer.map(T::from_redis_value).transpose();
        let read: Result<_, _> = answers.into_iter().map(read).collect();
        read.map_err(|error| link.unavailable(error.to_string()))
    }
}

pub(super) async fn take_turn(redis: Redis, mut turn: Turn) {
    while let Some(batch) = turn.next() {
        let found = redis.look_up(&batch.cells).await;
        batch.answer(found);
    }
}

fn no_bucket(key: String) -> StoreError {
    let why = "it is not a hash, as a bucket is".to_owned();
    StoreError::Damaged { key, why }
}

pub(super) fn cells_key((table, bucket): (&str, u32)) -> String {
    format!("mailwright:{{{bucket:x}}}:{table}")
}

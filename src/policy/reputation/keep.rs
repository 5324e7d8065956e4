//! What outlives a restart: counts, holds, and what is slowed.
//!
//! | key | of | value |
//! |---|---|---|
//! | `reputation/series/NODE/SLICE` | each node | what it has counted |
//! | `reputation/hold/SLICE` | all nodes | the last hold of a month |
//! | `reputation/pace/NODE/SLICE` | each node | that it is slowed, and when it last had its pace back |
//!
//! What is decided is in force before it is written, and written again and again until the store has it.

use super::book::PIECE;
use super::counts::Series;
use super::hold::Hold;
use super::slow::Pace;
use super::{Reputation, Slice};
use crate::store::{Store, StoreError};
use crate::units::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeSet, HashMap};

const SERIES: &str = "reputation/series/";
const HOLDS: &str = "reputation/hold/";
const PACES: &str = "reputation/pace/";

/// Slices of which the store has something else than the book; where the book has nothing, neither should the store.
#[derive(Default)]
pub(super) struct Unwritten {
    pub series: BTreeSet<Slice>,
    pub holds: BTreeSet<Slice>,
    pub paces: BTreeSet<Slice>,
}

/// One kind of what is kept.
#[derive(Clone, Copy)]
enum Kind {
    Series,
    Hold,
    Pace,
}

impl Unwritten {
    fn of(&mut self, kind: Kind) -> &mut BTreeSet<Slice> {
        match kind {
            Kind::Series => &mut self.series,
            Kind::Hold => &mut self.holds,
            Kind::Pace => &mut self.paces,
        }
    }
}

impl Reputation {
    /// Reads back what this node, of the name `node`, had counted and slowed, what others have, and what is held.
    ///
    /// # Errors
    /// The store does not answer. What cannot be read in it is told and left alone.
    pub async fn recall(
        &self,
        store: &Store,
        node: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for (slice, series) in own::<Series>(store, SERIES, node).await? {
            self.change(|book| book.restore(slice, series));
        }
        for (slice, pace) in own::<Pace>(store, PACES, node).await? {
            self.change(|book| book.restore_pace(slice, pace, now));
        }
        self.refresh(store, node, now).await?;
        self.tidy(now);
        Ok(())
    }

    /// Takes note of what other nodes have counted and decided.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn refresh(
        &self,
        store: &Store,
        node: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let _turn = self.0.turn.lock().await;
        let mut others: HashMap<Slice, Vec<Series>> = HashMap::new();
        if store.is_shared() {
            let own = place(SERIES, node);
            for (key, value) in store.list(SERIES).await? {
                let name = key
                    .strip_prefix(SERIES)
                    .and_then(|name| name.split_once('/'));
                let Some((_, name)) = name.filter(|_| !key.starts_with(&own)) else {
                    continue;
                };
                if let (Ok(slice), Ok(series)) =
                    (name.parse(), serde_json::from_slice(&value.value))
                {
                    others.entry(slice).or_default().push(series);
                }
            }
        }
        let before = self.change(|book| book.set_others(others));
        drop(before);
        let mut holds = Vec::new();
        for (key, value) in store.list(HOLDS).await? {
            match serde_json::from_slice::<Hold>(&value.value) {
                Ok(hold) if hold.is_forgotten(now) => {
                    // Somebody may have held it anew.
                    let _conflict = store.delete(&key, value.version).await?;
                    self.change(|book| book.forget_hold(&hold.slice, now));
                }
                Ok(hold) => holds.push(hold),
                Err(error) => {
                    tracing::error!(%key, %error, "a hold cannot be read: remove the key, or mend it")
                }
            }
        }
        for piece in holds.chunks(PIECE) {
            self.change(|book| {
                let piece = piece.iter().cloned();
                piece.for_each(|hold| book.set_hold(hold, now));
            });
        }
        Ok(())
    }

    /// Writes down what was counted.
    ///
    /// # Errors
    /// The store does not answer; it is written with the next.
    pub async fn write_counts(&self, store: &Store, node: &str) -> Result<(), StoreError> {
        self.write_all(Kind::Series, store, node).await
    }

    /// Writes down what was decided: what is held and slowed, and what is not any more.
    ///
    /// # Errors
    /// The store does not answer: it is in force here all the same, and written with the next.
    pub async fn write_decisions(&self, store: &Store, node: &str) -> Result<(), StoreError> {
        let _turn = self.0.turn.lock().await;
        self.write_all(Kind::Hold, store, node).await?;
        self.write_all(Kind::Pace, store, node).await
    }

    async fn write_all(&self, kind: Kind, store: &Store, node: &str) -> Result<(), StoreError> {
        let due = self.change(|book| std::mem::take(book.unwritten.of(kind)));
        let mut due = due.into_iter();
        while let Some(slice) = due.next() {
            if let Err(error) = self.write_one((kind, &slice), store, node).await {
                let left = std::iter::once(slice).chain(due);
                self.change(|book| book.unwritten.of(kind).extend(left));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Brings the store to what the book has.
    async fn write_one(
        &self,
        (kind, slice): (Kind, &Slice),
        store: &Store,
        node: &str,
    ) -> Result<(), StoreError> {
        let value = self.change(|book| match kind {
            Kind::Series => book.slices.get_mut(slice).map(|tracked| {
                tracked.unwritten = false;
                json(&tracked.series)
            }),
            Kind::Hold => book.holds.get(slice).map(|hold| json(&**hold)),
            Kind::Pace => book.kept_pace(slice).map(|pace| json(&pace)),
        });
        let key = match kind {
            Kind::Series => format!("{}{slice}", place(SERIES, node)),
            Kind::Hold => format!("{HOLDS}{slice}"),
            Kind::Pace => format!("{}{slice}", place(PACES, node)),
        };
        if let Some(value) = value {
            return store.set(&key, &value).await;
        }
        if let Some(there) = store.get(&key).await? {
            // Whoever wrote meanwhile knows better.
            let _conflict = store.delete(&key, there.version).await?;
        }
        Ok(())
    }
}

/// What this node has in one place of the store, as far as it can be read.
async fn own<T: DeserializeOwned>(
    store: &Store,
    kind: &str,
    node: &str,
) -> Result<Vec<(Slice, T)>, StoreError> {
    let (place, mut found) = (place(kind, node), Vec::new());
    for (key, value) in store.list(&place).await? {
        let slice = key.strip_prefix(&place).and_then(|name| name.parse().ok());
        match (slice, serde_json::from_slice(&value.value)) {
            (Some(slice), Ok(kept)) => found.push((slice, kept)),
            _ => {
                tracing::warn!(%key, "what was counted or slowed of some mail cannot be read; it is begun anew")
            }
        }
    }
    Ok(found)
}

/// Where a node keeps what is its own.
fn place(kind: &str, node: &str) -> String {
    format!("{kind}{}/", node.replace('/', "_"))
}

/// Texts, numbers and instants always have a JSON form.
fn json(what: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(what).unwrap_or_default()
}

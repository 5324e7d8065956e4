//! What servers said is kept over a restart: written down every so often and at the end.

use crate::bounce::replies::{Replies, Saved};
use crate::clock::Clock;
use crate::store::{Store, StoreError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What is said in between is lost in a crash; the event log has it.
const EVERY: Duration = Duration::from_secs(600);
/// Patterns that are kept: a few hundred kilobytes.
const MOST: usize = 300;

/// The replies of one node, in the store.
#[derive(Clone)]
pub struct Heard {
    replies: Replies,
    store: Store,
    clock: Clock,
    key: String,
}

impl Heard {
    /// Reads back what the node of this name had heard. What cannot be read is told, and begun anew.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn recall(store: Store, clock: Clock, node: &str) -> Result<Self, StoreError> {
        let (replies, key) = (
            Replies::default(),
            format!("replies/{}", node.replace('/', "_")),
        );
        if let Some(there) = store.get(&key).await? {
            match serde_json::from_slice::<Vec<Saved>>(&there.value) {
                Ok(saved) => replies.restore(saved),
                Err(error) => {
                    tracing::warn!(%key, %error, "what servers said before cannot be read; it is counted anew");
                }
            }
        }
        Ok(Self {
            replies,
            store,
            clock,
            key,
        })
    }

    pub fn replies(&self) -> &Replies {
        &self.replies
    }

    /// Writes until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep(EVERY) => self.write().await,
            }
        }
    }

    pub async fn write(&self) {
        let saved = self.replies.saved(MOST);
        let written = match serde_json::to_vec(&saved) {
            Ok(value) => self.store.set(&self.key, &value).await,
            Err(error) => return tracing::error!(%error, "replies have no JSON form"),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "what servers said is not written down yet");
        }
    }
}

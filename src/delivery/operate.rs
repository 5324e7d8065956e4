//! What an operator does to waiting mail.

use super::Delivery;
use crate::events::{About, Event};
use crate::mail::{BounceClass, EnhancedCode, MessageId, Reply};
use crate::policy::Held;
use crate::queue::{Selector, View};
use crate::spool::Stored;
use std::collections::HashMap;
use std::sync::Arc;

/// One of the operator's commands on the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Make it due now.
    Retry,
    /// Keep it from being tried until released; survives a restart.
    Hold,
    Release,
    /// Give it up without telling the sender.
    Drop,
}

impl Delivery {
    /// Carries out `action` on what matches; returns how many messages (retry: entries) it was.
    pub async fn operate(&self, action: Action, selector: &Selector, why: &str) -> usize {
        let queue = &self.0.with.queue;
        match action {
            Action::Retry => {
                // An operator who asks for a try wants the site asked too, whatever it said before.
                self.0.lanes.lock().values().for_each(|lane| lane.forgive());
                queue.retry(selector)
            }
            Action::Hold => self.remember(&queue.hold(selector, why), Some(why)).await,
            Action::Release => self.remember(&queue.release(selector), None).await,
            Action::Drop => self.discard(selector, why).await,
        }
    }

    /// Makes a hold or a release durable, and tells it.
    async fn remember(&self, ids: &[MessageId], why: Option<&str>) -> usize {
        for id in ids {
            if let Err(error) = self.0.with.spool.hold(*id, why).await {
                tracing::error!(%id, %error, "a hold or release holds only until restart");
            }
            let Ok(stored) = self.0.with.spool.stored(*id).await else {
                continue;
            };
            let about = about_message(&stored);
            self.0.with.events.emit(&match why {
                Some(why) => Event::Held {
                    about,
                    why: why.to_owned(),
                },
                None => Event::Released {
                    about,
                    why: "by the operator".to_owned(),
                },
            });
        }
        ids.len()
    }

    async fn discard(&self, selector: &Selector, why: &str) -> usize {
        let mut messages: HashMap<MessageId, Vec<_>> = HashMap::new();
        for job in self.0.with.queue.take(selector) {
            messages.entry(job.id).or_default().push(job);
        }
        let dropped = messages.len();
        let reply = Reply::local(
            550,
            EnhancedCode(5, 0, 0),
            format!("dropped by the operator: {why}"),
            "drop",
        );
        for jobs in messages.into_values() {
            if let Some(batch) = self.load(jobs).await {
                self.end(batch, BounceClass::Dropped, &reply);
            }
        }
        dropped
    }

    /// The queue's view of what matches, each with the reason why it waits.
    pub async fn show(
        &self,
        selector: &Selector,
        limit: usize,
    ) -> Vec<(View, Option<Stored>, Held)> {
        let mut shown = Vec::new();
        for view in self.0.with.queue.list(selector, limit) {
            let stored = self.0.with.spool.stored(view.id).await.ok();
            let why = self.why(&view, stored.as_ref());
            shown.push((view, stored, why));
        }
        shown
    }

    /// Which limit or fact holds an entry back.
    fn why(&self, view: &View, stored: Option<&Stored>) -> Held {
        if let Some(why) = &view.why {
            return Held::clone(why);
        }
        let site = view.place.as_ref().map(|place| Arc::clone(&place.site));
        match view.state {
            "scheduled" => {
                let position = view
                    .recipients
                    .first()
                    .map_or(0, |first| usize::from(*first));
                let progress = stored.and_then(|stored| stored.progress.get(position));
                match progress.and_then(|progress| progress.last.clone()) {
                    Some(reply) => Held::Retry {
                        attempt: view.attempts,
                        reply,
                    },
                    None => Held::SendAt,
                }
            }
            "ready" => {
                let lanes = self.0.lanes.lock();
                let lane = view.place.as_ref().and_then(|place| {
                    lanes
                        .iter()
                        .find(|((of, _), _)| of == place)
                        .map(|(_, lane)| Arc::clone(lane))
                });
                drop(lanes);
                lane.map_or(
                    Held::Routing {
                        domain: Arc::clone(&view.domain),
                    },
                    |lane| lane.why(),
                )
            }
            _ => Held::Sending { site },
        }
    }

    /// Open connections over all lanes, as a gauge. It holds nothing of the delivery: events lead to metrics, metrics
    /// to their gauges, and a gauge that led back would keep everything alive, the lock on the spool included.
    pub fn open_connections(&self) -> impl Fn() -> f64 + Send + Sync + 'static {
        let shared = Arc::downgrade(&self.0);
        move || {
            let Some(shared) = shared.upgrade() else {
                return 0.0;
            };
            let lanes = shared.lanes.lock();
            lanes.values().map(|lane| f64::from(lane.load().0)).sum()
        }
    }
}

fn about_message(stored: &Stored) -> About {
    About {
        id: stored.meta.id,
        labels: Arc::clone(&stored.meta.labels),
        sender: stored.meta.envelope.sender.clone(),
        recipient: None,
        size: stored.size,
    }
}

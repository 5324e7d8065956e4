//! What an operator does to waiting mail.

use super::Delivery;
use crate::events::{About, Event};
use crate::mail::{BounceClass, EnhancedCode, MessageId, Reply};
use crate::policy::Held;
use crate::queue::{Depth, Selector, View};
use crate::spool::{SpoolError, Stored};
use std::sync::Arc;
use tokio::task::JoinSet;

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

/// Messages that a command has under way, so that they share the spool's syncs and do not fill memory.
const AT_ONCE: usize = 256;

impl Delivery {
    /// Carries out `action` on what matches; returns how many messages (retry: entries) it was. What was begun goes on to
    /// its end, whether or not anybody waits for the answer.
    pub async fn operate(&self, action: Action, selector: &Selector, why: &str) -> usize {
        let (delivery, selector, why) = (self.clone(), selector.clone(), why.to_owned());
        let command = async move { delivery.carry_out(action, &selector, &why).await };
        self.0.tasks.spawn(command).await.unwrap_or_else(|error| {
            tracing::error!(?action, %error, "an operator's command broke off by a fault of ours");
            0
        })
    }

    async fn carry_out(&self, action: Action, selector: &Selector, why: &str) -> usize {
        let _turn = self.0.command.lock().await;
        let queue = &self.0.with.queue;
        match action {
            Action::Retry => {
                // An operator who asks for a try wants the site asked too, whatever it said before.
                self.0.lanes.lock().values().for_each(|lane| lane.forgive());
                queue.retry(selector)
            }
            Action::Hold => self.remember(queue.hold(selector, why), Some(why)).await,
            Action::Release => self.remember(queue.release(selector), None).await,
            Action::Drop => self.discard(selector, why).await,
        }
    }

    /// Makes a hold or a release durable, and tells it; returns of how many messages the spool has it.
    async fn remember(&self, ids: Vec<MessageId>, why: Option<&str>) -> usize {
        let why: Option<Arc<str>> = why.map(Into::into);
        let steps = ids.into_iter().map(|id| {
            let (delivery, why) = (self.clone(), why.clone());
            async move { delivery.remember_one(id, why.as_deref()).await }
        });
        let (mut remembered, mut failed, mut last) = (0, 0, None);
        let count = |step: Result<(), SpoolError>| match step {
            Ok(()) => remembered += 1,
            // Its last recipient was done meanwhile.
            Err(SpoolError::NotFound) => {}
            Err(error) => {
                failed += 1;
                last = Some(error);
            }
        };
        each(steps, count).await;
        if let Some(error) = last {
            tracing::error!(failed, %error, "holds or releases that last only until a restart");
        }
        remembered
    }

    async fn remember_one(&self, id: MessageId, why: Option<&str>) -> Result<(), SpoolError> {
        let with = &self.0.with;
        with.spool.hold(id, why).await?;
        let Ok(stored) = with.spool.stored(id).await else {
            return Ok(());
        };
        let about = about_message(&stored);
        with.events.emit(&match why {
            Some(why) => Event::Held {
                about,
                why: why.to_owned(),
            },
            None => Event::Released {
                about,
                why: "by the operator".to_owned(),
            },
        });
        Ok(())
    }

    /// Ends what matches as dropped; returns how many messages it was, when all of them are in the books.
    async fn discard(&self, selector: &Selector, why: &str) -> usize {
        let text = format!("dropped by the operator: {why}");
        let reply = Reply::local(550, EnhancedCode(5, 0, 0), text, "drop");
        let steps = self.0.with.queue.take(selector).map(|jobs| {
            let (delivery, reply) = (self.clone(), reply.clone());
            async move {
                let Some(batch) = delivery.load(jobs, None).await else {
                    return false;
                };
                delivery.end(batch, BounceClass::Dropped, &reply).await;
                true
            }
        });
        let mut dropped = 0;
        each(steps, |ended| dropped += usize::from(ended)).await;
        dropped
    }

    /// How many of the entries that match wait for a time of their sender's choosing.
    pub fn not_before_their_time(&self, selector: &Selector) -> usize {
        self.0.with.queue.not_before_their_time(selector)
    }

    /// How much waits, by state.
    pub fn depth(&self) -> Depth {
        self.0.with.queue.depth()
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
                let lane = view.place.as_ref().and_then(|place| self.lane_of(place));
                lane.map_or(
                    Held::Routing {
                        domain: Arc::clone(&view.domain),
                    },
                    |lane| lane.why((&*view.labels).into(), view.key),
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

/// Takes all steps, [`AT_ONCE`] of them at a time, and hands on what each came to.
async fn each<S>(steps: impl Iterator<Item = S>, mut done: impl FnMut(S::Output))
where
    S: Future<Output: Send + 'static> + Send + 'static,
{
    let mut under_way = JoinSet::new();
    for step in steps {
        under_way.spawn(step);
        if under_way.len() >= AT_ONCE
            && let Some(Ok(outcome)) = under_way.join_next().await
        {
            done(outcome);
        }
    }
    while let Some(ended) = under_way.join_next().await {
        // A fault has been told where it happened.
        if let Ok(outcome) = ended {
            done(outcome);
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

//! Who is not written to any more: asked before a message leaves, and told what became of it.

use super::settle::{Record, Via};
use super::{Batch, Delivery};
use crate::bounce::rules::Said;
use crate::events::About;
use crate::mail::{BounceClass, Disposition, EnhancedCode, Finding, MessageId, Reply, Stream};
use crate::policy::Held;
use crate::policy::reputation::Metric;
use crate::policy::suppression::{Answer, Ask, By, Unchecked};
use crate::store::StoreError;
use std::sync::Arc;
use std::time::Duration;

/// When a list that could not be read or written is tried again.
const AGAIN: Duration = Duration::from_secs(30);

impl Delivery {
    /// Ends the mail of recipients that are suppressed by now. `false`: nobody is left, or nobody can say and the mail
    /// waits; the batch is given back.
    pub(super) async fn sift(&self, batch: &mut Batch) -> bool {
        let stored = Arc::clone(&batch.stored);
        let meta = &stored.meta;
        let parts = batch.parts.iter();
        let positions: Vec<u16> = parts
            .flat_map(|part| part.recipients.iter().copied())
            .collect();
        let recipients = positions
            .iter()
            .filter_map(|at| meta.envelope.recipients.get(usize::from(*at)));
        let asks: Vec<Ask<'_>> = recipients
            .map(|recipient| Ask {
                recipient: &recipient.address,
                labels: &meta.labels,
            })
            .collect();
        match self.0.with.policy.suppression().check(&asks).await {
            Ok(answers) => {
                self.take_out(batch, positions.into_iter().zip(answers));
                if batch.parts.is_empty() {
                    self.give_back(batch);
                }
                !batch.jobs.is_empty()
            }
            Err(error) => self.goes_unchecked(batch, &error),
        }
    }

    /// Ends those that are suppressed, and remembers those that failed before.
    fn take_out(&self, batch: &mut Batch, answers: impl Iterator<Item = (u16, Answer)>) {
        let mut ended = Vec::new();
        for (position, answer) in answers {
            match &answer {
                Answer::Free { failing: false } => {}
                Answer::Free { failing: true } => batch.failing.push(position),
                Answer::Suppressed { scope, reason, .. } => {
                    let told = answer.told().unwrap_or_default();
                    self.0
                        .with
                        .policy
                        .stopped((*reason, scope), Metric::Suppressed);
                    let text = format!("the recipient is {told}");
                    let why = Reply::local(550, EnhancedCode(5, 7, 1), text, "RCPT");
                    let finding = BounceClass::Suppressed.into();
                    ended.push((position, Disposition::Bounced { finding, why }));
                }
            }
        }
        if ended.is_empty() {
            return;
        }
        for part in &mut batch.parts {
            part.recipients
                .retain(|at| ended.iter().all(|(position, _)| position != at));
        }
        batch.parts.retain(|part| !part.recipients.is_empty());
        self.record(batch, Via::default(), ended);
    }

    /// Nobody can say who is suppressed: whether the mail goes all the same. Where it does not, it waits.
    fn goes_unchecked(&self, batch: &mut Batch, error: &StoreError) -> bool {
        let labels = &batch.stored.meta.labels;
        let is_urgent = labels.stream == Some(Stream::Transactional);
        let list = self.0.with.policy.suppression();
        let rules = list.rules(labels.tenant.as_deref());
        if is_urgent && rules.transactional_unchecked == Unchecked::Send {
            return true;
        }
        let until = self.0.with.clock.now() + AGAIN;
        let why: Arc<str> = format!("who is suppressed cannot be read: {error}").into();
        for job in std::mem::take(&mut batch.jobs) {
            let held = Held::State {
                until,
                why: Arc::clone(&why),
            };
            self.0.with.queue.put_back(&job, until, held);
        }
        false
    }

    /// Gives the entries of a batch back that nobody is left of.
    fn give_back(&self, batch: &mut Batch) {
        for job in std::mem::take(&mut batch.jobs) {
            self.0.with.queue.settle(job.key, &batch.outcomes);
        }
    }

    /// Returns when the list answers, where a failure is to be told to it. `false`: we stop before.
    pub(super) async fn list_answers(&self, record: &Record) -> bool {
        let mut outcomes = record.outcomes.iter();
        let failed = outcomes.find(|(position, _, disposition)| {
            refused(disposition, || self.last_finding(record, *position)).is_some()
        });
        let meta = &record.stored.meta;
        let recipient =
            failed.and_then(|(position, ..)| meta.envelope.recipients.get(usize::from(*position)));
        let Some(recipient) = recipient else {
            return true;
        };
        let ask = Ask {
            recipient: &recipient.address,
            labels: &meta.labels,
        };
        let list = self.0.with.policy.suppression();
        let Err(error) = list.check(&[ask]).await else {
            return true;
        };
        let _waiting = Arc::clone(&self.0.unlisted);
        self.until_done((meta.id, &error), || async {
            list.check(&[ask]).await.is_ok()
        })
        .await
    }

    /// Tells the list of the addresses that are bad or fail. It is told before the spool is: what the list has not taken
    /// when the daemon ends, however it ends, is not in the spool's books either, and found again after the next start.
    /// `false`: we stop before it could be written, and the record is to be left.
    pub(super) async fn hear_failures(&self, record: &Record) -> bool {
        for (position, _, disposition) in &record.outcomes {
            let refused = refused(disposition, || self.last_finding(record, *position));
            let Some(about) = record.about(*position).filter(|_| refused.is_some()) else {
                continue;
            };
            let told = Told { about, refused };
            if let Err(error) = self.tell_list(&told).await {
                let _waiting = Arc::clone(&self.0.unlisted);
                let tell = || async { self.tell_list(&told).await.is_ok() };
                if !self.until_done((told.about.id, &error), tell).await {
                    return false;
                }
            }
        }
        true
    }

    /// Tells the list of addresses that work again, after the spool: a delivery waits for nobody. One that the list does
    /// not hear of leaves failures counted that end with their window.
    pub(super) async fn hear_deliveries(&self, record: &Record) {
        for (position, _, disposition) in &record.outcomes {
            if !matches!(disposition, Disposition::Delivered(_))
                || !record.failing.contains(position)
            {
                continue;
            }
            let Some(about) = record.about(*position) else {
                continue;
            };
            let told = Told {
                about,
                refused: None,
            };
            if let Err(error) = self.tell_list(&told).await {
                let delivery = self.clone();
                self.spawn(async move {
                    let tell = || async { delivery.tell_list(&told).await.is_ok() };
                    delivery.until_done((told.about.id, &error), tell).await;
                });
            }
        }
    }

    /// Failures that are in no book yet because the list cannot be written, as a gauge; it holds nothing of the delivery.
    pub fn unlisted(&self) -> impl Fn() -> f64 + Send + Sync + 'static {
        let unlisted = Arc::downgrade(&self.0.unlisted);
        move || unlisted.strong_count().saturating_sub(1) as f64
    }

    /// What the refusal of the last attempt at a recipient meant.
    fn last_finding(&self, record: &Record, position: u16) -> Option<Finding> {
        let progress = self.0.with.spool.progress(record.stored.meta.id);
        let last = progress.get(usize::from(position))?.last.as_ref()?;
        let said = Said::of(last, record.via.provider.as_deref());
        Some(self.0.with.classifier.load().judge(&said))
    }

    async fn tell_list(&self, told: &Told) -> Result<(), StoreError> {
        let list = self.0.with.policy.suppression();
        match (&told.refused, &told.about.recipient) {
            (Some((finding, reply)), _) => list.hear(&told.about, *finding, reply, By::Reply).await,
            (None, Some(recipient)) => list.delivered(recipient).await,
            (None, None) => Ok(()),
        }
    }

    /// Tries until it is done, what failed with this `error` for a message. `false`: we stop before.
    async fn until_done<F: Future<Output = bool>>(
        &self,
        (id, error): (MessageId, &StoreError),
        attempt: impl Fn() -> F,
    ) -> bool {
        // Once: the gauge tells for how long.
        tracing::warn!(%id, %error, "the suppression list does not answer; trying again");
        loop {
            tokio::select! {
                () = self.0.stop.cancelled() => return false,
                () = self.0.with.clock.sleep(AGAIN) => {}
            }
            if attempt().await {
                return true;
            }
        }
    }
}

/// What the list is to know of a recipient.
struct Told {
    about: About,
    /// `None`: it was delivered.
    refused: Option<(Finding, Reply)>,
}

/// What a failure says of the recipient, where it says anything. `last`: what it was put off for last.
fn refused(
    disposition: &Disposition,
    last: impl FnOnce() -> Option<Finding>,
) -> Option<(Finding, Reply)> {
    let Disposition::Bounced { finding, why } = disposition else {
        return None;
    };
    let (finding, counts) = match finding.class {
        // What it was put off for again and again.
        BounceClass::Expired => last().map(|found| (found, found.counts_against()))?,
        _ => (*finding, finding.condemns() || finding.counts_against()),
    };
    counts.then(|| (finding, why.clone()))
}

//! Who is not written to any more: asked before a message leaves, and told what became of it.

use super::settle::{Record, Via};
use super::{Batch, Delivery};
use crate::bounce::rules::Said;
use crate::events::About;
use crate::mail::{BounceClass, Disposition, EnhancedCode, Finding, Reply, Stream};
use crate::policy::Held;
use crate::policy::reputation::Metric;
use crate::policy::suppression::{Answer, Ask, By, Unchecked};
use crate::spool::Progress;
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

    /// Tells the list what became of mail: addresses that are bad, that fail, that work again.
    pub(super) async fn hear(&self, record: &Record, progress: &[Progress]) {
        for (position, _, disposition) in &record.outcomes {
            let last = progress.get(usize::from(*position));
            let last = || Some(self.found_of(record, last?.last.as_ref()?));
            let Some(told) = Told::of(record, *position, disposition, last) else {
                continue;
            };
            if let Err(error) = self.tell_list(&told).await {
                tracing::warn!(id = %told.about.id, %error, "the suppression list cannot be written; trying again");
                let delivery = self.clone();
                self.spawn(async move { delivery.tell_again(told).await });
            }
        }
    }

    /// What a refusal of an earlier attempt meant.
    fn found_of(&self, record: &Record, reply: &Reply) -> Finding {
        let classifier = self.0.with.classifier.load();
        let said = Said::of(reply, record.via.provider.as_deref());
        classifier.judge(&said)
    }

    async fn tell_list(&self, told: &Told) -> Result<(), StoreError> {
        let list = self.0.with.policy.suppression();
        match (&told.refused, &told.about.recipient) {
            (Some((finding, reply)), _) => list.hear(&told.about, *finding, reply, By::Reply).await,
            (None, Some(recipient)) => list.delivered(recipient).await,
            (None, None) => Ok(()),
        }
    }

    async fn tell_again(self, told: Told) {
        loop {
            tokio::select! {
                () = self.0.stop.cancelled() => return,
                () = self.0.with.clock.sleep(AGAIN) => {}
            }
            if self.tell_list(&told).await.is_ok() {
                return;
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

impl Told {
    fn of(
        record: &Record,
        position: u16,
        disposition: &Disposition,
        last: impl FnOnce() -> Option<Finding>,
    ) -> Option<Self> {
        let refused = match disposition {
            Disposition::Delivered(_) if record.failing.contains(&position) => None,
            Disposition::Delivered(_) | Disposition::Deferred { .. } => return None,
            Disposition::Bounced { finding, why } if finding.class == BounceClass::Expired => {
                // What it was put off for again and again.
                let found = last()?;
                found.counts_against().then(|| Some((found, why.clone())))?
            }
            Disposition::Bounced { finding, why } => {
                let counts = finding.condemns() || finding.counts_against();
                counts.then(|| Some((*finding, why.clone())))?
            }
        };
        Some(Self {
            about: record.about(position)?,
            refused,
        })
    }
}

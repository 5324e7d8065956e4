//! What an attempt came to: a disposition a recipient, recorded once in every book.
//!
//! Order matters. The notice of a failure is accepted, and then the suppression list told of it, before the failure is
//! marked, so that a crash between repeats them rather than losing them. Not the other way: a recipient that the list has
//! is not tried after a restart, and owed no notice. The notice waits until the list answers, so that it is not repeated
//! after a stop while the store is away. The mark is durable before the event is told, so that an event is never taken
//! back. The books that let what comes back find its message are noted before the event, for who reads it may ask.

use super::heed::Heard;
use super::notify::Notice;
use super::{Batch, Delivery};
use crate::bounce;
use crate::events::{About, Attempt, Event, Tls};
use crate::mail::{BounceClass, Disposition, EnhancedCode, Reply};
use crate::queue::Job;
use crate::smtp::client::{Failure, Transacted};
use crate::spool::{Mark, Progress, SpoolError, Stored};
use crate::units::Timestamp;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How long to wait before trying again to record an outcome that the disk would not take.
const RECORD_AGAIN: Duration = Duration::from_secs(1);

/// Recipients of one transaction.
pub(super) struct Part {
    /// Positions in the envelope.
    pub recipients: Vec<u16>,
    /// The number of this attempt at them, from 1; the same for all, because the journal names it.
    pub attempt: u16,
}

/// What a transaction came to.
pub(super) enum Fate {
    Answered(Transacted),
    Failed(Failure),
    /// It could not be begun: the content or the journal was not to be had.
    Unready(SpoolError),
    /// The domain's mail goes to another site by now.
    Moved,
}

/// What a fate says of the lane.
pub(super) enum Verdict<'a> {
    /// The site took the message.
    Taken,
    /// It answered, and took nothing.
    Answered,
    /// No connection, or one that was lost.
    SiteFailed(&'a Reply),
    /// No socket with the source's address.
    SourceFailed(&'a Reply),
    /// Nothing: the trouble was with the message or the disk.
    None,
}

/// Where a transaction went, for its events.
#[derive(Clone, Default)]
pub(super) struct Via {
    pub site: Option<Arc<str>>,
    pub source: Option<Arc<str>>,
    pub provider: Option<Arc<str>>,
    pub tls: Option<Tls>,
    /// The host that answered.
    pub host: Option<Box<str>>,
    /// It takes over what the sender asked of notices (RFC 3461).
    pub dsn: bool,
}

/// An outcome on its way into the books.
pub(super) struct Record {
    pub stored: Arc<Stored>,
    pub via: Via,
    pub at: Timestamp,
    /// When what is left is given up.
    pub expires: Timestamp,
    /// Position, attempts, disposition.
    pub outcomes: Vec<(u16, u16, Disposition)>,
    /// Recipients whose mail failed before.
    pub failing: Vec<u16>,
}

impl Part {
    /// The recipients of some entries, as many at a time as one transaction may carry.
    pub fn split(jobs: &[Job], most: u16) -> VecDeque<Part> {
        let most = usize::from(most.max(1));
        let mut by_attempt: BTreeMap<u16, Vec<u16>> = BTreeMap::new();
        for job in jobs {
            by_attempt
                .entry(job.attempt)
                .or_default()
                .extend(&job.recipients);
        }
        let parts = by_attempt.into_iter().flat_map(|(attempt, recipients)| {
            let chunks = recipients.chunks(most);
            chunks
                .map(|chunk| Part {
                    recipients: chunk.to_vec(),
                    attempt,
                })
                .collect::<Vec<_>>()
        });
        parts.collect()
    }

    /// Takes off what is more than `most` recipients.
    #[must_use = "these recipients are to be tried too"]
    pub fn cut(&mut self, most: Option<usize>) -> Option<Part> {
        let most = most?.max(1);
        (self.recipients.len() > most).then(|| Part {
            recipients: self.recipients.split_off(most),
            attempt: self.attempt,
        })
    }
}

impl Fate {
    pub fn verdict(&self) -> Verdict<'_> {
        let failure = match self {
            Self::Failed(Failure::Local(reply)) => return Verdict::SourceFailed(reply),
            // The message asks for more than there is: others go.
            Self::Failed(Failure::RequireTls(_)) => return Verdict::Answered,
            Self::Failed(failure) => failure,
            Self::Answered(transacted) => match &transacted.failure {
                Some(failure) => failure,
                None if transacted.reply.as_ref().is_some_and(Reply::is_positive) => {
                    return Verdict::Taken;
                }
                None => return Verdict::Answered,
            },
            Self::Unready(_) | Self::Moved => return Verdict::None,
        };
        match failure {
            Failure::Local(_) => Verdict::None,
            failure => Verdict::SiteFailed(failure.reply()),
        }
    }

    /// The connection was lost or the server closed it before anybody was answered, and the message cannot have been
    /// taken: it is as if nothing had been tried.
    pub fn decides_nothing(&self) -> bool {
        let Self::Answered(transacted) = self else {
            return false;
        };
        let lost = matches!(
            transacted.failure,
            Some(Failure::Connection(_) | Failure::Tls(..) | Failure::Said(_))
        );
        // 421 speaks of the connection, whatever command it answers.
        let said = transacted
            .recipients
            .iter()
            .filter_map(|r| r.as_ref().err());
        lost && said.into_iter().all(|reply| reply.code == 421)
    }
}

/// What is left to do when a part is in the books.
#[derive(Default)]
#[must_use = "recipients that are left are to be tried too"]
pub(super) struct Settled {
    pub left: Option<Part>,
    /// Rules that its replies match.
    pub heard: Vec<Heard>,
}

/// Everything that was said against a transaction.
fn replies(transacted: &Transacted) -> impl Iterator<Item = &Reply> {
    let refusals = transacted.recipients.iter();
    let refusals = refusals.filter_map(|recipient| recipient.as_ref().err());
    let failure = transacted.failure.as_ref().map(Failure::reply);
    refusals.chain(&transacted.reply).chain(failure)
}

impl Delivery {
    /// Turns a fate into dispositions and records them, and gathers what its replies ask of us. Recipients that the server had no room for in this
    /// transaction (452 4.5.3 beside accepted ones, RFC 5321 §4.5.3.1.10) come back as the next part.
    pub(super) fn settle(&self, batch: &mut Batch, part: Part, via: Via, fate: Fate) -> Settled {
        let transacted = match fate {
            Fate::Moved => return Settled::default(),
            Fate::Answered(transacted) => transacted,
            Fate::Failed(failure) => {
                let heard = batch.hear([failure.reply()]);
                self.settle_all(batch, &part, via, failure.reply());
                return Settled { left: None, heard };
            }
            Fate::Unready(error) => {
                self.settle_all(batch, &part, via, &unready(&error));
                return Settled::default();
            }
        };
        let heard = batch.hear(replies(&transacted));
        let some_accepted = transacted.recipients.iter().any(Result::is_ok);
        let (mut outcomes, mut left) = (Vec::new(), Vec::new());
        for (at, position) in part.recipients.iter().copied().enumerate() {
            match transacted.recipients.get(at) {
                Some(Err(reply)) if some_accepted && is_one_too_many(reply) => left.push(position),
                _ => outcomes.push((
                    position,
                    self.dispose(batch, position, &answer(&transacted, at)),
                )),
            }
        }
        if matches!(transacted.failure, Some(Failure::LostAfterDot(_))) {
            // They may have got it.
            batch.keep(outcomes.len());
        }
        self.record(batch, via, outcomes);
        let left = (!left.is_empty()).then_some(Part {
            recipients: left,
            attempt: part.attempt,
        });
        Settled { left, heard }
    }

    /// The same answer for every recipient of a part.
    pub(super) fn settle_all(&self, batch: &mut Batch, part: &Part, via: Via, reply: &Reply) {
        let outcomes = part.recipients.iter();
        let outcomes = outcomes
            .map(|position| (*position, self.dispose(batch, *position, reply)))
            .collect();
        self.record(batch, via, outcomes);
    }

    fn dispose(&self, batch: &Batch, position: u16, reply: &Reply) -> Disposition {
        if reply.is_positive() {
            return Disposition::Delivered(reply.clone());
        }
        let finding = match batch.classify(reply) {
            bounce::Fate::Defer(finding) => finding,
            bounce::Fate::Bounce(finding) => {
                let why = reply.clone();
                return Disposition::Bounced { finding, why };
            }
        };
        let now = self.0.with.clock.now();
        let (attempt, domain) = batch.attempt(position);
        let schedule = &batch.routing.route(domain).retry;
        let until = schedule.next(attempt, now, &mut rand::rng());
        Disposition::Deferred {
            until,
            finding,
            why: reply.clone(),
        }
    }

    /// Writes outcomes into the books in the background; the connection goes on with the next message. Failures are
    /// written apart: a notice that cannot be handed in now must not keep a delivery from being recorded.
    pub(super) fn record(&self, batch: &mut Batch, via: Via, outcomes: Vec<(u16, Disposition)>) {
        batch.observe(&outcomes, self.0.with.clock.now());
        let (bounced, others): (Vec<_>, Vec<_>) = batch
            .numbered(&outcomes)
            .partition(|(_, _, d)| matches!(d, Disposition::Bounced { .. }));
        for outcomes in [others, bounced] {
            if outcomes.is_empty() {
                continue;
            }
            let record = batch.record(via.clone(), self.0.with.clock.now(), outcomes);
            let delivery = self.clone();
            self.spawn(async move { delivery.write(record).await });
        }
        batch.outcomes.extend(outcomes);
    }

    /// Ends what is left of a batch without an attempt; returns when that is in the books.
    pub(super) async fn end(&self, mut batch: Batch, class: BounceClass, why: &Reply) {
        let given_up = || Disposition::Bounced {
            finding: class.into(),
            why: why.clone(),
        };
        let left = batch.jobs.iter().flat_map(|job| job.recipients.iter());
        let outcomes: Vec<_> = left.map(|position| (*position, given_up())).collect();
        let numbered = batch.numbered(&outcomes).collect();
        let record = batch.record(Via::default(), self.0.with.clock.now(), numbered);
        batch.outcomes.extend(outcomes);
        self.requeue(batch);
        self.write(record).await;
    }

    /// Tells the queue what is left of each entry. One of which nobody was tried goes back as it was.
    pub(super) fn requeue(&self, mut batch: Batch) {
        let outcomes = std::mem::take(&mut batch.outcomes);
        for job in std::mem::take(&mut batch.jobs) {
            let own = outcomes.iter();
            let own = own.filter(|(position, _)| job.recipients.contains(position));
            let own: Vec<(u16, Disposition)> = own.cloned().collect();
            if own.is_empty() {
                self.line_up_anew(&job);
            } else {
                self.0.with.queue.settle(job.key, &own);
            }
        }
    }

    /// A fault of ours broke the attempt off, perhaps behind the final dot: who has no outcome yet is put off, in doubt.
    pub(super) fn abandon(&self, batch: &mut Batch) {
        let text = "the attempt was broken off by a fault of this server";
        let why = Reply::local(451, EnhancedCode(4, 3, 0), text, ".");
        let left = batch.jobs.iter().flat_map(|job| job.recipients.iter());
        let left = left.filter(|at| batch.outcomes.iter().all(|(done, _)| done != *at));
        let left: Vec<u16> = left.copied().collect();
        let put_off = |at: u16| (at, self.dispose(batch, at, &why));
        let outcomes = left.into_iter().map(put_off).collect();
        self.record(batch, Via::default(), outcomes);
        for job in std::mem::take(&mut batch.jobs) {
            self.0.with.queue.settle(job.key, &batch.outcomes);
        }
    }

    async fn write(&self, record: Record) {
        if !self.list_answers(&record).await
            || self.notify(&record).await == Notice::NotNow
            || !self.hear_failures(&record).await
        {
            return;
        }
        let mark = Mark {
            id: record.stored.meta.id,
            at: record.at,
            outcomes: record.outcomes.clone(),
        };
        // Before the mark, which may end the message; later than the reading of `stored`, which may be older than the
        // outcome of the attempt before.
        let progress = self.0.with.spool.progress(mark.id);
        loop {
            match self.0.with.spool.mark(mark.clone()).await {
                // A mark whose write failed may be in the spool after all, and the message with it done.
                Ok(()) | Err(SpoolError::NotFound) => break,
                Err(SpoolError::Closed) => return,
                Err(error) => {
                    tracing::error!(id = %mark.id, %error, "an outcome cannot be recorded; trying again");
                    self.0.with.clock.sleep(RECORD_AGAIN).await;
                }
            }
        }
        self.keep_books(&record);
        self.hear_deliveries(&record).await;
        record
            .events(&progress)
            .for_each(|event| self.0.with.events.emit(&event));
    }
}

impl Record {
    /// The message, and the recipient at this position.
    pub(super) fn about(&self, position: u16) -> Option<About> {
        let meta = &self.stored.meta;
        let recipient = meta.envelope.recipients.get(usize::from(position))?;
        Some(About {
            id: meta.id,
            labels: Arc::clone(&meta.labels),
            sender: meta.envelope.sender.clone(),
            recipient: Some(recipient.address.clone()),
            size: self.stored.size,
        })
    }

    fn events(&self, progress: &[Progress]) -> impl Iterator<Item = Event> {
        let meta = &self.stored.meta;
        self.outcomes
            .iter()
            .filter_map(move |(position, number, disposition)| {
                let progress = progress.get(usize::from(*position));
                Some(Event::Outcome {
                    about: self.about(*position)?,
                    attempt: Attempt {
                        number: *number,
                        site: self.via.site.clone(),
                        source: self.via.source.clone(),
                        provider: self.via.provider.clone(),
                        tls: self.via.tls.clone(),
                        latency: self.at.since(meta.received),
                        possible_duplicate: progress.is_some_and(|progress| progress.in_doubt),
                    },
                    disposition: disposition.clone(),
                })
            })
    }
}

/// What decides about the recipient at `at`: what the server said to it, or why it said nothing.
fn answer(transacted: &Transacted, at: usize) -> Cow<'_, Reply> {
    let unanswered = || transacted.failure.as_ref().map(Failure::reply);
    match transacted.said_to(at).or_else(unanswered) {
        Some(reply) => Cow::Borrowed(reply),
        None => Cow::Owned(Reply::local(
            450,
            EnhancedCode(4, 4, 2),
            "the server gave no answer",
            "DATA",
        )),
    }
}

/// "Too many recipients in this transaction", not "this mailbox is full".
fn is_one_too_many(reply: &Reply) -> bool {
    reply.code == 452
        && reply
            .enhanced
            .is_none_or(|code| code == EnhancedCode(4, 5, 3))
}

/// A message that is damaged on disk will not mend; anything else may.
fn unready(error: &SpoolError) -> Reply {
    let text = format!("the message could not be read or journalled here: {error}");
    match error {
        SpoolError::Corrupt(_) => Reply::local(550, EnhancedCode(5, 3, 0), text, "spool"),
        _ => Reply::local(450, EnhancedCode(4, 3, 0), text, "spool"),
    }
}

impl Batch {
    /// The number of this attempt for a recipient, from 1, and its domain.
    fn attempt(&self, position: u16) -> (u16, &str) {
        let job = self
            .jobs
            .iter()
            .find(|job| job.recipients.contains(&position));
        job.map_or((1, ""), |job| (job.attempt, &*job.domain))
    }

    /// Outcomes with the number of their attempt.
    fn numbered(
        &self,
        outcomes: &[(u16, Disposition)],
    ) -> impl Iterator<Item = (u16, u16, Disposition)> {
        let outcomes = outcomes.iter();
        outcomes.map(move |(position, d)| (*position, self.attempt(*position).0, d.clone()))
    }

    fn record(&self, via: Via, at: Timestamp, outcomes: Vec<(u16, u16, Disposition)>) -> Record {
        let expires = self.jobs.iter().map(|job| job.expires);
        Record {
            stored: Arc::clone(&self.stored),
            via,
            at,
            expires: expires.min().unwrap_or_default(),
            outcomes,
            failing: self.failing.clone(),
        }
    }
}

//! What an attempt came to: a disposition a recipient, recorded once in every book.
//!
//! Order matters. A failure notice is accepted before the failure is marked, so that a crash between the two repeats
//! the notice rather than losing it; the mark is durable before the event is told, so that an event is never taken
//! back.

use super::{Batch, Delivery};
use crate::bounce;
use crate::events::{About, Attempt, Event, Tls};
use crate::mail::{Disposition, EnhancedCode, Reply};
use crate::smtp::client::{Failure, Transacted};
use crate::spool::{Mark, SpoolError, Stored};
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
}

/// Where a transaction went, for its events.
#[derive(Clone, Default)]
pub(super) struct Via {
    pub site: Option<Arc<str>>,
    pub source: Option<Arc<str>>,
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
}

impl Part {
    /// The recipients of a batch, as many at a time as one transaction may carry.
    pub fn split(batch: &Batch) -> VecDeque<Part> {
        let most = usize::from(batch.routing.delivery.max_recipients.max(1));
        let mut by_attempt: BTreeMap<u16, Vec<u16>> = BTreeMap::new();
        for job in &batch.jobs {
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
}

impl Fate {
    /// What is to be said of the connection, where the fate is its doing: it was lost or the server closed it before
    /// the message was answered, and the message cannot have been taken.
    pub fn lost_connection(&self) -> Option<&Reply> {
        let failure = match self {
            Self::Answered(transacted) => transacted.failure.as_ref()?,
            Self::Failed(failure) => failure,
            Self::Unready(_) => return None,
        };
        match failure {
            Failure::Connection(reply) | Failure::Tls(reply) | Failure::Said(reply) => Some(reply),
            Failure::LostAfterDot(_) | Failure::Local(_) => None,
        }
    }
}

impl Delivery {
    /// Turns a fate into dispositions and records them. Recipients that the server had no room for in this
    /// transaction (452 4.5.3 beside accepted ones, RFC 5321 §4.5.3.1.10) come back as the next part.
    pub(super) fn settle(
        &self,
        batch: &mut Batch,
        part: Part,
        via: Via,
        fate: Fate,
    ) -> Option<Part> {
        let transacted = match fate {
            Fate::Answered(transacted) => transacted,
            Fate::Failed(failure) => {
                self.settle_all(batch, &part, via, failure.reply());
                return None;
            }
            Fate::Unready(error) => {
                self.settle_all(batch, &part, via, &unready(&error));
                return None;
            }
        };
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
        self.record(batch, via, outcomes);
        (!left.is_empty()).then_some(Part {
            recipients: left,
            attempt: part.attempt,
        })
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
        if let bounce::Fate::Bounce(class) = bounce::classify(reply) {
            return Disposition::Bounced {
                class,
                why: reply.clone(),
            };
        }
        let now = self.0.with.clock.now();
        let until = batch
            .route
            .retry
            .next(batch.attempt(position), now, &mut rand::rng());
        Disposition::Deferred {
            until,
            why: reply.clone(),
        }
    }

    /// Writes outcomes into the books in the background; the connection goes on with the next message.
    pub(super) fn record(&self, batch: &mut Batch, via: Via, outcomes: Vec<(u16, Disposition)>) {
        let numbered = outcomes.iter();
        let numbered =
            numbered.map(|(position, d)| (*position, batch.attempt(*position), d.clone()));
        let record = Record {
            stored: Arc::clone(&batch.stored),
            via,
            at: self.0.with.clock.now(),
            expires: batch
                .jobs
                .iter()
                .map(|job| job.expires)
                .min()
                .unwrap_or_default(),
            outcomes: numbered.collect(),
        };
        batch.outcomes.extend(outcomes);
        let delivery = self.clone();
        self.spawn(async move { delivery.write(record).await });
    }

    /// Tells the queue what is left of each entry.
    pub(super) fn requeue(&self, batch: &Batch) {
        for job in &batch.jobs {
            let own = batch
                .outcomes
                .iter()
                .filter(|(position, _)| job.recipients.contains(position));
            let own: Vec<(u16, Disposition)> = own.cloned().collect();
            self.0.with.queue.settle(job.key, &own);
        }
    }

    async fn write(&self, record: Record) {
        self.notify(&record).await;
        let mark = Mark {
            id: record.stored.meta.id,
            at: record.at,
            outcomes: record.outcomes.clone(),
        };
        loop {
            match self.0.with.spool.mark(mark.clone()).await {
                Ok(()) => break,
                Err(SpoolError::Closed) => return,
                Err(error) => {
                    tracing::error!(id = %mark.id, %error, "an outcome cannot be recorded; trying again");
                    self.0.with.clock.sleep(RECORD_AGAIN).await;
                }
            }
        }
        record
            .events()
            .for_each(|event| self.0.with.events.emit(&event));
    }
}

impl Record {
    fn events(&self) -> impl Iterator<Item = Event> {
        let meta = &self.stored.meta;
        self.outcomes
            .iter()
            .filter_map(move |(position, number, disposition)| {
                let recipient = meta.envelope.recipients.get(usize::from(*position))?;
                let progress = self.stored.progress.get(usize::from(*position))?;
                Some(Event::Outcome {
                    about: About {
                        id: meta.id,
                        labels: Arc::clone(&meta.labels),
                        sender: meta.envelope.sender.clone(),
                        recipient: Some(recipient.address.clone()),
                        size: self.stored.size,
                    },
                    attempt: Attempt {
                        number: *number,
                        site: self.via.site.clone(),
                        source: self.via.source.clone(),
                        tls: self.via.tls.clone(),
                        latency: self.at.since(meta.received),
                        possible_duplicate: progress.in_doubt,
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
    /// The number of this attempt for a recipient, from 1.
    fn attempt(&self, position: u16) -> u16 {
        let job = self
            .jobs
            .iter()
            .find(|job| job.recipients.contains(&position));
        job.map_or(1, |job| job.attempt)
    }
}

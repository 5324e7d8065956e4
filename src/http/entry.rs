//! What the API tells of waiting mail.

use super::Verdict;
use crate::policy::Held;
use crate::queue::View;
use crate::spool::{Progress, Stored};
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};

/// The recipients of one message at one domain, waiting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueEntry {
    /// As the accepting reply gave it.
    pub id: String,
    pub recipients: Vec<QueueRecipient>,
    /// The return path; empty is the null sender.
    pub sender: String,
    pub domain: String,
    /// Where it goes and from which source, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// Octets.
    pub size: u64,
    /// When it was accepted.
    pub received: Timestamp,
    /// `scheduled`, `ready`, `sending` or `held`.
    pub state: String,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<Held>,
    /// Until when it waits, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// When it is given up.
    pub expires: Timestamp,
    /// Everything that decides about it, of mail that waits, where one message is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Box<Verdict>>,
}

/// What of the queue was asked for, as far as it was. The API answers with the entries; the rest is in its header.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listed {
    pub entries: Vec<QueueEntry>,
    /// There are more than were asked for: `X-More: yes`.
    pub more: bool,
    /// Entries in the whole queue, where all of it was asked for: `X-Total-Count`.
    pub total: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueRecipient {
    pub address: String,
    /// `waiting` or `done`.
    pub state: String,
    /// Attempts made so far.
    pub attempts: u16,
    /// What the last deferral said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// Why it is not written to any more, in `queue show` of one message: `suppressed (global): the address is bad`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
}

impl QueueEntry {
    /// From the queue's view of an entry and the spool's record of its message.
    pub fn of(view: &View, stored: &Stored) -> Self {
        let text = |text: &str| text.to_owned();
        let envelope = &stored.meta.envelope;
        Self {
            id: view.id.to_string(),
            recipients: recipients(view, stored),
            sender: envelope
                .sender
                .as_ref()
                .map(|a| a.to_string())
                .unwrap_or_default(),
            domain: text(&view.domain),
            site: view.place.as_ref().map(|place| text(&place.site)),
            source: view.place.as_ref().map(|place| text(&place.source)),
            tenant: view.labels.tenant.as_deref().map(text),
            campaign: view.labels.campaign.as_deref().map(text),
            size: stored.size,
            received: stored.meta.received,
            state: text(view.state),
            waits: None,
            // One that was never tried is due since before it came.
            until: view.due.filter(|due| *due > stored.meta.received),
            expires: view.expires,
            verdict: None,
        }
        .held(waits(view, stored))
    }

    /// Says what it waits for, and where the queue has no time for it, until when that holds.
    pub fn held(mut self, held: Option<Held>) -> Self {
        self.until = self.until.or_else(|| held.as_ref()?.until());
        self.waits = held;
        self
    }
}

fn progress<'s>(view: &'s View, stored: &'s Stored) -> impl Iterator<Item = (usize, &'s Progress)> {
    let positions = view
        .recipients
        .iter()
        .map(|position| usize::from(*position));
    positions.filter_map(|position| Some((position, stored.progress.get(position)?)))
}

fn recipients(view: &View, stored: &Stored) -> Vec<QueueRecipient> {
    let one = |(position, progress): (usize, &Progress)| {
        let recipient = stored.meta.envelope.recipients.get(position)?;
        Some(QueueRecipient {
            address: recipient.address.to_string(),
            state: if progress.done { "done" } else { "waiting" }.to_owned(),
            attempts: progress.attempts,
            last: progress.last.as_ref().map(|reply| reply.to_string()),
            suppressed: None,
        })
    };
    progress(view, stored).filter_map(one).collect()
}

/// What the queue says; where that is the retry schedule, with the reply that put the message off.
fn waits(view: &View, stored: &Stored) -> Option<Held> {
    if let Some(why) = &view.why {
        return Some((**why).clone());
    }
    view.due?;
    let last = progress(view, stored).find_map(|(_, progress)| progress.last.clone());
    last.map(|reply| Held::Retry {
        attempt: view.attempts,
        reply,
    })
}

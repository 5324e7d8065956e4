//! What a message that comes back says: a delivery status notification (RFC 3464) or one of the many that are not in
//! that form, a feedback report (RFC 5965) or a raw forward, an automatic reply (RFC 3834).
//!
//! A function of octets: no clock, no I/O. Whatever comes is answered; depth, sizes and counts are bounded.

//!
//! | file | what it reads |
//! |---|---|
//! | `mime`, `fields`, `lines` | the parts of a message, blocks of fields |
//! | `dsn` | delivery status in fields |
//! | `wording` | notices in words |
//! | `notification` | notices in JSON |
//! | `arf` | complaints |
//! | `autoreply` | who answers |
//! | `original`, `tokens` | the message given back, and our marks in it |
//! | `evidence` | what a failure means |

mod address;
mod arf;
mod autoreply;
mod dsn;
mod evidence;
mod failure;
pub(crate) mod fields;
pub(crate) mod lines;
pub(crate) mod mime;
mod notification;
mod original;
mod tokens;
mod wording;

use super::rules::Classifier;
use crate::mail::Finding;
use mime::Part;
use notification::Notification;
use serde::Serialize;

/// What a message that came back is.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// A notice of failure, delay or success, in whichever form.
    Notice(Notice),
    Feedback(Feedback),
    /// A person is away, or a program answers: nothing happened to our mail.
    Autoreply(Original),
    /// Mail of another kind.
    Message(Original),
}

/// What a notice says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Notice {
    pub recipients: Vec<Returned>,
    pub original: Original,
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq)]
pub struct Returned {
    /// As the notice writes it; may not be a valid address.
    pub address: String,
    pub action: Action,
    /// `5.1.1`, as the notice writes it or as its text says.
    pub status: Option<String>,
    /// What the server had said.
    pub diagnostic: Option<String>,
    pub remote_mta: Option<String>,
    pub finding: Finding,
}

/// RFC 3464 §2.3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Failed,
    Delayed,
    Delivered,
    Relayed,
    Expanded,
}

/// What a report gives back of the message it is about.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Original {
    /// Without angle brackets.
    pub message_id: Option<String>,
    pub return_path: Option<String>,
    /// Every text that may be one of our tokens, likeliest first: from the return path, Message-ID, our header,
    /// CFBL-Feedback-ID and List-Unsubscribe of the original. Not verified.
    pub tokens: Vec<String>,
}

/// RFC 5965 §3.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Feedback {
    /// `abuse`, `fraud`, `virus`, `not-spam`, `auth-failure`, `opt-out`, `other`; in lower case.
    pub feedback_type: String,
    pub original_recipient: Option<String>,
    pub original_mail_from: Option<String>,
    pub source_ip: Option<String>,
    pub reporting_mta: Option<String>,
    pub reported_domain: Option<String>,
    pub arrival_date: Option<String>,
    pub user_agent: Option<String>,
    pub original: Original,
}

/// How deep a notice may be in messages that somebody forwards.
const DEEPEST: usize = 3;

/// Reads a message that came back.
pub fn read(message: &[u8], classifier: &Classifier) -> Report {
    at_depth(message, classifier, DEEPEST)
}

/// Whether octets are a message at all: they begin with a header section that names who wrote, to whom, or of what.
pub fn is_message(octets: &[u8]) -> bool {
    let (fields, _) = mime::section(octets);
    let names = [
        "from",
        "to",
        "date",
        "subject",
        "received",
        "message-id",
        "return-path",
    ];
    names.iter().any(|name| fields.has(name))
}

fn at_depth(octets: &[u8], classifier: &Classifier, depth: usize) -> Report {
    let message = mime::read(octets);
    if let Some(feedback) = arf::read(&message) {
        return Report::Feedback(feedback);
    }
    let notice = match notification::read(&message) {
        Some(Notification::Complaint(feedback)) => return Report::Feedback(feedback),
        Some(Notification::Bounce(bounce)) => Some(failure::of_notification(bounce, classifier)),
        None => failure::read(&message, classifier),
    };
    match notice {
        Some(notice) if !notice.recipients.is_empty() => Report::Notice(notice),
        notice => within(&message, classifier, depth).unwrap_or_else(|| without(&message, notice)),
    }
}

/// The notice in a message that this one gives back or forwards.
fn within(message: &mime::Message, classifier: &Classifier, depth: usize) -> Option<Report> {
    let deeper = depth.checked_sub(1)?;
    let inner = message.parts.iter().find_map(|part| match part {
        Part::Original(octets) => Some(at_depth(octets, classifier, deeper)),
        _ => None,
    })?;
    let is_notice = matches!(&inner, Report::Notice(notice) if !notice.recipients.is_empty());
    is_notice.then_some(inner)
}

/// What a message is in which no address is said to have failed. `notice`: it speaks of a failure all the same.
fn without(message: &mime::Message, notice: Option<Notice>) -> Report {
    if let Some(notice) = notice {
        return Report::Notice(notice);
    }
    let original = original::Returned::of(&message.parts, None).told(message);
    match autoreply::is(message) {
        true => Report::Autoreply(original),
        false => Report::Message(original),
    }
}

#[cfg(test)]
mod tests;

//! Notices: which addresses failed, and why.

use super::address::{addresses, same};
use super::autoreply;
use super::dsn::{self, Entry};
use super::evidence::Evidence;
use super::mime::{Message, Part};
use super::notification::Bounced;
use super::original::Returned as GivenBack;
use super::wording::{self, Failure, Known, Sections};
use super::{Action, Notice, Returned};
use crate::bounce::rules::Classifier;

/// Reads a notice; `None` where a message is none.
pub fn read(message: &Message, classifier: &Classifier) -> Option<Notice> {
    let text = words(&message.parts);
    let mut sections = Sections::of(&text);
    let given_back = GivenBack::of(&message.parts, sections.original.take());
    let reading = Reading {
        subject: message.fields.words("subject"),
        known: known(message, &given_back),
        entries: entries(&message.parts, &text),
        sections,
        classifier,
    };
    let recipients = match reading.entries.is_empty() {
        false => reading.by_fields(),
        true if reading.is_notice(message) => reading.by_words(),
        true => return None,
    };
    let original = given_back.told(message);
    Some(Notice {
        recipients,
        original,
    })
}

/// A notice that was written as JSON.
pub fn of_notification(bounced: Bounced, classifier: &Classifier) -> Notice {
    let failures = bounced.failures.into_iter();
    let recipients = failures.map(|failure| returned(failure, Action::Failed, None, classifier));
    Notice {
        recipients: recipients.collect(),
        original: bounced.original,
    }
}

/// A notice as it is read.
struct Reading<'m> {
    subject: String,
    known: Known,
    entries: Vec<Entry>,
    sections: Sections<'m>,
    classifier: &'m Classifier,
}

impl Reading<'_> {
    /// Whether words alone make it a notice: who writes, and what of.
    fn is_notice(&self, message: &Message) -> bool {
        let text = self.sections.joined();
        if !self.known.failed.is_empty() || wording::is_list_refusal(&text) {
            return true;
        }
        let fields = &message.fields;
        let daemon = is_daemon(fields.first("from").unwrap_or_default());
        if !daemon && autoreply::is(message) {
            return false;
        }
        let null_path = fields.all("return-path").any(|path| path.trim() == "<>");
        let is_answer = daemon || null_path || message.kind.media == "multipart/report";
        let speaks = wording::is_failure(&text);
        let subject = wording::is_failure_subject(&self.subject);
        let action = wording::action(&self.sections, &self.subject);
        match is_answer {
            true => speaks || subject || action != Action::Failed,
            false => speaks && subject,
        }
    }

    fn by_fields(&self) -> Vec<Returned> {
        let mut recipients: Vec<Returned> = Vec::new();
        let is_only = self.entries.len() == 1;
        for entry in &self.entries {
            let named = entry.address().into_iter().collect::<Vec<_>>();
            // A field that names no address of mail: the words may.
            let failures = match (named.is_empty(), is_only) {
                (true, true) => wording::failures(&self.sections, &self.subject, &self.known),
                _ => named
                    .into_iter()
                    .map(|address| self.failure(address, is_only))
                    .collect(),
            };
            for mut failure in failures {
                failure.evidence.status = entry.code();
                failure.evidence.said.extend(entry.said());
                let found = returned(failure, entry.action(), entry.remote(), self.classifier);
                add(&mut recipients, found);
            }
        }
        recipients
    }

    /// What the words say of an address that fields name.
    fn failure(&self, address: String, is_only: bool) -> Failure {
        let mut around = self.sections.mentions(&address, None);
        let mut said = Vec::new();
        if is_only {
            around.extend(self.sections.everything(None));
            said.extend(self.sections.answered(&address));
        }
        let evidence = Evidence {
            around,
            said,
            ..Evidence::default()
        };
        Failure { address, evidence }
    }

    fn by_words(&self) -> Vec<Returned> {
        let action = wording::action(&self.sections, &self.subject);
        let failures = wording::failures(&self.sections, &self.subject, &self.known);
        let found = failures
            .into_iter()
            .map(|failure| returned(failure, action, None, self.classifier));
        found.take(dsn::MOST_RECIPIENTS).collect()
    }
}

fn returned(
    failure: Failure,
    action: Action,
    remote_mta: Option<String>,
    classifier: &Classifier,
) -> Returned {
    let judged = failure.evidence.judge(classifier, action);
    Returned {
        address: failure.address,
        action,
        status: judged.status.map(|code| code.to_string()),
        diagnostic: judged.said,
        remote_mta,
        finding: judged.finding,
    }
}

/// An address that is named twice counts once, and failed where one of the two says so.
fn add(recipients: &mut Vec<Returned>, found: Returned) {
    match recipients
        .iter_mut()
        .find(|known| same(&known.address, &found.address))
    {
        Some(known) if known.action != Action::Failed && found.action == Action::Failed => {
            *known = found
        }
        Some(_) => {}
        None => recipients.push(found),
    }
}

/// What a person is to read: texts before the message given back, else after it, else HTML.
fn words(parts: &[Part]) -> String {
    let original = parts
        .iter()
        .position(|part| matches!(part, Part::Original(_)));
    let (before, after) = parts.split_at(original.unwrap_or(parts.len()));
    let plain = |parts: &[Part]| joined(parts, |part| matches!(part, Part::Text(_)));
    let html = joined(parts, |part| matches!(part, Part::Html(_)));
    let texts = [plain(before), plain(after), html];
    let found = texts.into_iter().find(|text| !text.trim().is_empty());
    found.unwrap_or_default()
}

fn joined(parts: &[Part], wanted: impl Fn(&Part) -> bool) -> String {
    let texts = parts.iter().filter(|part| wanted(part));
    let texts: Vec<&str> = texts
        .filter_map(|part| match part {
            Part::Text(text) | Part::Html(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    texts.join("\n\n")
}

/// Delivery status in parts of its own; else what stands in the text in the same manner.
fn entries(parts: &[Part], text: &str) -> Vec<Entry> {
    let in_parts = parts.iter().filter_map(|part| match part {
        Part::Status(status) => Some(status.as_str()),
        _ => None,
    });
    let mut entries: Vec<Entry> = in_parts
        .flat_map(|status| dsn::read(status).recipients)
        .collect();
    if entries.is_empty() && dsn::is_in(text) {
        entries = dsn::read(text).recipients;
    }
    entries.truncate(dsn::MOST_RECIPIENTS);
    entries
}

fn known(message: &Message, given_back: &GivenBack) -> Known {
    let all = |fields: &super::fields::Fields, names: &[&str]| {
        let values = names.iter().flat_map(|name| fields.all(name));
        let found = values
            .flat_map(addresses)
            .map(|found| found.address.to_owned());
        found.take(dsn::MOST_RECIPIENTS).collect::<Vec<_>>()
    };
    let mut senders = all(
        &message.fields,
        &["to", "delivered-to", "x-original-to", "from"],
    );
    senders.extend(all(
        &given_back.fields,
        &["from", "return-path", "sender", "reply-to"],
    ));
    // A notice that is given back was to the sender.
    let is_notice = given_back.fields.first("from").is_some_and(is_daemon);
    Known {
        recipients: match is_notice {
            true => Vec::new(),
            false => given_back.recipients(),
        },
        failed: all(&message.fields, &["x-failed-recipients"]),
        senders,
    }
}

fn is_daemon(from: &str) -> bool {
    let from = from.to_lowercase();
    from.trim().is_empty() || DAEMONS.iter().any(|name| from.contains(name))
}

/// Names under which programs write notices.
const DAEMONS: &[&str] = &[
    "mailer-daemon",
    "mailer_daemon",
    "mailerdaemon",
    "mail-daemon",
    "maildaemon",
    "mailer daemon",
    "mdaemon",
    "postmaster",
    "post_master",
    "post.master",
    "mail deliver",
    "mail.deliver",
    "delivery subsystem",
    "delivery system",
    "system administrator",
    "mail administrator",
    "mail system",
    "mailsystem",
    "bounce",
    "interscan",
    "microsoft exchange",
];

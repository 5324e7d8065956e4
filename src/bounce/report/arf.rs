//! Complaints: feedback reports (RFC 5965, RFC 6591), with the fields of RFC 9477, and messages that a provider or a
//! person forwards whole.

use super::Feedback;
use super::address::first_address;
use super::fields::Fields;
use super::mime::{Message, Part};
use super::original::Returned;

/// Reads a complaint; `None` where it is none.
pub fn read(message: &Message) -> Option<Feedback> {
    let report = message.parts.iter().find_map(|part| match part {
        Part::Feedback(text) => Some(Fields::read(text.trim_start().lines())),
        _ => None,
    });
    let returned = Returned::of(&message.parts, None);
    let found = match report {
        Some(fields) => Some(from_fields(&fields)),
        None => in_text(message)
            .or_else(|| forwarded(message, &returned))
            .or_else(|| opt_out(message)),
    };
    found.map(|feedback| Feedback {
        original: returned.told(message),
        ..feedback
    })
}

fn from_fields(fields: &Fields) -> Feedback {
    let text = |names: &[&str]| {
        let value = names.iter().find_map(|name| fields.first(name));
        value.map(str::to_owned)
    };
    let address = |names: &[&str]| {
        let mut values = names.iter().flat_map(|name| fields.all(name));
        values.find_map(|value| first_address(value).map(str::to_owned))
    };
    let kind = fields.first("feedback-type").unwrap_or("other");
    let kind = kind.split([';', ' ']).next().unwrap_or_default();
    Feedback {
        feedback_type: kind.to_ascii_lowercase(),
        original_recipient: address(&[
            "original-rcpt-to",
            "removal-recipient",
            "x-original-rcpt-to",
        ]),
        original_mail_from: address(&["original-mail-from"]),
        source_ip: text(&["source-ip"]).map(|ip| bare_ip(&ip)),
        reporting_mta: text(&["reporting-mta"]).map(without_type),
        reported_domain: text(&["reported-domain"]),
        arrival_date: text(&["arrival-date", "received-date"]),
        user_agent: text(&["user-agent"]),
        original: super::Original::default(),
    }
}

/// A report whose fields stand in a text, because a gateway changed the type of its part.
fn in_text(message: &Message) -> Option<Feedback> {
    message.parts.iter().find_map(|part| {
        let (Part::Text(text) | Part::Status(text)) = part else {
            return None;
        };
        let begins = |line: &&str| line.to_ascii_lowercase().starts_with("feedback-type:");
        text.lines().any(|line| begins(&line)).then(|| {
            // The block around the field, up to the empty lines before and behind it.
            let blocks = text.split("\n\n").flat_map(|block| block.split("\r\n\r\n"));
            let block = blocks
                .into_iter()
                .find(|block| block.lines().any(|line| begins(&line)));
            from_fields(&Fields::read(
                block.unwrap_or_default().trim_start().lines(),
            ))
        })
    })
}

/// A message that a feedback loop forwards without a report, as Microsoft's JMRP does.
fn forwarded(message: &Message, returned: &Returned) -> Option<Feedback> {
    if returned.fields.is_empty() || message.kind.media == "multipart/report" {
        return None;
    }
    let marked = [
        "x-hmxmroriginalrecipient",
        "x-original-rcpt-to",
        "x-rcpt-to",
    ];
    let marked = marked
        .iter()
        .find_map(|name| returned.fields.first(name))
        .and_then(first_address);
    let sender = message
        .fields
        .first("from")
        .and_then(first_address)
        .unwrap_or_default();
    let subject = message.fields.words("subject");
    let is_loop = LOOPS
        .iter()
        .any(|known| sender.to_ascii_lowercase().contains(known));
    let complains = COMPLAINTS.iter().any(|words| subject.contains(words));
    let is_complaint = returned.fields.has("x-hmxmroriginalrecipient")
        || complains
        || (is_loop && marked.is_some());
    is_complaint.then(|| Feedback {
        feedback_type: "abuse".into(),
        original_recipient: marked.map(str::to_owned),
        ..Feedback::default()
    })
}

/// A mail program that asks for removal on behalf of its user.
fn opt_out(message: &Message) -> Option<Feedback> {
    let fields = &message.fields;
    let is_request = fields.has("x-apple-unsubscribe");
    is_request.then(|| Feedback {
        feedback_type: "opt-out".into(),
        original_recipient: fields
            .first("from")
            .and_then(first_address)
            .map(str::to_owned),
        ..Feedback::default()
    })
}

fn bare_ip(value: &str) -> String {
    let value = value.trim_matches(['[', ']']);
    let value = value.split_whitespace().next().unwrap_or_default();
    value
        .trim_matches(['[', ']'])
        .trim_start_matches("IPv6:")
        .to_owned()
}

/// `dns; mx.example.net` without its type.
fn without_type(value: String) -> String {
    match value.split_once(';') {
        Some((_, host)) => host.trim().to_owned(),
        None => value,
    }
}

/// Parts of addresses from which feedback loops write.
const LOOPS: &[&str] = &[
    "staff@hotmail",
    "staff@outlook",
    "fbl@",
    "feedback@",
    "feedbackloop@",
    "complaints@",
    "jmrp",
    "abuse",
    "scomp",
    "spamreport",
    "spam-report",
    "no-reply@arf",
];

const COMPLAINTS: &[&str] = &[
    "complaint about message",
    "abuse report",
    "spam report",
    "spam complaint",
    "email feedback report",
    "feedback report",
    "junk mail report",
    "reported as spam",
    "reported as junk",
    "client tos notification",
];

#[cfg(test)]
mod tests;

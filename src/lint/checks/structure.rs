//! L26: what a strict reader of MIME stumbles over.

use super::Case;
use crate::lint::finding::{Found, Level};
use crate::lint::message::Fault;
use crate::lint::rule::Rule;

static BROKEN: Rule = Rule::new("L26", "mime-broken", Level::Warn).says(
    "RFC 2046 section 5.1",
    "give every multipart a boundary, delimit its parts with it, and close it",
);
static NO_VERSION: Rule = Rule::new("L26", "mime-version-missing", Level::Warn).says(
    "RFC 2045 section 4",
    "add \"MIME-Version: 1.0\": without it the other fields mean nothing",
);
static ORDER: Rule = Rule::new("L26", "alternative-order", Level::Warn).says(
    "RFC 2046 section 5.1.4",
    "put text/plain before text/html: readers take the last they can show",
);
static EMPTY: Rule = Rule::new("L26", "body-empty", Level::Info)
    .says("a habit of spam", "say something in the body");
static NO_SUBJECT: Rule = Rule::new("L26", "subject-missing", Level::Info)
    .says("RFC 5322 section 3.6.5", "give the message a subject");

pub(super) const RULES: &[&Rule] = &[&BROKEN, &NO_VERSION, &ORDER, &EMPTY, &NO_SUBJECT];

pub(super) fn check(case: &Case<'_>, found: &mut Found) {
    let message = case.message;
    for fault in &message.faults {
        // What is cut off is not closed.
        let is_cut = matches!(fault, Fault::Unclosed(_) | Fault::NoParts(_)) && !message.is_whole;
        if !is_cut {
            found.add(&BROKEN, told(fault));
        }
    }
    if case.has("Content-Type") && !case.has("MIME-Version") {
        found.add(&NO_VERSION, "there is Content-Type and no MIME-Version");
    }
    alternatives(case, found);
    let is_blank = message.parts.iter().all(|part| {
        part.media.starts_with("text/") && part.text.trim().is_empty() && part.size < 1000
    });
    if message.is_whole && is_blank {
        found.add(&EMPTY, "the body is empty");
    }
    if message.text("Subject").unwrap_or_default().is_empty() {
        found.add(&NO_SUBJECT, "there is no subject");
    }
}

fn told(fault: &Fault) -> String {
    match fault {
        Fault::NoBoundary(media) => format!("{media} has no boundary"),
        Fault::NoParts(media) => format!("the boundary of {media} is nowhere in the body"),
        Fault::Unclosed(media) => format!("{media} is not closed by its last delimiter"),
        Fault::Encoded(media) => {
            format!("{media} has a transfer encoding, only its parts may have one")
        }
        Fault::TooDeep => "parts are nested deeper than is read".to_owned(),
        Fault::TooMany => "there are more parts than are read".to_owned(),
        Fault::LongHeader => "the header section is longer than is read".to_owned(),
    }
}

fn alternatives(case: &Case<'_>, found: &mut Found) {
    let parts = &case.message.parts;
    let mut texts = parts
        .iter()
        .enumerate()
        .filter(|(_, part)| part.is_shown_text());
    let wrong = texts.find(|(at, text)| {
        let before = parts.iter().take(*at);
        text.within == "multipart/alternative"
            && before
                .into_iter()
                .any(|part| part.group == text.group && part.is_html())
    });
    if wrong.is_some() {
        found.add(
            &ORDER,
            "text/html stands before text/plain in multipart/alternative",
        );
    }
}

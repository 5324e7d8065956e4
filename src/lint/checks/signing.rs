//! L06, L07: DKIM (RFC 6376, RFC 8301).

use super::Case;
use crate::lint::facts::{KeyKind, Published, Signature, Signing};
use crate::lint::finding::{Found, Level};
use crate::lint::message::Message;
use crate::lint::rule::{BIG_THREE, Rule};

pub(super) static UNSIGNED: Rule = Rule::new("L06", "dkim-missing", Level::Warn)
    .blocks_bulk()
    .of(BIG_THREE)
    .says(
        "RFC 6376; refused with 4.7.30, 5.7.30 by Google, 5.7.515 by Microsoft",
        "make a key with `mailwright dkim keygen`, publish it, and write a [[dkim]] entry",
    );
static UNALIGNED: Rule = Rule::new("L06", "dkim-unaligned", Level::Warn)
    .blocks_bulk()
    .of(BIG_THREE)
    .says(
        "RFC 9989 section 4.4; refused with 5.7.32 by Google",
        "sign with a key of the From domain or of one above it",
    );
static UNPUBLISHED: Rule = Rule::new("L06", "dkim-key-unpublished", Level::Warn)
    .blocks_bulk()
    .of(BIG_THREE)
    .says(
        "RFC 6376 section 3.6",
        "publish the TXT record that `mailwright dkim keygen` printed",
    );
static SMALL: Rule = Rule::new("L07", "dkim-key-small", Level::Block)
    .of(BIG_THREE)
    .says("RFC 8301 section 3.2", "sign with an RSA key of 2048 bits");
static WEAK: Rule = Rule::new("L07", "dkim-key-weak", Level::Warn)
    .of(BIG_THREE)
    .says("RFC 8301 section 3.2", "sign with an RSA key of 2048 bits");
static FROM_UNCOVERED: Rule = Rule::new("L07", "dkim-from-uncovered", Level::Block).says(
    "RFC 6376 section 5.4",
    "name from in the h= tag of the signature",
);
static UNCOVERED: Rule = Rule::new("L07", "dkim-coverage", Level::Warn).says(
    "RFC 6376 section 5.4.1",
    "name the fields in the h= tag of the signature",
);
static UNSEALED: Rule = Rule::new("L07", "dkim-from-unsealed", Level::Warn).says(
    "RFC 6376 section 8.15",
    "name from in the h= tag once more than the message has it",
);
static PARTIAL: Rule = Rule::new("L07", "dkim-body-length", Level::Warn).says(
    "RFC 6376 section 8.2",
    "sign without the l= tag: anybody can add to such a body",
);

pub(super) const RULES: &[&Rule] = &[
    &UNSIGNED,
    &UNALIGNED,
    &UNPUBLISHED,
    &SMALL,
    &WEAK,
    &FROM_UNCOVERED,
    &UNCOVERED,
    &UNSEALED,
    &PARTIAL,
];

/// RFC 8301 §3.2: below, verifiers must not take it; below the second, signers should not make it.
const SMALLEST: usize = 1024;
const STRONG: usize = 2048;

/// What a reader acts on, where the message has it. Those of unsubscribing have rules of their own.
const WORTH_COVERING: [&str; 8] = [
    "to",
    "cc",
    "subject",
    "date",
    "message-id",
    "reply-to",
    "mime-version",
    "content-type",
];

pub(super) fn check(case: &Case<'_>, found: &mut Found) {
    let signatures = case.signatures();
    if signatures.is_empty() && case.facts.signing == Some(Signing::Unsigned) {
        let domain = case.message.from_domain();
        let domain = domain.unwrap_or_else(|| "the From domain".into());
        return found.add(&UNSIGNED, format!("no [[dkim]] key signs for {domain}"));
    }
    alignment(&signatures, found);
    for signature in signatures.iter() {
        key(signature, found);
        coverage(case.message, signature, found);
    }
}

/// One aligned signature is enough.
fn alignment(signatures: &[Signature], found: &mut Found) {
    let is_unaligned = |signature: &Signature| signature.aligned == Some(false);
    if !signatures.is_empty() && signatures.iter().all(is_unaligned) {
        let domains: Vec<&str> = signatures.iter().map(|s| &*s.domain).collect();
        let text = format!(
            "d={} is not aligned with the From domain",
            domains.join(", ")
        );
        found.add(&UNALIGNED, text);
    }
}

fn key(signature: &Signature, found: &mut Found) {
    let name = name(signature);
    match signature.key {
        KeyKind::Rsa { bits } if bits < SMALLEST => {
            found.add(&SMALL, format!("the key {name} has {bits} bits"));
        }
        KeyKind::Rsa { bits } if bits < STRONG => {
            found.add(&WEAK, format!("the key {name} has {bits} bits"));
        }
        KeyKind::Rsa { .. } | KeyKind::Ed25519 | KeyKind::Unknown => {}
    }
    let fault = match &signature.published {
        None | Some(Published::Ours) => return,
        Some(Published::Other) => "is another key than the one that signs".to_owned(),
        Some(Published::Nothing) => "does not exist".to_owned(),
        Some(Published::Unreadable(why)) => format!("cannot be read: {why}"),
    };
    found.add(&UNPUBLISHED, format!("the record {name} {fault}"));
}

fn name(signature: &Signature) -> String {
    format!("{}._domainkey.{}", signature.selector, signature.domain)
}

fn coverage(message: &Message, signature: &Signature, found: &mut Found) {
    let named = |field: &str| {
        let covers = signature.covers.iter();
        covers
            .filter(|name| name.eq_ignore_ascii_case(field))
            .count()
    };
    let name = name(signature);
    let froms = message.head.count("From");
    match named("from") {
        0 => found.add(&FROM_UNCOVERED, format!("h= of {name} has no from")),
        n if n <= froms => found.add(
            &UNSEALED,
            format!("h= of {name} has from {n} times; a second From would go unnoticed"),
        ),
        _ => {}
    }
    let missing = WORTH_COVERING.into_iter();
    let missing: Vec<&str> = missing
        .filter(|field| named(field) < message.head.count(field))
        .collect();
    if !missing.is_empty() {
        found.add(
            &UNCOVERED,
            format!("h= of {name} lacks {}", missing.join(", ")),
        );
    }
    if signature.is_partial {
        found.add(&PARTIAL, format!("the signature of {name} has an l= tag"));
    }
}

/// Signatures of a message that are looked at.
const MOST: usize = 10;

/// The signatures that came with the message. Nobody has verified them.
pub(super) fn carried(message: &Message) -> Vec<Signature> {
    let from = message.from_domain();
    let fields = message.head.all("DKIM-Signature").take(MOST);
    fields
        .filter_map(|field| read(&field.text(), from.as_deref()))
        .collect()
}

fn read(text: &str, from: Option<&str>) -> Option<Signature> {
    let tag = |name: &str| {
        let tags = text.split(';').filter_map(|tag| tag.split_once('='));
        let mut tags = tags.map(|(key, value)| (key.trim(), value.trim()));
        tags.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let domain = tag("d")?.to_ascii_lowercase();
    let covers = tag("h")?.split(':').take(200);
    Some(Signature {
        aligned: from.and_then(|from| surely_aligned(from, &domain)),
        selector: tag("s")?.to_owned(),
        key: match tag("a")?.starts_with("ed25519") {
            true => KeyKind::Ed25519,
            false => KeyKind::Unknown,
        },
        covers: covers
            .map(|name| name.trim().to_ascii_lowercase())
            .collect(),
        is_partial: tag("l").is_some(),
        published: None,
        domain,
    })
}

/// One is the other or lies below it; what is beside it only DNS can tell.
fn surely_aligned(from: &str, domain: &str) -> Option<bool> {
    let below = |name: &str, above: &str| {
        let rest = name.strip_suffix(above);
        above.contains('.') && rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
    match below(from, domain) || below(domain, from) {
        true => Some(true),
        false if last(from) != last(domain) => Some(false),
        false => None,
    }
}

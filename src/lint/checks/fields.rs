//! L01 to L04, L27: From, what is there once, the octets of the section, addresses.

use super::Case;
use crate::lint::facts::MailHost;
use crate::lint::finding::{Found, Level};
use crate::lint::message::domain_of;
use crate::lint::rule::Rule;
use crate::mail::Address;
use crate::mail::headers::Field;
use crate::mail::mailbox::{MailboxError, mailboxes};

static FROM_ONE: Rule = Rule::new("L01", "from-one", Level::Block).says(
    "RFC 5322 section 3.6.2",
    "write exactly one From field with one address",
);
static FROM_NAME: Rule = Rule::new("L01", "from-domain-name", Level::Block).says(
    "RFC 5321 section 2.3.5",
    "send from an address in a fully qualified domain of yours",
);
pub(super) static FROM_DOMAIN: Rule = Rule::new("L01", "from-domain", Level::Block).says(
    "RFC 5321 section 5.1",
    "publish an MX record for the From domain, or send from a domain that has one",
);
static DATE_MISSING: Rule = Rule::new("L02", "date-missing", Level::Fix).says(
    "RFC 5322 section 3.6.1",
    "nothing: it is added before signing",
);
static DATE_BAD: Rule = Rule::new("L02", "date-unreadable", Level::Warn).says(
    "RFC 5322 section 3.3",
    "write the date as in \"Sun, 1 Nov 2026 09:00:00 +0000\", or leave the field out",
);
static ID_MISSING: Rule = Rule::new("L02", "message-id-missing", Level::Fix).says(
    "RFC 5322 section 3.6.4",
    "nothing: it is added before signing",
);
static ID_BAD: Rule = Rule::new("L02", "message-id-unreadable", Level::Warn).says(
    "RFC 5322 section 3.6.4",
    "write it as <unique@your.domain>, or leave the field out",
);
static DUPLICATE: Rule = Rule::new("L03", "duplicate-field", Level::Block).says(
    "RFC 5322 section 3.6, RFC 2045 section 3",
    "write the field once",
);
static LONG_LINE: Rule = Rule::new("L04", "line-length", Level::Block).says(
    "RFC 5321 section 4.5.3.1.6",
    "fold fields, and encode the body as quoted-printable or base64",
);
static CONTROL: Rule = Rule::new("L04", "bare-control", Level::Block).says(
    "RFC 5321 section 2.3.8",
    "end every line with CR LF, and write neither CR, LF nor NUL anywhere else",
);
static SYNTAX: Rule = Rule::new("L04", "header-syntax", Level::Block).says(
    "RFC 5322 section 2.2",
    "write every header line as \"Name: value\", continued by lines that begin with a space",
);
static EIGHT_BIT: Rule = Rule::new("L04", "eight-bit-field", Level::Block).says(
    "RFC 5322 section 2.2, RFC 6532",
    "encode it as RFC 2047 says: =?utf-8?q?...?=",
);
static RECIPIENT: Rule = Rule::new("L27", "address-invalid", Level::Warn).says(
    "RFC 5322 section 3.4",
    "write addresses as user@example.com, with names in quotes before <user@example.com>",
);

pub(super) const RULES: &[&Rule] = &[
    &FROM_ONE,
    &FROM_NAME,
    &FROM_DOMAIN,
    &DATE_MISSING,
    &DATE_BAD,
    &ID_MISSING,
    &ID_BAD,
    &DUPLICATE,
    &LONG_LINE,
    &CONTROL,
    &SYNTAX,
    &EIGHT_BIT,
    &RECIPIENT,
];

/// Fields that a message has once (RFC 5322 §3.6, RFC 2045 §3).
const SINGLE: [&str; 14] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Subject",
    "Date",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

/// RFC 5321 §4.5.3.1.6: 1000 octets with CR LF.
const LONGEST_LINE: usize = 998;

pub(super) fn check(case: &Case<'_>, found: &mut Found) {
    octets(case, found);
    from(case, found);
    once(case, found);
    date_and_id(case, found);
    addresses(case, found);
}

fn octets(case: &Case<'_>, found: &mut Found) {
    let message = case.message;
    if let Some(fault) = message.fault {
        found.add(&SYNTAX, fault.to_string());
    }
    let lines = message.lines;
    let (length, line) = lines.longest;
    if length > LONGEST_LINE {
        found.add(
            &LONG_LINE,
            format!("line {line} has {length} octets, {LONGEST_LINE} are allowed"),
        );
    }
    let controls = [
        (lines.bare_cr, "a CR without LF"),
        (lines.bare_lf, "an LF without CR"),
        (lines.nul, "a NUL"),
    ];
    for (line, what) in controls {
        if let Some(line) = line {
            found.add(&CONTROL, format!("line {line} has {what}"));
        }
    }
    for field in message.head.fields() {
        eight_bit(case, field, found);
    }
}

fn eight_bit(case: &Case<'_>, field: Field<'_>, found: &mut Found) {
    if field.raw().is_ascii() {
        return;
    }
    let name = field.name();
    if std::str::from_utf8(field.raw()).is_err() {
        found.add(
            &EIGHT_BIT,
            format!("{name} has octets over 127 that are no UTF-8"),
        );
    } else if case.facts.smtputf8 == Some(false) {
        found.add(
            &EIGHT_BIT,
            format!(
                "{name} has octets over 127, without SMTPUTF8: {}",
                field.text()
            ),
        );
    }
}

fn from(case: &Case<'_>, found: &mut Found) {
    match &case.message.authors {
        Err(why) => found.add(&FROM_ONE, why),
        Ok(authors) => {
            if authors.len() > 1 {
                let names: Vec<&str> = authors.iter().map(Address::as_str).collect();
                found.add(
                    &FROM_ONE,
                    format!("From has {} addresses: {}", names.len(), names.join(", ")),
                );
            }
            for author in authors {
                from_domain(case, author, found);
            }
        }
    }
}

fn from_domain(case: &Case<'_>, author: &Address, found: &mut Found) {
    let domain = domain_of(author);
    if domain.starts_with('[') || !domain.contains('.') || is_reserved(&domain) {
        return found.add(
            &FROM_NAME,
            format!("From: {author} has no domain of the public DNS"),
        );
    }
    let facts = case.facts.domain(&domain).and_then(|facts| facts.mail);
    if let Some(why) = facts.and_then(no_mail) {
        found.add(&FROM_DOMAIN, format!("From: {domain} {why}"));
    }
}

/// Why a domain takes no mail.
pub(super) fn no_mail(host: MailHost) -> Option<&'static str> {
    match host {
        MailHost::Accepts => None,
        MailHost::Refuses => Some("publishes that it takes no mail (null MX)"),
        MailHost::Nowhere => Some("has neither MX nor address"),
        MailHost::Missing => Some("does not exist"),
    }
}

/// Names that no DNS has (RFC 6761, RFC 6762). Those of tests and examples are left alone: who uses them knows.
fn is_reserved(domain: &str) -> bool {
    let last = domain.rsplit('.').next().unwrap_or_default();
    matches!(
        last,
        "localhost" | "localdomain" | "local" | "lan" | "internal" | "invalid"
    )
}

fn once(case: &Case<'_>, found: &mut Found) {
    for name in SINGLE {
        let count = case.message.head.count(name);
        if count > 1 {
            found.add(&DUPLICATE, format!("{name} is there {count} times"));
        }
    }
}

fn date_and_id(case: &Case<'_>, found: &mut Found) {
    match case.message.text("Date") {
        None => found.add(&DATE_MISSING, "there is no Date field"),
        Some(text) if !is_date(&text) => found.add(&DATE_BAD, format!("Date: {text}")),
        Some(_) => {}
    }
    match case.message.text("Message-ID") {
        None => found.add(&ID_MISSING, "there is no Message-ID field"),
        Some(text) if !is_message_id(&text) => found.add(&ID_BAD, format!("Message-ID: {text}")),
        Some(_) => {}
    }
}

fn is_date(text: &str) -> bool {
    // A comment with the zone's name may follow.
    let text = text.split('(').next().unwrap_or_default().trim();
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .is_ok()
}

fn is_message_id(text: &str) -> bool {
    let inner = text
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'));
    let inner = inner.and_then(|inner| inner.split_once('@'));
    inner.is_some_and(|(left, right)| {
        let fine = |part: &str| {
            !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "<>@".contains(c))
        };
        fine(left) && fine(right)
    })
}

fn addresses(case: &Case<'_>, found: &mut Found) {
    let head = &case.message.head;
    for name in ["Sender", "Reply-To", "To", "Cc"] {
        let Some(field) = head.first(name) else {
            continue;
        };
        match mailboxes(&field.text()) {
            Ok(read) if name == "Sender" && read.len() > 1 => {
                found.add(
                    &RECIPIENT,
                    format!("Sender has {} addresses, one is allowed", read.len()),
                );
            }
            // "undisclosed-recipients:;" is how nobody is named.
            Ok(_) | Err(MailboxError::Group) => {}
            Err(error) => found.add(&RECIPIENT, format!("{name}: {error}")),
        }
    }
}

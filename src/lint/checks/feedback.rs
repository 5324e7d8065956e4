//! L16 to L18: what leads complaints and bounces back to a message.

use super::Case;
use crate::lint::finding::{Found, Level};
use crate::lint::rule::Rule;
use crate::mail::mailbox::mailboxes;

static ID_MISSING: Rule = feedback_id("feedback-id-missing").says(
    "Gmail feedback loop",
    "add \"Feedback-ID: campaign:customer:kind:sender\", signed with DKIM, to see complaints by campaign",
);
static ID_FIELDS: Rule = feedback_id("feedback-id-form").says(
    "Gmail feedback loop",
    "write up to three identifiers and then the sender's, 5 to 15 letters: \"a:b:c:sender\"",
);
static ID_UNSIGNED: Rule = feedback_id("feedback-id-unsigned").says(
    "Gmail feedback loop",
    "name feedback-id in the h= tag of the signature",
);
static LIST_ID: Rule = Rule::new("L16", "list-id-missing", Level::Info)
    .marketing()
    .says(
        "RFC 2919",
        "name the list: \"List-Id: Offers <offers.example.com>\"",
    );
static PRECEDENCE: Rule = Rule::new("L16", "precedence-junk", Level::Info)
    .marketing()
    .says(
        "RFC 3834 section 3.1.8",
        "write \"Precedence: bulk\", or leave the field out",
    );
static CFBL_MISSING: Rule = Rule::new("L17", "cfbl-missing", Level::Info).says(
    "RFC 9477",
    "set [feedback] address, so that providers know where complaints go",
);
static CFBL_BAD: Rule = Rule::new("L17", "cfbl-unreadable", Level::Info).says(
    "RFC 9477 section 3.1",
    "write it once, as \"CFBL-Address: fbl@example.com; report=arf\"",
);
static CFBL_UNSIGNED: Rule = Rule::new("L17", "cfbl-unsigned", Level::Info).says(
    "RFC 9477 section 3.1.3",
    "name cfbl-address in the h= tag of an aligned signature",
);
pub(super) static UNTRACED: Rule = Rule::new("L18", "untraced", Level::Info).says(
    "RFC 5321 section 4.4",
    "set [return_path] domain, so that bounces name their message and recipient",
);

pub(super) const RULES: &[&Rule] = &[
    &ID_MISSING,
    &ID_FIELDS,
    &ID_UNSIGNED,
    &LIST_ID,
    &PRECEDENCE,
    &CFBL_MISSING,
    &CFBL_BAD,
    &CFBL_UNSIGNED,
    &UNTRACED,
];

const fn feedback_id(name: &'static str) -> Rule {
    Rule::new("L16", name, Level::Info)
        .marketing()
        .of(&["google"])
}

const MOST_FIELDS: usize = 4;
const SENDER_LENGTH: std::ops::RangeInclusive<usize> = 5..=15;

pub(super) fn check(case: &Case<'_>, found: &mut Found) {
    id(case, found);
    if !case.has("List-Id") {
        found.add(&LIST_ID, "there is no List-Id");
    }
    let precedence = case.message.text("Precedence").unwrap_or_default();
    if precedence.eq_ignore_ascii_case("junk") {
        found.add(&PRECEDENCE, "Precedence: junk");
    }
    complaints(case, found);
    if case.facts.traced == Some(false) {
        found.add(
            &UNTRACED,
            "the return path is the platform's, without a token of ours",
        );
    }
}

fn id(case: &Case<'_>, found: &mut Found) {
    let Some(text) = case.message.text("Feedback-ID") else {
        return found.add(&ID_MISSING, "there is no Feedback-ID");
    };
    let count = case.message.head.count("Feedback-ID");
    if count > 1 {
        found.add(&ID_FIELDS, format!("Feedback-ID is there {count} times"));
    }
    let fields: Vec<&str> = text.split(':').map(str::trim).collect();
    let sender = fields.last().copied().unwrap_or_default();
    if fields.len() > MOST_FIELDS {
        let text = format!(
            "Feedback-ID has {} fields, {MOST_FIELDS} are allowed: {text}",
            fields.len()
        );
        found.add(&ID_FIELDS, text);
    } else if !SENDER_LENGTH.contains(&sender.chars().count()) {
        let text = format!("the last field of Feedback-ID, the sender, is \"{sender}\": {text}");
        found.add(&ID_FIELDS, text);
    }
    if case.is_uncovered("Feedback-ID") == Some(true) {
        found.add(&ID_UNSIGNED, "no DKIM signature covers Feedback-ID");
    }
}

fn complaints(case: &Case<'_>, found: &mut Found) {
    let Some(text) = case.message.text("CFBL-Address") else {
        if !case.facts.adds("CFBL-Address") {
            found.add(&CFBL_MISSING, "there is no CFBL-Address");
        }
        return;
    };
    let count = case.message.head.count("CFBL-Address");
    let address = text.split(';').next().unwrap_or_default();
    if count > 1 || mailboxes(address).map_or(true, |read| read.len() != 1) {
        found.add(&CFBL_BAD, format!("CFBL-Address, {count} times: {text}"));
    }
    if case.is_uncovered("CFBL-Address") == Some(true) {
        found.add(&CFBL_UNSIGNED, "no DKIM signature covers CFBL-Address");
    }
}

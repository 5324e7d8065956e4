//! L25: AMP for email, which Gmail, Yahoo and Mail.ru show in place of the HTML, where it is as they ask.

use super::Case;
use crate::lint::facts::Signing;
use crate::lint::finding::{Found, Level};
use crate::lint::message::Part;
use crate::lint::rule::Rule;

static ORDER: Rule = amp("amp-order").says(
    "AMP for email: structure of the message",
    "put text/plain first, then text/x-amp-html, then text/html: some readers take the last part for the best",
);
static PLACE: Rule = amp("amp-place").says(
    "AMP for email: structure of the message",
    "put one text/x-amp-html part into the multipart/alternative that has the HTML",
);
static LARGE: Rule = amp("amp-size").says(
    "AMP for email: 200,000 octets at Gmail; 100,000 are safe everywhere",
    "make the AMP part smaller, or leave it out: the HTML is shown in its place",
);
static MARKUP: Rule = amp("amp-markup").says(
    "AMP for email: required markup",
    "begin with <!doctype html><html amp4email>, and check the part with amphtml-validator",
);
static UNAUTHENTICATED: Rule = amp("amp-unauthenticated").says(
    "AMP for email: authentication",
    "have SPF, DKIM and DMARC pass: what is not authenticated is shown as HTML",
);

pub(super) const RULES: &[&Rule] = &[&ORDER, &PLACE, &LARGE, &MARKUP, &UNAUTHENTICATED];

const fn amp(name: &'static str) -> Rule {
    Rule::new("L25", name, Level::Warn).of(&["google", "yahoo", "mail.ru"])
}

const MEDIA: &str = "text/x-amp-html";
/// Octets that every reader of AMP takes, and that Gmail does.
const SAFE: usize = 100_000;
const LARGEST: usize = 200_000;

pub(super) fn check(case: &Case<'_>, found: &mut Found) {
    let parts = &case.message.parts;
    let amps: Vec<&Part> = parts.iter().filter(|part| part.media == MEDIA).collect();
    let [first, rest @ ..] = amps.as_slice() else {
        return;
    };
    if !rest.is_empty() {
        found.add(&PLACE, format!("there are {} AMP parts", amps.len()));
    }
    place(case, first, found);
    match first.size {
        size if size > LARGEST => {
            found.add(
                &LARGE,
                format!("the AMP part has {size} octets, Gmail takes {LARGEST}"),
            );
        }
        size if size > SAFE => {
            let text = format!("the AMP part has {size} octets, {SAFE} are safe everywhere");
            found.add_at(Level::Info, &LARGE, text);
        }
        _ => {}
    }
    markup(first, found);
    authentication(case, found);
}

fn place(case: &Case<'_>, amp: &Part, found: &mut Found) {
    if amp.within != "multipart/alternative" {
        let within = if amp.within.is_empty() {
            "the message itself"
        } else {
            &*amp.within
        };
        return found.add(
            &PLACE,
            format!("the AMP part is in {within}, not in multipart/alternative"),
        );
    }
    let parts = &case.message.parts;
    let at = |fits: &dyn Fn(&Part) -> bool| parts.iter().position(fits);
    let amp_at = at(&|part| part == amp);
    // The HTML may stand with its pictures in a multipart/related beside the AMP part.
    let html_at = at(&Part::is_html);
    let text_at = at(&Part::is_shown_text);
    if html_at.is_none() && case.message.is_whole {
        found.add(&PLACE, "there is no HTML for those who do not show AMP");
    }
    let is_ordered = text_at.is_none_or(|text| Some(text) < amp_at)
        && html_at.is_none_or(|html| amp_at < Some(html));
    if !is_ordered {
        let order: Vec<&str> = parts.iter().map(|part| &*part.media).take(10).collect();
        found.add(&ORDER, format!("the parts are {}", order.join(", ")));
    }
}

fn markup(amp: &Part, found: &mut Found) {
    let start = amp
        .text
        .get(..amp.text.floor_char_boundary(1000))
        .unwrap_or_default();
    let start = start.to_ascii_lowercase();
    let tag = start.find("<html").and_then(|at| start.get(at..));
    let tag = tag
        .and_then(|rest| rest.split('>').next())
        .unwrap_or_default();
    if !tag.contains("amp4email") && !tag.contains('⚡') {
        found.add(&MARKUP, "the AMP part does not begin with <html amp4email>");
    }
}

fn authentication(case: &Case<'_>, found: &mut Found) {
    let facts = case.facts;
    if facts.signing == Some(Signing::Unsigned) && case.signatures().is_empty() {
        found.add(&UNAUTHENTICATED, "the message is not signed with DKIM");
    }
    if facts.dmarc.as_ref().and_then(|dmarc| dmarc.passes) == Some(false) {
        found.add(&UNAUTHENTICATED, "DMARC does not pass");
    }
}

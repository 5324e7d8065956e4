//! L14, L15: how the recipient of marketing mail leaves the list (RFC 2369, RFC 8058).

use super::Case;
use crate::lint::facts::Facts;
use crate::lint::finding::{Found, Level};
use crate::lint::message::html::urls_in;
use crate::lint::message::words::offers_to_leave;
use crate::lint::rule::{BIG_THREE, Rule};

static MISSING: Rule = one_click("unsubscribe-missing").says(
    "RFC 8058; Google, Yahoo: required of marketing mail",
    "set [unsubscribe] url, or give List-Unsubscribe and List-Unsubscribe-Post",
);
static POST_MISSING: Rule = one_click("one-click-missing").says(
    "RFC 8058 section 3.1",
    "add \"List-Unsubscribe-Post: List-Unsubscribe=One-Click\"",
);
static POST_VALUE: Rule = one_click("one-click-value").says(
    "RFC 8058 section 3.1",
    "write exactly \"List-Unsubscribe-Post: List-Unsubscribe=One-Click\"",
);
static NO_HTTPS: Rule = one_click("unsubscribe-https").says(
    "RFC 8058 section 3.1",
    "put a link that begins with https:// into List-Unsubscribe, in angle brackets",
);
static TWICE: Rule = one_click("unsubscribe-twice").says(
    "RFC 8058 section 3.1",
    "write each of List-Unsubscribe and List-Unsubscribe-Post once",
);
static UNSIGNED: Rule = one_click("unsubscribe-unsigned").says(
    "RFC 8058 section 4",
    "name both fields in the h= tag of an aligned DKIM signature",
);
static NO_LINK: Rule = Rule::new("L15", "unsubscribe-link", Level::Warn)
    .marketing()
    .of(&["outlook", "apple", "google"])
    .says(
        "Microsoft's and Apple's requirements; CAN-SPAM",
        "put a link that can be seen, and says what it does, into the body",
    );
static NO_ADDRESS: Rule = Rule::new("L15", "postal-address", Level::Info)
    .marketing()
    .says(
        "CAN-SPAM, 16 CFR 316",
        "name the sender's postal address in the body",
    );

pub(super) const RULES: &[&Rule] = &[
    &MISSING,
    &POST_MISSING,
    &POST_VALUE,
    &NO_HTTPS,
    &TWICE,
    &UNSIGNED,
    &NO_LINK,
    &NO_ADDRESS,
];

const fn one_click(name: &'static str) -> Rule {
    Rule::new("L14", name, Level::Warn)
        .marketing()
        .blocks_bulk()
        .of(BIG_THREE)
}

const LIST: &str = "List-Unsubscribe";
const POST: &str = "List-Unsubscribe-Post";
/// RFC 8058 §3.1, to the letter.
const ONE_CLICK: &str = "List-Unsubscribe=One-Click";

pub(super) fn check(case: &Case<'_>, found: &mut Found) {
    fields(case, found);
    body(case, found);
}

fn fields(case: &Case<'_>, found: &mut Found) {
    let head = &case.message.head;
    for name in [LIST, POST] {
        let count = head.count(name);
        if count > 1 {
            found.add(&TWICE, format!("{name} is there {count} times"));
        }
    }
    let Some(list) = case.message.text(LIST) else {
        return absent(case, found);
    };
    let places = places(&list);
    if !places.iter().any(|place| is_https(place)) {
        let list = if list.is_empty() { "nothing" } else { &*list };
        found.add(
            &NO_HTTPS,
            format!("List-Unsubscribe has no https link, but {list}"),
        );
    }
    match case.message.text(POST) {
        None => found.add(&POST_MISSING, "there is no List-Unsubscribe-Post"),
        Some(value) if value != ONE_CLICK => {
            found.add(&POST_VALUE, format!("List-Unsubscribe-Post: {value}"));
        }
        Some(_) => {}
    }
    coverage(case, found);
}

fn absent(case: &Case<'_>, found: &mut Found) {
    let post = case.has(POST);
    let what = if post {
        "List-Unsubscribe-Post stands alone"
    } else {
        "there is no List-Unsubscribe"
    };
    match we_add(case.facts) && !post {
        true => found.add_at(
            Level::Fix,
            &MISSING,
            format!("{what}; it is added before signing"),
        ),
        false => found.add(&MISSING, what),
    }
}

fn we_add(facts: &Facts) -> bool {
    facts.adds(LIST)
}

fn coverage(case: &Case<'_>, found: &mut Found) {
    let uncovered = [LIST, POST]
        .into_iter()
        .filter(|name| case.has(name) && case.is_uncovered(name) == Some(true));
    let uncovered: Vec<&str> = uncovered.collect();
    if !uncovered.is_empty() {
        found.add(
            &UNSIGNED,
            format!("no DKIM signature covers {}", uncovered.join(" and ")),
        );
    }
}

/// What stands in angle brackets (RFC 2369 §2).
fn places(value: &str) -> Vec<&str> {
    let pieces = value.split('<').skip(1).take(50);
    pieces
        .filter_map(|piece| piece.split_once('>').map(|(place, _)| place.trim()))
        .collect()
}

fn is_https(place: &str) -> bool {
    let (scheme, rest) = place.split_at_checked(8).unwrap_or_default();
    scheme.eq_ignore_ascii_case("https://")
        && rest.starts_with(|c: char| c.is_alphanumeric() || c == '[')
        && !rest.contains(char::is_whitespace)
}

fn body(case: &Case<'_>, found: &mut Found) {
    let message = case.message;
    let Some(text) = message.shown() else {
        return;
    };
    // What was not read may hold it.
    if !message.is_whole {
        return;
    }
    match &message.page {
        Some(page) => {
            let offering = page.links.iter();
            let mut offering =
                offering.filter(|link| offers_to_leave(&link.text) || offers_to_leave(&link.href));
            match (offering.next(), text_offers(&text)) {
                (None, false) => {
                    let links = page.links.len();
                    found.add(
                        &NO_LINK,
                        format!("none of {links} links in the HTML says that it unsubscribes"),
                    );
                }
                (Some(first), false) if first.is_hidden && offering.all(|link| link.is_hidden) => {
                    found.add(
                        &NO_LINK,
                        format!(
                            "the link to unsubscribe is hidden by its style: {}",
                            first.href
                        ),
                    );
                }
                (Some(_), _) | (None, true) => {}
            }
        }
        None if text_offers(&text) => {}
        None => found.add(&NO_LINK, "the text names no place to unsubscribe at"),
    }
    if !names_a_place(&text) {
        found.add(
            &NO_ADDRESS,
            "nothing in the body looks like a postal address",
        );
    }
}

/// A place on the web or an address beside words that say what it is for, or a place whose name says so.
fn text_offers(text: &str) -> bool {
    let mut before = "";
    let mut offered_before = false;
    text.lines().any(|line| {
        let leads = |line: &str| {
            urls_in(line).next().is_some() || line.contains("mailto:") || line.contains('@')
        };
        let offers = offers_to_leave(line);
        let is_one = (offers && (leads(line) || leads(before))) || (offered_before && leads(line));
        if !line.trim().is_empty() {
            (before, offered_before) = (line, offers);
        }
        is_one
    })
}

/// A number of a house or a district beside a name. Years are no such number.
fn names_a_place(text: &str) -> bool {
    let lower = text.to_lowercase();
    let boxes = [
        "p.o. box",
        "po box",
        "postfach",
        "apartado",
        "boîte postale",
    ];
    if boxes.iter().any(|word| lower.contains(word)) {
        return true;
    }
    let words: Vec<&str> = text.split_whitespace().take(50_000).collect();
    words.windows(2).any(|pair| {
        let [first, second] = pair else { return false };
        let number = |word: &str| {
            let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
            let is_number = !bare.is_empty() && bare.chars().all(|c| c.is_ascii_digit());
            let is_year = bare.len() == 4 && (bare.starts_with("19") || bare.starts_with("20"));
            let is_zip = (4..=6).contains(&bare.len()) && is_number && !is_year;
            is_zip || is_postcode(bare)
        };
        let name = |word: &str| word.starts_with(char::is_uppercase);
        (number(first) && name(second)) || (name(first) && number(second))
    })
}

/// The second half of a British or Canadian one: `1AA`, `2B3`.
fn is_postcode(word: &str) -> bool {
    let mut chars = word.chars();
    let shape = (chars.next(), chars.next(), chars.next(), chars.next());
    let (Some(a), Some(b), Some(c), None) = shape else {
        return false;
    };
    a.is_ascii_digit() && b.is_ascii_uppercase() && (c.is_ascii_uppercase() || c.is_ascii_digit())
}

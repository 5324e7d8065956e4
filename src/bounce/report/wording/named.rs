//! The addresses in the words of a notice, and what role each has there.

use super::phrases::is_failure;
use crate::bounce::report::address::{Found, addresses};

/// How an address is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It begins its line.
    Listed,
    /// It stands behind words that say it is a recipient.
    Marked,
    /// Neither; it may be anybody's.
    Bare,
}

/// An address in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub address: String,
    pub place: Place,
    /// Its line, from 0, and what follows it there.
    pub line: usize,
    pub behind: String,
    /// Postmasters and help desks: seldom whom we wrote to.
    pub is_role: bool,
    /// Its line speaks of a failure, or has a reply code.
    pub fails: bool,
}

/// Addresses of a text that are looked at.
const MOST: usize = 1000;

/// The addresses of a text that may be recipients.
pub fn all(lines: &[&str]) -> Vec<Named> {
    let mut named = Vec::new();
    let mut before = "";
    for (number, line) in lines.iter().enumerate() {
        named.extend(in_line(line, before, number));
        if named.len() >= MOST {
            break;
        }
        if !line.trim().is_empty() {
            before = line;
        }
    }
    named
}

fn in_line(line: &str, line_before: &str, number: usize) -> Vec<Named> {
    let found = addresses(line);
    let alone = found.len() == 1;
    let mut named: Vec<Named> = Vec::new();
    for (position, found) in found.iter().enumerate() {
        let before = line.get(..found.start).unwrap_or_default();
        let in_list = named.last().is_some_and(|last| last.place == Place::Listed);
        let place = match place(before, line_before) {
            // `ann@example.net, bob@example.net`, but not `<ann@example.net>: sent from bob@example.net`.
            Some(Place::Bare) if in_list && is_between(line, position, found) => Place::Listed,
            // A line that speaks of a failure and names one address speaks of that one.
            Some(Place::Bare) if alone && is_failure(line) => Place::Marked,
            Some(place) => place,
            None => continue,
        };
        named.push(Named {
            address: found.address.to_owned(),
            place,
            line: number,
            behind: line.get(found.end..).unwrap_or_default().to_owned(),
            is_role: is_role(found.address),
            fails: is_failure(line) || has_code(line),
        });
    }
    named
}

/// Nothing but a comma stands between an address and the one before.
fn is_between(line: &str, position: usize, found: &Found<'_>) -> bool {
    let before = position
        .checked_sub(1)
        .and_then(|at| addresses(line).get(at).map(|before| before.end));
    let between = before.and_then(|end| line.get(end..found.start));
    between.is_some_and(|between| between.trim_matches([' ', ',', ';', '<', '>']).is_empty())
}

/// What the words before an address make of it; `None`: they say it is no recipient.
fn place(before: &str, line_before: &str) -> Option<Place> {
    let is_bullet =
        |c: char| c.is_whitespace() || c.is_ascii_digit() || "<>*-\"'(#•:.,;|+=[".contains(c);
    let words = before
        .trim_end_matches(|c: char| c.is_whitespace() || "<\"'(:[=".contains(c))
        .to_lowercase();
    if words.trim_matches(is_bullet).is_empty() {
        // A sentence that runs over the end of its line.
        let wrapped = line_before.trim_end().to_lowercase();
        return match is_foreign(&wrapped) {
            true => None,
            false => Some(Place::Listed),
        };
    }
    if is_foreign(&words) {
        return None;
    }
    match RECIPIENT.iter().any(|word| ends_with_word(&words, word)) {
        true => Some(Place::Marked),
        false => Some(Place::Bare),
    }
}

fn has_code(line: &str) -> bool {
    let mut words = line.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| {
        word.len() == 3 && word.starts_with(['4', '5']) && word.bytes().all(|b| b.is_ascii_digit())
    })
}

fn is_foreign(words: &str) -> bool {
    FOREIGN.iter().any(|word| ends_with_word(words, word))
}

fn ends_with_word(text: &str, word: &str) -> bool {
    let Some(rest) = text.strip_suffix(word) else {
        return false;
    };
    let before = rest.chars().next_back();
    before.is_none_or(|c| !c.is_alphanumeric()) || !word.is_ascii()
}

fn is_role(address: &str) -> bool {
    let local = address
        .split('@')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    ROLES.contains(&local.as_str()) || local.starts_with("mailer-daemon")
}

/// Words that stand before an address that mail was for.
const RECIPIENT: &[&str] = &[
    "to",
    "for",
    "recipient",
    "recipients",
    "recipient(s)",
    "address",
    "addresses",
    "address(es)",
    "user",
    "userid",
    "user id",
    "mailbox",
    "account",
    "failed",
    "errors",
    "rcpt to",
    "list",
    "in",
    "addressee",
    "destination",
    "destinatario",
    "destinataire",
    "destinatário",
    "empfänger",
    "an",
    "à",
    "para",
    "получатель",
    "адрес",
    "宛先",
    "收件人",
];

/// Words that stand before an address of somebody else.
const FOREIGN: &[&str] = &[
    "from",
    "mail from",
    "sender",
    "by",
    "contact",
    "contacting",
    "reply-to",
    "reply to",
    "return-path",
    "envelope-from",
    "originator",
    "hello",
    "dear",
    "hi",
    "message-id",
    "message id",
    "in-reply-to",
    "references",
    "send mail to",
    "send email to",
    "send an email to",
    "send an e-mail to",
    "send a message to",
    "send message to",
    "please write to",
    "write to",
    "please mail",
    "please email",
    "mailto",
    "email us at",
    "e-mail us at",
    "report this to",
    "report to",
    "forward this message to",
    "forward to",
    "generated from",
    "on behalf of",
    "mit",
    "von",
    "absender",
    "kontakt",
    "contacter",
    "contacte",
    "contactar",
    "差出人",
    "发件人",
    "отправитель",
];

const ROLES: &[&str] = &[
    "postmaster",
    "post_master",
    "abuse",
    "support",
    "help",
    "helpdesk",
    "hostmaster",
    "webmaster",
    "noreply",
    "no-reply",
    "admin",
    "administrator",
    "root",
    "info",
    "security",
    "mailmaster",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<(String, Place)> {
        let lines: Vec<&str> = text.lines().collect();
        all(&lines)
            .into_iter()
            .map(|named| (named.address, named.place))
            .collect()
    }

    #[test]
    fn the_words_before_an_address_say_what_it_is() {
        for (text, place) in [
            ("<ann@example.net>:", Some(Place::Listed)),
            ("   * ann@example.net", Some(Place::Listed)),
            ("1. ann@example.net", Some(Place::Listed)),
            (">>> ann@example.net <ann@example.net>", Some(Place::Listed)),
            (
                "could not be delivered to: <ann@example.net>",
                Some(Place::Marked),
            ),
            ("RCPT TO:<ann@example.net>", Some(Place::Marked)),
            ("Unknown user: ann@example.net", Some(Place::Marked)),
            ("the mail of ann@example.net", Some(Place::Bare)),
            ("MAIL FROM:<ann@example.net>", None),
            ("please contact <ann@example.net>", None),
            ("please send mail to\nann@example.net", None),
            ("Message-ID: <1@example.net>", None),
        ] {
            let found = places(text).first().map(|(_, place)| *place);
            assert_eq!(found, place, "{text}");
        }
    }

    #[test]
    fn addresses_in_a_row_are_all_listed() {
        let row = places("ann@example.net, bob@example.net");
        assert!(
            row.iter().all(|(_, place)| *place == Place::Listed),
            "{row:?}"
        );
        let told = places("<ann@example.net>: mail of bob@example.net is refused");
        assert_eq!(told[1].1, Place::Bare);
    }

    #[test]
    fn a_role_is_told() {
        assert!(all(&["postmaster@example.net"])[0].is_role);
    }
}

//! What a refusal means: try again, or give up, and why.
//!
//! The reply code decides between the two (RFC 5321 §4.2.1). The class is looked up by enhanced code (RFC 3463 and
//! the IANA registry), where that says too little by words of the text, and at last by code and command.

use crate::mail::{BounceClass, EnhancedCode, Finding, Reply};

/// What follows from a reply that is not positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a refusal that nobody acts on is mail that waits for ever"]
pub enum Fate {
    /// Try again later.
    Defer(Finding),
    /// Give up.
    Bounce(Finding),
}

/// What a refusal means for the recipient it was said of. Anything but 5xx is worth another attempt.
pub fn classify(reply: &Reply) -> Fate {
    if !reply.is_permanent() {
        return Fate::Defer(BounceClass::Unknown.into());
    }
    let class = reply
        .enhanced
        .and_then(by_code)
        .or_else(|| by_text(&reply.text))
        .unwrap_or_else(|| by_command(reply));
    Fate::Bounce(class.into())
}

/// The first row that fits. Codes that senders of replies use for many things are not in it.
fn by_code(EnhancedCode(_, subject, detail): EnhancedCode) -> Option<BounceClass> {
    CODES
        .iter()
        .find(|(s, details, _)| *s == subject && details.contains(&detail))
        .map(|(_, _, class)| *class)
}

fn by_text(text: &str) -> Option<BounceClass> {
    let text = text.to_ascii_lowercase();
    TEXTS
        .iter()
        .find(|(_, words)| words.iter().any(|word| text.contains(word)))
        .map(|(class, _)| *class)
}

fn by_command(reply: &Reply) -> BounceClass {
    match (&*reply.command, reply.code) {
        ("RCPT", 552) => BounceClass::Soft,
        ("RCPT", 550 | 551 | 553) => BounceClass::Hard,
        // Our own spool could not give the message back.
        ("content" | "spool", _) => BounceClass::Config,
        ("connect" | "EHLO" | "HELO", _) => BounceClass::Block,
        (_, 500..=505) => BounceClass::Config,
        (_, 552) => BounceClass::Policy,
        _ if matches!(reply.enhanced, Some(EnhancedCode(_, 5, _))) => BounceClass::Config,
        _ => BounceClass::Policy,
    }
}

type Row = (u16, std::ops::RangeInclusive<u16>, BounceClass);

/// Subject, details, class.
const CODES: &[Row] = &[
    (1, 7..=8, BounceClass::Policy), // the sender's address
    (1, 9..=9, BounceClass::Config),
    (1, 0..=999, BounceClass::Hard),
    (2, 1..=1, BounceClass::Hard), // mailbox disabled
    (2, 2..=2, BounceClass::Soft), // mailbox full
    (2, 3..=3, BounceClass::Policy),
    (3, 1..=2, BounceClass::Soft),
    (3, 3..=3, BounceClass::Config),
    (3, 4..=4, BounceClass::Policy), // message too large
    (4, 1..=1, BounceClass::Hard),   // Exchange Online: no such recipient
    (4, 4..=4, BounceClass::Hard),   // cannot be routed
    (4, 6..=6, BounceClass::Policy), // loop
    (4, 7..=7, BounceClass::Expired),
    (6, 0..=999, BounceClass::Config),
    (7, 4..=9, BounceClass::Config), // security features and credentials
    (7, 10..=10, BounceClass::Config),
    (7, 20..=32, BounceClass::Policy), // DKIM, SPF, reverse DNS, DMARC
    (7, 511..=512, BounceClass::Block), // Microsoft: banned sender
    (7, 606..=649, BounceClass::Block), // Microsoft: banned address
    (7, 500..=599, BounceClass::Policy), // Microsoft: authentication and rules
];

/// Words in lower case; the first class of which one is in the text.
const TEXTS: &[(BounceClass, &[&str])] = &[
    (
        BounceClass::Soft,
        &[
            "mailbox full",
            "mailbox is full",
            "over quota",
            "quota exceeded",
            "exceeded storage",
        ],
    ),
    (
        BounceClass::Block,
        &[
            "spam",
            "blacklist",
            "blocklist",
            "blocked",
            "reputation",
            "banned",
            "rbl",
            "spamhaus",
        ],
    ),
    (
        BounceClass::Hard,
        &[
            "user unknown",
            "unknown user",
            "no such user",
            "no such recipient",
            "does not exist",
            "doesn't exist",
            "mailbox unavailable",
            "mailbox not found",
            "user not found",
            "recipient not found",
            "invalid recipient",
            "account disabled",
            "account has been disabled",
            "no mailbox",
        ],
    ),
    (
        BounceClass::Policy,
        &[
            "relay",
            "too large",
            "too big",
            "authenticat",
            "spf",
            "dkim",
            "dmarc",
            "policy",
            "denied",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(said: &str, command: &str) -> Fate {
        let (code, rest) = said.split_once(' ').unwrap();
        let (enhanced, text) = match EnhancedCode::split(rest) {
            Some((enhanced, text)) => (Some(enhanced), text),
            None => (None, rest),
        };
        classify(&Reply::said(code.parse().unwrap(), enhanced, text, command))
    }

    #[test]
    fn replies_as_they_are_met() {
        use BounceClass::*;
        for (said, command, class) in [
            (
                "550 5.1.1 The email account that you tried to reach does not exist",
                "RCPT",
                Hard,
            ),
            (
                "550 5.4.1 Recipient address rejected: Access denied",
                "RCPT",
                Hard,
            ),
            (
                "550 5.5.0 Requested action not taken: mailbox unavailable",
                "RCPT",
                Hard,
            ),
            ("550 No such user here", "RCPT", Hard),
            ("550 rejected", "RCPT", Hard),
            ("556 5.1.10 null MX", "MX", Hard),
            ("552 5.2.2 The email account is over quota", "RCPT", Soft),
            ("552 no", "RCPT", Soft),
            (
                "554 5.7.1 Service unavailable; client host blocked using a list",
                "RCPT",
                Block,
            ),
            (
                "550 5.7.606 Access denied, banned sending IP",
                "RCPT",
                Block,
            ),
            ("554 go away", "connect", Block),
            ("550 5.7.26 unauthenticated mail is prohibited", ".", Policy),
            (
                "550 5.7.515 Access denied, sending domain does not meet the level",
                ".",
                Policy,
            ),
            ("550 5.7.1 not permitted", ".", Policy),
            ("552 5.3.4 message too big", ".", Policy),
            ("550 5.7.1 Relaying denied", "RCPT", Policy),
            ("550 5.6.7 SMTPUTF8 needed", "MAIL", Config),
            ("502 what?", "DATA", Config),
            ("503 5.5.1 bad sequence", "DATA", Config),
        ] {
            assert_eq!(fate(said, command), Fate::Bounce(class.into()), "{said}");
        }
    }

    #[test]
    fn everything_but_5xx_is_tried_again() {
        for said in [
            "451 4.7.650 slow down",
            "421 bye",
            "452 4.2.2 mailbox full",
            "354 what",
            "999 garbage",
            "0 x",
        ] {
            assert!(matches!(fate(said, "RCPT"), Fate::Defer(_)), "{said}");
        }
    }

    #[test]
    fn words_are_in_lower_case_and_rows_can_be_reached() {
        for (_, words) in TEXTS {
            assert!(words.iter().all(|word| *word == word.to_ascii_lowercase()));
        }
        for (i, (subject, details, class)) in CODES.iter().enumerate() {
            let reached = details.clone().any(|detail| {
                let row = CODES
                    .iter()
                    .position(|(s, d, _)| s == subject && d.contains(&detail));
                row == Some(i)
            });
            assert!(
                reached,
                "{subject}.{details:?} {class:?} lies behind a wider row"
            );
        }
    }
}

//! L05, L24: in whose name a message speaks, and whether that name takes answers.

use super::Case;
use super::fields::no_mail;
use crate::lint::finding::{Found, Level};
use crate::lint::message::domain_of;
use crate::lint::rule::{BIG_THREE, Rule};

static FREEMAIL: Rule = Rule::new("L05", "freemail-from", Level::Block)
    .of(&["google", "yahoo", "outlook", "apple"])
    .says(
        "Google's sender guidelines; DMARC of the domain",
        "send from a domain of your own, and name the person in Reply-To",
    );
pub(super) static NOT_OURS: Rule = Rule::new("L05", "from-not-ours", Level::Block).says(
    "RFC 6409 section 6.1",
    "add the domain to the tenant's domains, or send from one of them",
);
static NAME_MISLEADS: Rule = Rule::new("L05", "name-misleads", Level::Warn)
    .of(&["google"])
    .says(
        "Google's sender guidelines",
        "leave addresses out of the name in From",
    );
static NO_ANSWERS: Rule = Rule::new("L24", "answers-bounce", Level::Warn)
    .of(&["outlook"])
    .says(
        "Microsoft's requirements of high-volume senders",
        "use From, Reply-To and return path in domains that take mail",
    );
static NULL_SENDER: Rule = Rule::new("L24", "null-sender", Level::Warn)
    .of(BIG_THREE)
    .says(
        "RFC 5321 section 4.5.5",
        "give a return path; <> is for notices and automatic answers",
    );

pub(super) const RULES: &[&Rule] = &[
    &FREEMAIL,
    &NOT_OURS,
    &NAME_MISLEADS,
    &NO_ANSWERS,
    &NULL_SENDER,
];

pub(super) fn check(case: &Case<'_>, found: &mut Found) {
    for author in case.message.authors.iter().flatten() {
        let domain = domain_of(author);
        let ours = case.facts.domain(&domain).and_then(|facts| facts.ours);
        if is_freemail(&domain) && ours != Some(true) {
            found.add(
                &FREEMAIL,
                format!(
                    "From: {author} is a mailbox at {domain}, whose mail only its provider sends"
                ),
            );
        } else if ours == Some(false) {
            found.add(
                &NOT_OURS,
                format!("From: {domain} is none of the tenant's domains"),
            );
        }
    }
    name(case, found);
    answers(case, found);
}

/// A name that is an address of another domain is what people see.
fn name(case: &Case<'_>, found: &mut Found) {
    let (Some(author), Some(text)) = (case.message.author(), case.message.text("From")) else {
        return;
    };
    let Some((name, _)) = text.split_once('<') else {
        return;
    };
    let mut words = name.split(|c: char| c.is_whitespace() || "\"'(),".contains(c));
    let other = words.find_map(|word| {
        let (local, domain) = word.split_once('@')?;
        let is_other = !domain.eq_ignore_ascii_case(author.domain());
        (!local.is_empty() && domain.contains('.') && is_other).then_some(word)
    });
    if let Some(other) = other {
        found.add(
            &NAME_MISLEADS,
            format!("the name in From says {other}, the address is {author}"),
        );
    }
}

fn answers(case: &Case<'_>, found: &mut Found) {
    let return_path = case.facts.return_path.as_ref();
    let of_path = return_path.and_then(|path| path.as_ref()).map(domain_of);
    let named = case
        .message
        .answered()
        .into_iter()
        .map(|domain| ("Reply-To", domain));
    for (what, domain) in named.chain(of_path.map(|domain| ("the return path", domain))) {
        let host = case.facts.domain(&domain).and_then(|facts| facts.mail);
        if let Some(why) = host.and_then(no_mail) {
            found.add(&NO_ANSWERS, format!("{what}: {domain} {why}"));
        }
    }
    // Automatic answers and notices say so.
    let is_automatic = case.has("Auto-Submitted") || is_report(case);
    if matches!(return_path, Some(None)) && !is_automatic {
        found.add(
            &NULL_SENDER,
            "the return path is <>, and the message is no notice",
        );
    }
}

fn is_report(case: &Case<'_>) -> bool {
    let kind = case.message.text("Content-Type").unwrap_or_default();
    kind.to_ascii_lowercase().starts_with("multipart/report")
}

/// Domains whose mailboxes anybody can have. Nobody but their provider can sign for them, and most ask receivers to
/// refuse what is not signed.
const FREEMAIL_DOMAINS: &[&str] = &[
    "gmail.com",
    "googlemail.com",
    "ymail.com",
    "rocketmail.com",
    "myyahoo.com",
    "aol.com",
    "aim.com",
    "outlook.com",
    "outlook.de",
    "outlook.fr",
    "live.com",
    "live.co.uk",
    "live.fr",
    "live.nl",
    "msn.com",
    "icloud.com",
    "me.com",
    "mac.com",
    "gmx.de",
    "gmx.net",
    "gmx.com",
    "gmx.at",
    "gmx.ch",
    "web.de",
    "t-online.de",
    "freenet.de",
    "mail.com",
    "mail.ru",
    "bk.ru",
    "inbox.ru",
    "list.ru",
    "yandex.ru",
    "yandex.com",
    "ya.ru",
    "rambler.ru",
    "proton.me",
    "protonmail.com",
    "pm.me",
    "tutanota.com",
    "fastmail.com",
    "zohomail.com",
    "qq.com",
    "163.com",
    "126.com",
    "sina.com",
    "naver.com",
    "daum.net",
    "orange.fr",
    "wanadoo.fr",
    "free.fr",
    "laposte.net",
    "sfr.fr",
    "libero.it",
    "virgilio.it",
    "seznam.cz",
    "wp.pl",
    "o2.pl",
    "onet.pl",
    "interia.pl",
    "uol.com.br",
    "bol.com.br",
    "terra.com.br",
    "comcast.net",
    "att.net",
    "sbcglobal.net",
    "verizon.net",
    "cox.net",
    "bellsouth.net",
    "btinternet.com",
];

/// Those of a country each: yahoo.co.uk, hotmail.fr.
const IN_MANY_COUNTRIES: &[&str] = &["yahoo", "hotmail"];

pub(super) fn is_freemail(domain: &str) -> bool {
    let (first, rest) = domain.split_once('.').unwrap_or((domain, ""));
    let of_country = || rest.split('.').all(|label| (2..=3).contains(&label.len()));
    FREEMAIL_DOMAINS.contains(&domain) || (IN_MANY_COUNTRIES.contains(&first) && of_country())
}

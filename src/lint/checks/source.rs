//! L12, L13: the addresses that send, and TLS on the way.

use super::Case;
use crate::lint::facts::{Reverse, Source, Tls};
use crate::lint::finding::{Found, Level};
use crate::lint::rule::{BIG_THREE, Rule};
use std::net::{IpAddr, Ipv4Addr};

pub(super) static PTR_MISSING: Rule = Rule::new("L12", "ptr-missing", Level::Block)
    .of(BIG_THREE)
    .says(
        "RFC 1912 section 2.1; refused with 4.7.23, 5.7.25 by Google",
        "have a PTR record made for the address, or take the source out of its pools",
    );
static PTR_UNCONFIRMED: Rule = Rule::new("L12", "ptr-unconfirmed", Level::Block)
    .of(BIG_THREE)
    .says(
        "RFC 8601 section 2.7.3",
        "publish an A or AAAA record of the name in the PTR record that leads back to the address",
    );
static PTR_GENERIC: Rule = Rule::new("L12", "ptr-generic", Level::Warn)
    .of(BIG_THREE)
    .says(
        "M3AAWG's sender best practices",
        "name the address in your own domain, such as mta1.example.com",
    );
static EHLO: Rule = Rule::new("L12", "ehlo-mismatch", Level::Warn).says(
    "RFC 5321 section 4.1.1.1",
    "write the name of the PTR record as [[source]] ehlo",
);
pub(super) static CLEARTEXT: Rule = Rule::new("L13", "tls-off", Level::Warn)
    .of(&["google"])
    .says(
        "RFC 3207; refused with 4.7.29, 5.7.29 by Google",
        "write tls = \"opportunistic\" or \"required\" for the route",
    );

pub(super) const RULES: &[&Rule] = &[
    &PTR_MISSING,
    &PTR_UNCONFIRMED,
    &PTR_GENERIC,
    &EHLO,
    &CLEARTEXT,
];

pub(super) fn check(case: &Case<'_>, found: &mut Found) {
    let sources = &case.facts.sources;
    let known: Vec<(&Source, &Reverse)> = sources
        .iter()
        .filter_map(|source| Some((source, source.reverse.as_ref()?)))
        .collect();
    // Where another source can take the message, it need not be refused.
    let is_hopeless = known.len() == sources.len() && known.iter().all(|(_, r)| !is_good(r));
    let level = if is_hopeless {
        Level::Block
    } else {
        Level::Warn
    };
    for (source, reverse) in known {
        of_source(source, reverse, level, found);
    }
    cleartext(case, found);
}

/// Google refuses what comes in the clear; others take it.
fn cleartext(case: &Case<'_>, found: &mut Found) {
    if case.facts.tls != Some(Tls::Never) {
        return;
    }
    let mut recipients = case.facts.recipients.iter();
    let is_gmail = recipients.any(|to| matches!(to.domain(), "gmail.com" | "googlemail.com"));
    let level = if is_gmail { Level::Block } else { Level::Warn };
    found.add_at(
        level,
        &CLEARTEXT,
        "the route to the recipients never uses TLS",
    );
}

fn is_good(reverse: &Reverse) -> bool {
    reverse.name.is_some() && reverse.is_confirmed
}

fn of_source(source: &Source, reverse: &Reverse, level: Level, found: &mut Found) {
    let address = source.address.to_canonical();
    let from = format!("{} ({address})", source.name);
    let Some(name) = &reverse.name else {
        return found.add_at(level, &PTR_MISSING, format!("{from} has no PTR record"));
    };
    if !reverse.is_confirmed {
        let text = format!("{from}: its name {name} does not lead back to it");
        found.add_at(level, &PTR_UNCONFIRMED, text);
    }
    if is_generic(name, address) {
        found.add(
            &PTR_GENERIC,
            format!("{from}: its name {name} is one of many like it"),
        );
    }
    let same = |a: &str, b: &str| {
        a.trim_end_matches('.')
            .eq_ignore_ascii_case(b.trim_end_matches('.'))
    };
    if !same(name, &reverse.ehlo) {
        found.add(
            &EHLO,
            format!("{from} says EHLO {}, its name is {name}", reverse.ehlo),
        );
    } else if !reverse.ehlo_resolves {
        found.add(
            &EHLO,
            format!(
                "{from} says EHLO {}, which does not lead to it",
                reverse.ehlo
            ),
        );
    }
}

/// A name that its network made up: it holds the address, or says what kind of line it is.
fn is_generic(name: &str, address: IpAddr) -> bool {
    let name = name.to_ascii_lowercase();
    let kinds = [
        "dynamic",
        "dhcp",
        "dialup",
        "dsl",
        "ppp",
        "broadband",
        "cable",
        "unassigned",
    ];
    let mut labels = name.split(['.', '-']);
    if labels.any(|label| kinds.contains(&label.trim_end_matches(|c: char| c.is_ascii_digit()))) {
        return true;
    }
    match address {
        IpAddr::V4(v4) => holds(&name, v4),
        IpAddr::V6(v6) => {
            let hex = v6.octets().map(|octet| format!("{octet:02x}")).concat();
            let bare: String = name.chars().filter(char::is_ascii_hexdigit).collect();
            hex.get(16..).is_some_and(|host| bare.contains(host))
        }
    }
}

fn holds(name: &str, address: Ipv4Addr) -> bool {
    let [a, b, c, d] = address.octets();
    let joined = |parts: [u8; 4], with: &str| parts.map(|part| part.to_string()).join(with);
    let padded = [a, b, c, d].map(|part| format!("{part:03}")).concat();
    ["-", ".", "_"].into_iter().any(|with| {
        name.contains(&joined([a, b, c, d], with)) || name.contains(&joined([d, c, b, a], with))
    }) || name.contains(&padded)
}

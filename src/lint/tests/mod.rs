//! Each rule with messages that trip it and ones that must not.

mod body;
mod configured;
mod known;
mod properties;
mod section;

use super::facts::Facts;
use super::{Finding, Level, Message, examine, rules};

/// A message that keeps every rule.
const GOOD: &str = "From: Acme <news@acme.example>\r\n\
To: Ann <ann@example.net>\r\n\
Subject: Spring\r\n\
Date: Sun, 1 Nov 2026 09:00:00 +0000\r\n\
Message-ID: <1@acme.example>\r\n\
MIME-Version: 1.0\r\n\
List-Id: News <news.acme.example>\r\n\
List-Unsubscribe: <https://acme.example/u/1>, <mailto:u@acme.example>\r\n\
List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\
Feedback-ID: spring:acme:news:acmemail\r\n\
CFBL-Address: fbl@acme.example; report=arf\r\n\
Content-Type: multipart/alternative; boundary=x\r\n\
\r\n\
--x\r\n\
Content-Type: text/plain; charset=utf-8\r\n\
\r\n\
Hello. Unsubscribe: https://acme.example/u/1\r\n\
Acme, Gartenweg 5, 10115 Berlin\r\n\
--x\r\n\
Content-Type: text/html; charset=utf-8\r\n\
\r\n\
<p>Hello. <a href=\"https://acme.example/u/1\">Unsubscribe</a> Acme, Gartenweg 5, 10115 Berlin</p>\r\n\
--x--\r\n";

/// The good message with one thing changed.
fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from:?} is not in the message");
    GOOD.replacen(from, to, 1)
}

fn of(text: &str, facts: &Facts) -> Vec<Finding> {
    examine(&Message::parse(text.as_bytes()), facts)
}

fn names(found: &[Finding]) -> Vec<&'static str> {
    found.iter().map(|finding| finding.rule).collect()
}

/// What is changed into what, the rule that trips, and words of its evidence; nothing worse than that may be found.
fn trip(cases: &[(&str, &str, &str, &str)]) {
    for (from, to, rule, evidence) in cases {
        let found = of(&with(from, to), &Facts::default());
        expect(&found, rule, evidence, &format!("{from:?} as {to:?}"));
    }
}

fn expect(found: &[Finding], rule: &str, evidence: &str, about: &str) {
    let told = found.iter().find(|finding| finding.rule == rule);
    let told = told.unwrap_or_else(|| panic!("{about}: {rule} is not in {found:?}"));
    assert!(
        told.evidence.contains(evidence),
        "{about}: {:?} lacks {evidence:?}",
        told.evidence
    );
    assert!(!told.fix.is_empty() && !told.reference.is_empty());
}

/// What is changed into what, without that the rule trips.
fn pass(cases: &[(&str, &str, &str)]) {
    for (from, to, rule) in cases {
        let found = of(&with(from, to), &Facts::default());
        assert!(
            found.iter().all(|finding| finding.rule != *rule),
            "{from:?} as {to:?}: {found:?}"
        );
    }
}

#[test]
fn a_good_message_keeps_every_rule() {
    assert_eq!(of(GOOD, &Facts::default()), []);
}

#[test]
fn rules_have_names_of_their_own_and_say_what_to_do() {
    let mut seen = std::collections::HashSet::new();
    for rule in rules() {
        assert!(seen.insert(rule.name), "{} is there twice", rule.name);
        assert!(
            !rule.fix.is_empty() && !rule.reference.is_empty(),
            "{}",
            rule.name
        );
        assert!(rule.fix.len() < 200 && rule.fix.is_ascii(), "{}", rule.name);
        let number: u32 = rule.id.strip_prefix('L').unwrap().parse().unwrap();
        assert!((1..=27).contains(&number));
    }
    let families: std::collections::BTreeSet<_> = rules().map(|rule| rule.id).collect();
    assert_eq!(families.len(), 27);
}

#[test]
fn what_blocks_is_told_first_and_evidence_is_printable() {
    let text = with(
        "Subject: Spring\r\n",
        "Subject: a\r\nSubject: b\r\nPrecedence: junk\r\n",
    )
    .replace(
        "Feedback-ID: spring:acme:news:acmemail\r\n",
        "Feedback-ID: \x1b[31mx\r\n",
    );
    let found = of(&text, &Facts::default());
    let levels: Vec<Level> = found.iter().map(|finding| finding.level).collect();
    assert!(levels.is_sorted_by(|a, b| a >= b), "{found:?}");
    assert_eq!(found.first().unwrap().rule, "duplicate-field");
    assert!(found.iter().all(|f| !f.evidence.contains(char::is_control)));
}

#[test]
fn findings_are_json_with_the_names_that_the_interface_fixes() {
    let found = of(
        &with("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", ""),
        &Facts::default(),
    );
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json[0]["id"], "L14");
    assert_eq!(json[0]["level"], "warn");
    assert_eq!(json[0]["rule"], "one-click-missing");
    assert_eq!(json[0]["provider"][0], "google");
    assert_eq!(json[0]["evidence"], "there is no List-Unsubscribe-Post");
    assert!(json[0]["fix"].as_str().unwrap().contains("One-Click"));
}

//! Notices of many programs' manners, with addresses and words of our own.

use super::*;
use crate::bounce::rules::Classifier;
use crate::mail::BounceClass;

fn found(notice: &str) -> Vec<(String, BounceClass)> {
    let sections = Sections::of(notice);
    let known = Known {
        recipients: Vec::new(),
        failed: Vec::new(),
        senders: vec!["sender@example.com".into()],
    };
    let classifier = Classifier::new().unwrap();
    let failures = failures(&sections, "failure notice", &known).into_iter();
    let judged = failures.map(|failure| {
        let judged = failure.evidence.judge(&classifier, Action::Failed);
        (failure.address, judged.finding.class)
    });
    judged.collect()
}

fn assert_found(notice: &str, expected: &[(&str, BounceClass)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(address, class)| ((*address).to_owned(), *class))
        .collect();
    assert_eq!(found(notice), expected, "{notice}");
}

#[test]
fn addresses_with_a_colon_and_the_reason_below() {
    assert_found(
        "Hi. This is the mail program at mx.example.org.\nI could not deliver to these addresses.\n\n\
         <ann@example.net>:\n192.0.2.9 does not like recipient.\nRemote host said: 550 5.1.1 no such user\n\
         Giving up on 192.0.2.9.\n\n<bob@example.net>:\nRemote host said: 552 5.2.2 mailbox full\n",
        &[
            ("ann@example.net", BounceClass::Hard),
            ("bob@example.net", BounceClass::Soft),
        ],
    );
}

#[test]
fn addresses_that_are_indented_with_the_reason_below() {
    assert_found(
        "A message that you sent could not be delivered. The following address(es) failed:\n\n  \
         ann@example.net\n    host mx.example.net [192.0.2.9]\n    SMTP error after RCPT TO:<ann@example.net>:\n    \
         550 5.1.1 <ann@example.net>: User unknown\n",
        &[("ann@example.net", BounceClass::Hard)],
    );
}

#[test]
fn a_transcript_with_the_address_in_its_lines() {
    assert_found(
        "   ----- The following addresses had permanent fatal errors -----\n<ann@example.net>\n\n   \
         ----- Transcript of session follows -----\n... while talking to mx.example.net.:\n\
         >>> RCPT To:<ann@example.net>\n<<< 550 5.1.1 <ann@example.net>... User unknown\n\
         550 5.1.1 <ann@example.net>... User unknown\n",
        &[("ann@example.net", BounceClass::Hard)],
    );
}

#[test]
fn an_address_behind_words_in_a_sentence() {
    for notice in [
        "Unable to deliver message to: <ann@example.net>\nServer said: 550 User unknown",
        "Your message to ann@example.net could not be delivered:\n550 User unknown",
        "Unknown user: ann@example.net",
        "Recipient address: ann@example.net\nReason: 550 User unknown",
    ] {
        assert_found(notice, &[("ann@example.net", BounceClass::Hard)]);
    }
}

#[test]
fn the_sender_and_those_who_help_are_never_taken_for_the_recipient() {
    assert_found(
        "Dear sender@example.com,\n\nyour mail could not be delivered.\nFor help please contact helpdesk@example.org,\n\
         or send mail to\n<postmaster@example.org>.\n\nThe recipient <ann@example.net> has no room: mailbox full.\n",
        &[("ann@example.net", BounceClass::Soft)],
    );
}

#[test]
fn with_several_recipients_a_reason_is_not_lent() {
    assert_found(
        "<ann@example.net>:\n550 5.1.1 User unknown\n\n<bob@example.net>:\nno reason\n",
        &[
            ("ann@example.net", BounceClass::Hard),
            ("bob@example.net", BounceClass::Unknown),
        ],
    );
}

#[test]
fn a_lone_recipient_of_the_original_is_taken_where_the_words_name_none() {
    let known = Known {
        recipients: vec!["ann@example.net".into()],
        ..Known::default()
    };
    let failures = failures(&Sections::of("ann: user unknown\n"), "", &known);
    assert_eq!(failures[0].address, "ann@example.net");
    let known = Known {
        recipients: vec!["a@b.example".into(), "c@d.example".into()],
        ..Known::default()
    };
    assert!(super::failures(&Sections::of("somebody is unknown\n"), "", &known).is_empty());
}

//! What comes back, whole.

use super::*;
use crate::mail::BounceClass;
use proptest::prelude::*;
use std::sync::LazyLock;

static CLASSIFIER: LazyLock<Classifier> = LazyLock::new(|| Classifier::new().unwrap());

const TOKEN: &str = "9876543210zyxwvtsrqpnmkjhgfedcba98765432";

fn notice(message: &str) -> Notice {
    match read(message.as_bytes(), &CLASSIFIER) {
        Report::Notice(notice) => notice,
        other => panic!("{other:?}"),
    }
}

fn delivery_status(status: &str) -> String {
    format!(
        "Return-Path: <>\nFrom: Mail Delivery System <mailer-daemon@mx.example.net>\nTo: <b-{TOKEN}@bounce.example.com>\n\
         Subject: Undelivered mail\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"=x\"\n\n--=x\n\n\
         Your message could not be delivered.\n\n--=x\nContent-Type: message/delivery-status\n\n\
         Reporting-MTA: dns; mx.example.net\n\n{status}\n--=x\nContent-Type: text/rfc822-headers\n\n\
         Return-Path: <news@example.com>\nMessage-ID: <m1@example.com>\nFrom: news@example.com\nTo: ann@example.net\n\n--=x--\n"
    )
}

#[test]
fn a_notice_in_fields_tells_who_failed_why_and_of_which_message() {
    let notice = notice(&delivery_status(
        "Final-Recipient: rfc822; ann@example.net\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; mx.example.net\n\
         Diagnostic-Code: smtp; 550 5.1.1 User unknown\n",
    ));
    let [ann] = &notice.recipients[..] else {
        panic!("{notice:?}")
    };
    assert_eq!(
        (ann.address.as_str(), ann.action),
        ("ann@example.net", Action::Failed)
    );
    assert_eq!(ann.status.as_deref(), Some("5.1.1"));
    assert_eq!(ann.remote_mta.as_deref(), Some("mx.example.net"));
    assert!(ann.finding.condemns());
    assert_eq!(
        notice.original.message_id.as_deref(),
        Some("m1@example.com")
    );
    assert_eq!(
        notice.original.return_path.as_deref(),
        Some("news@example.com")
    );
    assert_eq!(notice.original.tokens, [TOKEN]);
}

#[test]
fn a_delay_and_a_success_condemn_nobody() {
    for (action, status) in [
        ("delayed", "4.1.1"),
        ("delayed", "5.1.1"),
        ("delivered", "2.0.0"),
        ("relayed", "2.0.0"),
    ] {
        let notice = notice(&delivery_status(&format!(
            "Final-Recipient: rfc822; ann@example.net\nAction: {action}\nStatus: {status}\n\
             Diagnostic-Code: smtp; 550 5.1.1 User unknown\n"
        )));
        assert!(
            !notice.recipients[0].finding.condemns(),
            "{action} {status}"
        );
    }
}

#[test]
fn a_notice_of_our_own_reads_back() {
    // As `bounce::notice` writes it, with an address that needs RFC 6533.
    let notice = notice(&delivery_status(
        "Original-Recipient: utf-8; gr\\x{FC}n@example.net\nFinal-Recipient: utf-8; grün@example.net\nAction: failed\n\
         Status: 5.2.2\nDiagnostic-Code: smtp; 552 5.2.2 mailbox full\n",
    ));
    assert_eq!(notice.recipients[0].address, "grün@example.net");
    assert_eq!(notice.recipients[0].finding.class, BounceClass::Soft);
}

#[test]
fn a_notice_that_somebody_forwards_is_found_inside() {
    let inner = delivery_status(
        "Final-Recipient: rfc822; ann@example.net\nAction: failed\nStatus: 5.1.1\n",
    );
    let outer = format!(
        "From: gateway@example.org\nSubject: Fwd\nContent-Type: multipart/mixed; boundary=outer\n\n--outer\n\
         Content-Type: message/rfc822\n\n{inner}\n--outer--\n"
    );
    assert_eq!(notice(&outer).recipients[0].address, "ann@example.net");
}

#[test]
fn the_header_of_a_notice_may_name_who_failed() {
    let notice = notice(
        "From: Mail Delivery System <Mailer-Daemon@mx.example.org>\nX-Failed-Recipients: ann@example.net, bob@example.net\n\
         Subject: Mail delivery failed\nAuto-Submitted: auto-replied\nTo: news@example.com\n\n\
         These addresses failed:\n\n  ann@example.net\n    User unknown\n\n  bob@example.net\n    Mailbox is full\n\n\
         ------ This is a copy of the message, including all the headers. ------\n\nFrom: news@example.com\n\
         Message-ID: <m1@example.com>\nTo: ann@example.net\n",
    );
    let classes: Vec<_> = notice
        .recipients
        .iter()
        .map(|found| (found.address.as_str(), found.finding.class))
        .collect();
    assert_eq!(
        classes,
        [
            ("ann@example.net", BounceClass::Hard),
            ("bob@example.net", BounceClass::Soft)
        ]
    );
    assert_eq!(
        notice.original.message_id.as_deref(),
        Some("m1@example.com")
    );
}

#[test]
fn who_is_away_or_wants_to_be_sure_answers_and_nobody_failed() {
    for header in [
        "Auto-Submitted: auto-replied\nSubject: I am away",
        "Subject: Automatische Antwort: News",
        "Subject: Out of office",
        "X-Autoreply: yes\nSubject: Undelivered joy",
        "Subject: Please confirm your message",
    ] {
        let message = format!(
            "From: ann@example.net\nReturn-Path: <>\nIn-Reply-To: <x.{TOKEN}@example.com>\n{header}\n\n\
             I could not be reached. User unknown: old@example.net.\nWrite to bob@example.net.\n"
        );
        let Report::Autoreply(original) = read(message.as_bytes(), &CLASSIFIER) else {
            panic!("{header}");
        };
        assert_eq!(original.tokens, [TOKEN]);
    }
}

#[test]
fn mail_of_people_is_mail_even_where_it_speaks_of_failures() {
    for message in [
        "From: ann@example.net\nSubject: Hello\n\nMy mail to bob@example.org could not be delivered: user unknown.\n",
        "From: ann@example.net\nSubject: Re: offer\n\nbob@example.org\n",
    ] {
        assert!(
            matches!(read(message.as_bytes(), &CLASSIFIER), Report::Message(_)),
            "{message}"
        );
    }
    assert!(!is_message(b"\0\x01garbage"));
    assert!(is_message(b"From: a@b\n\n"));
}

#[test]
fn a_notification_in_json_is_a_notice() {
    let bounce = "{\"notificationType\":\"Bounce\",\"bounce\":{\"bounceType\":\"Permanent\",\"bouncedRecipients\":\
                  [{\"emailAddress\":\"ann@example.net\",\"status\":\"5.1.1\",\"diagnosticCode\":\"smtp; 550 5.1.1 user unknown\"}]}}";
    let wrapped = serde_json::json!({ "Type": "Notification", "Message": bounce }).to_string();
    for body in [bounce, &wrapped] {
        let notice = notice(&format!(
            "From: sns@example.org\n\n{body}\n\n--\nUnsubscribe here.\n"
        ));
        assert!(notice.recipients[0].finding.condemns());
    }
}

#[test]
fn nested_messages_without_end_are_read_in_bounded_time() {
    let nested = "Content-Type: message/rfc822\n\n".repeat(50_000);
    assert!(matches!(
        read(nested.as_bytes(), &CLASSIFIER),
        Report::Message(_)
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_panics(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(&octets, &CLASSIFIER);
    }

    #[test]
    fn a_notice_that_is_cut_or_has_a_hole_is_read(at in 0usize..900, length in 0usize..40) {
        let mut message = delivery_status(
            "Final-Recipient: rfc822; ann@example.net\nAction: failed\nStatus: 5.1.1\n",
        ).into_bytes();
        let at = at.min(message.len());
        let end = (at + length).min(message.len());
        message.drain(at..end);
        let _ = read(&message, &CLASSIFIER);
    }

    #[test]
    fn line_ends_make_no_difference(status in "[45]\\.[1-7]\\.[0-9]") {
        let message = delivery_status(&format!(
            "Final-Recipient: rfc822; ann@example.net\nAction: failed\nStatus: {status}\n"
        ));
        let with_cr = message.replace('\n', "\r\n");
        prop_assert_eq!(read(message.as_bytes(), &CLASSIFIER), read(with_cr.as_bytes(), &CLASSIFIER));
    }
}

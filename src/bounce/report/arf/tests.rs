use super::*;
use crate::bounce::report::mime;

fn report(fields: &str, original: &str) -> Feedback {
    let message = format!(
        "From: loop@provider.example\nTo: fbl@example.com\nMessage-ID: <report@provider.example>\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=x\n\n--x\n\nA complaint.\n--x\n\
         Content-Type: message/feedback-report\n\n{fields}\n--x\nContent-Type: message/rfc822\n\n{original}\n--x--\n"
    );
    read(&mime::read(message.as_bytes())).unwrap()
}

const TOKEN: &str = "0123456789abcdefghjkmnpqrstvwxyz01234567";

#[test]
fn every_field_is_read_and_the_message_id_is_that_of_the_original() {
    let feedback = report(
        "Feedback-Type: Abuse\nUser-Agent: Loop/2\nVersion: 1\nOriginal-Mail-From: <news@example.com>\n\
         Original-Rcpt-To: <ann@example.net>\nArrival-Date: Mon, 2 Mar 2020 10:00:00 +0000\n\
         Source-IP: [192.0.2.7]\nReporting-MTA: dns; mx.provider.example\nReported-Domain: example.com\n",
        "Return-Path: <news@example.com>\nMessage-ID: <m1@example.com>\nSubject: News\n\nhi",
    );
    let expected = Feedback {
        feedback_type: "abuse".into(),
        original_recipient: Some("ann@example.net".into()),
        original_mail_from: Some("news@example.com".into()),
        source_ip: Some("192.0.2.7".into()),
        reporting_mta: Some("mx.provider.example".into()),
        reported_domain: Some("example.com".into()),
        arrival_date: Some("Mon, 2 Mar 2020 10:00:00 +0000".into()),
        user_agent: Some("Loop/2".into()),
        original: feedback.original.clone(),
    };
    assert_eq!(feedback, expected);
    assert_eq!(
        feedback.original.message_id.as_deref(),
        Some("m1@example.com")
    );
}

#[test]
fn kinds_are_told_apart() {
    for kind in [
        "not-spam",
        "opt-out",
        "auth-failure",
        "fraud",
        "virus",
        "other",
    ] {
        assert_eq!(
            report(&format!("Feedback-Type: {kind}\n"), "").feedback_type,
            kind
        );
    }
    let opted_out = report(
        "Feedback-Type: opt-out\nRemoval-Recipient: ann@example.net\n",
        "",
    );
    assert_eq!(
        opted_out.original_recipient.as_deref(),
        Some("ann@example.net")
    );
    assert_eq!(report("Version: 1\n", "").feedback_type, "other");
}

#[test]
fn a_redacted_complaint_still_has_our_token() {
    for (original, place) in [
        (
            format!("Return-Path: <b-{TOKEN}@bounce.example.com>"),
            "return path",
        ),
        (
            format!("Message-ID: <{}@example.com>", TOKEN.to_uppercase()),
            "message-id",
        ),
        (format!("X-Mailwright-Ref: {TOKEN}"), "our field"),
        (format!("CFBL-Feedback-ID: x:{TOKEN}"), "RFC 9477"),
        (
            format!("List-Unsubscribe: <https://u.example.com/u/{TOKEN}>"),
            "unsubscribe",
        ),
    ] {
        let original = format!("To: <redacted@provider.example>\n{original}\n\n");
        let feedback = report("Feedback-Type: abuse\n", &original);
        assert_eq!(feedback.original.tokens, [TOKEN], "{place}");
    }
}

#[test]
fn what_a_loop_forwards_whole_is_a_complaint_and_what_a_person_forwards_is_not() {
    let forwarded = |from: &str, subject: &str, field: &str| {
        let message = format!(
            "From: {from}\nSubject: {subject}\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\
             Content-Type: message/rfc822\n\n{field}Message-ID: <m1@example.com>\nFrom: news@example.com\n\nhi\n--x--\n"
        );
        read(&mime::read(message.as_bytes()))
    };
    let complaint = forwarded(
        "staff@hotmail.example",
        "complaint about message from 192.0.2.7",
        "",
    );
    assert_eq!(complaint.unwrap().feedback_type, "abuse");
    let marked = forwarded(
        "x@y.example",
        "",
        "X-HmXmrOriginalRecipient: ann@example.net\n",
    );
    assert_eq!(
        marked.unwrap().original_recipient.as_deref(),
        Some("ann@example.net")
    );
    assert_eq!(forwarded("bob@example.org", "Fwd: News", ""), None);
}

#[test]
fn a_report_whose_part_lost_its_type_is_read_from_its_text() {
    let message = "From: a@b.example\nSubject: x\n\nHello.\n\nFeedback-Type: fraud\nSource-IP: 192.0.2.7\n\nBye.\n";
    let feedback = read(&mime::read(message.as_bytes())).unwrap();
    assert_eq!(
        (
            feedback.feedback_type.as_str(),
            feedback.source_ip.as_deref()
        ),
        ("fraud", Some("192.0.2.7"))
    );
}

//! Notices, read back the way a mail program would.

use super::*;
use crate::mail::EnhancedCode;
use proptest::prelude::*;

fn envelope(sender: &str) -> Envelope {
    Envelope {
        sender: Some(sender.parse().unwrap()),
        recipients: Vec::new(),
        body: BodyType::SevenBit,
        smtputf8: false,
        ret: None,
        envid: Some("e 1\r\nX-Evil: 1".into()),
    }
}

fn recipient(address: &str) -> Recipient {
    Recipient::new(address.parse().unwrap())
}

fn unknown_user() -> Reply {
    Reply::said(550, Some(EnhancedCode(5, 1, 1)), "no such user", "RCPT")
}

fn report<'a>(
    envelope: &'a Envelope,
    outcomes: &'a [Outcome<'a>],
    original: Original<'a>,
) -> Report<'a> {
    Report {
        id: MessageId(1),
        envelope,
        received: Timestamp::from_millis(0),
        outcomes,
        original,
        hostname: "mta.test",
        now: Timestamp::from_millis(3_600_000),
    }
}

/// A part: its media type and its octets.
type Part = (String, Vec<u8>);

/// Splits a multipart by its boundary, as RFC 2046 §5.1.1 says.
fn read(notice: &Notice) -> (HeaderSection, Vec<Part>) {
    let end = HeaderSection::end(&notice.content, 0).unwrap();
    let (head, body) = notice.content.split_at(end);
    let head = HeaderSection::parse(head.to_vec()).unwrap();
    let kind = head.first("Content-Type").unwrap().text().into_owned();
    let boundary = kind.split('"').nth(1).unwrap();
    let delimiter = format!("\r\n--{boundary}");
    let body = [b"\r\n", body].concat();
    let body = String::from_utf8(body).unwrap();
    let mut pieces = body.split(&delimiter);
    assert_eq!(pieces.next(), Some(""));
    let mut parts = Vec::new();
    for piece in pieces {
        if piece == "--\r\n" {
            return (head, parts);
        }
        let part = piece.strip_prefix("\r\n").unwrap().as_bytes();
        let end = HeaderSection::end(part, 0).unwrap();
        let part_head = HeaderSection::parse(part[..end].to_vec()).unwrap();
        let kind = part_head.first("Content-Type").unwrap().text().into_owned();
        parts.push((kind, part[end..].to_vec()));
    }
    panic!("no closing delimiter");
}

/// The groups of fields of a delivery status, separated by empty lines.
fn groups(status: &[u8]) -> Vec<HeaderSection> {
    let text = String::from_utf8(status.to_vec()).unwrap();
    text.trim_end()
        .split("\r\n\r\n")
        .map(|group| HeaderSection::parse(group.as_bytes().to_vec()).unwrap())
        .collect()
}

fn fields(group: &HeaderSection) -> Vec<String> {
    group
        .fields()
        .map(|field| format!("{}: {}", field.name(), field.text().replace('\t', " ")))
        .collect()
}

const HEAD: &[u8] = b"From: a@b.test\r\nMessage-ID: <1@b.test>\r\n\r\n";

/// Of bob, who was refused, and eve, who is still tried.
fn failure_and_delay() -> Notice {
    let envelope = envelope("ann@example.test");
    let mut bob = recipient("bob@example.org");
    bob.orcpt = Some("rfc822;robert@example.org".into());
    let (eve, said) = (recipient("eve@example.org"), unknown_user());
    let local = Reply::local(451, EnhancedCode(4, 4, 1), "no answer", "connect");
    let outcomes = [
        Outcome {
            recipient: &bob,
            action: Action::Failed,
            reply: &said,
            remote: Some("mx.example.org"),
            retry_until: None,
        },
        Outcome {
            recipient: &eve,
            action: Action::Delayed,
            reply: &local,
            remote: None,
            retry_until: Some(Timestamp::from_millis(86_400_000)),
        },
    ];
    write(&report(&envelope, &outcomes, Original::Headers(HEAD))).unwrap()
}

#[test]
fn a_failure_is_told_to_people() {
    let notice = failure_and_delay();
    assert_eq!(notice.envelope.sender, None);
    assert_eq!(
        notice.envelope.recipients[0].address.as_str(),
        "ann@example.test"
    );
    assert!(!notice.envelope.smtputf8 && notice.content.is_ascii());
    let (head, parts) = read(&notice);
    assert_eq!(head.first("To").unwrap().text(), "<ann@example.test>");
    assert_eq!(head.first("In-Reply-To").unwrap().text(), "<1@b.test>");
    assert_eq!(head.first("Auto-Submitted").unwrap().text(), "auto-replied");
    let kinds: Vec<&str> = parts.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "text/plain; charset=utf-8",
            "message/delivery-status",
            "text/rfc822-headers"
        ]
    );
    let words = String::from_utf8(parts[0].1.clone()).unwrap();
    assert!(
        words.contains("mx.example.org said: 550 5.1.1 no such user"),
        "{words}"
    );
    assert_eq!(parts[2].1, HEAD);
}

#[test]
fn a_failure_is_told_to_programs() {
    let (_, parts) = read(&failure_and_delay());
    let groups = groups(&parts[1].1);
    assert_eq!(
        fields(&groups[0]),
        [
            "Reporting-MTA: dns; mta.test",
            "Original-Envelope-Id: e 1 X-Evil: 1",
            "Arrival-Date: Thu, 1 Jan 1970 00:00:00 +0000"
        ]
    );
    assert_eq!(
        fields(&groups[1]),
        [
            "Original-Recipient: rfc822;robert@example.org",
            "Final-Recipient: rfc822; bob@example.org",
            "Action: failed",
            "Status: 5.1.1",
            "Remote-MTA: dns; mx.example.org",
            "Diagnostic-Code: smtp; 550 5.1.1 no such user",
            "Last-Attempt-Date: Thu, 1 Jan 1970 01:00:00 +0000",
        ]
    );
    assert_eq!(
        fields(&groups[2]),
        [
            "Final-Recipient: rfc822; eve@example.org",
            "Action: delayed",
            "Status: 4.4.1",
            "Diagnostic-Code: x-mailwright; 451 4.4.1 no answer",
            "Last-Attempt-Date: Thu, 1 Jan 1970 01:00:00 +0000",
            "Will-Retry-Until: Fri, 2 Jan 1970 00:00:00 +0000",
        ]
    );
    assert_eq!(groups.len(), 3);
}

#[test]
fn what_is_not_ascii_is_told_by_rfc_6533() {
    let envelope = envelope("j\u{fc}rgen@example.test");
    let (bob, said) = (recipient("b\u{f6}b@example.org"), unknown_user());
    let outcomes = [Outcome {
        recipient: &bob,
        action: Action::Failed,
        reply: &said,
        remote: None,
        retry_until: None,
    }];
    let original = "Subject: gr\u{fc}n\r\n\r\nbody\r\n".as_bytes();
    let notice = write(&report(&envelope, &outcomes, Original::Full(original))).unwrap();
    assert!(notice.envelope.smtputf8);
    assert_eq!(notice.envelope.body, BodyType::EightBitMime);
    let (_, parts) = read(&notice);
    let kinds: Vec<&str> = parts.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(
        kinds[1..],
        ["message/global-delivery-status", "message/global"]
    );
    let groups = groups(&parts[1].1);
    assert_eq!(
        groups[1].first("Final-Recipient").unwrap().text(),
        "utf-8; b\u{f6}b@example.org"
    );
}

#[test]
fn a_returned_message_cannot_end_its_part() {
    let envelope = envelope("ann@example.test");
    let (bob, said) = (recipient("bob@example.org"), unknown_user());
    let outcomes = [Outcome {
        recipient: &bob,
        action: Action::Failed,
        reply: &said,
        remote: None,
        retry_until: None,
    }];
    let guess = boundary(MessageId(1), b"");
    let original = format!("From: a@b.test\r\n\r\n--{guess}--\r\nbody without end");
    let notice = write(&report(
        &envelope,
        &outcomes,
        Original::Full(original.as_bytes()),
    ))
    .unwrap();
    let (_, parts) = read(&notice);
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[2].1, [original.as_bytes(), b"\r\n"].concat());
}

#[test]
fn notify_decides_then_the_setting_and_nobody_answers_a_notice() {
    let asked = envelope("ann@example.test");
    let on = |success, failure, delay| {
        Some(Notify::On {
            success,
            failure,
            delay,
        })
    };
    let with = |notify| Recipient {
        notify,
        ..recipient("b@c.test")
    };
    use Action::*;
    use Notices::*;
    for (notify, setting, what, expected) in [
        (None, Requested, Failed, false),
        (None, Failures, Failed, true),
        (None, Failures, Delayed, false),
        (None, Failures, Delivered, false),
        (Some(Notify::Never), Failures, Failed, false),
        (on(false, true, false), Requested, Failed, true),
        (on(false, true, false), Requested, Delayed, false),
        (on(true, false, false), Failures, Failed, false),
        (on(true, false, false), Requested, Relayed, true),
        (on(false, false, true), Requested, Delayed, true),
        (on(true, true, true), Never, Failed, false),
    ] {
        let recipient = with(notify);
        assert_eq!(
            wanted(&asked, &recipient, setting, what),
            expected,
            "{notify:?} {setting:?} {what:?}"
        );
        let null = Envelope {
            sender: None,
            ..asked.clone()
        };
        assert!(!wanted(&null, &recipient, setting, what));
    }
    let null = Envelope {
        sender: None,
        ..asked.clone()
    };
    assert!(write(&report(&null, &[], Original::Headers(HEAD))).is_none());
    assert!(write(&report(&asked, &[], Original::Headers(HEAD))).is_none());
}

#[test]
fn the_whole_message_goes_back_only_of_a_failure_and_where_asked() {
    let mut envelope = envelope("ann@example.test");
    assert!(!returns_full(&envelope, Action::Failed));
    envelope.ret = Some(Ret::Full);
    assert!(returns_full(&envelope, Action::Failed));
    assert!(!returns_full(&envelope, Action::Delivered));
}

proptest! {
    #[test]
    fn no_reply_can_write_into_the_notice(text in "(\r\n|\r\n\r\n|--=_|Action: delivered|\\PC|\t|\n|[a-z]{1,1200}){0,12}", host in "(\r\n|\\PC){0,20}") {
        let envelope = envelope("ann@example.test");
        let bob = recipient("bob@example.org");
        let said = Reply::said(550, None, &text, "RCPT");
        let outcomes = [Outcome { recipient: &bob, action: Action::Failed, reply: &said, remote: Some(&host), retry_until: None }];
        let notice = write(&report(&envelope, &outcomes, Original::Headers(HEAD))).unwrap();
        prop_assert!(notice.content.is_ascii());
        for line in notice.content.split(|octet| *octet == b'\n') {
            prop_assert!(line.len() <= 999);
        }
        let (_, parts) = read(&notice);
        prop_assert_eq!(parts.len(), 3);
        let groups = groups(&parts[1].1);
        prop_assert_eq!(groups.len(), 2);
        let names: Vec<&str> = groups[1].fields().map(|field| field.name()).collect();
        prop_assert_eq!(names, ["Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code", "Last-Attempt-Date"]);
    }
}

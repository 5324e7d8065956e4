//! Notices and complaints, in the forms that they come in.

use crate::internet::Internet;
use crate::journal::{Event, PATIENCE};
use crate::mta::Mta;
use crate::stories_inbound::{
    DAY, ONE_CLICK, ask, count, delivered, delivered_with, receive, sending_again,
};
use mailwright::peers::redis::RedisServer;
use std::time::{Duration, Instant};

/// A delivery status notification (RFC 3464) about ann.
fn dsn(action: &str, status: &str, said: &str) -> String {
    format!(
        "From: Mail Delivery System <mailer-daemon@mx.example.net>\r\nTo: <b@bounce.test>\r\n\
         Subject: Delivery Status Notification\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"ds\"\r\n\r\n\
         --ds\r\nContent-Type: text/plain\r\n\r\nYour message was not handed over.\r\n\
         --ds\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.net\r\n\r\n\
         Final-Recipient: rfc822; ann@example.net\r\nAction: {action}\r\nStatus: {status}\r\n\
         Diagnostic-Code: smtp; {said}\r\n\r\n\
         --ds\r\nContent-Type: text/rfc822-headers\r\n\r\nFrom: <s@shop.test>\r\nSubject: hello\r\n\r\n--ds--\r\n"
    )
}

fn gone() -> String {
    dsn(
        "failed",
        "5.1.1",
        "550 5.1.1 <ann@example.net>: User unknown",
    )
}

/// A feedback report (RFC 5965) that hides the recipient, as large providers write them.
fn feedback(kind: &str, reference: &str) -> String {
    format!(
        "From: <fbl@provider.test>\r\nTo: <fbl@bounce.test>\r\nSubject: FW: hello\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=\"fb\"\r\n\r\n\
         --fb\r\nContent-Type: text/plain\r\n\r\nThis is a report about a message.\r\n\
         --fb\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: {kind}\r\nUser-Agent: Loop/1.0\r\n\
         Version: 1\r\nOriginal-Rcpt-To: <redacted@example.net>\r\n\r\n\
         --fb\r\nContent-Type: message/rfc822\r\n\r\nFrom: <s@shop.test>\r\nTo: <redacted@example.net>\r\n\
         Message-ID: <redacted>\r\nX-Mailwright-Ref: {reference}\r\nSubject: hello\r\n\r\nHello.\r\n--fb--\r\n"
    )
}

#[tokio::test]
async fn a_notice_a_day_later_is_one_bounce_and_the_next_message_is_refused() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let (mta, mail) = delivered(&net, &mx).await;
    net.clock.advance(DAY);
    for _ in 0..2 {
        let reply = receive(&mta, &mail.return_path, &gone()).await;
        assert!(reply.starts_with("250"), "{reply}");
    }
    let bounced = mta.journal.first("bounced", "ann@example.net").await;
    assert_eq!(
        (bounced.text("class"), bounced.enhanced()),
        ("hard", "5.1.1")
    );
    assert_eq!(bounced.text("sender"), "s@shop.test");
    let suppressed = mta.journal.first("suppression", "ann@example.net").await;
    assert_eq!(suppressed.text("reason"), "hard");
    let refusal = sending_again(&mta, "ann@example.net").await;
    assert!(refusal.starts_with("550 5.7.1"), "{refusal}");
    assert_eq!((count(&mta, "bounced"), count(&mta, "suppression")), (1, 1));
    net.check(&mta).await;
}

#[tokio::test]
async fn a_delay_an_absence_and_what_comes_without_its_return_path_change_nothing() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let (mta, mail) = delivered(&net, &mx).await;
    let away = "From: <ann@example.net>\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.\r\n";
    for (to, message) in [
        (
            mail.return_path.as_str(),
            dsn("delayed", "4.4.1", "451 4.4.1 try later"),
        ),
        (&mail.return_path, away.to_owned()),
        ("postmaster@bounce.test", gone()),
        ("fbl@bounce.test", gone()),
    ] {
        let reply = receive(&mta, to, &message).await;
        assert!(reply.starts_with("250"), "{reply}");
    }
    mta.journal.nth(2, "unread", |e| e.kind() == "unread").await;
    assert_eq!((count(&mta, "bounced"), count(&mta, "suppression")), (0, 0));
    assert!(
        sending_again(&mta, "ann@example.net")
            .await
            .starts_with("250")
    );
    net.check(&mta).await;
}

#[tokio::test]
async fn a_complaint_that_hides_its_recipient_finds_it() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let (mta, mail) = delivered(&net, &mx).await;
    let taken_back = feedback("not-spam", &mail.reference);
    assert!(
        receive(&mta, "fbl@bounce.test", &taken_back)
            .await
            .starts_with("250")
    );
    mta.journal.first("complained", "ann@example.net").await;
    assert_eq!(count(&mta, "suppression"), 0);
    let forged = mail.reference.replace(|c: char| c.is_ascii_digit(), "z");
    for reference in [&forged, &mail.reference, &mail.reference] {
        let report = feedback("abuse", reference);
        assert!(
            receive(&mta, "fbl@bounce.test", &report)
                .await
                .starts_with("250")
        );
    }
    let suppressed = mta.journal.first("suppression", "ann@example.net").await;
    assert_eq!(
        (suppressed.text("reason"), suppressed.text("tenant")),
        ("complaint", "acme")
    );
    assert_eq!(
        (count(&mta, "complained"), count(&mta, "suppression")),
        (2, 1)
    );
    net.check(&mta).await;
}

#[tokio::test]
async fn a_store_that_is_away_has_the_sender_come_again_and_all_is_done_once() {
    let mut redis = RedisServer::start().await.expect("a Redis server");
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let keys = format!("[state]\nurl = \"{}\"\n", redis.url());
    let (mta, mail) = delivered_with(&net, &mx, &keys).await;
    redis.kill();
    for (to, message) in [
        (&mail.return_path, gone()),
        (&mail.mailto, "Subject: unsubscribe\r\n\r\n".to_owned()),
    ] {
        let reply = receive(&mta, to, &message).await;
        assert!(reply.starts_with("451 4.3.0"), "{reply}");
    }
    let later = ask(&mta, "POST", &mail.link, ONE_CLICK).await;
    assert!(later.starts_with("HTTP/1.1 503"), "{later}");
    assert!(later.to_lowercase().contains("retry-after: 60"), "{later}");
    assert_eq!(
        (count(&mta, "bounced"), count(&mta, "unsubscribed")),
        (0, 0)
    );
    redis.restart().await.expect("the same server");
    for _ in 0..2 {
        until_taken(&mta, &mail.return_path, &gone()).await;
    }
    let done = ask(&mta, "POST", &mail.link, ONE_CLICK).await;
    assert!(done.starts_with("HTTP/1.1 200"), "{done}");
    mta.journal.first("unsubscribed", "ann@example.net").await;
    assert_eq!(
        (count(&mta, "bounced"), count(&mta, "unsubscribed")),
        (1, 1)
    );
    let refusal = sending_again(&mta, "ann@example.net").await;
    assert!(refusal.starts_with("550 5.7.1"), "{refusal}");
    net.check(&mta).await;
}

/// A sender that tries again as long as it is told to.
async fn until_taken(mta: &Mta, to: &str, message: &str) {
    let started = Instant::now();
    loop {
        let reply = receive(mta, to, message).await;
        if reply.starts_with("250") {
            return;
        }
        assert!(
            reply.starts_with("451") && started.elapsed() < PATIENCE,
            "{reply}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_complaint_reaches_the_gate_of_the_warm_up() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let new = net.source("new");
    let keys = format!(
        "[warmup.schedule.x]\ndays = [100, 200, 300]\n{}",
        new.with("warmup = { schedule = \"x\" }\n")
    );
    let (mta, mail) = delivered_with(&net, &mx, &keys).await;
    let report = feedback("abuse", &mail.reference);
    assert!(
        receive(&mta, "fbl@bounce.test", &report)
            .await
            .starts_with("250")
    );
    let complained = mta.journal.first("complained", "ann@example.net").await;
    assert_eq!(complained.text("source"), "new");
    net.clock.advance(DAY);
    let told = |e: &Event| e.kind() == "warmup" && e.text("why").contains("complain");
    mta.journal
        .nth(1, "a decision about complaints", told)
        .await;
    net.check(&mta).await;
}

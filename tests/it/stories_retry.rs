//! Mail waits: by the schedule, until it is taken or its time is over.

use crate::internet::Internet;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_deferred_message_is_tried_again_by_the_schedule() {
    let net = Internet::new().await;
    let mx = net
        .mx("example.net")
        .on("RCPT", "first=2 451 4.3.0 not now")
        .start()
        .await;
    let mta = net
        .mta("[retry]\nfirst = \"10m\"\nfactor = 2.0\njitter = 0.1\n")
        .await;
    mta.inject("s@shop.test", &["ann@example.net"]).await;
    let mut waits = Vec::new();
    for attempt in 1..=2 {
        let deferred = mta
            .journal
            .nth(attempt, "deferral", |e| e.is("deferred", "ann@example.net"));
        let deferred = deferred.await;
        assert_eq!(deferred.0["attempt"], attempt);
        waits.push(deferred.until().since(net.clock.now()));
        net.advance_to(deferred.until());
    }
    let delivered = mta.journal.first("delivered", "ann@example.net").await;
    assert_eq!(delivered.0["attempt"], 3);
    for (wait, expected) in waits.iter().zip([10 * MINUTE, 20 * MINUTE]) {
        assert!(
            *wait >= expected.mul_f64(0.9) && *wait <= expected.mul_f64(1.1),
            "{waits:?}"
        );
    }
    assert_eq!(mx.only().recipients.len(), 1);
    net.check(&mta).await;
}

#[tokio::test]
async fn a_message_that_nobody_takes_expires_and_its_sender_is_told() {
    let net = Internet::new().await;
    let _full = net
        .mx("example.net")
        .on("RCPT", "452 4.2.2 mailbox full")
        .start()
        .await;
    let home = net.mx("shop.test").start().await;
    let mta = net.mta("[retry]\nexpire = \"2h\"\n").await;
    let mut talk = crate::talk::Talk::open(mta.smtp).await;
    talk.say("MAIL FROM:<s@shop.test> RET=HDRS ENVID=order-7")
        .await;
    talk.say("RCPT TO:<ann@example.net> NOTIFY=FAILURE ORCPT=rfc822;Ann@example.net")
        .await;
    talk.say("DATA").await;
    talk.send(b"From: <s@shop.test>\r\nSubject: hello\r\n\r\nHello.\r\n.\r\n")
        .await;
    assert!(talk.reply().await.starts_with("250"));

    let expired = mta.outcome("ann@example.net").await;
    assert_eq!(
        (expired.kind(), expired.text("class")),
        ("expired", "expired")
    );
    mta.journal.first("delivered", "s@shop.test").await;
    let notice = home.only();
    assert_eq!(&*notice.sender, "", "a notice has the null sender");
    let kind = notice.header("Content-Type").expect("a type");
    assert!(
        kind.contains("multipart/report") && kind.contains("delivery-status"),
        "{kind}"
    );
    let text = String::from_utf8_lossy(&notice.content);
    for part in [
        "Final-Recipient: rfc822;",
        "Original-Recipient: rfc822;",
        "Original-Envelope-Id: order-7",
        "Action: failed",
        "Status: 5.4.7",
        "452 4.2.2 mailbox full",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    net.check(&mta).await;
}

#[tokio::test]
async fn nobody_is_told_of_the_failure_of_a_notice() {
    let net = Internet::new().await;
    let home = net.mx("shop.test").start().await;
    let _mx = net
        .mx("example.net")
        .on("RCPT", "550 5.1.1 no such user")
        .start()
        .await;
    let mta = net.mta("").await;
    mta.inject("", &["ann@example.net"]).await;
    mta.journal.first("bounced", "ann@example.net").await;
    // A notice would be accepted before the one that is handed in now.
    mta.inject("x@other.test", &["last@shop.test"]).await;
    mta.journal.first("delivered", "last@shop.test").await;
    assert_eq!(home.only().recipients, [Box::from("last@shop.test")]);
    net.check(&mta).await;
}

#[tokio::test]
async fn a_tenant_that_wants_notices_gets_them_without_asking_each_time() {
    let net = Internet::new().await;
    let home = net.mx("shop.test").start().await;
    let _mx = net
        .mx("example.net")
        .on("RCPT", "550 5.1.1 no such user")
        .start()
        .await;
    let keys = "[[tenant]]\nname = \"shop\"\ndomains = [\"shop.test\"]\nnotices = \"failures\"\n";
    let mta = net.mta(keys).await;
    let text = |tenant: &str| {
        format!("From: <s@shop.test>\r\nX-Mailwright-Tenant: {tenant}\r\n\r\nHello.\r\n")
    };
    for tenant in ["shop", "other"] {
        let to = format!("to-{tenant}@example.net");
        mta.inject_text("s@shop.test", &[&to], &text(tenant)).await;
        mta.journal.first("bounced", &to).await;
    }
    mta.journal.first("delivered", "s@shop.test").await;
    let notice = String::from_utf8_lossy(&home.only().content).into_owned();
    assert!(
        notice.contains("Final-Recipient: rfc822; to-shop@example.net"),
        "{notice}"
    );
    net.check(&mta).await;
}

#[tokio::test]
async fn greylisting_is_waited_out() {
    let net = Internet::new().await;
    let mx = net
        .mx("example.net")
        .on(
            "RCPT",
            "each=1 451 4.7.1 greylisted, come back in 5 minutes",
        )
        .start()
        .await;
    let mta = net.mta("").await;
    let to = ["ann@example.net", "bob@example.net"];
    mta.inject("s@shop.test", &to).await;
    for recipient in to {
        assert_eq!(mta.outcome(recipient).await.kind(), "delivered");
    }
    assert_eq!(mx.totals().recipients, 2);
    net.check(&mta).await;
}

/// Everything a server can do wrong once, at every stage of a session.
#[tokio::test]
async fn whatever_goes_wrong_once_at_any_stage_the_message_arrives() {
    let stages = ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "DOT"];
    let mishaps = [
        "421 4.3.2 going down",
        "close",
        "garbage",
        "451 4.3.0 later",
    ];
    let net = Internet::new().await;
    let mut hosts = Vec::new();
    let mut recipients = Vec::new();
    for stage in stages {
        for (n, mishap) in mishaps.iter().enumerate() {
            let domain = format!("{}{n}.example", stage.to_lowercase());
            let host = net.mx(&domain).on(stage, &format!("first=1 {mishap}"));
            hosts.push(host.start().await);
            recipients.push(format!("ann@{domain}"));
        }
    }
    let mta = net.mta("").await;
    for recipient in &recipients {
        mta.inject("s@shop.test", &[recipient]).await;
    }
    for recipient in &recipients {
        let end = mta.outcome(recipient).await;
        assert_eq!(end.kind(), "delivered", "{end:?}");
    }
    net.check(&mta).await;
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_and_tried_again() {
    let net = Internet::new().await;
    let mx = net
        .mx("example.net")
        .on("MAIL", "first=1 silence")
        .start()
        .await;
    let mta = net
        .mta("[delivery.timeouts]\nmail = \"1s\"\nrcpt = \"1s\"\ndata = \"1s\"\n")
        .await;
    mta.inject("s@shop.test", &["ann@example.net"]).await;
    assert_eq!(mta.outcome("ann@example.net").await.kind(), "delivered");
    assert_eq!(mx.totals().messages, 1);
    net.check(&mta).await;
}

#[tokio::test]
async fn a_reply_lost_after_the_dot_makes_a_repeat_that_is_marked() {
    let net = Internet::new().await;
    let mx = net
        .mx("example.net")
        .on("DOT", "first=1 close")
        .start()
        .await;
    let mta = net.mta("").await;
    mta.inject("s@shop.test", &["ann@example.net"]).await;
    let delivered = mta.outcome("ann@example.net").await;
    assert_eq!(delivered.kind(), "delivered");
    assert!(delivered.is_possible_duplicate(), "{delivered:?}");
    assert_eq!(
        mx.totals().messages,
        2,
        "the host had taken the first one too"
    );
    net.check(&mta).await;
}

#[tokio::test]
async fn a_delivery_that_went_well_the_first_time_is_not_marked() {
    let net = Internet::new().await;
    let _mx = net.mx("example.net").start().await;
    let mta = net.mta("").await;
    mta.inject("s@shop.test", &["ann@example.net"]).await;
    let delivered = mta.journal.first("delivered", "ann@example.net").await;
    assert!(!delivered.is_possible_duplicate(), "{delivered:?}");
    net.check(&mta).await;
}

#[tokio::test]
async fn a_restart_keeps_the_queue_and_repeats_no_recipient_that_is_done() {
    let net = Internet::new().await;
    let mx = net
        .mx("example.net")
        .on("RCPT", "full@* first=1 452 4.2.2 mailbox full")
        .start()
        .await;
    let mta = net.mta("").await;
    mta.inject("s@shop.test", &["ann@example.net", "full@example.net"])
        .await;
    mta.journal.first("delivered", "ann@example.net").await;
    mta.deferral("full@example.net").await;
    let mta = mta.restart().await;
    let delivered = mta.outcome("full@example.net").await;
    assert_eq!(
        (delivered.kind(), &delivered.0["attempt"]),
        ("delivered", &2.into())
    );
    assert!(!delivered.is_possible_duplicate(), "the stop was clean");
    let recipients: Vec<_> = mx
        .messages()
        .iter()
        .flat_map(|m| m.recipients.clone())
        .collect();
    assert_eq!(
        recipients,
        [Box::from("ann@example.net"), "full@example.net".into()]
    );
    net.check(&mta).await;
}

#[tokio::test]
async fn mail_waits_out_an_outage_that_begins_on_an_open_connection() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let mta = net.mta("").await;
    mta.inject("s@shop.test", &["ann@example.net"]).await;
    mta.journal.first("delivered", "ann@example.net").await;
    mx.on("MAIL", "421 4.3.2 maintenance");
    mta.inject("s@shop.test", &["bob@example.net"]).await;
    let deferred = mta.deferral("bob@example.net").await;
    assert_eq!((deferred.code(), deferred.enhanced()), (421, "4.3.2"));
    mx.behave();
    assert_eq!(mta.outcome("bob@example.net").await.kind(), "delivered");
    net.check(&mta).await;
}

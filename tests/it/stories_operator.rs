//! What an operator does while mail flows.

use crate::internet::Internet;
use crate::talk::Talk;
use std::time::Duration;

#[tokio::test]
async fn held_mail_stays_until_it_is_released() {
    let net = Internet::new().await;
    let mx = net
        .mx("example.net")
        .on("RCPT", "first=1 451 4.3.0 not now")
        .start()
        .await;
    let mta = net.mta("").await;
    let id = mta.inject("s@shop.test", &["ann@example.net"]).await;
    let deferred = mta.deferral("ann@example.net").await;
    assert_eq!(mta.order("hold", &id).await, 1);
    mta.journal
        .nth(1, "held", |e| e.kind() == "held" && e.id() == id)
        .await;
    // Its retry comes and goes; other mail shows that the daemon went past it.
    net.advance_to(deferred.until() + Duration::from_secs(3600));
    mta.inject("s@shop.test", &["bob@example.net"]).await;
    mta.journal.first("delivered", "bob@example.net").await;
    assert_eq!(mx.totals().messages, 1);
    mta.entry(&id, |e| e["state"] == "held").await;

    assert_eq!(mta.order("release", &id).await, 1);
    mta.journal
        .nth(1, "released", |e| e.kind() == "released" && e.id() == id)
        .await;
    assert_eq!(mta.outcome("ann@example.net").await.kind(), "delivered");
    net.check(&mta).await;
}

#[tokio::test]
async fn a_hold_survives_a_restart() {
    let net = Internet::new().await;
    let _mx = net
        .mx("example.net")
        .on("RCPT", "451 4.3.0 not now")
        .start()
        .await;
    let mta = net.mta("").await;
    let id = mta.inject("s@shop.test", &["ann@example.net"]).await;
    mta.deferral("ann@example.net").await;
    mta.order("hold", &id).await;
    let mta = mta.restart().await;
    mta.entry(&id, |e| e["state"] == "held").await;
    net.check(&mta).await;
}

#[tokio::test]
async fn dropped_mail_is_gone_and_the_event_says_who_did_it() {
    let net = Internet::new().await;
    let mx = net
        .mx("example.net")
        .on("RCPT", "451 4.3.0 not now")
        .start()
        .await;
    let mta = net.mta("").await;
    let id = mta.inject("", &["ann@example.net"]).await;
    mta.deferral("ann@example.net").await;
    assert_eq!(mta.order("drop", &id).await, 1);
    let dropped = mta.journal.first("dropped", "ann@example.net").await;
    assert_eq!(dropped.text("class"), "dropped");
    assert!(mta.queue().await.is_empty());
    assert_eq!(mx.totals().messages, 0);
    net.check(&mta).await;
}

#[tokio::test]
async fn retry_now_does_not_wait_for_the_schedule() {
    let net = Internet::new().await;
    let _mx = net
        .mx("example.net")
        .on("RCPT", "first=1 451 4.3.0 not now")
        .start()
        .await;
    let mta = net.mta("").await;
    let id = mta.inject("s@shop.test", &["ann@example.net"]).await;
    mta.deferral("ann@example.net").await;
    let before = net.clock.now();
    mta.order("retry", &id).await;
    mta.journal.first("delivered", "ann@example.net").await;
    assert_eq!(net.clock.now(), before);
    net.check(&mta).await;
}

#[tokio::test]
async fn the_queue_says_what_each_message_waits_for() {
    let net = Internet::new().await;
    let _mx = net
        .mx("example.net")
        .on("RCPT", "452 4.2.2 mailbox full")
        .start()
        .await;
    let mta = net.mta("").await;
    let id = mta.inject("s@shop.test", &["ann@example.net"]).await;
    let deferred = mta.deferral("ann@example.net").await;
    let entry = mta.entry(&id, |e| e["waits"]["held_by"] == "retry").await;
    assert_eq!(entry["domain"], "example.net");
    assert_eq!(entry["until"], deferred.0["until"]);
    assert!(
        entry["waits"].to_string().contains("mailbox full"),
        "{entry}"
    );
    net.check(&mta).await;
}

#[tokio::test]
async fn a_good_configuration_is_taken_over_and_a_bad_one_changes_nothing() {
    let net = Internet::new().await;
    let first = net.host("first.test").start().await;
    let second = net.host("second.test").start().await;
    let route = |mx: &crate::internet::Mx| {
        let hop = format!("{}:{}", mx.address, net.port);
        format!("[[route]]\ndomain = \"*\"\nnext_hop = [\"{hop}\"]\nallow_loopback = true\n")
    };
    let mta = net.mta(&route(&first)).await;
    mta.inject("s@shop.test", &["a@x.example"]).await;
    mta.journal.first("delivered", "a@x.example").await;

    let bad = format!("{}[retry]\nfirst = \"0s\"\n", route(&second));
    let (status, body) = mta.reload(&bad).await;
    assert_eq!(status, 422, "{body}");
    assert!(body.contains("retry.first"), "{body}");
    let refused = |e: &crate::journal::Event| e.kind() == "config" && e.0["ok"] == false;
    mta.journal.nth(1, "refused configuration", refused).await;
    mta.inject("s@shop.test", &["b@x.example"]).await;
    mta.journal.first("delivered", "b@x.example").await;
    assert_eq!((first.totals().messages, second.totals().messages), (2, 0));

    let (status, body) = mta.reload(&route(&second)).await;
    assert_eq!(status, 200, "{body}");
    mta.inject("s@shop.test", &["c@y.example"]).await;
    mta.journal.first("delivered", "c@y.example").await;
    assert_eq!((first.totals().messages, second.totals().messages), (2, 1));
    net.check(&mta).await;
}

#[tokio::test]
async fn a_full_disk_refuses_new_mail_and_delivers_what_is_there() {
    let net = Internet::new().await;
    let mx = net
        .mx("example.net")
        .on("RCPT", "first=1 451 4.3.0 not now")
        .start()
        .await;
    let mta = net.mta("").await;
    mta.inject("s@shop.test", &["ann@example.net"]).await;
    mta.deferral("ann@example.net").await;
    // A reserve that no disk can meet: the same code path as a disk that is full.
    let mta = mta
        .restart_with("[spool]\nreserve_space = \"999999GB\"\n")
        .await;
    let mut talk = Talk::open(mta.smtp).await;
    let reply = talk.say("MAIL FROM:<s@shop.test>").await;
    assert!(reply.starts_with("452"), "{reply}");
    assert_eq!(mta.outcome("ann@example.net").await.kind(), "delivered");
    assert_eq!(mx.totals().messages, 1);
    net.check(&mta).await;
}

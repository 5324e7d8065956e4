//! Where mail goes is what the DNS says, and what it says when it fails.

use crate::internet::Internet;
use mailwright::peers::dns::{Fault, Record};

#[tokio::test]
async fn a_null_mx_and_a_missing_domain_bounce_at_once() {
    let net = Internet::new().await;
    net.dns.add("null.example", Record::mx(0, "."));
    let mta = net.mta("").await;
    mta.inject("", &["ann@null.example", "bob@nowhere.example"])
        .await;
    let null = mta.journal.first("bounced", "ann@null.example").await;
    assert_eq!((null.enhanced(), null.text("class")), ("5.1.10", "hard"));
    let nowhere = mta.journal.first("bounced", "bob@nowhere.example").await;
    assert_eq!(
        (nowhere.enhanced(), nowhere.text("class")),
        ("5.1.2", "hard")
    );
    net.check(&mta).await;
}

#[tokio::test]
async fn name_servers_that_fail_put_mail_off_until_they_answer() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    net.dns.fail("example.net", Fault::ServFail);
    let mta = net.mta("").await;
    mta.inject("s@shop.test", &["ann@example.net"]).await;
    let deferred = mta.deferral("ann@example.net").await;
    assert_eq!((deferred.code(), deferred.enhanced()), (451, "4.4.3"));
    net.dns.heal("example.net");
    assert_eq!(mta.outcome("ann@example.net").await.kind(), "delivered");
    assert_eq!(mx.totals().messages, 1);
    net.check(&mta).await;
}

#[tokio::test]
async fn a_domain_without_mx_is_its_own_mail_host() {
    let net = Internet::new().await;
    let host = net.host("example.net").start().await;
    let mta = net.mta("").await;
    mta.inject("s@shop.test", &["ann@example.net"]).await;
    mta.journal.first("delivered", "ann@example.net").await;
    assert_eq!(host.totals().messages, 1);
    net.check(&mta).await;
}

#[tokio::test]
async fn the_next_mx_is_tried_when_the_first_is_down() {
    let net = Internet::new().await;
    net.dns.add("mx1.example.net", Record::A(net.address()));
    net.dns
        .add("example.net", Record::mx(10, "mx1.example.net"));
    let second = net
        .host("mx2.example.net")
        .serves("example.net", 20)
        .start()
        .await;
    let mta = net.mta("").await;
    mta.inject("s@shop.test", &["ann@example.net"]).await;
    assert_eq!(mta.outcome("ann@example.net").await.kind(), "delivered");
    assert_eq!(second.totals().messages, 1);
    net.check(&mta).await;
}

#[tokio::test]
async fn the_preferred_mx_gets_the_mail() {
    let net = Internet::new().await;
    let second = net
        .host("mx2.example.net")
        .serves("example.net", 20)
        .start()
        .await;
    let first = net
        .host("mx1.example.net")
        .serves("example.net", 10)
        .start()
        .await;
    let mta = net.mta("").await;
    for n in 0..5 {
        let recipient = format!("u{n}@example.net");
        mta.inject("s@shop.test", &[&recipient]).await;
        mta.journal.first("delivered", &recipient).await;
    }
    assert_eq!((first.totals().messages, second.totals().messages), (5, 0));
    net.check(&mta).await;
}

#[tokio::test]
async fn an_answer_that_points_to_this_machine_is_refused_unless_allowed() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let mta = net.mta("[delivery]\nallow_loopback = false\n").await;
    mta.inject("", &["ann@example.net"]).await;
    let end = mta.outcome("ann@example.net").await;
    assert_eq!((end.kind(), end.enhanced()), ("bounced", "5.4.6"));
    assert_eq!(mx.totals().connections, 0);
    net.check(&mta).await;
}

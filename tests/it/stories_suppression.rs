//! Who is not written to any more, at RCPT and before mail leaves.

use crate::internet::{Internet, Mx};
use crate::mta::Mta;
use mailwright::peers::redis::RedisServer;
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

const ACME: &str = "X-Mailwright-Tenant: acme\r\n";
const RECEIPT: &str = "X-Mailwright-Tenant: acme\r\nX-Mailwright-Stream: transactional\r\n";

/// `a.example`, where nobody is called `gone`, and `full` has no room.
async fn site(net: &Internet) -> Mx {
    net.mx("a.example")
        .on("RCPT", "gone@* 550 5.1.1 no such user")
        .on("RCPT", "full@* 552 5.2.2 mailbox full")
        .on("RCPT", "spam@* 554 5.7.1 your address is on a blocklist")
        .start()
        .await
}

async fn add(mta: &Mta, address: &str, scope: &str) {
    let order = json!({ "entries": [{ "address": address, "scope": scope }], "by": "ops" });
    let (status, answer) = mta
        .request("POST", "/api/v1/suppressions/add", &order)
        .await;
    assert_eq!(status, 200, "{answer}");
}

async fn found(mta: &Mta, address: &str) -> Vec<Value> {
    let path = format!("/api/v1/suppressions/check?address={address}");
    mta.get(&path).await.as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_hard_bounce_suppresses_and_the_next_is_refused_at_rcpt() {
    let net = Internet::new().await;
    let mx = site(&net).await;
    let mta = net.mta("").await;
    mta.inject("s@shop.test", &["gone@a.example"]).await;
    assert_eq!(mta.outcome("gone@a.example").await.kind(), "bounced");
    let told = mta.journal.first("suppression", "gone@a.example").await;
    assert_eq!(told.text("reason"), "hard");
    let refused = mta.refused("Gone@A.example").await;
    assert!(refused.starts_with("550 5.7.1 "), "{refused}");
    assert!(refused.contains("the address is bad"), "{refused}");
    let records = found(&mta, "gone@a.example").await;
    assert!(
        records[0]["note"]
            .as_str()
            .unwrap()
            .contains("no such user"),
        "{records:?}"
    );

    // It is remembered, and can be taken back.
    let mta = mta.restart().await;
    mta.refused("gone@a.example").await;
    let order = json!({ "address": "gone@a.example", "by": "ops" });
    let (status, _) = mta
        .request("POST", "/api/v1/suppressions/remove", &order)
        .await;
    assert_eq!(status, 200);
    let before = mx.totals().messages;
    mta.inject("s@shop.test", &["gone@a.example"]).await;
    assert_eq!(mx.totals().messages, before);
    net.check(&mta).await;
}

#[tokio::test]
async fn a_spam_block_suppresses_nobody() {
    let net = Internet::new().await;
    let _mx = site(&net).await;
    let mta = net.mta("").await;
    mta.inject("s@shop.test", &["spam@a.example"]).await;
    let bounced = mta.outcome("spam@a.example").await;
    assert_eq!(bounced.text("class"), "block");
    assert_eq!(found(&mta, "spam@a.example").await, Vec::<Value>::new());
    net.check(&mta).await;
}

#[tokio::test]
async fn what_is_suppressed_while_it_waits_is_not_sent_and_is_no_bounce() {
    let net = Internet::new().await;
    let mx = net
        .mx("a.example")
        .on("RCPT", "ann@* first=1 451 4.3.0 later")
        .start()
        .await;
    let mta = net.mta("").await;
    mta.inject("s@shop.test", &["ann@a.example", "bob@a.example"])
        .await;
    assert_eq!(mta.outcome("bob@a.example").await.kind(), "delivered");
    mta.deferral("ann@a.example").await;
    add(&mta, "ann@a.example", "global").await;
    net.clock.advance(HOUR);
    let ended = mta.journal.first("suppressed", "ann@a.example").await;
    assert_eq!(ended.text("class"), "suppressed");
    assert_eq!(ended.text("severity"), "none");
    mta.empty().await;
    assert_eq!(mx.totals().messages, 1);
    net.check(&mta).await;
}

#[tokio::test]
async fn of_several_recipients_the_suppressed_alone_get_nothing() {
    let net = Internet::new().await;
    let mx = site(&net).await;
    let mta = net.mta("").await;
    add(&mta, "ann@a.example", "tenant/acme").await;
    let message = format!("{ACME}From: <s@shop.test>\r\nSubject: hello\r\n\r\nHello.\r\n");
    let to = ["ann@a.example", "bob@a.example"];
    mta.inject_text("s@shop.test", &to, &message).await;
    assert_eq!(mta.outcome("bob@a.example").await.kind(), "delivered");
    assert_eq!(mta.outcome("ann@a.example").await.kind(), "suppressed");
    // Alone it is refused, and what is another's goes.
    mta.refusal(ACME, "ann@a.example").await;
    mta.inject_as("X-Mailwright-Tenant: brand\r\n", "ann@a.example")
        .await;
    assert_eq!(
        mta.journal
            .first("delivered", "ann@a.example")
            .await
            .text("tenant"),
        "brand"
    );
    mta.empty().await;
    assert_eq!(mx.totals().messages, 2);
    net.check(&mta).await;
}

#[tokio::test]
async fn whoever_unsubscribed_still_gets_receipts() {
    let net = Internet::new().await;
    let _mx = site(&net).await;
    let mta = net.mta("").await;
    add(&mta, "ann@a.example", "stream/acme/marketing").await;
    mta.refusal(ACME, "ann@a.example").await;
    mta.inject_as(RECEIPT, "ann@a.example").await;
    assert_eq!(mta.outcome("ann@a.example").await.kind(), "delivered");
    net.check(&mta).await;
}

#[tokio::test]
async fn mail_may_be_taken_and_dropped_instead() {
    let net = Internet::new().await;
    let mx = site(&net).await;
    let mta = net.mta("[suppression]\nat_submission = \"drop\"\n").await;
    add(&mta, "ann@a.example", "global").await;
    mta.inject_as("", "ann@a.example").await;
    assert_eq!(mta.outcome("ann@a.example").await.kind(), "suppressed");
    assert_eq!(mx.totals().messages, 0);
    net.check(&mta).await;
}

#[tokio::test]
async fn a_mailbox_that_stays_full_is_let_alone_for_a_while() {
    let net = Internet::new().await;
    let _mx = site(&net).await;
    let mta = net.mta("").await;
    for n in 1..=5 {
        mta.inject("s@shop.test", &["full@a.example"]).await;
        let is_nth = |e: &crate::journal::Event| e.is("bounced", "full@a.example");
        mta.journal.nth(n, "bounce", is_nth).await;
        net.clock.advance(HOUR);
    }
    let told = mta.journal.first("suppression", "full@a.example").await;
    assert_eq!(told.text("reason"), "soft");
    mta.refused("full@a.example").await;
    net.clock.advance(31 * 24 * HOUR);
    mta.inject("s@shop.test", &["full@a.example"]).await;
    net.check(&mta).await;
}

#[tokio::test]
async fn while_redis_is_down_marketing_waits_and_receipts_go_where_that_is_chosen() {
    let net = Internet::new().await;
    let mx = site(&net).await;
    let mut redis = RedisServer::start().await.expect("a redis-server");
    let keys = format!(
        "[state]\nurl = \"{}\"\n[suppression]\ntransactional_unchecked = \"send\"\n",
        redis.url()
    );
    let mta = net.mta(&keys).await;
    add(&mta, "gone@a.example", "global").await;
    redis.kill();
    mta.inject_as(ACME, "ann@a.example").await;
    mta.inject_as(ACME, "gone@a.example").await;
    let waiting = mta.all_held_by("state").await;
    assert_eq!(waiting.len(), 2);
    let why = waiting[0]["waits"]["why"].as_str().unwrap();
    assert!(why.contains("who is suppressed"), "{why}");
    mta.inject_as(RECEIPT, "bob@a.example").await;
    assert_eq!(mta.outcome("bob@a.example").await.kind(), "delivered");
    assert_eq!(mx.totals().messages, 1);

    redis.restart().await.expect("it comes back");
    net.clock.advance(Duration::from_secs(30));
    assert_eq!(mta.outcome("ann@a.example").await.kind(), "delivered");
    assert_eq!(mta.outcome("gone@a.example").await.kind(), "suppressed");
    assert_eq!(mx.totals().messages, 2);
    net.check(&mta).await;
}

/// Once a bounce that was heard while the store was away was lost with the daemon.
#[tokio::test]
async fn a_failure_that_the_list_could_not_take_is_found_again_after_a_start() {
    let net = Internet::new().await;
    let _mx = site(&net).await;
    let mut redis = RedisServer::start().await.expect("a redis-server");
    let keys = format!(
        "[state]\nurl = \"{}\"\n[suppression]\ntransactional_unchecked = \"send\"\n",
        redis.url()
    );
    let mta = net.mta(&keys).await;
    redis.kill();
    mta.inject_as(RECEIPT, "gone@a.example").await;
    mta.until_metric("mailwright_failures_unlisted 1.0").await;
    // Nothing is told that is in no book.
    let is_bounce = |e: &crate::journal::Event| e.is("bounced", "gone@a.example");
    assert!(!mta.journal.events().iter().any(is_bounce));
    let dir = mta.dir.clone();
    mta.stop().await;

    redis.restart().await.expect("it comes back");
    let mta = Mta::start(net.world(), dir, &keys).await;
    assert_eq!(mta.outcome("gone@a.example").await.kind(), "bounced");
    let refused = mta.refused("gone@a.example").await;
    assert!(refused.contains("the address is bad"), "{refused}");
    net.check(&mta).await;
}

#[tokio::test]
async fn a_tenant_that_would_rather_not_be_refused_has_its_mail_dropped() {
    let net = Internet::new().await;
    let mx = site(&net).await;
    let acme = "[[tenant]]\nname = \"acme\"\ndomains = [\"shop.test\"]\nsuppression = { at_submission = \"drop\" }\n";
    let mta = net.mta(acme).await;
    add(&mta, "ann@a.example", "global").await;
    mta.inject_as(ACME, "ann@a.example").await;
    assert_eq!(mta.outcome("ann@a.example").await.kind(), "suppressed");
    let explained = mta
        .get("/api/v1/explain?from=s@shop.test&to=ann@a.example&tenant=acme")
        .await;
    let summary = explained["summary"].as_str().unwrap();
    assert!(
        summary.starts_with("would be taken and dropped"),
        "{summary}"
    );
    mta.refusal("X-Mailwright-Tenant: brand\r\n", "ann@a.example")
        .await;
    let explained = mta
        .get("/api/v1/explain?from=s@shop.test&to=ann@a.example&tenant=brand")
        .await;
    let summary = explained["summary"].as_str().unwrap();
    assert!(summary.contains("refused at submission"), "{summary}");
    assert!(
        explained["suppressed"]
            .as_str()
            .unwrap()
            .contains("(global): by hand")
    );
    mta.empty().await;
    assert_eq!(mx.totals().messages, 0);
    net.check(&mta).await;
}

/// A platform may send with an empty return path; once nobody looked at the list for such mail before it left.
#[tokio::test]
async fn mail_without_a_return_path_is_held_against_the_list_too() {
    let net = Internet::new().await;
    let mx = site(&net).await;
    let mta = net.mta("[suppression]\nat_submission = \"drop\"\n").await;
    add(&mta, "ann@a.example", "global").await;
    mta.inject("", &["ann@a.example"]).await;
    assert_eq!(mta.outcome("ann@a.example").await.kind(), "suppressed");
    mta.empty().await;
    assert_eq!(mx.totals().messages, 0);
    net.check(&mta).await;
}

#[tokio::test]
async fn who_is_to_be_forgotten_is_in_no_record_no_queue_and_no_log() {
    let net = Internet::new().await;
    let mx = net
        .mx("a.example")
        .on("RCPT", "ann@* 451 4.3.0 later")
        .on("RCPT", "bob@* first=1 451 4.3.0 later")
        .start()
        .await;
    let mta = net.mta("").await;
    mta.inject("s@shop.test", &["ann@a.example", "bob@a.example"])
        .await;
    mta.deferral("ann@a.example").await;
    mta.deferral("bob@a.example").await;
    add(&mta, "Ann@a.example", "tenant/acme").await;
    let order = json!({ "address": "ann@A.example" });
    let (status, answer) = mta
        .request("POST", "/api/v1/suppressions/erase", &order)
        .await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        (&answer["records"], &answer["messages"]),
        (&json!(1), &json!(1))
    );
    assert!(answer["lines"].as_u64() >= Some(4), "{answer}");
    for path in ["/api/v1/queue", "/api/v1/suppressions"] {
        let shown = mta.get(path).await.to_string();
        assert!(!shown.contains("nn@a.example"), "{shown}");
    }
    for event in mta.journal.events() {
        let line = event.0.to_string().to_lowercase();
        assert!(!line.contains("ann@a.example"), "{line}");
    }
    // She stays suppressed, by a mark that does not say whose it is; he has his mail.
    mta.refusal(ACME, "ann@a.example").await;
    net.clock.advance(HOUR);
    assert_eq!(mta.outcome("bob@a.example").await.kind(), "delivered");
    mta.empty().await;
    assert_eq!(mx.totals().messages, 1);
    net.check(&mta).await;
}

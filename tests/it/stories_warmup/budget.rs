//! Budget that was reserved and not needed, and state that cannot be read.

use super::*;
use mailwright::store::{Config, Store};

const TEN: &str = "[warmup.schedule.ten]\ndays = [10]\n[retry]\njitter = 0.0\n";
const WARMUP: &str = "warmup = { schedule = \"ten\" }\n";

/// 30 messages to a host that does so at first: before the day ends the cap is used, and not passed.
async fn used_after_all(rules: &[(&str, &str)]) {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    for (stage, rest) in rules {
        mx.on(stage, rest);
    }
    let new = net.source("new");
    let mta = net.mta(&format!("{QUICK}{TEN}{}", new.with(WARMUP))).await;
    mta.inject_all("", &mailboxes("ann", 30, "example.net"))
        .await;
    // Until ten hours later.
    for _ in 0..10 {
        mta.at_rest().await;
        assert!(count(&mx, new.address) <= 10);
        net.clock.advance(Duration::from_secs(3600));
    }
    mta.at_rest().await;
    assert_eq!(count(&mx, new.address), 10);
    assert_eq!(position(&mta, "new", "*").await["budget"]["used"], 10);
    net.check(&mta).await;
}

#[tokio::test]
async fn budget_of_recipients_that_are_put_off_is_used_by_others() {
    used_after_all(&[("RCPT", "first=25 451 4.2.0 not now")]).await;
}

#[tokio::test]
async fn budget_of_messages_that_are_put_off_is_used_by_others() {
    used_after_all(&[
        ("DATA", "first=7 451 4.3.0 not now"),
        ("DOT", "first=7 451 4.3.0 not now"),
    ])
    .await;
}

#[tokio::test]
async fn budget_of_connections_that_are_refused_is_used_later() {
    used_after_all(&[("CONNECT", "first=7 421 4.3.2 too busy")]).await;
}

#[tokio::test]
async fn budget_of_messages_whose_answer_is_lost_is_not_used_again() {
    used_after_all(&[("DOT", "first=3 close")]).await;
}

#[tokio::test]
async fn budget_for_a_host_that_is_not_there_is_used_when_it_is() {
    let net = Internet::new().await;
    net.dns.ttl(5, 5);
    net.dead("example.net");
    let new = net.source("new");
    let mta = net.mta(&format!("{QUICK}{TEN}{}", new.with(WARMUP))).await;
    mta.inject_all("", &mailboxes("ann", 30, "example.net"))
        .await;
    mta.journal
        .nth(1, "a deferral", |e| e.kind() == "deferred")
        .await;
    mta.at_rest().await;
    let mx = net.host("there.test").start().await;
    net.dns.set("mx.example.net", [mx.address.into()]);
    net.clock.advance(Duration::from_secs(3600));
    until("the cap", async || count(&mx, new.address) == 10).await;
    mta.at_rest().await;
    assert_eq!(count(&mx, new.address), 10);
    net.check(&mta).await;
}

#[tokio::test]
async fn a_state_that_cannot_be_read_holds_its_unit_and_no_other() {
    let net = Internet::new().await;
    let yahoo = net.host("mx1.mail.gm0.yahoodns.net");
    let yahoo = yahoo.serves("y.example", 10).start().await;
    let other = net.mx("o.example").start().await;
    let new = net.source("new");
    let keys = format!("{QUICK}{TEN}{}", new.with(WARMUP));
    let mta = net.mta(&keys).await;
    for to in ["ann@y.example", "ann@o.example"] {
        mta.inject("s@shop.test", &[to]).await;
        mta.journal.first("delivered", to).await;
    }
    let dir = mta.dir.clone();
    mta.stop().await;
    let (embedded, data) = (Config::default(), dir.join("data"));
    let store = Store::open(&embedded, &data, net.clock.clone()).await;
    let store = store.expect("the daemon's store");
    let key = "warmup/unit/new/yahoo";
    assert!(store.get(key).await.expect("a store").is_some());
    store.set(key, b"{\"stage\": 7").await.expect("a store");
    store.close().await;

    let mta = Mta::start(net.world(), dir, &keys).await;
    let id = mta.inject("s@shop.test", &["bob@y.example"]).await;
    mta.inject("s@shop.test", &["bob@o.example"]).await;
    mta.journal.first("delivered", "bob@o.example").await;
    let waits = |e: &Value| e["waits"]["reason"] == "unreadable";
    let entry = mta.entry(&id, waits).await;
    assert_eq!(entry["waits"]["key"], key, "{entry}");
    let told = decisions(&mta, "new", "yahoo");
    let why = told.last().expect("an event").text("why").to_owned();
    let because = position(&mta, "new", "yahoo").await["because"].clone();
    for text in [why.as_str(), because.as_str().unwrap_or_default()] {
        let remedy = "`mailwright warmup set new yahoo STAGE`";
        assert!(text.contains(key) && text.contains(remedy), "{text}");
    }
    assert_eq!(
        (count(&yahoo, new.address), count(&other, new.address)),
        (1, 2)
    );

    let order = json!({ "source": "new", "provider": "yahoo", "stage": 1 });
    let (status, body) = mta.request("POST", "/api/v1/warmup/set", &order).await;
    assert_eq!(status, 200, "{body}");
    mta.journal.first("delivered", "bob@y.example").await;
    net.check(&mta).await;
}

#[tokio::test]
async fn a_provider_may_be_paused_before_anything_was_sent() {
    let net = Internet::new().await;
    let _mx = net.mx("o.example").start().await;
    let new = net.source("new");
    let mta = net.mta(&format!("{QUICK}{TEN}{}", new.with(WARMUP))).await;
    let order = json!({ "source": "new", "provider": "yahoo" });
    let (status, body) = mta.request("POST", "/api/v1/warmup/pause", &order).await;
    assert_eq!(status, 200, "{body}");
    mta.inject("s@shop.test", &["ann@o.example"]).await;
    mta.journal.first("delivered", "ann@o.example").await;
    net.check(&mta).await;
}

//! How mail shares connections, and what happens to it where they fail or change under it.

use crate::internet::Internet;
use crate::mta::Mta;
use crate::talk::Talk;
use serde_json::json;
use std::time::Duration;

const TELL_FAILURES: &str = "[bounce]\nnotices = \"failures\"\n";

/// Waits until nothing is in the queue any more.
async fn empty(mta: &Mta) {
    while !mta.queue().await.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_server_is_given_no_more_recipients_than_it_says_it_takes() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").rcpt_max(2).start().await;
    let mta = net.mta("").await;
    let to = ["a@example.net", "b@example.net", "c@example.net"];
    let more = ["d@example.net", "e@example.net"];
    mta.inject("s@shop.test", &[&to[..], &more].concat()).await;
    for recipient in to.iter().chain(&more) {
        mta.journal.first("delivered", recipient).await;
    }
    assert_eq!(mx.totals().messages, 3);
    assert_eq!(mx.totals().refused, 0, "nobody was asked for in vain");
    net.check(&mta).await;
}

#[tokio::test]
async fn a_lost_connection_is_tried_again_free_only_where_nobody_was_answered() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let mta = net.mta("").await;
    mta.inject("s@shop.test", &["first@example.net"]).await;
    mta.journal.first("delivered", "first@example.net").await;

    mx.on("RCPT", "bad@* 550 5.1.1 no such user");
    mx.on("DATA", "first=1 close");
    let to = ["bad@example.net", "ann@example.net"];
    mta.inject("s@shop.test", &to).await;
    mta.journal.first("bounced", "bad@example.net").await;
    assert_eq!(mta.deferral("ann@example.net").await.0["attempt"], 1);
    assert_eq!(mta.outcome("ann@example.net").await.kind(), "delivered");
    let asked = mx.commands();
    let asked = asked.iter().filter(|(_, line)| line.contains("bad@"));
    assert_eq!(asked.count(), 1, "who was refused is not asked for again");
    net.check(&mta).await;
}

#[tokio::test]
async fn mail_of_a_source_that_is_not_ours_waits_and_says_so() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    // TEST-NET-1 is nobody's (RFC 5737).
    let source = "[[source]]\nname = \"gone\"\naddress = \"192.0.2.1\"\nehlo = \"gone.test\"\n";
    let mta = net.mta(source).await;
    for recipient in ["ann@example.net", "bob@example.net"] {
        let id = mta.inject("s@shop.test", &[recipient]).await;
        let waits = |e: &serde_json::Value| e["waits"]["held_by"] == "no_source";
        let entry = mta.entry(&id, waits).await;
        let why = entry["waits"]["why"].as_str().unwrap();
        assert!(why.contains("gone"), "{why}");
    }
    assert_eq!(mx.totals().connections, 0);

    let (status, body) = mta.reload("").await;
    assert_eq!(status, 200, "{body}");
    for recipient in ["ann@example.net", "bob@example.net"] {
        net.clock.advance(Duration::from_secs(600));
        mta.journal.first("delivered", recipient).await;
    }
    net.check(&mta).await;
}

#[tokio::test]
async fn what_comes_together_to_an_idle_connection_does_not_wait_for_each_other() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let hop = format!("{}:{}", mx.address, net.port);
    let mta = net
        .mta(&format!(
            "[[route]]\ndomain = \"*\"\nnext_hop = [\"{hop}\"]\nallow_loopback = true\n"
        ))
        .await;
    mta.inject("s@shop.test", &["first@example.net"]).await;
    mta.journal.first("delivered", "first@example.net").await;

    mx.on("MAIL", "slow@* silence");
    let later =
        "X-Mailwright-Send-At: 2026-11-22T13:00:00+00:00\r\nFrom: <s@shop.test>\r\n\r\nHi.\r\n";
    for sender in ["slow@shop.test", "quick@shop.test"] {
        mta.inject_text(sender, &["ann@example.net"], later).await;
    }
    net.clock.advance(Duration::from_secs(3600));
    let delivered = |e: &crate::journal::Event| e.is("delivered", "ann@example.net");
    mta.journal.nth(1, "the quick one", delivered).await;
    assert_eq!(mx.totals().messages, 2);
    net.check(&mta).await;
}

#[tokio::test]
async fn mail_in_line_follows_a_reload_to_its_new_next_hop() {
    let net = Internet::new().await;
    let mx = net
        .mx("a.example")
        .serves("b.example", 10)
        .on("MAIL", "first=1 wait")
        .start()
        .await;
    let relay = net.host("relay.test").start().await;
    let one = "[delivery]\ninitial_connections_per_site = 1\nmax_connections_per_site = 1\n";
    let mta = net.mta(one).await;
    let first = mta.inject("s@shop.test", &["first@b.example"]).await;
    mta.entry(&first, |e| e["state"] == "sending").await;
    let mut waiting = Vec::new();
    for recipient in ["ann@a.example", "bob@b.example"] {
        waiting.push(mta.inject("s@shop.test", &[recipient]).await);
    }
    for id in &waiting {
        let in_line = |e: &serde_json::Value| {
            let held_by = &e["waits"]["held_by"];
            held_by == "site_window" || held_by == "turn"
        };
        mta.entry(id, in_line).await;
    }
    let hop = format!("{}:{}", relay.address, net.port);
    let keys = format!("{one}[[route]]\ndomain = \"a.example\"\nnext_hop = [\"{hop}\"]\n");
    let (status, body) = mta.reload(&keys).await;
    assert_eq!(status, 200, "{body}");
    // Not after the first, which is still held up.
    mta.journal.first("delivered", "ann@a.example").await;
    mx.behave();
    for recipient in ["first@b.example", "bob@b.example"] {
        mta.journal.first("delivered", recipient).await;
    }
    assert_eq!(relay.only().recipients, [Box::from("ann@a.example")]);
    assert_eq!(mx.totals().messages, 2);
    net.check(&mta).await;
}

#[tokio::test]
async fn a_failure_waits_for_room_for_its_notice() {
    let net = Internet::new().await;
    let home = net.mx("shop.test").start().await;
    let _mx = net
        .mx("example.net")
        .on("RCPT", "first=1 451 4.3.0 not now")
        .on("RCPT", "550 5.1.1 no such user")
        .start()
        .await;
    let mta = net.mta(TELL_FAILURES).await;
    mta.inject("s@shop.test", &["ann@example.net"]).await;
    let deferred = mta.deferral("ann@example.net").await;
    let mta = mta
        .restart_with(&format!(
            "{TELL_FAILURES}[spool]\nreserve_space = \"999999GB\"\n"
        ))
        .await;
    net.advance_to(deferred.until());
    empty(&mta).await;
    let mta = mta.restart_with(TELL_FAILURES).await;
    mta.journal.first("bounced", "ann@example.net").await;
    mta.journal.first("delivered", "s@shop.test").await;
    assert_eq!(&*home.only().sender, "");
    net.check(&mta).await;
}

#[tokio::test]
async fn a_connection_with_nothing_to_send_makes_room_for_another_site() {
    let net = Internet::new().await;
    let _a = net.mx("a.example").start().await;
    let _b = net.mx("b.example").start().await;
    let mta = net
        .mta("[delivery]\nmax_connections = 1\nidle = \"1h\"\n")
        .await;
    for recipient in ["ann@a.example", "bob@b.example", "cat@a.example"] {
        mta.inject("s@shop.test", &[recipient]).await;
        mta.journal.first("delivered", recipient).await;
    }
    net.check(&mta).await;
}

#[tokio::test]
async fn a_dropped_message_ends_without_a_notice() {
    let net = Internet::new().await;
    let home = net.mx("shop.test").start().await;
    let _mx = net
        .mx("example.net")
        .on("RCPT", "451 4.3.0 not now")
        .start()
        .await;
    let mta = net.mta(TELL_FAILURES).await;
    let id = mta.inject("s@shop.test", &["ann@example.net"]).await;
    mta.deferral("ann@example.net").await;
    mta.entry(&id, |e| e["waits"]["held_by"] == "retry").await;
    let order = json!({ "select": { "id": id }, "why": "the story wants it" });
    let (status, _) = mta.request("POST", "/api/v1/queue/drop", &order).await;
    assert_eq!(status, 200);
    assert!(mta.outcome("ann@example.net").await.is_terminal());
    // A notice would be accepted before the one that is handed in now.
    mta.inject("x@other.test", &["last@shop.test"]).await;
    mta.journal.first("delivered", "last@shop.test").await;
    assert_eq!(home.only().recipients, [Box::from("last@shop.test")]);
    net.check(&mta).await;
}

#[tokio::test]
async fn the_largest_message_is_said_in_one_place() {
    let net = Internet::new().await;
    let mta = net.mta("[intake]\nmax_message = \"300KiB\"\n").await;
    let mut talk = Talk::open(mta.smtp).await;
    let offers = talk.say("EHLO client.test").await;
    assert!(offers.contains("SIZE 307200"), "{offers}");
    let reply = talk.say("MAIL FROM:<s@shop.test> SIZE=307201").await;
    assert!(reply.starts_with("552"), "{reply}");
    let (status, _) = mta.reload("[intake]\nmax_message = \"400KiB\"\n").await;
    assert_eq!(status, 200);
    let mut talk = Talk::open(mta.smtp).await;
    let offers = talk.say("EHLO client.test").await;
    assert!(offers.contains("SIZE 409600"), "{offers}");
    net.check(&mta).await;
}

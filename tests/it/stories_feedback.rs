//! What platforms tell of mail: opens, clicks, hits of traps; and what the report says of it all.

use crate::internet::{Internet, Mx};
use crate::journal::Event;
use crate::mta::Mta;
use serde_json::{Value, json};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const KEYS: &str =
    "[spool]\nsync = false\n[[tenant]]\nname = \"acme\"\ndomains = [\"shop.test\"]\n";
const SPRING: &str = "X-Mailwright-Tenant: acme\r\nX-Mailwright-Campaign: spring\r\n";

async fn site(net: &Internet) -> Mx {
    net.mx("a.example")
        .on("RCPT", "gone*@* 550 5.1.1 no such user")
        .on(
            "RCPT",
            "busy*@* 451 4.7.1 greylisted, see https://a.example/help",
        )
        .start()
        .await
}

async fn hand_in(mta: &Mta, name: &str, count: usize) {
    let to: Vec<String> = (0..count)
        .map(|n| format!("{name}-{n}@a.example"))
        .collect();
    mta.inject_all(SPRING, &to).await;
}

async fn feed(mta: &Mta, body: &Value) -> (u16, Value) {
    let (status, answer) = mta.request("POST", "/api/v1/feedback", body).await;
    (status, serde_json::from_str(&answer).unwrap())
}

async fn report(mta: &Mta) -> Value {
    mta.get("/api/v1/reputation?by=campaign&since=1h").await
}

/// The deliveries, once there are `count`: what has left the queue may be a moment away from the log.
async fn delivered(mta: &Mta, count: usize) -> Vec<Event> {
    let is_delivery = |e: &Event| e.kind() == "delivered";
    mta.journal.nth(count, "delivery", is_delivery).await;
    let events = mta.journal.events();
    events.into_iter().filter(is_delivery).collect()
}

/// Books are kept where something can come back.
const BOOKS: &str = "[return_path]\ndomain = \"bounces.shop.test\"\n";

#[tokio::test]
async fn opens_and_clicks_are_counted_once_and_each_mistake_is_told() {
    let net = Internet::new().await;
    let mx = site(&net).await;
    let mta = net.mta(&format!("{BOOKS}{KEYS}")).await;
    hand_in(&mta, "ann", 3).await;
    mx.came(3).await;
    mta.empty().await;
    let sent = delivered(&mta, 3).await;
    let message = |event: &str, kind: &str, at: usize| {
        json!({
            "event": event, "kind": kind, "id": sent[at].id(), "recipient": sent[at].recipient(),
        })
    };
    let batch = json!({ "events": [
        message("e1", "open", 0),
        message("e2", "click", 0),
        message("e1", "open", 0),
        message("e3", "open", 1),
        { "event": "e4", "kind": "open", "id": "0000000000000" },
        { "event": "e5", "kind": "sneeze", "id": "x" },
        { "event": "e6", "kind": "open", "tenant": "acme", "campaign": "spring", "source": "default" },
    ]});
    let (status, fed) = feed(&mta, &batch).await;
    assert_eq!(
        (status, &fed["counted"], &fed["repeated"]),
        (200, &json!(4), &json!(1)),
        "{fed}"
    );
    let wrong: Vec<&Value> = fed["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["index"])
        .collect();
    assert_eq!(wrong, [&json!(4), &json!(5)], "{fed}");

    // A restart knows what was counted, and what was told before.
    let mta = mta.restart().await;
    let (_, fed) = feed(&mta, &message("e2", "click", 0)).await;
    assert_eq!(fed["repeated"], 1, "{fed}");
    let (status, answer) = feed(&mta, &json!({ "event": "e7", "kind": "open" })).await;
    assert_eq!(status, 422);
    assert!(
        answer["error"]
            .as_str()
            .unwrap()
            .contains("write which mail"),
        "{answer}"
    );
    let row = &report(&mta).await["slices"][0];
    assert_eq!(row["slice"], "campaign/acme/spring");
    assert_eq!(
        (&row["counts"]["opened"], &row["counts"]["clicked"]),
        (&json!(3), &json!(1))
    );
    net.check(&mta).await;
}

#[tokio::test]
async fn hits_of_traps_hold_a_campaign() {
    let net = Internet::new().await;
    let mx = site(&net).await;
    let mta = net.mta(KEYS).await;
    hand_in(&mta, "ann", 20).await;
    mx.came(20).await;
    delivered(&mta, 20).await;
    for n in 0..3 {
        let hit = json!({ "event": format!("t{n}"), "kind": "trap", "tenant": "acme", "campaign": "spring" });
        let (status, fed) = feed(&mta, &hit).await;
        assert_eq!((status, &fed["counted"]), (200, &json!(1)));
    }
    let is_hold = |e: &Event| e.kind() == "reputation" && e.text("reason") == "hold";
    net.clock.advance(MINUTE);
    let told = mta.journal.nth(1, "hold", is_hold).await;
    assert_eq!(told.text("slice"), "campaign/acme/spring");
    assert!(told.text("why").contains("traps"), "{told:?}");
    hand_in(&mta, "bob", 2).await;
    let waiting = mta.all_held_by("reputation").await;
    assert_eq!(waiting.len(), 2);
    let row = &report(&mta).await["slices"][0];
    let trap = row["rates"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["rate"] == "trap")
        .unwrap();
    assert_eq!(
        (&trap["numerator"], &trap["standing"]),
        (&json!(3), &json!("act"))
    );
    assert!(
        trap["advice"].as_str().unwrap().contains("nobody reads"),
        "{trap}"
    );
    net.check(&mta).await;
}

#[tokio::test]
async fn the_report_says_what_servers_said_and_what_was_suppressed() {
    let net = Internet::new().await;
    let mx = site(&net).await;
    let mta = net.mta(KEYS).await;
    hand_in(&mta, "gone", 3).await;
    hand_in(&mta, "busy", 2).await;
    hand_in(&mta, "ann", 4).await;
    mx.came(4).await;
    mta.at_rest().await;
    // What has left the queue counts a moment later.
    for (kind, count) in [("deferred", 2), ("bounced", 3), ("suppression", 3)] {
        let is_one = |e: &Event| e.kind() == kind;
        mta.journal.nth(count, kind, is_one).await;
    }
    let told = report(&mta).await;
    let replies = told["replies"].as_array().unwrap();
    let of = |pattern: &str| replies.iter().find(|r| r["pattern"] == pattern).unwrap();
    let gone = of("550 5.1.1 no such user");
    assert_eq!(
        (&gone["count"], &gone["class"], &gone["provider"]),
        (&json!(3), &json!("hard"), &json!("other"))
    );
    let busy = of("451 4.7.1 greylisted, see {url}");
    assert_eq!(busy["count"], 2);
    for reply in [gone, busy] {
        assert!(!reply["help"].as_str().unwrap().is_empty(), "{reply}");
        assert!(
            reply["first"].is_string() && reply["example"].is_string(),
            "{reply}"
        );
    }
    let hard = &told["suppressed"][0];
    assert_eq!(
        (&hard["reason"], &hard["scope"], &hard["listed"]),
        (&json!("hard"), &json!("global"), &json!(3))
    );
    assert_eq!(hard["refused"], 0, "{hard}");
    mta.refused("gone-0@a.example").await;
    let told = report(&mta).await;
    assert_eq!(told["suppressed"][0]["refused"], 1, "{told}");

    // An hour later all this is in the window before, and not in this one.
    net.clock.advance(61 * MINUTE);
    let told = mta.get("/api/v1/replies?since=1h").await;
    let patterns = told.as_array().unwrap();
    assert!(
        patterns
            .iter()
            .all(|r| r["pattern"] != "550 5.1.1 no such user"),
        "{patterns:?}"
    );
    net.check(&mta).await;
}

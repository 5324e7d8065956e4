//! What is held where mail goes wrong, and what goes on.

use crate::internet::{Internet, Mx};
use crate::journal::Event;
use crate::mta::Mta;
use serde_json::{Value, json};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Deliveries as fast as tests are, without waiting for the disk.
const KEYS: &str =
    "[spool]\nsync = false\n[[tenant]]\nname = \"acme\"\ndomains = [\"shop.test\"]\n";

const BAD: &str = "X-Mailwright-Tenant: acme\r\nX-Mailwright-Campaign: bad\r\n";
const GOOD: &str = "X-Mailwright-Tenant: acme\r\nX-Mailwright-Campaign: good\r\n";
const RECEIPTS: &str = "X-Mailwright-Tenant: acme\r\nX-Mailwright-Campaign: bad\r\nX-Mailwright-Stream: transactional\r\n";

/// `a.example`, where nobody is called `gone`.
async fn site(net: &Internet) -> Mx {
    net.mx("a.example")
        .on("RCPT", "gone*@* 550 5.1.1 no such user")
        .start()
        .await
}

async fn hand_in(mta: &Mta, fields: &str, name: &str, count: usize) {
    let to: Vec<String> = (0..count)
        .map(|n| format!("{name}-{n}@a.example"))
        .collect();
    mta.inject_all(fields, &to).await;
}

fn held(entry: &Value) -> bool {
    entry["waits"]["held_by"] == "reputation"
}

/// A campaign of which one in five bounces, ten messages a minute, until it is held; the minutes that took.
async fn until_held(net: &Internet, mta: &Mta) -> u32 {
    for minute in 1..=30 {
        hand_in(mta, BAD, &format!("gone{minute}"), 2).await;
        hand_in(mta, BAD, "ann", 8).await;
        hand_in(mta, GOOD, "ann", 10).await;
        let waiting = mta.at_rest().await;
        if waiting.iter().any(held) {
            return minute;
        }
        net.clock.advance(MINUTE);
    }
    panic!("nothing was held");
}

#[tokio::test]
async fn a_bad_campaign_is_held_within_a_quarter_of_an_hour_and_all_else_goes_on() {
    let net = Internet::new().await;
    let mx = site(&net).await;
    let mta = net.mta(KEYS).await;
    let minutes = until_held(&net, &mta).await;
    assert!(minutes <= 15, "{minutes}");
    let is_hold = |e: &Event| e.kind() == "reputation" && e.text("reason") == "hold";
    let told = mta.journal.nth(1, "hold", is_hold).await;
    assert_eq!(told.text("slice"), "campaign/acme/bad");
    assert!(told.text("why").contains("bounces"), "{told:?}");

    let before = mx.totals().messages;
    hand_in(&mta, RECEIPTS, "ann", 5).await;
    hand_in(&mta, GOOD, "ann", 5).await;
    mx.came(before + 10).await;

    // Whoever asks is told what holds it, by which key, and what to do.
    let waiting = mta.all_held_by("reputation").await;
    assert!(waiting.iter().all(|entry| entry["campaign"] == "bad"));
    let id = waiting[0]["id"].as_str().unwrap();
    let shown = mta.get(&format!("/api/v1/queue/{id}")).await;
    let text = shown.to_string();
    for said in [
        "reputation.bounce.act",
        "mailwright reputation release campaign/acme/bad",
    ] {
        assert!(text.contains(said), "{said} is not in {text}");
    }

    // A person lets it go.
    let order = json!({ "slice": "campaign/acme/bad", "why": "ann: cleaned" });
    let (status, answer) = mta
        .request("POST", "/api/v1/reputation/release", &order)
        .await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("campaign/acme/bad"), "{answer}");
    mta.empty().await;
    net.check(&mta).await;
}

#[tokio::test]
async fn a_hold_outlives_a_restart_and_ends_by_itself() {
    let net = Internet::new().await;
    let mx = site(&net).await;
    let mta = net.mta(KEYS).await;
    until_held(&net, &mta).await;
    let before = mx.totals().messages;
    let mta = mta.restart().await;
    mta.all_held_by("reputation").await;
    let report = mta.get("/api/v1/reputation?by=campaign&since=1h").await;
    let row = report["slices"].as_array().unwrap().first().unwrap();
    assert_eq!(row["slice"], "campaign/acme/bad");
    assert!(row["counts"]["hard"].as_u64().unwrap() >= 4, "{row}");
    assert_eq!(row["hold"]["times"], 1);
    assert_eq!(mx.totals().messages, before);

    net.clock.advance(4 * 60 * MINUTE);
    mta.empty().await;
    net.check(&mta).await;
}

#[tokio::test]
async fn what_the_report_is_asked_for_wrongly_is_told() {
    let net = Internet::new().await;
    let mta = net.mta(KEYS).await;
    for (query, said) in [
        ("by=planet", "write one of source, pool"),
        ("since=2y", "write one of 15m, 1h"),
    ] {
        let path = format!("/api/v1/reputation?{query}");
        let (status, answer) = mta.request("GET", &path, &Value::Null).await;
        assert!((400..500).contains(&status), "{status}");
        assert!(answer.contains(said), "{answer}");
    }
    let order = json!({ "slice": "nonsense" });
    let (status, answer) = mta
        .request("POST", "/api/v1/reputation/release", &order)
        .await;
    assert!((400..500).contains(&status), "{status}");
    assert!(answer.contains("campaign/acme/spring"), "{answer}");
    net.check(&mta).await;
}

/// Three of a hundred bounce: more than 2 %, and not more than 5 %.
async fn watched(mta: &Mta, round: usize) {
    hand_in(mta, BAD, &format!("gone{round}"), 15).await;
    hand_in(mta, BAD, &format!("ann{round}"), 385).await;
    mta.at_rest().await;
    // What has left the queue counts a moment later, and in the minute that it is then.
    let outcomes = 400 * round;
    mta.journal
        .nth(outcomes, "outcome", Event::is_terminal)
        .await;
}

#[tokio::test]
async fn a_campaign_that_goes_wrong_is_slowed_until_it_has_recovered() {
    let net = Internet::new().await;
    let mx = site(&net).await;
    let mta = net.mta(KEYS).await;
    watched(&mta, 1).await;
    watched(&mta, 2).await;
    let is_slow = |e: &Event| e.kind() == "reputation" && e.text("reason") == "slow";
    net.clock.advance(MINUTE);
    let told = mta.journal.nth(1, "slow", is_slow).await;
    assert_eq!(told.text("slice"), "campaign/acme/bad");
    let why = told.text("why");
    assert!(
        why.contains("30 of 800") && why.contains("slowed to 50 %"),
        "{why}"
    );

    // One goes, and the others keep their distance; the mail of others does not.
    let before = mx.totals().messages;
    hand_in(&mta, BAD, "bob", 3).await;
    hand_in(&mta, GOOD, "bob", 5).await;
    hand_in(&mta, RECEIPTS, "bob", 5).await;
    mx.came(before + 11).await;
    let waiting = mta.all_held_by("slowed").await;
    assert_eq!(waiting.len(), 2, "{waiting:#?}");
    let id = waiting[0]["id"].as_str().unwrap();
    let shown = mta.get(&format!("/api/v1/queue/{id}")).await.to_string();
    for said in [
        "reputation.slow",
        "reputation release campaign/acme/bad",
        "slowed to 50 % of its pace",
    ] {
        assert!(shown.contains(said), "{said} is not in {shown}");
    }
    let report = mta.get("/api/v1/reputation?by=campaign&since=1h").await;
    assert_eq!(
        report["slices"][0]["slow"]["slice"], "campaign/acme/bad",
        "{report}"
    );

    // In time all go; then it has its pace back.
    while !mta.at_rest().await.is_empty() {
        net.clock.advance(Duration::from_secs(1));
    }
    net.clock.advance(15 * MINUTE);
    let is_ease = |e: &Event| e.kind() == "reputation" && e.text("reason") == "ease";
    let told = mta.journal.nth(1, "ease", is_ease).await;
    assert!(told.text("why").contains("since it is slowed"), "{told:?}");
    let before = mx.totals().messages;
    hand_in(&mta, BAD, "cat", 20).await;
    mx.came(before + 20).await;
    mta.empty().await;
    net.check(&mta).await;
}

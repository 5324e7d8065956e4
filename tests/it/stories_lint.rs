//! What providers ask of mail, told where it is handed in, over HTTP and on the command line.

use crate::internet::Internet;
use crate::talk::Talk;
use mailwright::auth::dkim::{Algorithm, generate};
use serde_json::{Value, json};

const LINT: &str = "[lint]\nat_submission = \"block\"\nrules = { L14 = \"block\" }\n";

/// Mail to a list, without what Gmail asks of it.
const NEWS: &str = "From: News <news@shop.test>\r\nTo: ann@example.net\r\nSubject: spring\r\n\r\n\
                    Unsubscribe: https://shop.test/u/1\r\nShop, Gartenweg 5, 10115 Berlin\r\n";
const FIELDS: &str = "List-Unsubscribe: <https://shop.test/u/1>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n";

/// Keys that sign for the shop.
fn signing(net: &Internet) -> String {
    let key = net.path("shop.pem");
    generate(Algorithm::Ed25519, &key).expect("a key");
    let key = key.display();
    format!("{LINT}[[dkim]]\ndomain = \"shop.test\"\nselector = \"s1\"\nkey = \"{key}\"\n")
}

#[tokio::test]
async fn news_that_cannot_be_left_with_one_click_is_refused_and_taken_when_it_can() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let mta = net.mta(&signing(&net)).await;
    let mut talk = Talk::open(mta.smtp).await;
    let refused = talk
        .submit("news@shop.test", &["ann@example.net"], NEWS)
        .await;
    assert!(
        refused.starts_with("550 5.7.1 lint: L14 unsubscribe-missing: there is no List-Unsubscribe; set [unsubscribe] url"),
        "{refused}"
    );
    let event = mta
        .journal
        .nth(1, "a refusal", |event| event.kind() == "rejected")
        .await;
    assert!(event.0["reply"]["text"].as_str().unwrap().contains("L14"));

    mta.inject_text(
        "news@shop.test",
        &["ann@example.net"],
        &format!("{FIELDS}{NEWS}"),
    )
    .await;
    assert_eq!(mta.outcome("ann@example.net").await.kind(), "delivered");
    let accepted = mta.journal.first("accepted", "ann@example.net").await;
    assert!(accepted.0.get("why").is_none(), "{accepted:?}");
    assert_eq!(mx.totals().messages, 1);
    net.check(&mta).await;
}

#[tokio::test]
async fn what_only_warns_is_in_the_message_and_in_the_event_and_a_reload_ends_it() {
    let net = Internet::new().await;
    let _mx = net.mx("example.net").start().await;
    let mta = net.mta("[lint]\nat_submission = \"warn\"\n").await;
    mta.inject_text("news@shop.test", &["ann@example.net"], NEWS)
        .await;
    mta.outcome("ann@example.net").await;
    let accepted = mta.journal.first("accepted", "ann@example.net").await;
    let told = "L06 dkim-missing, L14 unsubscribe-missing";
    assert_eq!(accepted.text("why"), format!("lint: {told}"));
    let sent = net.messages();
    assert_eq!(sent[0].header("X-Mailwright-Lint").as_deref(), Some(told));

    assert_eq!(mta.reload("").await.0, 200);
    mta.inject_text("news@shop.test", &["bob@example.net"], NEWS)
        .await;
    mta.outcome("bob@example.net").await;
    let accepted = mta.journal.first("accepted", "bob@example.net").await;
    assert!(accepted.0.get("why").is_none(), "{accepted:?}");
    net.check(&mta).await;
}

#[tokio::test]
async fn a_platform_asks_before_it_sends() {
    let net = Internet::new().await;
    let mta = net.mta(&signing(&net)).await;
    let suppress = json!({ "entries": [{ "address": "gone@example.net" }], "by": "ops" });
    mta.request("POST", "/api/v1/suppressions/add", &suppress)
        .await;
    let ask = async |query: &str, message: &str| -> (u16, Value) {
        let path = format!("/api/v1/lint?{query}");
        let (status, body) = mta.request("POST", &path, &message.into()).await;
        (status, serde_json::from_str(&body).expect("JSON"))
    };
    let rules = |linted: &Value| -> Vec<String> {
        let found = linted["findings"].as_array().unwrap().iter();
        found
            .map(|finding| {
                format!(
                    "{} {}",
                    finding["level"].as_str().unwrap(),
                    finding["rule"].as_str().unwrap()
                )
            })
            .collect()
    };
    let (status, linted) = ask("to=gone@example.net&from=news@shop.test", NEWS).await;
    assert_eq!((status, &linted["blocked"]), (200, &true.into()));
    let found = rules(&linted);
    for rule in [
        "block unsubscribe-missing",
        "block suppressed",
        "fix date-missing",
        "info untraced",
    ] {
        assert!(found.contains(&rule.to_owned()), "{rule}: {found:?}");
    }
    // A key signs for the shop, and nobody's for the rest.
    assert!(!found.iter().any(|rule| rule.contains("dkim")), "{found:?}");
    let (_, linted) = ask("", &NEWS.replace("shop.test", "rest.test")).await;
    assert!(rules(&linted).contains(&"warn dkim-missing".to_owned()));
    let (_, linted) = ask("stream=transactional", NEWS).await;
    assert_eq!(linted["blocked"], false);

    for (query, message, status) in [
        ("stream=bulk", NEWS, 400),
        ("colour=red", NEWS, 400),
        ("", "", 400),
        ("to=nobody", NEWS, 400),
    ] {
        let (found, answer) = ask(query, message).await;
        assert_eq!(found, status, "{query}: {answer}");
        assert!(answer["error"].is_string());
    }
    // Larger than orders may be.
    let (status, _) = ask(
        "",
        &format!("{NEWS}{}", "0123456789abcdef\r\n".repeat(10_000)),
    )
    .await;
    assert_eq!(status, 200);
    net.check(&mta).await;
}

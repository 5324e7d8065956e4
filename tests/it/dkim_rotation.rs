//! A DKIM key is changed while mail flows.

use crate::internet::{Internet, Mx};
use crate::journal::Event;
use crate::mta::Mta;
use crate::zone::{Given, command, load};
use mailwright::auth::dkim::{Algorithm, generate};
use mailwright::cli::Exit;
use mailwright::peers::dns::Fault;
use mailwright::units::Timestamp;
use serde_json::Value;

async fn rotate(mta: &Mta, more: &[&str]) -> Given {
    let args = ["dkim", "rotate", "--domain", "shop.test"];
    command(&mta.file(), &[&args[..], more].concat()).await
}

/// Selector, state and what DNS has, of each key.
async fn status(mta: &Mta) -> Vec<(String, String, String)> {
    let shown = command(&mta.file(), &["dkim", "status", "--format", "json"]).await;
    let rows = shown.out.lines().map(|line| {
        let row: Value = serde_json::from_str(line).expect("JSON");
        let text = |key: &str| row[key].as_str().expect(key).to_owned();
        (text("selector"), text("state"), text("dns"))
    });
    rows.collect()
}

/// The selectors that the next message is signed with.
async fn signed_by(mta: &Mta, mx: &Mx, recipient: &str) -> Vec<String> {
    mta.inject("s@shop.test", &[recipient]).await;
    mta.journal.first("delivered", recipient).await;
    let messages = mx.messages();
    let message = messages
        .iter()
        .find(|m| m.recipients.iter().any(|r| **r == *recipient));
    let signature = message
        .expect("it came")
        .header("DKIM-Signature")
        .expect("a signature");
    let tags = signature.split(';').map(|tag| tag.trim().to_owned());
    tags.filter_map(|tag| Some(tag.strip_prefix("s=")?.to_owned()))
        .collect()
}

fn came_to(selector: &'static str, state: &'static str) -> impl Fn(&Event) -> bool {
    move |e| e.kind() == "dkim" && e.text("selector") == selector && e.text("reason") == state
}

/// As if everything in the book had been so for years.
fn let_years_pass(mta: &Mta) {
    let book = mta.dir.join("data/keys/dkim/rotation.json");
    let text = std::fs::read_to_string(&book).expect("a book");
    let mut keys: Value = serde_json::from_str(&text).expect("JSON");
    for key in keys["keys"].as_array_mut().expect("a list") {
        key["since"] = "2020-01-01T00:00:00.000Z".into();
    }
    std::fs::write(&book, keys.to_string()).expect("a file");
}

#[tokio::test]
async fn a_key_is_changed_without_a_message_that_cannot_be_verified() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let key = net.path("s1.pem");
    generate(Algorithm::Rsa2048, &key).expect("a key");
    let mta = net
        .mta(&format!(
            "[[dkim]]\ndomain = \"shop.test\"\nselector = \"s1\"\nkey = \"{}\"\n",
            key.display()
        ))
        .await;
    assert_eq!(signed_by(&mta, &mx, "a@example.net").await, ["s1"]);
    assert_eq!(
        rotate(&mta, &["--continue"]).await.exit,
        Exit::Data,
        "none is under way"
    );

    let begun = rotate(&mta, &[]).await;
    assert_eq!(begun.exit, Exit::Ok);
    mta.journal
        .nth(1, "s2 published", came_to("s2", "published"))
        .await;

    // Not published, then nobody knows: it does not sign.
    assert_eq!(rotate(&mta, &[]).await.exit, Exit::Data);
    net.dns.fail("s2._domainkey.shop.test", Fault::ServFail);
    assert_eq!(rotate(&mta, &[]).await.exit, Exit::TemporaryFailure);
    net.dns.heal("s2._domainkey.shop.test");
    assert_eq!(signed_by(&mta, &mx, "b@example.net").await, ["s1"]);

    load(&net.dns, &begun.out);
    assert_eq!(rotate(&mta, &["--continue"]).await.exit, Exit::Ok);
    mta.journal
        .nth(1, "s2 active", came_to("s2", "active"))
        .await;
    mta.journal
        .nth(1, "s1 retiring", came_to("s1", "retiring"))
        .await;
    assert_eq!(signed_by(&mta, &mx, "c@example.net").await, ["s2"]);
    let shown = status(&mta).await;
    assert_eq!(
        (&*shown[0].0, &*shown[0].1, &*shown[0].2),
        ("s1", "retiring", "the key is not published")
    );
    assert_eq!(
        (&*shown[1].0, &*shown[1].1, &*shown[1].2),
        ("s2", "active", "the published key is ours")
    );

    // Mail is on its way.
    assert_eq!(rotate(&mta, &[]).await.exit, Exit::TemporaryFailure);
    let_years_pass(&mta);
    let removed = rotate(&mta, &[]).await;
    assert_eq!(removed.exit, Exit::Ok);
    assert!(
        removed.out.contains("take its record out of DNS"),
        "{}",
        removed.out
    );
    assert!(removed.out.contains("[[dkim]] entry"));
    mta.journal
        .nth(1, "s1 removed", came_to("s1", "removed"))
        .await;
    assert_eq!(signed_by(&mta, &mx, "d@example.net").await, ["s2"]);
    net.check(&mta).await;
}

#[tokio::test]
async fn mail_in_the_queue_keeps_the_record_of_its_key() {
    // Before the day on which the old key retired.
    let net = Internet::new_at(Timestamp::from_millis(1_000_000_000_000)).await;
    net.dead("example.net");
    let key = net.path("s1.pem");
    generate(Algorithm::Ed25519, &key).expect("a key");
    let mta = net
        .mta(&format!(
            "[[dkim]]\ndomain = \"shop.test\"\nselector = \"s1\"\nkey = \"{}\"\n",
            key.display()
        ))
        .await;
    let begun = rotate(&mta, &[]).await;
    load(&net.dns, &begun.out);
    assert_eq!(rotate(&mta, &[]).await.exit, Exit::Ok);
    let_years_pass(&mta);
    mta.inject("s@shop.test", &["a@example.net"]).await;
    assert_eq!(rotate(&mta, &[]).await.exit, Exit::TemporaryFailure);
    mta.deferral("a@example.net").await;
    net.check(&mta).await;
}

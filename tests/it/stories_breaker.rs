//! The circuit breaker between a source and a site: what is told of it, and who is let through.

use crate::internet::Internet;
use crate::journal::Event;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const KEYS: &str =
    "[delivery]\nsite_backoff = \"1m\"\n[retry]\nfirst = \"30s\"\nfactor = 1.0\njitter = 0.0\n";

fn is_breaker(event: &Event) -> bool {
    event.kind() == "breaker" && event.0.get("failures").is_some()
}

#[tokio::test]
async fn a_site_that_refuses_is_left_alone_probed_by_one_and_taken_again() {
    let net = Internet::new().await;
    let mx = net
        .mx("a.example")
        .on("CONNECT", "* 421 4.3.2 closed for today")
        .start()
        .await;
    let mta = net.mta(KEYS).await;
    mta.inject_as("", "ann@a.example").await;
    mta.deferral("ann@a.example").await;
    let opened = mta.journal.nth(1, "breaker", is_breaker).await;
    assert_eq!(
        (opened.text("state"), opened.text("site")),
        ("open", "mx.a.example")
    );
    assert_eq!(opened.0["failures"], 1);
    assert_eq!(opened.until(), net.clock.now() + MINUTE);
    assert!(
        opened.0["reply"].to_string().contains("closed for today"),
        "{opened:?}"
    );
    let connections = mx.totals().connections;

    // While it is open nobody knocks, however much comes.
    let many: Vec<String> = (0..20).map(|n| format!("bob-{n}@a.example")).collect();
    mta.inject_all("", &many).await;
    mta.at_rest().await;
    net.clock.advance(MINUTE / 2);
    mta.at_rest().await;
    assert_eq!(mx.totals().connections, connections);

    // When its time has come one finds out for all.
    net.clock.advance(MINUTE / 2);
    let again = mta.journal.nth(3, "breaker", is_breaker).await;
    assert_eq!(
        (again.text("state"), &again.0["failures"]),
        ("open", &2.into())
    );
    assert!(again.text("why").contains("left alone for 2m"), "{again:?}");
    assert_eq!(mx.totals().connections, connections + 1);

    mx.behave();
    net.clock.advance(2 * MINUTE);
    mx.came(21).await;
    let closed = mta.journal.nth(5, "breaker", is_breaker).await;
    assert_eq!(closed.text("state"), "closed");
    let events = mta.journal.events();
    let states: Vec<&str> = events
        .iter()
        .filter(|e| is_breaker(e))
        .map(|e| e.text("state"))
        .collect();
    assert_eq!(states, ["open", "half-open", "open", "half-open", "closed"]);
    mta.empty().await;
    net.check(&mta).await;
}

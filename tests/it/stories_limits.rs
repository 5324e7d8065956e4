//! Rates, counts and octets as the hosts on the other side see them, while the story moves the clock.

use crate::internet::{Internet, Mx};
use crate::mta::Mta;
use serde_json::Value;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const NO_SYNC: &str = "[spool]\nsync = false\n";
const ACME: &str = "X-Mailwright-Tenant: acme\r\nX-Mailwright-Campaign: spring\r\n";

/// `count` recipients at `domain`.
fn people(name: &str, count: usize, domain: &str) -> Vec<String> {
    (0..count).map(|n| format!("{name}-{n}@{domain}")).collect()
}

/// A host that is the whole of two sites: `a.example` at `mx.a.example`, `b.example` at `mx.b.example`.
async fn two_sites(net: &Internet) -> Mx {
    let mx = net.mx("a.example").start().await;
    also(net, &mx, "b.example");
    mx
}

/// One more site that `mx` is the host of.
fn also(net: &Internet, mx: &Mx, domain: &str) {
    let host = format!("mx.{domain}");
    net.dns.add(&host, mx.address.into());
    let record = mailwright::peers::dns::Record::mx(10, host);
    net.dns.add(domain, record);
}

/// A limit on messages, and what is told of it.
struct Limited<'a> {
    keys: &'a str,
    /// Domains that it counts together.
    domains: &'a [&'a str],
    on: Value,
    key: &'a str,
}

/// What is limited to one message a minute sends one a minute, and says so of all that waits.
async fn one_a_minute(limited: Limited<'_>) {
    let net = Internet::new().await;
    let mx = two_sites(&net).await;
    let source = net.source("ip-a").with("");
    let keys = format!("{NO_SYNC}{}{source}", limited.keys);
    let mta = net.mta(&keys).await;
    let (minutes, mut to) = (30, Vec::new());
    for n in 0..minutes + 10 {
        let domain = limited.domains[n % limited.domains.len()];
        to.push(format!("{n}@{domain}"));
    }
    mta.inject_all(ACME, &to).await;
    for minute in 0..minutes {
        let waiting = mta.all_held_by("limit").await;
        assert_eq!(
            mx.totals().messages,
            minute as u64 + 1,
            "in minute {minute}"
        );
        for entry in &waiting {
            tells(entry, &limited, &net);
        }
        net.clock.advance(MINUTE);
    }
    let (status, body) = mta.reload(&format!("{NO_SYNC}{source}")).await;
    assert_eq!(status, 200, "{body}");
    mta.empty().await;
    net.check(&mta).await;
}

fn tells(entry: &Value, limited: &Limited<'_>, net: &Internet) {
    let waits = &entry["waits"];
    assert_eq!(waits["of"], limited.on, "{waits}");
    assert_eq!(waits["kind"], "messages", "{waits}");
    assert_eq!(waits["limit"], "1/min", "{waits}");
    assert_eq!(waits["used"], 1, "{waits}");
    assert_eq!(waits["key"], limited.key, "{waits}");
    let until = (net.clock.now() + MINUTE).to_string();
    assert_eq!(waits["until"], until, "{waits}");
}

#[tokio::test]
async fn a_tenant_sends_one_a_minute() {
    one_a_minute(Limited {
        keys: "[limits.tenant]\nmessages = \"1/min\"\n",
        domains: &["a.example", "b.example"],
        on: serde_json::json!({ "on": "tenant", "tenant": "acme" }),
        key: "limits.tenant.messages",
    })
    .await;
}

#[tokio::test]
async fn a_campaign_sends_one_a_minute() {
    one_a_minute(Limited {
        keys: "[[tenant]]\nname = \"acme\"\ndomains = [\"shop.test\"]\ncampaign_limits = { messages = \"1/min\" }\n",
        domains: &["a.example", "b.example"],
        on: serde_json::json!({ "on": "campaign", "tenant": "acme", "campaign": "spring" }),
        key: "tenant[0].campaign_limits.messages",
    })
    .await;
}

#[tokio::test]
async fn a_source_sends_one_a_minute() {
    one_a_minute(Limited {
        keys: "[limits.source]\nmessages = \"1/min\"\n",
        domains: &["a.example", "b.example"],
        on: serde_json::json!({ "on": "source", "source": "ip-a" }),
        key: "limits.source.messages",
    })
    .await;
}

#[tokio::test]
async fn a_source_sends_a_site_one_a_minute() {
    one_a_minute(Limited {
        keys: "[limits.site]\nmessages = \"1/min\"\n",
        domains: &["a.example"],
        on: serde_json::json!({ "on": "site", "source": "ip-a", "site": "mx.a.example" }),
        key: "limits.site.messages",
    })
    .await;
}

#[tokio::test]
async fn a_source_sends_all_sites_of_a_provider_one_a_minute() {
    one_a_minute(Limited {
        keys: "[[provider]]\nname = \"examples\"\nmx = [\".example\"]\nlimits = { messages = \"1/min\" }\n",
        domains: &["a.example", "b.example"],
        on: serde_json::json!({ "on": "provider", "source": "ip-a", "provider": "examples" }),
        key: "provider.examples.limits.messages",
    })
    .await;
}

#[tokio::test]
async fn sites_that_nobody_recognises_are_no_provider_with_one_limit() {
    let net = Internet::new().await;
    let mx = two_sites(&net).await;
    let mta = net.mta("[limits.provider]\nmessages = \"1/min\"\n").await;
    for to in ["ann@a.example", "bob@b.example", "cat@a.example"] {
        mta.inject_as(ACME, to).await;
    }
    mta.empty().await;
    assert_eq!(mx.totals().messages, 3);
    net.check(&mta).await;
}

#[tokio::test]
async fn the_limit_of_one_tenant_holds_no_other_back() {
    let net = Internet::new().await;
    let mx = two_sites(&net).await;
    let tenant = |name: &str, keys: &str| {
        format!("[[tenant]]\nname = \"{name}\"\ndomains = [\"shop.test\"]\n{keys}\n")
    };
    let keys = format!(
        "{NO_SYNC}[delivery]\ninitial_connections_per_site = 1\nmax_connections_per_site = 1\n{}{}",
        tenant("acme", "limits = { messages = \"1/min\" }"),
        tenant("brand", "")
    );
    let mta = net.mta(&keys).await;
    mta.inject_all(ACME, &people("acme", 20, "a.example")).await;
    for minute in 1..=3 {
        let to = people(&format!("brand{minute}"), 20, "a.example");
        mta.inject_all("X-Mailwright-Tenant: brand\r\n", &to).await;
        let waiting = mta.all_held_by("limit").await;
        assert!(waiting.iter().all(|entry| entry["tenant"] == "acme"));
        assert_eq!(waiting[0]["waits"]["key"], "tenant[0].limits.messages");
        assert_eq!(mx.totals().messages, 21 * minute);
        net.clock.advance(MINUTE);
    }
    net.check(&mta).await;
}

#[tokio::test]
async fn ten_a_second_are_ten_a_second_for_minutes() {
    let net = Internet::new().await;
    let mx = two_sites(&net).await;
    let mta = net
        .mta(&format!("{NO_SYNC}[limits.tenant]\nmessages = \"10/s\"\n"))
        .await;
    mta.inject_all(ACME, &people("a", 910, "a.example")).await;
    mta.inject_all(ACME, &people("b", 910, "b.example")).await;
    let (step, a_second) = (Duration::from_millis(200), 5);
    for tick in 0..180 * a_second {
        // Of a burst there may be one more, and what is missing in it comes with the next.
        mx.came((2 * tick).max(1)).await;
        let came = mx.totals().messages;
        assert!(came <= 2 * tick + 2, "{came} by tick {tick}");
        net.clock.advance(step);
    }
    net.check(&mta).await;
}

#[tokio::test]
async fn all_rates_of_a_list_hold() {
    let net = Internet::new().await;
    let mx = two_sites(&net).await;
    let keys = format!("{NO_SYNC}[limits.tenant]\nmessages = [\"2/s\", \"20/min\", \"30000/d\"]\n");
    let mta = net.mta(&keys).await;
    mta.inject_all(ACME, &people("a", 110, "a.example")).await;
    for second in 0..300_u64 {
        let waiting = mta.all_held_by("limit").await;
        // Once in 3 seconds, by the one rate that is the slowest.
        assert_eq!(mx.totals().messages, second / 3 + 1, "second {second}");
        assert_eq!(waiting[0]["waits"]["limit"], "20/min");
        net.clock.advance(SECOND);
    }
    net.check(&mta).await;
}

#[tokio::test]
async fn octets_a_second_are_kept() {
    let net = Internet::new().await;
    let mx = two_sites(&net).await;
    let keys = format!("{NO_SYNC}[limits.tenant]\nbytes = \"2KiB/s\"\n");
    let mta = net.mta(&keys).await;
    let text = format!(
        "{ACME}From: <s@shop.test>\r\n\r\n{}",
        "0123456789abcd\r\n".repeat(600)
    );
    for to in people("a", 70, "a.example") {
        mta.inject_text("s@shop.test", &[&to], &text).await;
    }
    let message = text.len() as u64;
    let mut said = false;
    for second in 0..300_u64 {
        let waiting = mta.all_held_by("limit").await;
        let waits = &waiting[0]["waits"];
        assert_eq!(waits["kind"], "bytes");
        assert_eq!(waits["limit"], "2KiB/s");
        said |= waits["used"].as_u64().is_some_and(|used| used > 2048);
        let (octets, most) = (mx.totals().octets, 2048 * (second + 1));
        // The last message may be paid for later.
        assert!(octets <= most + message + 1024, "{octets} by {second}");
        net.clock.advance(SECOND);
    }
    assert!(said, "what is owed is told");
    let octets = mx.totals().octets;
    assert!(octets >= 2048 * 294, "{octets} in 300 seconds");
    net.check(&mta).await;
}

/// Three sites of one host, each with as much mail, and connections that wait for another script; ids of all of it.
async fn three_slow_sites(net: &Internet, keys: &str) -> (Mx, Mta, Vec<String>) {
    let slow = net.mx("a.example").on("DOT", "wait");
    let mx = slow.start().await;
    also(net, &mx, "b.example");
    also(net, &mx, "c.example");
    let mta = net.mta(&format!("{NO_SYNC}{keys}")).await;
    let mut ids = Vec::new();
    for domain in ["a.example", "b.example", "c.example"] {
        ids.extend(mta.inject_all(ACME, &people("p", 20, domain)).await);
    }
    (mx, mta, ids)
}

/// Moves the clock a second at a time until everything has gone.
async fn tick_until_empty(net: &Internet, mta: &Mta) {
    let mut ticks = 0;
    while !mta.queue().await.is_empty() {
        net.clock.advance(SECOND);
        ticks += 1;
        assert!(ticks < 10_000, "it does not go");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn no_more_connections_than_a_source_may_have() {
    let net = Internet::new().await;
    let source = net.source("ip-a").with("limits = { connections = 2 }");
    let keys = format!("[delivery]\nidle = \"1h\"\n{source}");
    let (mx, mta, ids) = three_slow_sites(&net, &keys).await;
    let has_no_seat = |entry: &Value| {
        let waits = &entry["waits"];
        waits["held_by"] == "limit" && waits["kind"] == "connections"
    };
    let last = ids.last().expect("the mail of three sites");
    let entry = mta.entry(last, has_no_seat).await;
    assert_eq!(entry["waits"]["used"], 2);
    assert_eq!(entry["waits"]["limit"], "2");
    assert_eq!(entry["waits"]["key"], "source[0].limits.connections");
    mx.behave().on("DOT", "after=20ms pass");
    tick_until_empty(&net, &mta).await;
    assert_eq!(mx.most_at_once(0), 2);
    assert_eq!(mx.totals().messages, 60);
    net.check(&mta).await;
}

#[tokio::test]
async fn no_more_messages_of_a_tenant_at_a_time_than_it_may_have() {
    let net = Internet::new().await;
    let mx = net.mx("a.example").on("DATA", "slow@* wait");
    let mx = mx.start().await;
    also(&net, &mx, "b.example");
    let mta = net.mta("[limits.tenant]\nconnections = 1\n").await;
    let id = mta.inject_as(ACME, "slow@a.example").await;
    mta.entry(&id, |e| e["state"] == "sending").await;
    let mut waiting = Vec::new();
    for to in ["ann@a.example", "bob@b.example"] {
        waiting.push(mta.inject_as(ACME, to).await);
    }
    let other = "X-Mailwright-Tenant: brand\r\n";
    mta.inject_as(other, "cat@b.example").await;
    mta.journal.first("delivered", "cat@b.example").await;
    for id in &waiting {
        let entry = mta.entry(id, |e| e["waits"]["held_by"] == "limit").await;
        let waits = &entry["waits"];
        assert_eq!(waits["kind"], "connections");
        assert_eq!(waits["used"], 1);
        assert_eq!(waits["key"], "limits.tenant.connections");
    }
    assert_eq!(mx.order(), ["cat"]);
    mx.behave();
    tick_until_empty(&net, &mta).await;
    assert_eq!(mx.order()[1], "slow");
    net.check(&mta).await;
}

#[tokio::test]
async fn what_one_limit_refuses_does_not_use_up_another() {
    let net = Internet::new().await;
    let mx = net.mx("a.example").on("DATA", "slow@* wait");
    let mx = mx.start().await;
    also(&net, &mx, "b.example");
    let source = net.source("ip-a").with("limits = { connections = 1 }");
    let keys = format!("[limits.site]\nconnection_rate = \"1/h\"\n{source}");
    let mta = net.mta(&keys).await;
    let id = mta.inject_as("", "slow@a.example").await;
    mta.entry(&id, |e| e["state"] == "sending").await;
    let id = mta.inject_as("", "ann@b.example").await;
    let no_seat = |e: &Value| e["waits"]["kind"] == "connections";
    mta.entry(&id, no_seat).await;
    mx.behave();
    tick_until_empty(&net, &mta).await;
    let waited = net.clock.now().since(crate::internet::START);
    assert!(
        waited < 60 * MINUTE,
        "{waited:?}: the hour's connection to b.example was lost"
    );
    net.check(&mta).await;
}

#[tokio::test]
async fn connections_are_opened_no_faster_than_configured() {
    let net = Internet::new().await;
    let mx = two_sites(&net).await;
    let keys = format!(
        "{NO_SYNC}[delivery]\nmax_messages_per_connection = 2\nidle = \"1h\"\n[limits.site]\nconnection_rate = \"1/min\"\n"
    );
    let mta = net.mta(&keys).await;
    mta.inject_all(ACME, &people("a", 50, "a.example")).await;
    for minute in 0..20_u64 {
        let waiting = mta.all_held_by("limit").await;
        let totals = mx.totals();
        assert_eq!(
            (totals.connections, totals.messages),
            (minute + 1, 2 * (minute + 1))
        );
        let waits = &waiting[0]["waits"];
        assert_eq!(waits["kind"], "connection_rate");
        assert_eq!(waits["limit"], "1/min");
        assert_eq!(waits["key"], "limits.site.connection_rate");
        net.clock.advance(MINUTE);
    }
    net.check(&mta).await;
}

/// A message that is sent in clear after a handshake that fails opens two connections: every other minute one goes.
#[tokio::test]
async fn connections_in_place_of_others_count_against_the_rate() {
    let net = Internet::new().await;
    let mx = net.mx("a.example").tls().on("STARTTLS", "close");
    let mx = mx.start().await;
    let keys = format!(
        "{NO_SYNC}[delivery]\nmax_messages_per_connection = 1\n[limits.site]\nconnection_rate = \"1/min\"\n"
    );
    let mta = net.mta(&keys).await;
    mta.inject_all(ACME, &people("a", 8, "a.example")).await;
    for message in 1..=5 {
        mta.all_held_by("limit").await;
        let totals = mx.totals();
        assert_eq!(
            (totals.connections, totals.messages),
            (2 * message, message)
        );
        net.clock.advance(MINUTE);
        mta.all_held_by("limit").await;
        assert_eq!(mx.totals().connections, 2 * message);
        net.clock.advance(MINUTE);
    }
    net.check(&mta).await;
}

#[tokio::test]
async fn a_new_quota_holds_at_once_for_what_waits_and_makes_no_burst() {
    let net = Internet::new().await;
    let mx = two_sites(&net).await;
    let quota = |rate: &str| format!("{NO_SYNC}[limits.tenant]\nmessages = \"{rate}\"\n");
    let mta = net.mta(&quota("1/h")).await;
    mta.inject_all(ACME, &people("a", 300, "a.example")).await;
    mta.all_held_by("limit").await;
    assert_eq!(mx.totals().messages, 1);
    net.clock.advance(30 * MINUTE);
    mta.all_held_by("limit").await;
    assert_eq!(mx.totals().messages, 1);

    // Half an hour of nothing is not made up for.
    assert_eq!(mta.reload(&quota("1/s")).await.0, 200);
    for second in 0..60 {
        mta.all("1/s", |e| e["waits"]["limit"] == "1/s").await;
        assert_eq!(mx.totals().messages, second + 2);
        net.clock.advance(SECOND);
    }
    assert_eq!(mta.reload(&quota("1/min")).await.0, 200);
    mta.all("1/min", |e| e["waits"]["limit"] == "1/min").await;
    let before = mx.totals().messages;
    assert!(before <= 62, "{before}");
    for minute in 1..=5 {
        net.clock.advance(MINUTE);
        mta.all_held_by("limit").await;
        assert_eq!(mx.totals().messages, before + minute);
    }
    net.check(&mta).await;
}

/// One message took one of the rate, however many transactions it became.
#[tokio::test]
async fn each_transaction_of_a_message_counts_against_the_rate() {
    let net = Internet::new().await;
    let mx = net.mx("a.example").start().await;
    let keys = "[delivery]\nmax_recipients = 1\n[limits.source]\nmessages = \"1/min\"\n";
    let mta = net.mta(keys).await;
    let to = people("p", 3, "a.example");
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    mta.inject("s@shop.test", &to).await;
    for count in 1..=3 {
        while mx.totals().messages < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if count < 3 {
            mta.all_held_by("limit").await;
        }
        assert_eq!(mx.totals().messages, count);
        net.clock.advance(Duration::from_secs(60));
    }
    mta.empty().await;
    net.check(&mta).await;
}

/// Mail of a source whose connections the host drops expired, though another source could deliver it.
#[tokio::test]
async fn mail_of_a_source_that_a_site_does_not_answer_goes_by_another() {
    let net = Internet::new().await;
    let (one, two) = (net.source("ip-a"), net.source("ip-b"));
    let closed = format!("{} close", one.address);
    let mx = net.mx("a.example").on("CONNECT", &closed).start().await;
    let mta = net.mta(&format!("{}{}", one.with(""), two.with(""))).await;
    let to = people("p", 20, "a.example");
    mta.inject_all("", &to).await;
    for _ in 0..120 {
        // What can go goes before the clock moves on, also where the machine is slow.
        let all = mx.until(|totals| totals.messages == 20);
        if tokio::time::timeout(Duration::from_millis(200), all)
            .await
            .is_ok()
        {
            break;
        }
        net.clock.advance(Duration::from_secs(30));
    }
    assert_eq!(mx.totals().messages, 20, "within the hour");
    mta.empty().await;
    net.check(&mta).await;
}

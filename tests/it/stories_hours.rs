//! At which hours mail goes: as its sender chose, in the windows of tenants and providers, also where clocks change.

use crate::internet::Internet;
use mailwright::units::Timestamp;
use serde_json::Value;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const URGENT: &str = "X-Mailwright-Stream: transactional\r\n";
const ACME: &str = "X-Mailwright-Tenant: acme\r\n";

fn at(text: &str) -> Timestamp {
    serde_json::from_value(Value::String(text.to_owned())).expect("an instant")
}

fn tenant(window: &str) -> String {
    format!("[[tenant]]\nname = \"acme\"\ndomains = [\"shop.test\"]\nsend_window = {window}\n")
}

#[tokio::test]
async fn mail_goes_when_its_sender_chose_and_not_before() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let mta = net.mta("").await;
    let send_at = "X-Mailwright-Send-At: 2026-11-23T09:00:00+01:00\r\n";
    let id = mta.inject_as(send_at, "ann@example.net").await;
    let entry = mta.entry(&id, |e| e["waits"]["held_by"] == "send_at").await;
    assert_eq!(entry["until"], "2026-11-23T08:00:00.000Z");
    net.advance_to(at("2026-11-23T07:59:59Z"));
    mta.inject_as("", "bob@example.net").await;
    mta.journal.first("delivered", "bob@example.net").await;
    assert_eq!(mx.order(), ["bob"]);
    let mta = mta.restart().await;
    net.clock.advance(Duration::from_secs(1));
    mta.journal.first("delivered", "ann@example.net").await;
    net.check(&mta).await;
}

#[tokio::test]
async fn mail_that_nobody_took_in_time_expires_then() {
    let net = Internet::new().await;
    let mx = net
        .mx("example.net")
        .on("RCPT", "451 4.3.0 not now")
        .start()
        .await;
    let mta = net.mta("").await;
    mta.inject_as("X-Mailwright-Expires: 2h\r\n", "ann@example.net")
        .await;
    let send_at = "X-Mailwright-Send-At: 2026-11-22T15:00:00Z\r\nX-Mailwright-Expires: 30m\r\n";
    mta.inject_as(send_at, "bob@example.net").await;
    let expired = |to: &'static str| {
        let events = mta.journal.events();
        events.iter().any(|e| e.is("expired", to))
    };
    mta.deferral("ann@example.net").await;
    net.advance_to(at("2026-11-22T13:59:59Z"));
    mta.journal
        .nth(2, "a retry", |e| e.is("deferred", "ann@example.net"))
        .await;
    assert!(!expired("ann@example.net"));
    net.advance_to(at("2026-11-22T14:00:00Z"));
    mta.journal.first("expired", "ann@example.net").await;
    net.advance_to(at("2026-11-22T15:00:00Z"));
    mta.deferral("bob@example.net").await;
    assert!(!expired("bob@example.net"));
    net.advance_to(at("2026-11-22T15:30:00Z"));
    mta.journal.first("expired", "bob@example.net").await;
    assert_eq!(mx.totals().messages, 0);
    net.check(&mta).await;
}

#[tokio::test]
async fn marketing_mail_of_a_tenant_goes_in_its_window_and_transactional_at_any_hour() {
    // A Sunday, noon in London.
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let mta = net
        .mta(&tenant("\"mon-fri 08:00-22:00 Europe/Berlin\""))
        .await;
    let id = mta.inject_as(ACME, "ann@example.net").await;
    let entry = mta
        .entry(&id, |e| e["waits"]["held_by"] == "send_window")
        .await;
    let waits = &entry["waits"];
    assert_eq!(waits["of"], "tenant acme");
    assert_eq!(waits["window"], "mon-fri 08:00-22:00 Europe/Berlin");
    assert_eq!(waits["key"], "tenant[0].send_window");
    assert_eq!(waits["until"], "2026-11-23T07:00:00.000Z");
    mta.inject_as(&format!("{ACME}{URGENT}"), "bob@example.net")
        .await;
    mta.inject_as("X-Mailwright-Tenant: brand\r\n", "cat@example.net")
        .await;
    mx.came(2).await;

    net.advance_to(at("2026-11-23T06:59:59Z"));
    mta.inject_as(URGENT, "dan@example.net").await;
    mx.came(3).await;
    assert_eq!(mx.totals().messages, 3);
    net.clock.advance(Duration::from_secs(1));
    mta.journal.first("delivered", "ann@example.net").await;

    // In the last second of the day's window, and in the first after it.
    net.advance_to(at("2026-11-23T20:59:59Z"));
    mta.inject_as(ACME, "eve@example.net").await;
    mta.journal.first("delivered", "eve@example.net").await;
    net.clock.advance(Duration::from_secs(1));
    let id = mta.inject_as(ACME, "fay@example.net").await;
    let entry = mta
        .entry(&id, |e| e["waits"]["held_by"] == "send_window")
        .await;
    assert_eq!(entry["waits"]["until"], "2026-11-24T07:00:00.000Z");
    net.check(&mta).await;
}

#[tokio::test]
async fn a_window_that_closes_keeps_what_is_in_line() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let keys = format!(
        "{}[limits.tenant]\nmessages = \"1/min\"\n",
        tenant("[\"sun 12:00-12:05 UTC\", \"sun 14:00-15:00 UTC\"]")
    );
    let mta = net.mta(&keys).await;
    let to: Vec<String> = (0..10).map(|n| format!("{n}@example.net")).collect();
    mta.inject_all(ACME, &to).await;
    for minute in 1..=5 {
        mta.all_held_by("limit").await;
        assert_eq!(mx.totals().messages, minute);
        net.clock.advance(MINUTE);
    }
    let waiting = mta.all_held_by("send_window").await;
    assert_eq!(waiting[0]["waits"]["until"], "2026-11-22T14:00:00.000Z");
    assert_eq!(mx.totals().messages, 5);
    net.advance_to(at("2026-11-22T13:59:59Z"));
    mta.all_held_by("send_window").await;
    net.advance_to(at("2026-11-22T14:00:00Z"));
    mx.came(6).await;
    for _ in 0..4 {
        mta.all_held_by("limit").await;
        net.clock.advance(MINUTE);
    }
    mta.empty().await;
    net.check(&mta).await;
}

#[tokio::test]
async fn a_window_keeps_its_hours_when_the_clocks_change() {
    for (start, opens) in [
        // The last Sunday in October: clocks go back in the night.
        (
            "2026-10-23T20:30:00Z",
            ["2026-10-24T06:00:00.000Z", "2026-10-25T07:00:00.000Z"],
        ),
        // The last Sunday in March: clocks go forward.
        (
            "2027-03-26T21:30:00Z",
            ["2027-03-27T07:00:00.000Z", "2027-03-28T06:00:00.000Z"],
        ),
    ] {
        let net = Internet::new_at(at(start)).await;
        let mx = net.mx("example.net").start().await;
        let mta = net.mta(&tenant("\"08:00-22:00 Europe/Berlin\"")).await;
        for (day, opens) in (1..).zip(opens) {
            let to = format!("day-{day}@example.net");
            let id = mta.inject_as(ACME, &to).await;
            let entry = mta
                .entry(&id, |e| e["waits"]["held_by"] == "send_window")
                .await;
            assert_eq!(entry["waits"]["until"], opens);
            net.advance_to(at(opens));
            mx.came(day).await;
            net.clock.advance(14 * HOUR);
        }
        net.check(&mta).await;
    }
}

#[tokio::test]
async fn the_window_of_a_provider_holds_marketing_mail_to_it_alone() {
    let net = Internet::new().await;
    let mx = net
        .host("mx.mine.test")
        .serves("m.example", 10)
        .start()
        .await;
    let other = net.mx("other.example").start().await;
    let mta = net
        .mta("[[provider]]\nname = \"mine\"\nmx = [\".mine.test\"]\nsend_window = \"14:00-15:00 UTC\"\n")
        .await;
    let id = mta.inject_as("", "ann@m.example").await;
    mta.inject_as("", "bob@other.example").await;
    mta.inject_as(URGENT, "cat@m.example").await;
    let entry = mta
        .entry(&id, |e| e["waits"]["held_by"] == "send_window")
        .await;
    let waits = &entry["waits"];
    assert_eq!(waits["of"], "provider mine");
    assert_eq!(waits["key"], "provider.mine.send_window");
    assert_eq!(waits["until"], "2026-11-22T14:00:00.000Z");
    other.came(1).await;
    mx.came(1).await;
    assert_eq!(mx.order(), ["cat"]);
    net.clock.advance(2 * HOUR);
    mx.came(2).await;
    mta.empty().await;
    net.check(&mta).await;
}

#[tokio::test]
async fn what_would_expire_before_the_window_opens_is_refused() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let mta = net
        .mta(&tenant("\"mon-fri 08:00-22:00 Europe/Berlin\""))
        .await;
    let soon = format!("{ACME}X-Mailwright-Expires: 4h\r\n");
    let reply = mta.refusal(&soon, "ann@example.net").await;
    assert!(reply.starts_with("550 5.4.7"), "{reply}");
    for said in [
        "2026-11-22T16:00:00.000Z",
        "tenant acme",
        "tenant[0].send_window",
        "2026-11-23T07:00:00.000Z",
    ] {
        assert!(reply.contains(said), "{reply}");
    }
    // One second after it opens is time enough, and transactional mail goes now.
    let later = format!("{ACME}X-Mailwright-Expires: 2026-11-23T07:00:01Z\r\n");
    mta.inject_as(&later, "bob@example.net").await;
    mta.inject_as(&format!("{soon}{URGENT}"), "cat@example.net")
        .await;
    mx.came(1).await;
    assert_eq!(mx.order(), ["cat"]);
    let rejected = mta
        .journal
        .nth(1, "rejected", |e| e.kind() == "rejected")
        .await;
    assert_eq!(rejected.code(), 550);
    net.advance_to(at("2026-11-23T07:00:00Z"));
    mx.came(2).await;
    net.check(&mta).await;
}

#[tokio::test]
async fn what_the_schedule_would_give_up_before_the_window_opens_is_refused_too() {
    let net = Internet::new().await;
    let _mx = net.mx("example.net").start().await;
    let window = tenant("\"sat 08:00-22:00 Europe/Berlin\"");
    let mta = net.mta(&window).await;
    // The schedule gives up after three days, and it is Sunday.
    let reply = mta.refusal(ACME, "ann@example.net").await;
    assert!(reply.starts_with("550 5.4.7"), "{reply}");
    assert!(reply.contains("2026-11-25T12:00:00.000Z"), "{reply}");
    assert_eq!(
        mta.reload(&format!("{window}[retry]\nexpire = \"7d\"\n"))
            .await
            .0,
        200
    );
    mta.inject_as(ACME, "ann@example.net").await;
    net.advance_to(at("2026-11-28T07:00:00Z"));
    mta.journal.first("delivered", "ann@example.net").await;
    net.check(&mta).await;
}

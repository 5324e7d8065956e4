//! Who goes first where many want to the same site, and how the pace of a site is found and remembered.

use crate::internet::{Internet, Mx};
use crate::mta::Mta;
use serde_json::Value;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// One connection at most; a reply with "hold the line" keeps all mail from the site for an hour, so that a story can
/// line it up in peace.
const ONE_CONNECTION: &str = r#"
[spool]
sync = false
[delivery]
initial_connections_per_site = 1
max_connections_per_site = 1
[[rule]]
reply = "^451 .*hold the line"
suspend = "1h"
matches = ["451 4.7.99 hold the line"]
spares = ["451 4.7.1 hold"]
"#;

/// `a.example`, whose line is held: its messages go an hour later.
async fn held_site(net: &Internet, mta: &Mta) -> Mx {
    let mx = net
        .mx("a.example")
        .on("RCPT", "first@* first=1 451 4.7.99 hold the line")
        .on("DOT", "after=5ms pass")
        .start()
        .await;
    mta.inject_as("", "first@a.example").await;
    mta.deferral("first@a.example").await;
    mx
}

/// Waits until everything waits for the end of the hour, but for the first, which waits for its next attempt.
async fn all_lined_up(mta: &Mta) {
    let lined_up = |entry: &Value| {
        let held_by = &entry["waits"]["held_by"];
        held_by == "suspended" || held_by == "retry"
    };
    mta.all("lined up", lined_up).await;
}

/// Hands in `count` messages of a tenant and campaign, all of them called `name`.
async fn campaign(mta: &Mta, (tenant, campaign): (&str, &str), name: &str, count: usize) {
    let fields = format!("X-Mailwright-Tenant: {tenant}\r\nX-Mailwright-Campaign: {campaign}\r\n");
    let to: Vec<String> = (0..count).map(|_| format!("{name}@a.example")).collect();
    mta.inject_all(&fields, &to).await;
}

/// How many of `order` are called `name`.
fn count(order: &[String], name: &str) -> usize {
    order.iter().filter(|other| *other == name).count()
}

#[tokio::test]
async fn a_large_campaign_starves_nobody_and_transactional_mail_overtakes_it() {
    let net = Internet::new().await;
    let mta = net.mta(ONE_CONNECTION).await;
    let mx = held_site(&net, &mta).await;
    campaign(&mta, ("acme", "large"), "large", 300).await;
    campaign(&mta, ("acme", "small"), "small", 20).await;
    campaign(&mta, ("brand", "other"), "other", 60).await;
    all_lined_up(&mta).await;
    net.clock.advance(HOUR);

    mx.came(40).await;
    let urgent = "X-Mailwright-Tenant: acme\r\nX-Mailwright-Stream: transactional\r\n";
    for _ in 0..3 {
        let before = mx.totals().messages as usize;
        mta.inject_as(urgent, "urgent@a.example").await;
        let accepted = mx.totals().messages as usize;
        mx.came(accepted as u64 + 3).await;
        let order = mx.order();
        let went = count(&order[before..accepted + 3], "urgent");
        assert_eq!(went, 1, "at once: {:?}", &order[before..]);
    }
    mta.empty().await;

    let order = mx.order();
    let turns: Vec<String> = order
        .iter()
        .filter(|n| *n != "urgent" && *n != "first")
        .cloned()
        .collect();
    // Two tenants take turns, and of one of them two campaigns.
    let shared = &turns[..76];
    assert!((36..=40).contains(&count(shared, "other")), "{shared:?}");
    assert!((18..=20).contains(&count(shared, "small")), "{shared:?}");
    let alone = &turns[turns.len() - 200..];
    assert_eq!(
        count(alone, "large"),
        200,
        "the rest has the line for itself"
    );
    net.check(&mta).await;
}

#[tokio::test]
async fn tenants_share_a_site_by_their_weights() {
    let net = Internet::new().await;
    let tenant = |name: &str, weight: u32| {
        format!("[[tenant]]\nname = \"{name}\"\nweight = {weight}\ndomains = [\"shop.test\"]\n")
    };
    let keys = |three: u32| {
        format!(
            "{ONE_CONNECTION}{}{}",
            tenant("one", 1),
            tenant("three", three)
        )
    };
    let mta = net.mta(&keys(3)).await;
    let mx = held_site(&net, &mta).await;
    campaign(&mta, ("one", "x"), "one", 200).await;
    campaign(&mta, ("three", "x"), "three", 200).await;
    all_lined_up(&mta).await;
    net.clock.advance(HOUR);
    mx.came(80).await;
    let order = mx.order();
    let share = count(&order[..80], "three");
    assert!((57..=63).contains(&share), "{share} of 80 at 3 to 1");

    // A reload takes effect on what is in line, of which little goes meanwhile.
    mx.behave().on("DOT", "wait");
    assert_eq!(mta.reload(&keys(1)).await.0, 200);
    let from = mx.totals().messages as usize + 5;
    mx.behave().on("DOT", "after=5ms pass");
    mx.came(from as u64 + 80).await;
    let share = count(&mx.order()[from..from + 80], "three");
    assert!((37..=43).contains(&share), "{share} of 80 at 1 to 1");
    mta.empty().await;
    net.check(&mta).await;
}

#[tokio::test]
async fn who_waits_for_a_turn_is_told_for_whom() {
    let net = Internet::new().await;
    let mta = net.mta(ONE_CONNECTION).await;
    let slow = net.mx("a.example").on("DATA", "slow@* wait");
    let mx = slow.start().await;
    let slow = mta.inject_as("", "slow@a.example").await;
    mta.entry(&slow, |e| e["state"] == "sending").await;
    campaign(&mta, ("acme", "large"), "large", 5).await;
    campaign(&mta, ("brand", "other"), "other", 1).await;
    let urgent = "X-Mailwright-Stream: transactional\r\n";
    mta.inject_as(urgent, "urgent@a.example").await;
    let id = mta
        .inject_as(
            "X-Mailwright-Tenant: acme\r\nX-Mailwright-Campaign: large\r\n",
            "last@a.example",
        )
        .await;
    let entry = mta.entry(&id, |e| e["waits"]["held_by"] == "turn").await;
    let waits = &entry["waits"];
    assert_eq!(waits["ahead"], 5, "{waits}");
    assert_eq!(waits["overtaking"], 1, "{waits}");
    assert_eq!(waits["campaigns"], 1, "{waits}");
    assert_eq!(waits["tenants"], 2, "{waits}");
    assert_eq!(waits["window"], 1, "{waits}");
    mx.behave();
    mta.empty().await;
    assert_eq!(mx.order()[1], "urgent");
    net.check(&mta).await;
}

/// Ten a second for a campaign to twenty sites and a small one to two, one of them the same. Gives how long the small one
/// took: `keys` limit both together, `large` and `small` are their header fields.
async fn small_beside_large(keys: &str, large: &str, small: &str) -> Duration {
    let net = Internet::new().await;
    let mx = net.mx("s0.example").start().await;
    let domains: Vec<String> = (0..21).map(|n| format!("s{n}.example")).collect();
    for domain in &domains[1..] {
        let host = format!("mx.{domain}");
        net.dns.add(&host, mx.address.into());
        let record = mailwright::peers::dns::Record::mx(10, host);
        net.dns.add(domain, record);
    }
    let mta = net.mta(&format!("[spool]\nsync = false\n{keys}")).await;
    let to = |name: &str, domains: &[&String], count: usize| -> Vec<String> {
        let domains = domains.iter().cycle().take(count);
        domains.map(|domain| format!("{name}@{domain}")).collect()
    };
    let twenty: Vec<&String> = domains[..20].iter().collect();
    mta.inject_all(large, &to("large", &twenty, 600)).await;
    // The large one has the limit for itself for a while.
    let (step, mut took) = (MINUTE / 1_200, Duration::ZERO);
    for _ in 0..100 {
        tick(&net, &mta, step).await;
    }
    let two = [&domains[0], &domains[20]];
    mta.inject_all(small, &to("small", &two, 40)).await;
    let before = mx.totals().messages;
    while count(&mx.order(), "small") < 40 {
        tick(&net, &mta, step).await;
        took += step;
    }
    let came = mx.totals().messages - before;
    let full = u64::try_from(took.as_millis() / 100).unwrap();
    let kept = full * 95 / 100..=full + 3;
    assert!(kept.contains(&came), "{came} in {took:?}");
    net.check(&mta).await;
    took
}

/// Moves the clock and waits until nothing can happen before it moves again.
async fn tick(net: &Internet, mta: &Mta, step: Duration) {
    net.clock.advance(step);
    let now = net.clock.now();
    let waits = |entry: &Value| {
        let waits = &entry["waits"];
        let until = serde_json::from_value::<mailwright::units::Timestamp>(waits["until"].clone());
        waits["held_by"] == "limit" && until.is_ok_and(|until| until > now)
    };
    mta.all("held by a limit", waits).await;
}

/// Turns at the limit were given to each lane that asked, so that it took 58 s.
#[tokio::test]
async fn a_large_campaign_to_many_sites_starves_no_other_tenant_at_a_limit_of_the_source() {
    let took = small_beside_large(
        "[limits.source]\nmessages = \"10/s\"\n",
        "X-Mailwright-Tenant: big\r\nX-Mailwright-Campaign: greedy\r\n",
        "X-Mailwright-Tenant: small\r\nX-Mailwright-Campaign: news\r\n",
    )
    .await;
    assert!(took <= MINUTE / 3, "{took:?}, where 8 s are fair");
}

#[tokio::test]
async fn a_large_campaign_to_many_sites_starves_no_other_of_its_tenant_at_the_tenants_limit() {
    let took = small_beside_large(
        "[limits.tenant]\nmessages = \"10/s\"\n",
        "X-Mailwright-Tenant: acme\r\nX-Mailwright-Campaign: greedy\r\n",
        "X-Mailwright-Tenant: acme\r\nX-Mailwright-Campaign: news\r\n",
    )
    .await;
    assert!(took <= MINUTE / 3, "{took:?}, where 8 s are fair");
}

/// Eight connections from the start, at a site that takes a while over each message.
const EIGHT: &str = r#"
[spool]
sync = false
[delivery]
initial_connections_per_site = 8
max_connections_per_site = 8
idle = "1h"
[retry]
first = "3h"
"#;
const SLOW_DOWN: &str = "*@* first=1 451 4.7.1 please try again slower";

/// The window that something in the queue waits for.
fn window(entries: &[Value]) -> Option<Value> {
    let waits = entries.iter().map(|entry| &entry["waits"]);
    let mut waits = waits.filter(|waits| waits["held_by"] == "site_window");
    waits.next().cloned()
}

/// Hands in messages and lets them all go at once.
async fn wave(net: &Internet, mta: &Mta, name: &str, messages: usize) {
    let to: Vec<String> = (0..messages)
        .map(|n| format!("{name}-{n}@a.example"))
        .collect();
    let at = net.clock.now() + Duration::from_secs(1);
    mta.inject_all(&format!("X-Mailwright-Send-At: {at}\r\n"), &to)
        .await;
    net.clock.advance(Duration::from_secs(1));
}

/// What the front of the line waits for, once that is the window.
async fn full_window(mta: &Mta) -> Value {
    let deadline = std::time::Instant::now() + MINUTE;
    while std::time::Instant::now() < deadline {
        let entries = mta.get("/api/v1/queue?limit=10000").await;
        if let Some(waits) = window(entries.as_array().expect("a list")) {
            return waits;
        }
    }
    panic!("nothing waits for the window");
}

/// Waits until so many connections have been open at once since the command at `from`.
async fn open_at_once(mx: &Mx, from: usize, connections: usize) {
    let deadline = std::time::Instant::now() + MINUTE;
    while mx.most_at_once(from) < connections {
        let open = mx.most_at_once(from);
        assert!(std::time::Instant::now() < deadline, "{open} are open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_site_that_says_slow_down_gets_half_the_connections_and_more_by_and_by() {
    let net = Internet::new().await;
    let mx = net.mx("a.example").on("DOT", "wait").start().await;
    let mta = net.mta(EIGHT).await;
    wave(&net, &mta, "one", 40).await;
    // However long it takes to open them, none is done with its first message before.
    open_at_once(&mx, 0, 8).await;
    mx.behave().on("DOT", "after=100ms pass");
    mx.came(30).await;
    assert_eq!(mx.most_at_once(0), 8);

    // Also those that are open when the reply comes, however much there is to send over them.
    mx.on("RCPT", SLOW_DOWN);
    wave(&net, &mta, "two", 60).await;
    mta.journal
        .nth(1, "deferral", |e| e.kind() == "deferred")
        .await;
    let now = mx.totals().messages;
    mx.came(now + 20).await;
    let from = mx.commands().len();
    let waits = full_window(&mta).await;
    assert_eq!(waits["window"], 4, "{waits}");
    assert_eq!(waits["most"], 8, "{waits}");
    assert!(
        waits["reply"].to_string().contains("try again slower"),
        "{waits}"
    );
    mx.came(now + 40).await;
    assert_eq!(mx.most_at_once(from), 4);
    net.clock.advance(4 * HOUR);
    mta.empty().await;
    net.check(&mta).await;
}

#[tokio::test]
async fn the_pace_of_a_site_survives_a_restart_and_recovers_step_by_step() {
    let net = Internet::new().await;
    let mx = net.mx("a.example").on("RCPT", SLOW_DOWN).start().await;
    let mta = net.mta(EIGHT).await;
    wave(&net, &mta, "one", 1).await;
    mta.deferral("one-0@a.example").await;
    let mta = mta.restart().await;
    for (round, window) in [4, 5, 6, 7, 8, 8].into_iter().enumerate() {
        let from = mx.commands().len();
        mx.behave().on("DOT", "wait");
        wave(&net, &mta, &format!("round{round}"), 30).await;
        if window < 8 {
            let waits = full_window(&mta).await;
            assert_eq!(waits["window"], window, "{waits}");
            assert!(waits["reply"].to_string().contains("slower"), "{waits}");
        }
        open_at_once(&mx, from, window).await;
        mx.behave();
        mta.all("through", |e| {
            e["recipients"][0]["address"] == "one-0@a.example"
        })
        .await;
        assert_eq!(mx.most_at_once(from), window, "in round {round}");
        // The first message after a minute shows that one more does no harm.
        net.clock.advance(MINUTE);
        wave(&net, &mta, &format!("probe{round}"), 1).await;
        mta.journal
            .first("delivered", &format!("probe{round}-0@a.example"))
            .await;
    }
    net.clock.advance(4 * HOUR);
    mta.empty().await;
    net.check(&mta).await;
}

#[tokio::test]
async fn a_site_that_finds_one_connection_too_much_gets_rests_between_messages() {
    let net = Internet::new().await;
    let mx = net
        .mx("a.example")
        .on("RCPT", "*@* first=1 451 4.7.1 please try again slower")
        .start()
        .await;
    let mta = net.mta(ONE_CONNECTION).await;
    wave(&net, &mta, "one", 1).await;
    mta.deferral("one-0@a.example").await;
    wave(&net, &mta, "two", 10).await;
    let resting = |e: &Value| e["waits"]["held_by"] == "site_rest";
    let at_rest = |e: &Value| resting(e) || e["waits"]["held_by"] == "retry";
    for second in 0..5_u64 {
        let rests = mta.all("at rest", at_rest).await;
        let waits = rests.iter().find(|e| resting(e)).expect("a rest");
        assert!(waits["waits"]["reply"].to_string().contains("slower"));
        assert_eq!(mx.totals().messages, second + 1);
        net.clock.advance(Duration::from_secs(1));
    }
    // After a minute the rest is halved, and one under a second is none.
    mx.came(6).await;
    mta.all("at rest", at_rest).await;
    net.clock.advance(MINUTE);
    mx.came(7).await;
    mta.all("at rest", at_rest).await;
    net.clock.advance(Duration::from_secs(1));
    mta.all("through", |e| e["waits"]["held_by"] == "retry")
        .await;
    net.clock.advance(4 * HOUR);
    mta.empty().await;
    net.check(&mta).await;
}

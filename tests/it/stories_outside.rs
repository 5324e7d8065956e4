//! How others see us: blocklists, names, certificates, and what we make of them.

use crate::internet::Internet;
use crate::journal::{Event, PATIENCE};
use crate::mta::Mta;
use crate::wire::Source;
use mailwright::peers::dns::{Fault, Record};
use serde_json::Value;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// What receivers see of the source, and its names in DNS.
const SEEN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const POINTER: &str = "10.2.0.192.in-addr.arpa";
const AT_LIST: &str = "10.2.0.192.bl.test";

/// Ten messages a day, then twenty; a good day is enough.
const WARMUP: &str = "[warmup.schedule.ten]\ndays = [10, 20]\n[warmup.gate]\nwindow = 1\n";

/// A daemon with one source that warms, one list of addresses and one of domains.
fn keys(source: &Source) -> String {
    let address = source.address;
    let source = source.with("warmup = { schedule = \"ten\" }\n");
    format!(
        "{WARMUP}{source}[zone]\npublic_addresses = {{ \"{address}\" = \"{SEEN}\" }}\n\
         [reports]\ndomains = [\"shop.test\"]\n\
         [[outside.zone]]\nname = \"bl.test\"\ncodes = {{ \"127.0.0.2\" = \"spam source\" }}\n\
         [[outside.zone]]\nname = \"dbl.test\"\nlists = \"domains\"\npage = true\n"
    )
}

/// The source has a PTR that is its EHLO name and leads back.
fn named(net: &Internet, source: &Source) {
    let ehlo = format!("{}.test", source.name);
    net.dns.set(POINTER, [Record::Ptr(ehlo.clone())]);
    net.dns.set(&ehlo, [Record::A(SEEN)]);
}

/// What is known, once the round of this hour is over.
async fn seen(net: &Internet, mta: &Mta) -> Value {
    let (now, started) = (net.clock.now().to_string(), Instant::now());
    loop {
        let outside = mta.get("/api/v1/reputation").await["outside"].clone();
        if outside["checked"] == now.as_str() {
            return outside;
        }
        assert!(started.elapsed() < PATIENCE, "no round at {now}: {outside}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The next round.
async fn round(net: &Internet, mta: &Mta) -> Value {
    net.clock.advance(HOUR);
    seen(net, mta).await
}

/// What was told from outside, once the last of it is this.
async fn told(mta: &Mta, last: &str) -> Vec<String> {
    let is_last = |e: &Event| e.kind() == "outside" && e.text("reason") == last;
    mta.journal.nth(1, last, is_last).await;
    let mut events = mta.journal.events();
    events.retain(|e| e.kind() == "outside");
    events.iter().map(|e| e.text("reason").to_owned()).collect()
}

/// What keeps the source from its next stage.
async fn hindered(mta: &Mta) -> Value {
    let positions = mta.get("/api/v1/warmup?source=new&provider=*").await;
    positions[0]["hindered"].clone()
}

/// The source sends what the first stage lets it, and the day ends; what was decided of it as a whole.
async fn good_day(net: &Internet, mta: &Mta, day: usize) -> String {
    let to: Vec<String> = (0..10)
        .map(|n| format!("day{day}-{n}@example.net"))
        .collect();
    mta.inject_all("", &to).await;
    mta.empty().await;
    net.clock.advance(DAY);
    let decided = |e: &Event| {
        let is_whole = e.text("source") == "new" && e.text("provider") == "*";
        e.kind() == "warmup" && is_whole && !e.text("why").starts_with("begins")
    };
    let event = mta.journal.nth(day, "a decision", decided).await;
    event.text("why").to_owned()
}

#[tokio::test]
async fn a_listing_is_believed_the_second_time_holds_the_warm_up_and_ends_with_a_clean_answer() {
    let net = Internet::new().await;
    net.mx("example.net").start().await;
    let new = net.source("new");
    named(&net, &new);
    net.dns.set(
        AT_LIST,
        [
            Record::A([127, 0, 0, 2].into()),
            Record::Txt("https://bl.test/why".into()),
        ],
    );
    let mta = net.mta(&keys(&new)).await;
    // Once may be a mistake.
    let once = seen(&net, &mta).await;
    assert_eq!(once["faults"], serde_json::json!([]), "{once}");
    assert_eq!(hindered(&mta).await, Value::Null);
    let twice = round(&net, &mta).await;
    let fault = &twice["faults"][0];
    assert_eq!(
        (&fault["what"], &fault["name"]),
        (&"listed".into(), &"new".into())
    );
    assert_eq!(
        fault["detail"],
        "127.0.0.2 spam source: https://bl.test/why"
    );
    assert_eq!(told(&mta, "listed").await, ["listed"]);
    let why = "listed at bl.test (127.0.0.2 spam source: https://bl.test/why)";
    assert_eq!(hindered(&mta).await, why);
    let explained = mta.get("/api/v1/explain?from=&to=ann@example.net").await;
    assert_eq!(explained["candidates"][0]["warmup"][0]["hindered"], why);
    let (status, metrics) = mta.request("GET", "/metrics", &Value::Null).await;
    let gauge = "mailwright_outside_faults{what=\"listed\",subject=\"new\",zone=\"bl.test\"} 1.0";
    assert!(status == 200 && metrics.contains(gauge), "{gauge}");
    let held = good_day(&net, &mta, 1).await;
    assert_eq!(held, format!("held at stage 1: {why}"));
    // Nobody knows better while the list does not answer.
    seen(&net, &mta).await;
    net.dns.fail(AT_LIST, Fault::ServFail);
    let unknown = round(&net, &mta).await;
    assert_eq!(unknown["faults"][0]["what"], "listed");
    net.dns.heal(AT_LIST).remove(AT_LIST);
    let clean = round(&net, &mta).await;
    assert_eq!(clean["faults"], serde_json::json!([]));
    assert_eq!(told(&mta, "delisted").await, ["listed", "delisted"]);
    assert_eq!(hindered(&mta).await, Value::Null);
    let advanced = good_day(&net, &mta, 2).await;
    assert!(advanced.starts_with("advanced to stage 2"), "{advanced}");
    net.check(&mta).await;
}

#[tokio::test]
async fn a_list_that_refuses_us_or_lists_everything_is_told_once_and_not_believed() {
    let net = Internet::new().await;
    let new = net.source("new");
    named(&net, &new);
    // No public resolvers; and a list that was given up.
    net.dns
        .set(AT_LIST, [Record::A([127, 255, 255, 254].into())]);
    net.dns
        .set("shop.test.dbl.test", [Record::A([127, 0, 1, 2].into())]);
    net.dns
        .set("invalid.dbl.test", [Record::A([127, 0, 1, 2].into())]);
    let mta = net.mta(&keys(&new)).await;
    seen(&net, &mta).await;
    round(&net, &mta).await;
    let third = round(&net, &mta).await;
    let faults = third["faults"].as_array().expect("a list");
    assert!(faults.iter().all(|f| f["what"] == "refused"), "{faults:?}");
    assert_eq!(hindered(&mta).await, Value::Null);
    // The one mends its ways, of the other only the domain was listed after all.
    net.dns.remove(AT_LIST);
    net.dns.remove("invalid.dbl.test");
    round(&net, &mta).await;
    round(&net, &mta).await;
    let all = told(&mta, "listed").await;
    let expected = [
        "check-failed",
        "check-failed",
        "check-works",
        "check-works",
        "listed",
    ];
    assert_eq!(all, expected);
    let mut events = mta.journal.events();
    events.retain(|e| e.kind() == "outside");
    let (refused, everything, listed) = (&events[0], &events[1], &events[4]);
    assert!(
        refused.text("why").contains("public resolvers"),
        "{refused:?}"
    );
    assert!(
        everything.text("why").contains("lists everything"),
        "{everything:?}"
    );
    assert_eq!(
        (listed.text("domain"), listed.text("zone")),
        ("shop.test", "dbl.test")
    );
    assert_eq!(listed.0["page"], true);
    net.check(&mta).await;
}

#[tokio::test]
async fn names_that_no_longer_agree_are_told_over_a_restart_once_and_hold_the_warm_up() {
    let net = Internet::new().await;
    let new = net.source("new");
    named(&net, &new);
    let mta = net.mta(&keys(&new)).await;
    seen(&net, &mta).await;
    net.dns.remove(POINTER);
    round(&net, &mta).await;
    // A round before the restart counts, and the restart is none.
    let mta = mta.restart().await;
    round(&net, &mta).await;
    assert_eq!(told(&mta, "ptr-lost").await, ["ptr-lost"]);
    let mta = mta.restart().await;
    assert_eq!(hindered(&mta).await, "192.0.2.10 has no PTR");
    round(&net, &mta).await;
    // Another name that leads back is a name.
    net.dns.set(POINTER, [Record::Ptr("other.test".into())]);
    net.dns.set("other.test", [Record::A(SEEN)]);
    round(&net, &mta).await;
    assert_eq!(hindered(&mta).await, Value::Null);
    round(&net, &mta).await;
    named(&net, &new);
    round(&net, &mta).await;
    let all = told(&mta, "ehlo-matches").await;
    let expected = ["ptr-lost", "ptr-regained", "ehlo-mismatch", "ehlo-matches"];
    assert_eq!(all, expected);
    net.check(&mta).await;
}

/// A certificate that ends on this day.
fn certify(dir: &Path, (year, month, day): (i32, u8, u8)) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec!["u.shop.test".into()]).expect("a name");
    params.not_after = rcgen::date_time_ymd(year, month, day);
    let certificate = params.self_signed(&key).expect("a certificate");
    std::fs::write(dir.join("page.pem"), certificate.pem()).expect("a file");
    std::fs::write(dir.join("page.key"), key.serialize_pem()).expect("a file");
}

#[tokio::test]
async fn a_certificate_is_told_of_before_it_ends_and_when_it_is_renewed() {
    let net = Internet::new().await;
    let dir = net.path("tls");
    std::fs::create_dir_all(&dir).expect("a directory");
    // In 27 days and a half.
    certify(&dir, (2026, 12, 20));
    let shown = dir.display();
    let keys = format!(
        "[inbound]\n[unsubscribe]\ncertificate = \"{shown}/page.pem\"\nkey = \"{shown}/page.key\"\n"
    );
    let mta = net.mta(&keys).await;
    let book = seen(&net, &mta).await;
    let certificates = book["certificates"].as_array().expect("a list");
    let expires = |c: &Value| c["expires"] == "2026-12-20T00:00:00.000Z";
    assert!(certificates.iter().any(expires), "{certificates:?}");
    for _ in 0..3 {
        net.clock.advance(7 * DAY);
        seen(&net, &mta).await;
    }
    certify(&dir, (2027, 3, 20));
    let (status, body) = mta.reload(&keys).await;
    assert_eq!(status, 200, "{body}");
    round(&net, &mta).await;
    let all = told(&mta, "certificate-renewed").await;
    let expected = [
        "certificate-expires",
        "certificate-expires",
        "certificate-renewed",
    ];
    assert_eq!(all, expected);
    let mut events = mta.journal.events();
    events.retain(|e| e.kind() == "outside");
    for (event, days) in events.iter().zip(["in 21 days", "in 7 days"]) {
        let why = event.text("why");
        assert!(why.contains("page.pem") && why.contains(days), "{why}");
    }
    net.check(&mta).await;
}

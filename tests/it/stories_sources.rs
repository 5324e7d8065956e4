//! Which address mail leaves from: pools and weights, who asks for which, what becomes of a source that is not there.

use crate::internet::Internet;
use crate::wire::Source;
use std::time::Duration;

const NO_SYNC: &str = "[spool]\nsync = false\n";
const HOUR: Duration = Duration::from_secs(3600);

/// A `[[pool]]` of these sources, each with its weight.
fn pool(name: &str, members: &[(&Source, u32)]) -> String {
    let member = |(source, weight): &(&Source, u32)| {
        format!("{{ name = \"{}\", weight = {weight} }}", source.name)
    };
    let members: Vec<String> = members.iter().map(member).collect();
    format!(
        "[[pool]]\nname = \"{name}\"\nsources = [{}]\n",
        members.join(", ")
    )
}

/// `[[source]]` of all of these.
fn sources(all: &[&Source]) -> String {
    all.iter().map(|source| source.with("")).collect()
}

fn people(count: usize, domain: &str) -> Vec<String> {
    (0..count).map(|n| format!("{n}@{domain}")).collect()
}

#[tokio::test]
async fn the_sources_of_a_pool_share_its_mail_by_their_weights() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let [a, b, c] = ["ip-a", "ip-b", "ip-c"].map(|name| net.source(name));
    let keys = format!(
        "{NO_SYNC}{}{}",
        sources(&[&a, &b, &c]),
        pool("shared", &[(&a, 3), (&b, 1)])
    );
    let mta = net.mta(&keys).await;
    mta.inject_all("X-Mailwright-Pool: shared\r\n", &people(400, "example.net"))
        .await;
    mta.empty().await;
    let messages = mx.messages();
    assert_eq!(c.sent(&messages), 0, "it is not of the pool");
    // Three in four, give or take four standard deviations.
    assert!(
        (265..=335).contains(&a.sent(&messages)),
        "{} of 400",
        a.sent(&messages)
    );
    assert_eq!(a.sent(&messages) + b.sent(&messages), 400);
    for message in messages {
        let source = if message.peer.ip() == a.address {
            &a
        } else {
            &b
        };
        assert_eq!(*message.helo, source.ehlo());
    }
    net.check(&mta).await;
}

#[tokio::test]
async fn a_message_leaves_from_the_pool_it_asks_for_or_from_its_tenants() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let [a, b] = ["ip-a", "ip-b"].map(|name| net.source(name));
    let keys = format!(
        "{}{}{}[[tenant]]\nname = \"acme\"\npool = \"blue\"\ndomains = [\"shop.test\"]\n",
        sources(&[&a, &b]),
        pool("red", &[(&a, 1)]),
        pool("blue", &[(&b, 1)])
    );
    let mta = net.mta(&keys).await;
    let acme = "X-Mailwright-Tenant: acme\r\n";
    let (mut red, mut blue) = (0, 0);
    for (fields, expected) in [
        ("X-Mailwright-Pool: red\r\n".to_owned(), "red"),
        ("X-Mailwright-Pool: blue\r\n".to_owned(), "blue"),
        (acme.to_owned(), "blue"),
        (format!("{acme}X-Mailwright-Pool: red\r\n"), "red"),
        ("X-virtual-mta: red\r\n".to_owned(), "red"),
        (
            "X-Mailwright-Pool: blue\r\nX-virtual-mta: red\r\n".to_owned(),
            "blue",
        ),
        (format!("{acme}X-virtual-mta: of-another-mta\r\n"), "blue"),
    ] {
        for to in people(5, "example.net") {
            mta.inject_as(&fields, &to).await;
        }
        match expected {
            "red" => red += 5,
            _ => blue += 5,
        }
        mx.came(red + blue).await;
        let messages = mx.messages();
        let sent = (a.sent(&messages) as u64, b.sent(&messages) as u64);
        assert_eq!(sent, (red, blue), "{fields}");
    }
    let asked = mx.messages();
    let kept = asked.iter().filter_map(|m| m.header("X-virtual-mta"));
    assert_eq!(
        kept.count(),
        15,
        "the field of another MTA stays in the message"
    );
    mta.empty().await;
    net.check(&mta).await;
}

#[tokio::test]
async fn a_pool_that_is_not_there_is_refused_with_those_that_are() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let a = net.source("ip-a");
    let pools = format!("{}{}", pool("red", &[(&a, 1)]), pool("blue", &[(&a, 1)]));
    let mta = net.mta(&format!("{}{pools}", sources(&[&a]))).await;
    let reply = mta
        .refusal("X-Mailwright-Pool: bleu\r\n", "ann@example.net")
        .await;
    assert!(reply.starts_with("550 5.6.0"), "{reply}");
    for said in ["\"bleu\"", "blue, red"] {
        assert!(reply.contains(said), "{reply}");
    }
    mta.inject_as("X-virtual-mta: bleu\r\n", "bob@example.net")
        .await;
    mx.came(1).await;
    assert_eq!(mx.order(), ["bob"]);
    mta.empty().await;
    net.check(&mta).await;
}

#[tokio::test]
async fn a_pool_that_a_reload_takes_away_leaves_its_mail_waiting_until_it_is_back() {
    let net = Internet::new().await;
    let mx = net
        .mx("example.net")
        .on("RCPT", "each=1 451 4.3.0 not now")
        .start()
        .await;
    let [a, b] = ["ip-a", "ip-b"].map(|name| net.source(name));
    let with = format!("{}{}", sources(&[&a, &b]), pool("red", &[(&a, 1)]));
    let mta = net.mta(&with).await;
    let id = mta
        .inject_as("X-Mailwright-Pool: red\r\n", "ann@example.net")
        .await;
    let deferred = mta.deferral("ann@example.net").await;
    assert_eq!(mta.reload(&sources(&[&a, &b])).await.0, 200);
    net.advance_to(deferred.until());
    let entry = mta
        .entry(&id, |e| e["waits"]["held_by"] == "no_source")
        .await;
    assert_eq!(entry["waits"]["pool"], "red");
    assert_eq!(mx.totals().messages, 0);
    assert_eq!(mta.reload(&with).await.0, 200);
    net.clock.advance(HOUR);
    mta.empty().await;
    assert_eq!(a.sent(&mx.messages()), 1);
    net.check(&mta).await;
}

#[tokio::test]
async fn a_source_that_is_not_there_is_left_out_and_used_when_it_is_back() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let [a, b] = ["ip-a", "ip-b"].map(|name| net.source(name));
    // TEST-NET-1 is nobody's (RFC 5737).
    let gone = Source {
        name: "ip-b".to_owned(),
        address: [192, 0, 2, 1].into(),
    };
    let keys = |b: &Source| {
        format!(
            "{NO_SYNC}{}{}",
            sources(&[&a, b]),
            pool("shared", &[(&a, 1), (b, 9)])
        )
    };
    let mta = net.mta(&keys(&gone)).await;
    let shared = "X-Mailwright-Pool: shared\r\n";
    mta.inject_all(shared, &people(50, "example.net")).await;
    mta.empty().await;
    assert_eq!(a.sent(&mx.messages()), 50, "the others carry its mail");

    assert_eq!(mta.reload(&keys(&b)).await.0, 200);
    mta.inject_all(shared, &people(50, "example.net")).await;
    mta.empty().await;
    let sent = b.sent(&mx.messages());
    assert!(sent >= 35, "{sent} of 50 at 9 in 10");
    net.check(&mta).await;
}

#[tokio::test]
async fn each_source_reaches_the_addresses_of_its_own_family() {
    let net = Internet::new().await;
    let (four, six) = (net.source("ip-4"), Source::v6("ip-6"));
    let old = net.mx("old.example").start().await;
    let new = net
        .host("mx.new.example")
        .v6()
        .serves("new.example", 10)
        .start()
        .await;
    let both = net.mx("both.example").start().await;
    net.dns.add("mx.both.example", new.address.into());
    let keys = format!(
        "{NO_SYNC}{}{}",
        sources(&[&four, &six]),
        pool("shared", &[(&four, 1), (&six, 1)])
    );
    let mta = net.mta(&keys).await;
    let shared = "X-Mailwright-Pool: shared\r\n";
    for domain in ["old.example", "new.example", "both.example"] {
        mta.inject_all(shared, &people(20, domain)).await;
    }
    mta.empty().await;
    assert_eq!(
        four.sent(&old.messages()),
        20,
        "a host without IPv6 is reached by IPv4"
    );
    let by_six = new.messages();
    let to = |domain: &str| {
        by_six
            .iter()
            .filter(|m| m.recipients[0].ends_with(domain))
            .count()
    };
    assert_eq!(
        to("@new.example"),
        20,
        "a host without IPv4 is reached by IPv6"
    );
    let (by_four, by_six) = (both.totals().messages, to("@both.example"));
    assert_eq!(by_four + by_six as u64, 20);
    assert!((3..=17).contains(&by_six), "{by_six} of 20 by IPv6");
    assert_eq!(six.sent(&new.messages()), new.messages().len());
    net.check(&mta).await;
}

#[tokio::test]
async fn a_domain_that_only_the_other_family_reaches_is_said_so() {
    let net = Internet::new().await;
    let old = net.mx("old.example").start().await;
    let six = Source::v6("ip-6");
    let mta = net.mta(&six.with("")).await;
    mta.inject_as("", "ann@old.example").await;
    let deferred = mta.deferral("ann@old.example").await;
    let why = deferred.0["reply"].to_string();
    assert!(
        why.contains("no IPv6 address") && why.contains("ip-6"),
        "{why}"
    );
    assert_eq!(old.totals().connections, 0);
    net.check(&mta).await;
}

#[tokio::test]
async fn a_message_keeps_its_source_while_a_host_greylists_and_over_a_restart() {
    let net = Internet::new().await;
    let mx = net
        .mx("example.net")
        .on("RCPT", "each=3 451 4.7.1 greylisted, come again")
        .start()
        .await;
    let all = ["ip-a", "ip-b", "ip-c", "ip-d"].map(|name| net.source(name));
    let keys = format!(
        "{NO_SYNC}[retry]\nfirst = \"5m\"\nfactor = 1.0\n{}",
        all.iter().map(|s| s.with("")).collect::<String>()
    );
    let mut mta = net.mta(&keys).await;
    let to = people(20, "example.net");
    mta.inject_all("", &to).await;
    for attempt in 1..=3 {
        for to in &to {
            mta.journal
                .nth(attempt, "deferral", |e| e.is("deferred", to))
                .await;
        }
        if attempt == 2 {
            mta = mta.restart().await;
        }
        net.clock.advance(Duration::from_secs(400));
    }
    mta.empty().await;
    let mut used = std::collections::BTreeSet::new();
    for to in &to {
        let asked = mx.asked_by(to);
        assert_eq!(asked.len(), 4, "{to}: {asked:?}");
        assert!(
            asked.iter().all(|name| *name == asked[0]),
            "{to}: {asked:?}"
        );
        used.insert(asked[0].clone());
    }
    assert!(used.len() >= 3, "more than one source sends: {used:?}");
    net.check(&mta).await;
}

#[tokio::test]
async fn a_message_keeps_the_source_of_its_first_attempt_when_that_was_not_its_first_choice() {
    let net = Internet::new().await;
    // The first source to come is kept away for an hour; the other is greylisted.
    let mx = net
        .mx("example.net")
        .on("RCPT", "first@* first=1 451 4.7.99 go away for an hour")
        .on("RCPT", "to-*@* each=1 451 4.7.1 greylisted, come again")
        .start()
        .await;
    let [a, b] = ["ip-a", "ip-b"].map(|name| net.source(name));
    let keys = format!(
        "{NO_SYNC}[retry]\nfirst = \"2h\"\n[[rule]]\nreply = \"go away\"\nsuspend = \"1h\"\nmatches = [\"451 go away\"]\nspares = [\"451 come\"]\n{}",
        sources(&[&a, &b])
    );
    let mta = net.mta(&keys).await;
    mta.inject_as("", "first@example.net").await;
    mta.deferral("first@example.net").await;
    let to: Vec<String> = (0..10).map(|n| format!("to-{n}@example.net")).collect();
    mta.inject_all("", &to).await;
    for to in &to {
        mta.deferral(to).await;
    }
    net.clock.advance(3 * HOUR);
    mta.empty().await;
    for to in &to {
        let asked = mx.asked_by(to);
        assert_eq!(asked.len(), 2, "{to}: {asked:?}");
        assert_eq!(asked[0], asked[1], "{to}");
    }
    net.check(&mta).await;
}

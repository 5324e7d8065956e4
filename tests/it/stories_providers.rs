//! Who has the mailboxes: recognised by their hosts, and kept to what they want.

use crate::internet::Internet;
use crate::mta::Mta;
use mailwright::peers::dns::Record;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const NO_SYNC: &str = "[spool]\nsync = false\n";
const ONE_CONNECTION: &str =
    "[delivery]\ninitial_connections_per_site = 1\nmax_connections_per_site = 1\n";

fn people(name: &str, count: usize, domain: &str) -> Vec<String> {
    (0..count).map(|n| format!("{name}-{n}@{domain}")).collect()
}

/// The provider that the delivery of `recipient` is counted to.
async fn provider(mta: &Mta, recipient: &str) -> String {
    let delivered = mta.journal.first("delivered", recipient).await;
    delivered.text("provider").to_owned()
}

#[tokio::test]
async fn hosted_domains_count_with_their_host_and_mixed_ones_with_nobody() {
    let net = Internet::new().await;
    let google = net
        .host("ASPMX.L.GOOGLE.COM")
        .serves("gmail.example", 5)
        .serves("workspace.example", 1)
        .serves("mixed.example", 5)
        .tls()
        .start()
        .await;
    net.dns
        .add("alt1.aspmx.l.google.com", google.address.into());
    let alt = Record::mx(10, "alt1.aspmx.l.google.com");
    net.dns.add("workspace.example", alt);
    let _own = net
        .host("mx.own.test")
        .serves("mixed.example", 10)
        .start()
        .await;
    let _like = net.mx("notgoogle.com").start().await;
    let mta = net.mta("").await;
    for (to, expected) in [
        ("ann@gmail.example", "google"),
        ("bob@workspace.example", "google"),
        ("cat@mixed.example", "other"),
        ("dan@notgoogle.com", "other"),
    ] {
        mta.inject_as("", to).await;
        assert_eq!(provider(&mta, to).await, expected, "{to}");
    }
    assert_eq!(google.totals().messages, 3);
    net.check(&mta).await;
}

#[tokio::test]
async fn a_connection_carries_as_many_messages_as_the_provider_takes() {
    let net = Internet::new().await;
    let apple = net
        .host("mx01.mail.icloud.com")
        .serves("me.example", 10)
        .start()
        .await;
    // However long it is between two messages, the connection stays open.
    let keys = format!("{NO_SYNC}{ONE_CONNECTION}idle = \"1h\"\n");
    let mta = net.mta(&keys).await;
    mta.inject_all("", &people("p", 12, "me.example")).await;
    mta.empty().await;
    let mut carried = std::collections::BTreeMap::<u64, usize>::new();
    for message in apple.messages() {
        *carried.entry(message.connection).or_default() += 1;
    }
    assert_eq!(carried.values().copied().collect::<Vec<_>>(), [5, 5, 2]);
    net.check(&mta).await;
}

#[tokio::test]
async fn a_transaction_has_as_many_recipients_as_the_provider_takes() {
    let net = Internet::new().await;
    let yahoo = net
        .host("mx.mail.yahoo.co.jp")
        .serves("y.example", 10)
        .start()
        .await;
    let mta = net.mta("").await;
    let to = people("p", 45, "y.example");
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    mta.inject("s@shop.test", &to).await;
    // Ten transactions a second are what it takes.
    while !mta.queue().await.is_empty() {
        net.clock.advance(std::time::Duration::from_millis(100));
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let mut counts: Vec<usize> = yahoo
        .messages()
        .iter()
        .map(|m| m.recipients.len())
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, [5, 20, 20]);
    net.check(&mta).await;
}

#[tokio::test]
async fn a_provider_that_demands_tls_gets_nothing_in_clear() {
    let net = Internet::new().await;
    let google = net
        .host("aspmx.l.google.com")
        .serves("gmail.example", 5)
        .start()
        .await;
    let mta = net.mta("").await;
    mta.inject_as("", "ann@gmail.example").await;
    let deferred = mta.deferral("ann@gmail.example").await;
    assert!(
        deferred.0["reply"]
            .to_string()
            .to_lowercase()
            .contains("tls"),
        "{deferred:?}"
    );
    let said: Vec<_> = google.commands();
    assert!(
        said.iter().all(|(_, line)| !line.starts_with("MAIL")),
        "{said:?}"
    );

    // The operator may know better, of the provider or of a domain.
    let provider = "[[provider]]\nname = \"google\"\ntls = \"opportunistic\"\n";
    assert_eq!(mta.reload(provider).await.0, 200);
    mta.outcome("ann@gmail.example").await;
    assert_eq!(google.only().tls, None);
    assert_eq!(
        mta.reload("[[route]]\ndomain = \"gmail.example\"\ntls = \"off\"\n")
            .await
            .0,
        200
    );
    mta.inject_as("", "bob@gmail.example").await;
    mta.journal.first("delivered", "bob@gmail.example").await;
    net.check(&mta).await;
}

#[tokio::test]
async fn a_provider_that_a_reload_adds_counts_for_sites_that_are_known_already() {
    let net = Internet::new().await;
    let mx = net
        .host("mx.mine.test")
        .serves("m.example", 10)
        .start()
        .await;
    let mta = net.mta(NO_SYNC).await;
    mta.inject_as("", "ann@m.example").await;
    assert_eq!(provider(&mta, "ann@m.example").await, "other");
    let keys = format!(
        "{NO_SYNC}[[provider]]\nname = \"mine\"\nmx = [\".mine.test\"]\nlimits = {{ messages = \"1/min\" }}\n"
    );
    assert_eq!(mta.reload(&keys).await.0, 200);
    mta.inject_all("", &people("p", 5, "m.example")).await;
    for minute in 0..4 {
        let waiting = mta.all_held_by("limit").await;
        assert_eq!(waiting[0]["waits"]["of"]["provider"], "mine");
        assert_eq!(mx.totals().messages, minute + 2);
        net.clock.advance(MINUTE);
    }
    mta.empty().await;
    assert_eq!(provider(&mta, "p-0@m.example").await, "mine");
    assert_eq!(mta.reload(NO_SYNC).await.0, 200);
    mta.inject_as("", "bob@m.example").await;
    assert_eq!(provider(&mta, "bob@m.example").await, "other");
    net.check(&mta).await;
}

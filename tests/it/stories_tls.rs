//! Encryption towards mail hosts: as much as the route asks, never silently less.

use crate::internet::{Internet, Mx};
use crate::mta::Mta;

async fn send(mta: &Mta) -> crate::journal::Event {
    mta.inject("", &["ann@example.net"]).await;
    let settled = |e: &crate::journal::Event| {
        e.recipient() == "ann@example.net" && !matches!(e.kind(), "accepted" | "config")
    };
    mta.journal.nth(1, "outcome", settled).await
}

fn keys(policy: &str) -> String {
    format!("[delivery]\ntls = \"{policy}\"\n")
}

fn took(mx: &Mx) -> Vec<Option<&'static str>> {
    mx.messages().iter().map(|m| m.tls).collect()
}

#[tokio::test]
async fn opportunistic_encrypts_with_whatever_certificate_there_is() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").tls_self_signed().start().await;
    let mta = net.mta(&keys("opportunistic")).await;
    let event = send(&mta).await;
    assert_eq!(event.kind(), "delivered", "{event:?}");
    assert_eq!(took(&mx), [Some("TLSv1.3")]);
    assert_eq!(event.0["tls"]["version"], "TLSv1.3");
    net.check(&mta).await;
}

#[tokio::test]
async fn opportunistic_goes_in_clear_where_there_is_nothing_else() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let mta = net.mta(&keys("opportunistic")).await;
    assert_eq!(send(&mta).await.kind(), "delivered");
    assert_eq!(took(&mx), [None]);
    net.check(&mta).await;
}

#[tokio::test]
async fn opportunistic_comes_back_in_clear_where_the_handshake_fails() {
    let net = Internet::new().await;
    let mx = net
        .mx("example.net")
        .tls()
        .on("STARTTLS", "close")
        .start()
        .await;
    let mta = net.mta(&keys("opportunistic")).await;
    send(&mta).await;
    assert_eq!(mta.outcome("ann@example.net").await.kind(), "delivered");
    assert_eq!(took(&mx), [None]);
    net.check(&mta).await;
}

#[tokio::test]
async fn off_never_asks_for_tls() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").tls().start().await;
    let mta = net.mta(&keys("off")).await;
    assert_eq!(send(&mta).await.kind(), "delivered");
    assert_eq!(took(&mx), [None]);
    net.check(&mta).await;
}

#[tokio::test]
async fn required_takes_any_certificate_and_nothing_in_clear() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").tls_self_signed().start().await;
    let mta = net.mta(&keys("required")).await;
    assert_eq!(send(&mta).await.kind(), "delivered");
    assert_eq!(took(&mx), [Some("TLSv1.3")]);
    net.check(&mta).await;

    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let mta = net.mta(&keys("required")).await;
    let event = send(&mta).await;
    assert_ne!(event.kind(), "delivered", "{event:?}");
    assert!(took(&mx).is_empty());
    let said_mail = mx
        .commands()
        .iter()
        .any(|(_, line)| line.starts_with("MAIL"));
    assert!(!said_mail, "the envelope is not told in clear either");
    net.check(&mta).await;
}

#[tokio::test]
async fn verify_takes_the_right_certificate_alone() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").tls().start().await;
    let mta = net.mta(&keys("verify")).await;
    let event = send(&mta).await;
    assert_eq!(event.kind(), "delivered", "{event:?}");
    assert_eq!(took(&mx), [Some("TLSv1.3")]);
    net.check(&mta).await;
}

#[tokio::test]
async fn verify_refuses_a_certificate_for_another_name_or_of_nobody_known() {
    for of_another_name in [true, false] {
        let net = Internet::new().await;
        let setup = net.mx("example.net");
        let setup = match of_another_name {
            true => setup.tls_as("mx.example.org"),
            false => setup.tls_self_signed(),
        };
        let mx = setup.start().await;
        let mta = net.mta(&keys("verify")).await;
        let event = send(&mta).await;
        assert_ne!(event.kind(), "delivered", "{event:?}");
        assert!(took(&mx).is_empty());
        net.check(&mta).await;
    }
}

fn remembering(on_loss: &str) -> String {
    format!("[delivery.starttls_memory]\non_loss = \"{on_loss}\"\npatience = \"12h\"\n")
}

/// A host that takes mail over TLS, and after that has no TLS any more: another takes its name and address in DNS.
async fn downgraded(net: &Internet, keys: &str) -> (Mta, Mx) {
    let before = net.mx("example.net").tls().start().await;
    let mta = net.mta(keys).await;
    assert_eq!(send(&mta).await.kind(), "delivered");
    assert_eq!(took(&before), [Some("TLSv1.3")]);
    net.dns.remove("example.net");
    net.dns.remove("mx.example.net");
    let after = net.mx("example.net").start().await;
    // What is known of the names ends, and the connection that was kept too.
    net.clock.advance(HOUR);
    let mta = mta.restart().await;
    mta.inject("", &["bob@example.net"]).await;
    (mta, after)
}

const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

async fn told(mta: &Mta, reason: &str) -> crate::journal::Event {
    let is_told = |e: &crate::journal::Event| e.kind() == "tls" && e.0["reason"] == reason;
    mta.journal.nth(1, reason, is_told).await
}

#[tokio::test]
async fn a_host_that_loses_tls_is_told_and_its_mail_goes() {
    let net = Internet::new().await;
    let (mta, after) = downgraded(&net, &remembering("go")).await;
    assert_eq!(mta.outcome("bob@example.net").await.kind(), "delivered");
    assert_eq!(took(&after), [None]);
    let told = told(&mta, "downgrade").await;
    assert_eq!(
        (told.text("site"), told.text("domain")),
        ("mx.example.net", "example.net")
    );
    assert!(told.text("why").contains("goes in clear"), "{told:?}");
    net.check(&mta).await;
}

#[tokio::test]
async fn mail_to_a_host_that_loses_tls_may_wait_for_a_time() {
    let net = Internet::new().await;
    let (mta, after) = downgraded(&net, &remembering("wait")).await;
    let deferred = mta.deferral("bob@example.net").await;
    assert_eq!(deferred.enhanced(), "4.7.5");
    let text = deferred.0["reply"]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("has spoken TLS before"), "{text}");
    assert!(told(&mta, "downgrade").await.0["until"].is_string());
    assert_eq!(took(&after), []);
    net.clock.advance(13 * HOUR);
    assert_eq!(mta.outcome("bob@example.net").await.kind(), "delivered");
    assert_eq!(took(&after), [None]);
    net.check(&mta).await;
}

#[tokio::test]
async fn mail_may_wait_until_tls_is_back() {
    let net = Internet::new().await;
    let (mta, after) = downgraded(&net, &remembering("hold")).await;
    mta.deferral("bob@example.net").await;
    net.clock.advance(24 * HOUR);
    let again = |e: &crate::journal::Event| e.is("deferred", "bob@example.net");
    mta.journal.nth(2, "second deferral", again).await;
    net.dns.remove("example.net");
    net.dns.remove("mx.example.net");
    let back = net.mx("example.net").tls().start().await;
    net.clock.advance(24 * HOUR);
    assert_eq!(mta.outcome("bob@example.net").await.kind(), "delivered");
    assert_eq!(
        (took(&after).len(), took(&back)),
        (0, vec![Some("TLSv1.3")])
    );
    told(&mta, "restored").await;
    net.check(&mta).await;
}

//! What senders ask of TLS on the whole way of a message (RFC 8689): kept over restarts, passed on, or bounced.

use crate::internet::{Internet, Mx, Setup};
use crate::mta::Mta;
use crate::stories_mta_sts::{PolicyHost, announce, policy};
use bytes::Bytes;
use mailwright::mail::{Address, BodyType, Notify, Recipient};
use mailwright::smtp::client::{Connection, Source, Target, Timeouts, Transacted, Transaction};
use mailwright::spool::SpoolError;
use mailwright::tls::client::{ClientTls, Policy};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

const TEXT: &str =
    "From: <s@shop.test>\r\nMessage-ID: <1@shop.test>\r\nSubject: secret\r\n\r\nHush.\r\n";

struct Text(Option<&'static str>);

impl Source for Text {
    fn len(&self) -> u64 {
        TEXT.len() as u64
    }

    async fn next(&mut self) -> Result<Option<Bytes>, SpoolError> {
        Ok(self
            .0
            .take()
            .map(|text| Bytes::from_static(text.as_bytes())))
    }
}

async fn connect(address: SocketAddr, tls: Policy) -> Connection {
    let target = Target {
        address,
        host: "mta.test",
        source: None,
        ehlo: "platform.test",
        tls,
        examine: false,
    };
    let client = ClientTls::new(&Default::default()).expect("a TLS client");
    let opened = Connection::open(&target, &Timeouts::default(), &client).await;
    opened.unwrap_or_else(|e| panic!("{e}"))
}

/// Hands a message in that requires TLS, over TLS.
async fn submit(mta: &Mta, to: &str) -> Transacted {
    let mut connection = connect(mta.smtp, Policy::Required).await;
    assert!(connection.offers().requiretls, "offered over TLS");
    let sender: Address = "s@shop.test".parse().expect("an address");
    let to = Recipient {
        notify: Some(Notify::On {
            success: false,
            failure: true,
            delay: false,
        }),
        ..Recipient::new(to.parse().expect("an address"))
    };
    let transaction = Transaction {
        sender: Some(&sender),
        recipients: vec![&to],
        body: BodyType::SevenBit,
        smtputf8: false,
        eight_bit_header: false,
        eight_bit_body: false,
        ret: Some(mailwright::mail::Ret::Full),
        envid: None,
        require_tls: true,
    };
    let journalled = async { Ok::<(), Infallible>(()) };
    let done = connection
        .transact(&transaction, &mut Text(Some(TEXT)), journalled)
        .await;
    connection.quit().await;
    done
}

fn was_taken(done: &Transacted) -> bool {
    done.reply.as_ref().is_some_and(|reply| reply.code == 250)
}

/// A host of `example.net`, and a policy that names it.
async fn world(net: &Internet, mx: Setup<'_>) -> (Mx, PolicyHost) {
    let mx = mx.start().await;
    let named = policy("testing", "mx.example.net");
    let host = PolicyHost::start(net, "mta-sts.example.net", &named).await;
    announce(net, "1");
    (mx, host)
}

/// Offers REQUIRETLS.
fn knowing(net: &Internet) -> Setup<'_> {
    net.mx("example.net").with("REQUIRETLS")
}

#[tokio::test]
async fn it_goes_over_verified_tls_with_its_parameter_also_after_a_restart() {
    let net = Internet::new().await;
    let (mx, host) = world(&net, knowing(&net).tls().on("RCPT", "451 4.3.0 later")).await;
    let mta = net.mta(&host.keys()).await;
    assert!(was_taken(&submit(&mta, "ann@example.net").await));
    let id = mta.deferral("ann@example.net").await.id().to_owned();
    mta.at_rest().await;
    let entry = mta.get(&format!("/api/v1/queue/{id}")).await;
    assert!(
        entry
            .to_string()
            .contains("REQUIRETLS: over verified TLS alone"),
        "{entry}"
    );
    let mta = mta.restart().await;
    mx.behave();
    net.clock.advance(Duration::from_secs(86_400));
    let delivered = mta.outcome("ann@example.net").await;
    assert_eq!(delivered.kind(), "delivered");
    assert_eq!(delivered.0["tls"]["policy"], "requiretls");
    let message = mx.only();
    assert_eq!(message.tls, Some("TLSv1.3"));
    assert!(
        message.parameters.contains("REQUIRETLS"),
        "{}",
        message.parameters
    );
    net.check(&mta).await;
}

/// Once a handshake that broke off ended the message for good.
#[tokio::test]
async fn a_host_that_puts_tls_off_is_asked_again() {
    for said in ["454 4.7.0 TLS not available now", "close"] {
        let net = Internet::new().await;
        let (mx, host) = world(&net, knowing(&net).tls().on("STARTTLS", said)).await;
        let mta = net.mta(&host.keys()).await;
        assert!(was_taken(&submit(&mta, "ann@example.net").await));
        let deferred = mta.deferral("ann@example.net").await;
        mx.behave();
        net.advance_to(deferred.until());
        assert_eq!(mta.outcome("ann@example.net").await.kind(), "delivered");
        net.check(&mta).await;
    }
}

#[tokio::test]
async fn it_bounces_where_a_host_lacks_it_and_other_mail_goes_there() {
    let net = Internet::new().await;
    let (mx, host) = world(&net, net.mx("example.net").tls()).await;
    let mta = net.mta(&host.keys()).await;
    assert!(was_taken(&submit(&mta, "ann@example.net").await));
    let bounced = mta.outcome("ann@example.net").await;
    assert_eq!((bounced.kind(), bounced.enhanced()), ("bounced", "5.7.30"));
    assert_eq!(bounced.0["class"], "config");
    let text = bounced.0["reply"]["text"].as_str().unwrap();
    assert!(text.contains("mx.example.net does not offer it"), "{text}");
    mta.inject("", &["bob@example.net"]).await;
    assert_eq!(mta.outcome("bob@example.net").await.kind(), "delivered");
    assert!(!mx.only().parameters.contains("REQUIRETLS"));
    net.check(&mta).await;
}

#[tokio::test]
async fn it_bounces_in_clear_with_a_certificate_of_nobody_and_where_nobody_vouches_for_the_host() {
    for (case, code, says) in [
        (0, "5.7.30", "does not offer it"),
        (1, "5.7.10", "encryption needed"),
        (2, "5.7.30", "publishes no MTA-STS policy"),
    ] {
        let net = Internet::new().await;
        let setup = match case {
            0 => knowing(&net),
            1 => knowing(&net).tls_self_signed(),
            _ => knowing(&net).tls(),
        };
        let (mx, host) = world(&net, setup).await;
        if case == 2 {
            net.dns.remove("_mta-sts.example.net");
        }
        let mta = net.mta(&host.keys()).await;
        assert!(was_taken(&submit(&mta, "ann@example.net").await));
        let bounced = mta.outcome("ann@example.net").await;
        assert_eq!((bounced.kind(), bounced.enhanced()), ("bounced", code));
        let text = bounced.0["reply"]["text"].as_str().unwrap();
        assert!(text.contains(says), "{text}");
        assert!(mx.messages().is_empty());
        net.check(&mta).await;
    }
}

#[tokio::test]
async fn a_route_that_never_encrypts_is_not_taken_and_one_that_verifies_is() {
    for (tls, kind) in [("off", "bounced"), ("verify", "delivered")] {
        let net = Internet::new().await;
        let mx = net.mx("example.net").tls().with("REQUIRETLS").start().await;
        let route = format!("[[route]]\ndomain = \"example.net\"\ntls = \"{tls}\"\n");
        let mta = net.mta(&route).await;
        assert!(was_taken(&submit(&mta, "ann@example.net").await));
        assert_eq!(mta.outcome("ann@example.net").await.kind(), kind);
        assert_eq!(mx.messages().len(), usize::from(kind == "delivered"));
        net.check(&mta).await;
    }
}

#[tokio::test]
async fn its_notice_asks_the_same_and_has_the_header_section_alone() {
    let net = Internet::new().await;
    let (_mx, host) = world(&net, net.mx("example.net").tls()).await;
    let back = net.mx("shop.test").tls().with("REQUIRETLS").start().await;
    let mta = net.mta(&host.keys()).await;
    assert!(was_taken(&submit(&mta, "ann@example.net").await));
    assert_eq!(mta.outcome("s@shop.test").await.kind(), "delivered");
    let notice = back.only();
    assert!(
        notice.parameters.contains("REQUIRETLS"),
        "{}",
        notice.parameters
    );
    let text = String::from_utf8_lossy(&notice.content).into_owned();
    assert!(
        text.contains("Subject: secret") && !text.contains("Hush."),
        "{text}"
    );
    net.check(&mta).await;

    // RFC 8689 §5: where it cannot be had, the notice is not lost.
    let net = Internet::new().await;
    let (_mx, host) = world(&net, net.mx("example.net").tls()).await;
    let back = net.mx("shop.test").start().await;
    let mta = net.mta(&host.keys()).await;
    assert!(was_taken(&submit(&mta, "ann@example.net").await));
    assert_eq!(mta.outcome("s@shop.test").await.kind(), "delivered");
    assert_eq!(back.only().tls, None);
    net.check(&mta).await;
}

#[tokio::test]
async fn in_clear_it_is_neither_offered_nor_taken() {
    let net = Internet::new().await;
    let mta = net.mta("").await;
    let connection = connect(mta.smtp, Policy::Off).await;
    assert!(!connection.offers().requiretls);
    connection.quit().await;
    let mut talk = crate::talk::Talk::open(mta.smtp).await;
    let refused = talk.say("MAIL FROM:<s@shop.test> REQUIRETLS").await;
    assert!(refused.starts_with("530 5.7.10"), "{refused}");
    net.check(&mta).await;
}

#[tokio::test]
async fn tls_required_no_passes_over_what_the_domain_asks() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let asked = policy("enforce", "mx.example.net");
    let host = PolicyHost::start(&net, "mta-sts.example.net", &asked).await;
    announce(&net, "1");
    let mta = net.mta(&host.keys()).await;
    let text = "From: <s@shop.test>\r\nTLS-Required: No\r\n\r\nYour TLS is broken.\r\n";
    mta.inject_text("", &["ann@example.net"], text).await;
    assert_eq!(mta.outcome("ann@example.net").await.kind(), "delivered");
    assert_eq!(mx.only().header("TLS-Required").as_deref(), Some("No"));
    mta.inject("", &["bob@example.net"]).await;
    assert_eq!(mta.deferral("bob@example.net").await.enhanced(), "4.7.5");
    net.check(&mta).await;
}

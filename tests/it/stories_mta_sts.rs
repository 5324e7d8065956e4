//! What recipients' domains ask of those who send to them (RFC 8461): kept, and never fallen back from.

use crate::internet::{Internet, Mx};
use crate::mta::Mta;
use mailwright::peers::dns::Record;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const DAY: Duration = Duration::from_secs(86_400);

/// `mta-sts.example.net` with what it answers.
pub struct PolicyHost {
    port: u16,
    answer: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl PolicyHost {
    /// Shows a certificate for `name`, which is its own or not.
    pub async fn start(net: &Internet, name: &str, policy: &str) -> Self {
        let address = net.address();
        let socket = TcpListener::bind((address, 0)).await.unwrap();
        let host = Self {
            port: socket.local_addr().unwrap().port(),
            answer: Arc::new(Mutex::new(ok(policy))),
            asked: Arc::default(),
        };
        net.dns.add("mta-sts.example.net", Record::A(address));
        let acceptor = TlsAcceptor::from(net.ca.server(name));
        let (answer, asked) = (Arc::clone(&host.answer), Arc::clone(&host.asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                asked.fetch_add(1, Ordering::Relaxed);
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                assert!(request.starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\n"));
                let answer = answer.lock().clone();
                let _gone = stream.write_all(answer.as_bytes()).await;
                let _gone = stream.shutdown().await;
            }
        });
        host
    }

    fn publish(&self, net: &Internet, id: &str, policy: &str) {
        *self.answer.lock() = ok(policy);
        announce(net, id);
    }

    /// Has no file any more.
    pub fn refuse(&self) {
        *self.answer.lock() = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned();
    }

    pub fn keys(&self) -> String {
        format!("[mta_sts]\nport = {}\n", self.port)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn ok(policy: &str) -> String {
    let length = policy.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{policy}"
    )
}

pub fn announce(net: &Internet, id: &str) {
    let text = Record::Txt(format!("v=STSv1; id={id};"));
    net.dns.set("_mta-sts.example.net", [text]);
}

pub fn policy(mode: &str, mx: &str) -> String {
    format!("version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: 604800\r\n")
}

async fn send(mta: &Mta) {
    mta.inject("s@shop.test", &["ann@example.net"]).await;
}

fn tls_of(mx: &Mx) -> Vec<Option<&'static str>> {
    mx.messages().iter().map(|message| message.tls).collect()
}

#[tokio::test]
async fn mail_goes_to_the_hosts_of_the_policy_with_certificates_that_verify() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").tls().start().await;
    let host = PolicyHost::start(
        &net,
        "mta-sts.example.net",
        &policy("enforce", "*.example.net"),
    )
    .await;
    announce(&net, "1");
    let mta = net.mta(&host.keys()).await;
    send(&mta).await;
    let delivered = mta.outcome("ann@example.net").await;
    assert_eq!(delivered.kind(), "delivered");
    assert_eq!(delivered.0["tls"]["policy"], "mta-sts");
    assert_eq!(tls_of(&mx), [Some("TLSv1.3")]);
    let explained = mta
        .get("/api/v1/explain?from=s@shop.test&to=ann@example.net")
        .await;
    assert_eq!(explained["asks"], "MTA-STS, enforce: *.example.net");
    assert_eq!(explained["tls"], "verify");
    assert_eq!(host.asked(), 1, "the second question needs no file");
    net.check(&mta).await;
}

#[tokio::test]
async fn who_strips_starttls_gets_no_mail_in_clear() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let host = PolicyHost::start(
        &net,
        "mta-sts.example.net",
        &policy("enforce", "mx.example.net"),
    )
    .await;
    announce(&net, "1");
    let mta = net.mta(&host.keys()).await;
    send(&mta).await;
    let deferred = mta.deferral("ann@example.net").await;
    assert_eq!(deferred.enhanced(), "4.7.5");
    let text = deferred.0["reply"]["text"].as_str().unwrap();
    assert!(
        text.contains("the MTA-STS policy of example.net is enforced"),
        "{text}"
    );
    // The domain takes its policy back: what waits goes.
    host.publish(&net, "2", "version: STSv1\nmode: none\nmax_age: 86400\n");
    net.clock.advance(DAY);
    assert_eq!(mta.outcome("ann@example.net").await.kind(), "delivered");
    assert_eq!(tls_of(&mx), [None]);
    net.check(&mta).await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_the_hosts() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").tls_as("mx.evil.test").start().await;
    let host = PolicyHost::start(
        &net,
        "mta-sts.example.net",
        &policy("enforce", "mx.example.net"),
    )
    .await;
    announce(&net, "1");
    let mta = net.mta(&host.keys()).await;
    send(&mta).await;
    assert_eq!(mta.deferral("ann@example.net").await.enhanced(), "4.7.5");
    assert_eq!(tls_of(&mx), []);
    net.check(&mta).await;
}

#[tokio::test]
async fn hosts_that_the_policy_does_not_name_are_passed_over() {
    let net = Internet::new().await;
    let evil = net
        .host("mx.evil.test")
        .serves("example.net", 1)
        .tls()
        .start()
        .await;
    let mx = net
        .host("mx.example.net")
        .serves("example.net", 20)
        .tls()
        .start()
        .await;
    let host = PolicyHost::start(
        &net,
        "mta-sts.example.net",
        &policy("enforce", "mx.example.net"),
    )
    .await;
    announce(&net, "1");
    let mta = net.mta(&host.keys()).await;
    send(&mta).await;
    assert_eq!(mta.outcome("ann@example.net").await.kind(), "delivered");
    assert_eq!((tls_of(&evil).len(), tls_of(&mx).len()), (0, 1));

    // And where the policy names none of them, the mail waits and says so.
    host.publish(&net, "2", &policy("enforce", "other.example.net"));
    net.clock.advance(DAY);
    mta.inject("s@shop.test", &["bob@example.net"]).await;
    let deferred = mta.deferral("bob@example.net").await;
    let text = deferred.0["reply"]["text"].as_str().unwrap();
    assert!(text.contains("allows none of its MX hosts"), "{text}");
    assert!(text.contains("other.example.net"), "{text}");
    net.check(&mta).await;
}

#[tokio::test]
async fn a_policy_that_was_fetched_holds_though_record_and_file_are_hidden_and_over_a_restart() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let host = PolicyHost::start(
        &net,
        "mta-sts.example.net",
        &policy("enforce", "mx.example.net"),
    )
    .await;
    announce(&net, "1");
    let mta = net.mta(&host.keys()).await;
    send(&mta).await;
    mta.deferral("ann@example.net").await;
    net.dns.remove("_mta-sts.example.net");
    host.refuse();
    let mta = mta.restart().await;
    net.clock.advance(DAY);
    let again = |event: &crate::journal::Event| event.is("deferred", "ann@example.net");
    let again = mta.journal.nth(2, "second deferral", again).await;
    assert_eq!(again.enhanced(), "4.7.5");
    // A week after it was fetched it is over.
    net.clock.advance(7 * DAY);
    mta.inject("s@shop.test", &["cyd@example.net"]).await;
    assert_eq!(mta.outcome("cyd@example.net").await.kind(), "delivered");
    assert_eq!(tls_of(&mx).first(), Some(&None));
    net.check(&mta).await;
}

#[tokio::test]
async fn what_cannot_be_had_or_believed_is_no_policy() {
    for (name, answer) in [
        ("mx.evil.test", ok(&policy("enforce", "mx.example.net"))),
        (
            "mta-sts.example.net",
            "HTTP/1.1 301 Moved\r\nLocation: https://evil.test/\r\nContent-Length: 0\r\n\r\n"
                .into(),
        ),
        ("mta-sts.example.net", ok("version: STSv1\nmode: enforce\n")),
        (
            "mta-sts.example.net",
            ok(&policy("testing", "other.example.net")),
        ),
    ] {
        let net = Internet::new().await;
        let mx = net.mx("example.net").start().await;
        let host = PolicyHost::start(&net, name, "").await;
        *host.answer.lock() = answer;
        announce(&net, "1");
        let mta = net.mta(&host.keys()).await;
        send(&mta).await;
        assert_eq!(mta.outcome("ann@example.net").await.kind(), "delivered");
        assert_eq!(tls_of(&mx), [None]);
        net.check(&mta).await;
    }
}

#[tokio::test]
async fn a_route_that_says_its_own_tls_is_the_operators_word() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let host = PolicyHost::start(
        &net,
        "mta-sts.example.net",
        &policy("enforce", "mx.example.net"),
    )
    .await;
    announce(&net, "1");
    let route = "[[route]]\ndomain = \"example.net\"\ntls = \"opportunistic\"\n";
    let mta = net.mta(&format!("{}{route}", host.keys())).await;
    send(&mta).await;
    assert_eq!(mta.outcome("ann@example.net").await.kind(), "delivered");
    assert_eq!((tls_of(&mx), host.asked()), (vec![None], 0));
    net.check(&mta).await;
}

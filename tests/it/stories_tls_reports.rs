//! TLS reports of our own sending (RFC 8460): what sessions came to, told once a day to whom the domain names.

use crate::internet::{Internet, Mx};
use crate::journal::Event;
use crate::mta::Mta;
use crate::stories_mta_sts::{PolicyHost, announce, policy};
use mailwright::auth::dkim::{Algorithm, generate};
use mailwright::peers::dns::Record;
use mailwright::peers::redis::RedisServer;
use mailwright::reports::tls::TlsReport;
use mailwright::reports::{self, Report};
use mailwright::store::{Config, Store, Written};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const DAY: Duration = Duration::from_secs(86_400);

/// Keys that report as the shop.
fn reporting(net: &Internet) -> String {
    let key = net.path("shop.pem");
    generate(Algorithm::Ed25519, &key).expect("a key");
    let key = key.display();
    format!(
        "[reports.tls]\norganization = \"Shop\"\nfrom = \"tls@shop.test\"\n\
         [[dkim]]\ndomain = \"shop.test\"\nselector = \"s1\"\nkey = \"{key}\"\n"
    )
}

fn wants(net: &Internet, domain: &str, rua: &str) {
    let text = Record::Txt(format!("v=TLSRPTv1; rua={rua}"));
    net.dns.set(&format!("_smtp._tls.{domain}"), [text]);
}

fn is_told(reason: &'static str) -> impl Fn(&Event) -> bool {
    move |event| event.kind() == "tls" && event.0["reason"] == reason
}

/// Reports of yesterday leave now.
async fn tomorrow(net: &Internet, mta: &Mta, nth: usize) -> Event {
    net.clock.advance(DAY);
    mta.journal.nth(nth, "report", is_told("report-sent")).await
}

fn read(octets: &[u8]) -> TlsReport {
    match reports::read(octets) {
        Ok(Report::Tls(report)) => report,
        other => panic!("{other:?}"),
    }
}

fn came_to(mx: &Mx) -> Vec<Arc<mailwright::peers::sink::Message>> {
    let mut all = mx.messages();
    all.retain(|message| message.header("TLS-Report-Domain").is_some());
    all
}

#[tokio::test]
async fn a_domain_is_told_by_signed_mail_what_sessions_came_to_once_a_day() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").tls().start().await;
    let plain = net.mx("plain.test").start().await;
    let asked = policy("enforce", "mx.example.net");
    let host = PolicyHost::start(&net, "mta-sts.example.net", &asked).await;
    announce(&net, "1");
    wants(&net, "example.net", "mailto:reports@plain.test");
    wants(&net, "plain.test", "mailto:reports@plain.test");
    let _zed = net.mx("zed.test").tls().start().await;
    wants(&net, "zed.test", "mailto:reports@plain.test");
    let mta = net.mta(&(reporting(&net) + &host.keys())).await;
    for to in ["ann@example.net", "bob@plain.test"] {
        mta.inject("s@shop.test", &[to]).await;
        assert_eq!(mta.outcome(to).await.kind(), "delivered");
    }
    // What was counted is there after a restart.
    let mta = mta.restart().await;
    tomorrow(&net, &mta, 2).await;
    let delivered = |event: &Event| event.is("delivered", "reports@plain.test");
    mta.journal.nth(2, "report", delivered).await;
    let messages = came_to(&plain);
    assert_eq!(messages.len(), 2);
    let mut sums: Vec<_> = messages
        .iter()
        .map(|message| {
            assert!(
                message
                    .header("DKIM-Signature")
                    .is_some_and(|s| s.contains("d=shop.test"))
            );
            assert_eq!(message.header("TLS-Required").as_deref(), Some("No"));
            assert_eq!(
                message.header("TLS-Report-Submitter").as_deref(),
                Some("shop.test")
            );
            assert_eq!(&*message.sender, "tls@shop.test");
            let report = read(&message.content);
            assert_eq!(report.organization.as_deref(), Some("Shop"));
            let [policy] = report.policies.as_slice() else {
                panic!("{report:?}")
            };
            let types: Vec<_> = policy.failure_types.clone().into_iter().collect();
            let (domain, kind) = (policy.domain.clone(), policy.kind.clone());
            (domain.unwrap(), kind.unwrap(), policy.success, types)
        })
        .collect();
    sums.sort();
    let lacks = ("starttls-not-supported".to_owned(), 1);
    assert_eq!(
        sums,
        [
            ("example.net".to_owned(), "sts".to_owned(), 1, vec![]),
            (
                "plain.test".to_owned(),
                "no-policy-found".to_owned(),
                0,
                vec![lacks]
            ),
        ]
    );
    assert_eq!(mx.messages().len(), 1);
    // Neither a restart nor another day brings it again: reports are no sessions that are counted.
    let mta = mta.restart().await;
    net.clock.advance(DAY);
    // Reports go by their domains' names: one of plain.test would go first.
    mta.inject("s@shop.test", &["cyd@zed.test"]).await;
    assert_eq!(mta.outcome("cyd@zed.test").await.kind(), "delivered");
    tomorrow(&net, &mta, 3).await;
    mta.journal.nth(3, "report", delivered).await;
    let messages = came_to(&plain);
    assert_eq!(messages.len(), 3);
    let last = messages[2].header("TLS-Report-Domain");
    assert_eq!(last.as_deref(), Some("zed.test"));
    net.check(&mta).await;
}

#[tokio::test]
async fn a_failure_is_told_with_its_kind_although_the_domain_would_have_it_kept_back() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").tls_as("mx.evil.test").start().await;
    let asked = policy("enforce", "mx.example.net");
    let host = PolicyHost::start(&net, "mta-sts.example.net", &asked).await;
    announce(&net, "1");
    wants(&net, "example.net", "mailto:reports@example.net");
    let mta = net.mta(&(reporting(&net) + &host.keys())).await;
    mta.inject("s@shop.test", &["ann@example.net"]).await;
    mta.deferral("ann@example.net").await;
    tomorrow(&net, &mta, 1).await;
    assert_eq!(mta.outcome("reports@example.net").await.kind(), "delivered");
    let message = mx.only();
    let report = read(&message.content);
    assert_eq!(report.success(), 0);
    assert!(report.failure_types()["certificate-host-mismatch"] >= 1);
    net.check(&mta).await;
}

#[tokio::test]
async fn a_policy_in_testing_is_looked_at_and_one_that_cannot_be_had_is_told() {
    for (testing, result) in [
        (true, "certificate-not-trusted"),
        (false, "sts-policy-fetch-error"),
    ] {
        let net = Internet::new().await;
        let mx = net.mx("example.net").tls_self_signed().start().await;
        let asked = policy("testing", "mx.example.net");
        let host = PolicyHost::start(&net, "mta-sts.example.net", &asked).await;
        if !testing {
            host.refuse();
        }
        announce(&net, "1");
        wants(&net, "example.net", "mailto:reports@example.net");
        let mta = net.mta(&(reporting(&net) + &host.keys())).await;
        mta.inject("s@shop.test", &["ann@example.net"]).await;
        assert_eq!(mta.outcome("ann@example.net").await.kind(), "delivered");
        tomorrow(&net, &mta, 1).await;
        assert_eq!(mta.outcome("reports@example.net").await.kind(), "delivered");
        let report = read(&came_to(&mx)[0].content);
        assert_eq!((report.success(), report.failure_types()[result]), (0, 1));
        assert_eq!(report.policies[0].kind.as_deref(), Some("sts"));
        net.check(&mta).await;
    }
}

/// Takes what is posted, and answers each with the next of `answers`.
async fn collector(
    net: &Internet,
    answers: &'static [&'static str],
) -> (String, Arc<Mutex<Vec<Vec<u8>>>>) {
    let address = net.address();
    let socket = TcpListener::bind((address, 0)).await.unwrap();
    let port = socket.local_addr().unwrap().port();
    net.dns.add("collector.test", Record::A(address));
    let acceptor = TlsAcceptor::from(net.ca.server("collector.test"));
    let posted: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let kept = Arc::clone(&posted);
    tokio::spawn(async move {
        for answer in answers {
            let (stream, _) = socket.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let request = request(&mut stream).await;
            kept.lock().push(request);
            let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _gone = stream.shutdown().await;
        }
    });
    (format!("https://collector.test:{port}/v1/tlsrpt"), posted)
}

/// A whole request: its head as it came, its body behind it.
async fn request(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut octets = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0, "the request was cut off");
        octets.extend_from_slice(&piece[..read]);
        let Some(end) = octets.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&octets[..end]).to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        if octets.len() >= end + 4 + length {
            return octets;
        }
    }
}

#[tokio::test]
async fn a_report_is_posted_and_one_that_is_refused_is_posted_again() {
    let net = Internet::new().await;
    let _mx = net.mx("example.net").tls().start().await;
    let (url, posted) = collector(&net, &["503 Busy", "201 Created"]).await;
    wants(&net, "example.net", &url);
    let mta = net.mta(&reporting(&net)).await;
    mta.inject("s@shop.test", &["ann@example.net"]).await;
    assert_eq!(mta.outcome("ann@example.net").await.kind(), "delivered");
    net.clock.advance(DAY);
    let failed = mta
        .journal
        .nth(1, "failure", is_told("report-failed"))
        .await;
    assert!(failed.text("why").contains("it answered 503"), "{failed:?}");
    net.clock.advance(Duration::from_secs(3600));
    mta.journal.nth(1, "report", is_told("report-sent")).await;
    let posted = posted.lock().clone();
    assert_eq!(posted.len(), 2);
    let end = posted[1]
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let (head, body) = posted[1].split_at(end + 4);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    assert!(head.starts_with("post /v1/tlsrpt http/1.1\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/tlsrpt+gzip\r\n"),
        "{head}"
    );
    assert_eq!((read(body).success(), read(body).failure()), (1, 0));
    net.check(&mta).await;
}

/// Once the counts went with the other node's note, and where it failed then nobody was told.
#[tokio::test]
async fn counts_stay_while_another_node_may_be_telling_them() {
    let net = Internet::new().await;
    let redis = RedisServer::start().await.expect("a redis-server");
    let _plain = net.mx("plain.test").start().await;
    let (_a, _z) = (
        net.mx("example.net").tls().start().await,
        net.mx("zed.test").tls().start().await,
    );
    for domain in ["example.net", "zed.test"] {
        wants(&net, domain, "mailto:reports@plain.test");
    }
    let url = redis.url();
    let keys = format!("[state]\nurl = \"{url}\"\n{}", reporting(&net));
    let mta = net.mta(&keys).await;
    for to in ["ann@example.net", "bob@zed.test"] {
        mta.inject("s@shop.test", &[to]).await;
        assert_eq!(mta.outcome(to).await.kind(), "delivered");
    }
    let config = Config {
        url: url.into(),
        ca: None,
    };
    let other = Store::open(&config, redis.dir(), net.clock.clone()).await;
    let other = other.expect("the store");
    let note = br#"["mailto:reports@plain.test"]"#;
    let noted = other.put("tlsrpt/sent/2026-11-22/example.net", 0, note);
    let noted = noted.await.expect("the note");
    assert!(matches!(noted, Written::Yes(_)));
    let sent = tomorrow(&net, &mta, 1).await;
    assert_eq!(sent.0["domain"], "zed.test");
    let counts = other.get("tlsrpt/count/2026-11-22/example.net").await;
    assert!(counts.expect("an answer").is_some());
    net.check(&mta).await;
}

#[tokio::test]
async fn who_names_nobody_is_told_nothing_and_without_a_key_nobody_is() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").tls().start().await;
    let other = net.mx("other.test").tls().start().await;
    wants(&net, "other.test", "mailto:reports@other.test");
    let keys = "[reports.tls]\norganization = \"Shop\"\nfrom = \"tls@shop.test\"\n";
    let mta = net.mta(keys).await;
    for to in ["ann@example.net", "bob@other.test"] {
        mta.inject("s@shop.test", &[to]).await;
        assert_eq!(mta.outcome(to).await.kind(), "delivered");
    }
    net.clock.advance(DAY);
    let failed = mta
        .journal
        .nth(1, "failure", is_told("report-failed"))
        .await;
    assert_eq!(failed.text("domain"), "other.test");
    assert!(
        failed
            .text("why")
            .contains("no [[dkim]] key signs for shop.test"),
        "{failed:?}"
    );
    assert_eq!((came_to(&mx).len(), came_to(&other).len()), (0, 0));
    net.check(&mta).await;
}

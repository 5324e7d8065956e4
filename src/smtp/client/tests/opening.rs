//! From connecting to the first transaction.

use super::*;

#[tokio::test]
async fn greetings_are_sorted_into_statements_and_faults() {
    for (greeting, said) in [
        ("554 5.7.1 go away\r\n", true),
        ("421 4.3.2 busy\r\n", true),
        ("HTTP/1.1 400 Bad Request\r\n", false),
        ("354 what\r\n", false),
        ("220 hello\r\n250 too early\r\n", false),
        ("220-half", false),
        ("", false),
    ] {
        let (address, server) = serve(move |mut s| async move { s.say(greeting).await }).await;
        let failure = open(address).await.err().unwrap();
        server.await.unwrap();
        assert!(failure.worth_another_address(), "{greeting}: {failure}");
        assert_eq!(
            matches!(failure, Failure::Said(_)),
            said,
            "{greeting}: {failure}"
        );
        if !said {
            assert!(
                matches!(failure, Failure::Connection(_)),
                "{greeting}: {failure}"
            );
            assert!(failure.reply().local && !failure.reply().is_permanent());
        }
    }
}

#[tokio::test]
async fn silence_is_a_failure_of_the_phase_it_meets() {
    let (address, _server) = serve(|s| async move { s.rest().await }).await;
    let timeouts = Timeouts {
        greeting: Span::millis(20),
        ..Timeouts::default()
    };
    let opened = Connection::open(&target(address), &timeouts, &client_tls()).await;
    let failure = opened.err().unwrap();
    assert_eq!(phase(&failure), "greeting");
    assert!(failure.reply().text.contains("20ms"), "{failure}");
}

#[tokio::test]
async fn nobody_listening_is_a_connection_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let failure = open(address).await.err().unwrap();
    assert!(failure.worth_another_address());
    assert_eq!(phase(&failure), "connect");
    assert_eq!(failure.reply().enhanced, Some(EnhancedCode(4, 4, 1)));
}

#[tokio::test]
async fn the_source_is_bound_before_connecting() {
    let (address, server) = serve(|mut s| async move {
        s.hello(&[]).await;
        s.stream.peer_addr().unwrap().ip()
    })
    .await;
    let source: IpAddr = "127.0.0.9".parse().unwrap();
    let mut target = target(address);
    target.source = Some(source);
    let opened = Connection::open(&target, &Timeouts::default(), &client_tls()).await;
    assert!(opened.is_ok());
    assert_eq!(server.await.unwrap(), source);
    target.source = Some("192.0.2.1".parse().unwrap());
    let opened = Connection::open(&target, &Timeouts::default(), &client_tls()).await;
    let failure = opened.err().unwrap();
    assert!(matches!(failure, Failure::Local(_)), "{failure}");
}

#[tokio::test]
async fn helo_serves_where_ehlo_does_not() {
    let (address, server) = serve(|mut s| async move {
        s.say("220 old\r\n").await;
        s.line().await;
        s.say("500 what\r\n").await;
        assert_eq!(s.line().await, "HELO mta.test");
        s.say("250 hi\r\n").await;
    })
    .await;
    let connection = open(address).await.unwrap();
    assert_eq!(connection.offers(), &EhloLines::default());
    server.await.unwrap();
}

/// A certificate for `mx.test` from a CA of its own, and a file with that CA.
struct Authority {
    acceptor: tokio_rustls::TlsAcceptor,
    ca_file: tempfile::NamedTempFile,
}

fn authority() -> Authority {
    let made = rcgen::generate_simple_self_signed(["mx.test".to_owned()]).unwrap();
    let ca_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca_file.path(), made.cert.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    Authority {
        acceptor: Arc::new(config).into(),
        ca_file,
    }
}

/// Greets, offers STARTTLS and goes through with it; offers PIPELINING only under TLS.
async fn secured(mut s: Server, acceptor: tokio_rustls::TlsAcceptor) {
    s.hello(&["STARTTLS", "CHUNKING"]).await;
    assert_eq!(s.line().await, "STARTTLS");
    s.say("220 go\r\n").await;
    let Ok(stream) = acceptor.accept(s.stream).await else {
        return;
    };
    let mut s = Server::new(stream);
    s.ehlo(&["PIPELINING"]).await;
    s.until("DATA\r\n").await;
    s.say("250 ok\r\n250 ok\r\n354 go\r\n").await;
    s.until("\r\n.\r\n").await;
    s.say("250 ok\r\n").await;
}

#[tokio::test]
async fn every_encrypting_policy_speaks_tls_where_it_is_offered() {
    let authority = authority();
    let trusting = ClientTls::new(&crate::tls::client::Config {
        ca_file: Some(authority.ca_file.path().into()),
    })
    .unwrap();
    for policy in [Policy::Opportunistic, Policy::Required, Policy::Verify] {
        let acceptor = authority.acceptor.clone();
        let (address, server) = serve(|s| secured(s, acceptor)).await;
        let mut target = target(address);
        target.tls = policy;
        let opened = Connection::open(&target, &Timeouts::default(), &trusting).await;
        let mut connection = opened.unwrap();
        assert_eq!(connection.tls_version(), Some("TLSv1.3"));
        assert!(
            !connection.offers().chunking,
            "what was said in clear is forgotten"
        );
        let done = send(&mut connection, &["a@t.test"]).await;
        assert_eq!(done.said_to(0).unwrap().code, 250);
        server.await.unwrap();
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_is_refused_where_that_is_asked() {
    let authority = authority();
    let trusting = ClientTls::new(&crate::tls::client::Config {
        ca_file: Some(authority.ca_file.path().into()),
    })
    .unwrap();
    for (tls, host) in [(&client_tls(), "mx.test"), (&trusting, "other.test")] {
        let acceptor = authority.acceptor.clone();
        let (address, server) = serve(|s| secured(s, acceptor)).await;
        let mut target = target(address);
        (target.tls, target.host) = (Policy::Verify, host);
        let opened = Connection::open(&target, &Timeouts::default(), tls).await;
        let failure = opened.err().unwrap();
        assert!(matches!(failure, Failure::Tls(..)), "{failure}");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn starttls_that_is_missing_refused_or_broken_is_a_tls_fault() {
    let (missing, offered): (&[&str], &[&str]) = (&[], &["STARTTLS"]);
    for (policy, keywords, answer) in [
        (Policy::Required, missing, None),
        (Policy::Verify, missing, None),
        (Policy::Opportunistic, offered, Some("454 4.7.0 no\r\n")),
        (Policy::Opportunistic, offered, Some("220 go\r\n")),
        (Policy::Opportunistic, offered, Some("")),
    ] {
        let (address, server) = serve(move |mut s| async move {
            s.hello(keywords).await;
            if let Some(answer) = answer {
                s.line().await;
                s.say(answer).await;
            }
        })
        .await;
        let mut target = target(address);
        target.tls = policy;
        let opened = Connection::open(&target, &Timeouts::default(), &client_tls()).await;
        let failure = opened.err().unwrap();
        assert!(matches!(failure, Failure::Tls(..)), "{failure}");
        assert_eq!(phase(&failure), "STARTTLS");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn octets_in_clear_behind_the_answer_to_starttls_are_an_injection() {
    let authority = authority();
    for injected in ["250-evil\r\n250 PIPELINING\r\n", "25"] {
        let acceptor = authority.acceptor.clone();
        let (address, server) = serve(move |mut s| async move {
            s.hello(&["STARTTLS"]).await;
            s.line().await;
            s.say(&format!("220 go\r\n{injected}")).await;
            acceptor.accept(s.stream).await.is_ok()
        })
        .await;
        let mut target = target(address);
        target.tls = Policy::Required;
        let opened = Connection::open(&target, &Timeouts::default(), &client_tls()).await;
        let failure = opened.err().unwrap();
        assert!(failure.reply().text.contains("injection"), "{failure}");
        assert!(!server.await.unwrap());
    }
}

#[test]
fn conversations_can_move_between_threads() {
    fn send<T: Send>(_: &T) {}
    let (tls, timeouts) = (client_tls(), Timeouts::default());
    let target = target(SocketAddr::from(([127, 0, 0, 1], 25)));
    send(&Connection::open(&target, &timeouts, &tls));
}

//! Real sockets before a door that records.

use super::*;
use crate::auth::ClientInfo;
use crate::auth::credentials::{self, Tenant, Tenants};
use crate::clock::Clock;
use crate::events::Sink;
use crate::mail::{Address, EnhancedCode, Envelope, MessageId};
use crate::units::{Span, Timestamp};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

/// Messages that came in whole, and how many were opened and dropped.
#[derive(Default)]
struct Recorder {
    taken: Mutex<Vec<(ClientInfo, Envelope, Vec<u8>)>>,
    open: Arc<()>,
    full: std::sync::atomic::AtomicBool,
    /// The recipients of each question.
    asked: Mutex<Vec<Vec<String>>>,
}

struct Recording {
    door: Arc<Recorder>,
    client: ClientInfo,
    envelope: Envelope,
    content: Vec<u8>,
    _open: Arc<()>,
}

impl Door for Arc<Recorder> {
    type Reception = Recording;
    fn accepting(&self) -> Result<(), Reply> {
        if self.full.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(Reply::local(452, EnhancedCode(4, 3, 1), "no space", "MAIL"));
        }
        Ok(())
    }
    async fn recipients(
        &self,
        recipients: &[Address],
        _: Option<&Tenant>,
    ) -> Vec<Result<(), Reply>> {
        let asked = recipients.iter().map(ToString::to_string).collect();
        self.asked.lock().push(asked);
        let answer = |to: &Address| match to.local() {
            "gone" => Err(Reply::local(550, EnhancedCode(5, 7, 1), "gone", "RCPT")),
            _ => Ok(()),
        };
        recipients.iter().map(answer).collect()
    }
    fn begin(&self, client: ClientInfo, envelope: Envelope) -> Result<Recording, Reply> {
        Ok(Recording {
            door: self.clone(),
            client,
            envelope,
            content: Vec::new(),
            _open: self.open.clone(),
        })
    }
}

impl Reception for Recording {
    async fn push(&mut self, octets: &[u8]) -> Result<(), Reply> {
        self.content.extend_from_slice(octets);
        Ok(())
    }
    async fn finish(self) -> Result<MessageId, Reply> {
        let whole = (self.client, self.envelope, self.content);
        self.door.taken.lock().push(whole);
        Ok(MessageId(1))
    }
}

#[derive(Clone, Default)]
struct Rejections(Arc<Mutex<Vec<Event>>>);

impl Sink for Rejections {
    fn take(&self, _at: Timestamp, event: &Event) {
        self.0.lock().push(event.clone());
    }
}

struct World {
    address: SocketAddr,
    door: Arc<Recorder>,
    rejections: Rejections,
    seats: Arc<Seats>,
    cancel: CancellationToken,
    running: JoinHandle<()>,
    dir: TempDir,
}

fn gate(dir: &TempDir) -> Gate {
    let line = format!("ann:{}\n", credentials::cheap_hash("secret"));
    std::fs::write(dir.path().join("users"), line).unwrap();
    let acme = credentials::Config {
        name: "acme".into(),
        domains: vec!["acme.example".into()],
        credentials: Some("file:users".into()),
        ..Default::default()
    };
    let tenants = Tenants::load(&[acme], dir.path()).unwrap();
    let limits = credentials::Limits {
        failure_delay: Span::millis(1),
        ..Default::default()
    };
    Gate::new(
        Arc::new(ArcSwap::from_pointee(tenants)),
        &limits,
        Clock::machine(),
    )
}

async fn world(config: Config, limits: Limits) -> World {
    let dir = TempDir::new().unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (door, rejections) = (Arc::<Recorder>::default(), Rejections::default());
    let seats = Arc::<Seats>::default();
    let parts = Parts {
        config,
        limits: Arc::new(ArcSwap::from_pointee(limits)),
        hostname: "mta.test".into(),
        tls: Some(Arc::new(
            ServerTls::self_signed(dir.path(), "mta.test").unwrap(),
        )),
        gate: Arc::new(gate(&dir)),
        seats: seats.clone(),
        door: Arc::new(door.clone()),
        events: Events::new(Clock::machine(), vec![Box::new(rejections.clone())]),
    };
    let listener = Listener::new(socket, parts);
    let cancel = CancellationToken::new();
    World {
        address: listener.local_addr().unwrap(),
        running: tokio::spawn(listener.run(cancel.clone())),
        door,
        rejections,
        seats,
        cancel,
        dir,
    }
}

async fn default_world() -> World {
    world(Config::default(), Limits::default()).await
}

/// A client that says lines and hears replies.
struct Client<S>(BufReader<S>);

impl World {
    async fn connect(&self) -> Client<TcpStream> {
        let socket = TcpStream::connect(self.address).await.unwrap();
        Client(BufReader::new(socket))
    }

    async fn greeted(&self) -> Client<TcpStream> {
        let mut client = self.connect().await;
        assert!(client.hear().await.starts_with("220 "));
        client
    }

    fn connector(&self) -> TlsConnector {
        let mut roots = rustls::RootCertStore::empty();
        let path = self.dir.path().join("tls/self-signed.crt");
        roots
            .add(CertificateDer::from_pem_file(path).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }

    async fn handshake(
        &self,
        socket: TcpStream,
    ) -> Client<tokio_rustls::client::TlsStream<TcpStream>> {
        let name = ServerName::try_from("mta.test").unwrap();
        Client(BufReader::new(
            self.connector().connect(name, socket).await.unwrap(),
        ))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(octets.as_ref()).await.unwrap();
        self.0.get_mut().flush().await.unwrap();
    }

    /// The last line of the next reply; empty at the end of the connection.
    async fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await.unwrap_or(0) == 0 || line.as_bytes()[3] == b' ' {
                return line;
            }
        }
    }

    async fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.hear().await
    }

    /// Says everything up to the 354.
    async fn begin_content(&mut self) {
        self.say("EHLO c.test").await;
        self.say("MAIL FROM:<>").await;
        self.say("RCPT TO:<d@e.f>").await;
        assert!(self.say("DATA").await.starts_with("354 "));
    }

    async fn mail(&mut self, content: &str) -> String {
        self.send("MAIL FROM:<a@acme.example>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n")
            .await;
        for code in ["250", "250", "354"] {
            let heard = self.hear().await;
            assert!(heard.starts_with(code), "{heard}");
        }
        self.say(&format!("{content}\r\n.")).await
    }

    async fn at_end(&mut self) -> bool {
        let mut rest = Vec::new();
        matches!(self.0.read_to_end(&mut rest).await, Ok(0) | Err(_))
    }
}

#[tokio::test]
async fn a_trusted_client_hands_in_mail_and_shutdown_is_clean() {
    let world = default_world().await;
    let mut client = world.greeted().await;
    client.say("EHLO c.test").await;
    assert!(
        client
            .mail("Subject: x\r\n\r\n..y")
            .await
            .starts_with("250 2.0.0 Ok: queued as ")
    );
    assert!(
        client
            .mail(&"line\r\n".repeat(50_000))
            .await
            .starts_with("250 ")
    );
    {
        let taken = world.door.taken.lock();
        assert_eq!(taken[0].2, b"Subject: x\r\n\r\n.y\r\n");
        assert_eq!(taken[1].2.len(), 6 * 50_000 + 2);
        assert_eq!(
            (taken[0].0.protocol, &*taken[0].0.helo),
            ("ESMTP", "c.test")
        );
    }
    world.cancel.cancel();
    assert!(client.hear().await.starts_with("421 4.3.2 "));
    assert!(client.at_end().await);
    drop(client);
    world.running.await.unwrap();
    assert_eq!(world.seats.taken(), 0);
}

#[tokio::test]
async fn a_message_under_way_is_finished_at_shutdown() {
    let world = default_world().await;
    let mut client = world.greeted().await;
    client.begin_content().await;
    world.cancel.cancel();
    client.send("half").await;
    assert!(client.say(" and half\r\n.").await.starts_with("250 "));
    assert!(client.hear().await.starts_with("421 "));
    drop(client);
    world.running.await.unwrap();
    assert_eq!(world.door.taken.lock()[0].2, b"half and half\r\n");
}

#[tokio::test]
async fn a_client_that_leaves_within_a_message_leaves_nothing() {
    let world = default_world().await;
    let mut client = world.greeted().await;
    client.begin_content().await;
    client.send("half").await;
    drop(client);
    world.cancel.cancel();
    world.running.await.unwrap();
    assert!(world.door.taken.lock().is_empty());
    assert_eq!(Arc::strong_count(&world.door.open), 1);
}

#[tokio::test]
async fn starttls_then_auth_opens_the_tenant_and_only_its_domains() {
    let config = Config {
        relay_from: Vec::new(),
        ..Config::default()
    };
    let world = world(config, Limits::default()).await;
    let mut client = world.greeted().await;
    client.say("EHLO c.test").await;
    assert!(
        client
            .say("AUTH PLAIN AGFubgBzZWNyZXQ=")
            .await
            .starts_with("538 5.7.11 ")
    );
    assert!(client.say("STARTTLS").await.starts_with("220 "));
    let mut client = world.handshake(client.0.into_inner()).await;
    client.say("EHLO c.test").await;
    assert!(
        client
            .say("MAIL FROM:<a@acme.example>")
            .await
            .starts_with("530 ")
    );
    assert!(
        client
            .say("AUTH PLAIN AGFubgB4")
            .await
            .starts_with("535 5.7.8 ")
    );
    assert!(
        client
            .say("AUTH PLAIN AGFubgBzZWNyZXQ=")
            .await
            .starts_with("235 ")
    );
    assert!(
        client
            .say("MAIL FROM:<a@other.example>")
            .await
            .starts_with("550 5.7.1 ")
    );
    assert!(client.mail("x").await.starts_with("250 "));
    let taken = world.door.taken.lock();
    assert_eq!(
        (taken[0].0.protocol, taken[0].0.tls),
        ("ESMTPSA", Some("TLSv1.3"))
    );
    assert_eq!(&*taken[0].0.tenant.as_ref().unwrap().name, "acme");
    let events = world.rejections.0.lock();
    let codes: Vec<u16> = events
        .iter()
        .filter_map(|event| match event {
            Event::Rejected { reply, .. } => Some(reply.code),
            _ => None,
        })
        .collect();
    assert_eq!(codes, [538, 530, 535, 550]);
}

#[tokio::test]
async fn implicit_tls_begins_with_the_handshake() {
    let config = Config {
        tls: TlsMode::Implicit,
        ..Config::default()
    };
    let world = world(config, Limits::default()).await;
    let socket = TcpStream::connect(world.address).await.unwrap();
    let mut client = world.handshake(socket).await;
    assert!(client.hear().await.starts_with("220 "));
    client.say("EHLO c.test").await;
    assert!(client.mail("x").await.starts_with("250 "));
    assert_eq!(world.door.taken.lock()[0].0.protocol, "ESMTPS");
}

#[tokio::test]
async fn commands_behind_starttls_are_never_carried_out() {
    let world = default_world().await;
    let mut client = world.greeted().await;
    client.say("EHLO c.test").await;
    client.send("STARTTLS\r\nMAIL FROM:<evil@b.c>\r\n").await;
    assert!(client.hear().await.starts_with("421 "));
    assert!(client.at_end().await);
}

#[tokio::test]
async fn overload_is_told_to_the_newcomer_only() {
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let world = world(Config::default(), limits).await;
    let mut first = world.greeted().await;
    let mut second = world.connect().await;
    assert!(
        second
            .hear()
            .await
            .starts_with("421 4.3.2 too many connections")
    );
    assert!(second.at_end().await);
    first.say("EHLO c.test").await;
    assert!(first.mail("x").await.starts_with("250 "));
}

#[tokio::test]
async fn a_silent_client_and_a_silent_message_are_told_why() {
    let impatient = Limits {
        command_timeout: Span::millis(100),
        ..Limits::default()
    };
    let mut idle = world(Config::default(), impatient).await.connect().await;
    let heard = [idle.hear().await, idle.hear().await];
    assert!(
        heard.iter().any(|line| line.starts_with("421 4.4.2 ")),
        "{heard:?}"
    );
    let impatient = Limits {
        content_timeout: Span::millis(100),
        ..Limits::default()
    };
    let world = world(Config::default(), impatient).await;
    let mut slow = world.greeted().await;
    slow.send("EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n")
        .await;
    while !slow.hear().await.starts_with("354") {}
    assert!(slow.hear().await.starts_with("421 4.4.2 "));
    assert!(world.door.taken.lock().is_empty());
}

#[tokio::test]
async fn a_command_in_drips_is_due_when_a_whole_one_is() {
    let impatient = Limits {
        command_timeout: Span::millis(200),
        ..Limits::default()
    };
    let world = world(Config::default(), impatient).await;
    let mut client = world.greeted().await;
    let mut heard = String::new();
    let mut drips = 0;
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    while heard.is_empty() {
        drips += 1;
        assert!(drips < 2000, "still listened to");
        // The server may have gone already.
        let _gone = client.0.get_mut().write_all(b"x").await;
        tokio::select! {
            _ = pause.tick() => {}
            line = client.hear() => heard = line,
        }
    }
    assert!(heard.starts_with("421 4.4.2 "), "{heard}");
}

#[tokio::test]
async fn a_listed_balancer_speaks_for_its_client_and_must() {
    let config = Config {
        proxy_from: vec!["127.0.0.1".parse().unwrap()],
        ..Config::default()
    };
    let world = world(config, Limits::default()).await;
    let mut client = world.connect().await;
    client
        .send("PROXY TCP4 192.0.2.1 198.51.100.1 5000 25\r\n")
        .await;
    assert!(client.hear().await.starts_with("220 "));
    client.say("EHLO c.test").await;
    let heard = client.say("MAIL FROM:<>").await;
    assert!(
        heard.starts_with("530 "),
        "the balancer's own network counts for nothing: {heard}"
    );
    let mut direct = world.connect().await;
    direct.send("EHLO client.test\r\n").await;
    assert!(direct.at_end().await);
}

#[tokio::test]
async fn recipients_that_come_in_one_go_are_one_question_and_each_has_its_answer() {
    let w = default_world().await;
    let mut c = w.greeted().await;
    c.say("EHLO c.test").await;
    assert!(c.say("MAIL FROM:<a@acme.example>").await.starts_with("250"));
    let group = "RCPT TO:<ann@x.test>\r\nRCPT TO:<gone@x.test>\r\nRCPT TO:<bob@x.test>\r\n";
    c.send(group).await;
    for code in ["250", "550", "250"] {
        let reply = c.hear().await;
        assert!(reply.starts_with(code), "{reply}");
    }
    assert!(c.say("RCPT TO:<cyd@x.test>").await.starts_with("250"));
    let asked = w.door.asked.lock().clone();
    let expected: [&[&str]; 2] = [
        &["ann@x.test", "gone@x.test", "bob@x.test"],
        &["cyd@x.test"],
    ];
    assert_eq!(asked, expected);
    assert!(c.say("DATA").await.starts_with("354"));
    assert!(c.say("hello\r\n.").await.starts_with("250"));
}

#[tokio::test]
async fn a_full_spool_is_told_at_mail() {
    let world = default_world().await;
    world
        .door
        .full
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let mut client = world.greeted().await;
    client.say("EHLO c.test").await;
    assert!(client.say("MAIL FROM:<>").await.starts_with("452 4.3.1 "));
    world
        .door
        .full
        .store(false, std::sync::atomic::Ordering::SeqCst);
    assert!(client.mail("x").await.starts_with("250 "));
}

#[tokio::test]
async fn auth_in_clear_is_for_loopback_where_configured() {
    let config = Config {
        auth_without_tls: true,
        tls: TlsMode::Off,
        ..Config::default()
    };
    let world = world(config, Limits::default()).await;
    let mut client = world.greeted().await;
    client.say("EHLO c.test").await;
    assert!(client.say("STARTTLS").await.starts_with("502 "));
    assert_eq!(client.say("AUTH LOGIN").await, "334 VXNlcm5hbWU6\r\n");
    assert_eq!(client.say("YW5u").await, "334 UGFzc3dvcmQ6\r\n");
    assert!(client.say("c2VjcmV0").await.starts_with("235 "));
}

#[tokio::test]
async fn an_idle_session_takes_little_memory() {
    let world = default_world().await;
    let socket = TcpStream::connect(world.address).await.unwrap();
    let parts = Parts {
        config: Config::default(),
        limits: Arc::default(),
        hostname: "mta.test".into(),
        tls: None,
        gate: Arc::new(gate(&world.dir)),
        seats: Arc::default(),
        door: Arc::new(world.door.clone()),
        events: Events::new(Clock::machine(), Vec::new()),
    };
    let shared = Arc::new(Shared {
        buffers: Buffers::default(),
        parts,
        closing: CancellationToken::new(),
        abort: CancellationToken::new(),
    });
    let session = Connection::new(shared, socket, [127, 0, 0, 1].into()).serve();
    let size = size_of_val(&session);
    assert!(
        size < 8 * 1024,
        "{size} octets, and one command line of buffer"
    );
}

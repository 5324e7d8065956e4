//! The small internet: names, mail hosts that follow a script, a certificate authority, and one clock for all of it.
//!
//! Every world has a block of loopback addresses of its own and one port that all its mail hosts share, as the real
//! ones share port 25, so that many worlds live side by side in one test run.

use crate::journal::{Event, PATIENCE};
use crate::mta::Mta;
use crate::wire::Source;
use mailwright::clock::Clock;
use mailwright::peers::dns::{DnsServer, Record};
use mailwright::peers::sink::{EndOfData, Keep, Message, Sink, SinkConfig};
use mailwright::units::Timestamp;
use parking_lot::Mutex;
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Sunday, 22 November 2026, 12:00 UTC: where every world begins.
pub const START: Timestamp = Timestamp::from_millis(1_795_348_800_000);

pub struct Internet {
    pub dns: DnsServer,
    pub ca: Ca,
    pub clock: Clock,
    /// The port of every mail host.
    pub port: u16,
    block: [u8; 2],
    dir: TempDir,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    addresses: u8,
    mtas: usize,
    hosts: Vec<Arc<Sink>>,
    checked: bool,
}

impl Drop for Internet {
    fn drop(&mut self) {
        let checked = self.state.get_mut().checked;
        assert!(
            checked || std::thread::panicking(),
            "end each story with net.check()"
        );
    }
}

impl Internet {
    pub async fn new() -> Internet {
        Self::new_at(START).await
    }

    /// A world that begins at another instant.
    pub async fn new_at(start: Timestamp) -> Internet {
        let block = [rand::random_range(1..=254), rand::random_range(0..=255)];
        // Any port free at one address of the block is free at the others: nobody else uses the block.
        let first = std::net::TcpListener::bind((Ipv4Addr::new(127, block[0], block[1], 1), 0));
        let port = first
            .and_then(|l| l.local_addr())
            .expect("a free port")
            .port();
        Internet {
            dns: DnsServer::start().await.expect("a DNS server"),
            ca: Ca::new(),
            clock: Clock::manual(start),
            port,
            block,
            dir: TempDir::new().expect("a directory"),
            state: Mutex::default(),
        }
    }

    /// An address that nothing listens at.
    pub fn address(&self) -> Ipv4Addr {
        let mut state = self.state.lock();
        state.addresses += 1;
        Ipv4Addr::new(127, self.block[0], self.block[1], state.addresses + 1)
    }

    /// One of our addresses, named `name`. Hosts see it as the peer of what leaves from it.
    pub fn source(&self, name: &str) -> Source {
        Source {
            name: name.to_owned(),
            address: self.address().into(),
        }
    }

    /// A directory that lives as long as the world.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A mail host `mx.DOMAIN`, the only MX of `domain`, to be set up further and then started.
    pub fn mx(&self, domain: &str) -> Setup<'_> {
        self.host(&format!("mx.{domain}")).serves(domain, 10)
    }

    /// A mail host by name.
    pub fn host(&self, name: &str) -> Setup<'_> {
        Setup {
            net: self,
            name: name.to_owned(),
            address: self.address().into(),
            serves: Vec::new(),
            config: SinkConfig {
                hostname: name.into(),
                keep: Keep::Memory,
                ..SinkConfig::default()
            },
        }
    }

    /// `mx.DOMAIN` exists and nothing listens there.
    pub fn dead(&self, domain: &str) -> Ipv4Addr {
        let (name, address) = (format!("mx.{domain}"), self.address());
        self.dns.add(&name, Record::A(address));
        self.dns.add(domain, Record::mx(10, name));
        address
    }

    /// A daemon with these keys beside those that bind it to this world.
    pub async fn mta(&self, keys: &str) -> Mta {
        let number = {
            let mut state = self.state.lock();
            state.mtas += 1;
            state.mtas
        };
        let dir = self.path(&format!("mta{number}"));
        Mta::start(self.world(), dir, keys).await
    }

    /// What a daemon needs to know of the world.
    pub fn world(&self) -> World {
        World {
            dns: self.dns.address(),
            port: self.port,
            ca: self.ca.file(&self.dir),
            clock: self.clock.clone(),
        }
    }

    /// Moves the clock to `at`.
    pub fn advance_to(&self, at: Timestamp) {
        self.clock.advance(at.since(self.clock.now()));
    }

    /// Everything that arrived anywhere.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        let hosts = self.state.lock().hosts.clone();
        hosts.iter().flat_map(|host| host.messages()).collect()
    }

    /// Ends a story: nothing was lost, nothing arrived twice without an event that says so, and every recipient that
    /// is not waiting any more has exactly one terminal event.
    pub async fn check(&self, mta: &Mta) {
        self.state.lock().checked = true;
        let started = Instant::now();
        while let Err(wrong) = self.ends(mta).await {
            // What has left the queue may be a moment away from the log.
            assert!(started.elapsed() < PATIENCE, "{wrong}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let events = mta.journal.events();
        let delivered = events.iter().filter(|e| e.kind() == "delivered");
        self.check_arrivals(&delivered.collect::<Vec<_>>());
    }

    /// Whether everybody waits or has one end; says who has none yet.
    async fn ends(&self, mta: &Mta) -> Result<(), String> {
        let waiting = mta.queue().await;
        let events = mta.journal.events();
        let mut ends: BTreeMap<(&str, &str), Vec<&Event>> = BTreeMap::new();
        for event in &events {
            let key = (event.id(), event.recipient());
            match event.kind() {
                "accepted" => drop(ends.entry(key).or_default()),
                _ if event.is_terminal() => ends.entry(key).or_default().push(event),
                _ => {}
            }
        }
        for ((id, recipient), ends) in &ends {
            let waits = waiting.iter().any(|w| w.0 == *id && w.1 == *recipient);
            let expected = usize::from(!waits);
            if ends.len() != expected {
                return Err(format!("{id} {recipient} waits: {waits}; ended {ends:?}"));
            }
        }
        Ok(())
    }

    fn check_arrivals(&self, delivered: &[&Event]) {
        let mut arrived: BTreeMap<(String, Box<str>), usize> = BTreeMap::new();
        for message in self.messages() {
            let id = message.header("Message-ID").unwrap_or_default();
            for recipient in &message.recipients {
                *arrived.entry((id.clone(), recipient.clone())).or_default() += 1;
            }
        }
        let marked: BTreeSet<&str> = delivered
            .iter()
            .filter(|e| e.is_possible_duplicate())
            .map(|e| e.recipient())
            .collect();
        for ((id, recipient), times) in &arrived {
            assert!(
                *times == 1 || marked.contains(&**recipient),
                "{id} came {times} times to {recipient}, unmarked"
            );
        }
        let came: BTreeSet<&str> = arrived.keys().map(|(_, recipient)| &**recipient).collect();
        for event in delivered {
            assert!(
                came.contains(event.recipient()),
                "said to be delivered, and never came: {event:?}"
            );
        }
    }
}

/// What binds a daemon to its world.
#[derive(Clone)]
pub struct World {
    pub dns: SocketAddr,
    pub port: u16,
    /// Certificate of the CA, as PEM.
    pub ca: PathBuf,
    pub clock: Clock,
}

/// A mail host before it runs.
pub struct Setup<'a> {
    net: &'a Internet,
    name: String,
    address: IpAddr,
    serves: Vec<(String, u16)>,
    config: SinkConfig,
}

impl Setup<'_> {
    /// One more domain that has this host as an MX.
    pub fn serves(mut self, domain: &str, preference: u16) -> Self {
        self.serves.push((domain.to_owned(), preference));
        self
    }

    /// Listens at the machine's IPv6 loopback address.
    pub fn v6(mut self) -> Self {
        self.address = Ipv6Addr::LOCALHOST.into();
        self
    }

    /// `.on("RCPT", "*@full.example 452 4.2.2 mailbox full")`; see [`mailwright::peers::script`].
    pub fn on(mut self, stage: &str, rest: &str) -> Self {
        self.config.rules.push(Arc::new(rule(stage, rest)));
        self
    }

    /// Offers one more extension.
    pub fn with(mut self, extension: &str) -> Self {
        self.config.extensions.push(extension.into());
        self
    }

    pub fn without(mut self, keyword: &str) -> Self {
        let extensions = &mut self.config.extensions;
        extensions.retain(|e| e.split(' ').next() != Some(keyword));
        self
    }

    pub fn rcpt_max(mut self, most: usize) -> Self {
        self.config.rcpt_max = Some(most);
        self
    }

    /// Ends messages as careless servers do.
    pub fn lax(mut self) -> Self {
        self.config.end_of_data = EndOfData::Lax;
        self
    }

    /// STARTTLS with a certificate of the world's CA for this host.
    pub fn tls(mut self) -> Self {
        self.config.tls = Some(self.net.ca.server(&self.name));
        self
    }

    /// STARTTLS with a certificate of the world's CA for another name.
    pub fn tls_as(mut self, name: &str) -> Self {
        self.config.tls = Some(self.net.ca.server(name));
        self
    }

    /// STARTTLS with a certificate that nobody vouches for.
    pub fn tls_self_signed(mut self) -> Self {
        self.config.tls = Some(Ca::new().server(&self.name));
        self
    }

    /// Listens, and is in the DNS.
    pub async fn start(self) -> Mx {
        let address = self.address;
        let listen = SocketAddr::from((address, self.net.port));
        let config = SinkConfig {
            listen,
            ..self.config
        };
        let sink = Arc::new(Sink::bind(config).await.expect("an address of our own"));
        self.net.dns.add(&self.name, Record::from(address));
        for (domain, preference) in &self.serves {
            self.net
                .dns
                .add(domain, Record::mx(*preference, self.name.as_str()));
        }
        self.net.state.lock().hosts.push(sink.clone());
        Mx { address, sink }
    }
}

/// A running mail host.
pub struct Mx {
    pub address: IpAddr,
    sink: Arc<Sink>,
}

impl Deref for Mx {
    type Target = Sink;
    fn deref(&self) -> &Sink {
        &self.sink
    }
}

impl Mx {
    pub fn on(&self, stage: &str, rest: &str) -> &Self {
        self.sink.add_rule(rule(stage, rest));
        self
    }

    /// Answers as usual from now on.
    pub fn behave(&self) -> &Self {
        self.sink.set_rules(Vec::new());
        self
    }

    /// The one message that came.
    pub fn only(&self) -> Arc<Message> {
        let messages = self.messages();
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages[0].clone()
    }
}

fn rule(stage: &str, rest: &str) -> mailwright::peers::script::Rule {
    let text = format!("{stage} {rest}");
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// A certificate authority that nobody outside this world knows.
pub struct Ca {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Ca {
    pub fn new() -> Ca {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Small Internet CA");
        let certificate = params.self_signed(&key).expect("a certificate");
        Ca {
            certificate,
            issuer: rcgen::Issuer::new(params, key),
        }
    }

    pub fn file(&self, dir: &TempDir) -> PathBuf {
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, self.certificate.pem()).expect("a file");
        path
    }

    /// Certificate and key for `name`, as a server shows them.
    pub fn server(&self, name: &str) -> Arc<rustls::ServerConfig> {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.into()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            );
        Arc::new(config.expect("certificate and key fit"))
    }
}

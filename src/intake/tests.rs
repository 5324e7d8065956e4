//! Stories: a message comes in, and what the spool, the events and the queue then hold.

use super::*;
use crate::auth::alignment as preflight;
use crate::auth::credentials;
use crate::auth::dkim::{self, Algorithm, Key, generate};
use crate::bounce::token::Keys;
use crate::dns::{self, Resolver};
use crate::events::Metrics;
use crate::mail::{BodyType, Recipient};
use crate::outside::Known;
use crate::policy::Settings;
use crate::policy::reputation::Reputation;
use crate::policy::sources::{PoolConfig, PoolMember, SourceConfig};
use crate::spool;
use crate::store::Store;
use crate::units::Size;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

struct World {
    _dir: tempfile::TempDir,
    intake: Intake,
    config: Live<Config>,
    lint: Live<crate::lint::Settings>,
    spool: Spool,
    seen: Arc<Seen>,
}

/// What left the intake.
#[derive(Default)]
struct Seen {
    events: Mutex<Vec<Event>>,
    stored: Mutex<Vec<Stored>>,
    /// The events have nowhere to go.
    behind: AtomicBool,
}

struct Recorder(Arc<Seen>);

impl crate::events::Sink for Recorder {
    fn take(&self, _: Timestamp, event: &Event) {
        self.0.events.lock().push(event.clone());
    }

    fn is_behind(&self) -> bool {
        self.0.behind.load(Ordering::Relaxed)
    }
}

impl World {
    async fn new() -> Self {
        Self::on_disk_with_reserve(Size(0)).await
    }

    async fn on_disk_with_reserve(reserve_space: Size) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::manual(NOW);
        let settings = spool::Config {
            segment_size: Size::mib(1),
            reserve_space,
            reserve_inodes: 0,
            ..spool::Config::default()
        };
        let (spool, _) = Spool::open(dir.path(), settings, clock.clone(), |_| {}).unwrap();
        let seen = Arc::new(Seen::default());
        let lint = Arc::new(ArcSwap::from_pointee(crate::lint::Settings::default()));
        let config: Live<Config> = Arc::new(ArcSwap::from_pointee(Config::default()));
        let events = Events::new(clock.clone(), vec![Box::new(Recorder(Arc::clone(&seen)))]);
        let alignment = Alignment::new(preflight::Parts {
            resolver: Resolver::new(&dns::Config::default(), clock.clone()).unwrap(),
            clock: clock.clone(),
            settings: Arc::new(ArcSwap::from_pointee(preflight::Settings::new(
                &preflight::Config {
                    action: preflight::Action::Off,
                },
                [],
            ))),
            counts: Metrics::new().counters("alignment", "Of tests", "what"),
        });
        let intake = Intake::new(Parts {
            alignment,
            outside: Known::default(),
            policy: policy(clock.clone(), events.clone()).await,
            config: Arc::clone(&config),
            hostname: "mta.test".into(),
            signers: Arc::new(ArcSwap::from_pointee(signers(dir.path()))),
            tenants: Arc::new(ArcSwap::from_pointee(tenants())),
            stamps: Arc::new(ArcSwap::from_pointee(Stamps::none(keys()))),
            lint: Arc::clone(&lint),
            spool: spool.clone(),
            events,
            clock,
            given_up: Box::new(|_, begins| begins + std::time::Duration::from_secs(3 * 86_400)),
            handoff: Box::new({
                let seen = Arc::clone(&seen);
                move |stored| seen.stored.lock().push(stored)
            }),
        });
        Self {
            _dir: dir,
            intake,
            config,
            lint,
            spool,
            seen,
        }
    }

    fn configure(&self, change: impl FnOnce(&mut Config)) {
        let mut config = Config::clone(&self.config.load());
        change(&mut config);
        self.config.store(Arc::new(config));
    }

    /// Hands a message in, `cut` octets at a time.
    async fn hand_in(&self, message: &str, cut: usize) -> Result<MessageId, Reply> {
        let mut reception = self
            .intake
            .begin(client(None), envelope(&["bob@example.org"]))?;
        for chunk in message.as_bytes().chunks(cut) {
            reception.push(chunk).await?;
        }
        reception.finish().await
    }

    async fn content(&self, id: MessageId) -> String {
        let mut content = self.spool.content(id).await.unwrap();
        let mut octets = Vec::new();
        while let Some(piece) = content.next().await.unwrap() {
            octets.extend_from_slice(&piece);
        }
        String::from_utf8(octets).unwrap()
    }

    fn is_untouched(&self) -> bool {
        self.seen.events.lock().is_empty() && self.seen.stored.lock().is_empty()
    }
}

fn keys() -> Keys {
    Keys::new(&[[7; 32]], std::time::Duration::from_secs(3600)).unwrap()
}

/// A key for `signed.test`.
fn signers(dir: &std::path::Path) -> Signers {
    let path = dir.join("key.pem");
    generate(Algorithm::Ed25519, &path).unwrap();
    let entry = dkim::Config {
        domain: "signed.test".into(),
        selector: "s1".into(),
        ..dkim::Config::default()
    };
    let mut signers = Signers::none();
    signers.add(&entry, Key::load(&path).unwrap());
    signers
}

/// Knows the pool that the tenants' mail leaves from.
async fn policy(clock: Clock, events: Events) -> Policy {
    let source = SourceConfig::plain("ip-a", [127, 0, 0, 1].into());
    let pool = PoolConfig {
        name: "shared".into(),
        sources: vec![PoolMember {
            name: source.name.clone(),
            weight: 1,
        }],
    };
    let settings = Settings::plain("mta.test", &[source], &[pool]).unwrap();
    let opened = Policy::open(
        settings,
        Store::in_memory(),
        clock,
        (events, Reputation::default()),
    );
    opened.await.unwrap()
}

fn tenants() -> Tenants {
    let acme = credentials::Config {
        name: "acme".into(),
        pool: "shared".into(),
        domains: vec!["signed.test".into()],
        credentials: None,
        ..credentials::Config::default()
    };
    Tenants::load(&[acme], std::path::Path::new(".")).unwrap()
}

fn client(tenant: Option<&str>) -> ClientInfo {
    ClientInfo {
        peer: Some("192.0.2.7".parse().unwrap()),
        helo: "app.test".into(),
        protocol: "ESMTP",
        tls: None,
        require_tls: false,
        tenant: tenant.map(|name| Arc::clone(tenants().get(name).unwrap())),
    }
}

fn envelope(recipients: &[&str]) -> Envelope {
    Envelope {
        sender: Some("ann@signed.test".parse().unwrap()),
        recipients: recipients
            .iter()
            .map(|r| Recipient::new(r.parse().unwrap()))
            .collect(),
        body: BodyType::EightBitMime,
        smtputf8: false,
        ret: None,
        envid: None,
    }
}

const MESSAGE: &str = "From: Ann <ann@signed.test>\r\nTo: bob@example.org\r\nBcc: eve@example.org\r\n\
    Subject: odd  \r\n  spacing\r\nX-Mailwright-Campaign: spring\r\n\r\nhello  \r\n\r\n \r\n";

#[tokio::test]
async fn an_accepted_message_is_signed_stored_told_and_handed_on() {
    let world = World::new().await;
    let id = world.hand_in(MESSAGE, 7).await.unwrap();

    let content = world.content(id).await;
    let signature = content
        .find("DKIM-Signature: v=1; a=ed25519-sha256;")
        .unwrap();
    let received = content
        .find("\r\nReceived: from app.test ([192.0.2.7])")
        .unwrap();
    let message_id = content
        .find(&format!(
            "\r\nMessage-ID: <{id}@mta.test>\r\nDate: Tue, 14 Nov 2023"
        ))
        .unwrap();
    assert!(
        signature == 0 && signature < received && received < message_id,
        "{content}"
    );
    assert!(
        content.ends_with("From: Ann <ann@signed.test>\r\nTo: bob@example.org\r\nSubject: odd  \r\n  spacing\r\n\r\nhello  \r\n\r\n \r\n"),
        "{content}"
    );

    let stored = world.seen.stored.lock().pop().unwrap();
    assert_eq!(stored.meta, world.spool.stored(id).await.unwrap().meta);
    assert_eq!(stored.meta.labels.campaign.as_deref(), Some("spring"));
    assert_eq!(
        (stored.size, stored.progress.len()),
        (content.len() as u64, 1)
    );
    let events = world.seen.events.lock();
    let [Event::Accepted { about, peer, .. }] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!((about.id, about.size), (id, content.len() as u64));
    assert_eq!(
        about.recipient.as_ref().unwrap().as_str(),
        "bob@example.org"
    );
    assert_eq!(*peer, client(None).peer);
}

#[tokio::test]
async fn however_the_octets_are_cut_the_same_is_stored() {
    let world = World::new().await;
    let mut whole = None;
    for cut in [1, 2, 3, 50, MESSAGE.len()] {
        let id = world.hand_in(MESSAGE, cut).await.unwrap();
        let content = world.content(id).await.replace(&id.to_string(), "ID");
        // The Message-ID differs, and with it the last tag of the signature.
        let (_, unsigned) = content.split_once("\r\nReceived").unwrap();
        assert_eq!(whole.get_or_insert(unsigned.to_owned()), unsigned, "{cut}");
    }
}

#[tokio::test]
async fn a_message_that_is_dropped_or_refused_was_never_there() {
    let world = World::new().await;
    let mut dropped = world
        .intake
        .begin(client(None), envelope(&["a@b.test"]))
        .unwrap();
    dropped.push(MESSAGE.as_bytes()).await.unwrap();
    drop(dropped);
    for (message, code) in [
        ("To: a@b.test\r\n\r\nno author\r\n", EnhancedCode(5, 6, 0)),
        ("not a field\r\n\r\n", EnhancedCode(5, 6, 0)),
        ("", EnhancedCode(5, 6, 0)),
        ("From: \u{e4}nn <a@b.test>\r\n\r\n", EnhancedCode(5, 6, 7)),
        (
            "From: a@b.test\r\nX-Mailwright-Stream: x\r\n\r\n",
            EnhancedCode(5, 6, 0),
        ),
    ] {
        let reply = world.hand_in(message, 10).await.unwrap_err();
        assert_eq!(
            (reply.code, reply.enhanced),
            (550, Some(code)),
            "{message}: {reply}"
        );
    }
    assert!(world.is_untouched());
}

#[tokio::test]
async fn a_connection_lost_while_the_disk_is_awaited_leaves_no_stored_message_out_of_the_queue() {
    let world = World::new().await;
    let mut reception = world
        .intake
        .begin(client(None), envelope(&["a@b.test"]))
        .unwrap();
    reception.push(MESSAGE.as_bytes()).await.unwrap();
    tokio::select! {
        biased;
        done = reception.finish() => panic!("{done:?} without waiting for the disk"),
        () = std::future::ready(()) => {}
    }
    let handed_on = async {
        while world.seen.stored.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), handed_on)
        .await
        .unwrap();
    let stored = world.seen.stored.lock().pop().unwrap();
    assert!(world.content(stored.meta.id).await.contains("hello"));
    assert_eq!(world.seen.events.lock().len(), 1);
}

#[tokio::test]
async fn sizes_are_limited_while_the_octets_come() {
    let world = World::new().await;
    world.configure(|config| (config.max_message, config.max_header) = (Size(2000), Size(1000)));
    let head = format!("From: a@b.test\r\nX: {}\r\n\r\n", "x".repeat(1000));
    let reply = world.hand_in(&head, 100).await.unwrap_err();
    assert!(
        reply.code == 552 && reply.text.contains("header section"),
        "{reply}"
    );
    let body = format!("From: a@b.test\r\n\r\n{}", "x\r\n".repeat(800));
    let reply = world.hand_in(&body, 100).await.unwrap_err();
    assert!(reply.code == 552 && reply.text.contains("2KB"), "{reply}");
    assert!(world.is_untouched());
}

#[tokio::test]
async fn a_full_disk_puts_the_client_off_before_the_message_comes() {
    let world = World::on_disk_with_reserve(Size(u64::MAX >> 1)).await;
    let reply = world.hand_in(MESSAGE, 100).await.unwrap_err();
    assert_eq!(
        (reply.code, reply.enhanced),
        (452, Some(EnhancedCode(4, 3, 1)))
    );
}

#[tokio::test]
async fn while_events_have_nowhere_to_go_no_mail_comes_in() {
    let world = World::new().await;
    world.seen.behind.store(true, Ordering::Relaxed);
    let refusal = world.intake.accepting().unwrap_err();
    assert_eq!(
        (refusal.code, refusal.enhanced),
        (452, Some(EnhancedCode(4, 3, 1)))
    );
    world.seen.behind.store(false, Ordering::Relaxed);
    assert!(world.intake.accepting().is_ok());
}

#[tokio::test]
async fn a_closed_spool_puts_the_client_off_without_a_loss() {
    let world = World::new().await;
    let mut reception = world
        .intake
        .begin(client(None), envelope(&["a@b.test"]))
        .unwrap();
    reception.push(MESSAGE.as_bytes()).await.unwrap();
    world.spool.close().await.unwrap();
    let reply = reception.finish().await.unwrap_err();
    assert!((400..500).contains(&reply.code), "{reply}");
    assert!(world.is_untouched());
}

#[tokio::test]
async fn a_tenant_is_held_to_its_domains_and_gives_its_pool() {
    let world = World::new().await;
    let send = async |tenant: Option<&str>, named: &str, from: &str| {
        let mut reception = world
            .intake
            .begin(client(tenant), envelope(&["a@b.test"]))?;
        let message = format!("From: {from}\r\nX-Mailwright-Tenant: {named}\r\n\r\nx\r\n");
        reception.push(message.as_bytes()).await?;
        reception.finish().await
    };
    for (tenant, named) in [(Some("acme"), "other"), (None, "acme")] {
        let evil = send(tenant, named, "eve@evil.test").await.unwrap_err();
        assert_eq!(evil.enhanced, Some(EnhancedCode(5, 7, 1)));
        let id = send(tenant, named, "ann@signed.test").await.unwrap();
        let stored = world.spool.stored(id).await.unwrap();
        let labels = &stored.meta.labels;
        assert_eq!(labels.tenant.as_deref(), Some("acme"));
        assert_eq!(labels.pool.as_deref(), Some("shared"));
    }
    let id = send(None, "unconfigured", "eve@evil.test").await.unwrap();
    let stored = world.spool.stored(id).await.unwrap();
    let labels = &stored.meta.labels;
    assert_eq!(
        (labels.tenant.as_deref(), labels.pool.as_deref()),
        (Some("unconfigured"), None)
    );
}

#[tokio::test]
async fn what_is_eight_bit_is_said_truly() {
    let world = World::new().await;
    let eight_bit =
        "From: a@b.test\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\ngr\u{fc}n\r\n";
    let bits = async |message: &str| {
        let id = world.hand_in(message, 9).await.unwrap();
        let meta = world.spool.stored(id).await.unwrap().meta;
        (id, meta.eight_bit_header, meta.eight_bit_body)
    };
    let (id, head, body) = bits(eight_bit).await;
    assert!(!head && body && world.content(id).await.ends_with("\r\ngr\u{fc}n\r\n"));
    assert!(!bits(MESSAGE).await.2);

    world.configure(|config| config.eight_bit = EightBit::Encode);
    let (id, head, body) = bits(eight_bit).await;
    let content = world.content(id).await;
    assert!(
        !head && !body && content.ends_with("quoted-printable\r\n\r\ngr=C3=BCn\r\n"),
        "{content}"
    );

    world.configure(|config| config.encode_limit = Size(10));
    let long = format!("{eight_bit}{}", "more\r\n".repeat(10));
    let (id, _, body) = bits(&long).await;
    assert!(body && world.content(id).await.contains("gr\u{fc}n\r\nmore\r\n"));
}

#[tokio::test]
async fn our_own_mail_comes_in_by_the_same_door_with_its_labels() {
    let world = World::new().await;
    let labels = Labels {
        campaign: Some("c".into()),
        ..Labels::default()
    };
    let envelope = Envelope {
        sender: None,
        ..envelope(&["ann@example.org"])
    };
    let notice = b"From: postmaster@signed.test\r\nX-Mailwright-Stream: nonsense\r\n\r\nfailed\r\n";
    let id = world
        .intake
        .submit(envelope, notice, labels.clone())
        .await
        .unwrap();
    assert_eq!(*world.spool.stored(id).await.unwrap().meta.labels, labels);
    let content = world.content(id).await;
    assert!(
        content.contains("\r\nReceived: by mta.test\r\n\tid "),
        "{content}"
    );
    assert!(
        content.starts_with("DKIM-Signature: ") && !content.contains("nonsense"),
        "{content}"
    );
}

#[tokio::test]
async fn a_message_for_nobody_is_refused() {
    let world = World::new().await;
    assert!(world.intake.begin(client(None), envelope(&[])).is_err());
}

/// The lint of everybody, and of acme, who is only told.
fn lint(at_submission: crate::lint::AtSubmission) -> crate::lint::Settings {
    let config = crate::lint::Config {
        at_submission,
        rules: [("postal-address".to_owned(), crate::lint::SetLevel::Block)].into(),
        ..crate::lint::Config::default()
    };
    let acme = crate::lint::TenantConfig {
        at_submission: Some(crate::lint::AtSubmission::Warn),
        ..crate::lint::TenantConfig::default()
    };
    crate::lint::Settings::new(&config, [("acme", &acme)])
}

#[tokio::test]
async fn a_message_that_a_rule_blocks_is_refused_with_the_rule_and_the_remedy() {
    let world = World::new().await;
    world
        .lint
        .store(Arc::new(lint(crate::lint::AtSubmission::Block)));
    let reply = world.hand_in(MESSAGE, 7).await.unwrap_err();
    assert_eq!(
        (reply.code, reply.enhanced),
        (550, Some(EnhancedCode(5, 7, 1)))
    );
    assert!(
        reply
            .text
            .starts_with("lint: L15 postal-address: nothing in the body looks like"),
        "{reply}"
    );
    assert!(
        reply.text.contains("name the sender's postal address"),
        "{reply}"
    );
    assert!(world.is_untouched());

    // Mail that no rule for marketing concerns.
    let receipt = MESSAGE.replace("Subject", "X-Mailwright-Stream: transactional\r\nSubject");
    world.hand_in(&receipt, 7).await.unwrap();
}

#[tokio::test]
async fn what_the_lint_finds_is_in_the_message_before_it_is_signed_and_in_the_event() {
    let world = World::new().await;
    world
        .lint
        .store(Arc::new(lint(crate::lint::AtSubmission::Block)));
    // A client's own is not believed.
    let message = MESSAGE.replace(
        "Subject",
        "X-Mailwright-Tenant: acme\r\nX-Mailwright-Lint: L99 nothing\r\nSubject",
    );
    let id = world.hand_in(&message, 7).await.unwrap();
    let content = world.content(id).await;
    let told = "L15 postal-address, L14 unsubscribe-missing, L15 unsubscribe-link";
    let unfolded = content.replace("\r\n\t", " ");
    let field = format!("\r\nX-Mailwright-Lint: {told}\r\n");
    assert!(unfolded.contains(&field), "{content}");
    assert_eq!(content.matches("X-Mailwright-Lint").count(), 1);
    let signature = content.split_once("bh=").unwrap().0;
    let names: String = signature.split_whitespace().collect();
    assert!(names.contains(":x-mailwright-lint:"), "{content}");
    let events = world.seen.events.lock();
    let [Event::Accepted { why, .. }] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!(why.as_deref(), Some(&*format!("lint: {told}")));
}

#[tokio::test]
async fn only_so_much_of_a_body_is_kept_for_the_lint() {
    let world = World::new().await;
    let settings = lint(crate::lint::AtSubmission::Block);
    let small = crate::lint::Config {
        body_limit: Size::kib(1),
        ..settings.config
    };
    world
        .lint
        .store(Arc::new(crate::lint::Settings::new(&small, [])));
    // The link may be in what was not read.
    let long = format!("{MESSAGE}{}", "0123456789abcdef\r\n".repeat(100));
    let id = world.hand_in(&long, 50).await.unwrap();
    let content = world.content(id).await;
    assert!(content.contains("X-Mailwright-Lint: L14 unsubscribe-missing\r\n"));
}

//! What is done with what came in, with a reader that follows the test's own words.

use super::*;
use crate::bounce::report::{Action, Feedback, Notice, Original, Returned};
use crate::bounce::return_path::{self, ReturnPath};
use crate::bounce::stamps;
use crate::bounce::token::Purpose;
use crate::events::{Event, Metrics, Sink};
use crate::mail::{BodyType, BounceClass, EnhancedCode, Labels, Recipient};
use crate::policy::Settings;
use crate::policy::reputation::Reputation;
use crate::policy::suppression::{Answer, Ask, Reason, Scope};
use crate::store::Store;
use crate::units::Timestamp;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::time::Duration;
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(86_400);
const START: Timestamp = Timestamp::from_millis(1_795_348_800_000);
const ID: MessageId = MessageId(1_795_348_800_000 << 20);

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Event>>>);

impl Sink for Told {
    fn take(&self, _at: Timestamp, event: &Event) {
        self.0.lock().push(event.clone());
    }
}

struct World {
    inbound: Inbound,
    told: Told,
    clock: Clock,
    _dir: TempDir,
}

/// `failed ADDRESS CLASS`, `delayed ADDRESS`, `away`, `TYPE TOKEN ADDRESS` of feedback, `panic`; anything else is a message.
fn reader(message: &[u8], _: &Classifier) -> Report {
    let text = String::from_utf8_lossy(message);
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["failed", address, class] => notice(address, Action::Failed, class),
        ["delayed", address] => notice(address, Action::Delayed, "soft"),
        ["away"] => Report::Autoreply(Original::default()),
        ["panic"] => panic!("a message that nobody can read"),
        [kind @ ("abuse" | "not-spam" | "opt-out"), token, address] => Report::Feedback(Feedback {
            feedback_type: (*kind).to_owned(),
            original_recipient: Some((*address).to_owned()),
            original: Original {
                tokens: vec!["junk".into(), (*token).to_owned()],
                ..Original::default()
            },
            ..Feedback::default()
        }),
        _ => Report::Message(Original::default()),
    }
}

fn notice(address: &str, action: Action, class: &str) -> Report {
    let class = BounceClass::ALL.into_iter().find(|c| c.name() == class);
    let said = Returned {
        address: address.to_owned(),
        action,
        status: Some("5.1.1".into()),
        diagnostic: Some("550 5.1.1 no such user".into()),
        remote_mta: None,
        finding: class.unwrap().into(),
    };
    Report::Notice(Notice {
        recipients: vec![said],
        original: Original::default(),
    })
}

fn stamps() -> Stamps {
    let return_path = ReturnPath {
        domain: "bounce.test".into(),
        ..ReturnPath::default()
    };
    let keys = crate::bounce::token::Keys::new(&[[7; 32]], 60 * DAY).unwrap();
    Stamps::new(stamps::Parts {
        return_path: &return_path,
        feedback: &return_path::Feedback::default(),
        unsubscribe: &return_path::Unsubscribe::default(),
        keys,
        tenants: Default::default(),
    })
}

fn live_addresses(feedback: &Address) -> Live<Addresses> {
    let reports: Address = "dmarc@bounce.test".parse().unwrap();
    let addresses = Addresses::new(["bounce.test"], [feedback]).with_reports([&reports]);
    Arc::new(ArcSwap::from_pointee(addresses))
}

/// Reports about acme.test are ours.
fn reporting(dir: &TempDir, clock: &Clock, events: &Events) -> Reports {
    let settings = crate::reports::Config::default().settings(["acme.test"], []);
    Reports::new(
        dir.path().join("reports"),
        Arc::new(ArcSwap::from_pointee(settings)),
        clock.clone(),
        events.clone(),
    )
}

async fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let (clock, told) = (Clock::manual(START), Told::default());
    let events = Events::new(clock.clone(), vec![Box::new(told.clone())]);
    let books = Books::open(
        &dir.path().join("books"),
        clock.clone(),
        Box::new(|| 60 * DAY),
    );
    let settings = Settings::plain("mta.test", &[], &[]).unwrap();
    let policy = Policy::open(
        settings,
        Store::in_memory(),
        clock.clone(),
        (events.clone(), Reputation::default()),
    );
    let feedback: Address = "fbl@bounce.test".parse().unwrap();
    let live = |config| Arc::new(ArcSwap::from_pointee(config));
    let inbound = Inbound::new(Parts {
        clock: clock.clone(),
        config: live(Config::default()),
        addresses: live_addresses(&feedback),
        stamps: Arc::new(ArcSwap::from_pointee(stamps())),
        classifier: Arc::new(ArcSwap::from_pointee(Classifier::new().unwrap())),
        read: reader,
        reports: reporting(&dir, &clock, &events),
        books: books.unwrap(),
        policy: policy.await.unwrap(),
        unread: Unread::open(dir.path().join("unread")).unwrap(),
        events,
        counts: Metrics::new().counters("inbound", "What came in", "what"),
    });
    let world = World {
        inbound,
        told,
        clock,
        _dir: dir,
    };
    world.sent(&["ann@example.net", "bob@example.net"]);
    world
}

impl World {
    /// A message of acme's list went to these.
    fn sent(&self, to: &[&str]) {
        let sent = |(position, address): (u16, &&str)| Sent {
            position,
            address: address.parse().unwrap(),
            site: Some("example.net".into()),
            source: Some("ip-a".into()),
            provider: Some("example".into()),
            attempt: 1,
            at: START,
            returned: false,
            complained: false,
            unsubscribed: false,
        };
        let labels = Labels {
            tenant: Some("acme".into()),
            list: Some("news".into()),
            ..Labels::default()
        };
        let entry = Entry {
            labels: Arc::new(labels),
            sender: Some("s@shop.test".parse().unwrap()),
            size: 100,
            recipients: (0..).zip(to).map(sent).collect(),
        };
        self.inbound.0.books.note(ID, entry);
    }

    fn token(&self, position: Option<u16>, purpose: Purpose) -> String {
        let token = Token::new(ID, position, Some("acme"));
        self.inbound.0.stamps.load().keys().seal(&token, purpose)
    }

    fn return_path(&self, position: u16) -> String {
        let token = self.token(Some(position), Purpose::Return);
        format!("b-{token}@bounce.test")
    }

    async fn receive(&self, to: &str, content: &str) -> Result<MessageId, Reply> {
        let address: Address = to.parse().unwrap();
        self.inbound.recipient(&address)?;
        let envelope = Envelope {
            recipients: vec![Recipient::new(address)],
            sender: None,
            body: BodyType::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
        };
        let client = ClientInfo {
            peer: None,
            helo: "mx.test".into(),
            protocol: "ESMTP",
            tls: None,
            require_tls: false,
            tenant: None,
        };
        let mut reception = self.inbound.begin(&client, envelope)?;
        reception.push(content.as_bytes());
        reception.finish().await
    }

    fn events(&self, kind: &str) -> Vec<Event> {
        let all = self.told.0.lock();
        all.iter().filter(|e| e.kind() == kind).cloned().collect()
    }

    fn count(&self, what: &'static str) -> u64 {
        self.inbound.0.counts.get(what)
    }

    async fn suppressed(&self, address: &str) -> Option<(Scope, Reason)> {
        let labels = Labels {
            tenant: Some("acme".into()),
            list: Some("news".into()),
            ..Labels::default()
        };
        let recipient = address.parse().unwrap();
        let ask = Ask {
            recipient: &recipient,
            labels: &labels,
        };
        let answers = self.inbound.0.policy.suppression().check(&[ask]).await;
        match answers.unwrap().remove(0) {
            Answer::Free { .. } => None,
            Answer::Suppressed { scope, reason, .. } => Some((scope, reason)),
        }
    }
}

#[tokio::test]
async fn a_notice_of_failure_is_one_bounce_and_suppresses_its_recipient_alone() {
    let world = world().await;
    let to = world.return_path(0);
    world
        .receive(&to, "failed Ann@example.net hard")
        .await
        .unwrap();
    world
        .receive(&to, "failed ann@example.net hard")
        .await
        .unwrap();
    let bounced = world.events("bounced");
    let [
        Event::Returned {
            about,
            attempt,
            reply,
            ..
        },
    ] = bounced.as_slice()
    else {
        panic!("{bounced:?}")
    };
    assert_eq!(
        about.recipient.as_ref().unwrap().as_str(),
        "ann@example.net"
    );
    assert_eq!(about.sender.as_ref().unwrap().as_str(), "s@shop.test");
    assert_eq!(attempt.source.as_deref(), Some("ip-a"));
    assert_eq!(reply.to_string(), "550 5.1.1 no such user");
    let hard = Some((Scope::Global, Reason::Hard));
    assert_eq!(world.suppressed("ann@example.net").await, hard);
    assert_eq!(world.suppressed("bob@example.net").await, None);
    assert_eq!(
        (world.count("returned"), world.count("returned-again")),
        (1, 1)
    );
}

#[tokio::test]
async fn what_is_no_failure_of_the_recipient_suppresses_nobody() {
    let world = world().await;
    let to = world.return_path(0);
    world.receive(&to, "delayed ann@example.net").await.unwrap();
    world.receive(&to, "away").await.unwrap();
    assert_eq!(world.events("bounced").len(), 0);
    world
        .receive(&to, "failed ann@example.net block")
        .await
        .unwrap();
    assert_eq!(world.events("bounced").len(), 1);
    assert_eq!(world.suppressed("ann@example.net").await, None);
    assert_eq!((world.count("delayed"), world.count("autoreply")), (1, 1));
    assert_eq!(world.events("unread").len(), 0);
}

#[tokio::test]
async fn a_token_that_is_forged_or_too_old_is_refused_and_counted() {
    let world = world().await;
    let mut forged = world.return_path(0);
    forged.replace_range(10..11, if &forged[10..11] == "0" { "1" } else { "0" });
    let refusal = world.receive(&forged, "failed ann@example.net hard").await;
    assert_eq!(refusal.unwrap_err().enhanced, Some(EnhancedCode(5, 1, 1)));
    let to = world.return_path(0);
    world.clock.advance(61 * DAY);
    let refusal = world.receive(&to, "failed ann@example.net hard").await;
    let refusal = refusal.unwrap_err();
    assert_eq!(refusal.enhanced, Some(EnhancedCode(5, 1, 6)));
    assert!(refusal.text.contains("too old"), "{refusal}");
    let relay = world.receive("ann@example.net", "x").await.unwrap_err();
    assert_eq!(relay.enhanced, Some(EnhancedCode(5, 7, 1)));
    let nobody = world.receive("info@bounce.test", "x").await.unwrap_err();
    assert_eq!(nobody.enhanced, Some(EnhancedCode(5, 1, 1)));
    let counts = [
        "forged-token",
        "expired-token",
        "relaying",
        "unknown-address",
    ];
    assert_eq!(counts.map(|what| world.count(what)), [1, 1, 1, 1]);
    assert_eq!(world.suppressed("ann@example.net").await, None);
}

#[tokio::test]
async fn a_token_of_one_purpose_is_none_of_the_other() {
    let world = world().await;
    let (returns, leaves) = (
        world.token(Some(0), Purpose::Return),
        world.token(Some(0), Purpose::Unsubscribe),
    );
    for address in [
        format!("u-{returns}@bounce.test"),
        format!("b-{leaves}@bounce.test"),
    ] {
        assert!(world.receive(&address, "x").await.is_err());
    }
    assert!(world.inbound.unsubscribe(&returns, "test").await.is_err());
}

#[tokio::test]
async fn a_redacted_complaint_finds_its_recipient_once() {
    let world = world().await;
    let token = world.token(Some(1), Purpose::Return);
    let report = format!("abuse {token} redacted@example.net");
    for _ in 0..2 {
        world.receive("FBL@bounce.test", &report).await.unwrap();
    }
    let complained = world.events("complained");
    let [
        Event::Complained {
            about,
            feedback,
            attempt,
            ..
        },
    ] = complained.as_slice()
    else {
        panic!("{complained:?}")
    };
    assert_eq!(
        about.recipient.as_ref().unwrap().as_str(),
        "bob@example.net"
    );
    assert_eq!(
        (&**feedback, attempt.provider.as_deref()),
        ("abuse", Some("example"))
    );
    let expected = Some((Scope::Tenant("acme".into()), Reason::Complaint));
    assert_eq!(world.suppressed("bob@example.net").await, expected);
    assert_eq!(world.suppressed("ann@example.net").await, None);
}

#[tokio::test]
async fn a_complaint_of_the_whole_message_goes_by_the_recipient_it_names() {
    let world = world().await;
    let token = world.token(None, Purpose::Return);
    let of = |address: &str| format!("abuse {token} {address}");
    world
        .receive("fbl@bounce.test", &of("redacted@x.test"))
        .await
        .unwrap();
    assert_eq!(
        (
            world.events("complained").len(),
            world.events("unread").len()
        ),
        (0, 1)
    );
    world
        .receive("fbl@bounce.test", &of("ann@example.net"))
        .await
        .unwrap();
    assert_eq!(world.events("complained").len(), 1);
    assert!(world.suppressed("ann@example.net").await.is_some());
    assert_eq!(world.suppressed("bob@example.net").await, None);
}

#[tokio::test]
async fn a_complaint_without_a_token_of_ours_is_kept_and_suppresses_nobody() {
    let world = world().await;
    let mut token = world.token(Some(0), Purpose::Return);
    token.replace_range(30..31, if &token[30..31] == "0" { "1" } else { "0" });
    for token in ["none", &token] {
        let report = format!("abuse {token} ann@example.net");
        world.receive("fbl@bounce.test", &report).await.unwrap();
    }
    let counts = ["complaint-without-token", "forged-token"];
    assert_eq!(counts.map(|what| world.count(what)), [2, 1]);
    assert_eq!(
        (
            world.events("unread").len(),
            world.events("complained").len()
        ),
        (2, 0)
    );
    assert_eq!(world.suppressed("ann@example.net").await, None);
}

#[tokio::test]
async fn not_spam_is_told_and_opting_out_is_unsubscribing() {
    let world = world().await;
    let token = world.token(Some(0), Purpose::Return);
    let report = format!("not-spam {token} x");
    world.receive("fbl@bounce.test", &report).await.unwrap();
    assert_eq!(world.events("complained").len(), 1);
    assert_eq!(world.suppressed("ann@example.net").await, None);
    let report = format!("opt-out {token} x");
    world.receive("fbl@bounce.test", &report).await.unwrap();
    assert_eq!(world.events("unsubscribed").len(), 1);
    let left = Scope::List(Some("acme".into()), "news".into());
    assert_eq!(
        world.suppressed("ann@example.net").await,
        Some((left, Reason::Unsubscribe))
    );
}

#[tokio::test]
async fn unsubscribing_by_mail_or_link_is_done_once() {
    let world = world().await;
    let token = world.token(Some(0), Purpose::Unsubscribe);
    let shown = world.inbound.subscription(&token).await.unwrap();
    assert_eq!(
        (shown.masked.as_str(), shown.list.as_deref()),
        ("a***@e***.net", Some("news"))
    );
    assert_eq!(world.suppressed("ann@example.net").await, None);
    world
        .receive(&format!("u-{token}@bounce.test"), "away")
        .await
        .unwrap();
    let again = world.inbound.unsubscribe(&token, "by link").await.unwrap();
    assert_eq!(again, Unsubscribed::Before);
    assert_eq!(world.events("unsubscribed").len(), 1);
    assert!(world.suppressed("ann@example.net").await.is_some());
}

#[tokio::test]
async fn what_nobody_understands_is_kept_with_its_envelope() {
    let world = world().await;
    world
        .receive(&world.return_path(0), "hello there\r\n")
        .await
        .unwrap();
    world
        .receive("Abuse@bounce.test", "to a person\r\n")
        .await
        .unwrap();
    let unread = world.events("unread");
    let [Event::Unread { why, .. }, _] = unread.as_slice() else {
        panic!("{unread:?}")
    };
    let (_, path) = why.split_once("kept as ").unwrap();
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(
        kept.starts_with("Return-Path: <>\r\nDelivered-To: b-"),
        "{kept}"
    );
    assert!(kept.ends_with("hello there\r\n"));
    assert_eq!((world.count("unknown"), world.count("person")), (1, 1));
}

#[tokio::test]
async fn a_message_that_makes_us_stumble_is_answered_and_kept() {
    let world = world().await;
    world.receive(&world.return_path(0), "panic").await.unwrap();
    assert_eq!((world.count("fault"), world.events("unread").len()), (1, 1));
}

#[tokio::test]
async fn a_notice_at_the_feedback_address_suppresses_nobody() {
    let world = world().await;
    world
        .receive("fbl@bounce.test", "failed ann@example.net hard")
        .await
        .unwrap();
    assert_eq!(world.count("notice-astray"), 1);
    assert_eq!(world.suppressed("ann@example.net").await, None);
}

#[tokio::test]
async fn books_that_cannot_be_read_have_the_sender_try_again() {
    let world = world().await;
    world.inbound.0.books.close().await;
    let refusal = world
        .receive(&world.return_path(0), "failed ann@example.net hard")
        .await;
    let refusal = refusal.unwrap_err();
    assert_eq!(
        (refusal.code, refusal.enhanced),
        (451, Some(EnhancedCode(4, 3, 0)))
    );
    assert_eq!(world.events("bounced").len(), 0);
}

const DMARC: &str = "Subject: Report\r\nContent-Type: text/xml\r\n\r\n<feedback><report_metadata><org_name>r</org_name>\
    <report_id>1</report_id><date_range><begin>1795262400</begin><end>1795348799</end></date_range></report_metadata>\
    <policy_published><domain>acme.test</domain><p>none</p></policy_published><record><row>\
    <source_ip>198.51.100.7</source_ip><count>20</count><policy_evaluated><disposition>none</disposition>\
    <dkim>fail</dkim><spf>fail</spf></policy_evaluated></row></record></feedback>";

#[tokio::test]
async fn a_report_is_counted_once_and_what_it_tells_is_told() {
    let world = world().await;
    for _ in 0..2 {
        world.receive("Dmarc@bounce.test", DMARC).await.unwrap();
    }
    assert_eq!((world.count("report"), world.count("report-again")), (1, 1));
    let told = world.events("report");
    let [
        Event::Report {
            domain,
            source: None,
            reason: "foreign-sender",
            why,
            ..
        },
    ] = told.as_slice()
    else {
        panic!("{told:?}")
    };
    assert_eq!(&**domain, "acme.test");
    assert!(why.contains("20 of 20 messages of 2026-11-21"), "{why}");
}

#[tokio::test]
async fn a_report_that_is_broken_or_not_about_us_is_kept_for_a_person() {
    let world = world().await;
    let foreign = DMARC.replace("acme.test", "other.test");
    let broken = DMARC.replace("</feedback>", "");
    for report in [&*foreign, &*broken, "Subject: hello\r\n\r\nhow are you?"] {
        world.receive("dmarc@bounce.test", report).await.unwrap();
    }
    let counts = [
        "report-not-ours",
        "report-unreadable",
        "no-report",
        "report",
    ];
    assert_eq!(counts.map(|what| world.count(what)), [1, 1, 1, 0]);
    let unread = world.events("unread");
    let [_, Event::Unread { why, .. }, _] = unread.as_slice() else {
        panic!("{unread:?}")
    };
    assert!(why.contains("it is cut off"), "{why}");
}

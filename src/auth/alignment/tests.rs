use super::published::Published;
use super::*;
use crate::auth::dkim::{Algorithm, generate};
use crate::auth::dmarc::{DmarcResult, Policy};
use crate::auth::spf::SpfResult;
use crate::clock::Clock;
use crate::peers::world::World;
use crate::units::Timestamp;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
/// Any 32 octets.
const ED25519: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const OTHER: &str = "v=DKIM1; k=ed25519; p=AAAAAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// acme.example as it ought to be: SPF for one address, a key, a policy.
fn acme() -> (Clock, Arc<World>) {
    let clock = Clock::manual(NOW);
    let world = World::new(clock.clone());
    world
        .txt("acme.example", "v=spf1 ip4:192.0.2.10 -all")
        .txt("bounces.acme.example", "v=spf1 ip4:192.0.2.10 -all")
        .txt("s1._domainkey.acme.example", ED25519)
        .txt(
            "_dmarc.acme.example",
            "v=DMARC1; p=reject; rua=mailto:dmarc@acme.example",
        );
    (clock, Arc::new(world))
}

fn identity() -> Identity {
    let covers = ["from", "to", "subject", "date", "message-id"];
    Identity {
        from: "acme.example".into(),
        return_path: Some("bounces.acme.example".into()),
        signatures: [Arc::new(Signature {
            domain: "acme.example".into(),
            selector: "s1".into(),
            record: ED25519.into(),
            covers: covers.map(Into::into).into(),
        })]
        .into(),
    }
}

fn origin() -> Origin {
    Origin {
        ip: IpAddr::from([192, 0, 2, 10]),
        ehlo: "a.mail.acme.example".into(),
    }
}

async fn judged(world: &Arc<World>, clock: &Clock) -> Judgement {
    judge(world, clock, &identity(), &origin()).await
}

fn kinds(judgement: &Judgement) -> Vec<Kind> {
    judgement
        .findings
        .iter()
        .map(|finding| finding.kind.clone())
        .collect()
}

#[tokio::test]
async fn mail_that_is_in_order_has_no_findings() {
    let (clock, world) = acme();
    let found = judged(&world, &clock).await;
    assert_eq!(found.result, DmarcResult::Pass);
    assert_eq!(found.spf.report.result, SpfResult::Pass);
    assert_eq!(
        (found.spf.aligned, found.keys[0].aligned),
        (Some(true), Some(true))
    );
    assert_eq!(kinds(&found), []);
}

#[tokio::test]
async fn a_source_that_spf_does_not_know_is_told_with_the_remedy() {
    let (clock, world) = acme();
    let elsewhere = Origin {
        ip: "2001:db8::25".parse().unwrap(),
        ..origin()
    };
    let found = judge(&world, &clock, &identity(), &elsewhere).await;
    // DKIM carries it.
    assert_eq!(found.result, DmarcResult::Pass);
    assert_eq!(kinds(&found), [Kind::Spf(SpfResult::Fail)]);
    let finding = &found.findings[0];
    assert_eq!(
        (finding.weight, finding.kind.rule()),
        (Weight::Broken, "L08")
    );
    assert!(
        finding.remedy.contains("ip6:2001:db8::25"),
        "{}",
        finding.remedy
    );
    let reply = finding.reply();
    assert_eq!(
        (reply.code, reply.enhanced.unwrap().to_string()),
        (550, "5.7.23".into())
    );
    assert!(reply.text.contains("bounces.acme.example"), "{reply}");
}

#[tokio::test]
async fn what_is_published_has_to_be_our_key() {
    for (text, state) in [
        (Some("v=DKIM1; p="), Kind::Key(KeyState::Revoked)),
        (None, Kind::Key(KeyState::Missing)),
        (
            Some("v=DKIM1; k=rsa4; p=AAAA"),
            Kind::Key(KeyState::Unusable(
                "k= names a kind of key that nobody knows",
            )),
        ),
        (
            Some("v=DKIM1; k=ed25519; s=tlsrpt; p=AAAA"),
            Kind::Key(KeyState::Unusable("s= does not allow mail")),
        ),
        (
            Some("v=DKIM1; h=sha1; p=AAAA"),
            Kind::Key(KeyState::Unusable("h= does not allow sha256")),
        ),
        (
            Some(OTHER),
            Kind::Key(KeyState::Other(Published::parse(OTHER.as_bytes()).unwrap())),
        ),
    ] {
        let (clock, world) = acme();
        world.remove("s1._domainkey.acme.example");
        if let Some(text) = text {
            world.txt("s1._domainkey.acme.example", text);
        }
        let found = judged(&world, &clock).await;
        assert_eq!(kinds(&found), [state], "{text:?}");
        assert_eq!(
            found.findings[0].reply().enhanced.unwrap().to_string(),
            "5.7.20"
        );
        // SPF carries it.
        assert_eq!(found.result, DmarcResult::Pass);
    }
}

#[tokio::test]
async fn a_key_under_test_counts_and_is_told() {
    let (clock, world) = acme();
    world.remove("s1._domainkey.acme.example").txt(
        "s1._domainkey.acme.example",
        &ED25519.replace("k=", "t=s:y; k="),
    );
    let found = judged(&world, &clock).await;
    assert_eq!(
        (found.result, kinds(&found)),
        (DmarcResult::Pass, vec![Kind::KeyTesting])
    );
    assert_eq!(found.findings[0].weight, Weight::Weak);
}

#[tokio::test]
async fn mail_that_nothing_speaks_for_fails_and_the_reply_says_so() {
    let (clock, world) = acme();
    world
        .remove("bounces.acme.example")
        .remove("s1._domainkey.acme.example");
    let found = judged(&world, &clock).await;
    assert_eq!(found.result, DmarcResult::Fail);
    assert_eq!(
        kinds(&found),
        [
            Kind::Spf(SpfResult::None),
            Kind::Key(KeyState::Missing),
            Kind::Unauthenticated(Policy::Reject)
        ]
    );
    assert_eq!(
        found.findings[2].reply().enhanced.unwrap().to_string(),
        "5.7.26"
    );
}

#[tokio::test]
async fn what_nobody_can_tell_now_is_refused_for_now_only() {
    let (clock, world) = acme();
    world
        .remove("bounces.acme.example")
        .fail("bounces.acme.example");
    world
        .remove("s1._domainkey.acme.example")
        .fail("s1._domainkey.acme.example");
    let found = judged(&world, &clock).await;
    assert_eq!(found.result, DmarcResult::TempError);
    let codes: Vec<u16> = found
        .findings
        .iter()
        .map(|finding| finding.reply().code)
        .collect();
    assert_eq!(codes, [451, 451]);
    assert_eq!(found.expires, NOW + Duration::from_secs(30));
}

#[tokio::test]
async fn domains_of_others_do_not_speak_for_ours() {
    let (clock, world) = acme();
    world
        .txt("esp.example", "v=spf1 ip4:192.0.2.10 -all")
        .txt("k._domainkey.esp.example", ED25519);
    let mut borrowed = identity();
    borrowed.return_path = Some("esp.example".into());
    borrowed.signatures = [Arc::new(Signature {
        domain: "esp.example".into(),
        selector: "k".into(),
        ..Signature::clone(&borrowed.signatures[0])
    })]
    .into();
    let found = judge(&world, &clock, &borrowed, &origin()).await;
    assert_eq!(found.spf.report.result, SpfResult::Pass);
    assert_eq!(found.result, DmarcResult::Fail);
    assert_eq!(
        kinds(&found),
        [
            Kind::Unauthenticated(Policy::Reject),
            Kind::SpfUnaligned,
            Kind::DkimUnaligned
        ]
    );
}

#[tokio::test]
async fn strict_alignment_wants_the_very_name() {
    let (clock, world) = acme();
    world.remove("_dmarc.acme.example").txt(
        "_dmarc.acme.example",
        "v=DMARC1; p=none; aspf=s; rua=mailto:d@acme.example",
    );
    let found = judged(&world, &clock).await;
    assert_eq!(
        (found.spf.aligned, found.keys[0].aligned),
        (Some(false), Some(true))
    );
    assert_eq!(
        (found.result, kinds(&found)),
        (DmarcResult::Pass, vec![Kind::SpfUnaligned])
    );
}

#[tokio::test]
async fn what_is_weak_in_a_policy_is_told() {
    for (text, kind) in [
        ("v=DMARC1; p=none", Kind::NoReports),
        (
            "v=DMARC1; p=reject; t=y; rua=mailto:d@acme.example",
            Kind::PolicyTesting,
        ),
        (
            "v=DMARC1; p=reject; pct=20; rua=mailto:d@acme.example",
            Kind::PolicySampled(20),
        ),
        ("v=DMARC1; p=block", Kind::PolicyVoid),
        ("some text", Kind::NoPolicy),
    ] {
        let (clock, world) = acme();
        world
            .remove("_dmarc.acme.example")
            .txt("_dmarc.acme.example", text);
        assert_eq!(kinds(&judged(&world, &clock).await), [kind], "{text}");
    }
}

#[tokio::test]
async fn a_notice_stands_on_the_name_in_ehlo_and_unsigned_mail_is_told() {
    let (clock, world) = acme();
    world.txt("a.mail.acme.example", "v=spf1 ip4:192.0.2.10 -all");
    let notice = Identity {
        return_path: None,
        signatures: [].into(),
        ..identity()
    };
    let found = judge(&world, &clock, &notice, &origin()).await;
    assert_eq!(
        (found.result, kinds(&found)),
        (DmarcResult::Pass, vec![Kind::Unsigned])
    );
}

#[tokio::test]
async fn a_signature_that_leaves_fields_open_is_told() {
    let (clock, world) = acme();
    let mut open = identity();
    let covers = ["FROM", "Subject", "Date", "Message-Id"]
        .map(Into::into)
        .into();
    open.signatures = [Arc::new(Signature {
        covers,
        ..Signature::clone(&open.signatures[0])
    })]
    .into();
    let found = judge(&world, &clock, &open, &origin()).await;
    assert_eq!(kinds(&found), [Kind::NotCovered("To")]);
}

#[test]
fn the_length_of_our_own_keys_is_read_from_what_is_published() {
    let dir = tempfile::tempdir().unwrap();
    let public = generate(Algorithm::Rsa2048, &dir.path().join("key.pem")).unwrap();
    let published = Published::parse(public.text().as_bytes()).unwrap();
    assert_eq!(published.rsa_bits(), Some(2048));
}

#[test]
fn a_short_key_is_told_by_its_length_and_a_cut_one_by_none() {
    // The key of RFC 6376 Appendix C.
    let short = "k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFC\
                 jxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToI\
                 MmPSPDdQPNUYckcQ2QIDAQAB";
    assert_eq!(
        Published::parse(short.as_bytes()).unwrap().rsa_bits(),
        Some(1024)
    );
    for cut in 0..40 {
        let text = format!("p={}", &short["k=rsa; p=".len()..][..cut / 4 * 4]);
        if let Ok(published) = Published::parse(text.as_bytes()) {
            assert_eq!(published.rsa_bits(), None);
        }
    }
}

fn preflight() -> (Clock, Arc<World>, Arc<Preflight<Arc<World>>>) {
    let (clock, world) = acme();
    let preflight = Preflight::new(world.clone(), clock.clone(), Bounds::default());
    (clock, world, Arc::new(preflight))
}

#[tokio::test]
async fn a_judgement_at_hand_asks_nobody() {
    let (_clock, world, preflight) = preflight();
    assert!(preflight.known(&identity(), &origin()).is_none());
    preflight.judge(&identity(), &origin()).await;
    let asked = world.asked().len();
    assert!(preflight.known(&identity(), &origin()).is_some());
    preflight.judge(&identity(), &origin()).await;
    assert_eq!(world.asked().len(), asked);
}

#[tokio::test]
async fn a_judgement_is_claimed_once_and_again_when_it_is_too_old() {
    let (clock, _world, preflight) = preflight();
    assert!(preflight.claim(&identity(), &origin()));
    assert!(!preflight.claim(&identity(), &origin()), "it is under way");
    preflight.judge(&identity(), &origin()).await;
    assert!(!preflight.claim(&identity(), &origin()), "it is at hand");
    clock.advance(Duration::from_secs(300 + 121));
    assert!(preflight.claim(&identity(), &origin()));
}

#[tokio::test]
async fn what_failed_for_want_of_an_answer_is_no_fault() {
    let (clock, world) = acme();
    world
        .remove("bounces.acme.example")
        .fail("bounces.acme.example");
    world
        .remove("s1._domainkey.acme.example")
        .fail("s1._domainkey.acme.example");
    let found = judged(&world, &clock).await;
    assert_eq!((found.findings.len(), found.faults().count()), (2, 0));
    assert!(!found.lets_send() && found.forbids().is_none());
    let of_path = Identity::of_return_path("acme.example");
    let elsewhere = Origin {
        ip: IpAddr::from([192, 0, 2, 11]),
        ..origin()
    };
    let found = judge(&world, &clock, &of_path, &elsewhere).await;
    assert_eq!(found.forbids().unwrap().kind, Kind::Spf(SpfResult::Fail));
}

#[tokio::test]
async fn what_is_in_use_is_judged_anew_in_the_background_and_what_is_not_is_dropped() {
    let (clock, world, preflight) = preflight();
    preflight.judge(&identity(), &origin()).await;
    world.remove("s1._domainkey.acme.example");
    clock.advance(Duration::from_secs(299));
    assert_eq!(preflight.refresh().await, 0);
    clock.advance(Duration::from_secs(2));
    // Expired, and still served while it is judged anew.
    assert!(
        preflight
            .known(&identity(), &origin())
            .unwrap()
            .findings
            .is_empty()
    );
    assert_eq!(preflight.refresh().await, 1);
    let fresh = preflight.known(&identity(), &origin()).unwrap();
    assert_eq!(kinds(&fresh), [Kind::Key(KeyState::Missing)]);
    clock.advance(Duration::from_secs(301));
    assert_eq!(preflight.refresh().await, 1);
    // Nobody asked for that one.
    clock.advance(Duration::from_secs(301));
    assert_eq!(preflight.refresh().await, 0);
    assert!(preflight.known(&identity(), &origin()).is_none());
}

#[tokio::test]
async fn the_background_task_keeps_judgements_fresh_until_it_is_stopped() {
    let (clock, world, preflight) = preflight();
    preflight.judge(&identity(), &origin()).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let task = tokio::spawn(preflight.clone().keep_fresh(stop.clone()));
    world.remove("bounces.acme.example");
    while preflight
        .known(&identity(), &origin())
        .unwrap()
        .findings
        .is_empty()
    {
        clock.advance(Duration::from_secs(5));
        tokio::task::yield_now().await;
    }
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn an_old_judgement_is_not_served_for_ever() {
    let (clock, _world, preflight) = preflight();
    preflight.judge(&identity(), &origin()).await;
    clock.advance(Duration::from_secs(300 + 121));
    assert!(preflight.known(&identity(), &origin()).is_none());
    preflight.judge(&identity(), &origin()).await;
    assert!(preflight.known(&identity(), &origin()).is_some());
}

#[tokio::test]
async fn what_is_kept_is_bounded_and_what_is_in_use_stays_longest() {
    let (clock, world) = acme();
    let bounds = Bounds {
        capacity: 8,
        ..Bounds::default()
    };
    let preflight = Preflight::new(world, clock, bounds);
    for n in 0..50 {
        let elsewhere = Origin {
            ip: IpAddr::from([198, 51, 100, n]),
            ..origin()
        };
        preflight.judge(&identity(), &elsewhere).await;
        preflight.judge(&identity(), &origin()).await;
    }
    assert!(preflight.len() <= 8);
}

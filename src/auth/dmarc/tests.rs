use super::*;
use crate::clock::Clock;
use crate::peers::world::World;
use crate::units::Timestamp;
use proptest::prelude::*;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn world(records: &[(&str, &str)]) -> World {
    let world = World::new(Clock::manual(NOW));
    for (name, text) in records {
        world.txt(&format!("_dmarc.{name}"), text);
    }
    world
}

async fn applied(world: &World, domain: &str) -> Applied {
    let found = discover(world, NOW, domain).await;
    found
        .applied
        .unwrap_or_else(|| panic!("nothing applies to {domain}"))
}

async fn organization(world: &World, domain: &str) -> String {
    let found = organizational(world, NOW, domain).await;
    found.domain.unwrap().into()
}

fn record(text: &str) -> Record {
    Record::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text} is no record"))
}

fn stated(text: &str) -> (Policy, Option<Policy>, Option<Policy>) {
    match record(text).stance {
        Stance::Stated { p, sp, np } => (p, sp, np),
        other => panic!("{text} is {other:?}"),
    }
}

#[test]
fn at_most_eight_names_are_asked_for() {
    let asked: Vec<_> = targets("a.b.c.d.e.f.g.h.i.j.mail.example.com").collect();
    assert_eq!(
        asked,
        [
            "a.b.c.d.e.f.g.h.i.j.mail.example.com",
            "g.h.i.j.mail.example.com",
            "h.i.j.mail.example.com",
            "i.j.mail.example.com",
            "j.mail.example.com",
            "mail.example.com",
            "example.com",
            "com",
        ]
    );
    assert_eq!(targets("a.b.c.d.e.f.g.h").count(), 8);
    assert_eq!(targets("a.b.c.d.e.f.g.h.i").count(), 8);
    assert_eq!(targets("a.b.c.d.e.f.g").count(), 7);
    assert_eq!(targets("com").collect::<Vec<_>>(), ["com"]);
}

#[test]
fn the_version_has_to_be_first_and_exact() {
    for none in [
        "",
        "v=DMARC2; p=none",
        "v=dmarc1; p=none",
        "p=none; v=DMARC1",
        "v=DMARC1 p=none",
        "v=spf1 -all",
    ] {
        assert_eq!(Record::parse(none.as_bytes()), None, "{none}");
    }
    assert_eq!(stated("v = DMARC1 ;p=reject").0, Policy::Reject);
    assert_eq!(Record::parse(b"v=DMARC1; p=none; \xff"), None);
}

#[test]
fn what_is_wrong_counts_as_not_written() {
    let found = record("v=DMARC1; P=Reject; adkim=x; aspf=S; psd=maybe; t=perhaps; fo; unknown=1");
    assert_eq!((found.dkim, found.spf), (Mode::Relaxed, Mode::Strict));
    assert_eq!((found.psd, found.testing), (Psd::Unsaid, false));
    assert!(matches!(
        found.stance,
        Stance::Stated {
            p: Policy::Reject,
            ..
        }
    ));
}

#[test]
fn a_wrong_policy_is_none_where_reports_are_wanted_and_nothing_otherwise() {
    for wrong in ["", "p=block;", "p=reject; sp=block;", "p=reject; np=block;"] {
        let with = format!("v=DMARC1; {wrong} rua=ftp, mailto:d@example.com!10m");
        assert_eq!(record(&with).stance, Stance::Reports, "{with}");
        assert_eq!(
            *record(&with).rua,
            [Box::<str>::from("mailto:d@example.com")]
        );
        let without = format!("v=DMARC1; {wrong} rua=example.com");
        assert_eq!(record(&without).stance, Stance::Void, "{without}");
    }
}

#[test]
fn a_policy_is_tested_by_t_or_by_a_pct_of_nothing() {
    assert!(record("v=DMARC1; p=reject; t=y").testing);
    assert!(record("v=DMARC1; p=reject; pct=0").testing);
    assert!(!record("v=DMARC1; p=reject; pct=0; t=n").testing);
    let half = record("v=DMARC1; p=reject; pct=50");
    assert_eq!((half.testing, half.pct), (false, Some(50)));
    assert_eq!(record("v=DMARC1; p=reject; pct=101").pct, None);
}

#[tokio::test]
async fn the_author_domain_speaks_first() {
    let world = world(&[
        ("a.mail.example.com", "v=DMARC1; p=none"),
        ("example.com", "v=DMARC1; p=reject; sp=quarantine"),
    ]);
    let own = applied(&world, "A.Mail.example.com.").await;
    assert_eq!((own.policy, own.tag), (Policy::None, Tag::P));
    assert_eq!(own.publisher, Publisher::AuthorDomain);
    let below = applied(&world, "b.mail.example.com").await;
    assert_eq!((below.policy, below.tag), (Policy::Quarantine, Tag::Sp));
    assert_eq!(
        (&*below.at, below.publisher),
        ("example.com", Publisher::OrganizationalDomain)
    );
    let top = applied(&world, "example.com").await;
    assert_eq!((top.policy, top.tag), (Policy::Reject, Tag::P));
}

#[tokio::test]
async fn a_subdomain_that_does_not_exist_has_a_policy_of_its_own() {
    let world = world(&[("example.com", "v=DMARC1; p=none; sp=quarantine; np=reject")]);
    world.bare("mail.example.com");
    let there = applied(&world, "mail.example.com").await;
    assert_eq!((there.policy, there.tag), (Policy::Quarantine, Tag::Sp));
    let not_there = applied(&world, "nope.example.com").await;
    assert_eq!((not_there.policy, not_there.tag), (Policy::Reject, Tag::Np));
    // The domain itself has p, whatever it is made of.
    assert_eq!(applied(&world, "example.com").await.policy, Policy::None);
}

#[tokio::test]
async fn without_np_a_missing_subdomain_is_one_like_any_other_and_nobody_asks() {
    let with_sp = world(&[("example.com", "v=DMARC1; p=none; sp=quarantine")]);
    assert_eq!(applied(&with_sp, "nope.example.com").await.tag, Tag::Sp);
    let bare = world(&[("example.com", "v=DMARC1; p=reject")]);
    assert_eq!(
        applied(&bare, "nope.example.com").await.policy,
        Policy::Reject
    );
    let asked = bare.asked();
    assert!(
        asked.iter().all(|(name, _)| name.starts_with("_dmarc.")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn the_organizational_domain_is_the_highest_with_a_record() {
    let world = world(&[
        ("mail.example.com", "v=DMARC1; p=none"),
        ("example.com", "v=DMARC1; p=none"),
    ]);
    for domain in ["a.mail.example.com", "mail.example.com", "example.com"] {
        assert_eq!(organization(&world, domain).await, "example.com");
    }
    assert_eq!(organization(&world, "a.example.org").await, "a.example.org");
}

#[tokio::test]
async fn psd_n_makes_an_organizational_domain_and_ends_the_walk() {
    let world = world(&[
        ("mail.example.com", "v=DMARC1; p=none; psd=n"),
        ("example.com", "v=DMARC1; p=reject"),
    ]);
    assert_eq!(
        organization(&world, "a.mail.example.com").await,
        "mail.example.com"
    );
    assert_eq!(world.asked().len(), 2);
    assert_eq!(organization(&world, "b.example.com").await, "example.com");
}

#[tokio::test]
async fn below_a_public_suffix_each_name_is_an_organization() {
    let world = world(&[("bank", "v=DMARC1; p=reject; sp=quarantine; np=none; psd=y")]);
    world.bare("example.bank").bare("mail.example.bank");
    assert_eq!(
        organization(&world, "a.mail.example.bank").await,
        "example.bank"
    );
    assert_eq!(organization(&world, "example.bank").await, "example.bank");
    // The suffix itself: its own record is not one above it.
    assert_eq!(organization(&world, "bank").await, "bank");
    let found = applied(&world, "mail.example.bank").await;
    assert_eq!(
        (found.publisher, found.policy, found.tag),
        (Publisher::PublicSuffix, Policy::Quarantine, Tag::Sp)
    );
    let missing = applied(&world, "nobody.bank").await;
    assert_eq!((missing.policy, missing.tag), (Policy::None, Tag::Np));
}

#[tokio::test]
async fn the_policy_of_a_public_suffix_gives_way_to_an_organization_below_it() {
    let world = world(&[
        ("co.example", "v=DMARC1; p=reject; psd=y"),
        ("shop.co.example", "v=DMARC1; p=none; sp=none"),
    ]);
    let found = applied(&world, "mail.shop.co.example").await;
    assert_eq!(
        (&*found.at, found.policy),
        ("shop.co.example", Policy::None)
    );
    assert_eq!(
        organization(&world, "mail.shop.co.example").await,
        "shop.co.example"
    );
}

#[tokio::test]
async fn a_test_lowers_the_policy_by_one() {
    for (text, asked, effective) in [
        (
            "v=DMARC1; p=reject; t=y",
            Policy::Reject,
            Policy::Quarantine,
        ),
        (
            "v=DMARC1; p=quarantine; t=y",
            Policy::Quarantine,
            Policy::None,
        ),
        ("v=DMARC1; p=none; t=y", Policy::None, Policy::None),
        (
            "v=DMARC1; p=reject; pct=0",
            Policy::Reject,
            Policy::Quarantine,
        ),
        ("v=DMARC1; p=reject; pct=30", Policy::Reject, Policy::Reject),
    ] {
        let found = applied(&world(&[("example.com", text)]), "example.com").await;
        assert_eq!(
            (found.policy, found.effective),
            (asked, effective),
            "{text}"
        );
    }
}

#[tokio::test]
async fn two_records_at_one_name_are_none() {
    let world = world(&[
        ("mail.example.com", "v=DMARC1; p=none"),
        ("mail.example.com", "v=DMARC1; p=reject"),
        ("example.com", "v=DMARC1; p=quarantine"),
    ]);
    world.txt("_dmarc.example.com", "some other text");
    let found = discover(&world, NOW, "mail.example.com").await;
    assert_eq!(
        *found.walk.ambiguous,
        [Box::<str>::from("mail.example.com")]
    );
    assert_eq!(found.applied.unwrap().policy, Policy::Quarantine);
}

#[tokio::test]
async fn a_record_that_asks_for_nothing_does_not_apply() {
    let world = world(&[("example.com", "v=DMARC1; p=block")]);
    let found = discover(&world, NOW, "example.com").await;
    assert_eq!(found.applied, None);
    assert_eq!(found.result([(Some(true), Some(true))]), DmarcResult::None);
}

#[tokio::test]
async fn a_failure_hides_what_is_above_it_only() {
    let world = world(&[("mail.example.com", "v=DMARC1; p=reject")]);
    world.fail("_dmarc.example.com");
    let own = discover(&world, NOW, "mail.example.com").await;
    assert_eq!(own.applied.as_ref().unwrap().policy, Policy::Reject);
    assert_eq!(
        own.aligned(Mode::Relaxed, "mail.example.com", None),
        Some(true)
    );
    assert_eq!(
        own.aligned(Mode::Relaxed, "a.mail.example.com", Some("example.com")),
        None
    );
    assert_eq!(
        own.aligned(Mode::Strict, "a.mail.example.com", None),
        Some(false)
    );
    let below = discover(&world, NOW, "a.example.com").await;
    assert!(below.failed.is_some() && below.applied.is_none());
    assert_eq!(
        below.result([(Some(true), Some(true))]),
        DmarcResult::TempError
    );
    assert_eq!(below.expires, NOW + Duration::from_secs(30));
}

#[tokio::test]
async fn relaxed_alignment_is_of_organizations_and_strict_of_names() {
    let world = world(&[
        ("example.com", "v=DMARC1; p=none"),
        ("com", "v=DMARC1; p=none; psd=y"),
    ]);
    let from = discover(&world, NOW, "news.example.com").await;
    for (domain, relaxed, strict) in [
        ("news.example.com", true, true),
        ("bounces.example.com", true, false),
        ("example.com", true, false),
        ("example.com.evil.com", false, false),
        ("badexample.com", false, false),
        ("com", false, false),
    ] {
        let organization = organization(&world, domain).await;
        assert_eq!(
            from.aligned(Mode::Relaxed, domain, Some(&organization)),
            Some(relaxed),
            "{domain}"
        );
        assert_eq!(
            from.aligned(Mode::Strict, domain, Some(&organization)),
            Some(strict),
            "{domain}"
        );
    }
}

#[tokio::test]
async fn one_aligned_pass_is_enough_and_a_doubt_stays_a_doubt() {
    let world = world(&[("example.com", "v=DMARC1; p=none")]);
    let found = discover(&world, NOW, "example.com").await;
    let (yes, no) = (Some(true), Some(false));
    for (identifiers, result) in [
        (vec![(no, yes), (yes, yes)], DmarcResult::Pass),
        (vec![(None, yes), (yes, yes)], DmarcResult::Pass),
        (vec![(yes, no), (no, yes)], DmarcResult::Fail),
        (vec![], DmarcResult::Fail),
        (vec![(None, yes), (no, yes)], DmarcResult::TempError),
        (vec![(yes, None)], DmarcResult::TempError),
        (vec![(None, no), (no, None)], DmarcResult::Fail),
    ] {
        assert_eq!(found.result(identifiers.clone()), result, "{identifiers:?}");
    }
}

#[tokio::test]
async fn u_labels_are_asked_for_as_a_labels() {
    let world = world(&[("xn--bcher-kva.example", "v=DMARC1; p=none")]);
    assert_eq!(
        &*applied(&world, "Bücher.example").await.at,
        "xn--bcher-kva.example"
    );
}

#[tokio::test]
async fn the_answer_lives_as_long_as_its_shortest_part() {
    let world = world(&[("example.com", "v=DMARC1; p=none")]);
    world
        .txt("_dmarc.com", "nothing")
        .ttl(Duration::from_secs(7));
    let found = discover(&world, NOW, "example.com").await;
    assert_eq!(found.expires, NOW + Duration::from_secs(7));
}

proptest! {
    #[test]
    fn any_octets_can_be_read(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut record = b"v=DMARC1;".to_vec();
        record.extend(text);
        let _ = Record::parse(&record);
    }

    #[test]
    fn no_name_takes_more_than_eight_questions(labels in proptest::collection::vec("[a-z]{1,5}", 1..60)) {
        let domain = labels.join(".");
        let asked: Vec<_> = targets(&domain).collect();
        prop_assert!((1..=8).contains(&asked.len()));
        prop_assert_eq!(asked[0], &domain);
        prop_assert_eq!(asked.last().copied(), labels.last().map(String::as_str));
    }
}

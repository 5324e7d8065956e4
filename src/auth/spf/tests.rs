//! What the published cases (`tests/it/rfc7208`) do not ask: the trace, the time, the life of an answer.

use super::*;
use crate::clock::Clock;
use crate::peers::world::{World, mx, ptr};
use crate::units::Timestamp;
use proptest::prelude::*;
use std::net::IpAddr;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn world(records: &[(&str, &str)]) -> World {
    let world = World::new(Clock::manual(NOW));
    for (name, text) in records {
        world.txt(name, text);
    }
    world
}

async fn judged(world: &World, ip: &str, sender: &str) -> Report {
    let question = Question {
        ip: ip.parse().unwrap(),
        sender,
        helo: "mta.example.org",
        receiver: "receiver.example",
    };
    check(world, &Clock::manual(NOW), &question).await
}

fn trace(report: &Report) -> Vec<String> {
    report.trace.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn the_trace_names_what_decided_and_what_asked() {
    let world = world(&[
        (
            "example.com",
            "v=spf1 ip4:192.0.2.1 include:_spf.example.net -all",
        ),
        (
            "_spf.example.net",
            "v=spf1 ip4:198.51.100.0/24 a:mail.example.net ~all",
        ),
    ]);
    world.address("mail.example.net", IpAddr::from([203, 0, 113, 9]));
    let refused = judged(&world, "203.0.113.8", "a@example.com").await;
    assert_eq!(
        (refused.result, refused.mechanism.as_deref()),
        (SpfResult::Fail, Some("all"))
    );
    assert_eq!((refused.lookups, refused.voids), (2, 0));
    assert_eq!(
        trace(&refused),
        [
            "example.com: include:_spf.example.net did not match",
            "_spf.example.net: a:mail.example.net did not match",
            "_spf.example.net: ~all matched",
            "example.com: -all matched",
        ]
    );
    let let_in = judged(&world, "198.51.100.7", "a@example.com").await;
    assert_eq!(let_in.result, SpfResult::Pass);
    assert_eq!(
        let_in.mechanism.as_deref(),
        Some("include:_spf.example.net")
    );
}

#[tokio::test]
async fn a_notice_is_judged_by_the_name_in_ehlo() {
    let world = world(&[("mta.example.org", "v=spf1 ip4:192.0.2.1 -all")]);
    let report = judged(&world, "192.0.2.1", "").await;
    assert_eq!(
        (report.result, report.identity),
        (SpfResult::Pass, Identity::Helo)
    );
    assert_eq!(&*report.domain, "mta.example.org");
}

#[tokio::test]
async fn u_labels_are_asked_for_as_a_labels() {
    let world = world(&[("xn--bcher-kva.example", "v=spf1 +all")]);
    assert_eq!(
        judged(&world, "192.0.2.1", "a@Bücher.example").await.result,
        SpfResult::Pass
    );
}

#[tokio::test]
async fn errors_name_the_record_and_the_term() {
    let world = world(&[
        ("example.com", "v=spf1 include:sub.example.com -all"),
        ("sub.example.com", "v=spf1 ip4:192.0.2.300 -all"),
    ]);
    let report = judged(&world, "192.0.2.1", "a@example.com").await;
    assert_eq!(report.result, SpfResult::PermError);
    let error = report.error.unwrap().to_string();
    assert!(
        error.contains("sub.example.com") && error.contains("ip4:192.0.2.300"),
        "{error}"
    );
    assert_eq!(report.trace[0].matched, None);
}

#[tokio::test]
async fn mail_hosts_without_an_address_of_the_family_are_one_void_term() {
    let world = world(&[("example.com", "v=spf1 mx a:v4.example.com mx ?all")]);
    world.address("v4.example.com", IpAddr::from([192, 0, 2, 1]));
    for n in 0..5 {
        world.add("example.com", mx(n, "v4.example.com"));
    }
    assert_eq!(judged(&world, "192.0.2.9", "a@example.com").await.voids, 0);
    let over = judged(&world, "2001:db8::1", "a@example.com").await;
    assert_eq!((over.result, over.voids), (SpfResult::PermError, 3));
    assert!(matches!(over.error, Some(SpfError::Voids { .. })));
}

#[tokio::test]
async fn the_twenty_seconds_are_those_of_the_clock() {
    struct Silent;
    impl crate::auth::ask::Ask for Silent {
        async fn ask(
            &self,
            _name: &str,
            _kind: hickory_resolver::proto::rr::RecordType,
        ) -> Result<std::sync::Arc<crate::dns::Records>, crate::dns::DnsFailure> {
            std::future::pending().await
        }
    }
    let clock = Clock::manual(NOW);
    let question = Question {
        ip: IpAddr::from([192, 0, 2, 1]),
        sender: "a@example.com",
        helo: "mta.example.org",
        receiver: "receiver.example",
    };
    let judging = check(&Silent, &clock, &question);
    tokio::pin!(judging);
    for seconds in [0, 19] {
        clock.advance(Duration::from_secs(seconds));
        let early = tokio::select! {
            biased;
            report = &mut judging => Some(report),
            () = tokio::task::yield_now() => None,
        };
        assert!(early.is_none());
    }
    clock.advance(Duration::from_secs(1));
    let report = judging.await;
    assert_eq!(
        (report.result, report.error),
        (SpfResult::TempError, Some(SpfError::Time))
    );
}

#[tokio::test]
async fn an_answer_lives_as_long_as_its_shortest_record() {
    let world = world(&[("example.com", "v=spf1 a:gone.example.com +all")]);
    world.ttl(Duration::from_secs(40));
    let report = judged(&world, "192.0.2.1", "a@example.com").await;
    assert_eq!(report.expires, NOW + Duration::from_secs(40));
    world
        .fail("mail.example.com")
        .txt("example.net", "v=spf1 a:mail.example.com -all");
    let failed = judged(&world, "192.0.2.1", "a@example.net").await;
    assert_eq!(failed.result, SpfResult::TempError);
    assert_eq!(failed.expires, NOW + Duration::from_secs(30));
}

#[tokio::test]
async fn a_policy_for_each_address_is_told() {
    let world = world(&[
        ("example.com", "v=spf1 exists:%{l}.users.example.com -all"),
        ("example.net", "v=spf1 exists:%{i}.hosts.example.net -all"),
    ]);
    assert!(
        judged(&world, "192.0.2.1", "ann@example.com")
            .await
            .personal
    );
    assert!(
        !judged(&world, "192.0.2.1", "ann@example.net")
            .await
            .personal
    );
}

#[tokio::test]
async fn names_of_the_address_are_asked_for_once() {
    let world = world(&[(
        "example.com",
        "v=spf1 ptr exists:%{p}.ok.example.com ptr -all",
    )]);
    world.add("1.2.0.192.in-addr.arpa", ptr("mail.example.org"));
    world.address("mail.example.org", IpAddr::from([192, 0, 2, 1]));
    judged(&world, "192.0.2.1", "a@example.com").await;
    let asked = world.asked();
    let ptr = asked.iter().filter(|(name, _)| name.ends_with(".arpa"));
    assert_eq!(ptr.count(), 1);
    assert!(
        asked
            .iter()
            .any(|(name, _)| name == "mail.example.org.ok.example.com")
    );
}

#[tokio::test]
async fn an_explanation_that_could_not_be_printed_is_none() {
    let world = world(&[
        ("example.com", "v=spf1 -all exp=why.example.com"),
        ("why.example.com", "%{h} may not; see %{r} at %{t}"),
    ]);
    let question = |helo| Question {
        ip: IpAddr::from([192, 0, 2, 1]),
        sender: "a@example.com",
        helo,
        receiver: "receiver.example",
    };
    let clock = Clock::manual(NOW);
    let plain = check(&world, &clock, &question("x.example")).await;
    let text = plain.explanation.unwrap();
    assert_eq!(
        &*text,
        "x.example may not; see receiver.example at 1700000000"
    );
    let odd = check(&world, &clock, &question("x\u{1b}[2J.example")).await;
    assert_eq!((odd.result, odd.explanation), (SpfResult::Fail, None));
}

proptest! {
    #[test]
    fn any_octets_can_be_read(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut record = b"v=spf1 ".to_vec();
        record.extend(text);
        let _ = Record::parse(&record);
    }

    #[test]
    fn what_looks_like_terms_can_be_read(text in "([-+~?]?(a|mx|ip4|ip6|ptr|exists|include|all|exp|redirect)?[:=/%{}a-z0-9.r-]{0,12} ?){0,8}") {
        let _ = Record::parse(format!("v=spf1 {text}").as_bytes());
    }

    #[test]
    fn a_record_ends_in_a_result_whatever_it_holds(text in "((include|redirect|a|mx|exists|ptr)[:=](%\\{[sldoiphv][0-9]?r?\\}|example)\\.com ){0,14}") {
        let world = world(&[("example.com", &format!("v=spf1 {text}"))]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let report = runtime.block_on(judged(&world, "192.0.2.1", "a@example.com"));
        prop_assert!(report.lookups <= 10 && report.voids <= 3);
    }
}

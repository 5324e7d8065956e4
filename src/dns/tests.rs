//! The resolver against a DNS server on loopback.

use super::*;
use crate::peers::dns::{DnsServer, Fault, Record};
use crate::units::Timestamp;

struct World {
    server: DnsServer,
    clock: Clock,
    resolver: Resolver,
}

async fn world() -> World {
    world_with(|_| {}).await
}

async fn world_with(change: impl FnOnce(&mut Config)) -> World {
    let server = DnsServer::start().await.unwrap();
    let mut config = Config {
        nameservers: vec![server.address()],
        ..Config::default()
    };
    change(&mut config);
    let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let resolver = Resolver::new(&config, clock.clone()).unwrap();
    World {
        server,
        clock,
        resolver,
    }
}

fn a(last: u8) -> Record {
    Record::A(Ipv4Addr::new(192, 0, 2, last))
}

fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}

const REFUSE: fn() -> Loops = || Loops::Refused {
    own: [ip(99)].into(),
};

#[tokio::test]
async fn domains_with_the_same_hosts_are_one_site() {
    let w = world().await;
    w.server
        .add("one.test", Record::mx(10, "MX1.host.test"))
        .add("one.test", Record::mx(20, "mx2.host.test"))
        .add("two.test", Record::mx(5, "mx2.host.test"))
        .add("two.test", Record::mx(5, "mx1.host.test"));
    let one = w.resolver.site("one.test").await.unwrap();
    let two = w.resolver.site("TWO.test.").await.unwrap();
    assert_eq!(&*one.name, "mx1.host.test,mx2.host.test");
    assert_eq!(one.name, two.name);
    assert_eq!(&*one.hosts[0].name, "mx1.host.test");
}

#[tokio::test]
async fn without_mx_the_domain_itself_takes_the_mail() {
    let w = world().await;
    w.server.add("plain.test", a(1));
    let site = w.resolver.site("plain.test").await.unwrap();
    assert_eq!(&*site.name, "plain.test");
    w.server.set("empty.test", []);
    let none = w.resolver.site("empty.test").await.unwrap_err();
    assert_eq!(none, DnsFailure::NoAddress("empty.test".into()));
}

#[tokio::test]
async fn the_domain_is_asked_for_in_a_labels() {
    let w = world().await;
    w.server
        .add("xn--bcher-kva.test", Record::mx(10, "mx.test"));
    let site = w.resolver.site("Bücher.test").await.unwrap();
    assert_eq!(&*site.name, "mx.test");
}

#[tokio::test]
async fn a_null_mx_takes_no_mail() {
    let w = world().await;
    w.server
        .add("null.test", Record::mx(0, "."))
        .add("null.test", a(1));
    let failure = w.resolver.site("null.test").await.unwrap_err();
    assert_eq!(failure, DnsFailure::NullMx("null.test".into()));
}

#[tokio::test]
async fn no_such_domain_is_permanent_and_a_failing_server_is_not() {
    let w = world_with(|c| c.attempts = 1).await;
    w.server.fail("servfail.test", Fault::ServFail);
    w.server.fail("refused.test", Fault::Refused);
    let gone = w.resolver.site("gone.test").await.unwrap_err();
    assert_eq!(gone, DnsFailure::NoSuchDomain("gone.test".into()));
    // A short time-out is for silence alone: a busy machine may take longer to answer.
    let impatient = world_with(|c| (c.timeout, c.attempts) = (Span::millis(100), 1)).await;
    impatient.server.fail("silent.test", Fault::Silent);
    for (w, domain) in [
        (&w, "servfail.test"),
        (&w, "refused.test"),
        (&impatient, "silent.test"),
    ] {
        let failure = w.resolver.site(domain).await.unwrap_err();
        assert!(
            matches!(failure, DnsFailure::Temporary(_)),
            "{domain}: {failure:?}"
        );
        assert!(failure.to_string().contains(domain), "{failure}");
    }
}

#[tokio::test]
async fn a_name_that_dns_cannot_hold_does_not_exist() {
    let w = world().await;
    let long = format!("{}.test", "x".repeat(70));
    for name in [
        "",
        ".",
        "a..b",
        &long,
        "a b.test",
        "[192.0.2.999]",
        "[IPv6:x]",
        "[]",
        "[",
    ] {
        let failure = w.resolver.site(name).await.unwrap_err();
        assert!(
            matches!(failure, DnsFailure::NoSuchDomain(_)),
            "{name}: {failure:?}"
        );
    }
}

#[tokio::test]
async fn a_truncated_answer_comes_over_tcp() {
    let w = world().await;
    w.server.add("big.test", Record::mx(10, "mx.test"));
    w.server.fail("big.test", Fault::Truncate);
    assert!(w.resolver.site("big.test").await.is_ok());
    assert_eq!(w.server.queries("big.test"), 2);
}

#[tokio::test]
async fn aliases_are_followed_at_the_domain_and_at_its_hosts() {
    let w = world().await;
    w.server
        .add("alias.test", Record::Cname("real.test".into()))
        .add("real.test", Record::mx(10, "mx.test"))
        .add("mx.test", Record::Cname("host.test".into()))
        .add("host.test", a(7))
        .add("loop.test", Record::Cname("loop2.test".into()))
        .add("loop2.test", Record::Cname("loop.test".into()));
    let site = w.resolver.site("alias.test").await.unwrap();
    let hops = w.resolver.hops(&site, &REFUSE(), 5).await.unwrap();
    assert_eq!(hops[0].address, ip(7));
    assert!(w.resolver.site("loop.test").await.is_err());
}

#[tokio::test]
async fn literals_and_hosts_that_are_addresses_ask_nobody() {
    let w = world().await;
    w.server.fail_all(Some(Fault::ServFail));
    let site = w.resolver.site("[192.0.2.1]").await.unwrap();
    assert_eq!(&*site.name, "[192.0.2.1]");
    let hops = w.resolver.hops(&site, &REFUSE(), 5).await.unwrap();
    assert_eq!(hops[0].address, ip(1));
    let v6 = w.resolver.addresses("[IPv6:2001:db8::1]").await.unwrap();
    assert!(v6[0].is_ipv6());
    assert_eq!(w.resolver.addresses("192.0.2.9").await.unwrap()[0], ip(9));
}

#[tokio::test]
async fn both_families_are_found_and_one_suffices() {
    let w = world().await;
    w.server
        .add("both.test", a(1))
        .add("both.test", Record::Aaaa("2001:db8::1".parse().unwrap()));
    w.server
        .add("six.test", Record::Aaaa("2001:db8::2".parse().unwrap()));
    assert_eq!(w.resolver.addresses("both.test").await.unwrap().len(), 2);
    assert_eq!(w.resolver.addresses("six.test").await.unwrap().len(), 1);
}

#[tokio::test]
async fn many_askers_make_one_question() {
    let w = world().await;
    w.server.add("busy.test", Record::mx(10, "mx.test"));
    let mut askers = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let resolver = w.resolver.clone();
        askers.spawn(async move { resolver.site("busy.test").await.is_ok() });
    }
    assert!(askers.join_all().await.into_iter().all(|ok| ok));
    assert_eq!(w.server.queries("busy.test"), 1);
}

#[tokio::test]
async fn answers_live_as_long_as_they_say_within_bounds() {
    let w = world().await;
    w.server
        .ttl(300, 60)
        .add("ttl.test", Record::mx(10, "mx.test"));
    w.resolver.site("ttl.test").await.unwrap();
    w.resolver.site("none.test").await.unwrap_err();
    w.clock.advance(Duration::from_secs(59));
    w.resolver.site("none.test").await.unwrap_err();
    assert_eq!(w.server.queries("none.test"), 1);
    w.clock.advance(Duration::from_secs(2));
    w.resolver.site("none.test").await.unwrap_err();
    assert_eq!(w.server.queries("none.test"), 2);
    w.clock.advance(Duration::from_secs(238));
    w.resolver.site("ttl.test").await.unwrap();
    assert_eq!(w.server.queries("ttl.test"), 1);
    w.server.ttl(0, 0);
    w.clock.advance(Duration::from_secs(1));
    w.resolver.site("ttl.test").await.unwrap();
    w.clock.advance(Duration::from_secs(4));
    w.resolver.site("ttl.test").await.unwrap();
    assert_eq!(w.server.queries("ttl.test"), 2, "the floor of five seconds");
}

#[tokio::test]
async fn an_outage_is_bridged_with_the_last_answer() {
    let w = world().await;
    w.server.add("known.test", Record::mx(10, "mx.test"));
    let before = w.resolver.site("known.test").await.unwrap();
    w.server.fail_all(Some(Fault::ServFail));
    w.clock.advance(Duration::from_secs(3600));
    assert_eq!(w.resolver.site("known.test").await.unwrap(), before);
    w.clock.advance(Duration::from_secs(24 * 3600));
    let failure = w.resolver.site("known.test").await.unwrap_err();
    assert!(matches!(failure, DnsFailure::Temporary(_)));
}

#[tokio::test]
async fn hops_follow_preference_and_pass_over_dead_hosts() {
    let w = world().await;
    w.server
        .add("d.test", Record::mx(10, "gone.test"))
        .add("d.test", Record::mx(20, "a.test"))
        .add("d.test", Record::mx(30, "b.test"))
        .add("a.test", a(1))
        .add("b.test", a(2));
    let site = w.resolver.site("d.test").await.unwrap();
    let hops = w.resolver.hops(&site, &REFUSE(), 5).await.unwrap();
    assert_eq!(
        hops.iter().map(|h| h.address).collect::<Vec<_>>(),
        [ip(1), ip(2)]
    );
    assert_eq!(&*hops[0].host, "a.test");
    assert_eq!(w.resolver.hops(&site, &REFUSE(), 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn no_host_with_an_address_is_permanent_unless_one_is_unknown() {
    let w = world().await;
    w.server
        .add("d.test", Record::mx(10, "gone.test"))
        .add("d.test", Record::mx(20, "unknown.test"));
    let site = w.resolver.site("d.test").await.unwrap();
    let failure = w.resolver.hops(&site, &REFUSE(), 5).await.unwrap_err();
    assert!(matches!(failure, DnsFailure::NoAddress(_)));
    w.server.fail("unknown.test", Fault::ServFail);
    w.clock.advance(Duration::from_secs(61));
    let failure = w.resolver.hops(&site, &REFUSE(), 5).await.unwrap_err();
    assert!(matches!(failure, DnsFailure::Temporary(_)));
}

#[tokio::test]
async fn answers_that_lead_back_to_us_are_refused_unless_allowed() {
    let w = world().await;
    for (domain, address) in [
        ("loop.test", Ipv4Addr::new(127, 0, 0, 2)),
        ("zero.test", Ipv4Addr::UNSPECIFIED),
        ("own.test", Ipv4Addr::new(192, 0, 2, 99)),
    ] {
        w.server.add(domain, Record::A(address));
        let site = w.resolver.site(domain).await.unwrap();
        let failure = w.resolver.hops(&site, &REFUSE(), 5).await.unwrap_err();
        assert_eq!(failure, DnsFailure::LoopsBack(domain.into()));
        assert!(w.resolver.hops(&site, &Loops::Allowed, 5).await.is_ok());
    }
}

#[tokio::test]
async fn where_we_are_the_backup_only_better_hosts_are_tried() {
    let w = world().await;
    w.server
        .add("d.test", Record::mx(10, "better.test"))
        .add("d.test", Record::mx(20, "us.test"))
        .add("d.test", Record::mx(20, "equal.test"))
        .add("d.test", Record::mx(30, "worse.test"))
        .add("better.test", a(1))
        .add("us.test", a(99))
        .add("equal.test", a(2))
        .add("worse.test", a(3));
    let site = w.resolver.site("d.test").await.unwrap();
    for _ in 0..8 {
        let hops = w.resolver.hops(&site, &REFUSE(), 5).await.unwrap();
        assert_eq!(hops.iter().map(|h| h.address).collect::<Vec<_>>(), [ip(1)]);
    }
}

#[tokio::test]
async fn a_long_text_is_put_together_from_its_strings() {
    let w = world().await;
    let long = "v=DKIM1; p=".to_owned() + &"A".repeat(400);
    w.server
        .add("s1._domainkey.example.test", Record::Txt(long.clone()))
        .add("s1._domainkey.example.test", Record::Txt("other".into()));
    let kind = RecordType::TXT;
    let name = "s1._domainkey.Example.test";
    let records = w.resolver.records(name, kind).await.unwrap();
    let texts: Vec<Vec<u8>> = records.texts().collect();
    assert_eq!(texts, [long.into_bytes(), b"other".to_vec()]);
    assert_eq!(records.expires, w.clock.now() + Duration::from_secs(300));
    assert_eq!(w.resolver.known_records(name, kind), Some(Ok(records)));
}

#[tokio::test]
async fn no_record_no_name_and_no_answer_are_three_things() {
    let w = world_with(|c| c.attempts = 1).await;
    w.server.add("plain.test", a(1));
    w.server.fail("dead.test", Fault::ServFail);
    let ask = |name| w.resolver.records(name, RecordType::TXT);
    assert_eq!(ask("plain.test").await.unwrap().data, []);
    let gone = DnsFailure::NoSuchDomain("gone.test".into());
    assert_eq!(ask("gone.test").await, Err(gone));
    let dead = ask("dead.test").await;
    assert!(matches!(dead, Err(DnsFailure::Temporary(_))), "{dead:?}");
    assert_eq!(w.resolver.known_records("plain.test", RecordType::MX), None);
}

#[tokio::test]
async fn an_address_points_to_its_names() {
    let w = world().await;
    w.server
        .add("7.2.0.192.in-addr.arpa", Record::Ptr("a.mail.test".into()));
    let pointers = w.resolver.pointers(ip(7)).await.unwrap();
    let names: Vec<String> = pointers.data.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["a.mail.test."]);
}

#[test]
fn the_default_configuration_has_no_problem_and_zeros_have() {
    let mut problems = Problems::default();
    Config::default().validate("dns", &mut problems);
    assert!(problems.is_empty());
    let wrong = Config {
        attempts: 0,
        concurrency: 0,
        min_ttl: Span::days(2),
        ..Config::default()
    };
    wrong.validate("dns", &mut problems);
    let keys: Vec<&str> = problems.0.iter().map(|p| p.key.as_str()).collect();
    assert_eq!(keys, ["dns.attempts", "dns.concurrency", "dns.min_ttl"]);
}

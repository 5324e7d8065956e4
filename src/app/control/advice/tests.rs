use super::*;
use crate::http::tests::sample;
use crate::mail::{EnhancedCode, Reply};
use crate::units::Timestamp;
use std::sync::Arc;

fn config() -> Config {
    let text = r#"
        [[tenant]]
        name = "acme"
        [[source]]
        name = "ip-x"
        address = "192.0.2.9"
        ehlo = "x.example.com"
        [[source]]
        name = "ip-a"
        address = "192.0.2.10"
        ehlo = "a.example.com"
        warmup = {}
        [[pool]]
        name = "shared"
        sources = [{ name = "ip-a" }]
        [[route]]
        domain = "*.example.net"
        next_hop = ["127.0.0.1:25"]
        [[route]]
        domain = "mail.example.net"
        retry = { first = "1m" }
        [[route]]
        domain = "*"
        next_hop = ["127.0.0.1:26"]
    "#;
    Config::parse(text, std::path::Path::new("mailwright.toml")).unwrap()
}

const OF_ACME: Matter<'_> = Matter {
    domain: "example.org",
    tenant: Some("acme"),
    id: Some("0ky3w2m4e0000"),
    source: None,
};

fn advice(held: &Held, matter: &Matter<'_>) -> (Vec<String>, Option<String>) {
    let advice = advise(held, matter, &config());
    assert_eq!(advice.text, text(held));
    (advice.keys, advice.command)
}

fn waiting(why: Reason) -> Held {
    Held::Warmup(Arc::new(Waiting {
        source: "ip-a".into(),
        provider: Some("google".into()),
        until: None,
        why,
    }))
}

fn reply() -> Arc<Reply> {
    Arc::new(Reply::said(
        421,
        Some(EnhancedCode(4, 7, 0)),
        "later",
        "connect",
    ))
}

#[test]
fn a_warm_up_names_the_keys_of_its_source_and_the_command_that_ends_it() {
    let (keys, command) = advice(&sample::spent(), &OF_ACME);
    assert_eq!(
        keys,
        ["source[1].warmup.schedule", "source[1].warmup.overflow"]
    );
    assert_eq!(
        command.as_deref(),
        Some("mailwright warmup set ip-a google STAGE")
    );
    let paused = |by_hand| {
        let because = "odd".into();
        advice(&waiting(Reason::Paused { because, by_hand }), &OF_ACME)
    };
    assert_eq!(paused(false).0, ["warmup.pause", "warmup.max_pause"]);
    assert_eq!(paused(true).0, [""; 0]);
    assert_eq!(
        paused(true).1.as_deref(),
        Some("mailwright warmup resume ip-a google")
    );
    let started = jiff::civil::date(2026, 11, 1);
    let (keys, _) = advice(&waiting(Reason::NotStarted { started }), &OF_ACME);
    assert_eq!(keys, ["source[1].warmup.started"]);
}

#[test]
fn a_cap_that_is_spread_names_the_hours_first() {
    let why = Reason::Spent {
        day: 1,
        stage: 1,
        stages: 9,
        cap: 50,
        released: 20,
        used: 20,
    };
    assert_eq!(
        advice(&waiting(why), &OF_ACME).0[0],
        "source[1].warmup.spread"
    );
}

#[test]
fn a_suspension_names_its_rule_and_is_lifted_by_a_command() {
    let held = Held::Suspended(Arc::new(sample::suspension()));
    let (keys, command) = advice(&held, &OF_ACME);
    assert_eq!(keys, ["provider[0].rule[1]"]);
    let lift = "mailwright source lift ip-a --provider google";
    assert_eq!(command.as_deref(), Some(lift));
}

#[test]
fn a_deferral_names_the_retry_schedule_of_its_route() {
    let held = Held::Retry {
        attempt: 1,
        reply: reply(),
    };
    let first = |domain| {
        let (keys, command) = advice(&held, &Matter { domain, ..OF_ACME });
        let retry = "mailwright queue retry 0ky3w2m4e0000";
        assert_eq!(command.as_deref(), Some(retry));
        keys[0].clone()
    };
    assert_eq!(first("mail.example.net"), "route[1].retry.first");
    assert_eq!(first("example.org"), "retry.first");
}

#[test]
fn what_no_source_takes_names_the_pool_or_the_address() {
    let nobody = |pool: &str, source| {
        let held = Held::NoSource {
            pool: pool.into(),
            why: "nobody".into(),
        };
        advice(&held, &Matter { source, ..OF_ACME }).0
    };
    assert_eq!(nobody("shared", None), ["pool[0].sources", "source"]);
    assert_eq!(nobody("sahred", None), ["pool", "source"]);
    assert_eq!(nobody("", Some("ip-a")), ["source[1].address"]);
}

#[test]
fn a_site_names_what_paces_it() {
    let window = |window| {
        let held = Held::SiteWindow {
            site: "mx".into(),
            window,
            most: 20,
            reply: None,
        };
        advice(&held, &OF_ACME).0
    };
    assert_eq!(window(20), ["delivery.max_connections_per_site"]);
    assert!(window(3).contains(&"delivery.recover_every".to_owned()));
    let (site, reply) = ("mx".into(), reply());
    let until = Timestamp::default();
    let down = Held::SiteDown { site, until, reply };
    let (keys, command) = advice(&down, &OF_ACME);
    assert_eq!(keys, ["delivery.site_backoff"]);
    assert_eq!(command.as_deref(), Some("mailwright queue retry --site mx"));
}

#[test]
fn the_most_specific_route_is_found() {
    let config = config();
    let key = |domain| route_of(domain, &config).unwrap().0;
    assert_eq!(key("mail.example.net"), "route[1]");
    assert_eq!(key("other.example.net"), "route[0]");
    assert_eq!(key("example.net"), "route[2]");
}

#[test]
fn a_source_that_is_gone_is_called_by_its_name() {
    assert_eq!(source_key("ip-gone", &config()), "source \"ip-gone\"");
}

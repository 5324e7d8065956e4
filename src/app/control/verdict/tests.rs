use super::*;
use crate::http::tests::sample;
use crate::policy::explain::LineView;
use crate::tls::client::Policy;

fn config(text: &str) -> Config {
    Config::parse(text, std::path::Path::new("mailwright.toml")).unwrap()
}

fn labels(tenant: Option<&str>, pool: Option<&str>) -> Labels {
    Labels {
        tenant: tenant.map(Into::into),
        pool: pool.map(Into::into),
        ..Labels::default()
    }
}

const POOLS: &str = r#"
    [[source]]
    name = "ip-b"
    address = "192.0.2.11"
    ehlo = "b.example.com"
    [[pool]]
    name = "other"
    sources = [{ name = "ip-b" }]
    [[pool]]
    name = "shared"
    sources = [{ name = "ip-b" }]
    [[tenant]]
    name = "acme"
    pool = "shared"
"#;

#[test]
fn the_keys_are_those_that_decided() {
    let explained = sample::verdict().explained;
    let config = config(POOLS);
    let found = keys(&explained, &labels(Some("acme"), Some("shared")), &config);
    assert_eq!(found.pool.as_deref(), Some("tenant[0].pool"));
    assert_eq!(found.tenant.as_deref(), Some("tenant[0]"));
    assert_eq!((found.tls.as_str(), found.site), ("delivery.tls", None));
    assert_eq!(found.provider, SHIPPED);
    assert_eq!(found.sources["ip-b"], "source[0]");
    let pool = |tenant, pool| keys(&explained, &labels(tenant, pool), &config).pool;
    assert_eq!(
        pool(Some("acme"), Some("other")).as_deref(),
        Some("pool[0]")
    );
    assert_eq!(pool(None, Some("shared")).as_deref(), Some("pool[1]"));
    assert_eq!(pool(None, None), None);
}

#[test]
fn tls_is_the_routes_the_providers_or_that_of_all() {
    let key = |text: &str, tls| {
        let explained = Explained {
            tls,
            ..sample::verdict().explained
        };
        keys(&explained, &Labels::default(), &config(text)).tls
    };
    let route = "[[route]]\ndomain = \"example.net\"\ntls = \"required\"\n";
    let provider = "[[provider]]\nname = \"google\"\ntls = \"required\"\n";
    assert_eq!(key(route, Policy::Required), "route[0].tls");
    assert_eq!(key(provider, Policy::Required), "provider[0].tls");
    assert_eq!(
        key("", Policy::Required),
        "config/providers.toml: google, tls"
    );
    assert_eq!(key(provider, Policy::Opportunistic), "delivery.tls");
}

#[test]
fn everything_that_holds_is_advised_on_once() {
    let mut explained = sample::verdict().explained;
    explained.waits = Some(sample::spent());
    explained.explanation.candidates[1].line = Some(LineView {
        waiting: 1,
        open: 0,
        window: 1,
        most: 20,
        breaker: Default::default(),
        held: Some(Held::SendAt),
    });
    let matter = Matter {
        domain: "example.net",
        tenant: None,
        id: None,
        source: None,
    };
    let advice = everything(&explained, &matter, &config(""));
    let held: Vec<&Held> = advice.iter().map(|advice| &advice.held).collect();
    assert_eq!(held, [&sample::spent(), &Held::SendAt]);
}

#[test]
fn what_comes_behind_a_retry_is_said_too() {
    let mut explained = sample::verdict().explained;
    let text = |explained: &Explained| then(&Held::SendAt, explained).unwrap();
    let goes = "when its time comes it would go from ip-b to mx.example.net";
    assert_eq!(text(&explained), goes);
    explained.waits = Some(sample::spent());
    assert!(text(&explained).contains("it would wait for warm-up of ip-a"));
    assert_eq!(then(&sample::spent(), &explained), None);
}

#[test]
fn a_domain_that_is_not_the_tenants_is_told_with_the_key() {
    let text = not_theirs("acme", "evil.example", &config(POOLS));
    assert!(text.starts_with("would be refused at submission"), "{text}");
    assert!(text.contains("evil.example is not theirs"), "{text}");
    assert!(text.ends_with("(tenant[0].domains)"), "{text}");
}

#[test]
fn the_same_question_is_answered_as_the_same_message() {
    let question = |to: &str| Question {
        from: None,
        to: to.parse().unwrap(),
        tenant: None,
        campaign: None,
        stream: None,
        list: None,
        pool: None,
        virtual_mta: None,
        engagement: None,
        send_at: None,
        expires: None,
    };
    let id = |to| stand_in(&question(to));
    assert_eq!(id("ann@example.net"), id("ann@example.net"));
    assert_ne!(id("ann@example.net"), id("bob@example.net"));
}

#[test]
fn a_domain_that_takes_no_mail_is_told_from_one_of_which_nothing_is_known() {
    let of = |failure: DnsFailure| nowhere("example.test", &failure);
    let name = || "example.test".into();
    assert!(matches!(
        of(DnsFailure::NullMx(name())),
        Refusal::Impossible(_)
    ));
    let refusal = of(DnsFailure::Temporary("no server answers".into()));
    let text = "where mail to example.test goes is not known: no server answers";
    assert_eq!(refusal, Refusal::Unavailable(text.into()));
}

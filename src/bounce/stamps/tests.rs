use super::*;
use crate::units::Timestamp;
use std::time::Duration;

const ID: MessageId = MessageId(0x0000_019a_d1ff_4000);

fn keys() -> Keys {
    Keys::new(&[[7; 32]], Duration::from_secs(3600)).unwrap()
}

/// Everything on; the tenant `own` has a domain, `kept` keeps its return paths and links nobody.
fn stamps() -> Stamps {
    Stamps::new(Parts {
        return_path: &ReturnPath {
            domain: "Bounces.example.com".into(),
            ..ReturnPath::default()
        },
        feedback: &Feedback {
            address: "fbl@bounces.example.com".into(),
        },
        unsubscribe: &Unsubscribe {
            url: "https://u.example.com/".into(),
            mailto_domain: "bounces.example.com".into(),
            ..Unsubscribe::default()
        },
        keys: keys(),
        tenants: vec![
            (
                "own",
                Own {
                    return_path_domain: Some("b.bücher.example"),
                    list_unsubscribe: None,
                },
            ),
            (
                "kept",
                Own {
                    return_path_domain: Some(""),
                    list_unsubscribe: Some(false),
                },
            ),
            ("plain", Own::default()),
        ],
    })
}

fn message(tenant: Option<&str>) -> Stamped<'_> {
    Stamped {
        id: ID,
        tenant,
        stream: None,
        recipients: 1,
    }
}

fn open(token: &str, purpose: Purpose) -> Token {
    keys().open(token, purpose, Timestamp::default()).unwrap()
}

#[test]
fn each_recipient_has_a_return_path_of_its_own_that_stays_the_same() {
    let stamps = stamps();
    let first = stamps.return_path(ID, 0, Some("plain")).unwrap();
    assert_eq!(first.domain(), "bounces.example.com");
    let token = first.local().strip_prefix("b-").unwrap();
    let expected = Token::new(ID, Some(0), Some("plain"));
    assert_eq!(open(token, Purpose::Return), expected);
    assert_eq!(
        stamps.return_path(ID, 0, Some("plain")),
        Some(first.clone())
    );
    assert_ne!(stamps.return_path(ID, 1, Some("plain")), Some(first));
}

#[test]
fn a_tenant_may_have_a_domain_of_its_own_or_keep_its_return_paths() {
    let stamps = stamps();
    for (tenant, domain) in [
        (None, Some("bounces.example.com")),
        (Some("unknown"), Some("bounces.example.com")),
        (Some("plain"), Some("bounces.example.com")),
        (Some("own"), Some("b.xn--bcher-kva.example")),
        (Some("kept"), None),
    ] {
        assert_eq!(stamps.return_domain(tenant), domain, "{tenant:?}");
    }
    let mut domains: Vec<&str> = stamps.return_domains().collect();
    domains.sort_unstable();
    domains.dedup();
    assert_eq!(domains, ["b.xn--bcher-kva.example", "bounces.example.com"]);
}

#[test]
fn the_content_names_its_recipient_where_there_is_only_one() {
    let stamps = stamps();
    let one = stamps.content_token(&message(None)).unwrap();
    assert_eq!(open(&one, Purpose::Return).recipient, Some(0));
    let two = Stamped {
        recipients: 2,
        ..message(None)
    };
    let two = stamps.content_token(&two).unwrap();
    assert_eq!(open(&two, Purpose::Return).recipient, None);
}

#[test]
fn only_marketing_to_one_recipient_of_who_wants_it_gets_a_link() {
    let stamps = stamps();
    let (fields, one_click) = stamps.unsubscribe(&message(Some("plain"))).unwrap();
    let token = fields.strip_prefix("<https://u.example.com/u/").unwrap();
    let (token, mailto) = token.split_once(">,\r\n\t").unwrap();
    assert_eq!(mailto, format!("<mailto:u-{token}@bounces.example.com>"));
    assert_eq!(open(token, Purpose::Unsubscribe).recipient, Some(0));
    assert!(one_click);
    let plain = message(Some("plain"));
    for without in [
        message(Some("kept")),
        Stamped {
            stream: Some(Stream::Transactional),
            ..plain
        },
        Stamped {
            recipients: 2,
            ..plain
        },
    ] {
        assert_eq!(stamps.unsubscribe(&without), None, "{without:?}");
    }
}

#[test]
fn where_nothing_is_configured_nothing_is_stamped() {
    let none = Stamps::none(keys());
    assert!(!none.is_on());
    assert!(stamps().is_on());
    assert_eq!(none.return_path(ID, 0, None), None);
    assert_eq!(none.content_token(&message(None)), None);
    assert_eq!(none.unsubscribe(&message(None)), None);
}

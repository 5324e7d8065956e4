//! What a daemon might tell of its traffic.

use crate::bounce::replies::ReplyPattern;
use crate::delivery::Explained;
use crate::http::explain::summary;
use crate::http::{Advice, Keys, Membership, SourceEntry, Verdict, Window};
use crate::mail::{BounceClass, EnhancedCode, Reply};
use crate::policy::Held;
use crate::policy::explain::{Candidate, Explanation, LineView};
use crate::policy::limits::{Fill, Kind, Of};
use crate::policy::suspension::{At, Suspension};
use crate::policy::warmup::{
    Budget, Condition, Position, Rates, Ratio, Reason, Stage, Tally, Waiting,
};
use crate::units::Timestamp;
use std::sync::Arc;

/// 2026-11-03T15:00:00Z
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_793_718_000_000);
const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

/// The warm-up of ip-a at google, on its third day.
pub(crate) fn position(provider: &str) -> Position {
    let ratio = |part, whole| Ratio { part, whole };
    Position {
        source: "ip-a".into(),
        provider: provider.into(),
        condition: Condition::Held,
        hindered: None,
        because: Some("held at stage 3: deferrals 15 of 135 (11.11 %)".into()),
        until: None,
        schedule: "standard".into(),
        stage: Stage::At(3),
        stages: 64,
        planned: Some(Stage::At(5)),
        day: 3,
        date: jiff::civil::date(2026, 11, 3),
        budget: Some(Budget {
            cap: 67,
            released: 67,
            used: 67,
            remaining: 0,
        }),
        window: Tally::default(),
        rates: Rates {
            bounces: ratio(3, 120),
            blocks: ratio(0, 120),
            deferrals: ratio(15, 135),
            complaints: ratio(0, 0),
        },
    }
}

pub(crate) fn suspension() -> Suspension {
    Suspension {
        source: "ip-a".into(),
        at: At::Provider("google".into()),
        provider: "google".into(),
        since: NOW,
        until: NOW + HOUR,
        why: "unusual rate (rule provider[0].rule[1])".into(),
        reply: Some(Reply::said(
            421,
            Some(EnhancedCode(4, 7, 28)),
            "too much",
            "RCPT",
        )),
    }
}

pub(crate) fn source() -> SourceEntry {
    let member = |name: &str, weight| Membership {
        name: name.into(),
        weight,
    };
    SourceEntry {
        name: "ip-a".into(),
        address: Some([192, 0, 2, 10].into()),
        present: true,
        ehlo: "a.mail.example.com".into(),
        pools: vec![member("shared", 1), member("big", 3)],
        warmup: Some(position("*")),
        suspensions: vec![Arc::new(suspension())],
    }
}

/// The cap of ip-a at google is used.
pub(crate) fn spent() -> Held {
    Held::Warmup(Arc::new(Waiting {
        source: "ip-a".into(),
        provider: Some("google".into()),
        until: Some(NOW + 9 * HOUR),
        why: Reason::Spent {
            day: 3,
            stage: 3,
            stages: 64,
            cap: 67,
            released: 67,
            used: 67,
        },
    }))
}

/// Ip-a has used its cap, and ip-b takes the message.
pub(crate) fn verdict() -> Verdict {
    let explained = Explained {
        domain: "example.net".into(),
        by: "its MX".into(),
        tls: crate::tls::client::Policy::Opportunistic,
        asks: None,
        wish: None,
        explanation: explanation(),
        waits: None,
        until: None,
    };
    Verdict {
        summary: summary(&explained, None),
        explained,
        refused: None,
        suppressed: None,
        alignment: Vec::new(),
        windows: vec![Window {
            of: "tenant acme".into(),
            window: "08:00-22:00 UTC".into(),
            open: true,
            until: NOW + 7 * HOUR,
            key: "tenant[0].send_window".into(),
        }],
        advice: vec![Advice {
            held: spent(),
            text: spent().to_string(),
            keys: vec![
                "source[0].warmup.schedule".into(),
                "source[0].warmup.overflow".into(),
            ],
            command: Some("mailwright warmup set ip-a google STAGE".into()),
        }],
        keys: Keys {
            site: None,
            provider: "config/providers.toml".into(),
            tls: "delivery.tls".into(),
            pool: Some("tenant[0].pool".into()),
            tenant: Some("tenant[0]".into()),
            sources: [
                ("ip-a".into(), "source[0]".into()),
                ("ip-b".into(), "source[1]".into()),
            ]
            .into(),
        },
        notes: Vec::new(),
    }
}

fn explanation() -> Explanation {
    let site: Arc<str> = "mx.example.net".into();
    Explanation {
        pool: "shared".into(),
        site,
        provider: "google".into(),
        candidates: vec![
            Candidate {
                held: Some(spent()),
                warmup: vec![position("google"), position("*")],
                ..candidate("ip-a")
            },
            Candidate {
                taken: true,
                limits: vec![fill(
                    Of::Source {
                        source: "ip-b".into(),
                    },
                    "source[1].limits.messages",
                )],
                line: Some(LineView {
                    waiting: 12,
                    open: 3,
                    window: 5,
                    most: 20,
                    breaker: Default::default(),
                    held: None,
                }),
                ..candidate("ip-b")
            },
        ],
        limits: vec![fill(
            Of::Tenant {
                tenant: "acme".into(),
            },
            "limits.tenant.messages",
        )],
        held: None,
        slowed: Vec::new(),
    }
}

pub(crate) fn candidate(source: &str) -> Candidate {
    Candidate {
        source: source.into(),
        address: Some([192, 0, 2, 10].into()),
        pool: "shared".into(),
        taken: false,
        held: None,
        limits: Vec::new(),
        warmup: Vec::new(),
        line: None,
    }
}

/// 3 of 100 a minute.
pub(crate) fn fill(of: Of, key: &str) -> Fill {
    Fill {
        kind: Kind::Messages,
        of,
        limit: "100/min".into(),
        used: 3,
        key: key.into(),
        until: None,
    }
}

/// A pattern of refusals that a rule knows, or one that none does.
pub(crate) fn reply(matched: bool) -> ReplyPattern {
    let (pattern, rule) = match matched {
        true => (
            "550 5.1.1 <@> user unknown",
            Some("unknown-user".to_owned()),
        ),
        false => ("550 wibble {n}", None),
    };
    ReplyPattern {
        pattern: pattern.into(),
        provider: "google".into(),
        count: 7,
        over: 0,
        first: NOW,
        last: NOW,
        example: pattern.into(),
        class: BounceClass::Unknown,
        subject: None,
        matched,
        rule,
        help: String::new(),
    }
}

/// Of one domain: our source, whose mail passes, and a stranger's.
pub(crate) fn shown() -> crate::reports::rows::Shown {
    let row = |last: u8, source: Option<&str>, messages, pass| {
        serde_json::json!({
            "domain": "acme.example", "source_ip": format!("192.0.2.{last}"), "source": source, "days": 30,
            "messages": messages, "pass": pass, "dkim": pass, "spf": pass, "none": messages, "quarantine": 0,
            "reject": 0, "unknown": 0, "forwarded": 0, "subdomains": 0, "first": "2026-10-04", "last": "2026-11-02",
        })
    };
    serde_json::from_value(serde_json::json!({
        "sources": [row(1, Some("ip-a"), 100_000, 99_999), row(2, None, 50, 0)],
        "tls": [{"domain": "acme.example", "organization": "google", "success": 5, "failure": 1,
                 "failure_types": {"certificate-expired": 1}, "first": "2026-11-02", "last": "2026-11-02"}],
        "figures": [{"provider": "snds", "subject": "192.0.2.1", "day": "2026-11-02",
                     "values": {"filter_result": "GREEN", "recipients": 7.0}}],
        "policies": {}, "days": {"acme.example": 30}, "more": false,
    }))
    .unwrap()
}

pub(crate) fn imported() -> crate::reports::Imported {
    crate::reports::Imported {
        result: Some(crate::reports::Taken::Stored),
        kind: "dmarc".into(),
        organization: Some("google.com".into()),
        report_id: Some("1".into()),
        domain: Some("acme.example".into()),
        count: 7,
        why: None,
    }
}

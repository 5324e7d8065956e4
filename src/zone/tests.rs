//! Plans, as they are printed.

use super::facts::{Bimi, Host, Inbound, KeyFact, Serves, SourceFact};
use super::*;
use crate::auth::dkim::Key;
use crate::dns::is_public;
use std::path::Path;

/// The key of RFC 8410 §10.3.
const KEY: &[u8] = b"-----BEGIN PRIVATE KEY-----\n\
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
-----END PRIVATE KEY-----\n";

fn source(name: &str, address: &str) -> SourceFact {
    SourceFact {
        name: name.into(),
        address: address.parse().unwrap(),
        ehlo: format!("{name}.mail.example.com"),
    }
}

fn facts() -> Facts {
    let inbound = |domain: &str, serves| Inbound {
        domain: domain.into(),
        serves,
    };
    Facts {
        domain: "acme.example".into(),
        ttl: 3600,
        keys: vec![KeyFact {
            selector: "e1".into(),
            domain: "acme.example".into(),
            public: Key::from_pem(KEY, Path::new("key"))
                .unwrap()
                .public()
                .clone(),
            signs: true,
        }],
        sources: vec![source("a", "192.0.2.10"), source("b", "2001:db8::25")],
        mail_from: ["bounces.acme.example".to_owned()].into(),
        inbound: vec![
            inbound("bounces.acme.example", Serves::Returns),
            inbound("fbl.example.com", Serves::Feedback),
        ],
        host: Host {
            name: "mta1.example.com".into(),
            addresses: vec!["192.0.2.30".parse().unwrap()],
        },
        dmarc: Stage::None,
        dmarc_reports: Some("dmarc@reports.example.net".parse().unwrap()),
        tls_reports: Some("tls@example.com".parse().unwrap()),
        mta_sts: MtaSts::Testing,
        spf_others: Vec::new(),
        bimi: Some(Bimi {
            logo: "https://acme.example/logo.svg".into(),
            certificate: String::new(),
        }),
        gaps: Vec::new(),
    }
}

fn plan(facts: &Facts) -> Plan {
    Plan::new(facts, &Templates::load(None).unwrap()).unwrap()
}

/// Compares with a file beside the tests; `MAILWRIGHT_BLESS=1` writes it anew.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/zone_golden")
        .join(name);
    if std::env::var_os("MAILWRIGHT_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(text == expected, "{} differs:\n{text}", path.display());
}

#[test]
fn the_zone_lines_of_a_domain() {
    golden("none.zone", &plan(&facts()).zone_lines());
    let last = Facts {
        dmarc: Stage::Reject,
        mta_sts: MtaSts::Enforce,
        spf_others: vec!["include:_spf.example.net".into()],
        ..facts()
    };
    golden("reject.zone", &plan(&last).zone_lines());
}

#[test]
fn the_json_of_a_domain() {
    let printed = serde_json::to_string_pretty(&plan(&facts()).printed()).unwrap();
    golden("none.json", &(printed + "\n"));
}

#[test]
fn every_stage_has_its_policy_and_no_spf_lets_the_world_pass() {
    for stage in [Stage::None, Stage::Quarantine, Stage::Reject] {
        let facts = Facts {
            dmarc: stage,
            ..facts()
        };
        let plan = plan(&facts);
        let texts: Vec<&str> = plan
            .records()
            .filter_map(|(_, record)| record.text())
            .collect();
        let policy = format!("v=DMARC1; p={};", stage.name());
        assert_eq!(
            texts
                .iter()
                .filter(|text| text.starts_with(&policy))
                .count(),
            1
        );
        let spf: Vec<&&str> = texts
            .iter()
            .filter(|text| text.starts_with("v=spf1"))
            .collect();
        assert_eq!(spf.len(), 4, "return path, From domain, two EHLO names");
        assert!(spf.iter().all(|text| text.ends_with(" -all")), "{spf:?}");
    }
}

#[test]
fn what_cannot_be_written_is_noted() {
    let bare = Facts {
        keys: Vec::new(),
        sources: Vec::new(),
        inbound: Vec::new(),
        dmarc_reports: None,
        ..facts()
    };
    let notes = plan(&bare).notes.join("\n");
    for word in [
        "dkim keygen",
        "[[source]]",
        "dmarc_reports",
        "[return_path]",
        "BIMI",
    ] {
        assert!(notes.contains(word), "{word}: {notes}");
    }
}

#[test]
fn long_spf_records_are_told() {
    let many = |n: u8| Facts {
        sources: (1..=n)
            .map(|i| source(&format!("s{i}"), &format!("192.0.2.{i}")))
            .collect(),
        ..facts()
    };
    let long = |n: u8| {
        plan(&many(n))
            .notes
            .iter()
            .filter(|note| note.contains("octets"))
            .count()
    };
    assert_eq!((long(20), long(32), long(40)), (0, 2, 2));
    let notes = plan(&many(40)).notes.join("\n");
    assert!(notes.contains("cannot carry at all"), "{notes}");
}

#[test]
fn the_id_of_a_policy_changes_with_it() {
    let id = |mode| {
        let facts = Facts {
            mta_sts: mode,
            ..facts()
        };
        let records = plan(&facts).at(Kind::MtaSts, "_mta-sts.bounces.acme.example");
        records[0].text().unwrap().to_owned()
    };
    assert_eq!(id(MtaSts::Testing), id(MtaSts::Testing));
    assert_ne!(id(MtaSts::Testing), id(MtaSts::Enforce));
}

#[test]
fn addresses_that_nobody_outside_sees() {
    for hidden in [
        "10.0.0.1",
        "127.0.0.1",
        "100.64.0.1",
        "0.0.0.0",
        "::1",
        "fd00::1",
        "fe80::1",
    ] {
        assert!(!is_public(hidden.parse().unwrap()), "{hidden}");
    }
    for seen in ["192.0.2.1", "100.128.0.1", "2001:db8::1"] {
        assert!(is_public(seen.parse().unwrap()), "{seen}");
    }
}

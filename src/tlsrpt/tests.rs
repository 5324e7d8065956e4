//! What is counted, kept and written; our own reader is asked whether it says the same.

use super::config::Config;
use super::document::Document;
use super::message;
use super::tally::{COUNTS, Counts, Policy, Session, Tally, read};
use crate::clock::Clock;
use crate::reports::period::Day;
use crate::reports::{self, Report};
use crate::store::Store;
use crate::tls::client::Fault;
use crate::units::Timestamp;
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// 22 November 2026, 12:00 UTC.
const NOON: Timestamp = Timestamp::from_millis(1_795_348_800_000);

fn config() -> Config {
    Config {
        organization: "Acme".into(),
        from: "tls@acme.example".into(),
        contact: "mailto:postmaster@acme.example".into(),
        ..Config::default()
    }
}

fn tally(store: &Store) -> Tally {
    let config = Arc::new(ArcSwap::from_pointee(config()));
    Tally::new(config, store.clone(), Clock::manual(NOON))
}

fn session<'a>(policy: &'a Policy, host: &'a str, failure: Option<Fault>) -> Session<'a> {
    Session {
        domain: "Example.net",
        policy,
        failure,
        why: None,
        source: Some("192.0.2.1".parse().unwrap()),
        to: Some((host, "192.0.2.2".parse().unwrap())),
    }
}

fn sts() -> Policy {
    Policy {
        is_sts: true,
        lines: vec!["version: STSv1".into(), "mode: enforce".into()],
        hosts: vec!["*.example.net".into()],
    }
}

async fn kept(store: &Store) -> Counts {
    let all = store.list(COUNTS).await.unwrap();
    let [(key, value)] = all.as_slice() else {
        panic!("{all:?}")
    };
    assert_eq!(key, "tlsrpt/count/2026-11-22/example.net");
    read(key, value)
}

#[tokio::test]
async fn nodes_add_up_what_they_count() {
    let store = Store::in_memory();
    let (one, two) = (tally(&store), tally(&store));
    let (sts, none) = (sts(), Policy::default());
    for tally in [&one, &two, &one] {
        tally.count(&session(&sts, "mx.example.net", None));
        tally.count(&session(
            &none,
            "mx.example.net",
            Some(Fault::StarttlsNotSupported),
        ));
        tally.flush().await;
    }
    let counts = kept(&store).await;
    let sums = counts
        .0
        .iter()
        .map(|of| (of.policy.is_sts, of.success, of.failed()));
    assert_eq!(sums.collect::<Vec<_>>(), [(true, 3, 0), (false, 0, 3)]);
    assert_eq!(counts.0[1].failures.len(), 1, "like ones are one");
}

#[tokio::test]
async fn what_a_domain_costs_is_bounded_and_nothing_of_its_sum_is_lost() {
    let store = Store::in_memory();
    let tally = tally(&store);
    let policy = Policy::default();
    for n in 0..500 {
        let fault = [Fault::CertificateExpired, Fault::ValidationFailure][n % 2];
        tally.count(&session(
            &policy,
            &format!("mx{n}.example.net"),
            Some(fault),
        ));
    }
    for n in 0..50 {
        let another = Policy {
            lines: vec![format!("max_age: {n}")],
            ..sts()
        };
        tally.count(&session(&another, "mx.example.net", None));
    }
    tally.flush().await;
    let counts = kept(&store).await;
    assert_eq!(
        (counts.0[0].failed(), counts.0[0].failures.len()),
        (500, 102)
    );
    assert_eq!(counts.0.len(), 8);
}

#[tokio::test]
async fn literals_have_no_report_and_a_store_that_is_away_costs_nothing() {
    let store = Store::in_memory();
    let tally = tally(&store);
    let policy = Policy::default();
    let literal = Session {
        domain: "[192.0.2.1]",
        ..session(&policy, "[192.0.2.1]", None)
    };
    tally.count(&literal);
    tally.flush().await;
    assert_eq!(store.list(COUNTS).await.unwrap(), []);
}

/// A day with sessions of every kind.
fn counts() -> (Counts, BTreeMap<&'static str, u64>) {
    let (sts, none) = (sts(), Policy::default());
    let mut counts = Counts::default();
    for _ in 0..5 {
        counts.count(&session(&sts, "mx.example.net", None));
    }
    counts.count(&session(&none, "mx.example.net", None));
    let faults = [
        (Fault::StarttlsNotSupported, "starttls-not-supported", 1),
        (
            Fault::CertificateHostMismatch,
            "certificate-host-mismatch",
            2,
        ),
        (Fault::CertificateExpired, "certificate-expired", 3),
        (Fault::CertificateNotTrusted, "certificate-not-trusted", 4),
        (Fault::ValidationFailure, "validation-failure", 5),
        (Fault::StsPolicyFetchError, "sts-policy-fetch-error", 6),
        (Fault::StsPolicyInvalid, "sts-policy-invalid", 7),
        (Fault::StsWebpkiInvalid, "sts-webpki-invalid", 8),
    ];
    for (fault, _, times) in faults {
        for _ in 0..times {
            counts.count(&session(&sts, "mx.example.net", Some(fault)));
        }
    }
    let names = faults.map(|(_, name, times)| (name, times));
    (counts, names.into_iter().collect())
}

#[test]
fn our_reader_reads_what_we_write_and_comes_to_the_same_sums() {
    let (counts, failures) = counts();
    let config = config();
    let report = Document {
        config: &config,
        submitter: "acme.example",
        domain: "example.net",
        day: Day::of(NOON.as_secs()),
        counts: &counts,
    };
    let packed = report.packed().unwrap();
    let (from, to) = (
        "tls@acme.example".parse().unwrap(),
        "reports@example.net".parse().unwrap(),
    );
    let mail = message::message(&report, &packed, &from, &to);
    let mail = [&b"Date: Sun, 22 Nov 2026 12:00:00 +0000\r\n"[..], &mail].concat();
    for octets in [&packed, &mail] {
        let Report::Tls(read) = reports::read(octets).unwrap() else {
            panic!("another report");
        };
        assert_eq!((read.success(), read.failure()), (6, 36));
        assert_eq!(read.failure_types(), failures);
        assert_eq!(read.organization.as_deref(), Some("Acme"));
        assert_eq!(
            read.id.as_deref(),
            Some("2026-11-22.example.net@acme.example")
        );
        assert_eq!(
            (read.period.end - read.period.begin, read.period.day()),
            (86_399, report.day)
        );
        let policies = read.policies.iter().map(|policy| {
            let domain = policy.domain.as_deref().unwrap();
            (policy.kind.as_deref().unwrap(), domain, policy.success)
        });
        let expected = [
            ("sts", "example.net", 5),
            ("no-policy-found", "example.net", 1),
        ];
        assert_eq!(policies.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn the_message_has_the_form_of_the_standard() {
    let (counts, _) = counts();
    let config = config();
    let report = Document {
        config: &config,
        submitter: "acme.example",
        domain: "example.net",
        day: Day::of(NOON.as_secs()),
        counts: &counts,
    };
    let to = "reports@example.net".parse().unwrap();
    let mail = message::message(
        &report,
        b"packed",
        &"tls@acme.example".parse().unwrap(),
        &to,
    );
    let text = String::from_utf8(mail).unwrap().replace("\r\n\t", " ");
    for line in [
        "Subject: Report Domain: example.net Submitter: acme.example Report-ID: <2026-11-22.example.net@acme.example>",
        "TLS-Report-Domain: example.net",
        "TLS-Report-Submitter: acme.example",
        "TLS-Required: No",
        "Content-Type: multipart/report; report-type=\"tlsrpt\"; boundary=\"=_tlsrpt/2026-11-22\"",
        "Content-Type: application/tlsrpt+gzip",
        "Content-Disposition: attachment; filename=\"acme.example!example.net!1795305600!1795391999.json.gz\"",
    ] {
        let found = text.split("\r\n").any(|l| l == line);
        assert!(found, "{line}\n{text}");
    }
    assert!(text.split("\r\n").all(|line| line.len() < 998));
}

//! `dns generate` and `dns check`: what the one prints satisfies the other, and every mistake is told.

use crate::internet::Ca;
use crate::zone::{Given, Zone, load};
use mailwright::cli::Exit;
use mailwright::peers::dns::{Fault, Record};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The findings that are not good: check, weight and message.
fn told(given: &Given) -> Vec<(String, String, String)> {
    let report = given.json();
    let findings = report["findings"].as_array().expect("a list").clone();
    let text = |finding: &Value, key: &str| finding[key].as_str().expect(key).to_owned();
    findings
        .iter()
        .filter(|finding| finding["weight"] != "good")
        .map(|f| (text(f, "check"), text(f, "weight"), text(f, "message")))
        .collect()
}

fn lines(given: &Given) -> Vec<String> {
    let report = given.json();
    let findings = report["findings"].as_array().expect("a list");
    let lines = findings
        .iter()
        .flat_map(|finding| finding["publish"].as_array().expect("a list"));
    lines
        .map(|line| line.as_str().expect("a line").to_owned())
        .collect()
}

#[tokio::test]
async fn what_generate_prints_passes_the_check() {
    let zone = Zone::filled().await;
    let checked = zone.records().await;
    assert_eq!(told(&checked), [], "{}", checked.out);
    assert_eq!(checked.exit, Exit::Ok);
    // The same records by their JSON.
    let other = Zone::new().await;
    std::fs::copy(zone.path("s1.pem"), other.path("s1.pem")).expect("a copy");
    let printed = other.generate(&["--format", "json"]).await.json();
    let zones = printed["zones"].as_array().expect("a list").iter();
    let records = zones.flat_map(|zone| zone["records"].as_array().expect("a list"));
    for record in records.chain(printed["reverse"].as_array().expect("a list")) {
        load(&other.dns, record["line"].as_str().expect("a line"));
    }
    assert_eq!(told(&other.records().await), []);
}

#[tokio::test]
async fn of_an_empty_zone_everything_is_told_in_the_order_of_its_harm_with_lines_that_mend_it() {
    let zone = Zone::new().await;
    let empty = zone.records().await;
    assert_eq!(empty.exit, Exit::Data);
    let found = told(&empty);
    let of = |weight: &str| -> Vec<String> {
        let mut checks: Vec<String> = Vec::new();
        for (check, _, _) in found.iter().filter(|(_, w, _)| w == weight) {
            if checks.last() != Some(check) {
                checks.push(check.clone());
            }
        }
        checks
    };
    assert_eq!(
        of("must"),
        ["dkim", "spf", "ptr", "ehlo", "dmarc", "mx", "host"]
    );
    assert_eq!(
        of("should"),
        ["spf", "dmarc-reports", "tls-rpt", "mta-sts", "bimi"]
    );
    load(&zone.dns, &lines(&empty).join("\n"));
    let mended = zone.records().await;
    assert_eq!(told(&mended), [], "{}", mended.out);
    assert_eq!(mended.exit, Exit::Ok);
}

/// A change to a zone that is right, and what has to be told of it.
struct Mistake {
    name: &'static str,
    holds: Vec<Record>,
    check: &'static str,
    weight: &'static str,
    says: &'static str,
}

fn mistake(
    name: &'static str,
    holds: Vec<Record>,
    (check, weight, says): (&'static str, &'static str, &'static str),
) -> Mistake {
    Mistake {
        name,
        holds,
        check,
        weight,
        says,
    }
}

fn txt(text: &str) -> Record {
    Record::Txt(text.to_owned())
}

fn of_keys() -> Vec<Mistake> {
    let key = "s1._domainkey.acme.example";
    vec![
        mistake(key, vec![], ("dkim", "must", "not published")),
        mistake(
            key,
            vec![txt("v=DKIM1; k=rsa; p=")],
            ("dkim", "must", "revoked"),
        ),
        mistake(
            key,
            vec![txt("v=DKIM1; k=rsa; p=AAAA")],
            ("dkim", "must", "another key"),
        ),
        mistake(
            key,
            vec![txt("hello")],
            ("dkim", "must", "no DKIM key record"),
        ),
        mistake(
            key,
            vec![txt("v=DKIM1; p=A"), txt("v=DKIM1; p=B")],
            ("dkim", "must", "several records"),
        ),
    ]
}

fn of_spf() -> Vec<Mistake> {
    let domain = "bounces.acme.example";
    let spf = |text: &str, told| {
        mistake(
            domain,
            vec![txt(text), Record::mx(10, "mta1.example.com")],
            told,
        )
    };
    let good = "v=spf1 ip4:192.0.2.10 ip6:2001:db8::25 -all";
    vec![
        mistake(
            domain,
            vec![Record::mx(10, "mta1.example.com")],
            ("spf", "must", "no SPF record"),
        ),
        mistake(
            domain,
            vec![
                txt(good),
                txt("v=spf1 -all"),
                Record::mx(10, "mta1.example.com"),
            ],
            ("spf", "must", "several SPF records"),
        ),
        spf(
            "v=spf1 ip4:192.0.2.10 -all",
            ("spf", "must", "does not pass 2001:db8::25"),
        ),
        spf(
            "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 +all",
            ("spf", "must", "whole world"),
        ),
        spf(
            "v=spf1 ip4:192.0.2.10 ip6:2001:db8::25",
            ("spf", "should", "ends without -all"),
        ),
        spf(
            "v=spf1 ip4:192.0.2 ip6:2001:db8::25 -all",
            ("spf", "must", "broken"),
        ),
        spf(
            "v=spf1 include:nowhere.example -all",
            ("spf", "must", "nowhere.example has 0 SPF"),
        ),
        spf(
            "v=spf1 exists:%{i}.x.example -all",
            ("spf", "should", "depends on the message"),
        ),
        mistake(
            "a.mail.example.com",
            vec![Record::A(Ipv4Addr::new(192, 0, 2, 10))],
            ("spf", "should", "no SPF record"),
        ),
        mistake("acme.example", vec![], ("spf", "should", "no SPF record")),
    ]
}

fn of_names() -> Vec<Mistake> {
    let (reverse, ehlo) = ("10.2.0.192.in-addr.arpa", "a.mail.example.com");
    let ptr = |name: &str| vec![Record::Ptr(name.to_owned())];
    let spf = || txt("v=spf1 ip4:192.0.2.10 -all");
    vec![
        mistake(reverse, vec![], ("ptr", "must", "has no PTR")),
        mistake(
            reverse,
            ptr("nowhere.example"),
            ("ptr", "must", "does not lead back"),
        ),
        mistake(
            reverse,
            ptr("other.example"),
            ("ptr", "should", "is not its EHLO name"),
        ),
        mistake(
            ehlo,
            vec![spf()],
            ("ehlo", "must", "does not lead to 192.0.2.10"),
        ),
        mistake(
            ehlo,
            vec![spf(), Record::A(Ipv4Addr::new(192, 0, 2, 99))],
            ("ehlo", "must", "does not lead to 192.0.2.10"),
        ),
    ]
}

fn of_dmarc() -> Vec<Mistake> {
    let name = "_dmarc.acme.example";
    let dmarc = |text: &str, told| mistake(name, vec![txt(text)], told);
    let rua = "rua=mailto:dmarc@reports.example.com";
    vec![
        mistake(name, vec![], ("dmarc", "must", "no DMARC record")),
        dmarc("v=DMARC1; p=perhaps", ("dmarc", "must", "cannot read")),
        mistake(
            name,
            vec![txt("v=DMARC1; p=none"), txt("v=DMARC1; p=reject")],
            ("dmarc", "must", "several DMARC records"),
        ),
        mistake(
            name,
            vec![Record::Txt(format!("v=DMARC1; p=none; {rua}"))],
            ("dmarc", "should", "the policy is none"),
        ),
        dmarc(
            "v=DMARC1; p=reject",
            (
                "dmarc-reports",
                "should",
                "do not go to dmarc@reports.example.com",
            ),
        ),
        mistake(
            "acme.example._report._dmarc.reports.example.com",
            vec![],
            ("dmarc-reports", "should", "does not say"),
        ),
        mistake(
            "default._bimi.acme.example",
            vec![],
            ("bimi", "should", "no BIMI record"),
        ),
        mistake(
            "default._bimi.acme.example",
            vec![txt("v=BIMI1; l=https://x.example/l.svg")],
            ("bimi", "should", "not the logo"),
        ),
    ]
}

fn of_returns() -> Vec<Mistake> {
    let spf = || txt("v=spf1 ip4:192.0.2.10 ip6:2001:db8::25 -all");
    vec![
        mistake(
            "bounces.acme.example",
            vec![spf()],
            ("mx", "must", "bounces cannot come back"),
        ),
        mistake(
            "bounces.acme.example",
            vec![spf(), Record::mx(10, "mx.other.example")],
            ("mx", "must", "the MX is not mta1.example.com"),
        ),
        mistake(
            "leave.acme.example",
            vec![],
            ("mx", "must", "unsubscribing by mail cannot come back"),
        ),
        mistake(
            "fbl.acme.example",
            vec![],
            ("mx", "must", "complaints cannot come back"),
        ),
        mistake(
            "mta1.example.com",
            vec![],
            ("host", "must", "has no address"),
        ),
        mistake(
            "mta1.example.com",
            vec![Record::A(Ipv4Addr::new(192, 0, 2, 77))],
            ("host", "must", "does not lead to each"),
        ),
        mistake(
            "_smtp._tls.bounces.acme.example",
            vec![],
            ("tls-rpt", "should", "no record"),
        ),
        mistake(
            "_smtp._tls.acme.example",
            vec![txt("v=TLSRPTv1; rua=mailto:x@y.example")],
            ("tls-rpt", "should", "do not go to"),
        ),
        mistake(
            "_mta-sts.fbl.acme.example",
            vec![],
            ("mta-sts", "should", "no MTA-STS record"),
        ),
        mistake(
            "_mta-sts.fbl.acme.example",
            vec![txt("v=STSv1; id=old")],
            ("mta-sts", "should", "the id is not"),
        ),
    ]
}

#[tokio::test]
async fn each_mistake_is_told_for_what_it_is() {
    let all = [of_keys(), of_spf(), of_names(), of_dmarc(), of_returns()];
    for Mistake {
        name,
        holds,
        check,
        weight,
        says,
    } in all.into_iter().flatten()
    {
        let zone = Zone::filled().await;
        zone.dns
            .add("other.example", Record::A(Ipv4Addr::new(192, 0, 2, 10)));
        zone.dns.set(name, holds.clone());
        let checked = zone.records().await;
        let told = told(&checked);
        let is_told = told
            .iter()
            .any(|(c, w, m)| c == check && w == weight && m.contains(says));
        assert!(
            is_told,
            "{name} {holds:?}: {check} {weight} {says}: {told:?}"
        );
        let must = told.iter().any(|(_, weight, _)| weight == "must");
        assert_eq!(
            checked.exit,
            if must { Exit::Data } else { Exit::Ok },
            "{name}"
        );
    }
}

#[tokio::test]
async fn silence_is_not_absence() {
    let zone = Zone::filled().await;
    zone.dns.fail("s1._domainkey.acme.example", Fault::ServFail);
    let checked = zone.records().await;
    assert_eq!(checked.exit, Exit::TemporaryFailure);
    let unknown = told(&checked);
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    assert_eq!((&*unknown[0].0, &*unknown[0].1), ("dkim", "unknown"));
    // A change that is known to be needed counts more.
    zone.dns.set("_dmarc.acme.example", vec![]);
    assert_eq!(zone.records().await.exit, Exit::Data);
    zone.dns.fail_all(Some(Fault::Silent));
    // Nothing comes, so nothing can come too late.
    let text = std::fs::read_to_string(zone.config()).expect("a file");
    let text = text.replace("timeout = \"5s\"", "timeout = \"500ms\"");
    std::fs::write(zone.config(), text).expect("a file");
    let silent = zone.records().await;
    assert_eq!(silent.exit, Exit::TemporaryFailure);
    assert!(
        told(&silent)
            .iter()
            .all(|(_, weight, _)| weight == "unknown"),
        "{}",
        silent.out
    );
}

#[tokio::test]
async fn a_policy_above_the_domain_counts() {
    let zone = Zone::filled().await;
    zone.dns.set("_dmarc.acme.example", vec![]);
    zone.dns.add(
        "_dmarc.example",
        txt("v=DMARC1; p=reject; rua=mailto:dmarc@reports.example.com"),
    );
    assert_eq!(told(&zone.records().await), []);
}

#[tokio::test]
async fn what_the_operator_reads_names_the_line_to_publish_and_the_one_found() {
    let zone = Zone::filled().await;
    zone.dns
        .set("_dmarc.acme.example", vec![txt("v=DMARC1; p=perhaps")]);
    let checked = zone
        .command(&["dns", "check", "acme.example", "--no-fetch"])
        .await;
    let expected = "\
MUST     dmarc _dmarc.acme.example.: receivers cannot read the record, which counts as none
  harm     the big receivers refuse bulk mail of domains without a DMARC record
  publish  _dmarc.acme.example. 3600 IN TXT \"v=DMARC1; p=quarantine; rua=mailto:dmarc@reports.example.com\"
  found    _dmarc.acme.example. IN TXT \"v=DMARC1; p=perhaps\"
";
    assert!(checked.out.contains(expected), "{}", checked.out);
    assert!(
        checked
            .out
            .starts_with("acme.example: 1 to change, 0 unanswered, 0 that would be better, ")
    );
}

/// The records of another service: `lookups` in all, among them one `a` that leads to an address.
fn service(zone: &Zone, lookups: usize) {
    let includes: Vec<String> = (2..lookups)
        .map(|n| format!("include:s{n}.service.example"))
        .collect();
    let all = format!("v=spf1 a:host.service.example {} ~all", includes.join(" "));
    zone.dns.add("_spf.service.example", Record::Txt(all));
    zone.dns.add(
        "host.service.example",
        Record::A(Ipv4Addr::new(198, 51, 100, 1)),
    );
    for n in 2..lookups {
        let text = format!("v=spf1 ip4:198.51.100.{n} -all");
        zone.dns
            .add(&format!("s{n}.service.example"), Record::Txt(text));
    }
}

async fn with_service(lookups: usize) -> Zone {
    let zone = Zone::with_domain("spf_include = [\"_spf.service.example\"]\n").await;
    service(&zone, lookups);
    zone
}

#[tokio::test]
async fn spf_takes_ten_lookups_at_most_and_is_flattened_only_on_request() {
    let zone = with_service(10).await;
    let generated = zone.generate(&[]).await;
    assert_eq!(generated.exit, Exit::Ok);
    let spf = "acme.example. 3600 IN TXT \"v=spf1 ip4:192.0.2.10 ip6:2001:db8::25 include:_spf.service.example -all\"";
    assert!(generated.out.contains(spf), "{}", generated.out);
    assert!(generated.out.contains("takes 10 of 10 lookups"));
    load(&zone.dns, &generated.out);
    assert_eq!(told(&zone.records().await), []);

    let zone = with_service(11).await;
    assert_eq!(zone.generate(&[]).await.exit, Exit::Data);
    let flat = zone.generate(&["--flatten"]).await;
    assert_eq!(flat.exit, Exit::Ok);
    assert!(
        flat.out
            .contains("ip4:198.51.100.1 ip4:198.51.100.10 ip4:198.51.100.2 "),
        "{}",
        flat.out
    );
    assert!(!flat.out.contains("include:"));
    load(&zone.dns, &flat.out);
    assert_eq!(told(&zone.records().await), []);
    let long = format!(
        "v=spf1 include:_spf.service.example {}-all",
        "ip4:203.0.113.1 ".repeat(30)
    );
    zone.dns.set("acme.example", vec![Record::Txt(long)]);
    let wrong: Vec<String> = told(&zone.records().await)
        .into_iter()
        .map(|(_, _, m)| m)
        .collect();
    assert!(wrong.iter().any(|m| m.contains("11 lookups")), "{wrong:?}");
    assert!(wrong.iter().any(|m| m.contains("octets")), "{wrong:?}");
}

#[tokio::test]
async fn without_dns_lookups_are_not_counted_and_nothing_is_flattened() {
    let zone = with_service(5).await;
    zone.dns.fail_all(Some(Fault::ServFail));
    let generated = zone.generate(&[]).await;
    assert_eq!(generated.exit, Exit::Ok);
    assert!(generated.out.contains("could not be counted"));
    assert_eq!(
        zone.generate(&["--flatten"]).await.exit,
        Exit::TemporaryFailure
    );
}

/// Serves one text over HTTPS, whatever is asked for.
async fn serve(ca: &Ca, host: &str, text: String) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let address = listener.local_addr().expect("a bound socket");
    let tls = TlsAcceptor::from(ca.server(host));
    let text = Arc::new(text);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A host whose certificate is another one's is left by the client.
            let Ok(mut stream) = tls.accept(stream).await else {
                continue;
            };
            let mut question = [0; 1024];
            let _asked = stream.read(&mut question).await;
            let answer = format!("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n{text}");
            let _sent = stream.write_all(answer.as_bytes()).await;
            let _closed = stream.shutdown().await;
        }
    });
    address
}

#[tokio::test]
async fn the_policy_that_is_served_is_looked_at() {
    let zone = Zone::filled().await;
    let (ca, files) = (Ca::new(), tempfile::tempdir().expect("a directory"));
    zone.say(&format!(
        "[tls]\nca_file = \"{}\"\n",
        ca.file(&files).display()
    ));
    let good = "version: STSv1\nmode: testing\nmx: mta1.example.com\nmax_age: 604800\n";
    let looks = async |text: &str| {
        let server = serve(&ca, "mta-sts.fbl.acme.example", text.to_owned()).await;
        let port = server.port().to_string();
        let checked = zone.check(&["--https-port", &port]).await;
        let report = checked.json();
        let findings = report["findings"].as_array().expect("a list").clone();
        let host = "mta-sts.fbl.acme.example.";
        let finding = findings.into_iter().find(|finding| finding["name"] == host);
        let finding = finding.expect("a finding of the policy");
        let other = findings_of(&report, "mta-sts.bounces.acme.example.");
        assert!(
            other[0]["message"]
                .as_str()
                .expect("text")
                .contains("cannot be fetched")
        );
        (
            finding["weight"].clone(),
            finding["message"].to_string(),
            checked.exit,
        )
    };
    let (weight, message, exit) = looks(good).await;
    assert_eq!(
        (weight.as_str(), exit),
        (Some("good"), Exit::Ok),
        "{message}"
    );
    let (weight, message, exit) = looks(&good.replace("604800", "60")).await;
    assert_eq!(
        (weight.as_str(), exit),
        (Some("should"), Exit::Ok),
        "{message}"
    );
    let shut = good.replace("mta1", "old").replace("testing", "enforce");
    let (weight, message, exit) = looks(&shut).await;
    assert_eq!(
        (weight.as_str(), exit),
        (Some("must"), Exit::Data),
        "{message}"
    );
    assert!(message.contains("does not allow mta1.example.com"));
}

fn findings_of(report: &Value, name: &str) -> Vec<Value> {
    let findings = report["findings"].as_array().expect("a list").iter();
    findings
        .filter(|finding| finding["name"] == name)
        .cloned()
        .collect()
}

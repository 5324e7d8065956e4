//! Facts, as the configuration has them.

use super::facts;
use crate::config::Config;
use crate::zone::Facts;
use crate::zone::facts::Serves;
use std::path::Path;

fn of(text: &str, domain: &str) -> Facts {
    let config = Config::parse(text, Path::new("/nonexistent/mailwright.toml"));
    facts(&config.unwrap_or_else(|e| panic!("{e}")), domain).unwrap_or_else(|e| panic!("{e:?}"))
}

fn names<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    names.into_iter().map(String::as_str).collect()
}

#[test]
fn a_tenant_has_its_own_return_path_or_keeps_the_platforms() {
    let text = "[return_path]\ndomain = \"Bounces.example.com\"\n\
        [[tenant]]\nname = \"a\"\ndomains = [\"a.example\", \"*.a.example\"]\n\
        [[tenant]]\nname = \"b\"\ndomains = [\"b.example\"]\nreturn_path_domain = \"r.b.example\"\n\
        [[tenant]]\nname = \"c\"\ndomains = [\"b.example\", \"c.example\"]\nreturn_path_domain = \"\"\n";
    assert_eq!(
        names(&of(text, "x.a.example").mail_from),
        ["bounces.example.com"]
    );
    assert_eq!(
        names(&of(text, "b.example").mail_from),
        ["b.example", "r.b.example"]
    );
    assert_eq!(names(&of(text, "C.example.").mail_from), ["c.example"]);
    assert_eq!(
        names(&of(text, "else.example").mail_from),
        ["bounces.example.com"]
    );
    assert!(of(text, "c.example").inbound.is_empty());
}

#[test]
fn a_domain_that_takes_several_things_is_told_once() {
    let text = "[return_path]\ndomain = \"r.example.com\"\n[feedback]\naddress = \"fbl@r.example.com\"\n\
        [unsubscribe]\nmailto_domain = \"u.example.com\"\n";
    let inbound = of(text, "a.example").inbound;
    let served: Vec<(&str, Serves)> = inbound.iter().map(|i| (&*i.domain, i.serves)).collect();
    assert_eq!(
        served,
        [
            ("r.example.com", Serves::Returns),
            ("u.example.com", Serves::Unsubscribing)
        ]
    );
}

#[test]
fn the_address_of_the_host_is_what_is_said_or_listens_or_sends_by_its_name() {
    let base = "hostname = \"mta1.example.com\"\n[return_path]\ndomain = \"r.example.com\"\n\
        [[source]]\nname = \"a\"\naddress = \"10.0.0.5\"\nehlo = \"mta1.example.com\"\n";
    let addresses = |more: &str| -> Vec<String> {
        let facts = of(&format!("{base}{more}"), "a.example");
        facts
            .host
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(addresses(""), ["10.0.0.5"]);
    assert_eq!(
        addresses("[zone.public_addresses]\n\"10.0.0.5\" = \"192.0.2.5\"\n"),
        ["192.0.2.5"]
    );
    let listener = "[[listener]]\naddress = \"192.0.2.7:25\"\nrole = \"inbound\"\n";
    assert_eq!(addresses(listener), ["192.0.2.7"]);
    let said = "[zone]\nmx = \"mx.example.com\"\nmx_addresses = [\"192.0.2.9\"]\n";
    assert_eq!(addresses(&format!("{listener}{said}")), ["192.0.2.9"]);
    assert_eq!(of(base, "a.example").gaps.len(), 1, "a private address");
}

#[test]
fn what_is_said_of_one_domain_is_said_of_it_alone() {
    let text = "[zone]\ndmarc_reports = \"all@example.com\"\n\
        [[zone.domain]]\nname = \"a.example\"\ndmarc = \"reject\"\ndmarc_reports = \"a@a.example\"\n";
    let (own, other) = (of(text, "a.example"), of(text, "b.example"));
    assert_eq!((own.dmarc.name(), other.dmarc.name()), ("reject", "none"));
    assert_eq!(own.dmarc_reports.unwrap().to_string(), "a@a.example");
    assert_eq!(other.dmarc_reports.unwrap().to_string(), "all@example.com");
}

#[test]
fn reports_come_to_where_they_are_read() {
    let reports = "[reports]\naddresses = [\"dmarc@r.example.com\", \"tls@r.example.com\"]\n";
    let facts = of(reports, "a.example");
    for address in [&facts.dmarc_reports, &facts.tls_reports] {
        assert_eq!(address.as_ref().unwrap().to_string(), "dmarc@r.example.com");
    }
    let inbound: Vec<_> = facts
        .inbound
        .iter()
        .map(|i| (i.domain.as_str(), i.serves))
        .collect();
    assert_eq!(inbound, [("r.example.com", Serves::Reports)]);
    let said = format!("[zone]\ntls_reports = \"else@b.example\"\n{reports}");
    let facts = of(&said, "a.example");
    assert_eq!(facts.tls_reports.unwrap().to_string(), "else@b.example");
}

#[test]
fn what_is_no_domain_and_what_cannot_be_read_is_refused() {
    let config = Config::parse(
        "[[dkim]]\ndomain = \"a.example\"\nselector = \"s1\"\nkey = \"/nonexistent/s1.pem\"\n",
        Path::new("/nonexistent/mailwright.toml"),
    )
    .unwrap();
    assert!(facts(&config, "a b").is_err());
    assert!(facts(&config, "x.a.example").is_err());
    assert!(facts(&config, "b.example").unwrap().keys.is_empty());
}

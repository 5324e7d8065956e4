//! Rules of what only others know.

use super::super::facts::*;
use super::super::unchecked;
use super::*;
use crate::mail::Stream;

fn judged(facts: Facts) -> Vec<(&'static str, Level, String)> {
    let found = of(GOOD, &facts).into_iter();
    found.map(|f| (f.rule, f.level, f.evidence)).collect()
}

/// The one finding there is.
fn only(facts: Facts, rule: &str, level: Level, evidence: &str) {
    let found = judged(facts.clone());
    let [(name, at, told)] = found.as_slice() else {
        panic!("{rule}: {found:?}");
    };
    assert_eq!((*name, *at), (rule, level), "{told}");
    assert!(told.contains(evidence), "{told}");
}

fn domain(name: &str, known: Domain) -> Facts {
    Facts {
        domains: [(name.to_owned(), known)].into(),
        ..Facts::default()
    }
}

fn mail(host: MailHost) -> Domain {
    Domain {
        mail: Some(host),
        ..Domain::default()
    }
}

fn bulk() -> Facts {
    Facts {
        volume: [("google".to_owned(), 5_000)].into(),
        ..Facts::default()
    }
}

fn ours() -> Signature {
    let covers = "from:from:to:subject:date:message-id:mime-version:content-type:list-unsubscribe:\
                  list-unsubscribe-post:feedback-id:cfbl-address";
    Signature {
        domain: "acme.example".into(),
        selector: "s1".into(),
        key: KeyKind::Rsa { bits: 2048 },
        covers: covers.split(':').map(str::to_owned).collect(),
        is_partial: false,
        aligned: Some(true),
        published: Some(Published::Ours),
    }
}

fn signed(signature: Signature) -> Facts {
    Facts {
        signing: Some(Signing::Signed(vec![signature])),
        ..Facts::default()
    }
}

#[test]
fn the_from_domain_takes_mail_and_is_ours() {
    assert_eq!(judged(domain("acme.example", mail(MailHost::Accepts))), []);
    for (host, why) in [
        (MailHost::Refuses, "null MX"),
        (MailHost::Nowhere, "neither MX nor address"),
        (MailHost::Missing, "does not exist"),
    ] {
        only(
            domain("acme.example", mail(host)),
            "from-domain",
            Level::Block,
            why,
        );
    }
    let not = Domain {
        ours: Some(false),
        ..Domain::default()
    };
    only(
        domain("acme.example", not),
        "from-not-ours",
        Level::Block,
        "acme.example",
    );
    let gmail = with("From: Acme <news@acme.example>", "From: news@gmail.com");
    let ours = Domain {
        ours: Some(true),
        ..Domain::default()
    };
    assert_eq!(of(&gmail, &domain("gmail.com", ours)), []);
}

#[test]
fn answers_have_somewhere_to_go() {
    let text = with("To: Ann", "Reply-To: help@silent.example\r\nTo: Ann");
    let message = Message::parse(text.as_bytes());
    assert_eq!(message.domains(), ["acme.example", "silent.example"]);
    let found = of(&text, &domain("silent.example", mail(MailHost::Refuses)));
    expect(
        &found,
        "answers-bounce",
        "Reply-To: silent.example",
        "Reply-To",
    );
    let path = Facts {
        return_path: Some(Some("b@silent.example".parse().unwrap())),
        ..domain("silent.example", mail(MailHost::Missing))
    };
    only(
        path,
        "answers-bounce",
        Level::Warn,
        "the return path: silent.example",
    );
    let null = || Facts {
        return_path: Some(None),
        ..Facts::default()
    };
    only(null(), "null-sender", Level::Warn, "<>");
    let notice = with("To: Ann", "Auto-Submitted: auto-replied\r\nTo: Ann");
    assert_eq!(of(&notice, &null()), []);
}

#[test]
fn a_signature_is_aligned_published_and_strong() {
    assert_eq!(judged(signed(ours())), []);
    let unsigned = || Facts {
        signing: Some(Signing::Unsigned),
        ..Facts::default()
    };
    let found = judged(unsigned());
    assert!(
        found
            .iter()
            .any(|f| f.0 == "dkim-missing" && f.1 == Level::Warn && f.2.contains("acme.example")),
        "{found:?}"
    );
    assert!(
        found.iter().any(|f| f.0 == "unsubscribe-unsigned"),
        "{found:?}"
    );
    for (change, rule, level, evidence) in [
        (
            Signature {
                aligned: Some(false),
                ..ours()
            },
            "dkim-unaligned",
            Level::Warn,
            "d=acme.example",
        ),
        (
            Signature {
                published: Some(Published::Nothing),
                ..ours()
            },
            "dkim-key-unpublished",
            Level::Warn,
            "s1._domainkey.acme.example does not exist",
        ),
        (
            Signature {
                published: Some(Published::Other),
                ..ours()
            },
            "dkim-key-unpublished",
            Level::Warn,
            "another key",
        ),
        (
            Signature {
                published: Some(Published::Unreadable("no p=".into())),
                ..ours()
            },
            "dkim-key-unpublished",
            Level::Warn,
            "no p=",
        ),
        (
            Signature {
                key: KeyKind::Rsa { bits: 768 },
                ..ours()
            },
            "dkim-key-small",
            Level::Block,
            "768 bits",
        ),
        (
            Signature {
                key: KeyKind::Rsa { bits: 1024 },
                ..ours()
            },
            "dkim-key-weak",
            Level::Warn,
            "1024 bits",
        ),
    ] {
        only(signed(change), rule, level, evidence);
    }
    assert_eq!(
        judged(signed(Signature {
            key: KeyKind::Ed25519,
            ..ours()
        })),
        []
    );
}

#[test]
fn who_sends_in_bulk_is_held_to_more() {
    let found = judged(bulk());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0, found[0].1), ("bulk-sender", Level::Info));
    assert!(
        found[0]
            .2
            .contains("5000 messages of the From domain to google")
    );
    let unsigned = Facts {
        signing: Some(Signing::Unsigned),
        ..bulk()
    };
    for (rule, level, _) in judged(unsigned) {
        let expected = match rule {
            "dkim-missing" | "unsubscribe-unsigned" => Level::Block,
            _ => Level::Info,
        };
        assert_eq!(level, expected, "{rule}");
    }
    let fewer = Facts {
        volume: [("google".to_owned(), 4_999)].into(),
        ..Facts::default()
    };
    assert_eq!(judged(fewer), []);
}

fn source(spf: Spf) -> Facts {
    let source = Source {
        name: "ip-a".into(),
        address: "192.0.2.10".parse().unwrap(),
        spf: Some(spf),
        reverse: None,
    };
    Facts {
        sources: vec![source],
        ..Facts::default()
    }
}

fn passes() -> Spf {
    Spf {
        result: SpfResult::Pass,
        aligned: true,
        lookups: 3,
        void_lookups: 0,
        detail: "b.acme.example".into(),
    }
}

#[test]
fn spf_passes_from_every_source_and_is_aligned() {
    assert_eq!(judged(source(passes())), []);
    for (spf, rule, level, evidence) in [
        (
            Spf {
                result: SpfResult::Fail,
                ..passes()
            },
            "spf-fails",
            Level::Warn,
            "ip-a (192.0.2.10): SPF is fail: b.acme.example",
        ),
        (
            Spf {
                result: SpfResult::None,
                ..passes()
            },
            "spf-fails",
            Level::Warn,
            "SPF is none",
        ),
        (
            Spf {
                result: SpfResult::TempError,
                ..passes()
            },
            "spf-fails",
            Level::Info,
            "temperror",
        ),
        (
            Spf {
                aligned: false,
                ..passes()
            },
            "spf-unaligned",
            Level::Warn,
            "beside the From domain",
        ),
        (
            Spf {
                lookups: 11,
                ..passes()
            },
            "spf-lookups",
            Level::Warn,
            "11 lookups of 10",
        ),
        (
            Spf {
                void_lookups: 3,
                ..passes()
            },
            "spf-lookups",
            Level::Warn,
            "3 empty answers of 2",
        ),
    ] {
        only(source(spf), rule, level, evidence);
    }
    let strict = Facts {
        volume: bulk().volume,
        ..source(Spf {
            result: SpfResult::SoftFail,
            ..passes()
        })
    };
    assert_eq!(judged(strict)[0].1, Level::Block);
}

#[test]
fn dmarc_is_published_reported_and_passes() {
    let with = |record, passes| Facts {
        dmarc: Some(Dmarc {
            record,
            passes,
            detail: "_dmarc.acme.example".into(),
        }),
        ..Facts::default()
    };
    let good = || DmarcRecord::Found {
        policy: DmarcPolicy::None,
        has_reports: true,
    };
    assert_eq!(judged(with(good(), Some(true))), []);
    only(
        with(DmarcRecord::Missing, None),
        "dmarc-missing",
        Level::Warn,
        "_dmarc.acme.example",
    );
    only(
        with(DmarcRecord::Invalid("two records".into()), None),
        "dmarc-missing",
        Level::Warn,
        "two records",
    );
    let silent = DmarcRecord::Found {
        policy: DmarcPolicy::Reject,
        has_reports: false,
    };
    only(
        with(silent, None),
        "dmarc-no-reports",
        Level::Warn,
        "no rua",
    );
    only(
        with(good(), Some(false)),
        "dmarc-fails",
        Level::Warn,
        "neither SPF nor DKIM",
    );
    let strict = Facts {
        volume: bulk().volume,
        ..with(good(), Some(false))
    };
    assert_eq!(
        judged(strict)[0],
        (
            "dmarc-fails",
            Level::Block,
            "neither SPF nor DKIM passes with an aligned domain: _dmarc.acme.example".into()
        )
    );
}

fn reverse(name: Option<&str>, is_confirmed: bool) -> Reverse {
    Reverse {
        name: name.map(str::to_owned),
        is_confirmed,
        ehlo: name.unwrap_or("a.mail.acme.example").to_owned(),
        ehlo_resolves: true,
    }
}

fn named(reverse: Vec<Reverse>) -> Facts {
    let source = |(n, reverse)| Source {
        name: format!("ip-{n}"),
        address: "192.0.2.10".parse().unwrap(),
        spf: None,
        reverse: Some(reverse),
    };
    Facts {
        sources: reverse.into_iter().enumerate().map(source).collect(),
        ..Facts::default()
    }
}

#[test]
fn a_source_has_a_name_that_leads_back_to_it() {
    let good = || reverse(Some("a.mail.acme.example"), true);
    assert_eq!(judged(named(vec![good()])), []);
    only(
        named(vec![reverse(None, false)]),
        "ptr-missing",
        Level::Block,
        "ip-0 (192.0.2.10) has no PTR",
    );
    only(
        named(vec![reverse(Some("a.acme.example"), false)]),
        "ptr-unconfirmed",
        Level::Block,
        "a.acme.example does not lead back",
    );
    // Another source can take the mail.
    only(
        named(vec![good(), reverse(None, false)]),
        "ptr-missing",
        Level::Warn,
        "ip-1",
    );
    let generic = [
        "192-0-2-10.isp.example",
        "10.2.0.192.isp.example",
        "host192.0.2.10.isp.example",
        "dynamic12.isp.example",
        "x.dsl.isp.example",
        "h192000002010.isp.example",
    ];
    for name in generic {
        only(
            named(vec![reverse(Some(name), true)]),
            "ptr-generic",
            Level::Warn,
            name,
        );
    }
    for name in [
        "mta10.acme.example",
        "mail-2-10.acme.example",
        "cabletown.example",
    ] {
        assert_eq!(judged(named(vec![reverse(Some(name), true)])), [], "{name}");
    }
    let other = Reverse {
        ehlo: "localhost".into(),
        ..good()
    };
    only(
        named(vec![other]),
        "ehlo-mismatch",
        Level::Warn,
        "EHLO localhost",
    );
    let lost = Reverse {
        ehlo_resolves: false,
        ..good()
    };
    only(
        named(vec![lost]),
        "ehlo-mismatch",
        Level::Warn,
        "does not lead to it",
    );
    let dotted = Reverse {
        ehlo: "A.mail.acme.example.".into(),
        ..good()
    };
    assert_eq!(judged(named(vec![dotted])), []);
}

#[test]
fn tls_is_used_to_gmail() {
    let to = |address: &str, tls| Facts {
        tls: Some(tls),
        recipients: vec![address.parse().unwrap()],
        ..Facts::default()
    };
    only(
        to("ann@gmail.com", Tls::Never),
        "tls-off",
        Level::Block,
        "never uses TLS",
    );
    only(
        to("ann@example.net", Tls::Never),
        "tls-off",
        Level::Warn,
        "never uses TLS",
    );
    assert_eq!(judged(to("ann@gmail.com", Tls::Opportunistic)), []);
}

#[test]
fn recipients_are_people_who_may_be_written_to() {
    let to = |address: &str| Facts {
        recipients: vec![address.parse().unwrap()],
        ..Facts::default()
    };
    only(
        to("Postmaster@example.net"),
        "role-address",
        Level::Warn,
        "Postmaster@example.net",
    );
    only(
        to("noreply+x@example.net"),
        "role-address",
        Level::Warn,
        "noreply+x",
    );
    assert_eq!(judged(to("infomaster@example.net")), []);
    let transactional = Facts {
        stream: Some(Stream::Transactional),
        ..to("abuse@example.net")
    };
    assert_eq!(judged(transactional), []);
    let suppressed = Facts {
        suppressed: vec![("ann@example.net".parse().unwrap(), "hard bounce".into())],
        ..Facts::default()
    };
    only(
        suppressed,
        "suppressed",
        Level::Block,
        "ann@example.net: hard bounce",
    );
}

#[test]
fn rates_warn_and_block_where_the_sample_is_large_enough() {
    let rate = |kind, part, of| Facts {
        rates: vec![Rate {
            kind,
            part,
            of,
            slice: "tenant acme, 24 h".into(),
        }],
        ..Facts::default()
    };
    use RateKind::{Bounces, Complaints};
    only(
        rate(Complaints, 2, 2_000),
        "complaint-rate",
        Level::Warn,
        "tenant acme, 24 h: 2 complaints of 2000 (0.1 %), over 0.1 %",
    );
    only(
        rate(Complaints, 6, 2_000),
        "complaint-rate",
        Level::Block,
        "0.3 %",
    );
    only(
        rate(Bounces, 20, 1_000),
        "bounce-rate",
        Level::Warn,
        "20 bounces of 1000 (2 %)",
    );
    only(
        rate(Bounces, 50, 1_000),
        "bounce-rate",
        Level::Block,
        "over 5 %",
    );
    // Few are chance.
    only(
        rate(Bounces, 50, 500),
        "bounce-rate",
        Level::Warn,
        "50 bounces of 500",
    );
    assert_eq!(judged(rate(Bounces, 5, 50)), []);
    assert_eq!(judged(rate(Complaints, 1, 2_000)), []);
}

#[test]
fn links_to_listed_domains_are_told() {
    let listed = Domain {
        listed: Some("DBL: spammed domain".into()),
        ..Domain::default()
    };
    only(
        domain("acme.example", listed),
        "url-listed",
        Level::Warn,
        "acme.example, which is on a list: DBL",
    );
}

#[test]
fn what_we_put_in_ourselves_is_told_as_such() {
    let bare = with("List-Unsubscribe: <https://acme.example/u/1>, <mailto:u@acme.example>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", "")
        .replace("CFBL-Address: fbl@acme.example; report=arf\r\n", "");
    let adds = Facts {
        adds: vec!["List-Unsubscribe", "CFBL-Address"],
        traced: Some(true),
        ..Facts::default()
    };
    let found = of(&bare, &adds);
    assert_eq!(names(&found), ["unsubscribe-missing"]);
    assert_eq!(found[0].level, Level::Fix);
    only(
        Facts {
            traced: Some(false),
            ..Facts::default()
        },
        "untraced",
        Level::Info,
        "the platform's",
    );
}

#[test]
fn amp_is_shown_where_it_is_authenticated() {
    let text = GOOD.replace("--x\r\nContent-Type: text/html", "--x\r\nContent-Type: text/x-amp-html\r\n\r\n<html amp4email>\r\n--x\r\nContent-Type: text/html");
    assert_eq!(of(&text, &signed(ours())), []);
    let unsigned = Facts {
        signing: Some(Signing::Unsigned),
        ..Facts::default()
    };
    expect(
        &of(&text, &unsigned),
        "amp-unauthenticated",
        "not signed",
        "AMP",
    );
}

#[test]
fn absent_facts_are_told_where_somebody_asks() {
    let told = unchecked(&Facts::default());
    assert_eq!(told.len(), 12);
    assert!(
        told.iter()
            .all(|f| f.level == Level::Info && f.evidence.starts_with("not checked: "))
    );
    let fewer = unchecked(&signed(ours()));
    assert_eq!(fewer.len(), 11);
    assert!(fewer.iter().all(|f| f.rule != "dkim-missing"));
}

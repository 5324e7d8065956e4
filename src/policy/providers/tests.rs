use super::*;
use proptest::prelude::*;

mod checking;

/// What an operator writes.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    provider: Vec<ProviderConfig>,
    #[serde(default)]
    rule: Vec<RuleConfig>,
}

fn written(toml: &str) -> Written {
    toml::from_str(toml).unwrap()
}

fn providers(toml: &str) -> Providers {
    let Written { provider, rule } = written(toml);
    let mut problems = Problems::default();
    validate(&provider, &rule, &mut problems);
    assert!(problems.is_empty(), "{problems:#?}");
    Providers::new(&provider, &rule).unwrap()
}

fn shipped() -> Shipped {
    let mut problems = Problems::default();
    let shipped = Shipped::read(&mut problems);
    assert!(problems.is_empty(), "{problems:#?}");
    shipped
}

fn judge<'p>(providers: &'p Providers, name: &str, said: &str) -> Option<&'p Rule> {
    let provider = providers.get(name).unwrap();
    provider.judge(&text::read(said).unwrap())
}

#[test]
fn every_shipped_rule_matches_its_examples_and_spares_the_others() {
    let shipped = shipped();
    let mut problems = Problems::default();
    for provider in &shipped.provider {
        let at = provider.name.as_str();
        provider.validate(at, &mut problems);
        check::validate_rules(&provider.rule, &format!("{at}.rule"), &mut problems);
    }
    check::validate_rules(&shipped.rule, "rule", &mut problems);
    let _owners = merge::hosts(&merge::merge(&shipped, &[]), &mut problems);
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(Providers::new(&[], &[]).is_ok());
}

#[test]
fn every_shipped_rule_says_what_its_replies_mean() {
    let providers = Providers::new(&[], &[]).unwrap();
    for provider in providers.iter() {
        for rule in provider.rules() {
            assert!(!rule.why.is_empty(), "{}", rule.place);
            assert!(
                rule.why.is_ascii() && !rule.why.ends_with('.'),
                "{}",
                rule.place
            );
        }
    }
}

#[test]
fn an_example_of_a_shipped_provider_is_judged_by_its_own_rule() {
    let shipped = shipped();
    let providers = Providers::new(&[], &[]).unwrap();
    for provider in &shipped.provider {
        for (i, rule) in provider.rule.iter().enumerate() {
            for example in &rule.matches {
                let judged = judge(&providers, &provider.name, example).unwrap();
                let place = format!("config/providers.toml: {}, rule {}", provider.name, i + 1);
                assert_eq!(&*judged.place, place, "{example}");
            }
        }
    }
    for (i, rule) in shipped.rule.iter().enumerate() {
        for example in &rule.matches {
            let judged = judge(&providers, OTHER, example).unwrap();
            let place = format!("config/providers.toml: rule {}", i + 1);
            assert_eq!(&*judged.place, place, "{example}");
        }
    }
}

#[test]
fn mx_hosts_as_they_are_met_lead_to_their_provider() {
    let providers = Providers::new(&[], &[]).unwrap();
    for (hosts, name) in [
        (
            "gmail-smtp-in.l.google.com alt1.gmail-smtp-in.l.google.com",
            "google",
        ),
        ("aspmx.l.google.com ASPMX2.GOOGLEMAIL.COM.", "google"),
        ("smtp.google.com", "google"),
        ("outlook-com.olc.protection.outlook.com", "outlook"),
        ("hotmail-com.olc.protection.outlook.com.", "outlook"),
        ("example-com.mail.protection.outlook.com", "microsoft365"),
        ("example-com.a-v1.mx.microsoft", "microsoft365"),
        (
            "mta5.am0.yahoodns.net mta6.am0.yahoodns.net mta7.am0.yahoodns.net",
            "yahoo",
        ),
        ("mx-aol.mail.gm0.yahoodns.net", "yahoo"),
        ("mx1.mail.yahoo.co.jp mx2.mail.yahoo.co.jp", "yahoo.co.jp"),
        ("mx01.mail.icloud.com mx02.mail.icloud.com", "apple"),
        ("mx1.comcast.net mx2h1.comcast.net", "comcast"),
        ("mx00.emig.gmx.net mx01.emig.gmx.net", "gmx"),
        ("mx-ha02.web.de mx-ha03.web.de", "gmx"),
        ("smtp-in.orange.fr", "orange"),
        ("mxs.mail.ru", "mail.ru"),
        ("mx1.qq.com mx2.qq.com mx3.qq.com", "qq"),
        ("mxbiz1.qq.com mxbiz2.qq.com", "qq"),
        (
            "163mx01.mxmail.netease.com 163mx02.mxmail.netease.com",
            "163",
        ),
        (
            "mx0a-001b2d01.pphosted.com mx0b-001b2d01.pphosted.com",
            "proofpoint",
        ),
        ("mx1-us1.ppe-hosted.com", "proofpoint"),
        (
            "eu-smtp-inbound-1.mimecast.com eu-smtp-inbound-2.mimecast.com",
            "mimecast",
        ),
        (
            "d12345a.ess.barracudanetworks.com d12345b.ess.barracudanetworks.com",
            "barracuda",
        ),
        ("mx.example.net", OTHER),
        ("notgoogle.com", OTHER),
        ("aspmx.l.google.com mx.example.net", OTHER),
        ("mx.example.net aspmx.l.google.com", OTHER),
        ("aspmx.l.google.com mxs.mail.ru", OTHER),
        (
            "example-com.mail.protection.outlook.com hotmail-com.olc.protection.outlook.com",
            OTHER,
        ),
        ("[192.0.2.1]", OTHER),
        ("", OTHER),
    ] {
        let found = providers.of(hosts.split_whitespace());
        assert_eq!(&*found.name, name, "{hosts}");
        assert!(Arc::ptr_eq(found, providers.get(name).unwrap()));
    }
}

#[test]
fn what_is_no_refusal_and_what_we_made_ourselves_is_not_judged() {
    let all = "[[rule]]\nreply = 'x'\nnotify = true\nmatches = ['421 x']\nspares = ['421 y']";
    let providers = providers(all);
    let google = providers.get("google").unwrap();
    for code in [220, 250, 354] {
        assert_eq!(google.judge(&Reply::said(code, None, "x", "MAIL")), None);
    }
    let own = Reply::local(421, crate::mail::EnhancedCode(4, 4, 1), "x", "connect");
    assert_eq!(google.judge(&own), None);
    let said = Reply::said(421, own.enhanced, "x", "connect");
    assert_eq!(
        google.judge(&said).map(|rule| &*rule.place),
        Some("rule[0]")
    );
}

#[test]
fn the_providers_own_rules_come_before_the_general_ones_and_the_operators_before_the_shipped() {
    let shipped =
        "421 4.7.28 Gmail has detected an unusual rate of mail originating from your IP address.";
    let none = Providers::new(&[], &[]).unwrap();
    assert_eq!(
        judge(&none, "google", shipped).unwrap().suspend.unwrap().at,
        Scope::Provider
    );
    let general = r#"
        [[rule]]
        reply = '^421 4\.7\.28 '
        notify = true
        matches = ["421 4.7.28 x"]
        spares = ["421 4.7.2 x"]"#;
    let own = general.replace(
        "[[rule]]",
        "[[provider]]\nname = \"google\"\n[[provider.rule]]",
    );
    let place = |toml: &str, name: &str| {
        let providers = providers(toml);
        judge(&providers, name, shipped).map(|rule| rule.place.to_string())
    };
    assert_eq!(
        place(general, "google").unwrap(),
        "config/providers.toml: google, rule 2"
    );
    assert_eq!(place(general, "apple").unwrap(), "rule[0]");
    assert_eq!(place(&own, "google").unwrap(), "provider[0].rule[0]");
    assert_eq!(place(&own, "apple"), None);
}

#[test]
fn an_operator_can_leave_the_shipped_rules_of_a_provider_out() {
    let said = "421 4.7.0 [TSS04] Messages from 192.0.2.25 temporarily deferred";
    let without = providers("[[provider]]\nname = \"yahoo\"\nshipped_rules = false");
    assert_eq!(judge(&without, "yahoo", said), None);
    let yahoo = without.get("yahoo").unwrap();
    assert_eq!(yahoo.limits.connections, Some(10));
    assert!(Arc::ptr_eq(without.of(["mta5.am0.yahoodns.net"]), yahoo));
}

#[test]
fn a_rule_that_ignores_keeps_later_rules_from_its_replies() {
    let grey = "450 4.2.0 Greylisted; rate limited, slow down";
    let providers = Providers::new(&[], &[]).unwrap();
    let judged = judge(&providers, OTHER, grey).unwrap();
    assert!(!judged.slow_down && !judged.notify && judged.suspend.is_none());
    assert!(
        judge(&providers, OTHER, "450 4.2.0 rate limited")
            .unwrap()
            .slow_down
    );
}

#[test]
fn nobody_in_particular_is_no_provider_to_keep_away_from() {
    let wide = "[[rule]]\nreply = '^421 odd'\nsuspend = \"1h\"\nat = \"provider\"\nmatches = ['421 odd']\nspares = ['421 even']";
    let providers = providers(wide);
    let at = |name| {
        judge(&providers, name, "421 odd")
            .unwrap()
            .suspend
            .unwrap()
            .at
    };
    assert_eq!(at("google"), Scope::Provider);
    assert_eq!(at(OTHER), Scope::Site);
    assert!(providers.get(OTHER).unwrap().is_other());
}

#[test]
fn an_entry_of_a_shipped_name_changes_the_keys_it_gives() {
    let changed = providers(
        r#"
        [[provider]]
        name = "yahoo.co.jp"
        limits = { connections = 1 }
        messages_per_connection = 3
        tls = "required"
        send_window = "08:00-22:00 Asia/Tokyo"

        [[provider]]
        name = "other"
        messages_per_connection = 7

        [[provider]]
        name = "ours"
        mx = ["mx.example.net.", ".aspmx.l.google.com"]
        "#,
    );
    let japan = changed.get("yahoo.co.jp").unwrap();
    assert_eq!(japan.limits.connections, Some(1));
    assert_eq!(japan.limits.messages.0[0].to_string(), "10/s");
    assert_eq!(japan.messages_per_connection.unwrap().get(), 3);
    assert_eq!(japan.recipients_per_transaction.unwrap().get(), 20);
    assert_eq!(japan.tls, Some(Policy::Required));
    assert_eq!(japan.send_window.to_string(), "08:00-22:00 Asia/Tokyo");
    assert!(japan.rules().any(|rule| rule.place.contains("yahoo.co.jp")));
    let other = changed.of(["nowhere.example"]);
    assert_eq!(other.messages_per_connection.unwrap().get(), 7);
    assert_eq!(&*changed.of(["alt1.aspmx.l.google.com"]).name, "ours");
    assert_eq!(&*changed.of(["smtp.google.com"]).name, "google");
    assert_eq!(&*changed.of(["MX.example.net"]).name, "ours");
    let names: Vec<&str> = changed.iter().map(|provider| &*provider.name).collect();
    assert_eq!(names.iter().filter(|name| **name == OTHER).count(), 1);
}

#[test]
fn configuration_reads_back_as_it_was_written() {
    for provider in shipped().provider {
        let text = toml::to_string(&provider).unwrap();
        assert_eq!(toml::from_str::<ProviderConfig>(&text).unwrap(), provider);
    }
}

#[test]
fn the_rule_found_is_the_first_of_all_that_match() {
    let shipped = shipped();
    let providers = Providers::new(&[], &[]).unwrap();
    let yahoo = providers.get("yahoo").unwrap();
    let own = shipped.provider.iter().find(|p| p.name == "yahoo").unwrap();
    let asked: Vec<&RuleConfig> = own.rule.iter().chain(&shipped.rule).collect();
    let compile = |rule: &&RuleConfig| rules::pattern(&rule.reply).unwrap();
    let patterns: Vec<_> = asked.iter().map(compile).collect();
    let everyone = shipped.provider.iter().flat_map(|p| &p.rule);
    let examples = everyone
        .chain(&shipped.rule)
        .flat_map(|rule| rule.matches.iter().chain(&rule.spares));
    let examples: Vec<&str> = examples.map(String::as_str).collect();
    proptest!(|(pick in any::<prop::sample::Index>(), noise in "[ -~]{0,40}", code in 400u16..600)| {
        let said = text::read(examples[pick.index(examples.len())]).unwrap();
        let said = Reply::said(code, said.enhanced, &format!("{} {noise}", said.text), "RCPT");
        let seen = text::of(&said);
        let first = patterns.iter().position(|pattern| pattern.is_match(seen.as_bytes()));
        let judged = yahoo.judge(&said).map(|rule| &*rule.why);
        prop_assert_eq!(judged, first.map(|i| asked[i].why.as_str()));
    });
}

#[test]
fn no_reply_is_too_strange_to_judge() {
    let providers = Providers::new(&[], &[]).unwrap();
    let other = providers.get(OTHER).unwrap();
    proptest!(|(code in any::<u16>(), text in any::<String>())| {
        let judged = other.judge(&Reply::said(code, None, &text, "."));
        prop_assert!(code >= 400 || judged.is_none());
    });
}

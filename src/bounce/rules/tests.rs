use super::check::validate_list;
use super::shipped::Shipped;
use super::*;
use BounceClass::*;
use proptest::prelude::*;
use std::collections::HashSet;

fn shipped() -> Shipped {
    let mut problems = Problems::default();
    let shipped = Shipped::read(&mut problems);
    assert_eq!(told(&problems), Vec::<String>::new());
    shipped
}

fn told(problems: &Problems) -> Vec<String> {
    let all = problems.0.iter();
    all.map(|p| format!("{}: {}", p.key, p.message)).collect()
}

fn own(toml: &str) -> Vec<RuleConfig> {
    #[derive(serde::Deserialize)]
    struct File {
        bounce_rule: Vec<RuleConfig>,
    }
    toml::from_str::<File>(toml).unwrap().bounce_rule
}

fn checked(toml: &str) -> Vec<String> {
    let mut problems = Problems::default();
    validate(&own(toml), &mut problems);
    told(&problems)
}

#[test]
fn shipped_rules_are_alive_and_none_reaches_too_far() {
    let shipped = shipped();
    let mut problems = Problems::default();
    validate_list(&shipped.rule, "rule", &mut problems);
    validate_list(&shipped.fallback, "fallback", &mut problems);
    assert_eq!(told(&problems), Vec::<String>::new());
}

#[test]
fn shipped_rules_have_names_of_their_own_and_say_what_to_do() {
    let shipped = shipped();
    let mut names = HashSet::new();
    for rule in shipped.rule.iter().chain(&shipped.fallback) {
        assert!(names.insert(&rule.name), "{} is there twice", rule.name);
        assert!(!rule.help.is_empty(), "{} has no help", rule.name);
    }
}

/// A rule whose every reply an earlier one takes would be found by its own examples; this finds one whose examples the
/// fallbacks or the operator see otherwise than it says.
#[test]
fn every_example_is_found_to_be_what_its_rule_says() {
    let shipped = shipped();
    let classifier = Classifier::new().unwrap();
    for rule in shipped.rule.iter() {
        for example in &rule.examples {
            let command = rule.command.as_deref().unwrap_or_default();
            let seen = Seen::read(example, command, rule.provider.as_deref());
            let ruling = classifier.ruling(&seen);
            let name = ruling.rule.map(|rule| &*rule.name);
            assert_eq!(name, Some(rule.name.as_str()), "{example}");
        }
    }
}

#[test]
fn replies_as_they_are_met() {
    let classifier = Classifier::new().unwrap();
    for (said, command, class, subject) in [
        (
            "550 5.1.1 The email account that you tried to reach does not exist",
            "RCPT",
            Hard,
            Some(Subject::Recipient),
        ),
        (
            "550 5.4.1 Recipient address rejected: Access denied",
            "RCPT",
            Hard,
            Some(Subject::Recipient),
        ),
        (
            "550 5.5.0 Requested action not taken: mailbox unavailable",
            "RCPT",
            Hard,
            Some(Subject::Recipient),
        ),
        (
            "550 No such user here",
            "RCPT",
            Hard,
            Some(Subject::Recipient),
        ),
        (
            "550 5.7.1 <ann@example.net>... User unknown",
            "RCPT",
            Hard,
            Some(Subject::Recipient),
        ),
        (
            "550 5.1.1 <spam@example.net>: Recipient address rejected: User unknown",
            "RCPT",
            Hard,
            Some(Subject::Recipient),
        ),
        (
            "551 5.1.6 Moved to <ben@example.org>",
            "RCPT",
            Hard,
            Some(Subject::Recipient),
        ),
        ("550 rejected", "RCPT", Unknown, None),
        ("550 5.1.0 what?", "RCPT", Unknown, None),
        (
            "556 5.1.10 null MX",
            "MX",
            Hard,
            Some(Subject::RecipientDomain),
        ),
        (
            "550 5.1.2 the domain example.net does not exist",
            "dns",
            Hard,
            Some(Subject::RecipientDomain),
        ),
        (
            "550 5.4.4 no mail host of example.net has an address",
            "dns",
            Hard,
            Some(Subject::RecipientDomain),
        ),
        (
            "552 5.2.2 The email account is over quota",
            "RCPT",
            Soft,
            Some(Subject::Recipient),
        ),
        ("552 no", "RCPT", Soft, Some(Subject::Recipient)),
        (
            "450 5.1.1 User unknown",
            "RCPT",
            Soft,
            Some(Subject::Recipient),
        ),
        (
            "450 4.1.1 User unknown",
            "RCPT",
            Soft,
            Some(Subject::Recipient),
        ),
        (
            "550 4.1.1 User unknown",
            "RCPT",
            Soft,
            Some(Subject::Recipient),
        ),
        (
            "554 5.7.1 Service unavailable; client host blocked using a list",
            "RCPT",
            Block,
            Some(Subject::SourceIp),
        ),
        (
            "550 5.1.1 <ann@example.net>: rejected, spam from you: user unknown",
            "RCPT",
            Block,
            Some(Subject::Message),
        ),
        (
            "550 5.7.606 Access denied, banned sending IP",
            "RCPT",
            Block,
            Some(Subject::SourceIp),
        ),
        ("554 go away", "connect", Block, Some(Subject::SourceIp)),
        (
            "550 5.7.26 unauthenticated mail is prohibited",
            ".",
            Policy,
            Some(Subject::SenderDomain),
        ),
        (
            "550 5.1.8 Sender address rejected: Domain not found",
            "RCPT",
            Policy,
            Some(Subject::SenderDomain),
        ),
        (
            "550 5.1.7 <ann@example.net>: Sender address rejected: user unknown",
            "RCPT",
            Policy,
            Some(Subject::SenderDomain),
        ),
        (
            "550 5.7.1 not permitted",
            ".",
            Policy,
            Some(Subject::Message),
        ),
        (
            "552 5.3.4 message too big",
            ".",
            Policy,
            Some(Subject::Message),
        ),
        (
            "550 5.7.1 Relaying denied",
            "RCPT",
            Policy,
            Some(Subject::RecipientDomain),
        ),
        (
            "550 5.6.7 SMTPUTF8 needed",
            "MAIL",
            Config,
            Some(Subject::Message),
        ),
        ("502 what?", "DATA", Config, Some(Subject::Us)),
        ("503 5.5.1 bad sequence", "DATA", Config, Some(Subject::Us)),
        (
            "550 5.3.0 the message could not be read",
            "spool",
            Network,
            Some(Subject::RecipientDomain),
        ),
        (
            "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred",
            "MAIL",
            Throttled,
            Some(Subject::SourceIp),
        ),
        (
            "451 4.7.1 Greylisted",
            "RCPT",
            Throttled,
            Some(Subject::SourceIp),
        ),
        ("421 bye", ".", Network, Some(Subject::RecipientDomain)),
        ("554 5.4.7 Delivery time expired", "", Expired, None),
    ] {
        let finding = classifier.ruling(&Seen::read(said, command, None)).finding;
        assert_eq!(finding, Finding { class, subject }, "{said}");
    }
}

#[test]
fn nothing_that_is_said_for_now_condemns() {
    let classifier = Classifier::new().unwrap();
    for said in [
        "451 4.1.1 no such user",
        "450 5.1.1 user unknown",
        "550 4.2.1 the mailbox is disabled",
        "421 the account does not exist",
    ] {
        let finding = classifier.ruling(&Seen::read(said, "RCPT", None)).finding;
        assert!(!finding.condemns(), "{said}: {finding:?}");
    }
}

#[test]
fn an_operators_rule_comes_first() {
    let rules = own(r#"
        [[bounce_rule]]
        name = "closed for the season"
        provider = "hotels"
        codes = ["55x"]
        text = ['\bno such user\b']
        class = "soft"
        help = "They come back in spring."
        examples = ["550 no such user"]
        not = ["550 no such host"]
        "#);
    let classifier = Classifier::with(&rules).unwrap();
    let ruling = |provider| classifier.ruling(&Seen::read("550 No such user", "RCPT", provider));
    let own = ruling(Some("hotels"));
    assert_eq!(own.finding, Finding::new(Soft, Subject::Recipient));
    assert_eq!(&*own.rule.unwrap().place, "bounce_rule[0]");
    assert!(ruling(None).finding.condemns());
    assert!(ruling(Some("google")).finding.condemns());
}

#[test]
fn what_only_a_code_says_is_unmatched() {
    let classifier = Classifier::new().unwrap();
    for (said, matched) in [
        ("550 5.1.1 wibble", true),
        ("550 no such user", true),
        ("550 5.7.1 wibble", false),
        ("554 wibble", false),
        ("550 wibble", false),
    ] {
        let ruling = classifier.ruling(&Seen::read(said, ".", None));
        assert_eq!(ruling.is_matched(), matched, "{said}");
    }
}

#[test]
fn mistakes_of_an_operator_are_told_with_their_place() {
    let rule = |keys: &str| format!("[[bounce_rule]]\nname = 'x'\nclass = 'soft'\n{keys}");
    let fine = "examples = ['550 abc']\nnot = ['550 abd']";
    for (keys, says) in [
        (
            "text = ['ab(c']",
            "bounce_rule[0].text[0]: is not a regular expression",
        ),
        (
            "text = ['abc) (d']",
            "bounce_rule[0].text[0]: is not a regular expression",
        ),
        (
            "text = ['(\\w{200}){200}']",
            "bounce_rule[0].text[0]: takes too much memory",
        ),
        (
            "codes = ['250']\ntext = ['abc']",
            "bounce_rule[0].codes[0]: \"250\" is no code",
        ),
        (
            "enhanced = ['5.1']",
            "bounce_rule[0].enhanced[0]: \"5.1\" is no enhanced code",
        ),
        ("enhanced = ['5.7.9-1']", "bounce_rule[0].enhanced[0]: "),
        ("", "bounce_rule[0]: would take every reply"),
        (
            "text = ['xyz']",
            "bounce_rule[0].examples[0]: is not taken by the rule",
        ),
        (
            "text = ['ab']",
            "bounce_rule[0].not[0]: is taken by the rule",
        ),
        ("subject = 'us'\ntext = ['abc']", ""),
    ] {
        let told = checked(&rule(&format!("{keys}\n{fine}")));
        match says {
            "" => assert_eq!(told, Vec::<String>::new(), "{keys}"),
            says => assert!(
                told.iter().any(|told| told.starts_with(says)),
                "{keys}: {told:?}"
            ),
        }
    }
    let told = checked(&rule("text = ['abc']"));
    assert_eq!(told.len(), 2, "{told:?}");
    let twice = rule(&format!("text = ['abc']\n{fine}"));
    let told = checked(&format!("{twice}\n{twice}"));
    let says = "bounce_rule[1].examples[0]: is taken by bounce_rule[0] before";
    assert!(told[0].starts_with(says), "{told:?}");
}

#[test]
fn rules_read_back_as_they_were_written() {
    for rule in shipped().rule {
        let text = toml::to_string(&rule).unwrap();
        assert_eq!(toml::from_str::<RuleConfig>(&text).unwrap(), rule);
    }
}

/// Words of refusals that are about something else than the recipient.
const OTHER_WORDS: &str = "(message|blocked|rejected|spam|policy|your|ip|address|denied|sender|for|reputation|of|is|too|many|access|the|by|content|refused|was|domain|authentication|relay|limit|192\\.0\\.2\\.1|list|low|not|allowed)";

#[test]
fn a_refusal_by_policy_without_words_about_the_recipient_never_condemns() {
    let classifier = Classifier::new().unwrap();
    let words = prop::collection::vec(OTHER_WORDS, 0..12);
    proptest!(|(code in 500u16..600, detail in 0u16..1000, words in words, command in "(RCPT|MAIL|DATA|\\.|)")| {
        let text = words.join(" ");
        let said = Said {
            code: Some(code),
            enhanced: Some(EnhancedCode(5, 7, detail)),
            text: &text,
            command: &command,
            provider: None,
        };
        let finding = classifier.judge(&said);
        prop_assert!(!finding.condemns(), "{text}: {finding:?}");
    });
}

#[test]
fn nothing_is_too_strange_to_judge_and_4xx_never_condemns() {
    let classifier = Classifier::new().unwrap();
    let shipped = shipped();
    let examples = shipped.rule.iter().flat_map(|rule| &rule.examples);
    let examples: Vec<&String> = examples.collect();
    proptest!(|(code in any::<Option<u16>>(), pick in any::<prop::sample::Index>(), noise in any::<String>(), cut in 0usize..80)| {
        let example = examples[pick.index(examples.len())];
        let tail: String = example.chars().skip(4 + cut).collect();
        let text = format!("{noise} {tail}");
        let said = Said { code, text: &text, ..Said::default() };
        let finding = classifier.judge(&said);
        if code.is_some_and(|code| (400..500).contains(&code)) {
            prop_assert!(!finding.condemns(), "{text}: {finding:?}");
        }
    });
}

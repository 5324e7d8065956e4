//! What is wrong with an operator's entries, and how it is told.

use super::*;

/// The keys of what is wrong, with what is said there.
fn faults(toml: &str) -> Vec<(String, String)> {
    let Written { provider, rule } = written(toml);
    let mut problems = Problems::default();
    validate(&provider, &rule, &mut problems);
    for problem in &problems.0 {
        assert!(!problem.remedy.is_empty(), "{problem:?}");
    }
    let told = problems.0.into_iter();
    told.map(|problem| (problem.key, problem.message)).collect()
}

/// A rule that is right but for what `more` makes of it.
fn rule(more: &str) -> String {
    format!("[[rule]]\nreply = '^421 odd'\nmatches = ['421 odd']\nspares = ['421 even']\n{more}\n")
}

/// One mistake is told, at `key` and with `part` in it.
fn tells(toml: &str, key: &str, part: &str) {
    let told = faults(toml);
    assert_eq!(told.len(), 1, "{toml}\n{told:#?}");
    assert_eq!(told[0].0, key, "{toml}");
    assert!(told[0].1.contains(part), "{toml}\n{}", told[0].1);
}

#[test]
fn a_rule_says_what_follows_and_says_it_once() {
    for (more, key, part) in [
        ("", "rule[0]", "does nothing"),
        ("at = 'site'\nnotify = true", "rule[0].at", "for how long"),
        ("suspend = '0s'", "rule[0].suspend", "is 0"),
        ("ignore = true\nnotify = true", "rule[0].ignore", "beside"),
    ] {
        tells(&rule(more), key, part);
    }
    assert_eq!(faults(&rule("ignore = true")), []);
    assert_eq!(faults(&rule("suspend = '2h'\nat = 'provider'")), []);
}

#[test]
fn every_example_is_tried() {
    let good = rule("notify = true");
    for (written, instead, key, part) in [
        (
            "['421 odd']",
            "['421 odt']",
            "matches[0]",
            "sees \"421 odt\"",
        ),
        ("['421 even']", "['421 oddly']", "spares[0]", "is matched"),
        ("['421 odd']", "[]", "matches", "no example"),
        ("['421 even']", "[]", "spares", "no example"),
        ("matches = ['421 odd']", "", "matches", "no example"),
        ("['421 even']", "['even']", "spares[0]", "no reply"),
        ("['421 even']", "['250 ok']", "spares[0]", "no refusal"),
    ] {
        let key = format!("rule[0].{key}");
        tells(&good.replace(written, instead), &key, part);
    }
    let inside = good.replace("[[rule]]", "[[provider]]\nname = 'qq'\n[[provider.rule]]");
    let key = "provider[0].rule[0].matches[0]";
    tells(
        &inside.replace("['421 odd']", "['421 odt']"),
        key,
        "not matched",
    );
}

#[test]
fn a_pattern_that_cannot_be_used_is_told() {
    for (pattern, part) in [
        ("^421 (odd", "not a regular expression"),
        // Two backslashes in single quotes are two.
        (r"^421 \\[odd", "not a regular expression"),
        ("((a{100}){100}){100}", "memory"),
    ] {
        let toml = rule("notify = true").replace("^421 odd", pattern);
        tells(&toml, "rule[0].reply", part);
    }
}

#[test]
fn a_rule_that_an_earlier_one_hides_is_told() {
    let (one, two) = (rule("notify = true"), rule("slow_down = true"));
    tells(
        &format!("{one}{two}"),
        "rule[1].matches[0]",
        "rule[0] before",
    );
    let narrow = one
        .replace("^421 odd", "^421 odd ")
        .replace("['421 odd']", "['421 odd 1']");
    assert_eq!(faults(&format!("{narrow}{two}")), []);
}

#[test]
fn hosts_that_no_mx_can_have_are_told() {
    for (mx, key) in [
        ("['']", "provider[0].mx[0]"),
        ("['.google.com', '*.google.com']", "provider[0].mx[1]"),
        ("[' .google.com']", "provider[0].mx[0]"),
        ("['.google.com..']", "provider[0].mx[0]"),
    ] {
        let toml = format!("[[provider]]\nname = 'google'\nmx = {mx}");
        tells(&toml, key, "matches no host");
    }
    assert_eq!(
        faults("[[provider]]\nname = 'google'\nmx = ['GOOGLE.com.']"),
        []
    );
}

#[test]
fn a_provider_has_hosts_of_its_own() {
    for (name, more, key, part) in [
        ("gmail", "", "mx", "is missing"),
        ("ours", "mx = ['Yahoodns.NET.']", "mx[0]", "\"yahoo\" too"),
        ("google", "mx = ['.qq.com']", "mx[0]", "\"qq\" too"),
        ("other", "mx = ['.example.net']", "mx", "no hosts"),
        (
            "other",
            "limits = { connections = 5 }",
            "limits",
            "together",
        ),
        (
            "google",
            "limits = { connections = 0 }",
            "limits.connections",
            "is 0",
        ),
        ("a/b", "mx = ['.example.net']", "name", "not a name"),
        (
            "google",
            "messages_per_connection = 0",
            "messages_per_connection",
            "is 0",
        ),
        (
            "google",
            "recipients_per_transaction = 0",
            "recipients_per_transaction",
            "is 0",
        ),
    ] {
        let toml = format!("[[provider]]\nname = '{name}'\n{more}");
        tells(&toml, &format!("provider[0].{key}"), part);
    }
    let twice = "[[provider]]\nname = 'google'\n[[provider]]\nname = 'google'";
    tells(twice, "provider[1].name", "earlier entry");
}

#[test]
fn nobody_is_kept_from_everyone_else() {
    let wide = rule("suspend = '1h'\nat = 'provider'");
    let other = wide.replace(
        "[[rule]]",
        "[[provider]]\nname = 'other'\n[[provider.rule]]",
    );
    tells(&other, "provider[0].rule[0].at", "not one provider");
}

#[test]
fn unknown_keys_and_values_are_refused_in_reading() {
    for bad in [
        rule("slowdown = true"),
        rule("treat_as = \"block\""),
        rule("suspend = \"2h\"\nat = \"everywhere\""),
        "[[provider]]\nname = \"google\"\nconnections = 5".to_owned(),
        "[[provider]]\nmx = [\".example.net\"]".to_owned(),
    ] {
        assert!(toml::from_str::<Written>(&bad).is_err(), "{bad}");
    }
}

#[test]
fn patterns_that_cannot_be_used_keep_the_providers_from_being_built() {
    let Written { rule, .. } = written(&rule("notify = true").replace("^421 odd", "^421 (odd"));
    let problems = Providers::new(&[], &rule).unwrap_err();
    assert_eq!(problems.0.len(), 1);
    assert_eq!(problems.0[0].key, "rule[0].reply");
}

//! What is wrong with the operator's rules. Every example is tried.

use super::config::RuleConfig;
use super::matcher::{Placed, Rules, note_faults_of};
use super::seen::Seen;
use crate::problem::Problems;

/// Notes what is wrong with `[[bounce_rule]]`: with their keys, with each expression and each example.
pub fn validate(rules: &[RuleConfig], problems: &mut Problems) {
    validate_list(rules, "bounce_rule", problems);
}

/// Checks rules that are asked one after the other; `at` is the key of their list.
pub(super) fn validate_list(rules: &[RuleConfig], at: &str, problems: &mut Problems) {
    let before = problems.0.len();
    for (i, rule) in rules.iter().enumerate() {
        let at = format!("{at}[{i}]");
        rule.validate(&at, problems);
        note_faults_of(rule, &at, problems);
        validate_has_examples(rule, &at, problems);
    }
    // What cannot be used cannot be tried.
    if problems.0.len() == before && !rules.is_empty() {
        Tried::new(rules, at, problems).validate(problems);
    }
}

fn validate_has_examples(rule: &RuleConfig, at: &str, problems: &mut Problems) {
    if rule.examples.is_empty() {
        problems.add(
            format!("{at}.examples"),
            "has no example, so nobody knows whether the rule is alive",
            "add a reply that it must take, such as \"550 5.1.1 no such user\"",
        );
    }
    if rule.not.is_empty() && !rule.text.is_empty() {
        problems.add(
            format!("{at}.not"),
            "has no example, so nobody knows how far the rule reaches",
            "add a reply that it must not take: one that comes close",
        );
    }
}

/// Rules that can be asked.
struct Tried<'c> {
    written: &'c [RuleConfig],
    at: &'c str,
    rules: Rules,
}

impl<'c> Tried<'c> {
    fn new(written: &'c [RuleConfig], at: &'c str, problems: &mut Problems) -> Self {
        let placed = written.iter().enumerate().map(|(i, rule)| Placed {
            rule,
            place: format!("{at}[{i}]"),
            fallback: false,
        });
        let placed: Vec<Placed<'_>> = placed.collect();
        Self {
            written,
            at,
            rules: Rules::compile(&placed, problems),
        }
    }

    fn validate(&self, problems: &mut Problems) {
        for (i, rule) in self.written.iter().enumerate() {
            let own = format!("{}[{i}]", self.at);
            for (j, example) in rule.examples.iter().enumerate() {
                self.validate_example(rule, (&own, j), example, problems);
            }
            for (j, example) in rule.not.iter().enumerate() {
                if self.takers(rule, example).contains(&own) {
                    problems.add(
                        format!("{own}.not[{j}]"),
                        "is taken by the rule",
                        "make the rule narrower, or remove the example",
                    );
                }
            }
        }
    }

    /// A rule before that takes the same reply would make this one dead.
    fn validate_example(
        &self,
        rule: &RuleConfig,
        (own, j): (&str, usize),
        example: &str,
        problems: &mut Problems,
    ) {
        let takers = self.takers(rule, example);
        let at = format!("{own}.examples[{j}]");
        if !takers.iter().any(|place| place == own) {
            let seen = Seen::read(example, "", None);
            problems.add(
                at,
                format!(
                    "is not taken by the rule, which sees the text \"{}\"",
                    seen.text
                ),
                "mend the rule or the example",
            );
        } else if let Some(first) = takers.first().filter(|place| *place != own) {
            problems.add(
                at,
                format!("is taken by {first} before, and only the first rule that fits counts"),
                "put this rule before that one, or make that one narrower",
            );
        }
    }

    /// The places of the rules that take an example, said by the provider and to the command that the rule is about.
    fn takers(&self, rule: &RuleConfig, example: &str) -> Vec<String> {
        let command = rule.command.as_deref().unwrap_or_default();
        let seen = Seen::read(example, command, rule.provider.as_deref());
        let takers = self.rules.all(&seen);
        takers.map(|rule| rule.place.to_string()).collect()
    }
}

//! What is wrong with the operator's providers and rules. Every example is tried.

use super::config::{ProviderConfig, RuleConfig, Scope};
use super::merge::{self, Shipped};
use super::{OTHER, rules, text};
use crate::problem::Problems;
use regex::bytes::Regex;
use std::collections::HashSet;

/// Notes what is wrong with `[[provider]]` and `[[rule]]`: with their keys, with each pattern and each example, and with
/// hosts that two providers want.
pub fn validate(providers: &[ProviderConfig], rules: &[RuleConfig], problems: &mut Problems) {
    for (i, provider) in providers.iter().enumerate() {
        let at = format!("provider[{i}]");
        provider.validate(&at, problems);
        validate_rules(&provider.rule, &format!("{at}.rule"), problems);
        validate_reach(provider, &at, problems);
    }
    validate_rules(rules, "rule", problems);
    if !providers.is_empty() {
        validate_together(providers, problems);
    }
}

/// What one entry cannot know alone.
fn validate_together(providers: &[ProviderConfig], problems: &mut Problems) {
    let shipped = Shipped::read(problems);
    let known: HashSet<&str> = shipped.provider.iter().map(|p| p.name.as_str()).collect();
    let mut own = HashSet::new();
    for (i, provider) in providers.iter().enumerate() {
        let name = provider.name.as_str();
        if !own.insert(name) {
            problems.add(
                format!("provider[{i}].name"),
                format!("\"{name}\" is the name of an earlier entry"),
                "write one entry for each provider",
            );
        } else if provider.mx.is_empty() && name != OTHER && !known.contains(name) {
            problems.add(
                format!("provider[{i}].mx"),
                format!("is missing, and \"{name}\" is none of the shipped providers, so no host would be its"),
                "write the ends of its MX hosts' names, such as [\".example.net\"]",
            );
        }
    }
    let _owners = merge::hosts(&merge::merge(&shipped, providers), problems);
}

/// Whoever is not recognised is not one provider to keep away from.
fn validate_reach(provider: &ProviderConfig, at: &str, problems: &mut Problems) {
    for (i, rule) in provider.rule.iter().enumerate() {
        if provider.name == OTHER && rule.at == Some(Scope::Provider) {
            problems.add(
                format!("{at}.rule[{i}].at"),
                "is \"provider\", and \"other\" is not one provider",
                "write at = \"site\"",
            );
        }
    }
}

/// Checks rules that are asked one after the other; `at` is the key of their list.
pub(super) fn validate_rules(rules: &[RuleConfig], at: &str, problems: &mut Problems) {
    let mut patterns = Vec::with_capacity(rules.len());
    for (i, rule) in rules.iter().enumerate() {
        let at = format!("{at}[{i}]");
        rule.validate(&at, problems);
        patterns.push(match rules::pattern(&rule.reply) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                rules::note_fault(&at, &error, problems);
                None
            }
        });
    }
    let list = List { at, patterns };
    for (i, rule) in rules.iter().enumerate() {
        list.validate_matches(i, rule, problems);
        list.validate_spares(i, rule, problems);
    }
}

/// The patterns of a list of rules; `None` where one cannot be used.
struct List<'k> {
    at: &'k str,
    patterns: Vec<Option<Regex>>,
}

impl List<'_> {
    fn validate_matches(&self, i: usize, rule: &RuleConfig, problems: &mut Problems) {
        let at = format!("{}[{i}].matches", self.at);
        if rule.matches.is_empty() {
            problems.add(
                at.as_str(),
                "has no example, so nobody knows whether the pattern is alive",
                "add a reply that it must match, such as \"421 4.7.0 try again later\"",
            );
        }
        for (j, example) in rule.matches.iter().enumerate() {
            let at = format!("{at}[{j}]");
            let Some(text) = refusal(example, &at, problems) else {
                continue;
            };
            match self.finds(i, &text) {
                Some(true) => self.validate_reached(i, &text, &at, problems),
                Some(false) => problems.add(
                    at,
                    format!("is not matched by the pattern, which sees \"{text}\""),
                    "mend reply or the example",
                ),
                // The pattern has been told.
                None => {}
            }
        }
    }

    /// A rule before that takes the same reply would make this one dead.
    fn validate_reached(&self, i: usize, text: &str, at: &str, problems: &mut Problems) {
        if let Some(first) = (0..i).find(|before| self.finds(*before, text) == Some(true)) {
            problems.add(
                at,
                format!(
                    "is matched by {}[{first}] before, and only the first rule that matches counts",
                    self.at
                ),
                "put this rule before that one, or make that pattern narrower",
            );
        }
    }

    fn validate_spares(&self, i: usize, rule: &RuleConfig, problems: &mut Problems) {
        let at = format!("{}[{i}].spares", self.at);
        if rule.spares.is_empty() {
            problems.add(
                at.as_str(),
                "has no example, so nobody knows how far the pattern reaches",
                "add a reply that it must not match: one that comes close",
            );
        }
        for (j, example) in rule.spares.iter().enumerate() {
            let at = format!("{at}[{j}]");
            let Some(text) = refusal(example, &at, problems) else {
                continue;
            };
            if self.finds(i, &text) == Some(true) {
                problems.add(
                    at,
                    "is matched by the pattern",
                    "make reply narrower, or remove the example",
                );
            }
        }
    }

    fn finds(&self, i: usize, text: &str) -> Option<bool> {
        let pattern = self.patterns.get(i)?.as_ref()?;
        Some(pattern.is_match(text.as_bytes()))
    }
}

/// The example as a pattern sees it. Notes where it is none that a rule would be asked about.
fn refusal(example: &str, at: &str, problems: &mut Problems) -> Option<String> {
    let reply = text::read(example);
    if let Some(reply) = reply.as_ref().filter(|reply| reply.code >= 400) {
        return Some(text::of(reply));
    }
    let (message, remedy) = match reply {
        Some(_) => (
            "is no refusal, and rules are asked about those only",
            "write a reply that begins with 4 or 5",
        ),
        None => (
            "is no reply",
            "begin with the code, such as \"421 4.7.0 try again later\"",
        ),
    };
    problems.add(at, message, remedy);
    None
}

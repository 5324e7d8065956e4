//! The shipped providers, and what the operator makes of them.

use super::config::{ProviderConfig, RuleConfig};
use super::hosts::{Hosts, Suffix};
use crate::policy::limits;
use crate::problem::Problems;
use serde::Deserialize;

/// `config/providers.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shipped {
    pub provider: Vec<ProviderConfig>,
    pub rule: Vec<RuleConfig>,
}

const TEXT: &str = include_str!("../../../config/providers.toml");
/// How it is called where something in it is named.
const FILE: &str = "config/providers.toml";

impl Shipped {
    /// A file that cannot be read is a fault of the build, and noted like one of the operator's.
    pub fn read(problems: &mut Problems) -> Self {
        toml::from_str(TEXT).unwrap_or_else(|error| {
            problems.add(
                FILE,
                format!("{error}"),
                "this build is broken: use another",
            );
            Self::default()
        })
    }
}

/// A rule, and the key or the words that say where it is written.
#[derive(Debug)]
pub struct Placed<'c> {
    pub rule: &'c RuleConfig,
    pub place: String,
}

/// One provider, put together. The rules of `config` are in `rules`.
#[derive(Debug)]
pub struct Entry<'c> {
    pub config: ProviderConfig,
    pub rules: Vec<Placed<'c>>,
    /// The operator's entry that its hosts come from; `None` where they are the shipped ones.
    hosts_from: Option<usize>,
}

/// Every shipped and configured provider once.
pub fn merge<'c>(shipped: &'c Shipped, configured: &'c [ProviderConfig]) -> Vec<Entry<'c>> {
    let mut entries: Vec<Entry<'c>> = shipped.provider.iter().map(Entry::shipped).collect();
    for (i, own) in configured.iter().enumerate() {
        match entries.iter_mut().find(|e| e.config.name == own.name) {
            Some(entry) => entry.change(i, own),
            None => entries.push(Entry::added(i, own)),
        }
    }
    entries
}

/// The rules for all providers: the operator's, then the shipped ones.
pub fn generic<'c>(shipped: &'c Shipped, configured: &'c [RuleConfig]) -> Vec<Placed<'c>> {
    let mut rules = placed(configured, |i| format!("rule[{i}]"));
    rules.extend(placed(&shipped.rule, |i| format!("{FILE}: rule {}", i + 1)));
    rules
}

/// Which entry has which hosts. Notes what two of them want.
pub fn hosts(entries: &[Entry<'_>], problems: &mut Problems) -> Hosts<usize> {
    let mut hosts = Hosts::default();
    // Shipped ones first: where an operator's entry wants the same, that is the one to change.
    let mut order: Vec<(usize, &Entry<'_>)> = entries.iter().enumerate().collect();
    order.sort_by_key(|(_, entry)| entry.hosts_from);
    for (i, entry) in order {
        for (j, text) in entry.config.mx.iter().enumerate() {
            // What is no suffix has been told with the entry's other mistakes.
            let taken = Suffix::parse(text).and_then(|end| hosts.claim(end, i).copied());
            let owner = taken
                .filter(|owner| *owner != i)
                .and_then(|o| entries.get(o));
            if let Some(owner) = owner {
                let name = &owner.config.name;
                problems.add(
                    entry.hosts_key(j),
                    format!("\"{text}\" is of the provider \"{name}\" too"),
                    format!("leave it to one of them; [[provider]] name = \"{name}\" with an mx of its own changes the other"),
                );
            }
        }
    }
    hosts
}

impl<'c> Entry<'c> {
    /// Nothing but a name.
    pub fn bare(name: &str) -> Self {
        let config = ProviderConfig::bare(name);
        Self {
            config,
            rules: Vec::new(),
            hosts_from: None,
        }
    }

    fn shipped(config: &'c ProviderConfig) -> Self {
        let place = |i: usize| format!("{FILE}: {}, rule {}", config.name, i + 1);
        Self {
            rules: placed(&config.rule, place),
            config: without_rules(config),
            hosts_from: None,
        }
    }

    fn added(i: usize, own: &'c ProviderConfig) -> Self {
        Self {
            rules: placed(&own.rule, |j| rule_key(i, j)),
            config: without_rules(own),
            hosts_from: Some(i),
        }
    }

    /// Takes over the keys that the operator's entry has.
    fn change(&mut self, i: usize, own: &'c ProviderConfig) {
        let config = &mut self.config;
        if !own.mx.is_empty() {
            config.mx.clone_from(&own.mx);
            self.hosts_from = Some(i);
        }
        config.limits = overlaid(&config.limits, &own.limits);
        config.messages_per_connection = own
            .messages_per_connection
            .or(config.messages_per_connection);
        config.recipients_per_transaction = own
            .recipients_per_transaction
            .or(config.recipients_per_transaction);
        config.tls = own.tls.or(config.tls);
        config.feedback_loop = own.feedback_loop.or(config.feedback_loop);
        if !own.send_window.is_empty() {
            config.send_window.clone_from(&own.send_window);
        }
        let mut rules = placed(&own.rule, |j| rule_key(i, j));
        if own.shipped_rules {
            rules.append(&mut self.rules);
        }
        self.rules = rules;
    }

    fn hosts_key(&self, j: usize) -> String {
        match self.hosts_from {
            Some(i) => format!("provider[{i}].mx[{j}]"),
            None => format!("{FILE}: {}, mx", self.config.name),
        }
    }
}

fn rule_key(provider: usize, rule: usize) -> String {
    format!("provider[{provider}].rule[{rule}]")
}

fn placed(rules: &[RuleConfig], place: impl Fn(usize) -> String) -> Vec<Placed<'_>> {
    let numbered = rules.iter().enumerate();
    let place = |(i, rule)| Placed {
        rule,
        place: place(i),
    };
    numbered.map(place).collect()
}

fn without_rules(config: &ProviderConfig) -> ProviderConfig {
    ProviderConfig {
        rule: Vec::new(),
        ..config.clone()
    }
}

/// `base` with what `over` says: a limit that it does not name stays.
fn overlaid(base: &limits::Config, over: &limits::Config) -> limits::Config {
    limits::Config {
        messages: match over.messages.is_empty() {
            true => base.messages.clone(),
            false => over.messages.clone(),
        },
        connections: over.connections.or(base.connections),
        connection_rate: over.connection_rate.or(base.connection_rate),
        bytes: over.bytes.or(base.bytes),
    }
}

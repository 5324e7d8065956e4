//! `[[provider]]` and `[[rule]]` as written.

use super::OTHER;
use super::hosts::Suffix;
use crate::policy::limits;
use crate::policy::window::SendWindows;
use crate::problem::Problems;
use crate::tls::client::Policy;
use crate::units::Span;
use serde::{Deserialize, Serialize};

/// `[[provider]]`: who has the mailboxes behind some MX hosts, and what they want. `config/providers.toml` has the ones
/// that are known anyway; an entry with the name of one of those changes it key by key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// Its name in events, limits and warm-up. "other" stands for everyone whom no entry recognises.
    pub name: String,
    /// Its MX hosts: ".example.net" is example.net and every host below it. A domain is the provider's where every one
    /// of its MX hosts is; the longer of two endings that fit counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mx: Vec<String>,
    /// What one source may do at this provider, all its sites together. "other" has none: `[limits.site]` counts each
    /// site by itself.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: limits::Config,
    /// A connection is closed after this many messages, where `[delivery]` does not close it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_per_connection: Option<u32>,
    /// Most recipients of one message in one transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients_per_transaction: Option<u16>,
    /// TLS that the provider demands. A `[[route]]` of the domain counts more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Policy>,
    /// At which hours mail goes there, such as "08:00-22:00 Europe/Berlin".
    #[serde(default, skip_serializing_if = "SendWindows::is_empty")]
    pub send_window: SendWindows,
    /// It tells senders of complaints: only then are complaints divided by what was delivered to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback_loop: Option<bool>,
    /// false leaves out the rules that are shipped for this provider.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub shipped_rules: bool,
    /// What its refusals mean. The first rule that matches counts; these are asked before the shipped ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rule: Vec<RuleConfig>,
}

/// `[[provider.rule]]`, and `[[rule]]` for the replies of any provider: what follows from a refusal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// A regular expression that is looked for in "CODE ENHANCED TEXT", upper case or lower. Lines of a reply are joined
    /// and runs of blanks become one, so that it does not matter where the server breaks its lines. Without an enhanced
    /// code the text follows the code.
    pub reply: String,
    /// What such a reply means, in a few words: told where mail waits for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The window of the source at this site shrinks.
    #[serde(default, skip_serializing_if = "is_default")]
    pub slow_down: bool,
    /// Keep the source from it for this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<Span>,
    /// What it is kept from: this "site", which is meant where nothing is said, or every site of the "provider".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Scope>,
    /// Close this connection and go on over a new one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fresh_connection: bool,
    /// What it is whatever its code says: "soft", to be tried again later, or "hard", because the address is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub treat_as: Option<TreatAs>,
    /// The source is refused for its reputation: its warm-up here pauses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reputation: bool,
    /// Tell the operator.
    #[serde(default, skip_serializing_if = "is_default")]
    pub notify: bool,
    /// Nothing follows but what the code says: such a reply reaches no later rule.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ignore: bool,
    /// Replies that it must match, at least one.
    #[serde(default)]
    pub matches: Vec<String>,
    /// Replies that it must not match, at least one: the closer they come, the better.
    #[serde(default)]
    pub spares: Vec<String>,
}

/// How far a suspension reaches.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The MX hosts that said it.
    #[default]
    Site,
    /// Every site of the provider.
    Provider,
}

/// What a refusal counts as, whatever its code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TreatAs {
    /// Worth another attempt.
    Soft,
    /// The address is bad: no further attempt.
    Hard,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

impl ProviderConfig {
    /// A provider of which nothing but the name is known.
    pub fn bare(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            mx: Vec::new(),
            limits: limits::Config::default(),
            messages_per_connection: None,
            recipients_per_transaction: None,
            tls: None,
            send_window: SendWindows::default(),
            feedback_loop: None,
            shipped_rules: true,
            rule: Vec::new(),
        }
    }

    /// Everything but its rules, and what depends on other entries.
    pub(super) fn validate(&self, at: &str, problems: &mut Problems) {
        if !is_name(&self.name) {
            problems.add(
                format!("{at}.name"),
                format!("\"{}\" is not a name", self.name),
                "write up to 64 letters, digits, \"-\", \"_\" and \".\"",
            );
        }
        self.validate_hosts(at, problems);
        self.limits.validate(&format!("{at}.limits"), problems);
        let counts = [
            ("messages_per_connection", self.messages_per_connection),
            (
                "recipients_per_transaction",
                self.recipients_per_transaction.map(u32::from),
            ),
        ];
        for (key, _) in counts.into_iter().filter(|(_, n)| *n == Some(0)) {
            problems.add(
                format!("{at}.{key}"),
                "is 0, so no mail would leave",
                "write 1 or more, or leave the key out",
            );
        }
    }

    /// Who it is, and that "other" is nobody in particular.
    fn validate_hosts(&self, at: &str, problems: &mut Problems) {
        if self.name == OTHER && !self.mx.is_empty() {
            problems.add(
                format!("{at}.mx"),
                "\"other\" is everyone whom no entry recognises, so it has no hosts",
                "remove mx, or give the entry a name of its own",
            );
        }
        if self.name == OTHER && self.limits != limits::Config::default() {
            problems.add(
                format!("{at}.limits"),
                "would count mail to everyone whom no entry recognises together",
                "write [limits.site], which counts each site by itself",
            );
        }
        for (i, text) in self.mx.iter().enumerate() {
            if Suffix::parse(text).is_none() {
                problems.add(
                    format!("{at}.mx[{i}]"),
                    format!("\"{text}\" matches no host name"),
                    "write the end of its MX hosts' names, such as \".example.net\" (A-labels, no wildcard)",
                );
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

impl RuleConfig {
    /// Everything but its pattern and its examples.
    pub(super) fn validate(&self, at: &str, problems: &mut Problems) {
        if self.suspend.is_some_and(|span| span.0.is_zero()) {
            problems.add(
                format!("{at}.suspend"),
                "is 0, so nothing would wait",
                "write how long the source stays away, such as \"2h\"",
            );
        }
        if self.at.is_some() && self.suspend.is_none() {
            problems.add(
                format!("{at}.at"),
                "says where, and suspend does not say for how long",
                "add suspend = \"2h\", or remove at",
            );
        }
        if self.ignore && self.acts() {
            problems.add(
                format!("{at}.ignore"),
                "stands beside what follows from the reply",
                "remove one or the other",
            );
        }
        if !self.ignore && !self.acts() {
            problems.add(
                at,
                "does nothing",
                "add slow_down, suspend, fresh_connection, treat_as, reputation or notify; or ignore = true",
            );
        }
    }

    fn acts(&self) -> bool {
        self.suspend.is_some()
            || self.treat_as.is_some()
            || self.slow_down
            || self.fresh_connection
            || self.reputation
            || self.notify
    }
}

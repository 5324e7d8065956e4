//! `[[bounce_rule]]` as written.

use super::matcher::{Codes, Enhanced};
use crate::mail::{BounceClass, Finding, Subject};
use crate::problem::Problems;
use serde::{Deserialize, Serialize};

/// `[[bounce_rule]]`: what a refusal means. Every condition that is given must hold; the first rule that fits counts.
/// `config/bounce-rules.toml` has those that are asked behind the operator's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Its name in reports.
    pub name: String,
    /// Who has the mailbox: the name of a provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Reply codes, one of which it is: "550", "55x", "5xx".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// Enhanced codes, one of which it is: "5.1.1", "*.2.2", "5.7.606-649", "4.7.*".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enhanced: Vec<String>,
    /// What the reply answers: "connect", "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA" or "." for the end of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Regular expressions, one of which is found in the text, upper case or lower. The text is one line without its
    /// codes; every address in it is "@", and of a URL its host is left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub text: Vec<String>,
    /// What kind of failure it is. "hard" says that the address or its domain is bad; for a 4xx reply it is soft.
    pub class: BounceClass,
    /// Whose failure it is. Without it the usual one of the class. Only a hard failure of a "recipient" may suppress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// What to do about it, for reports.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// Replies that it must take, at least one, such as "550 5.1.1 no such user".
    #[serde(default)]
    pub examples: Vec<String>,
    /// Replies that it must not take; at least one where there is `text`. The closer they come, the better.
    #[serde(default)]
    pub not: Vec<String>,
}

impl RuleConfig {
    /// What is found of a refusal that fits.
    pub fn finding(&self) -> Finding {
        Finding {
            class: self.class,
            subject: self.subject.or(self.class.subject()),
        }
    }

    /// Everything but its expressions and its examples.
    pub(super) fn validate(&self, at: &str, problems: &mut Problems) {
        if self.name.trim().is_empty() {
            problems.add(
                format!("{at}.name"),
                "is empty",
                "write what reports call it",
            );
        }
        self.validate_codes(at, problems);
        if !self.has_condition() {
            problems.add(
                at,
                "would take every reply",
                "add text, enhanced, codes or command",
            );
        }
        if matches!(self.class, BounceClass::Dropped) {
            problems.add(
                format!("{at}.class"),
                "is \"dropped\", which is the operator's doing and nothing a server says",
                "write hard, soft, block, policy, throttled, network, config, expired, autoreply, suppressed or unknown",
            );
        }
    }

    fn validate_codes(&self, at: &str, problems: &mut Problems) {
        for (i, code) in self.codes.iter().enumerate() {
            if Codes::parse(code).is_none() {
                problems.add(
                    format!("{at}.codes[{i}]"),
                    format!("\"{code}\" is no code of a refusal"),
                    "write a code such as \"550\", or \"55x\" or \"5xx\" for all that begin so",
                );
            }
        }
        for (i, code) in self.enhanced.iter().enumerate() {
            if Enhanced::parse(code).is_none() {
                problems.add(
                    format!("{at}.enhanced[{i}]"),
                    format!("\"{code}\" is no enhanced code"),
                    "write one such as \"5.1.1\"; \"*\" is any number, \"606-649\" a range of details",
                );
            }
        }
    }

    fn has_condition(&self) -> bool {
        !self.codes.is_empty()
            || !self.enhanced.is_empty()
            || !self.text.is_empty()
            || self.command.is_some()
    }
}

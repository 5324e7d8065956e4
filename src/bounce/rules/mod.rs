//! Rules that say what a refusal means: patterns of replies, by provider, each with a class and a subject.
//!
//! `config/bounce-rules.toml` is compiled in; the operator's `[[bounce_rule]]` come before it. The first rule of which
//! every condition holds counts. Its order is what keeps addresses safe: what is said of us, of the sender and of the
//! message is looked for before what is said of the recipient.

mod check;
mod config;
mod matcher;
mod seen;
mod shipped;

pub use check::validate;
pub use config::RuleConfig;
pub use matcher::Rule;
pub use seen::Seen;
pub(in crate::bounce) use seen::masked;

use crate::mail::{BounceClass, EnhancedCode, Finding, Reply, Subject};
use crate::problem::Problems;
use matcher::Rules;
use shipped::Shipped;

/// What was said when mail was refused, live or in a notice.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said<'a> {
    /// Where it is `None`, one at the start of the text counts.
    pub code: Option<u16>,
    /// Where it is `None` or says nothing (`5.0.0`), one in the text counts.
    pub enhanced: Option<EnhancedCode>,
    pub text: &'a str,
    /// What we had said; empty where it is not known.
    pub command: &'a str,
    /// Who has the mailbox, where that is known.
    pub provider: Option<&'a str>,
}

/// All rules, shipped and the operator's. Made once a configuration.
#[derive(Debug, Default)]
pub struct Classifier {
    rules: Rules,
}

/// What a rule makes of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ruling<'c> {
    pub finding: Finding,
    /// The rule that took it. `None`: nobody knows such a reply.
    pub rule: Option<&'c Rule>,
}

impl Classifier {
    /// The shipped rules.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new() -> Result<Self, Problems> {
        Self::with(&[])
    }

    /// The operator's rules, then the shipped ones.
    ///
    /// # Errors
    /// What keeps them from being used. [`validate`] finds more: it tries the examples too.
    pub fn with(own: &[RuleConfig]) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let shipped = Shipped::read(&mut problems);
        let rules = Rules::compile(&shipped.placed(own), &mut problems);
        match problems.is_empty() {
            true => Ok(Self { rules }),
            false => Err(problems),
        }
    }

    /// What a refusal means, whether for now or for good.
    pub fn judge(&self, said: &Said<'_>) -> Finding {
        self.ruling(&Seen::of(said)).finding
    }

    /// As [`Classifier::judge`], with the rule that says so.
    pub fn ruling(&self, seen: &Seen<'_>) -> Ruling<'_> {
        let rule = self.rules.first(seen);
        let finding = rule.map_or(BounceClass::Unknown.into(), |rule| rule.finding);
        Ruling {
            finding: match seen.is_temporary() {
                true => softened(finding),
                false => finding,
            },
            rule,
        }
    }
}

impl Ruling<'_> {
    /// A rule knows such a reply, by more than its code and what it answers.
    pub fn is_matched(&self) -> bool {
        self.rule.is_some_and(|rule| !rule.fallback)
    }
}

impl<'a> Said<'a> {
    /// A reply, and who has the mailbox.
    pub fn of(reply: &'a Reply, provider: Option<&'a str>) -> Self {
        Self {
            code: Some(reply.code),
            enhanced: reply.enhanced,
            text: &reply.text,
            command: &reply.command,
            provider,
        }
    }
}

/// What is to be tried again condemns nobody.
pub fn softened(finding: Finding) -> Finding {
    match finding.class {
        BounceClass::Hard => Finding {
            class: match finding.subject {
                Some(Subject::RecipientDomain) => BounceClass::Network,
                _ => BounceClass::Soft,
            },
            ..finding
        },
        _ => finding,
    }
}

#[cfg(test)]
mod tests;

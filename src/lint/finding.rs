//! What is found, and how bad that is.

use super::facts::Facts;
use super::rule::Rule;
use crate::mail::Stream;
use serde::{Deserialize, Serialize};

/// How bad a finding is; the worst is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth knowing.
    Info,
    /// We put it right ourselves before the message is signed.
    Fix,
    /// It goes, and some provider may take it badly.
    Warn,
    /// It would be refused; better here than there.
    Block,
}

impl Level {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Fix => "fix",
            Self::Warn => "warn",
            Self::Block => "block",
        }
    }
}

/// One rule that a message does not keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The family of the rule: `L14`.
    pub id: &'static str,
    pub level: Level,
    /// Its name: `one-click-missing`.
    pub rule: &'static str,
    /// Who asks for it, by the names of `[[provider]]`; empty: everybody.
    pub provider: &'static [&'static str],
    /// What of this message does not keep it; printable, at most [`LONGEST`] octets.
    pub evidence: String,
    /// What to do about it.
    pub fix: &'static str,
    /// Where the rule comes from.
    pub reference: &'static str,
}

/// Whether the message would be refused for them.
pub fn blocks(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.level == Level::Block)
}

/// Findings of a message that are told.
pub const MOST: usize = 100;
/// Octets of a piece of evidence.
pub const LONGEST: usize = 300;

/// The findings so far.
pub(super) struct Found {
    findings: Vec<Finding>,
    is_marketing: bool,
    /// Somebody counts its sender among those who send in bulk.
    is_bulk: bool,
}

impl Found {
    pub fn new(facts: &Facts) -> Self {
        Self {
            findings: Vec::new(),
            is_marketing: facts.stream.unwrap_or_default() == Stream::Marketing,
            is_bulk: facts.bulk().is_some(),
        }
    }

    /// Notes that `rule` is not kept, at its own level.
    pub fn add(&mut self, rule: &'static Rule, evidence: impl AsRef<str>) {
        let level = match self.is_bulk && rule.blocks_bulk {
            true => Level::Block,
            false => rule.level,
        };
        self.add_at(level, rule, evidence);
    }

    /// As [`Found::add`] where the facts say how bad it is.
    pub fn add_at(&mut self, level: Level, rule: &'static Rule, evidence: impl AsRef<str>) {
        if self.findings.len() >= MOST || (rule.marketing_only && !self.is_marketing) {
            return;
        }
        self.findings.push(Finding {
            id: rule.id,
            level,
            rule: rule.name,
            provider: rule.provider,
            evidence: printable(evidence.as_ref()),
            fix: rule.fix,
            reference: rule.reference,
        });
    }

    pub fn sorted(mut self) -> Vec<Finding> {
        // Stable: findings of one rule stay in the order of the message.
        self.findings
            .sort_by_key(|finding| (std::cmp::Reverse(finding.level), finding.id));
        self.findings
    }
}

/// Evidence comes from outside and goes into replies, fields and terminals.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LONGEST));
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if out.len() + c.len_utf8() > LONGEST - ELLIPSIS.len() {
            out.push_str(ELLIPSIS);
            break;
        }
        out.push(c);
    }
    out
}

const ELLIPSIS: &str = "…";

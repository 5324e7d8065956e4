//! Rules as they are asked.

use super::config::{RuleConfig, Scope, TreatAs};
use super::merge::Placed;
use crate::problem::Problems;
use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use std::fmt;
use std::time::Duration;

/// What follows from a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Where it is written: `provider[0].rule[1]`, or `config/providers.toml: google, rule 2`.
    pub place: Box<str>,
    /// What such a reply means; empty where the rule does not say.
    pub why: Box<str>,
    /// The window of the source at this site shrinks.
    pub slow_down: bool,
    /// The source is kept away for a time.
    pub suspend: Option<Suspend>,
    /// This connection is closed, and the rest goes over a new one.
    pub fresh_connection: bool,
    /// What the refusal counts as, whatever its code says.
    pub treat_as: Option<TreatAs>,
    /// A refusal for the source's reputation: its warm-up here pauses.
    pub reputation: bool,
    /// The operator is told.
    pub notify: bool,
}

/// What it means, and where it is written.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = if self.why.is_empty() {
            "a reply asks for it"
        } else {
            &*self.why
        };
        write!(f, "{meaning} (rule {})", self.place)
    }
}

/// For how long a source is kept away, and from what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspend {
    pub span: Duration,
    pub at: Scope,
}

/// Rules in the order in which they are asked. One pass over a reply finds all that match; the time is linear in its
/// length whatever the patterns are.
#[derive(Debug)]
pub struct Rules {
    set: RegexSet,
    rules: Vec<Rule>,
}

/// Memory that one compiled pattern may take, in octets.
const MOST_MEMORY: usize = 256 << 10;

/// A pattern by itself.
///
/// # Errors
/// Where it is no regular expression, or takes too much memory.
pub fn pattern(text: &str) -> Result<Regex, regex::Error> {
    // Replies are ASCII with few exceptions, and classes of octets make small and fast automata.
    RegexBuilder::new(text)
        .case_insensitive(true)
        .unicode(false)
        .size_limit(MOST_MEMORY)
        .build()
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            set: RegexSet::empty(),
            rules: Vec::new(),
        }
    }
}

impl Rules {
    /// Notes patterns that cannot be used, and goes without any rule then.
    pub fn compile(written: &[Placed<'_>], problems: &mut Problems) -> Self {
        let set = RegexSetBuilder::new(written.iter().map(|placed| &placed.rule.reply))
            .case_insensitive(true)
            .unicode(false)
            .size_limit(MOST_MEMORY.saturating_mul(written.len().max(1)))
            .build();
        match set {
            Ok(set) => Self {
                set,
                rules: written.iter().map(Rule::from).collect(),
            },
            Err(error) => {
                note_faults(written, &error, problems);
                Self::default()
            }
        }
    }

    /// The first rule whose pattern is found in `text`, a reply as [`super::text::of`] writes it.
    pub fn first(&self, text: &str) -> Option<&Rule> {
        let first = self.set.matches(text.as_bytes()).into_iter().next()?;
        self.rules.get(first)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// The same rules, none of which reaches further than a site.
    pub fn narrowed(&self) -> Self {
        let narrow = |rule: &Rule| Rule {
            suspend: rule.suspend.map(|suspend| Suspend {
                at: Scope::Site,
                ..suspend
            }),
            ..rule.clone()
        };
        Self {
            set: self.set.clone(),
            rules: self.rules.iter().map(narrow).collect(),
        }
    }
}

impl From<&Placed<'_>> for Rule {
    fn from(written: &Placed<'_>) -> Self {
        let RuleConfig {
            suspend, at, why, ..
        } = written.rule;
        Self {
            place: written.place.as_str().into(),
            why: why.as_str().into(),
            slow_down: written.rule.slow_down,
            suspend: suspend.map(|span| Suspend {
                span: span.0,
                at: at.unwrap_or_default(),
            }),
            fresh_connection: written.rule.fresh_connection,
            treat_as: written.rule.treat_as,
            reputation: written.rule.reputation,
            notify: written.rule.notify,
        }
    }
}

/// The set does not say which of its patterns is at fault.
fn note_faults(written: &[Placed<'_>], of_the_set: &regex::Error, problems: &mut Problems) {
    let before = problems.0.len();
    for placed in written {
        if let Err(error) = pattern(&placed.rule.reply) {
            note_fault(&placed.place, &error, problems);
        }
    }
    // Each is small enough and all together are not.
    if let Some(first) = written.first().filter(|_| problems.0.len() == before) {
        note_fault(&first.place, of_the_set, problems);
    }
}

/// Notes that the pattern of the rule at `at` cannot be used.
pub fn note_fault(at: &str, error: &regex::Error, problems: &mut Problems) {
    let message = match error {
        regex::Error::CompiledTooBig(_) => {
            "takes too much memory as a regular expression".to_owned()
        }
        error => format!("is not a regular expression: {error}"),
    };
    problems.add(
        format!("{at}.reply"),
        message,
        "see https://docs.rs/regex/latest/regex/#syntax; write it in 'single quotes', where a backslash stays one",
    );
}

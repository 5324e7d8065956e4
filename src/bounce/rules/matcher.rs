//! Rules as they are asked.

use super::config::RuleConfig;
use super::seen::Seen;
use crate::mail::{EnhancedCode, Finding};
use crate::problem::Problems;
use regex::bytes::{RegexSet, RegexSetBuilder};
use std::ops::RangeInclusive;

/// What a refusal means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub name: Box<str>,
    /// Where it is written: `bounce_rule[0]`, or `config/bounce-rules.toml: unknown-user`.
    pub place: Box<str>,
    pub finding: Finding,
    /// What to do about it; may be empty.
    pub help: Box<str>,
    /// Nothing but the code was recognised.
    pub fallback: bool,
}

/// A rule as written, and the words that say where.
#[derive(Debug)]
pub struct Placed<'c> {
    pub rule: &'c RuleConfig,
    pub place: String,
    pub fallback: bool,
}

/// Rules in the order in which they are asked, a group at a time.
///
/// One pass over a text finds every expression of a group in it; the time is linear in the length of the text whatever
/// the expressions are. All in one pass would be faster still for texts that were seen before, but its automaton grows
/// with the product of what is looked for: tens of megabytes, and a millisecond for each new wording.
#[derive(Debug, Default)]
pub struct Rules(Vec<Group>);

#[derive(Debug)]
struct Group {
    texts: RegexSet,
    rules: Vec<(Conditions, Rule)>,
}

/// What must hold beside each other. The position of the texts is that in [`Group::texts`].
#[derive(Debug, Default)]
pub struct Conditions {
    provider: Option<Box<str>>,
    codes: Vec<Codes>,
    enhanced: Vec<Enhanced>,
    command: Option<Box<str>>,
    text: Option<usize>,
}

/// Reply codes: one, or all that begin alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes(RangeInclusive<u16>);

/// Enhanced codes. `None` is any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enhanced {
    class: Option<u8>,
    subject: Option<u16>,
    details: Option<RangeInclusive<u16>>,
}

/// Memory that the expressions of one rule may take, in octets.
const MOST_MEMORY: usize = 1 << 20;
/// Rules of a group: 1.5 µs a reply of a known wording, 230 µs for one that is met for the first time.
const GROUP: usize = 8;

impl Rules {
    /// Notes expressions that cannot be used, and goes without any rule then.
    pub fn compile(written: &[Placed<'_>], problems: &mut Problems) -> Self {
        let groups: Result<_, _> = written.chunks(GROUP).map(Group::compile).collect();
        match groups {
            Ok(groups) => Self(groups),
            Err(error) => {
                note_faults(written, &error, problems);
                Self::default()
            }
        }
    }

    /// The first rule of which every condition holds.
    pub fn first(&self, seen: &Seen<'_>) -> Option<&Rule> {
        self.all(seen).next()
    }

    /// Every rule of which every condition holds, in the order in which they are asked.
    pub fn all(&self, seen: &Seen<'_>) -> impl Iterator<Item = &Rule> {
        self.0.iter().flat_map(move |group| group.fitting(seen))
    }
}

impl Group {
    fn compile(written: &[Placed<'_>]) -> Result<Self, regex::Error> {
        let with_text = written.iter().filter(|placed| !placed.rule.text.is_empty());
        let texts = set(with_text.map(|placed| joined(&placed.rule.text)))?;
        let mut next = 0..;
        let rules = written.iter().map(|placed| {
            let has_text = !placed.rule.text.is_empty();
            let text = has_text.then(|| next.next()).flatten();
            (Conditions::new(placed.rule, text), Rule::from(placed))
        });
        Ok(Self {
            rules: rules.collect(),
            texts,
        })
    }

    fn fitting(&self, seen: &Seen<'_>) -> impl Iterator<Item = &Rule> {
        let found = self.texts.matches(seen.text.as_bytes());
        let rules = self.rules.iter();
        let fitting = rules.filter(move |(conditions, _)| {
            let text = conditions.text;
            text.is_none_or(|at| found.matched(at)) && conditions.hold(seen)
        });
        fitting.map(|(_, rule)| rule)
    }
}

impl Conditions {
    fn new(written: &RuleConfig, text: Option<usize>) -> Self {
        Self {
            provider: written.provider.as_deref().map(Into::into),
            codes: written
                .codes
                .iter()
                .filter_map(|c| Codes::parse(c))
                .collect(),
            enhanced: written
                .enhanced
                .iter()
                .filter_map(|c| Enhanced::parse(c))
                .collect(),
            command: written.command.as_deref().map(Into::into),
            text,
        }
    }

    /// All but the texts.
    fn hold(&self, seen: &Seen<'_>) -> bool {
        let fits_code = || self.codes.iter().any(|codes| codes.fit(seen));
        let fits_enhanced = || {
            let code = seen.enhanced;
            code.is_some_and(|code| self.enhanced.iter().any(|pattern| pattern.fits(code)))
        };
        let provider = self.provider.as_deref();
        let command = self.command.as_deref();
        (self.codes.is_empty() || fits_code())
            && (self.enhanced.is_empty() || fits_enhanced())
            && provider.is_none_or(|name| seen.provider == Some(name))
            && command.is_none_or(|command| seen.command.eq_ignore_ascii_case(command))
    }
}

impl Codes {
    /// Reads `550`, `55x` or `5xx`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim_end_matches('x');
        let is_code = text.len() == 3
            && digits.starts_with(['4', '5'])
            && digits.bytes().all(|b| b.is_ascii_digit());
        is_code.then_some(())?;
        let low = format!("{digits:0<3}").parse().ok()?;
        let high = format!("{digits:9<3}").parse().ok()?;
        Some(Self(low..=high))
    }

    /// Of a text without a code it is known at most whether it is for good.
    fn fit(&self, seen: &Seen<'_>) -> bool {
        match seen.code {
            Some(code) => self.0.contains(&code),
            None => {
                self.0
                    == if seen.is_temporary() {
                        400..=499
                    } else {
                        500..=599
                    }
            }
        }
    }
}

impl Enhanced {
    /// Reads `5.1.1`, `*.2.2`, `5.7.606-649`, `4.7.*`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (class, subject, details) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || !matches!(class, "*" | "4" | "5") {
            return None;
        }
        let details = match details {
            "*" => None,
            details => {
                let (low, high) = details.split_once('-').unwrap_or((details, details));
                let (low, high) = (number(low)?, number(high)?);
                (low <= high).then_some(())?;
                Some(low..=high)
            }
        };
        Some(Self {
            class: class.parse().ok(),
            subject: match subject {
                "*" => None,
                subject => Some(number(subject)?),
            },
            details,
        })
    }

    fn fits(&self, EnhancedCode(class, subject, detail): EnhancedCode) -> bool {
        self.class.is_none_or(|wanted| wanted == class)
            && self.subject.is_none_or(|wanted| wanted == subject)
            && self
                .details
                .as_ref()
                .is_none_or(|wanted| wanted.contains(&detail))
    }
}

fn number(text: &str) -> Option<u16> {
    let digits = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

impl From<&Placed<'_>> for Rule {
    fn from(written: &Placed<'_>) -> Self {
        Self {
            name: written.rule.name.as_str().into(),
            place: written.place.as_str().into(),
            finding: written.rule.finding(),
            help: written.rule.help.as_str().into(),
            fallback: written.fallback,
        }
    }
}

/// One expression of several of which one must be found.
fn joined(texts: &[String]) -> String {
    let mut all = String::new();
    for text in texts {
        all.push_str(if all.is_empty() { "(?:" } else { "|(?:" });
        all.push_str(text);
        all.push(')');
    }
    all
}

/// Expressions as they are looked for: octets, upper case or lower.
fn set(texts: impl Iterator<Item = String>) -> Result<RegexSet, regex::Error> {
    let texts: Vec<String> = texts.collect();
    // Classes of octets make small and fast automata; words beyond ASCII are found octet by octet.
    RegexSetBuilder::new(&texts)
        .case_insensitive(true)
        .unicode(false)
        .size_limit(MOST_MEMORY.saturating_mul(texts.len().max(1)))
        .build()
}

/// The set does not say which of its expressions is at fault.
fn note_faults(written: &[Placed<'_>], of_the_set: &regex::Error, problems: &mut Problems) {
    let before = problems.0.len();
    for placed in written {
        note_faults_of(placed.rule, &placed.place, problems);
    }
    // Each is small enough and all together are not.
    if let Some(first) = written.first().filter(|_| problems.0.len() == before) {
        note_fault(format!("{}.text", first.place), of_the_set, problems);
    }
}

/// Notes the expressions of a rule that cannot be used.
pub fn note_faults_of(rule: &RuleConfig, at: &str, problems: &mut Problems) {
    for (i, text) in rule.text.iter().enumerate() {
        // As they stand together: an expression may not close the group of its neighbour.
        let alone = set(std::iter::once(text.clone()));
        let together = |_| set(std::iter::once(joined(std::slice::from_ref(text))));
        if let Err(error) = alone.and_then(together) {
            note_fault(format!("{at}.text[{i}]"), &error, problems);
        }
    }
}

fn note_fault(key: String, error: &regex::Error, problems: &mut Problems) {
    let message = match error {
        regex::Error::CompiledTooBig(_) => {
            "takes too much memory as a regular expression".to_owned()
        }
        error => format!("is not a regular expression: {error}"),
    };
    problems.add(
        key,
        message,
        "see https://docs.rs/regex/latest/regex/#syntax; write it in 'single quotes', where a backslash stays one",
    );
}

//! What a sink answers, as rules that an operator can type.
//!
//! ```text
//! STAGE [PATTERN] [first=N] [each=N] [p=0.25] [after=50ms] ACTION
//!
//! RCPT *@full.example 452 4.2.2 mailbox full
//! RCPT *@grey.example each=1 451 4.7.1 come back later
//! DOT p=0.1 close
//! CONNECT first=3 554 no service here
//! EHLO after=2s pass
//! ```

use super::sink::Stage;
use crate::units::Span;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

/// What the sink does when a rule applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Answers as usual; the rule is there for its latency.
    Pass,
    /// Answers as usual once the script is another: for whoever holds the sink, and decides when it goes on.
    Wait,
    /// These octets go out as they are: a reply, or garbage.
    Say(Box<[u8]>),
    /// A reply of these octets, then the end of the connection, as RFC 5321 §3.8 wants with 421.
    SayAndClose(Box<[u8]>),
    /// The connection ends without a word.
    Close,
    /// The connection stays open and nothing is said on it any more.
    Silence,
}

/// One line of a script: where it applies, how often, and what happens then.
#[derive(Debug)]
pub struct Rule {
    stage: Stage,
    /// Glob over the sender, recipient, EHLO name or peer address, in lower case; `None` is everyone.
    pattern: Option<Box<str>>,
    limit: Limit,
    probability: f64,
    latency: Duration,
    action: Action,
    used: Mutex<HashMap<Box<str>, u64>>,
}

/// How often a rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Always,
    /// The first so many times.
    First(u64),
    /// The first so many times for each subject: greylisting.
    Each(u64),
}

/// Why a rule could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error(
        "\"{0}\" is not a stage: CONNECT, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, DOT, RSET or QUIT"
    )]
    Stage(String),
    #[error("\"{0}\" has a value that cannot be read")]
    Value(String),
    #[error("the rule says nothing: end it with a reply, pass, close, silence or garbage")]
    NoAction,
}

impl Rule {
    /// Whether the rule applies to `subjects` at `stage` this time; using it up is part of asking.
    pub(super) fn applies(&self, stage: Stage, subjects: &[&str]) -> Option<(Duration, &Action)> {
        if self.stage != stage || !(self.probability >= 1.0 || rand::random_bool(self.probability))
        {
            return None;
        }
        let subject = match &self.pattern {
            None => subjects.first().copied().unwrap_or_default(),
            Some(pattern) => subjects.iter().find(|s| glob(pattern, s))?,
        };
        self.spend(subject).then_some((self.latency, &self.action))
    }

    fn spend(&self, subject: &str) -> bool {
        let (key, limit) = match self.limit {
            Limit::Always => return true,
            Limit::First(n) => ("", n),
            Limit::Each(n) => (subject, n),
        };
        let mut used = self.used.lock();
        let count = used.entry(key.into()).or_default();
        *count += 1;
        *count <= limit
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (stage, mut rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let stage = stage
            .parse()
            .map_err(|()| RuleError::Stage(stage.to_owned()))?;
        let mut rule = Rule {
            stage,
            pattern: None,
            limit: Limit::Always,
            probability: 1.0,
            latency: Duration::ZERO,
            action: Action::Pass,
            used: Mutex::default(),
        };
        loop {
            rest = rest.trim_start();
            if let Some(action) = action(rest) {
                rule.action = action;
                return Ok(rule);
            }
            let (word, behind) = rest.split_once(' ').ok_or(RuleError::NoAction)?;
            rule.set(word)?;
            rest = behind;
        }
    }
}

impl Rule {
    /// One word between stage and action.
    fn set(&mut self, word: &str) -> Result<(), RuleError> {
        let wrong = || RuleError::Value(word.to_owned());
        match word.split_once('=') {
            Some(("first", n)) => self.limit = Limit::First(n.parse().map_err(|_| wrong())?),
            Some(("each", n)) => self.limit = Limit::Each(n.parse().map_err(|_| wrong())?),
            Some(("after", span)) => {
                self.latency = span.parse::<Span>().map_err(|_| wrong())?.0;
            }
            Some(("p", share)) => {
                self.probability = share.parse().map_err(|_| wrong())?;
                if !(0.0..=1.0).contains(&self.probability) {
                    return Err(wrong());
                }
            }
            _ => self.pattern = Some(word.to_ascii_lowercase().into()),
        }
        Ok(())
    }
}

/// The action that `text` begins with; a reply is three digits and whatever follows.
fn action(text: &str) -> Option<Action> {
    match text.trim_end() {
        "pass" => return Some(Action::Pass),
        "wait" => return Some(Action::Wait),
        "close" => return Some(Action::Close),
        "silence" => return Some(Action::Silence),
        "garbage" => return Some(Action::Say(GARBAGE.into())),
        _ => {}
    }
    let code = text.get(..3)?;
    let ends = matches!(text.as_bytes().get(3), None | Some(b' '));
    if !ends || !code.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let octets = reply(code, text.get(4..).unwrap_or_default());
    Some(match code {
        "421" => Action::SayAndClose(octets),
        _ => Action::Say(octets),
    })
}

/// RFC 5321 §4.2.1: every line but the last has a hyphen behind its code.
fn reply(code: &str, text: &str) -> Box<[u8]> {
    let lines: Vec<&str> = text.split('\n').collect();
    let mut octets = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let mark = if i + 1 == lines.len() { " " } else { "-" };
        for part in [code, mark, line, "\r\n"] {
            octets.extend_from_slice(part.as_bytes());
        }
    }
    octets.into()
}

/// Octets that are no reply: a NUL, a broken UTF-8 sequence, no code, a lone carriage return.
const GARBAGE: &[u8] = b"\x00\xff\xfehello?\r this is not SMTP\r\n";

/// `*` stands for any text, everything else for itself; case does not count.
fn glob(pattern: &str, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> Option<Action> {
        Some(Action::Say(text.as_bytes().into()))
    }

    fn ask(rule: &Rule, stage: Stage, subject: &str) -> Option<Action> {
        rule.applies(stage, &[subject]).map(|(_, a)| a.clone())
    }

    #[test]
    fn a_rule_answers_its_stage_and_its_pattern_only() {
        let rule: Rule = "RCPT *@full.example 452 4.2.2 mailbox full"
            .parse()
            .unwrap();
        assert_eq!(
            ask(&rule, Stage::Rcpt, "Ann@Full.Example"),
            says("452 4.2.2 mailbox full\r\n")
        );
        assert_eq!(ask(&rule, Stage::Rcpt, "ann@fine.example"), None);
        assert_eq!(ask(&rule, Stage::Mail, "ann@full.example"), None);
    }

    #[test]
    fn greylisting_lets_each_recipient_through_the_second_time() {
        let rule: Rule = "rcpt each=1 451 4.7.1 later".parse().unwrap();
        assert!(ask(&rule, Stage::Rcpt, "a@x.example").is_some());
        assert!(ask(&rule, Stage::Rcpt, "b@x.example").is_some());
        assert!(ask(&rule, Stage::Rcpt, "a@x.example").is_none());
    }

    #[test]
    fn first_counts_over_everyone() {
        let rule: Rule = "DATA first=2 close".parse().unwrap();
        let answers: Vec<_> = ["a", "b", "c"]
            .iter()
            .map(|who| ask(&rule, Stage::Data, who))
            .collect();
        assert_eq!(answers, [Some(Action::Close), Some(Action::Close), None]);
    }

    #[test]
    fn a_reply_of_several_lines_and_421_are_what_the_standard_says() {
        let rule: Rule = "DOT 550 5.7.1 no\n5.7.1 never".parse().unwrap();
        assert_eq!(
            ask(&rule, Stage::Dot, ""),
            says("550-5.7.1 no\r\n550 5.7.1 never\r\n")
        );
        let rule: Rule = "MAIL after=20ms 421 4.3.2 closing".parse().unwrap();
        let (latency, action) = rule.applies(Stage::Mail, &[""]).unwrap();
        assert_eq!(latency, Duration::from_millis(20));
        assert!(matches!(action, Action::SayAndClose(_)));
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| text.parse::<Rule>().map(|_| ()).unwrap_err().to_string();
        assert!(error("RCTP 550 no").contains("RCTP"));
        assert!(error("RCPT p=2 550 no").contains("p=2"));
        assert!(error("RCPT *@x.example").contains("says nothing"));
    }

    #[test]
    fn globs() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "acb", false),
            ("*@x.example", "ann@x.example", true),
            ("*ann*@x*", "joanna@x.example", true),
            ("ann@x.example", "ann@x.example2", false),
            ("aba*aba", "aba", false),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
    }
}

//! Which refusals were heard, by pattern: what the rules know, for reports, and what they miss.
//!
//! A pattern is a reply with all that differs from one message to the next replaced. The tables are bounded; the least
//! frequent pattern makes room for a new one, which takes over its count as what it may be too high by (the space-saving
//! algorithm), so that what is frequent is never lost.

use super::help;
use super::rules::{Ruling, Seen, masked};
use crate::mail::{BounceClass, Finding, Subject};
use crate::policy::reputation::rings::{Rings, Window};
use crate::units::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// Patterns that are kept: so many that rules know, and as many that they miss.
const MOST: usize = 500;
/// Words that tell one pattern from another.
const MOST_WORDS: usize = 40;
/// Octets of an example that are kept.
const LONGEST: usize = 400;

/// The refusals that a node has heard since it started. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Replies(Arc<Mutex<Heard>>);

#[derive(Debug, Default)]
struct Heard {
    matched: Table,
    unmatched: Table,
    unmatched_total: u64,
}

#[derive(Debug, Default)]
struct Table(HashMap<Key, Row>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
struct Key {
    pattern: Box<str>,
    provider: Box<str>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    count: u64,
    over: u64,
    /// Counted since the pattern has a row.
    rings: Rings<u32>,
    first: Timestamp,
    last: Timestamp,
    example: Box<str>,
    finding: Finding,
    /// The name of the rule that knows it, and what it says to do.
    rule: Option<(Box<str>, Box<str>)>,
}

/// What is kept of a pattern over a restart.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    key: Key,
    row: Row,
    matched: bool,
}

/// A pattern of refusals, as the API tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyPattern {
    /// `550 5.1.1 <@> user unknown`, with `{n}`, `{id}`, `{ip}`, `{host}` and `{url}` where replies differ.
    pub pattern: String,
    /// Who said it; empty where that was not known.
    pub provider: String,
    /// Recipients of whom it was said, at most `over` too many. Within a window, where one was asked for.
    pub count: u64,
    #[serde(default)]
    pub over: u64,
    pub first: Timestamp,
    pub last: Timestamp,
    /// The last one, without the names of mailboxes.
    pub example: String,
    pub class: BounceClass,
    pub subject: Option<Subject>,
    /// A rule knows it, by more than its code.
    pub matched: bool,
    /// The name of the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
}

impl Replies {
    /// Counts a refusal of one recipient. `text` is what was said, `seen` the same as the rules see it.
    pub fn note(&self, seen: &Seen<'_>, text: &str, ruling: Ruling<'_>, now: Timestamp) {
        let key = Key {
            pattern: pattern(seen).into(),
            provider: seen.provider.unwrap_or_default().into(),
        };
        let mut heard = self.0.lock();
        if ruling.is_matched() {
            // A rule may have come with a reload.
            heard.unmatched.0.remove(&key);
            heard.matched.note(key, (seen, text), ruling, now);
        } else {
            heard.unmatched_total += 1;
            heard.unmatched.note(key, (seen, text), ruling, now);
        }
    }

    /// Every pattern that is kept, the most frequent first.
    pub fn patterns(&self) -> Vec<ReplyPattern> {
        let heard = self.0.lock();
        let matched = heard.matched.0.iter().map(|row| (row, true));
        let unmatched = heard.unmatched.0.iter().map(|row| (row, false));
        let all = matched.chain(unmatched);
        let mut all: Vec<ReplyPattern> = all
            .map(|((key, row), matched)| row.tell(key, matched))
            .collect();
        drop(heard);
        all.sort_by(|a, b| (b.count, &a.pattern).cmp(&(a.count, &b.pattern)));
        all
    }

    /// Up to `most` of those that were heard within a window, the most frequent there first. One whose row had to make
    /// room for another meanwhile is counted from when it came back.
    pub fn within(&self, window: Window, most: usize, now: Timestamp) -> Vec<ReplyPattern> {
        let heard = self.0.lock();
        let told = |((key, row), matched): ((&Key, &Row), bool)| {
            let count = row.rings.sum(window, Timestamp::default(), now);
            (count > 0).then(|| ReplyPattern {
                count: count.into(),
                over: 0,
                ..row.tell(key, matched)
            })
        };
        let matched = heard.matched.0.iter().map(|row| (row, true));
        let unmatched = heard.unmatched.0.iter().map(|row| (row, false));
        let mut all: Vec<ReplyPattern> = matched.chain(unmatched).filter_map(told).collect();
        drop(heard);
        all.sort_by(|a, b| (b.count, &a.pattern).cmp(&(a.count, &b.pattern)));
        all.truncate(most);
        all
    }

    /// The most frequent ones, to be kept over a restart.
    pub fn saved(&self, most: usize) -> Vec<Saved> {
        let heard = self.0.lock();
        let of = |table: &Table, matched| -> Vec<Saved> {
            let saved = |(key, row): (&Key, &Row)| Saved {
                key: key.clone(),
                row: row.clone(),
                matched,
            };
            table.0.iter().map(saved).collect()
        };
        let mut all = of(&heard.matched, true);
        all.extend(of(&heard.unmatched, false));
        drop(heard);
        all.sort_by(|a, b| (b.row.count, &a.key).cmp(&(a.row.count, &b.key)));
        all.truncate(most);
        all
    }

    /// Takes in what was saved before a restart; what was heard since is kept.
    pub fn restore(&self, saved: Vec<Saved>) {
        let mut heard = self.0.lock();
        for Saved { key, row, matched } in saved {
            let table = match matched {
                true => &mut heard.matched,
                false => &mut heard.unmatched,
            };
            if table.0.len() < MOST {
                table.0.entry(key).or_insert(row);
            }
        }
    }

    /// How many refusals no rule knew.
    pub fn unmatched_total(&self) -> u64 {
        self.0.lock().unmatched_total
    }
}

impl Table {
    fn note(
        &mut self,
        key: Key,
        (seen, text): (&Seen<'_>, &str),
        ruling: Ruling<'_>,
        now: Timestamp,
    ) {
        if let Some(row) = self.0.get_mut(&key) {
            row.count += 1;
            row.hear(ruling, now);
            return;
        }
        let over = self.make_room();
        let mut row = Row {
            count: over + 1,
            over,
            rings: Rings::default(),
            first: now,
            last: now,
            example: example(seen, text).into(),
            finding: ruling.finding,
            rule: None,
        };
        row.hear(ruling, now);
        self.0.insert(key, row);
    }

    /// Gives the count of the row that went.
    fn make_room(&mut self) -> u64 {
        if self.0.len() < MOST {
            return 0;
        }
        let least = self
            .0
            .iter()
            .min_by_key(|(key, row)| (row.count, row.last, *key));
        let Some((key, count)) = least.map(|(key, row)| (key.clone(), row.count)) else {
            return 0;
        };
        self.0.remove(&key);
        count
    }
}

impl Row {
    fn hear(&mut self, ruling: Ruling<'_>, now: Timestamp) {
        self.rings
            .note(now, |count| *count = count.saturating_add(1));
        self.last = now;
        self.finding = ruling.finding;
        let named = self.rule.as_ref().map(|(name, help)| (&**name, &**help));
        let rule = ruling.rule.map(|rule| (&*rule.name, &*rule.help));
        if named != rule {
            self.rule = rule.map(|(name, help)| (name.into(), help.into()));
        }
    }

    fn tell(&self, key: &Key, matched: bool) -> ReplyPattern {
        let rule = self.rule.as_ref();
        let own = rule
            .map(|(_, help)| &**help)
            .filter(|help| !help.is_empty());
        ReplyPattern {
            pattern: key.pattern.to_string(),
            provider: key.provider.to_string(),
            count: self.count,
            over: self.over,
            first: self.first,
            last: self.last,
            example: self.example.to_string(),
            class: self.finding.class,
            subject: self.finding.subject,
            matched,
            rule: rule.map(|(name, _)| name.to_string()),
            help: own.unwrap_or_else(|| help::of(self.finding)).to_owned(),
        }
    }
}

/// The codes as they are written before a text.
fn codes(seen: &Seen<'_>) -> String {
    let code = seen.code.map(|code| code.to_string());
    let enhanced = seen.enhanced.map(|code| code.to_string());
    let both: Vec<String> = code.into_iter().chain(enhanced).collect();
    both.join(" ")
}

/// A refusal with all that differs from one message to the next replaced.
fn pattern(seen: &Seen<'_>) -> String {
    let mut pattern = codes(seen);
    for word in seen.text.split(' ').take(MOST_WORDS) {
        if !pattern.is_empty() {
            pattern.push(' ');
        }
        pattern.push_str(kind(word));
    }
    pattern
}

/// A word, or what kind of word it is.
fn kind(word: &str) -> &str {
    let is_edge = |c: char| !c.is_alphanumeric();
    let bare = word.trim_matches(is_edge);
    let has_digit = bare.bytes().any(|b| b.is_ascii_digit());
    if word.contains("://") {
        "{url}"
    } else if is_ip(bare) {
        "{ip}"
    } else if has_digit && !bare.bytes().any(|b| b.is_ascii_alphabetic()) {
        "{n}"
    } else if is_host(bare) {
        "{host}"
    } else if (has_digit && !is_own_code(bare)) || bare.len() > 30 {
        "{id}"
    } else {
        word
    }
}

fn is_ip(word: &str) -> bool {
    word.parse::<std::net::IpAddr>().is_ok()
        || word
            .split(['[', ']'])
            .any(|part| part.parse::<std::net::IpAddr>().is_ok())
}

/// `mx1.example.net`, perhaps with `[192.0.2.1]` behind it.
fn is_host(word: &str) -> bool {
    let name = word.split(['[', '(', ':']).next().unwrap_or_default();
    let Some((before, top)) = name.rsplit_once('.') else {
        return false;
    };
    let is_label = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !before.is_empty()
        && before.chars().all(is_label)
        && (2..=24).contains(&top.len())
        && top.bytes().all(|b| b.is_ascii_alphabetic())
}

/// `S3140`, `TSS04`, `OFR006_102`: codes that providers explain on their pages.
fn is_own_code(word: &str) -> bool {
    word.len() <= 10
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && !word.bytes().any(|b| b.is_ascii_lowercase())
}

/// What was said, without the names of mailboxes.
fn example(seen: &Seen<'_>, text: &str) -> String {
    // A notice has the codes in its text.
    let is_whole = text.starts_with(|c: char| c.is_ascii_digit());
    let mut example = match is_whole {
        true => String::new(),
        false => codes(seen),
    };
    for word in text.split_whitespace() {
        if example.len() + word.len() >= LONGEST {
            break;
        }
        if !example.is_empty() {
            example.push(' ');
        }
        match word.contains('@') {
            true => example.push_str(&masked(word)),
            false => example.push_str(word),
        }
    }
    example
}

#[cfg(test)]
mod tests {
    use super::super::rules::{Classifier, Said};
    use super::*;
    use proptest::prelude::*;

    fn note(replies: &Replies, classifier: &Classifier, text: &str, minute: u64) {
        let said = Said {
            text,
            provider: Some("google"),
            ..Said::default()
        };
        let seen = Seen::of(&said);
        let now = Timestamp::from_millis(minute * 60_000);
        replies.note(&seen, text, classifier.ruling(&seen), now);
    }

    #[test]
    fn replies_that_differ_in_names_and_numbers_are_one_pattern() {
        let (replies, classifier) = (Replies::default(), Classifier::new().unwrap());
        note(
            &replies,
            &classifier,
            "550 5.1.1 <ann@example.net> user unknown [192.0.2.1] q1w2e3r4t5y6",
            1,
        );
        note(
            &replies,
            &classifier,
            "550-5.1.1 <ben@example.org> user unknown\n550 5.1.1 [2001:db8::1] a9b8c7d6e5f4g3",
            5,
        );
        let patterns = replies.patterns();
        assert_eq!(patterns.len(), 1, "{patterns:#?}");
        let ReplyPattern {
            pattern,
            count,
            first,
            last,
            example,
            ..
        } = &patterns[0];
        assert_eq!(pattern, "550 5.1.1 <@> user unknown {ip} {id}");
        assert_eq!((*count, last.since(*first).as_secs()), (2, 240));
        assert_eq!(
            example,
            "550 5.1.1 <@> user unknown [192.0.2.1] q1w2e3r4t5y6"
        );
        assert_eq!(patterns[0].rule.as_deref(), Some("unknown-user"));
        assert!(patterns[0].matched && !patterns[0].help.is_empty());
        assert_eq!(replies.unmatched_total(), 0);
    }

    #[test]
    fn what_no_rule_knows_is_counted_apart_until_one_does() {
        let (replies, classifier) = (Replies::default(), Classifier::new().unwrap());
        note(&replies, &classifier, "550 wibble 7", 1);
        note(&replies, &classifier, "550 wibble 8", 2);
        assert_eq!(replies.unmatched_total(), 2);
        let patterns = replies.patterns();
        assert_eq!(
            (&*patterns[0].pattern, patterns[0].matched),
            ("550 wibble {n}", false)
        );
        let rule: super::super::rules::RuleConfig =
            toml::from_str("name = 'w'\nclass = 'block'\ntext = ['wibble']").unwrap();
        note(
            &replies,
            &Classifier::with(&[rule]).unwrap(),
            "550 wibble 9",
            3,
        );
        let patterns = replies.patterns();
        assert_eq!(patterns.len(), 1);
        assert_eq!(
            (patterns[0].matched, patterns[0].class),
            (true, BounceClass::Block)
        );
        assert_eq!(replies.unmatched_total(), 2);
    }

    #[test]
    fn a_window_has_its_own_counts_and_a_restart_forgets_none() {
        let (replies, classifier) = (Replies::default(), Classifier::new().unwrap());
        let say = |text: &str, minutes: std::ops::Range<u64>| {
            minutes.for_each(|minute| note(&replies, &classifier, text, minute));
        };
        say("550 5.1.1 user unknown", 0..60);
        say("451 4.7.1 greylisted", 100..110);
        let now = Timestamp::from_millis(110 * 60_000);
        let told = |replies: &Replies, window, most| -> Vec<(String, u64)> {
            let heard = replies.within(window, most, now).into_iter();
            heard.map(|p| (p.pattern, p.count)).collect()
        };
        let grey = || ("451 4.7.1 greylisted".to_owned(), 10);
        let unknown = |n| ("550 5.1.1 user unknown".to_owned(), n);
        assert_eq!(told(&replies, Window::QuarterHour, 9), [grey()]);
        assert_eq!(told(&replies, Window::Hour, 9), [grey(), unknown(9)]);
        assert_eq!(told(&replies, Window::Day, 1), [unknown(60)]);
        let text = serde_json::to_string(&replies.saved(MOST)).unwrap();
        let again = Replies::default();
        again.restore(serde_json::from_str(&text).unwrap());
        assert_eq!(again.patterns(), replies.patterns());
        let month = told(&replies, Window::Month, 9);
        assert_eq!(told(&again, Window::Month, 9), month);
    }

    #[test]
    fn what_no_rule_explains_is_explained_by_its_kind() {
        let (replies, classifier) = (Replies::default(), Classifier::new().unwrap());
        note(&replies, &classifier, "550 wibble", 1);
        let help = replies.patterns()[0].help.clone();
        assert!(help.contains("[[bounce_rule]]"), "{help}");
    }

    #[test]
    fn what_is_frequent_stays_when_the_table_is_full() {
        let (replies, classifier) = (Replies::default(), Classifier::new().unwrap());
        let word = |n: u32| -> String {
            let digits = n.to_string();
            let letters = digits.bytes().map(|b| char::from(b - b'0' + b'a'));
            letters.collect()
        };
        for n in 0..3_000 {
            note(&replies, &classifier, &format!("550 odd{}", word(n)), 1);
            note(&replies, &classifier, "550 wibble", 1);
        }
        let patterns = replies.patterns();
        assert_eq!(patterns.len(), MOST);
        assert_eq!(
            (&*patterns[0].pattern, patterns[0].count),
            ("550 wibble", 3_000)
        );
        assert_eq!(patterns[0].over, 0);
        assert!(patterns[1].over > 0);
        assert_eq!(replies.unmatched_total(), 6_000);
    }

    #[test]
    fn words_that_differ_are_told_by_kind() {
        for (word, expected) in [
            ("https://help.example", "{url}"),
            ("[192.0.2.1]", "{ip}"),
            ("client[192.0.2.1]:", "{ip}"),
            ("(2001:db8::1)", "{ip}"),
            ("mx1.example.net", "{host}"),
            ("<mx1.example.net>:", "{host}"),
            ("2026-11-03T15:00:00", "{id}"),
            ("15:00:00", "{n}"),
            ("4.16.55.1", "{ip}"),
            ("00000-22-225", "{n}"),
            ("v14si1155795plk.134", "{id}"),
            ("(S3140)", "(S3140)"),
            ("[TSS04]", "[TSS04]"),
            ("OFR006_102", "OFR006_102"),
            ("wait...", "wait..."),
            ("<@>...", "<@>..."),
            ("-", "-"),
        ] {
            assert_eq!(kind(word), expected, "{word}");
        }
    }

    proptest! {
        #[test]
        fn no_reply_is_too_strange_to_count(text in any::<String>()) {
            let seen = Seen::of(&Said { text: &text, ..Said::default() });
            let replies = Replies::default();
            let ruling = Ruling { finding: BounceClass::Unknown.into(), rule: None };
            replies.note(&seen, &text, ruling, Timestamp::default());
            let patterns = replies.patterns();
            prop_assert_eq!(patterns.len(), 1);
            prop_assert!(patterns[0].example.len() <= LONGEST + 16);
        }
    }
}

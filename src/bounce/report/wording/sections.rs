//! What a notice says itself, and what it gives back of the message.

use super::named::{Named, Place};
use crate::bounce::report::evidence::Evidence;
use crate::bounce::report::fields::{Fields, name_and_value};

/// The lines of a text.
#[derive(Debug, Default)]
pub struct Sections<'t> {
    /// The words of the notice.
    pub notice: Vec<&'t str>,
    /// The same in lower case.
    lower: Vec<String>,
    /// The header section of the message behind it.
    pub original: Option<Fields>,
}

/// Lines of a text that are looked at.
const MOST_LINES: usize = 4000;
/// Lines that may be between the words that announce the message and its first field.
const NEAR: usize = 4;
/// Lines beside an address that say why.
const BESIDE: usize = 40;
/// Lines elsewhere that have it.
const MENTIONS: usize = 10;
/// Paragraphs that are looked at.
const MOST_PARAGRAPHS: usize = 24;

impl<'t> Sections<'t> {
    pub fn of(text: &'t str) -> Self {
        let lines: Vec<&str> = text.lines().take(MOST_LINES).collect();
        let begin = (0..lines.len()).find(|at| begins_original(&lines, *at));
        let (notice, behind) = lines.split_at(begin.unwrap_or(lines.len()));
        let mut header = behind
            .iter()
            .skip_while(|line| !is_message_field(line.trim_start()))
            .peekable();
        let indent = header.peek().map_or(0, |line| indent(line));
        let header = header.map(|line| line.get(indent..).unwrap_or_else(|| line.trim_start()));
        let original = Fields::read(header);
        Self {
            notice: notice.to_vec(),
            lower: notice
                .iter()
                .map(|line| line.to_ascii_lowercase())
                .collect(),
            original: (!original.is_empty()).then_some(original),
        }
    }

    pub fn joined(&self) -> String {
        self.notice.join("\n")
    }

    /// What stands behind an address, up to the next one or an empty line, and what stands up to the next one at all.
    pub fn beside(&self, place: &Named, others: &[Named]) -> Evidence {
        let next = others
            .iter()
            .map(|other| other.line)
            .filter(|line| *line > place.line)
            .min();
        let end = next.unwrap_or(self.notice.len()).min(place.line + BESIDE);
        let following = self.notice.get(place.line + 1..end).unwrap_or_default();
        let own = following.iter().take_while(|line| !line.trim().is_empty());
        let mut own: Vec<&str> = own.map(|line| line.trim()).collect();
        let first = match place.place {
            Place::Listed => place
                .behind
                .trim_start_matches(['>', ':', ')', '"', '\'', ',', ';']),
            // The words before the address are of the reason too.
            Place::Marked | Place::Bare => self.notice.get(place.line).copied().unwrap_or_default(),
        };
        own.insert(0, first.trim());
        let mut said = vec![own.join(" ")];
        if next.is_some() && place.place == Place::Listed {
            said.push(paragraphs(following).join(" "));
        }
        said.retain(|text| text.chars().any(char::is_alphabetic));
        Evidence {
            said,
            ..Evidence::default()
        }
    }

    /// What a server said of an address, with the command that it answered, where a paragraph tells both.
    pub fn answered(&self, address: &str) -> Option<String> {
        let told = paragraphs(&self.notice).into_iter();
        let mut told = told.filter(|text| text.contains("(in reply to ") && text.contains(address));
        let text = told.next()?;
        let said = text.split_once(" said: ").map_or(&*text, |(_, said)| said);
        Some(said.to_owned())
    }

    /// Other lines that have the address, each with the line before it where that is what a server said.
    pub fn mentions(&self, address: &str, listed: Option<usize>) -> Vec<String> {
        let address = address.to_ascii_lowercase();
        let lines = self.notice.iter().enumerate();
        let has = lines.filter(|(at, line)| {
            let has = self
                .lower
                .get(*at)
                .is_some_and(|line| line.contains(&address));
            has && Some(*at) != listed && !is_command(line)
        });
        let with_server = has.map(|(at, line)| {
            let before = at.checked_sub(1).and_then(|at| self.notice.get(at));
            let before = before.filter(|line| line.trim_start().starts_with("<<<"));
            match before {
                Some(before) => format!("{} {}", said_by_server(before), line.trim()),
                None => line.trim().to_owned(),
            }
        });
        with_server.take(MENTIONS).collect()
    }

    /// What servers said anywhere, then the paragraphs behind a line, then all of them, then the whole.
    pub fn everything(&self, from: Option<usize>) -> Vec<String> {
        let servers = self
            .notice
            .iter()
            .filter(|line| line.trim_start().starts_with("<<<"));
        let mut texts: Vec<String> = servers
            .map(|line| said_by_server(line).to_owned())
            .collect();
        let behind = from.and_then(|from| self.notice.get(from + 1..));
        texts.extend(paragraphs(behind.unwrap_or_default()));
        let all = paragraphs(&self.notice);
        let whole = all.join(" ");
        texts.extend(all);
        texts.push(whole);
        texts
    }
}

/// Lines up to empty ones, each paragraph on one line; what we had said in a transcript is passed over.
fn paragraphs(lines: &[&str]) -> Vec<String> {
    let paragraphs = lines.split(|line| line.trim().is_empty());
    let joined = paragraphs.map(|lines| {
        let lines = lines.iter().filter(|line| !is_command(line));
        lines.map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    });
    joined
        .filter(|text| !text.is_empty())
        .take(MOST_PARAGRAPHS)
        .collect()
}

fn said_by_server(line: &str) -> &str {
    line.trim_start().trim_start_matches('<').trim()
}

/// What we had said, in a transcript.
fn is_command(line: &str) -> bool {
    line.trim_start().starts_with(">>> ")
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Whether the message given back begins at this line: words that announce it with a field near behind them, or the
/// fields themselves.
fn begins_original(lines: &[&str], at: usize) -> bool {
    let line = lines.get(at).copied().unwrap_or_default();
    if announces(line) {
        let behind = lines.get(at + 1..).unwrap_or_default();
        let mut near = behind
            .iter()
            .filter(|line| !line.trim().is_empty())
            .take(NEAR);
        return near.any(|line| is_message_field(line.trim_start())) || is_last(behind);
    }
    is_message_field(line) && is_header_section(lines.get(at..).unwrap_or_default())
}

fn is_last(behind: &[&str]) -> bool {
    behind.iter().all(|line| line.trim().is_empty())
}

/// Words such as `--- Below this line is a copy of the message.`
fn announces(line: &str) -> bool {
    let text = line.trim();
    if text.len() < 8 || text.len() > 120 {
        return false;
    }
    let is_ruled = ["--", "==", "__", "**"]
        .iter()
        .any(|rule| text.starts_with(rule));
    let text = text.to_lowercase();
    let words = text.trim_matches(|c: char| !c.is_alphanumeric());
    let opens = OPENINGS.iter().any(|end| words.ends_with(end)) || words.starts_with("below ");
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    has(MESSAGES) && has(GIVEN_BACK) && !has(TRACES) && (is_ruled || opens)
}

/// What is given back, in words.
const MESSAGES: &[&str] = &[
    "message",
    "mail",
    "header",
    "headers",
    "text",
    "nachricht",
    "письм",
    "сообщени",
    "メール",
    "邮件",
];

const GIVEN_BACK: &[&str] = &[
    "original",
    "returned",
    "unsent",
    "bounced",
    "undelivered",
    "copy of",
    "headers follow",
    "header follow",
    "is following",
    "non-delivered",
    "ursprüngliche",
    "исходн",
    "копия",
    "元の",
    "原",
];

/// Lines without a rule end with one of them.
const OPENINGS: &[&str] = &[
    "follow",
    "follows",
    "following",
    "below",
    "message",
    "e-mail",
    "mail",
    "header",
    "headers",
    "nachricht",
];

/// The words of a transcript or of a reason, which sound alike.
const TRACES: &[&str] = &[
    "received at",
    "was received",
    "transcript",
    "to:",
    "reason",
    "deliver your",
    "attached below",
];

/// Fields up to an empty line that only a message has.
fn is_header_section(lines: &[&str]) -> bool {
    let section = lines
        .iter()
        .take_while(|line| !line.trim().is_empty())
        .take(60);
    let names: Vec<String> = section
        .filter(|line| !line.starts_with([' ', '\t']))
        .filter_map(|line| name_and_value(line))
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    let has = |name: &str| names.iter().any(|known| known == name);
    let is_traced = has("received") && (has("from") || has("message-id") || has("subject"));
    is_traced || has("message-id") && has("from") || has("return-path") && has("from")
}

fn is_message_field(line: &str) -> bool {
    let Some((name, _)) = name_and_value(line) else {
        return false;
    };
    let name = name.to_ascii_lowercase();
    MESSAGE_FIELDS.contains(&name.as_str())
        || name.starts_with("x-") && name != "x-actual-recipient"
}

const MESSAGE_FIELDS: &[&str] = &[
    "received",
    "return-path",
    "from",
    "to",
    "cc",
    "date",
    "subject",
    "message-id",
    "mime-version",
    "content-type",
    "reply-to",
    "sender",
    "dkim-signature",
    "delivered-to",
    "authentication-results",
    "arc-seal",
    "list-id",
    "list-unsubscribe",
    "domainkey-signature",
    "received-spf",
    "references",
    "in-reply-to",
    "user-agent",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_behind_the_words_is_cut_off_and_read() {
        for between in [
            "--- Below this line is a copy of the message.",
            "   ----- Original message follows -----",
            "------ This is a copy of the message, including all the headers. ------",
            "Message headers follow.",
            "Original message follows.",
            "",
        ] {
            let text = format!(
                "No luck with <ann@example.net>.\n\n{between}\n\nReceived: from a\n by b\nFrom: <bob@example.org>\n\
                 To: ann@example.net\nMessage-ID: <1@example.org>\n\nTo: nobody@example.com\n"
            );
            let sections = Sections::of(&text);
            let original = sections.original.expect(between);
            assert_eq!(
                original.first("message-id"),
                Some("<1@example.org>"),
                "{between}"
            );
            assert!(!sections.notice.join("\n").contains("bob@"), "{between}");
        }
    }

    #[test]
    fn words_of_the_notice_that_sound_alike_cut_nothing() {
        for line in [
            "The original message was received at Mon, 2 Mar 2020 10:00:00 +0100",
            "I'm sorry to have to inform you that your message could not be delivered. It's attached below.",
            "   ----- Transcript of session follows -----",
            "From: bob@example.org",
        ] {
            let text = format!("{line}\n\n<ann@example.net>: no\n");
            assert_eq!(Sections::of(&text).notice.len(), 3, "{line}");
        }
    }

    #[test]
    fn an_indented_message_is_read_too() {
        let text = "No.\n\nOriginal mail as follows:\n\n   Return-Path: <bob@example.org>\n   From: bob@example.org\n   \tx\n\n   body";
        let original = Sections::of(text).original.unwrap();
        assert_eq!(original.first("return-path"), Some("<bob@example.org>"));
    }
}

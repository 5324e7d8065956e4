//! Delivery status in fields: RFC 3464 §2, RFC 6533 §3, and what is written in their manner into texts.

use super::Action;
use super::address::typed;
use super::fields::{Fields, cut, name_and_value};
use crate::mail::EnhancedCode;

/// All groups of fields of a notice.
#[derive(Debug, Default)]
pub struct Status {
    /// Fields of the message as a whole.
    pub message: Fields,
    pub recipients: Vec<Entry>,
}

/// What is written of one recipient.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    fields: Fields,
}

/// Recipients of a notice that are read.
pub const MOST_RECIPIENTS: usize = 500;
/// Octets of what a server said that are kept.
const LONGEST_SAID: usize = 2048;

/// Fields that a group has at most once, so that a second one begins the next group where the empty line is missing.
const ONCE: [&str; 4] = ["original-recipient", "final-recipient", "action", "status"];

/// Reads groups of fields; whatever else stands between them is passed over.
pub fn read(text: &str) -> Status {
    let mut status = Status::default();
    let mut pending = Fields::default();
    for group in groups(text) {
        let fields = Fields::read(group);
        let is_recipient = fields.has("final-recipient") || fields.has("original-recipient");
        let is_of_recipient = ["action", "status", "diagnostic-code"]
            .iter()
            .any(|name| fields.has(name));
        if is_recipient && status.recipients.len() < MOST_RECIPIENTS {
            let mut entry = Entry { fields };
            entry.fields.extend(std::mem::take(&mut pending));
            status.recipients.push(entry);
        } else if is_of_recipient {
            match status.recipients.last_mut() {
                Some(last) => last.fields.extend(fields),
                None => pending.extend(fields),
            }
        } else if status.recipients.is_empty() {
            status.message.extend(fields);
        }
    }
    status
}

/// Whether a text has delivery status in fields.
pub fn is_in(text: &str) -> bool {
    let mut has_recipient = false;
    let mut has_action = false;
    for (name, _) in text.lines().filter_map(name_and_value) {
        has_recipient |= name.eq_ignore_ascii_case("final-recipient");
        has_action |= name.eq_ignore_ascii_case("action") || name.eq_ignore_ascii_case("status");
    }
    has_recipient && has_action
}

fn groups(text: &str) -> Vec<Vec<&str>> {
    let mut groups = vec![Vec::new()];
    let mut names: Vec<String> = Vec::new();
    for line in text.lines() {
        let name = name_and_value(line).map(|(name, _)| name.to_ascii_lowercase());
        let name = name.filter(|name| ONCE.contains(&name.as_str()));
        let begins = name.as_ref().is_some_and(|name| names.contains(name));
        if line.trim().is_empty() || begins {
            groups.push(Vec::new());
            names.clear();
        }
        names.extend(name);
        if !line.trim().is_empty()
            && let Some(last) = groups.last_mut()
        {
            last.push(line);
        }
    }
    groups.retain(|group| !group.is_empty());
    groups
}

impl Entry {
    /// The address that we had sent to: the original recipient where there is one, else where it was sent on to.
    pub fn address(&self) -> Option<String> {
        [
            "original-recipient",
            "final-recipient",
            "x-actual-recipient",
        ]
        .iter()
        .flat_map(|name| self.fields.all(name))
        .find_map(typed)
    }

    /// `failed` where nothing is said of it.
    pub fn action(&self) -> Action {
        let word = self.fields.first("action").unwrap_or_default();
        let word: String = word.chars().take_while(char::is_ascii_alphabetic).collect();
        match (
            word.to_ascii_lowercase().as_str(),
            self.code().map(|code| code.0),
        ) {
            ("delayed", _) => Action::Delayed,
            ("delivered" | "deliverable", _) => Action::Delivered,
            ("relayed", _) => Action::Relayed,
            ("expanded", _) => Action::Expanded,
            ("failed" | "failure" | "expired", _) => Action::Failed,
            (_, Some(2)) => Action::Delivered,
            _ => Action::Failed,
        }
    }

    pub fn code(&self) -> Option<EnhancedCode> {
        let value = self.fields.first("status")?;
        EnhancedCode::split(value.trim_start()).map(|(code, _)| code)
    }

    /// What the server said; else what stands beside the status.
    pub fn said(&self) -> Option<String> {
        let diagnostic = self.fields.all("diagnostic-code").map(without_type);
        let explained = self.fields.first("status").and_then(beside_code);
        let said = diagnostic.chain(explained).find(|said| !said.is_empty())?;
        Some(cut(said, LONGEST_SAID).to_owned())
    }

    pub fn remote(&self) -> Option<String> {
        let value = without_type(self.fields.first("remote-mta")?);
        let host = value.split_whitespace().next()?;
        Some(cut(host, 255).to_owned())
    }
}

/// What is behind `smtp;`.
fn without_type(value: &str) -> &str {
    let is_type = |kind: &str| {
        kind.len() <= 20 && kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    match value.split_once(';') {
        Some((kind, rest)) if is_type(kind.trim()) => rest.trim(),
        _ => value.trim(),
    }
}

fn beside_code(status: &str) -> Option<&str> {
    let (_, comment) = status.split_once(' ')?;
    Some(comment.trim().trim_start_matches('(').trim_end_matches(')'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_told_apart_with_and_without_empty_lines() {
        for between in ["", "\n"] {
            let text = format!(
                "Reporting-MTA: dns; mx.example.net\n\nOriginal-Recipient: rfc822;ann@example.net\n\
                 Final-Recipient: rfc822; ann.b@example.net\nAction: failed\nStatus: 5.1.1\n\
                 Remote-MTA: dns; mail.example.net (192.0.2.7)\n\
                 Diagnostic-Code: smtp; 550 5.1.1 no\n such user\n{between}\
                 Final-Recipient: rfc822; bob@example.net\nAction: delayed\nStatus: 4.2.2 (full)\n"
            );
            let status = read(&text);
            let [ann, bob] = &status.recipients[..] else {
                panic!("{between:?}: {status:?}");
            };
            assert_eq!(ann.address().as_deref(), Some("ann@example.net"));
            assert_eq!(
                (ann.action(), ann.code()),
                (Action::Failed, Some(EnhancedCode(5, 1, 1)))
            );
            assert_eq!(ann.said().as_deref(), Some("550 5.1.1 no such user"));
            assert_eq!(ann.remote().as_deref(), Some("mail.example.net"));
            assert_eq!(bob.address().as_deref(), Some("bob@example.net"));
            assert_eq!(
                (bob.action(), bob.said().as_deref()),
                (Action::Delayed, Some("full"))
            );
            assert!(status.message.has("reporting-mta"));
        }
    }

    #[test]
    fn an_original_recipient_of_another_mail_system_is_not_taken() {
        let status =
            read("Original-Recipient: x400; /S=ann/\nFinal-Recipient: rfc822; ann@example.net\n");
        assert_eq!(
            status.recipients[0].address().as_deref(),
            Some("ann@example.net")
        );
        assert_eq!(status.recipients[0].action(), Action::Failed);
    }

    #[test]
    fn what_stands_apart_from_its_recipient_is_put_to_it() {
        let status =
            read("Final-Recipient: rfc822; ann@example.net\n\nAction: delayed\nStatus: 4.0.0\n");
        assert_eq!(status.recipients[0].action(), Action::Delayed);
        assert!(is_in(
            "Some words.\nFinal-Recipient: rfc822; a@b\nStatus: 5.0.0"
        ));
        assert!(!is_in("Status: 5.0.0"));
    }
}

//! What a report gives back of the message it is about.

use super::Original;
use super::address::{addresses, first_address};
use super::fields::Fields;
use super::mime::{Message, Part, section};
use super::tokens::Tokens;

/// The message that came back, and what was found of ours in it.
#[derive(Debug, Default)]
pub struct Returned {
    /// Header fields of the message given back; none where nothing is.
    pub fields: Fields,
}

impl Returned {
    /// Takes the first part that is a message, or what the text gives back.
    pub fn of(parts: &[Part], in_text: Option<Fields>) -> Self {
        let attached = parts.iter().find_map(|part| match part {
            Part::Original(octets) => Some(fields_of(octets)),
            _ => None,
        });
        let fields = attached.filter(|fields| !fields.is_empty()).or(in_text);
        Self {
            fields: fields.unwrap_or_default(),
        }
    }

    /// Whom it was for, as its header section and its trace say.
    pub fn recipients(&self) -> Vec<String> {
        let mut found = Vec::new();
        for name in [
            "x-original-to",
            "delivered-to",
            "to",
            "cc",
            "bcc",
            "x-envelope-to",
            "envelope-to",
        ] {
            for value in self.fields.all(name) {
                found.extend(
                    addresses(value)
                        .iter()
                        .map(|found| found.address.to_owned()),
                );
            }
        }
        for trace in self.fields.all("received") {
            let Some((_, whom)) = trace.rsplit_once(" for ") else {
                continue;
            };
            found.extend(first_address(whom).map(str::to_owned));
        }
        let mut seen = std::collections::HashSet::new();
        found.retain(|address| seen.insert(address.to_ascii_lowercase()));
        found.truncate(MOST_RECIPIENTS);
        found
    }

    pub fn return_path(&self) -> Option<String> {
        let names = [
            "return-path",
            "x-envelope-from",
            "envelope-from",
            "x-postfix-sender",
        ];
        let value = names.iter().find_map(|name| self.fields.first(name))?;
        let value = value.trim().trim_matches(['<', '>']);
        match value.is_empty() {
            true => Some(String::new()),
            false => first_address(value).map(str::to_owned),
        }
    }

    pub fn message_id(&self) -> Option<String> {
        self.fields.first("message-id").and_then(bare_id)
    }

    /// Puts together what is told. `message` is the report itself: it came to the return path of the original, and
    /// may name what it answers.
    pub fn told(&self, message: &Message) -> Original {
        let mut tokens = Tokens::default();
        let return_path = self.return_path().filter(|path| !path.is_empty());
        if let Some(path) = &return_path {
            tokens.note_local(path);
        }
        let own = &message.fields;
        for name in [
            "to",
            "delivered-to",
            "x-original-to",
            "envelope-to",
            "x-envelope-to",
        ] {
            own.all(name)
                .flat_map(addresses)
                .for_each(|found| tokens.note_local(found.address));
        }
        let answered = own.all("in-reply-to").chain(own.all("references"));
        let ids = self
            .fields
            .all("message-id")
            .chain(self.fields.all("x-original-message-id"));
        ids.chain(answered).for_each(|id| tokens.note(id));
        for name in ["x-mailwright-ref", "cfbl-feedback-id"] {
            self.fields
                .all(name)
                .chain(own.all(name))
                .for_each(|value| tokens.note(value));
        }
        self.fields
            .all("list-unsubscribe")
            .for_each(|value| tokens.note(value));
        Original {
            message_id: self.message_id().or_else(|| answered_id(own)),
            return_path,
            tokens: tokens.into_vec(),
        }
    }
}

/// Recipients of an original that are looked at.
const MOST_RECIPIENTS: usize = 500;

/// The fields of a message or a header section; blank lines before it are skipped.
fn fields_of(octets: &[u8]) -> Fields {
    section(octets).0
}

/// The message that a report says it answers.
fn answered_id(own: &Fields) -> Option<String> {
    let names = [
        "x-original-message-id",
        "original-message-id",
        "in-reply-to",
    ];
    names
        .iter()
        .find_map(|name| own.first(name))
        .and_then(bare_id)
}

/// The first message identifier of a field, without angle brackets.
pub fn bare_id(value: &str) -> Option<String> {
    let value = value.trim();
    let inner = match value.split_once('<') {
        Some((_, rest)) => rest.split('>').next()?,
        None => value.split_whitespace().next()?,
    };
    let id: String = inner.chars().filter(|c| !c.is_whitespace()).collect();
    (!id.is_empty()).then_some(id)
}

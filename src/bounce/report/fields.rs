//! Blocks of `Name: value` lines: header sections, delivery-status groups, feedback reports.
//!
//! Read as leniently as they are written: names compare without case, a line that is no field continues the one before.

use mail_parser::MessageParser;

/// Fields in order, names in lower case, values unfolded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

/// Fields of a block that are kept.
const MOST_FIELDS: usize = 500;
/// Octets of a value that are kept.
const LONGEST_VALUE: usize = 8 * 1024;

impl Fields {
    /// Reads lines up to the first empty one.
    pub fn read<'t>(lines: impl IntoIterator<Item = &'t str>) -> Self {
        let mut fields = Self::default();
        for line in lines {
            if line.trim().is_empty() {
                break;
            }
            match name_and_value(line) {
                Some((name, value)) if fields.0.len() < MOST_FIELDS => {
                    let value = cut(value.trim(), LONGEST_VALUE);
                    fields.0.push((name.to_ascii_lowercase(), value.to_owned()));
                }
                Some(_) => break,
                None => fields.unfold(line),
            }
        }
        fields
    }

    fn unfold(&mut self, line: &str) {
        let Some((_, value)) = self.0.last_mut() else {
            return;
        };
        if value.len() + line.len() < LONGEST_VALUE {
            if !value.is_empty() {
                value.push(' ');
            }
            value.push_str(line.trim());
        }
    }

    /// The first value of this name (in lower case) that is not empty.
    pub fn first(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter();
        let found = fields.find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let fields = self.0.iter().filter(move |(known, _)| known == name);
        fields.map(|(_, value)| value.as_str())
    }

    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds fields of another block behind the own ones.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The first value of this name with its encoded words (RFC 2047) decoded, in lower case.
    pub fn words(&self, name: &str) -> String {
        let Some(value) = self.first(name) else {
            return String::new();
        };
        let section = format!("Subject: {value}\r\n\r\n");
        let parsed = MessageParser::new()
            .with_mime_headers()
            .header_text(mail_parser::HeaderName::Subject)
            .parse_headers(section.as_bytes())
            .and_then(|message| message.subject().map(str::to_lowercase));
        parsed.unwrap_or_else(|| value.to_lowercase())
    }
}

/// `Name` and what is behind the colon. A name is what RFC 5322 §2.2 lets be one.
pub fn name_and_value(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let name = name.trim_end();
    let is_name = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    (!name.is_empty() && name.len() <= 76 && name.bytes().all(is_name)).then_some((name, value))
}

/// The longest beginning of at most `most` octets.
pub fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_carelessly_as_they_are_written() {
        let block = "Subject: =?utf-8?Q?Zur=C3=BCck?=\nContent-Type: multipart/mixed;\nboundary=\"x\"\n\
                     X-Empty:\nx-empty:  two\n three\n\nTo: nobody@example.net";
        let fields = Fields::read(block.lines());
        assert_eq!(fields.words("subject"), "zurück");
        assert_eq!(
            fields.first("content-type"),
            Some("multipart/mixed; boundary=\"x\"")
        );
        assert_eq!(fields.first("x-empty"), Some("two three"));
        assert!(!fields.has("to"), "it is behind the empty line");
    }

    #[test]
    fn what_looks_like_a_sentence_is_no_field() {
        for line in ["We are sorry: no", ": x", "no colon"] {
            assert_eq!(name_and_value(line), None, "{line}");
        }
    }

    #[test]
    fn a_cut_is_at_a_character() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("ab", 9), "ab");
    }
}

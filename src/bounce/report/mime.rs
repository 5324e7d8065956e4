//! The parts of a message (RFC 2045, RFC 2046), of which only those that a report can be made of are kept.
//!
//! mail-parser decodes; taking the message apart is done here. Its parser builds one nested value for every nested
//! message and frees it by recursion, which a hostile message makes as deep as it likes, and what does not fit the
//! boundary that is announced is lost; notices are often broken in just that way.

use super::fields::{Fields, cut};
use super::lines::{Line, lines};
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::html::html_to_text;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;

/// A message: its header section and the parts that matter, in order.
#[derive(Debug, Default)]
pub struct Message {
    pub fields: Fields,
    pub kind: ContentType,
    pub parts: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// What a person is to read.
    Text(String),
    /// The same for a browser, made into text.
    Html(String),
    /// `message/delivery-status` (RFC 3464) or `message/global-delivery-status` (RFC 6533).
    Status(String),
    /// `message/feedback-report` (RFC 5965).
    Feedback(String),
    /// `message/disposition-notification` (RFC 8098).
    Receipt,
    /// A message or its header section, as it came.
    Original(Vec<u8>),
}

/// Media type in lower case, and the parameters that matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentType {
    pub media: String,
    pub boundary: Option<String>,
    charset: Option<String>,
    pub report_type: Option<String>,
}

/// How deep parts may be in parts.
const DEEPEST: usize = 8;
/// Parts of a message that are looked at.
const MOST_PARTS: usize = 64;
/// Octets of a message that are looked at.
const LARGEST: usize = 4 << 20;
/// Octets of a header section.
const LARGEST_HEADER: usize = 256 << 10;
/// Octets of a part that are decoded.
const LARGEST_PART: usize = 256 << 10;

/// Takes a message apart.
pub fn read(octets: &[u8]) -> Message {
    let octets = octets.get(..LARGEST).unwrap_or(octets);
    let (fields, body) = section(octets);
    let kind = ContentType::of(&fields);
    let mut walk = Walk {
        parts: Vec::new(),
        left: MOST_PARTS,
    };
    walk.entity(&fields, body, DEEPEST);
    if walk.parts.is_empty() || hides_status(&walk.parts) {
        walk.recover(body);
    }
    Message {
        fields,
        kind,
        parts: walk.parts,
    }
}

/// The header section of a message, and its body. An envelope line of a mailbox file before it is skipped.
pub fn section(octets: &[u8]) -> (Fields, &[u8]) {
    let mut header = Vec::new();
    let mut end = 0;
    for line in lines(octets) {
        let is_envelope = header.is_empty() && line.text.starts_with(b"From ");
        if line.end > LARGEST_HEADER {
            break;
        }
        end = line.end;
        match line.is_blank() {
            true if header.is_empty() => continue,
            true => break,
            false if is_envelope => continue,
            false => header.push(String::from_utf8_lossy(line.text)),
        }
    }
    let fields = Fields::read(header.iter().map(|line| &**line));
    (fields, octets.get(end..).unwrap_or_default())
}

struct Walk {
    parts: Vec<Part>,
    left: usize,
}

impl Walk {
    fn entity(&mut self, fields: &Fields, body: &[u8], depth: usize) {
        let Some(left) = self.left.checked_sub(1) else {
            return;
        };
        self.left = left;
        let kind = ContentType::of(fields);
        if kind.media.starts_with("multipart/") {
            let boundary = kind.boundary.as_deref().unwrap_or_default();
            return self.multipart(body, boundary, depth);
        }
        let encoding = fields
            .first("content-transfer-encoding")
            .unwrap_or_default();
        let body = body.get(..LARGEST_PART).unwrap_or(body);
        self.parts.extend(part(&kind, &decoded(encoding, body)));
    }

    fn multipart(&mut self, body: &[u8], boundary: &str, depth: usize) {
        let Some(deeper) = depth.checked_sub(1) else {
            return;
        };
        let mut open: Option<usize> = None;
        for line in lines(body) {
            let Some(end_of_all) = delimiter(line.text, boundary) else {
                continue;
            };
            let before = body.get(open.unwrap_or(0)..line.start).unwrap_or_default();
            match open {
                Some(_) => self.child(before, deeper),
                None => self.preamble(before),
            }
            open = Some(line.end);
            if end_of_all {
                return;
            }
        }
        // The last part may lack its delimiter.
        if let Some(start) = open {
            self.child(body.get(start..).unwrap_or_default(), deeper);
        }
    }

    fn child(&mut self, octets: &[u8], depth: usize) {
        // A part that begins with an empty line has no header section.
        let is_bare = lines(octets).next().is_some_and(|line| line.is_blank());
        let (fields, body) = match is_bare {
            true => (Fields::default(), octets),
            false => section(octets),
        };
        // Some programs put the message there without saying that it is one.
        let is_message = fields.has("received") && fields.has("message-id");
        match is_message && self.left > 0 {
            true => self.message(octets),
            false => self.entity(&fields, body, depth),
        }
    }

    fn message(&mut self, octets: &[u8]) {
        self.left -= 1;
        let octets = octets.get(..LARGEST_PART).unwrap_or(octets);
        self.parts.push(Part::Original(octets.to_vec()));
    }

    /// Some programs write the notice before the first part.
    fn preamble(&mut self, octets: &[u8]) {
        const SENTENCE: usize = 200;
        if octets.len() > SENTENCE {
            let octets = octets.get(..LARGEST_PART).unwrap_or(octets);
            self.parts.push(Part::Text(text(None, octets)));
        }
    }

    /// The body is not cut as its header says: whatever delimits parts in it is taken, or it is one text.
    fn recover(&mut self, body: &[u8]) {
        let delimiter = lines(body)
            .zip(lines(body).skip(1))
            .find(|(line, next)| line.text.starts_with(b"--") && begins_part(next));
        let boundary = delimiter.map(|(line, _)| String::from_utf8_lossy(line.trimmed()));
        let boundary = boundary.as_deref().and_then(|line| line.strip_prefix("--"));
        if let Some(boundary) = boundary {
            self.parts.clear();
            self.multipart(body, boundary, DEEPEST);
        }
        if self.parts.is_empty() {
            let body = body.get(..LARGEST_PART).unwrap_or(body);
            self.parts.push(Part::Text(text(None, body)));
        }
    }
}

/// Whether a line delimits parts, and whether it is the last to.
pub(crate) fn delimiter(line: &[u8], boundary: &str) -> Option<bool> {
    let rest = line
        .strip_prefix(b"--")?
        .strip_prefix(boundary.as_bytes())?;
    match rest.trim_ascii() {
        b"" if !boundary.is_empty() => Some(false),
        b"--" if !boundary.is_empty() => Some(true),
        _ => None,
    }
}

fn begins_part(line: &Line<'_>) -> bool {
    line.text
        .get(..8)
        .is_some_and(|name| name.eq_ignore_ascii_case(b"content-"))
}

/// A text that has a delivery status as a part of it, because nobody announced that there are parts.
fn hides_status(parts: &[Part]) -> bool {
    let hides = |text: &String| {
        let mut lines = text.lines();
        lines.any(|line| {
            line.to_ascii_lowercase()
                .starts_with("content-type: message/delivery-status")
        })
    };
    matches!(parts, [Part::Text(text)] if hides(text))
}

fn part(kind: &ContentType, body: &[u8]) -> Option<Part> {
    let (major, minor) = kind.media.split_once('/').unwrap_or((&kind.media, ""));
    let read = || text(kind.charset.as_deref(), body);
    match (major, minor) {
        (_, minor) if minor.ends_with("delivery-status") => Some(Part::Status(read())),
        (_, "feedback-report") => Some(Part::Feedback(read())),
        (_, "disposition-notification") => Some(Part::Receipt),
        (_, "rfc822" | "rfc822-headers" | "rfc822-header" | "global" | "global-headers")
        | ("message", _) => Some(Part::Original(body.to_vec())),
        ("text", "html") => Some(Part::Html(html_to_text(&read()))),
        ("text" | "", _) => Some(Part::Text(read())),
        _ => None,
    }
}

pub(crate) fn decoded<'b>(encoding: &str, body: &'b [u8]) -> std::borrow::Cow<'b, [u8]> {
    let decoded = match encoding.trim().to_ascii_lowercase().as_str() {
        "base64" => base64_decode(&base64_lines(body)),
        "quoted-printable" => quoted_printable_decode(body),
        _ => None,
    };
    decoded.map_or(body.into(), Into::into)
}

/// The lines that are base64: something is often added behind.
fn base64_lines(body: &[u8]) -> Vec<u8> {
    let is_base64 =
        |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'=');
    let lines = lines(body).map(|line| line.text.trim_ascii());
    let lines = lines.skip_while(|line| line.is_empty());
    let lines = lines.take_while(|line| line.iter().all(is_base64));
    lines.flatten().copied().collect()
}

/// Octets as text. What is valid UTF-8 beyond ASCII is that, whatever its label says; ISO-2022-JP shows itself.
pub(crate) fn text(charset: Option<&str>, octets: &[u8]) -> String {
    let label = match charset {
        _ if memchr::memmem::find(octets, b"\x1b$").is_some() => Some("iso-2022-jp"),
        Some(label) if !octets.is_ascii() => Some(label),
        _ => None,
    };
    let is_utf16 = charset.is_some_and(|label| label.to_ascii_lowercase().starts_with("utf-16"));
    if let Ok(text) = std::str::from_utf8(octets)
        && !is_utf16
        && label != Some("iso-2022-jp")
    {
        return text.to_owned();
    }
    let decoder = label
        .or(charset)
        .and_then(|label| charset_decoder(label.as_bytes()));
    match decoder {
        Some(decode) => decode(octets),
        None => String::from_utf8_lossy(octets).into_owned(),
    }
}

impl ContentType {
    pub fn of(fields: &Fields) -> Self {
        let value = fields.first("content-type").unwrap_or_default();
        let (media, parameters) = value.split_once(';').unwrap_or((value, ""));
        // Some forget the semicolon.
        let media = media.split_whitespace().next().unwrap_or_default();
        Self {
            media: media.to_ascii_lowercase(),
            boundary: parameter(parameters, "boundary"),
            charset: parameter(parameters, "charset"),
            report_type: parameter(parameters, "report-type")
                .map(|value| value.to_ascii_lowercase()),
        }
    }
}

/// The value of a parameter of a field, without quotes.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    let lower = parameters.to_ascii_lowercase();
    let found = lower.match_indices(name).find_map(|(at, _)| {
        let before = lower.get(..at)?.chars().next_back();
        let is_start = before.is_none_or(|c| c.is_whitespace() || matches!(c, ';' | '"'));
        let rest = parameters.get(at + name.len()..)?.trim_start();
        rest.strip_prefix('=').filter(|_| is_start)
    })?;
    let value = found.trim_start();
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => value.split([';', ' ', '\t']).next()?,
    };
    (!value.is_empty()).then(|| cut(value, 256).to_owned())
}

#[cfg(test)]
mod tests;

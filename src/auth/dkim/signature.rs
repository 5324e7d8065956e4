//! The DKIM-Signature field: which fields it covers, and how it is written (RFC 6376 §3.5).

use super::canon::{BodyHash, relaxed_field, relaxed_value};
use crate::mail::headers::{self, HeaderSection};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use std::collections::HashMap;

/// How far a signature binds a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cover {
    /// Named once more than the message has it, so that none can be added, not even the first.
    Sealed,
    /// Sealed where the message has it; may be added where it has none.
    SealedIfPresent,
    /// Every one that is there.
    Present,
}

/// The fields that say who speaks, to whom, what about, how the body is read, and how to leave the list.
const COVERED: &[(&str, Cover)] = &[
    ("from", Cover::Sealed),
    ("reply-to", Cover::Sealed),
    ("to", Cover::Sealed),
    ("cc", Cover::Sealed),
    ("subject", Cover::Sealed),
    ("sender", Cover::SealedIfPresent),
    ("date", Cover::SealedIfPresent),
    ("message-id", Cover::SealedIfPresent),
    ("in-reply-to", Cover::SealedIfPresent),
    ("references", Cover::SealedIfPresent),
    ("mime-version", Cover::SealedIfPresent),
    ("content-type", Cover::SealedIfPresent),
    ("content-transfer-encoding", Cover::SealedIfPresent),
    // RFC 8058 §3.1: there is exactly one of each, and both are signed.
    ("list-unsubscribe", Cover::SealedIfPresent),
    ("list-unsubscribe-post", Cover::SealedIfPresent),
    // Ours: the client's are stripped, so there is at most one.
    ("x-mailwright-ref", Cover::SealedIfPresent),
    ("x-mailwright-lint", Cover::SealedIfPresent),
    ("x-mailwright-alignment", Cover::SealedIfPresent),
    ("feedback-id", Cover::Present),
    ("cfbl-address", Cover::Present),
    ("cfbl-feedback-id", Cover::Present),
];

/// Further fields of RFC 2369 and RFC 2919: covered whatever the name behind the hyphen.
const LIST_FIELDS: &str = "list-";

/// What the signatures of one message share: the covered names, and their fields in canonical form.
pub(super) struct Covered {
    names: Vec<String>,
    canonical: Vec<u8>,
}

impl Covered {
    pub(super) fn of(head: &HeaderSection) -> Self {
        let mut covered = Self {
            names: Vec::with_capacity(24),
            canonical: Vec::with_capacity(1024),
        };
        for (name, cover) in COVERED {
            covered.add(head, name, *cover);
        }
        for (name, fields) in further(head, &covered.names) {
            for field in fields.into_iter().rev() {
                relaxed_field(field, &mut covered.canonical);
                covered.names.push(name.clone());
            }
        }
        covered
    }

    /// What the h= tag has of a message with Date and Message-ID, whatever else it has: the intake puts in what is
    /// missing of these.
    pub(super) fn always() -> impl Iterator<Item = &'static str> {
        let is_there = |name: &str| matches!(name, "date" | "message-id");
        let covered = COVERED.iter();
        let covered =
            covered.filter(move |(name, cover)| matches!(cover, Cover::Sealed) || is_there(name));
        covered.map(|(name, _)| *name)
    }

    /// As the h= tag has them.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Verifiers take the fields of a name from the last upwards (RFC 6376 §5.4.2).
    fn add(&mut self, head: &HeaderSection, name: &str, cover: Cover) {
        let mut found = 0;
        for field in head.all(name).rev() {
            relaxed_field(field, &mut self.canonical);
            self.names.push(name.to_owned());
            found += 1;
        }
        let seal = match cover {
            Cover::Sealed => true,
            Cover::SealedIfPresent => found > 0,
            Cover::Present => false,
        };
        if seal {
            self.names.push(name.to_owned());
        }
    }
}

/// The fields of lists that are not covered yet, by name, in the order of each name's first. One pass: a stranger decides
/// how many there are.
fn further<'h>(
    head: &'h HeaderSection,
    covered: &[String],
) -> Vec<(String, Vec<headers::Field<'h>>)> {
    let mut groups: Vec<(String, Vec<headers::Field<'h>>)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for field in head.fields() {
        let name = field.name().to_ascii_lowercase();
        if !name.starts_with(LIST_FIELDS) || covered.contains(&name) {
            continue;
        }
        let at = *known.entry(name).or_insert_with_key(|name| {
            groups.push((name.clone(), Vec::new()));
            groups.len() - 1
        });
        if let Some((_, fields)) = groups.get_mut(at) {
            fields.push(field);
        }
    }
    groups
}

/// The tags that differ between the signatures of a message.
pub(super) struct Tags<'a> {
    pub algorithm: &'a str,
    pub domain: &'a str,
    pub selector: &'a str,
    /// Seconds since the epoch.
    pub time: u64,
    pub expires: Option<u64>,
}

/// A signature field up to its empty `b=`, and the octets to sign.
pub(super) struct Unsigned {
    /// From the field name on; `b=` comes last.
    field: Field,
    pub input: Vec<u8>,
}

impl Unsigned {
    pub(super) fn new(tags: &Tags<'_>, covered: &Covered, body: &BodyHash) -> Self {
        let mut field = Field::new();
        field.tag("v=1;");
        field.tag(&format!("a={};", tags.algorithm));
        field.tag("c=relaxed/relaxed;");
        field.tag(&format!("d={};", tags.domain));
        field.tag(&format!("s={};", tags.selector));
        field.tag(&format!("t={};", tags.time));
        if let Some(expires) = tags.expires {
            field.tag(&format!("x={expires};"));
        }
        field.names(&covered.names);
        field.tag(&format!("bh={};", BASE64.encode(body.as_ref())));
        field.tag("b=");

        let mut input = Vec::with_capacity(covered.canonical.len() + field.text.len());
        input.extend_from_slice(&covered.canonical);
        input.extend_from_slice(b"dkim-signature:");
        relaxed_value(field.value().as_bytes(), &mut input);
        Self { field, input }
    }

    /// The whole field with its closing CRLF. Verifiers drop the white space within `b=`.
    pub(super) fn signed(mut self, signature: &[u8]) -> Vec<u8> {
        self.field.base64(&BASE64.encode(signature));
        self.field.text.push_str("\r\n");
        self.field.text.into_bytes()
    }
}

/// A folded field under construction.
struct Field {
    text: String,
    column: usize,
}

const NAME: &str = "DKIM-Signature:";
const FOLD: &str = "\r\n\t";
/// A tab counts as eight columns for who reads it, and for us.
const FOLD_COLUMNS: usize = 8;
/// RFC 5322 §2.1.1 recommends 78 at most.
const MAX_COLUMNS: usize = 76;

impl Field {
    fn new() -> Self {
        Self {
            text: NAME.to_owned(),
            column: NAME.len(),
        }
    }

    fn value(&self) -> &str {
        self.text.strip_prefix(NAME).unwrap_or_default()
    }

    fn fold(&mut self) {
        self.text.push_str(FOLD);
        self.column = FOLD_COLUMNS;
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += text.len();
    }

    /// A tag with its semicolon, on this line or the next.
    fn tag(&mut self, tag: &str) {
        if self.column + 1 + tag.len() > MAX_COLUMNS {
            self.fold();
        } else {
            self.push(" ");
        }
        self.push(tag);
    }

    /// `h=`, folded behind its colons.
    fn names(&mut self, names: &[String]) {
        for (i, name) in names.iter().enumerate() {
            let end = if i + 1 < names.len() { ":" } else { ";" };
            if i == 0 {
                self.tag(&format!("h={name}{end}"));
                continue;
            }
            if self.column + name.len() + end.len() > MAX_COLUMNS {
                self.fold();
            }
            self.push(name);
            self.push(end);
        }
    }

    fn base64(&mut self, mut text: &str) {
        while !text.is_empty() {
            if self.column >= MAX_COLUMNS {
                self.fold();
            }
            let (piece, rest) = text.split_at(text.len().min(MAX_COLUMNS - self.column));
            self.push(piece);
            text = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::dkim::BodyHasher;
    use proptest::prelude::*;

    fn covered(text: &str) -> Covered {
        Covered::of(&HeaderSection::parse(text.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn what_could_be_spoofed_is_named_once_more_than_it_is_there() {
        let covered = covered(
            "List-Unsubscribe: <https://x.test/u>\r\nFrom: a@b.test\r\nList-Id: <l.b.test>\r\nDate: now\r\n\
             List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nFeedback-ID: 1\r\nX-Other: 1\r\n",
        );
        assert_eq!(
            covered.names.join(":"),
            "from:from:reply-to:to:cc:subject:date:date:list-unsubscribe:list-unsubscribe:\
             list-unsubscribe-post:list-unsubscribe-post:feedback-id:list-id"
        );
        assert!(
            covered
                .canonical
                .starts_with(b"from:a@b.test\r\ndate:now\r\n")
        );
    }

    #[test]
    fn what_is_covered_in_any_message_is_covered_in_the_least_one() {
        let least = covered("From: a@b.test\r\nDate: now\r\nMessage-ID: <1@b.test>\r\n");
        let always: Vec<&str> = Covered::always().collect();
        for name in ["from", "to", "subject", "date", "message-id"] {
            assert!(always.contains(&name), "{always:?}");
        }
        for name in always {
            assert!(least.names.iter().any(|covered| covered == name), "{name}");
        }
    }

    #[test]
    fn several_fields_of_a_name_go_in_from_the_last_upwards() {
        let covered = covered("To: one\r\nFrom: f\r\nTo: two\r\n");
        assert_eq!(covered.canonical, b"from:f\r\nto:two\r\nto:one\r\n");
        assert_eq!(
            covered.names.join(":"),
            "from:from:reply-to:to:to:to:cc:subject"
        );
    }

    proptest! {
        #[test]
        fn the_field_is_folded_within_78_columns_and_reads_back(
            lists in proptest::collection::vec("[a-z]{1,30}", 0..12), signature: Vec<u8>,
        ) {
            let head: String = lists.iter().map(|name| format!("List-{name}: x\r\n")).collect();
            let tags = Tags { algorithm: "rsa-sha256", domain: "mail.example.com", selector: "s1", time: 1_700_000_000, expires: Some(1_800_000_000) };
            let covered = covered(&format!("From: a@b.test\r\n{head}"));
            let unsigned = Unsigned::new(&tags, &covered, &BodyHasher::new().finish());
            let field = String::from_utf8(unsigned.signed(&signature)).unwrap();
            for line in field.trim_end().split("\r\n") {
                prop_assert!(line.replace('\t', "        ").len() <= 78, "{line}");
            }
            let section = HeaderSection::parse(field.into_bytes()).unwrap();
            let text: String = section.first("DKIM-Signature").unwrap().text().split_whitespace().collect();
            prop_assert!(text.ends_with(&format!(";b={}", BASE64.encode(&signature))), "{}", text);
        }
    }
}

//! Header section: scanning and editing, octet for octet (RFC 5322 §2.2).
//!
//! A section is read once into the places of its fields. Editing moves, drops and adds places; the octets of a field
//! that stays are never rewritten, so that what was signed elsewhere stays valid.

use memchr::memchr_iter;
use std::borrow::Cow;

/// The header section of a message as a list of fields, in order.
#[derive(Clone, Default)]
pub struct HeaderSection {
    /// Octets of all fields ever held; a removed field leaves its octets behind.
    octets: Vec<u8>,
    fields: Vec<Place>,
}

/// Where a field stands in the octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    start: usize,
    colon: usize,
    end: usize,
}

/// One field as it stands in a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    raw: &'a [u8],
    colon: usize,
}

/// What keeps octets from being a header section. Lines are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("header line {0} has no field name before a colon")]
    NoName(usize),
    #[error("header line {0} has a space or an illegal octet in its field name")]
    BadName(usize),
    #[error("the first header line begins with a space, as a continuation of nothing")]
    Orphan,
    #[error("header line {0} holds nothing but white space")]
    Blank(usize),
    #[error("header line {0} holds a bare CR, a bare LF or a NUL")]
    BareControl(usize),
}

impl HeaderSection {
    /// Where the header section that starts `octets` ends: the position behind its closing empty line, or `None`
    /// while that has not arrived. `seen` is how much an earlier call looked at already.
    pub fn end(octets: &[u8], seen: usize) -> Option<usize> {
        if octets.starts_with(b"\r\n") {
            return Some(2);
        }
        let from = seen.saturating_sub(3);
        let fresh = octets.get(from..)?;
        memchr::memmem::find(fresh, b"\r\n\r\n").map(|at| from + at + 4)
    }

    /// Reads a section, with or without its closing empty line. Whatever two readers could take differently is
    /// refused: a name with a space before the colon, a continuation line of white space only, a bare CR or LF.
    pub fn parse(mut octets: Vec<u8>) -> Result<Self, HeaderError> {
        if octets == b"\r\n" || octets.ends_with(b"\r\n\r\n") {
            octets.truncate(octets.len() - 2);
        } else if !octets.is_empty() && !octets.ends_with(b"\r\n") {
            octets.extend_from_slice(b"\r\n");
        }
        let mut fields: Vec<Place> = Vec::new();
        let mut start = 0;
        for (number, newline) in memchr_iter(b'\n', &octets).enumerate() {
            let (number, end) = (number + 1, newline + 1);
            let line = octets.get(start..end).unwrap_or_default();
            let content = line
                .strip_suffix(b"\r\n")
                .ok_or(HeaderError::BareControl(number))?;
            if memchr::memchr2(b'\r', 0, content).is_some() {
                return Err(HeaderError::BareControl(number));
            }
            if line.starts_with(b" ") || line.starts_with(b"\t") {
                let field = fields.last_mut().ok_or(HeaderError::Orphan)?;
                if content.iter().all(|octet| is_wsp(*octet)) {
                    return Err(HeaderError::Blank(number));
                }
                field.end = end;
            } else {
                let colon = start + name_length(content, number)?;
                fields.push(Place { start, colon, end });
            }
            start = end;
        }
        Ok(Self { octets, fields })
    }

    /// The fields in order.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = Field<'_>> {
        self.fields.iter().map(|place| self.field(*place))
    }

    /// The fields of this name, in order. Names compare without case (RFC 5322 §1.2.2).
    pub fn all<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = Field<'a>> {
        self.fields().filter(move |field| field.is(name))
    }

    /// The first field of this name.
    pub fn first(&self, name: &str) -> Option<Field<'_>> {
        self.fields().find(|field| field.is(name))
    }

    pub fn count(&self, name: &str) -> usize {
        self.fields().filter(|field| field.is(name)).count()
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Octets as sent, closing empty line included.
    pub fn len(&self) -> usize {
        self.fields
            .iter()
            .map(|place| place.end - place.start)
            .sum::<usize>()
            + 2
    }

    /// Any octet over 127.
    pub fn is_eight_bit(&self) -> bool {
        self.fields().any(|field| !field.raw.is_ascii())
    }

    /// Drops every field of which `unwanted` is true.
    pub fn remove(&mut self, mut unwanted: impl FnMut(Field<'_>) -> bool) {
        let octets = &self.octets;
        self.fields
            .retain(|place| !unwanted(Field::at(octets, *place)));
    }

    /// Puts a field in front of all others. `value` must be without CR and LF but for folding; use [`folded`] on
    /// text from elsewhere.
    pub fn prepend(&mut self, name: &str, value: &str) {
        let place = self.write(name, value);
        self.fields.insert(0, place);
    }

    /// Puts a field behind all others.
    pub fn append(&mut self, name: &str, value: &str) {
        let place = self.write(name, value);
        self.fields.push(place);
    }

    /// The first field of this name is replaced where it stands; `false` where there is none.
    pub fn replace(&mut self, name: &str, value: &str) -> bool {
        let Some(index) = self.fields().position(|field| field.is(name)) else {
            return false;
        };
        let place = self.write(name, value);
        if let Some(slot) = self.fields.get_mut(index) {
            *slot = place;
        }
        true
    }

    /// The section as it is sent, closing empty line included, behind `before` (whole fields, as a signer makes them).
    pub fn to_octets(&self, before: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(before.len() + self.len());
        out.extend_from_slice(before);
        for field in self.fields() {
            out.extend_from_slice(field.raw);
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    fn field(&self, place: Place) -> Field<'_> {
        Field::at(&self.octets, place)
    }

    fn write(&mut self, name: &str, value: &str) -> Place {
        let start = self.octets.len();
        self.octets.extend_from_slice(name.as_bytes());
        let colon = self.octets.len();
        self.octets.extend_from_slice(b": ");
        self.octets.extend_from_slice(value.as_bytes());
        self.octets.extend_from_slice(b"\r\n");
        let end = self.octets.len();
        Place { start, colon, end }
    }
}

impl PartialEq for HeaderSection {
    fn eq(&self, other: &Self) -> bool {
        self.fields().eq(other.fields())
    }
}

impl Eq for HeaderSection {}

impl std::fmt::Debug for HeaderSection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.fields()).finish()
    }
}

impl<'a> Field<'a> {
    fn at(octets: &'a [u8], place: Place) -> Self {
        Self {
            raw: octets.get(place.start..place.end).unwrap_or_default(),
            colon: place.colon - place.start,
        }
    }

    /// Name, colon, value, folding and closing CRLF.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    pub fn name(&self) -> &'a str {
        // A name is ASCII: the scan refused anything else.
        std::str::from_utf8(self.name_octets()).unwrap_or_default()
    }

    fn name_octets(&self) -> &'a [u8] {
        self.raw.get(..self.colon).unwrap_or_default()
    }

    pub fn is(&self, name: &str) -> bool {
        self.name_octets().eq_ignore_ascii_case(name.as_bytes())
    }

    /// What stands behind the colon, folding included, without the closing CRLF.
    pub fn value(&self) -> &'a [u8] {
        let value = self.raw.get(self.colon + 1..).unwrap_or_default();
        value.strip_suffix(b"\r\n").unwrap_or(value)
    }

    /// The value unfolded and trimmed (RFC 5322 §2.2.3); octets that are not UTF-8 become U+FFFD.
    pub fn text(&self) -> Cow<'a, str> {
        let value = self.value();
        if memchr::memchr(b'\r', value).is_none() {
            return match String::from_utf8_lossy(value) {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
                Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
            };
        }
        let unfolded = String::from_utf8_lossy(value).replace("\r\n", "");
        Cow::Owned(unfolded.trim().to_owned())
    }
}

impl std::fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name(), self.text())
    }
}

/// Space or tab (RFC 5234 appendix B.1).
pub fn is_wsp(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

/// Text from elsewhere made fit for a field: controls become spaces, lines longer than 78 columns are folded at spaces
/// (RFC 5322 §2.1.1), and words too long for any line are cut. `name` is the field's name, which takes room on the
/// first line.
pub fn folded(name: &str, text: &str) -> String {
    let clean = text.replace(|c: char| c.is_control(), " ");
    let words = clean.split(' ').filter(|word| !word.is_empty());
    let mut out = String::with_capacity(clean.len() + 8);
    let mut column = name.len() + 2;
    for (i, word) in words.flat_map(Pieces).enumerate() {
        if i > 0 && column + 1 + word.len() > MAX_COLUMNS {
            out.push_str("\r\n\t");
            column = 8;
        } else if i > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
    }
    out
}

/// A word in pieces of at most [`MAX_WORD`] octets.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;
    fn next(&mut self) -> Option<&'a str> {
        let (piece, rest) = self.0.split_at(self.0.floor_char_boundary(MAX_WORD));
        self.0 = rest;
        (!piece.is_empty()).then_some(piece)
    }
}

/// RFC 5322 §2.2: printable ASCII without the colon, at least one.
fn name_length(content: &[u8], line: usize) -> Result<usize, HeaderError> {
    let colon = memchr::memchr(b':', content).ok_or(HeaderError::NoName(line))?;
    let name = content.get(..colon).unwrap_or_default();
    if name.is_empty() {
        return Err(HeaderError::NoName(line));
    }
    if !name.iter().all(u8::is_ascii_graphic) {
        return Err(HeaderError::BadName(line));
    }
    Ok(colon)
}

/// RFC 5322 §2.1.1.
const MAX_COLUMNS: usize = 78;
/// With a field name in front a line stays under the 998 octets of RFC 5322 §2.1.1.
const MAX_WORD: usize = 900;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn section(text: &str) -> HeaderSection {
        HeaderSection::parse(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn fields_are_found_with_their_folding() {
        let head = section("From: a@b.test\r\nSubject: one\r\n\ttwo\r\n three\r\nfrom:x\r\n\r\n");
        assert_eq!(head.count("FROM"), 2);
        let subject = head.first("subject").unwrap();
        assert_eq!(subject.raw(), b"Subject: one\r\n\ttwo\r\n three\r\n");
        assert_eq!(subject.text(), "one\ttwo three");
        let values: Vec<_> = head.all("From").map(|f| f.text().into_owned()).collect();
        assert_eq!(values, ["a@b.test", "x"]);
    }

    #[test]
    fn what_two_readers_could_take_differently_is_refused() {
        for (text, error) in [
            ("no colon here\r\n", HeaderError::NoName(1)),
            ("A: b\r\n: x\r\n", HeaderError::NoName(2)),
            ("From : a@b.test\r\n", HeaderError::BadName(1)),
            ("Frém: a@b.test\r\n", HeaderError::BadName(1)),
            (" folded: from nothing\r\n", HeaderError::Orphan),
            ("A: b\r\n \t\r\nC: d\r\n", HeaderError::Blank(2)),
            ("A: b\nC: d\r\n", HeaderError::BareControl(1)),
            ("A: b\rC: d\r\n", HeaderError::BareControl(1)),
            ("A: b\0\r\n", HeaderError::BareControl(1)),
        ] {
            let found = HeaderSection::parse(text.as_bytes().to_vec());
            assert_eq!(found, Err(error), "{text:?}");
        }
    }

    #[test]
    fn editing_leaves_the_other_fields_octet_for_octet() {
        let mut head =
            section("To: x\r\nBcc: secret\r\n , more\r\nSubject:  odd  \r\n spacing \r\n");
        head.remove(|field| field.is("bcc"));
        head.prepend("Received", "here");
        head.append("Date", "now");
        assert!(head.replace("To", "y"));
        assert!(!head.replace("cc", "z"));
        assert_eq!(
            head.to_octets(b"Before: all\r\n"),
            b"Before: all\r\nReceived: here\r\nTo: y\r\nSubject:  odd  \r\n spacing \r\nDate: now\r\n\r\n"
        );
        assert_eq!(head.len(), head.to_octets(b"").len());
    }

    #[test]
    fn the_end_is_found_however_the_octets_arrive() {
        let text = b"A: b\r\nC: d\r\n\r\nbody\r\n\r\n";
        for cut in 0..text.len() {
            let early = HeaderSection::end(&text[..cut], 0);
            assert_eq!(early, (cut >= 14).then_some(14), "{cut}");
            if early.is_none() {
                assert_eq!(HeaderSection::end(text, cut), Some(14), "{cut}");
            }
        }
        assert_eq!(HeaderSection::end(b"\r\nbody", 0), Some(2));
    }

    #[test]
    fn text_from_elsewhere_cannot_end_its_field() {
        let out = folded("Subject", "a\r\nBcc: all@example.test\0 b");
        assert_eq!(out, "a Bcc: all@example.test b");
        let long = folded("Subject", &"\u{e9}".repeat(2000));
        assert!(long.split("\r\n\t").all(|line| line.len() <= 900));
    }

    proptest! {
        #[test]
        fn what_was_read_is_what_is_written(octets in "([!-9;-~]{1,8}:[ -~\t]{0,12}(\r\n[ \t]{1,3}[!-~]{1,9}){0,2}\r\n){0,6}") {
            let head = HeaderSection::parse(octets.clone().into_bytes()).unwrap();
            prop_assert_eq!(head.to_octets(b""), [octets.as_bytes(), b"\r\n"].concat());
        }

        #[test]
        fn any_octets_are_survived(octets: Vec<u8>) {
            if let Ok(head) = HeaderSection::parse(octets) {
                prop_assert_eq!(HeaderSection::parse(head.to_octets(b"")), Ok(head));
            }
        }

        #[test]
        fn folding_keeps_the_words_and_the_line_length(text in "\\PC{0,300}") {
            let out = folded("Subject", &text);
            let words: Vec<_> = text.split(' ').filter(|w| !w.is_empty()).collect();
            let kept: Vec<_> = out.split([' ', '\t']).map(str::trim_end).filter(|w| !w.is_empty()).collect();
            if text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
                prop_assert_eq!(words, kept);
            }
            let controls = out.replace("\r\n\t", "").chars().any(char::is_control);
            prop_assert!(!controls);
        }
    }
}

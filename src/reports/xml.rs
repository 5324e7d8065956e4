//! XML as reports use it: elements with text, nothing else.
//!
//! quick-xml pulls the events; this adds what it leaves to its user: one root, no entities but those of XML itself, names
//! without prefix, and bounds. A document that is not well-formed is refused as a whole: what is lost in it may be a
//! record.

use super::Unreadable;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

/// How deep elements may be in elements; RFC 9990 needs seven.
const DEEPEST: usize = 32;
/// Octets of the text of one element that are kept.
const LONGEST_TEXT: usize = 4096;

/// Hears of elements as they end.
pub trait Hearer {
    /// An element begins; `path` is the names from the root to it, in lower case.
    ///
    /// # Errors
    /// There are too many of them.
    fn begins(&mut self, path: &[String]) -> Result<(), Unreadable>;

    /// It ends, and this is the text in it, without white space around it.
    ///
    /// # Errors
    /// The text cannot be what the element needs.
    fn ends(&mut self, path: &[String], text: &str) -> Result<(), Unreadable>;
}

/// Reads a whole document.
///
/// # Errors
/// It is not well-formed, brings entities of its own, or the hearer refuses.
pub fn read(text: &str, hearer: &mut dyn Hearer) -> Result<(), Unreadable> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if let Some(at) = text.find(is_no_character) {
        return Err(Unreadable::new(format!(
            "the XML has a control character at octet {at}"
        )));
    }
    let mut walk = Walk {
        hearer,
        path: Vec::new(),
        text: String::new(),
        roots: 0,
    };
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    reader.config_mut().check_comments = true;
    loop {
        let event = reader.read_event();
        let at = reader.buffer_position();
        let event = event.map_err(|error| {
            Unreadable::new(format!("the XML is not well-formed at octet {at}: {error}"))
        })?;
        if matches!(event, Event::Eof) {
            return walk.finish();
        }
        walk.take(&event)
            .map_err(|error| error.within(&format!("at octet {at}")))?;
    }
}

/// XML 1.0 §2.2.
fn is_no_character(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

struct Walk<'h> {
    hearer: &'h mut dyn Hearer,
    path: Vec<String>,
    /// Since the last tag.
    text: String,
    roots: usize,
}

impl Walk<'_> {
    fn take(&mut self, event: &Event<'_>) -> Result<(), Unreadable> {
        match event {
            Event::Start(tag) => self.begin(tag),
            Event::End(_) => self.end(),
            Event::Text(text) => self.add(&text.xml10_content()),
            Event::CData(text) => self.add(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let resolved = resolve(reference)?;
                self.add(&resolved)
            }
            // `[` begins declarations, of entities among them. A mere name of a DTD is not followed.
            Event::DocType(declaration) if declaration.contains('[') => {
                Err(Unreadable::new("the XML brings a document type of its own"))
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, tag: &BytesStart<'_>) -> Result<(), Unreadable> {
        let name = tag.local_name();
        let name = name.as_ref();
        if !is_name(name) {
            return Err(Unreadable::new("an element of the XML has no valid name"));
        }
        if self.path.len() >= DEEPEST {
            return Err(Unreadable::new(format!(
                "elements of the XML are more than {DEEPEST} deep"
            )));
        }
        for attribute in tag.attributes() {
            attribute
                .map_err(|error| Unreadable::new(format!("the XML is not well-formed: {error}")))?;
        }
        if self.path.is_empty() {
            self.roots += 1;
            if self.roots > 1 {
                return Err(Unreadable::new(
                    "something follows the XML's outermost element",
                ));
            }
        }
        self.text.clear();
        self.path.push(name.to_ascii_lowercase());
        self.hearer.begins(&self.path)
    }

    fn end(&mut self) -> Result<(), Unreadable> {
        self.hearer.ends(&self.path, self.text.trim())?;
        self.text.clear();
        self.path.pop();
        Ok(())
    }

    fn add(&mut self, text: &str) -> Result<(), Unreadable> {
        if self.path.is_empty() {
            return match text.trim().is_empty() {
                true => Ok(()),
                false => Err(Unreadable::new(
                    "text stands outside the XML's outermost element",
                )),
            };
        }
        let room = LONGEST_TEXT.saturating_sub(self.text.len());
        self.text.push_str(super::text::cut(text, room));
        Ok(())
    }

    fn finish(self) -> Result<(), Unreadable> {
        if let Some(open) = self.path.last() {
            return Err(Unreadable::new(format!(
                "the XML ends within <{open}>: it is cut off"
            )));
        }
        match self.roots {
            0 => Err(Unreadable::new("the XML has no element")),
            _ => Ok(()),
        }
    }
}

/// A character by its number, or one of the five that XML knows.
fn resolve(reference: &BytesRef<'_>) -> Result<String, Unreadable> {
    let character = reference
        .resolve_char_ref()
        .map_err(|error| Unreadable::new(format!("the XML is not well-formed: {error}")))?;
    if let Some(character) = character {
        return Ok(character.to_string());
    }
    let known = quick_xml::escape::resolve_xml_entity(reference);
    known
        .map(str::to_owned)
        .ok_or_else(|| Unreadable::new("the XML uses an entity that XML does not know"))
}

/// As far as it matters: what a reader of names would stumble on.
fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    let begins = characters
        .next()
        .is_some_and(|c| c.is_alphabetic() || c == '_');
    begins && characters.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '\u{b7}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard(Vec<String>);

    impl Hearer for Heard {
        fn begins(&mut self, _: &[String]) -> Result<(), Unreadable> {
            Ok(())
        }

        fn ends(&mut self, path: &[String], text: &str) -> Result<(), Unreadable> {
            self.0.push(format!("{}={text}", path.join("/")));
            Ok(())
        }
    }

    fn heard(text: &str) -> Result<Vec<String>, Unreadable> {
        let mut heard = Heard::default();
        read(text, &mut heard).map(|()| heard.0)
    }

    #[test]
    fn elements_are_heard_without_prefix_case_comments_and_white_space() {
        let text = "\u{feff} <?xml version='1.0'?><!DOCTYPE f SYSTEM 'x'><n:F xmlns:n='u'>\n<!-- c --><A> a&amp;&#98;<![CDATA[<c>]]>\n</A>\
                    <b/>rest</n:F>\n";
        let expected = ["f/a=a&b<c>", "f/b=", "f=rest"];
        assert_eq!(heard(text).unwrap(), expected);
    }

    #[test]
    fn what_is_not_well_formed_is_refused_with_the_reason() {
        let deep = "<a>".repeat(40);
        for (text, why) in [
            ("", "no element"),
            ("<a>", "cut off"),
            ("<a><b></a>", "not well-formed"),
            ("<a></a><b/>", "follows"),
            ("<a/>tail", "outside"),
            ("<a>&nbsp;</a>", "entity"),
            ("<a>AT&T</a>", "not well-formed"),
            ("<a b=c/>", "not well-formed"),
            ("<a@b></a@b>", "valid name"),
            ("<a>\0</a>", "control character"),
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "document type"),
            (&deep, "deep"),
        ] {
            let refused = heard(text).unwrap_err().to_string();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        let text = format!("<a>{}</a>", "é".repeat(LONGEST_TEXT));
        let heard = heard(&text).unwrap();
        assert_eq!(heard[0].len(), "a=".len() + LONGEST_TEXT);
    }
}

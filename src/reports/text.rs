//! Texts of strangers: octets made into text, and cut to what is kept.

use super::Unreadable;
use mail_parser::decoders::charsets::map::charset_decoder;

/// Octets of a name or an id that are kept.
const LONGEST: usize = 256;

/// The first `most` octets of a text, or a few less so that no character is cut.
pub fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

/// A name or an id; `None` where it is empty.
pub fn name(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| cut(text, LONGEST).to_owned())
}

/// A word of a protocol, in lower case; `None` where it is empty.
pub fn word(text: &str) -> Option<String> {
    name(text).map(|text| text.to_ascii_lowercase())
}

/// A domain in lower case without its last dot; `None` where the text is none.
pub fn domain(text: &str) -> Option<String> {
    let text = word(text)?;
    let text = text.strip_suffix('.').unwrap_or(&text);
    let ascii = idna::domain_to_ascii(text).ok()?;
    let is_label = |label: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        !label.is_empty() && label.len() <= 63 && label.bytes().all(fits)
    };
    (ascii.len() <= 253 && ascii.split('.').all(is_label)).then_some(ascii)
}

/// A document as text: UTF-8, or as its byte order mark or its XML declaration says.
///
/// # Errors
/// It is not in the encoding it is said to be in.
pub fn decode(octets: &[u8]) -> Result<String, Unreadable> {
    let utf16 = matches!(octets, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
    let label = match utf16 {
        true => Some("utf-16".to_owned()),
        // What is declared in ASCII is not in UTF-16, whatever it says.
        false => declared(octets).filter(|label| !label.starts_with("utf-16")),
    };
    let Some(label) = label.filter(|label| !["utf-8", "utf8", "us-ascii"].contains(&&**label))
    else {
        return match std::str::from_utf8(octets) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(Unreadable::new(format!(
                "it is not UTF-8 at octet {}",
                error.valid_up_to()
            ))),
        };
    };
    match charset_decoder(label.as_bytes()) {
        Some(decode) => Ok(decode(octets)),
        None => Err(Unreadable::new("its encoding is not known")),
    }
}

/// The encoding that an XML declaration names, in lower case.
fn declared(octets: &[u8]) -> Option<String> {
    let head = octets.get(..200).unwrap_or(octets);
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let head = String::from_utf8_lossy(head.trim_ascii_start());
    let declaration = head.strip_prefix("<?xml")?.split("?>").next()?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let label = value.get(1..)?.split(quote).next()?;
    Some(label.trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_told_from_other_texts() {
        for (text, expected) in [
            (" Example.COM. ", Some("example.com")),
            ("bücher.example", Some("xn--bcher-kva.example")),
            ("_dmarc.example.com", Some("_dmarc.example.com")),
            ("", None),
            ("a..b", None),
            ("a b.example", None),
            ("<script>.example", None),
        ] {
            assert_eq!(domain(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn texts_are_in_the_encoding_they_are_said_to_be_in() {
        let text = |octets: &[u8]| decode(octets).map_err(|error| error.to_string());
        assert_eq!(text("é".as_bytes()).unwrap(), "é");
        assert_eq!(text(b"a\xe9").unwrap_err(), "it is not UTF-8 at octet 1");
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>";
        assert!(text(latin).unwrap().ends_with("<a>é</a>"));
        assert!(
            text(b"<?xml version='1.0' encoding=\"utf-16\"?><a>\xc3\xa9</a>")
                .unwrap()
                .ends_with("<a>é</a>")
        );
        assert!(text(b"\xff\xfe<\0a\0/\0>\0").unwrap().ends_with("<a/>"));
        assert!(text(b"<?xml version='1.0' encoding='klingon'?><a/>").is_err());
    }
}

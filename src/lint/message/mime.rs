//! The parts of a message that is about to leave (RFC 2045, RFC 2046): all of them, with what is wrong about them.
//!
//! Reports that come back are read elsewhere and far more leniently: there whatever can be a notice is taken for one,
//! here what a strict reader would not find is a fault.

use crate::bounce::report::lines::lines;
use crate::bounce::report::mime::{decoded, delimiter, text};
use crate::mail::headers::HeaderSection;
use mail_parser::{ContentType, MessageParser, MimeHeaders};

/// One part that holds no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// In lower case: `text/html`.
    pub media: String,
    /// The number of the multipart that it is in; 0 is the message itself.
    pub group: usize,
    /// The media type of that: `multipart/alternative`; empty where there is none.
    pub within: String,
    pub name: Option<String>,
    pub is_attachment: bool,
    /// Octets, decoded; of what is over [`LARGEST_TEXT`] as it stands.
    pub size: usize,
    /// Of text.
    pub text: String,
}

/// What a strict reader stumbles over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A multipart without a boundary.
    NoBoundary(String),
    /// Its boundary is nowhere in the body.
    NoParts(String),
    /// The last delimiter of a multipart is missing.
    Unclosed(String),
    /// A multipart in a transfer encoding of its own (RFC 2045 §6.4).
    Encoded(String),
    TooDeep,
    TooMany,
    /// The header section is longer than anybody reads.
    LongHeader,
}

const DEEPEST: usize = 8;
const MOST_PARTS: usize = 100;
const MOST_FAULTS: usize = 20;
/// Octets of a part that are decoded, and of all of them together.
const LARGEST_TEXT: usize = 2 << 20;
const LARGEST_TEXTS: usize = 8 << 20;
/// Octets of a part's header section.
const LARGEST_HEADER: usize = 64 << 10;
const LONGEST_NAME: usize = 256;

impl Part {
    pub fn is_html(&self) -> bool {
        self.media == "text/html" && !self.is_attachment
    }

    pub fn is_shown_text(&self) -> bool {
        self.media == "text/plain" && !self.is_attachment
    }
}

/// The parts of a body in order, and their faults.
pub fn read(head: &HeaderSection, body: &[u8]) -> (Vec<Part>, Vec<Fault>) {
    let mut walk = Walk {
        parts: Vec::new(),
        faults: Vec::new(),
        groups: 0,
        left: LARGEST_TEXTS,
    };
    let fields = fields_of(head);
    walk.entity(&fields, body, &Place::default());
    (walk.parts, walk.faults)
}

/// The fields that say how a body is read.
fn fields_of(head: &HeaderSection) -> Vec<u8> {
    let names = [
        "Content-Type",
        "Content-Transfer-Encoding",
        "Content-Disposition",
    ];
    let fields = head.fields();
    let fields = fields.filter(|field| names.iter().any(|name| field.is(name)));
    let mut octets: Vec<u8> = fields.flat_map(|field| field.raw()).copied().collect();
    octets.extend_from_slice(b"\r\n");
    octets
}

#[derive(Default)]
struct Place {
    depth: usize,
    group: usize,
    within: String,
}

struct Walk {
    parts: Vec<Part>,
    faults: Vec<Fault>,
    groups: usize,
    /// Octets that may still be decoded.
    left: usize,
}

/// What the fields of a part say of it.
#[derive(Default)]
struct Kind {
    media: String,
    boundary: String,
    charset: Option<String>,
    /// In lower case.
    encoding: String,
    name: Option<String>,
    is_attachment: bool,
}

impl Kind {
    fn read(head: &[u8]) -> Self {
        let parser = MessageParser::new().with_mime_headers();
        // Without fields there is nothing to read (RFC 2045 §5.2).
        let Some(parsed) = parser.parse_headers(head) else {
            return Self {
                media: "text/plain".to_owned(),
                ..Self::default()
            };
        };
        let kind = parsed.content_type();
        let attribute = |name| {
            kind.and_then(|kind| kind.attribute(name))
                .map(str::to_owned)
        };
        let disposition = parsed.content_disposition();
        let name = parsed.attachment_name();
        Self {
            media: media_of(kind),
            boundary: attribute("boundary").unwrap_or_default(),
            charset: attribute("charset"),
            encoding: parsed
                .content_transfer_encoding()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase(),
            name: name.map(|name| name.chars().take(LONGEST_NAME).collect()),
            is_attachment: disposition.is_some_and(|kind| kind.is_attachment()),
        }
    }
}

impl Walk {
    fn entity(&mut self, head: &[u8], body: &[u8], place: &Place) {
        let kind = Kind::read(head);
        if kind.media.starts_with("multipart/") {
            return self.multipart(kind, body, place);
        }
        if self.parts.len() >= MOST_PARTS {
            return self.fault(Fault::TooMany);
        }
        let part = self.part(kind, body, place);
        self.parts.push(part);
    }

    fn part(&mut self, kind: Kind, body: &[u8], place: &Place) -> Part {
        let mut part = Part {
            group: place.group,
            within: place.within.clone(),
            name: kind.name,
            is_attachment: kind.is_attachment,
            size: body.len(),
            text: String::new(),
            media: kind.media,
        };
        if part.media.starts_with("text/") {
            let read = body.get(..LARGEST_TEXT.min(self.left)).unwrap_or(body);
            self.left -= read.len();
            let octets = decoded(&kind.encoding, read);
            part.size = octets.len() + (body.len() - read.len());
            part.text = text(kind.charset.as_deref(), &octets);
        }
        part
    }

    fn multipart(&mut self, kind: Kind, body: &[u8], place: &Place) {
        let Kind {
            media,
            boundary,
            encoding,
            ..
        } = kind;
        if !matches!(&*encoding, "" | "7bit" | "8bit" | "binary") {
            self.fault(Fault::Encoded(media.clone()));
        }
        if boundary.is_empty() {
            return self.fault(Fault::NoBoundary(media));
        }
        if place.depth >= DEEPEST {
            return self.fault(Fault::TooDeep);
        }
        self.groups += 1;
        let inner = Place {
            depth: place.depth + 1,
            group: self.groups,
            within: media.clone(),
        };
        match self.children(body, &boundary, &inner) {
            Closed::Yes => {}
            Closed::No => self.fault(Fault::Unclosed(media)),
            Closed::Never => self.fault(Fault::NoParts(media)),
        }
    }

    fn children(&mut self, body: &[u8], boundary: &str, place: &Place) -> Closed {
        let mut open: Option<usize> = None;
        for line in lines(body) {
            let Some(is_last) = delimiter(line.text, boundary) else {
                continue;
            };
            if let Some(start) = open {
                self.child(body.get(start..line.start).unwrap_or_default(), place);
            }
            open = Some(line.end);
            if is_last {
                return Closed::Yes;
            }
        }
        let Some(start) = open else {
            return Closed::Never;
        };
        self.child(body.get(start..).unwrap_or_default(), place);
        Closed::No
    }

    fn child(&mut self, octets: &[u8], place: &Place) {
        // The line end before a delimiter belongs to that (RFC 2046 §5.1.1).
        let octets = octets.strip_suffix(b"\n").unwrap_or(octets);
        let octets = octets.strip_suffix(b"\r").unwrap_or(octets);
        let blank = lines(octets).find(|line| line.is_blank() || line.end > LARGEST_HEADER);
        let (start, end) =
            blank.map_or((octets.len(), octets.len()), |line| (line.start, line.end));
        let mut head = octets.get(..start).unwrap_or_default().to_vec();
        head.extend_from_slice(b"\r\n");
        self.entity(&head, octets.get(end..).unwrap_or_default(), place);
    }

    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < MOST_FAULTS && !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }
}

/// How a multipart ends.
enum Closed {
    Yes,
    No,
    /// It has not even begun.
    Never,
}

/// RFC 2045 §5.2: what says nothing is plain text.
fn media_of(kind: Option<&ContentType<'_>>) -> String {
    let media = kind.map(|kind| match kind.subtype() {
        Some(subtype) => format!("{}/{subtype}", kind.ctype()),
        None => kind.ctype().to_owned(),
    });
    let media = media.unwrap_or_else(|| "text/plain".to_owned());
    media
        .to_ascii_lowercase()
        .chars()
        .take(LONGEST_NAME)
        .collect()
}

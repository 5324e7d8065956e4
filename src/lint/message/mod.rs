//! A message, read once for all rules.
//!
//! Nothing that comes is refused: what is wrong is kept as a fault. Octets, parts, depth, links and text are bounded.

pub(super) mod html;
mod lines;
pub(super) mod mime;
pub(super) mod words;

pub(super) use lines::Lines;
pub(super) use mime::{Fault, Part};

use crate::mail::Address;
use crate::mail::headers::{HeaderError, HeaderSection};
use crate::mail::mailbox::mailboxes;
use html::Page;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// A message as the rules see it.
#[derive(Debug)]
pub struct Message {
    pub(super) head: HeaderSection,
    /// Why the section as it came is none; `head` is then what can be read of it.
    pub(super) fault: Option<HeaderError>,
    /// Octets, header section included.
    pub(super) size: u64,
    /// The whole body was read.
    pub(super) is_whole: bool,
    pub(super) lines: Lines,
    pub(super) parts: Vec<Part>,
    pub(super) faults: Vec<Fault>,
    /// The HTML that most readers see.
    pub(super) page: Option<Page>,
    pub(super) authors: Result<Vec<Address>, String>,
}

/// Octets of a header section that are read.
const LARGEST_HEADER: usize = 512 << 10;
/// Octets of a body whose parts are looked at.
const LARGEST_BODY: usize = 16 << 20;
/// Domains of a message that others are asked about.
const MOST_DOMAINS: usize = 50;

impl Message {
    /// Reads a message as SMTP carries it.
    pub fn parse(octets: &[u8]) -> Self {
        let end = HeaderSection::end(octets, 0).unwrap_or(octets.len());
        let (head, body) = octets.split_at_checked(end).unwrap_or((octets, b""));
        let is_long = head.len() > LARGEST_HEADER;
        let head = head.get(..LARGEST_HEADER).unwrap_or(head);
        let mut message = match HeaderSection::parse(head.to_vec()) {
            Ok(section) => Self::of(section, body, octets.len() as u64),
            Err(fault) => Self {
                fault: Some(fault),
                ..Self::of(mended(head), body, octets.len() as u64)
            },
        };
        message.lines = Lines::of_whole(octets);
        if is_long {
            message.faults.push(Fault::LongHeader);
        }
        message
    }

    /// As [`Message::parse`] with the header section read already, and of the body what there is of it: `size` counts
    /// the whole message.
    pub fn of(head: HeaderSection, body: &[u8], size: u64) -> Self {
        let read = body.get(..LARGEST_BODY).unwrap_or(body);
        let (parts, faults) = mime::read(&head, read);
        let shown = parts.iter().find(|part| part.is_html());
        let is_whole = head.len() as u64 + read.len() as u64 >= size;
        // A body that was cut between CR and LF has no CR that stands alone.
        let lines = match body.strip_suffix(b"\r") {
            Some(cut) if (head.len() as u64 + body.len() as u64) < size => Lines::of(&head, cut),
            _ => Lines::of(&head, body),
        };
        Self {
            is_whole,
            lines,
            page: shown.map(|part| Page::read(&part.text)),
            authors: authors(&head),
            fault: None,
            head,
            size,
            parts,
            faults,
        }
    }

    pub fn head(&self) -> &HeaderSection {
        &self.head
    }

    /// The first mailbox of From, where the field can be read.
    pub fn author(&self) -> Option<&Address> {
        self.authors.as_ref().ok()?.first()
    }

    /// Its domain in A-labels.
    pub fn from_domain(&self) -> Option<String> {
        self.author().map(domain_of)
    }

    /// Domains that are worth a look in DNS and on blocklists, in A-labels: of From, of Reply-To, of links.
    pub fn domains(&self) -> Vec<String> {
        let mut found: Vec<String> = self.from_domain().into_iter().collect();
        let rest = self.answered().into_iter().chain(self.linked());
        for domain in rest {
            if found.len() < MOST_DOMAINS && !found.contains(&domain) {
                found.push(domain);
            }
        }
        found
    }

    /// Domains of Reply-To.
    pub(super) fn answered(&self) -> Vec<String> {
        let field = self.head.first("Reply-To");
        let read = field.and_then(|field| mailboxes(&field.text()).ok());
        read.unwrap_or_default().iter().map(domain_of).collect()
    }

    /// Hosts of links.
    pub(super) fn linked(&self) -> BTreeSet<String> {
        let of_page = self.page.iter().flat_map(|page| page.urls.iter());
        let of_page = of_page.filter_map(|url| html::host(url));
        let texts = self.parts.iter().filter(|part| part.media == "text/plain");
        let of_text = texts.flat_map(|part| html::urls_in(&part.text));
        let of_text = of_text.filter_map(html::host);
        of_page.chain(of_text).take(MOST_DOMAINS).collect()
    }

    /// What a person reads: the page where there is one, else the first text.
    pub(super) fn shown(&self) -> Option<Cow<'_, str>> {
        if let Some(page) = &self.page {
            return Some(Cow::Borrowed(&page.text));
        }
        let text = self.parts.iter().find(|part| part.is_shown_text())?;
        Some(Cow::Borrowed(&text.text))
    }

    /// The value of a field that is there once or more.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.head.first(name).map(|field| field.text())
    }
}

/// What of a file has no CRLF at all gets them: editors and `git` write files with LF alone.
pub fn network_lines(octets: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memmem::find(octets, b"\r\n").is_some() || memchr::memchr(b'\n', octets).is_none() {
        return Cow::Borrowed(octets);
    }
    let lines = octets.split_inclusive(|octet| *octet == b'\n');
    let lines = lines.flat_map(|line| match line.strip_suffix(b"\n") {
        Some(text) => [text, b"\r\n"],
        None => [line, b""],
    });
    Cow::Owned(lines.flatten().copied().collect())
}

pub(super) fn domain_of(address: &Address) -> String {
    address.ascii_domain().into_owned()
}

fn authors(head: &HeaderSection) -> Result<Vec<Address>, String> {
    let field = head.first("From").ok_or("there is no From field")?;
    mailboxes(&field.text()).map_err(|error| format!("From: {error}"))
}

/// The lines that are fields, without what makes the others none.
fn mended(head: &[u8]) -> HeaderSection {
    let mut octets = Vec::with_capacity(head.len());
    let mut has_field = false;
    for line in head.split(|octet| *octet == b'\n') {
        let line: Vec<u8> = line
            .iter()
            .copied()
            .filter(|octet| !matches!(octet, b'\r' | 0))
            .collect();
        let is_blank = line.trim_ascii().is_empty();
        let continues = line.starts_with(b" ") || line.starts_with(b"\t");
        if is_blank || (continues && !has_field) {
            continue;
        }
        if !continues && !is_field(&line) {
            continue;
        }
        has_field = true;
        octets.extend_from_slice(&line);
        octets.extend_from_slice(b"\r\n");
    }
    HeaderSection::parse(octets).unwrap_or_default()
}

fn is_field(line: &[u8]) -> bool {
    let colon = memchr::memchr(b':', line).unwrap_or(0);
    colon > 0
        && line
            .get(..colon)
            .is_some_and(|name| name.iter().all(u8::is_ascii_graphic))
}

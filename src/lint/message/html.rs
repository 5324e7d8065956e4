//! What of an HTML part matters: where its links lead, what they say, and the text that is read.
//!
//! One pass over the octets; what is not closed reaches to the end. mail-parser makes the text.

use mail_parser::decoders::html::html_to_text;

/// An HTML part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// As it is read.
    pub text: String,
    pub links: Vec<Link>,
    /// Values of `href`, `src` and `action`.
    pub urls: Vec<String>,
}

/// `<a href="…">…</a>`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    pub href: String,
    /// As it is read; texts in place of images included.
    pub text: String,
    pub is_hidden: bool,
}

const MOST_LINKS: usize = 500;
const MOST_URLS: usize = 1000;
const LONGEST_URL: usize = 2048;
/// Octets of what a link says.
const LONGEST_LABEL: usize = 2000;

impl Page {
    pub fn read(html: &str) -> Self {
        let mut page = Self {
            text: html_to_text(html),
            ..Self::default()
        };
        // The link that is open, and where what it says begins.
        let mut open: Option<(Link, usize)> = None;
        for tag in Tags::of(html) {
            page.note_urls(&tag);
            if !tag.name.trim_start_matches('/').eq_ignore_ascii_case("a") {
                continue;
            }
            if let Some((link, start)) = open.take() {
                page.close(link, html.get(start..tag.start).unwrap_or_default());
            }
            if !tag.name.starts_with('/') {
                open = Some((link_of(&tag), tag.end));
            }
        }
        if let Some((link, start)) = open {
            page.close(link, html.get(start..).unwrap_or_default());
        }
        page
    }

    fn note_urls(&mut self, tag: &Tag<'_>) {
        let found = ["href", "src", "action"]
            .into_iter()
            .filter_map(|name| attribute(tag.rest, name));
        for url in found {
            if self.urls.len() < MOST_URLS {
                self.urls.push(short(url, LONGEST_URL).to_owned());
            }
        }
    }

    fn close(&mut self, mut link: Link, inner: &str) {
        if self.links.len() >= MOST_LINKS {
            return;
        }
        let inner = short(inner, LONGEST_LABEL);
        link.text = html_to_text(inner);
        for tag in Tags::of(inner) {
            let said = ["alt", "title"].map(|name| attribute(tag.rest, name));
            for text in said.into_iter().flatten() {
                link.text.push(' ');
                link.text.push_str(text);
            }
        }
        self.links.push(link);
    }
}

fn link_of(tag: &Tag<'_>) -> Link {
    let href = attribute(tag.rest, "href").unwrap_or_default();
    let style = attribute(tag.rest, "style").unwrap_or_default();
    let style: String = style.chars().filter(|c| !c.is_whitespace()).collect();
    let style = style.to_ascii_lowercase();
    let hides = ["display:none", "visibility:hidden", "font-size:0"];
    Link {
        href: short(href, LONGEST_URL).to_owned(),
        text: String::new(),
        is_hidden: hides.iter().any(|hides| style.contains(hides))
            && !style.contains("font-size:0."),
    }
}

/// A tag, its name with the slash of one that closes.
struct Tag<'h> {
    name: &'h str,
    /// What is behind the name.
    rest: &'h str,
    start: usize,
    end: usize,
}

/// The tags of a text, comments left out.
struct Tags<'h> {
    html: &'h str,
    at: usize,
}

impl<'h> Tags<'h> {
    fn of(html: &'h str) -> Self {
        Self { html, at: 0 }
    }
}

impl<'h> Iterator for Tags<'h> {
    type Item = Tag<'h>;

    fn next(&mut self) -> Option<Tag<'h>> {
        loop {
            let rest = self.html.get(self.at..)?;
            let start = self.at + memchr::memchr(b'<', rest.as_bytes())?;
            let inside = self.html.get(start + 1..)?;
            if let Some(comment) = inside.strip_prefix("!--") {
                // What is not closed is all comment.
                let end = memchr::memmem::find(comment.as_bytes(), b"-->")?;
                self.at = start + 1 + 3 + end + 3;
                continue;
            }
            let length = tag_length(inside)?;
            let tag = inside.get(..length)?;
            self.at = start + 1 + length;
            let name = tag.find(|c: char| c.is_ascii_whitespace());
            let (name, rest) = tag.split_at(name.unwrap_or(tag.len()));
            return Some(Tag {
                name,
                rest,
                start,
                end: (self.at + 1).min(self.html.len()),
            });
        }
    }
}

/// Octets up to the closing bracket, which does not count within quotes.
fn tag_length(inside: &str) -> Option<usize> {
    let mut quote = None;
    let mut before = b' ';
    for (at, octet) in inside.bytes().enumerate() {
        match (quote, octet) {
            (None, b'>') => return Some(at),
            // A quote that opens follows a sign of equality.
            (None, b'"' | b'\'') if before == b'=' => quote = Some(octet),
            (Some(open), octet) if open == octet => quote = None,
            _ => {}
        }
        if !octet.is_ascii_whitespace() {
            before = octet;
        }
    }
    None
}

/// The value of an attribute, without quotes.
fn attribute<'h>(rest: &'h str, name: &str) -> Option<&'h str> {
    let mut rest = rest.trim_start_matches(is_between);
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || is_between(c));
        let (key, behind) = rest.split_at(end.unwrap_or(rest.len()));
        let Some(value) = behind.trim_start().strip_prefix('=') else {
            if key.eq_ignore_ascii_case(name) {
                return Some("");
            }
            rest = behind.trim_start_matches(is_between);
            continue;
        };
        let value = value.trim_start();
        let (value, behind) = match value.strip_prefix(['"', '\'']) {
            Some(quoted) => {
                let quote = value.get(..1).unwrap_or("\"");
                quoted.split_once(quote).unwrap_or((quoted, ""))
            }
            None => {
                let end = value.find(|c: char| c.is_ascii_whitespace());
                value.split_at(end.unwrap_or(value.len()))
            }
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = behind.trim_start_matches(is_between);
    }
    None
}

fn is_between(c: char) -> bool {
    c.is_ascii_whitespace() || c == '/'
}

/// Addresses of the web in a text.
pub fn urls_in(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | ')' | ']');
    let words = text.split(ends).take(200_000);
    let urls = words.filter_map(|word| {
        let at = word.find("http://").or_else(|| word.find("https://"))?;
        word.get(at..)
    });
    urls.take(MOST_URLS)
}

/// The host of an address of the web: a name in A-labels, or an address.
pub fn host(url: &str) -> Option<String> {
    let url = url.trim();
    let scheme = url.find("://")?;
    let is_web = ["http", "https"].iter().any(|name| {
        url.get(..scheme)
            .is_some_and(|s| s.eq_ignore_ascii_case(name))
    });
    let rest = url.get(scheme + 3..).filter(|_| is_web)?;
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let authority = rest.get(..end)?;
    let host = authority.rsplit('@').next()?;
    if let Some(literal) = host.strip_prefix('[') {
        return literal.split(']').next().map(str::to_owned);
    }
    let host = host.split(':').next()?;
    let host = idna::domain_to_ascii(host).ok()?;
    (!host.is_empty() && host.len() <= 253).then_some(host)
}

fn short(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

//! The parts of a message in which a report may be (RFC 2045, RFC 2046), decoded, whatever they say that they are.

use crate::bounce::report::fields::Fields;
use crate::bounce::report::lines::lines;
use crate::bounce::report::mime::{ContentType, decoded, delimiter, section};
use std::borrow::Cow;

/// How deep parts may be in parts, and messages in messages.
const DEEPEST: usize = 8;
/// Parts that are looked at.
const MOST_PARTS: usize = 64;

/// Shows `visit` each part of a message that has no parts itself, until it says that it has seen enough.
pub fn each(message: &[u8], visit: &mut dyn FnMut(&[u8]) -> bool) {
    let mut walk = Walk {
        visit,
        left: MOST_PARTS,
        done: false,
    };
    walk.message(message, DEEPEST);
}

struct Walk<'v> {
    visit: &'v mut dyn FnMut(&[u8]) -> bool,
    left: usize,
    done: bool,
}

impl Walk<'_> {
    fn message(&mut self, octets: &[u8], depth: usize) {
        let (fields, body) = section(octets);
        self.entity(&fields, body, depth);
    }

    fn entity(&mut self, fields: &Fields, body: &[u8], depth: usize) {
        let (Some(left), Some(deeper)) = (self.left.checked_sub(1), depth.checked_sub(1)) else {
            return;
        };
        if self.done {
            return;
        }
        self.left = left;
        let kind = ContentType::of(fields);
        let encoding = fields.first("content-transfer-encoding");
        match (&kind.boundary, kind.media.as_str()) {
            (Some(boundary), media) if media.starts_with("multipart/") => {
                self.multipart(body, boundary, deeper);
            }
            (_, "message/rfc822" | "message/global") => {
                self.message(&decoded(encoding.unwrap_or_default(), body), deeper);
            }
            _ => self.done = (self.visit)(&plain(encoding.unwrap_or_default(), body)),
        }
    }

    fn multipart(&mut self, body: &[u8], boundary: &str, depth: usize) {
        let mut open: Option<usize> = None;
        for line in lines(body) {
            let Some(end_of_all) = delimiter(line.text, boundary) else {
                continue;
            };
            if let Some(start) = open {
                self.part(body.get(start..line.start).unwrap_or_default(), depth);
            }
            open = Some(line.end);
            if end_of_all || self.done {
                return;
            }
        }
        // The last part may lack its delimiter.
        if let Some(start) = open {
            self.part(body.get(start..).unwrap_or_default(), depth);
        }
    }

    fn part(&mut self, octets: &[u8], depth: usize) {
        // A part that begins with an empty line has no header section.
        let is_bare = lines(octets).next().is_some_and(|line| line.is_blank());
        match is_bare {
            true => self.entity(&Fields::default(), octets, depth),
            false => self.message(octets, depth),
        }
    }
}

/// A part without its transfer encoding, also where it does not say that it has one.
fn plain<'b>(encoding: &str, body: &'b [u8]) -> Cow<'b, [u8]> {
    let starts = |octets: &[u8]| {
        // gzip, zip and `<?xml` in base64.
        let begins: [&[u8]; 3] = [b"H4sI", b"UEsD", b"PD94"];
        let octets = octets.trim_ascii_start();
        begins.iter().any(|begin| octets.starts_with(begin))
    };
    let first = decoded(encoding, body);
    match starts(&first) {
        true => Cow::Owned(decoded("base64", &first).into_owned()),
        false => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(message: &str) -> Vec<String> {
        let mut parts = Vec::new();
        each(message.as_bytes(), &mut |part| {
            parts.push(String::from_utf8_lossy(part).trim().to_owned());
            false
        });
        parts
    }

    #[test]
    fn parts_are_decoded_also_in_messages_in_messages() {
        let message = "Subject: x\nContent-Type: multipart/mixed; boundary=a\n\nignored\n--a\n\nbare\n--a\n\
                       Content-Type: message/rfc822\n\nSubject: y\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\
                       Content-Transfer-Encoding: base64\n\nPGE\n+PC9hPg==\n--b\nContent-Type: text/xml\n\n\
                       PD94bWw/Pg==\n--b--\n--a\nContent-Transfer-Encoding: quoted-printable\n\na=3Db";
        assert_eq!(parts(message), ["bare", "<a></a>", "<?xml?>", "a=b"]);
        assert_eq!(parts("Subject: x\n\nall of it"), ["all of it"]);
    }

    #[test]
    fn parts_and_depth_are_bounded() {
        let many = format!(
            "Content-Type: multipart/mixed; boundary=a\n\n{}",
            "--a\n\nx\n".repeat(1000)
        );
        assert_eq!(parts(&many).len(), MOST_PARTS - 1);
        let deep = "Content-Type: message/rfc822\n\n".repeat(100_000);
        assert_eq!(parts(&deep), Vec::<String>::new());
        let mut seen = 0;
        each(many.as_bytes(), &mut |_| {
            seen += 1;
            true
        });
        assert_eq!(seen, 1);
    }
}

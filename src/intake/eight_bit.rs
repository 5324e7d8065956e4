//! 8-bit bodies in 7-bit clothes (RFC 2045 §6): text as quoted-printable, other parts as base64.
//!
//! Done before signing, and only where nothing depends on the octets as they are: not in signed or encrypted parts,
//! not in messages that carry a signature already, not in embedded messages.

use crate::mail::base64_lines;
use crate::mail::headers::HeaderSection;

/// The body in 7 bits, with `head` changed to say so. `None`: nothing is changed. Parts that must stay as they are
/// may leave 8-bit octets in the result.
pub(super) fn encode(head: &mut HeaderSection, body: &[u8]) -> Option<Vec<u8>> {
    let signed = ["DKIM-Signature", "ARC-Seal"];
    // Without MIME-Version the fields of MIME mean nothing (RFC 2045 §4).
    if head.first("MIME-Version").is_none() || signed.iter().any(|name| head.first(name).is_some())
    {
        return None;
    }
    entity(head, body, MAX_DEPTH)
}

/// One MIME entity: a leaf, or a multipart with entities of its own.
fn entity(head: &mut HeaderSection, body: &[u8], depth: u8) -> Option<Vec<u8>> {
    if body.is_ascii() {
        return None;
    }
    let encoding = field(head, "Content-Transfer-Encoding")
        .trim()
        .to_ascii_lowercase();
    if !matches!(encoding.as_str(), "" | "7bit" | "8bit") {
        return None;
    }
    let content_type = field(head, "Content-Type");
    let kind = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match kind.split_once('/') {
        None if kind.is_empty() => leaf(head, body, true),
        Some(("text", _)) => leaf(head, body, true),
        Some(("multipart", "signed" | "encrypted" | "report")) | Some(("message", _)) | None => {
            None
        }
        Some(("multipart", _)) => {
            let boundary = boundary(&content_type)?;
            let body = multipart(body, &boundary, depth.checked_sub(1)?)?;
            if body.is_ascii() && !encoding.is_empty() {
                head.replace("Content-Transfer-Encoding", "7bit");
            }
            Some(body)
        }
        Some(_) => leaf(head, body, false),
    }
}

fn leaf(head: &mut HeaderSection, body: &[u8], text: bool) -> Option<Vec<u8>> {
    let (name, encoded) = match text {
        true => ("quoted-printable", quoted_printable(body)),
        false => ("base64", base64_lines(body)),
    };
    if !head.replace("Content-Transfer-Encoding", name) {
        head.append("Content-Transfer-Encoding", name);
    }
    Some(encoded)
}

/// Encodes the parts between the delimiter lines (RFC 2046 §5.1.1); preamble, epilogue and delimiters stay.
fn multipart(body: &[u8], boundary: &str, depth: u8) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len() + body.len() / 4);
    let mut part: Option<Vec<u8>> = None;
    for line in body.split_inclusive(|octet| *octet == b'\n') {
        match (delimiter(line, boundary), &mut part) {
            (None, Some(part)) => part.extend_from_slice(line),
            (None, None) => out.extend_from_slice(line),
            (Some(last), open) => {
                if let Some(done) = open.take() {
                    write_part(&done, depth, &mut out);
                }
                out.extend_from_slice(line);
                part = (!last).then(Vec::new);
            }
        }
    }
    if let Some(unclosed) = part {
        write_part(&unclosed, depth, &mut out);
    }
    Some(out)
}

/// Whether the line delimits, and is then the last to do so.
fn delimiter(line: &[u8], boundary: &str) -> Option<bool> {
    let rest = line
        .strip_prefix(b"--")?
        .strip_prefix(boundary.as_bytes())?;
    let (last, rest) = match rest.strip_prefix(b"--") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    rest.iter().all(u8::is_ascii_whitespace).then_some(last)
}

fn write_part(part: &[u8], depth: u8, out: &mut Vec<u8>) {
    // The line break in front of a delimiter belongs to the delimiter.
    let (content, line_break) = match part.strip_suffix(b"\r\n") {
        Some(content) => (content, &b"\r\n"[..]),
        None => (part, &b""[..]),
    };
    let encoded = HeaderSection::end(content, 0).and_then(|end| {
        let (head, body) = content.split_at_checked(end)?;
        let mut head = HeaderSection::parse(head.to_vec()).ok()?;
        let body = entity(&mut head, body, depth)?;
        Some([head.to_octets(b""), body].concat())
    });
    out.extend_from_slice(encoded.as_deref().unwrap_or(content));
    out.extend_from_slice(line_break);
}

/// The value of a field, empty where there is none or more than one.
fn field(head: &HeaderSection, name: &str) -> String {
    head.first(name)
        .map(|field| field.text().into_owned())
        .unwrap_or_default()
}

/// The boundary parameter (RFC 2046 §5.1.1).
fn boundary(content_type: &str) -> Option<String> {
    let lower = content_type.to_ascii_lowercase();
    let at = lower.match_indices("boundary").find_map(|(at, word)| {
        let before = lower.get(..at)?.trim_end().ends_with(';');
        let behind = lower.get(at + word.len()..)?.trim_start().starts_with('=');
        (before && behind).then_some(at + word.len())
    })?;
    let value = content_type
        .get(at..)?
        .trim_start()
        .strip_prefix('=')?
        .trim_start();
    let boundary = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?.to_owned(),
        None => value.split([';', ' ', '\t']).next()?.to_owned(),
    };
    let fine = !boundary.is_empty() && boundary.len() <= 70 && !boundary.contains('\\');
    fine.then_some(boundary)
}

/// RFC 2045 §6.7. Line breaks of the text stay line breaks.
fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + body.len() / 3);
    let mut rest = body;
    while !rest.is_empty() {
        let end = memchr::memmem::find(rest, b"\r\n");
        let (line, behind) = rest.split_at(end.unwrap_or(rest.len()));
        quoted_line(line, &mut out);
        if end.is_some() {
            out.extend_from_slice(b"\r\n");
        }
        rest = behind.get(2..).unwrap_or_default();
    }
    out
}

fn quoted_line(line: &[u8], out: &mut Vec<u8>) {
    let mut column = 0;
    for (i, &octet) in line.iter().enumerate() {
        let last = i + 1 == line.len();
        // Space at the end of a line would be dropped by some; "From " and "." at its start are changed by others.
        let plain = match octet {
            b'=' => false,
            b' ' | b'\t' => !last,
            b'.' | b'F' => (1..QUOTED_COLUMNS).contains(&column),
            _ => octet.is_ascii_graphic(),
        };
        let width = if plain { 1 } else { 3 };
        if column + width > QUOTED_COLUMNS {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if plain {
            out.push(octet);
        } else {
            out.extend_from_slice(format!("={octet:02X}").as_bytes());
        }
        column += width;
    }
}

/// One less than RFC 2045 §6.7 allows: the soft line break takes a column.
const QUOTED_COLUMNS: usize = 75;
/// Parts nested deeper stay as they are.
const MAX_DEPTH: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(message: &str) -> Option<String> {
        let at = HeaderSection::end(message.as_bytes(), 0).unwrap();
        let mut head = HeaderSection::parse(message.as_bytes()[..at].to_vec()).unwrap();
        let body = encode(&mut head, &message.as_bytes()[at..])?;
        Some(String::from_utf8([head.to_octets(b""), body].concat()).unwrap())
    }

    #[test]
    fn a_single_text_part_becomes_quoted_printable() {
        let message = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngr\u{fc}n = \r\n.\r\n";
        assert_eq!(
            encoded(message).unwrap(),
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
             gr=C3=BCn =3D=20\r\n=2E\r\n"
        );
    }

    #[test]
    fn leaves_of_a_multipart_are_encoded_each_in_its_way() {
        let message = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary=\"=_b\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
            pre\r\n--=_b\r\nContent-Type: text/plain\r\n\r\nascii\r\n--=_b\r\nContent-Type: text/html\r\n\r\n\u{e4}\r\n\
            --=_b\r\nContent-Type: application/x\r\n\r\n\u{e4}\r\n--=_b--\r\npost\r\n";
        let out = encoded(message).unwrap();
        assert!(
            out.is_ascii() && out.contains("Content-Transfer-Encoding: 7bit\r\n\r\npre"),
            "{out}"
        );
        assert!(out.contains("text/plain\r\n\r\nascii\r\n--=_b"), "{out}");
        assert!(
            out.contains(
                "text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A4\r\n--=_b"
            ),
            "{out}"
        );
        assert!(out.contains("application/x\r\nContent-Transfer-Encoding: base64\r\n\r\nw6Q=\r\n--=_b--\r\npost\r\n"), "{out}");
    }

    #[test]
    fn what_depends_on_its_octets_stays() {
        let mime = "MIME-Version: 1.0\r\n";
        for message in [
            "From: a@b.test\r\n\r\n\u{e4}\r\n".to_owned(),
            format!("{mime}\r\nascii\r\n"),
            format!("{mime}DKIM-Signature: x\r\n\r\n\u{e4}\r\n"),
            format!(
                "{mime}Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\u{e4}\r\n--b--\r\n"
            ),
            format!("{mime}Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n\u{e4}\r\n"),
            format!("{mime}Content-Transfer-Encoding: binary\r\n\r\n\u{e4}\r\n"),
            format!("{mime}Content-Type: multipart/mixed\r\n\r\n\u{e4}\r\n"),
        ] {
            assert_eq!(encoded(&message), None, "{message}");
        }
    }

    /// RFC 2045 §6.7, read plainly.
    fn decoded(text: &[u8]) -> Vec<u8> {
        let text = String::from_utf8(text.to_vec())
            .unwrap()
            .replace("=\r\n", "");
        let mut out = Vec::new();
        let mut rest = text.as_str();
        while let Some(c) = rest.chars().next() {
            if c == '=' {
                out.push(u8::from_str_radix(&rest[1..3], 16).unwrap());
                rest = &rest[3..];
            } else {
                out.push(c as u8);
                rest = &rest[1..];
            }
        }
        out
    }

    proptest! {
        #[test]
        fn quoted_printable_reads_back_within_76_columns(body in "([ -~]{0,90}|[\u{e4}\t =.F\r\n]|\r\n){0,12}") {
            let out = quoted_printable(body.as_bytes());
            prop_assert!(out.is_ascii());
            for line in out.split(|octet| *octet == b'\n') {
                prop_assert!(line.len() <= 77 && !line.ends_with(b" \r") && !line.starts_with(b"."));
            }
            prop_assert_eq!(decoded(&out), body.as_bytes());
        }

        #[test]
        fn any_message_is_survived(body in "(--b|--b--|\r\n|\u{e4}|Content-Type: multipart/x; boundary=b|x: y){0,30}") {
            let message = format!("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{body}");
            let out = encoded(&message);
            prop_assert!(out.is_none_or(|out| out.starts_with("MIME-Version")));
        }
    }
}

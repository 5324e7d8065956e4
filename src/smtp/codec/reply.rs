//! Replies (RFC 5321 §4.2): written as a server, read as a client.

use crate::mail::{EnhancedCode, Reply};
use std::io::Write as _;

/// Longest reply line that is written, its code and CRLF left out (RFC 5321 §4.5.3.1.5 has 512 for the line).
const WRITTEN_LINE: usize = 480;
/// Longest reply line that is kept; octets beyond it are dropped.
const KEPT_LINE: usize = 1024;
/// A reply of more octets than this is an attack or a broken server.
const MAX_REPLY: usize = 64 * 1024;

/// Appends `reply` as it goes over the wire, one line for each line of its text.
///
/// Control characters and non-ASCII become `?`: a text that quotes a client or a file cannot add a line.
pub fn write_reply(reply: &Reply, out: &mut Vec<u8>) {
    let mut lines = reply.text.split('\n').peekable();
    while let Some(line) = lines.next() {
        let separator = if lines.peek().is_some() { '-' } else { ' ' };
        // Writing into a Vec cannot fail.
        let _infallible = write!(out, "{:03}{separator}", reply.code);
        if let Some(enhanced) = reply.enhanced {
            let _infallible = write!(out, "{enhanced} ");
        }
        out.extend(line.chars().take(WRITTEN_LINE).map(printable));
        out.extend_from_slice(b"\r\n");
    }
}

fn printable(c: char) -> u8 {
    if matches!(c, ' '..='~') {
        c as u8
    } else {
        b'?'
    }
}

/// What is no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line without a code from 200 to 599; holds its start.
    #[error("the server said what is no SMTP reply: {0:?}")]
    Garbage(String),
    #[error("the server's reply is over {MAX_REPLY} octets")]
    TooLong,
}

/// Reads replies from octets as they come. After an error the conversation is over.
#[derive(Debug, Default)]
pub struct ReplyParser {
    line: Vec<u8>,
    text: String,
    enhanced: Option<EnhancedCode>,
    lines: usize,
    octets: usize,
}

impl ReplyParser {
    /// Takes octets from `input`. Returns how many were taken and, where they completed one, the reply to `command`.
    ///
    /// # Errors
    /// [`ReplyError`] where the octets are no reply or go on without end.
    pub fn ingest(
        &mut self,
        input: &[u8],
        command: &str,
    ) -> Result<(usize, Option<Reply>), ReplyError> {
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            let end = memchr::memchr(b'\n', rest);
            let part = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
            self.keep(part)?;
            taken += part.len();
            if end.is_none() {
                break;
            }
            taken += 1;
            if let Some(code) = self.end_line()? {
                return Ok((taken, Some(self.take(code, command))));
            }
        }
        Ok((taken, None))
    }

    /// Nothing of a reply has come yet.
    pub fn is_idle(&self) -> bool {
        self.octets == 0
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), ReplyError> {
        self.octets += part.len() + 1;
        if self.octets > MAX_REPLY {
            return Err(ReplyError::TooLong);
        }
        let room = KEPT_LINE.saturating_sub(self.line.len());
        self.line
            .extend_from_slice(part.get(..room).unwrap_or(part));
        Ok(())
    }

    /// The code, where the line just read was the last of a reply.
    fn end_line(&mut self) -> Result<Option<u16>, ReplyError> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line));
        let garbage = || ReplyError::Garbage(line.chars().take(80).collect());
        let code = code_of(&line).ok_or_else(garbage)?;
        let (separator, text) = match line.get(3..4) {
            None => (' ', ""),
            Some("-") => ('-', line.get(4..).unwrap_or_default()),
            Some(" " | "\t") => (' ', line.get(4..).unwrap_or_default()),
            Some(_) => return Err(garbage()),
        };
        self.add_text(text);
        Ok((separator == ' ').then_some(code))
    }

    fn add_text(&mut self, text: &str) {
        let text = match EnhancedCode::split(text) {
            Some((code, rest)) if self.lines == 0 || self.enhanced == Some(code) => {
                self.enhanced = Some(code);
                rest
            }
            _ => text,
        };
        if self.lines > 0 {
            self.text.push('\n');
        }
        self.lines += 1;
        if text.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
            self.text.push_str(text);
        } else {
            let clean = |c: char| if c.is_control() { ' ' } else { c };
            self.text.extend(text.chars().map(clean));
        }
    }

    fn take(&mut self, code: u16, command: &str) -> Reply {
        let whole = std::mem::take(self);
        Reply::said(code, whole.enhanced, &whole.text, command)
    }
}

/// Three digits from 200 to 599. 1xx is not used in SMTP.
fn code_of(line: &str) -> Option<u16> {
    let digits = line.get(..3)?;
    let number = digits.bytes().all(|b| b.is_ascii_digit());
    let code = number.then(|| digits.parse().ok()).flatten()?;
    (200..600).contains(&code).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(input: &[u8]) -> Result<(usize, Option<Reply>), ReplyError> {
        ReplyParser::default().ingest(input, "RCPT")
    }

    #[test]
    fn replies_keep_code_enhanced_code_and_every_line() {
        let input = b"550-5.7.650 first\r\n550-5.7.650 second\r\n550 5.1.1 third\r\n250 next\r\n";
        let (taken, reply) = read(input).unwrap();
        let reply = reply.unwrap();
        assert_eq!(taken, input.len() - b"250 next\r\n".len());
        assert_eq!(
            (reply.code, reply.enhanced),
            (550, Some(EnhancedCode(5, 7, 650)))
        );
        assert_eq!(&*reply.text, "first\nsecond\n5.1.1 third");
    }

    #[test]
    fn short_odd_and_broken_servers_are_survived() {
        let text = |input: &[u8]| read(input).unwrap().1.map(|r| (r.code, r.text.to_string()));
        assert_eq!(text(b"250\r\n"), Some((250, String::new())));
        assert_eq!(text(b"250\n"), Some((250, String::new())));
        assert_eq!(text(b"250 a\xff\0b\r\n"), Some((250, "a\u{fffd} b".into())));
        assert_eq!(text(b"250-a\r\n250"), None);
        for garbage in [
            &b"\r\n"[..],
            b"HTTP/1.1 400 Bad\r\n",
            b"25\r\n",
            b"2500\r\n",
            b"150 x\r\n",
            b"+50 x\r\n",
        ] {
            assert!(matches!(read(garbage), Err(ReplyError::Garbage(_))));
        }
        assert_eq!(read(&[b'2'; MAX_REPLY + 1]), Err(ReplyError::TooLong));
        let endless = b"250-x\r\n".repeat(MAX_REPLY);
        assert_eq!(read(&endless), Err(ReplyError::TooLong));
        let long = [b"250 ", &[b'x'; 10_000][..], b"\r\n"].concat();
        assert_eq!(read(&long).unwrap().1.unwrap().text.len(), KEPT_LINE - 4);
    }

    #[test]
    fn a_text_cannot_add_a_line() {
        let mut out = Vec::new();
        let reply = Reply::local(550, EnhancedCode(5, 7, 1), "a\r250 b\né", "MAIL");
        write_reply(&reply, &mut out);
        assert_eq!(out, b"550-5.7.1 a?250 b\r\n550 5.7.1 ?\r\n");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_however_it_is_cut(
            code in 200u16..600, subject in 0u16..1000, text in "[a-z ]{0,20}(\n[a-z ]{1,20}){0,3}", cut in 0usize..60,
        ) {
            let class = 5;
            let reply = Reply::said(code, Some(EnhancedCode(class, subject, 7)), &text, "X");
            let mut wire = Vec::new();
            write_reply(&reply, &mut wire);
            let (head, tail) = wire.split_at(cut.min(wire.len() - 1));
            let mut parser = ReplyParser::default();
            prop_assert_eq!(parser.ingest(head, "X").unwrap(), (head.len(), None));
            prop_assert_eq!(parser.ingest(tail, "X").unwrap(), (tail.len(), Some(reply)));
        }

        #[test]
        fn no_octets_panic(input in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _any = read(&input);
        }
    }
}

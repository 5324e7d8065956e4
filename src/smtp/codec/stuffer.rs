//! Content as it leaves behind DATA: whole lines, dots doubled, ended by the dot that hands it over (RFC 5321 §4.5.2).

/// Turns pieces of content into octets behind 354.
///
/// Bare CR and LF never leave: intake refuses or repairs them, and what slipped past it is repaired here, because a
/// server that takes them for line ends would see another message than we sent.
pub struct Stuffer {
    at_line_start: bool,
    /// A CR at the end of a piece waits for its LF.
    held_cr: bool,
}

impl Default for Stuffer {
    fn default() -> Self {
        Self {
            at_line_start: true,
            held_cr: false,
        }
    }
}

impl Stuffer {
    /// Appends a piece, cut anywhere.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let Some(first) = piece.first() else { return };
        let mut rest = piece;
        if std::mem::take(&mut self.held_cr) {
            self.stuff(b"\r\n", out);
            if *first == b'\n' {
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        if let Some(before) = rest.strip_suffix(b"\r") {
            self.held_cr = true;
            rest = before;
        }
        if ends_lines_properly(rest) {
            self.stuff(rest, out);
        } else {
            self.stuff(&repaired(rest), out);
        }
    }

    /// Ends the last line where the content does not, and the message.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.held_cr || !self.at_line_start {
            self.stuff(b"\r\n", out);
        }
        out.extend_from_slice(b".\r\n");
    }

    fn stuff(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        dot_stuff(&mut self.at_line_start, octets, out);
    }
}

/// Every CR has its LF and every LF its CR. A first LF without CR counts as bare: a held CR has taken its own.
fn ends_lines_properly(octets: &[u8]) -> bool {
    let mut line_feeds = 0;
    for at in memchr::memchr_iter(b'\n', octets) {
        if at == 0 || octets.get(at - 1) != Some(&b'\r') {
            return false;
        }
        line_feeds += 1;
    }
    // Each of them has a CR of its own; one more CR is bare.
    memchr::memchr_iter(b'\r', octets).count() == line_feeds
}

fn repaired(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() + 64);
    let mut previous = 0;
    for &octet in octets {
        match octet {
            b'\n' if previous == b'\r' => {}
            b'\r' | b'\n' => out.extend_from_slice(b"\r\n"),
            _ => out.push(octet),
        }
        previous = octet;
    }
    out
}

/// Appends `chunk` with a dot before every line that starts with one (RFC 5321 §4.5.2).
///
/// `at_line_start` carries over from chunk to chunk; it is true before the first.
pub fn dot_stuff(at_line_start: &mut bool, chunk: &[u8], out: &mut Vec<u8>) {
    let Some(last) = chunk.last() else { return };
    if *at_line_start && chunk.starts_with(b".") {
        out.push(b'.');
    }
    let mut done = 0;
    for line_feed in memchr::memmem::find_iter(chunk, b"\n.") {
        let dot = line_feed + 1;
        out.extend_from_slice(chunk.get(done..dot).unwrap_or_default());
        out.push(b'.');
        done = dot;
    }
    out.extend_from_slice(chunk.get(done..).unwrap_or_default());
    *at_line_start = *last == b'\n';
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::codec::{ContentRules, DataReceiver, LineEndings};
    use proptest::prelude::*;

    fn sent(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut stuffer, mut out) = (Stuffer::default(), Vec::new());
        for piece in pieces {
            stuffer.push(piece, &mut out);
        }
        stuffer.finish(&mut out);
        out
    }

    #[test]
    fn dots_are_doubled_and_lines_ended() {
        assert_eq!(sent(&[]), b".\r\n");
        assert_eq!(sent(&[b"a\r\n.\r\n..b"]), b"a\r\n..\r\n...b\r\n.\r\n");
        assert_eq!(sent(&[b"a\r", b"\n.", b"b\r\n"]), b"a\r\n..b\r\n.\r\n");
    }

    #[test]
    fn no_bare_line_end_leaves() {
        assert_eq!(sent(&[b"a\n.\nb"]), b"a\r\n..\r\nb\r\n.\r\n");
        assert_eq!(sent(&[b"a\r.\r\nb\r"]), b"a\r\n..\r\nb\r\n.\r\n");
        assert_eq!(sent(&[b"a\r", b".\r\n"]), b"a\r\n..\r\n.\r\n");
        assert_eq!(sent(&[b"a\r", b"\r", b"\n"]), b"a\r\n\r\n.\r\n");
    }

    /// What a strict receiver makes of what was sent.
    fn received(wire: &[u8]) -> Option<Vec<u8>> {
        let rules = ContentRules {
            max_size: 1 << 20,
            max_line: 1000,
            eight_bit: true,
            line_endings: LineEndings::Refuse,
        };
        let (mut data, mut out) = (DataReceiver::new(rules), Vec::new());
        let progress = data.ingest(wire, &mut out);
        let whole = progress.done && progress.consumed == wire.len() && data.violation().is_none();
        whole.then_some(out)
    }

    proptest! {
        #[test]
        fn what_a_strict_receiver_gets_is_what_was_sent(
            lines in proptest::collection::vec("[.a-cé]{0,5}", 0..20), at in 0usize..60,
        ) {
            let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let (head, tail) = text.as_bytes().split_at(at.min(text.len()));
            prop_assert_eq!(received(&sent(&[head, tail])), Some(text.into_bytes()));
        }

        #[test]
        fn cuts_change_nothing_and_the_end_is_single(text in "[.\r\na]{0,40}", cut in 0usize..40) {
            let (head, tail) = text.as_bytes().split_at(cut.min(text.len()));
            let whole = sent(&[text.as_bytes()]);
            prop_assert_eq!(&sent(&[head, tail]), &whole);
            let text = String::from_utf8(whole).unwrap();
            prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
            let ends: Vec<_> = format!("\r\n{text}").match_indices("\r\n.\r\n").map(|(at, _)| at).collect();
            prop_assert_eq!(ends, vec![text.len() + 2 - 5]);
        }
    }
}

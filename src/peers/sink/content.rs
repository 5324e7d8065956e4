//! Finding the end of data, and taking dot stuffing off.
//!
//! Not the receiver of the daemon, on purpose: the sink judges what the daemon sends, and [`EndOfData::Lax`] ends
//! messages where a sound receiver never would.

use super::EndOfData;

/// Where the content ends and where the next command begins; `None` until the end of data is there.
///
/// `from` is how far an earlier search came, so that a message that arrives in pieces is searched once.
pub(super) fn end(input: &[u8], from: usize, kind: EndOfData) -> Option<(usize, usize)> {
    match kind {
        EndOfData::Strict => strict_end(input, from),
        EndOfData::Lax => lax_end(input),
    }
}

fn strict_end(input: &[u8], from: usize) -> Option<(usize, usize)> {
    if input.starts_with(b".\r\n") {
        return Some((0, 3));
    }
    // Four octets back: the end of data may lie across two reads.
    let from = from.saturating_sub(4);
    let at = from + memchr::memmem::find(input.get(from..)?, b"\r\n.\r\n")?;
    Some((at + 2, at + 5))
}

/// The first line that holds a dot and nothing else, where CR, LF and any run of CRs before LF end a line.
fn lax_end(input: &[u8]) -> Option<(usize, usize)> {
    let mut start = 0;
    while let Some(length) = input[start..]
        .iter()
        .position(|b| matches!(b, b'\r' | b'\n'))
    {
        let stop = start + length;
        let crs = input[stop..].iter().take_while(|b| **b == b'\r').count();
        let next = match input.get(stop + crs) {
            Some(b'\n') => stop + crs + 1,
            Some(_) => stop + 1,
            None => return None,
        };
        if &input[start..stop] == b"." {
            return Some((start, next));
        }
        start = next;
    }
    None
}

/// RFC 5321 §4.5.2: a dot at the start of a line was added by the client.
pub(super) fn unstuff(content: &[u8]) -> Box<[u8]> {
    let mut out = Vec::with_capacity(content.len());
    let mut rest = content.strip_prefix(b".").unwrap_or(content);
    while let Some(at) = memchr::memmem::find(rest, b"\r\n.") {
        out.extend_from_slice(&rest[..at + 2]);
        rest = &rest[at + 3..];
    }
    out.extend_from_slice(rest);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crlf_dot_crlf_ends_a_message_for_a_strict_sink() {
        for (input, expected) in [
            (&b"hi\r\n.\r\nQUIT"[..], Some((4, 7))),
            (b".\r\n", Some((0, 3))),
            (b"hi\n.\n", None),
            (b"hi\n.\r\n", None),
            (b"hi\r\n.\r\r\n", None),
            (b"hi\r\n..\r\n", None),
        ] {
            assert_eq!(end(input, 0, EndOfData::Strict), expected, "{input:?}");
        }
    }

    #[test]
    fn a_lax_sink_ends_at_everything_that_smuggling_uses() {
        for input in [
            &b"hi\r\n.\r\nx"[..],
            b"hi\n.\nx",
            b"hi\n.\r\nx",
            b"hi\r\n.\nx",
            b"hi\r.\rx",
            b"hi\r\n.\r\r\nx",
        ] {
            let (_, next) = end(input, 0, EndOfData::Lax).unwrap();
            assert_eq!(&input[next..], b"x", "{input:?}");
        }
        assert_eq!(end(b"hi\r\n..\r\nx", 0, EndOfData::Lax), None);
    }

    #[test]
    fn the_end_is_found_wherever_the_input_was_cut() {
        let input = b"a\r\n.b\r\n\r\n.\r\n";
        for searched in 0..input.len() {
            assert_eq!(
                end(input, searched.min(9), EndOfData::Strict),
                Some((9, 12))
            );
        }
    }

    #[test]
    fn stuffed_dots_come_off_and_no_others() {
        assert_eq!(&*unstuff(b"..a\r\nb.\r\n...c\r\n"), b".a\r\nb.\r\n..c\r\n");
    }
}

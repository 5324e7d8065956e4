//! Cutting command lines out of a buffer. Only CRLF ends one (RFC 5321 §2.3.8).

/// Longest command line that is read, CRLF included. RFC 5321 §4.5.3.1.4 has 512 and lets extensions add to it;
/// AUTH alone wants 12,288 (RFC 4954 §4), but no mechanism we offer needs so much.
pub const MAX_LINE: usize = 4096;

/// The start of a buffer as a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// No line end yet.
    Partial,
    /// A line without its CRLF, and the octets it took from the buffer.
    Whole { text: &'a [u8], consumed: usize },
    /// A line that ends in a bare LF: where such a line was taken for two, commands could be smuggled.
    BareLf { consumed: usize },
    /// Over [`MAX_LINE`], ended or not.
    TooLong,
}

/// Looks at the first line of `buffer`.
pub fn first_line(buffer: &[u8]) -> Line<'_> {
    match memchr::memchr(b'\n', buffer) {
        None if buffer.len() >= MAX_LINE => Line::TooLong,
        None => Line::Partial,
        Some(end) if end >= MAX_LINE => Line::TooLong,
        Some(end) => {
            let consumed = end + 1;
            match buffer.get(..end).and_then(|line| line.strip_suffix(b"\r")) {
                Some(text) => Line::Whole { text, consumed },
                None => Line::BareLf { consumed },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crlf_ends_a_line() {
        assert_eq!(first_line(b"NOOP\r"), Line::Partial);
        let whole = Line::Whole {
            text: b"NOOP",
            consumed: 6,
        };
        assert_eq!(first_line(b"NOOP\r\nQUIT\r\n"), whole);
        assert_eq!(first_line(b"NOOP\nQUIT\r\n"), Line::BareLf { consumed: 5 });
        assert_eq!(first_line(&[b'x'; MAX_LINE]), Line::TooLong);
    }
}

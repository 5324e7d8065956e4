//! Lines of octets, whichever of CRLF and LF ends them.

/// A line and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Without its end.
    pub text: &'a [u8],
    pub start: usize,
    /// Behind its end.
    pub end: usize,
}

impl<'a> Line<'a> {
    pub fn is_blank(&self) -> bool {
        self.text.trim_ascii().is_empty()
    }

    pub fn trimmed(&self) -> &'a [u8] {
        self.text.trim_ascii_end()
    }
}

pub fn lines(octets: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = octets.get(start..).filter(|rest| !rest.is_empty())?;
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let text = rest.get(..length)?;
        let line = Line {
            text: text.strip_suffix(b"\n").unwrap_or(text),
            start,
            end: start + length,
        };
        start = line.end;
        Some(Line {
            text: line.text.strip_suffix(b"\r").unwrap_or(line.text),
            ..line
        })
    })
}

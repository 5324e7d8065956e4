//! The lines of a message, as octets.

use crate::mail::headers::HeaderSection;

/// What is remarkable about them. Lines are counted from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lines {
    /// Octets of the longest without its end, and where it is.
    pub longest: (usize, usize),
    /// The first line with each.
    pub bare_cr: Option<usize>,
    pub bare_lf: Option<usize>,
    pub nul: Option<usize>,
    /// Lines so far.
    count: usize,
}

impl Lines {
    pub fn of_whole(octets: &[u8]) -> Self {
        let mut lines = Self::default();
        lines.feed(octets);
        lines
    }

    pub fn of(head: &HeaderSection, body: &[u8]) -> Self {
        let mut lines = Self::default();
        for field in head.fields() {
            lines.feed(field.raw());
        }
        lines.feed(b"\r\n");
        lines.feed(body);
        lines
    }

    /// Takes whole lines.
    fn feed(&mut self, octets: &[u8]) {
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            self.count += 1;
            let text = match (line.strip_suffix(b"\r\n"), line.strip_suffix(b"\n")) {
                (Some(text), _) => text,
                (None, Some(text)) => {
                    self.bare_lf.get_or_insert(self.count);
                    text
                }
                (None, None) => line,
            };
            if memchr::memchr(b'\r', text).is_some() {
                self.bare_cr.get_or_insert(self.count);
            }
            if memchr::memchr(0, text).is_some() {
                self.nul.get_or_insert(self.count);
            }
            if text.len() > self.longest.0 {
                self.longest = (text.len(), self.count);
            }
        }
    }
}

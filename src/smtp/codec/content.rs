//! Message content on the wire: what follows DATA (RFC 5321 §4.5.2) and BDAT (RFC 3030).
//!
//! Only CRLF `.` CRLF ends a message, and only CRLF ends a line. Servers that take less for an end disagree with
//! those that do not, and in the gap a second message can be smuggled. A message that breaks a rule is still read to
//! its true end, so that its remainder is never taken for commands; nothing more of it is passed on.

use crate::mail::{EnhancedCode, Reply};
use serde::{Deserialize, Serialize};

/// What becomes of a CR or LF that stands alone.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum LineEndings {
    /// The message is refused.
    #[default]
    Refuse,
    /// It becomes CRLF. It still ends no message.
    Fix,
}

/// What content may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRules {
    /// Octets of a message.
    pub max_size: u64,
    /// Octets of a line, without its CRLF.
    pub max_line: u64,
    /// Octets over 127 are allowed.
    pub eight_bit: bool,
    pub line_endings: LineEndings,
}

/// The first rule that content broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("a CR stands without its LF; lines end in CRLF only")]
    BareCr,
    #[error("an LF stands without its CR; lines end in CRLF only")]
    BareLf,
    #[error("a NUL octet stands in the message")]
    Nul,
    #[error("8-bit content without BODY=8BITMIME in MAIL")]
    EightBit,
    #[error("the message is over the size limit")]
    TooBig,
    #[error("a line of the message is too long")]
    LongLine,
}

impl Violation {
    /// What the client is told in place of the 250. RFC 3463 §3.7 has X.6.0 for content that is broken as media and
    /// X.6.1 for content that is not supported.
    pub fn reply(self) -> Reply {
        let (code, enhanced) = match self {
            Self::BareCr | Self::BareLf | Self::Nul | Self::LongLine => {
                (550, EnhancedCode(5, 6, 0))
            }
            Self::EightBit => (550, EnhancedCode(5, 6, 1)),
            Self::TooBig => (552, EnhancedCode(5, 3, 4)),
        };
        Reply::local(code, enhanced, self.to_string(), ".")
    }
}

/// How far [`DataReceiver::ingest`] and [`BdatReceiver::ingest`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Octets taken from the input; what follows them is commands again where `done`.
    pub consumed: usize,
    /// The end of the message (DATA) or of the chunk (BDAT) was reached.
    pub done: bool,
}

/// Reads content behind a 354 up to CRLF `.` CRLF and undoes dot-stuffing.
#[derive(Debug, Clone)]
pub struct DataReceiver(Lines);

impl DataReceiver {
    pub fn new(rules: ContentRules) -> Self {
        Self(Lines::new(rules, true))
    }

    /// Takes octets from `input` and appends the content in them to `out`. Call no more once done.
    pub fn ingest(&mut self, input: &[u8], out: &mut Vec<u8>) -> Progress {
        self.0.ingest(input, out)
    }

    /// A rule broken; where one read breaks several, one of them. From then on nothing is appended.
    pub fn violation(&self) -> Option<Violation> {
        self.0.violation
    }

    /// Octets of content so far, refused ones included.
    pub fn octets(&self) -> u64 {
        self.0.octets
    }

    pub fn has_eight_bit(&self) -> bool {
        self.0.saw_eight_bit
    }
}

/// Reads the chunks of one message. Content is as counted, without dot-stuffing; the rules for lines are the same.
#[derive(Debug, Clone)]
pub struct BdatReceiver {
    lines: Lines,
    remaining: u64,
}

impl BdatReceiver {
    pub fn new(rules: ContentRules) -> Self {
        Self {
            lines: Lines::new(rules, false),
            remaining: 0,
        }
    }

    /// A chunk of `size` octets follows.
    pub fn begin_chunk(&mut self, size: u64) {
        self.remaining = size;
    }

    /// Takes octets of the chunk from `input`. Done where the chunk is whole.
    pub fn ingest(&mut self, input: &[u8], out: &mut Vec<u8>) -> Progress {
        let whole = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        let part = input.get(..whole).unwrap_or(input);
        // Without dots there is no end of data within: all of it is taken.
        let consumed = self.lines.ingest(part, out).consumed;
        self.remaining = self.remaining.saturating_sub(consumed as u64);
        Progress {
            consumed,
            done: self.remaining == 0,
        }
    }

    /// The last chunk is whole. A message that ends within a line gets its CRLF, for DATA cannot carry it otherwise.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match self.lines.state {
            State::Cr => self.lines.bare(Violation::BareCr, out),
            State::Text => self.lines.emit(b"\r\n", out),
            _ => {}
        }
    }

    pub fn violation(&self) -> Option<Violation> {
        self.lines.violation
    }

    pub fn octets(&self) -> u64 {
        self.lines.octets
    }

    pub fn has_eight_bit(&self) -> bool {
        self.lines.saw_eight_bit
    }
}

/// Where in a line the next octet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At a line start; `clean` where a true CRLF led to it.
    Start {
        clean: bool,
    },
    /// Behind a dot at a line start.
    Dot {
        clean: bool,
    },
    /// Behind a dot at a line start and a CR.
    DotCr {
        clean: bool,
    },
    Text,
    /// Behind a CR in text.
    Cr,
}

/// Content as lines.
#[derive(Debug, Clone)]
struct Lines {
    rules: ContentRules,
    /// Dots at line starts mean something (DATA).
    dots: bool,
    state: State,
    octets: u64,
    /// Octets of the line under way.
    line: u64,
    saw_eight_bit: bool,
    violation: Option<Violation>,
}

impl Lines {
    fn new(rules: ContentRules, dots: bool) -> Self {
        Self {
            rules,
            dots,
            state: State::Start { clean: true },
            octets: 0,
            line: 0,
            saw_eight_bit: false,
            violation: None,
        }
    }

    fn ingest(&mut self, input: &[u8], out: &mut Vec<u8>) -> Progress {
        let mut consumed = 0;
        while let Some((first, _)) = input.get(consumed..).and_then(<[u8]>::split_first) {
            let rest = input.get(consumed..).unwrap_or_default();
            match (self.state, *first) {
                (State::DotCr { clean: true }, b'\n') => {
                    consumed += 1;
                    return Progress {
                        consumed,
                        done: true,
                    };
                }
                (State::Text, _) => consumed += self.text(rest, out),
                (_, octet) => consumed += usize::from(self.at_edge(octet, out)),
            }
        }
        Progress {
            consumed,
            done: false,
        }
    }

    /// An octet at a line's start or behind a CR. Returns whether it was taken.
    fn at_edge(&mut self, octet: u8, out: &mut Vec<u8>) -> bool {
        match (self.state, octet) {
            (State::Start { clean }, b'.') if self.dots => self.state = State::Dot { clean },
            (State::Dot { clean }, b'\r') => self.state = State::DotCr { clean },
            (State::Dot { .. }, b'\n') => {
                // A lone dot on a line that is no end of data stays a line of the message.
                self.emit(b".", out);
                self.bare(Violation::BareLf, out);
            }
            (State::DotCr { .. }, b'\n') => {
                self.emit(b".\r\n", out);
                self.state = State::Start { clean: true };
            }
            (State::DotCr { .. }, _) => {
                self.emit(b".", out);
                self.bare(Violation::BareCr, out);
                return false;
            }
            (State::Cr, b'\n') => {
                self.emit(b"\r\n", out);
                self.line = 0;
                self.state = State::Start { clean: true };
            }
            (State::Cr, _) => {
                self.bare(Violation::BareCr, out);
                return false;
            }
            // A stuffed dot is dropped by passing on from Dot without writing it.
            (State::Start { .. } | State::Dot { .. } | State::Text, _) => {
                self.state = State::Text;
                return false;
            }
        }
        true
    }

    /// Takes text, whole lines at a time, up to what needs a closer look. Returns the octets taken.
    fn text(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            let Some(found) = memchr::memchr3(b'\r', b'\n', 0, rest) else {
                self.lengthen(rest.len());
                self.emit(input, out);
                return input.len();
            };
            self.lengthen(found);
            let end = at + found;
            let crlf = rest.get(found..).is_some_and(|r| r.starts_with(b"\r\n"));
            if !crlf {
                self.emit(input.get(..end).unwrap_or_default(), out);
                self.stop_at(rest.get(found).copied(), out);
                return end + 1;
            }
            self.line = 0;
            at = end + 2;
            let more = input
                .get(at)
                .is_some_and(|next| *next != b'.' || !self.dots);
            if !more {
                self.emit(input.get(..at).unwrap_or_default(), out);
                self.state = State::Start { clean: true };
                return at;
            }
        }
    }

    /// A CR that may have its LF yet, a bare LF, or a NUL.
    fn stop_at(&mut self, octet: Option<u8>, out: &mut Vec<u8>) {
        match octet {
            Some(b'\r') => self.state = State::Cr,
            Some(b'\n') => self.bare(Violation::BareLf, out),
            _ => {
                self.count(1);
                self.violate(Violation::Nul);
            }
        }
    }

    /// A line end that is none: refused, or made one.
    fn bare(&mut self, violation: Violation, out: &mut Vec<u8>) {
        match self.rules.line_endings {
            LineEndings::Refuse => {
                self.count(1);
                self.violate(violation);
            }
            LineEndings::Fix => self.emit(b"\r\n", out),
        }
        self.line = 0;
        self.state = State::Start { clean: false };
    }

    fn lengthen(&mut self, by: usize) {
        self.line += by as u64;
        if self.line > self.rules.max_line {
            self.violate(Violation::LongLine);
        }
    }

    fn violate(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    fn count(&mut self, octets: usize) {
        self.octets = self.octets.saturating_add(octets as u64);
        if self.octets > self.rules.max_size {
            self.violate(Violation::TooBig);
        }
    }

    fn emit(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        self.count(octets.len());
        if !self.saw_eight_bit && !octets.is_ascii() {
            self.saw_eight_bit = true;
            if !self.rules.eight_bit {
                self.violate(Violation::EightBit);
            }
        }
        if self.violation.is_none() {
            out.extend_from_slice(octets);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::codec::dot_stuff;
    use proptest::prelude::*;

    const RULES: ContentRules = ContentRules {
        max_size: 1 << 20,
        max_line: 1 << 16,
        eight_bit: true,
        line_endings: LineEndings::Refuse,
    };
    const FIX: ContentRules = ContentRules {
        line_endings: LineEndings::Fix,
        ..RULES
    };

    /// Content, octets left behind the end (None: not ended), violation.
    fn read(rules: ContentRules, input: &[u8]) -> (Vec<u8>, Option<usize>, Option<Violation>) {
        let mut data = DataReceiver::new(rules);
        let mut out = Vec::new();
        let progress = data.ingest(input, &mut out);
        let left = progress.done.then(|| input.len() - progress.consumed);
        (out, left, data.violation())
    }

    fn read_bytewise(
        rules: ContentRules,
        input: &[u8],
    ) -> (Vec<u8>, Option<usize>, Option<Violation>) {
        let mut data = DataReceiver::new(rules);
        let mut out = Vec::new();
        for (i, octet) in input.iter().enumerate() {
            if data.ingest(&[*octet], &mut out).done {
                return (out, Some(input.len() - i - 1), data.violation());
            }
        }
        (out, None, data.violation())
    }

    #[test]
    fn crlf_dot_crlf_ends_a_message() {
        assert_eq!(read(RULES, b".\r\n"), (vec![], Some(0), None));
        assert_eq!(
            read(RULES, b"a\r\n.\r\nQUIT\r\n"),
            (b"a\r\n".to_vec(), Some(6), None)
        );
        assert_eq!(
            read(RULES, b"..a\r\n...\r\n.\r\n"),
            (b".a\r\n..\r\n".to_vec(), Some(0), None)
        );
        assert_eq!(
            read(RULES, b".a\r\n.\r\n"),
            (b"a\r\n".to_vec(), Some(0), None)
        );
    }

    #[test]
    fn nothing_else_ends_a_message() {
        for end in [
            &b"\n.\n"[..],
            b"\n.\r\n",
            b"\r\n.\n",
            b"\r\n.\r",
            b"\r.\r",
            b"\r.\r\n",
            b"\r\n.\r\r\n",
            b"\r\r\n.\n",
            b"\r\n\0.\r\n",
            b"\r\n.\0\r\n",
            b"\r\n. \r\n",
            b"\r\n..\r\n",
            b"\n\n.\r\n",
            b"\r\n.\r.\r\n",
        ] {
            for rules in [RULES, FIX] {
                let input = [b"a", end, b"MAIL FROM:<x@y.z>\r\n"].concat();
                let (content, left, violation) = read(rules, &input);
                assert_eq!(left, None, "{}", end.escape_ascii());
                if rules == FIX && violation.is_none() {
                    assert!(content.ends_with(b"MAIL FROM:<x@y.z>\r\n"));
                }
                let ended = [&input[..], b".\r\n"].concat();
                assert_eq!(read(rules, &ended).1, Some(0), "the true end is found");
            }
        }
    }

    #[test]
    fn bare_line_ends_are_refused_or_repaired() {
        assert_eq!(read(RULES, b"a\nb\r\n.\r\n").2, Some(Violation::BareLf));
        assert_eq!(read(RULES, b"a\rb\r\n.\r\n").2, Some(Violation::BareCr));
        assert_eq!(read(RULES, b"a\r\r\n.\r\n").2, Some(Violation::BareCr));
        assert_eq!(
            read(RULES, b"a\r\n.\rb\r\n.\r\n").2,
            Some(Violation::BareCr)
        );
        assert_eq!(
            read(FIX, b"a\nb\rc\r\n.\r\n"),
            (b"a\r\nb\r\nc\r\n".to_vec(), Some(0), None)
        );
        assert_eq!(
            read(FIX, b"a\n.\r\nb\n..c\r\n.\r\n").0,
            b"a\r\n.\r\nb\r\n.c\r\n"
        );
    }

    #[test]
    fn every_rule_stops_the_content_and_reads_on_to_the_end() {
        let tight = ContentRules {
            max_size: 10,
            max_line: 5,
            eight_bit: false,
            ..RULES
        };
        for (input, violation) in [
            (&b"a\0b\r\n.\r\n"[..], Violation::Nul),
            (b"a\xc3\xa9\r\n.\r\n", Violation::EightBit),
            (b"abcdef\r\n.\r\n", Violation::LongLine),
            (b"abcd\r\nabcd\r\n.\r\n", Violation::TooBig),
        ] {
            let (_, left, found) = read(tight, input);
            assert_eq!((left, found), (Some(0), Some(violation)));
            assert!(violation.reply().is_permanent());
        }
        assert_eq!(read(tight, b"abcde\r\n.\r\n").2, None);
    }

    #[test]
    fn chunks_carry_octets_as_they_are() {
        let mut bdat = BdatReceiver::new(RULES);
        let mut out = Vec::new();
        bdat.begin_chunk(6);
        let progress = bdat.ingest(b"a\r\n.\r\nBDAT", &mut out);
        assert_eq!(
            progress,
            Progress {
                consumed: 6,
                done: true
            }
        );
        bdat.begin_chunk(0);
        assert!(bdat.ingest(b"", &mut out).done);
        bdat.begin_chunk(1);
        assert!(bdat.ingest(b"b", &mut out).done);
        bdat.finish(&mut out);
        assert_eq!(
            (out.as_slice(), bdat.violation()),
            (&b"a\r\n.\r\nb\r\n"[..], None)
        );
    }

    #[test]
    fn a_cr_at_the_end_of_the_last_chunk_is_bare() {
        let mut bdat = BdatReceiver::new(RULES);
        bdat.begin_chunk(2);
        let mut out = Vec::new();
        assert!(bdat.ingest(b"a\r", &mut out).done);
        bdat.finish(&mut out);
        assert_eq!(bdat.violation(), Some(Violation::BareCr));
    }

    /// Octets that line handling cares about, and a few others.
    fn octets() -> impl Strategy<Value = Vec<u8>> {
        let octet = prop_oneof![
            Just(b'.'),
            Just(b'\r'),
            Just(b'\n'),
            Just(b'a'),
            Just(0u8),
            Just(0xe9u8)
        ];
        proptest::collection::vec(octet, 0..40)
    }

    proptest! {
        #[test]
        fn however_it_is_cut_it_is_read_the_same(input in octets(), fix: bool) {
            let rules = if fix { FIX } else { RULES };
            prop_assert_eq!(read_bytewise(rules, &input), read(rules, &input));
        }

        #[test]
        fn what_is_passed_on_has_only_crlf(input in octets()) {
            let ended = [&input[..], b"\r\n.\r\n"].concat();
            let (content, _, violation) = read(FIX, &ended);
            if violation.is_none() {
                let bare = String::from_utf8_lossy(&content).replace("\r\n", "");
                prop_assert!(!bare.contains(['\r', '\n']));
            }
        }

        #[test]
        fn unstuffing_undoes_stuffing(lines in proptest::collection::vec("[.a]{0,4}", 0..8), cut in 0usize..20) {
            let content = lines.iter().map(|l| format!("{l}\r\n")).collect::<String>();
            let (head, tail) = content.as_bytes().split_at(cut.min(content.len()));
            let (mut start, mut wire) = (true, Vec::new());
            dot_stuff(&mut start, head, &mut wire);
            dot_stuff(&mut start, tail, &mut wire);
            wire.extend_from_slice(b".\r\n");
            prop_assert_eq!(read(RULES, &wire), (content.into_bytes(), Some(0), None));
        }

        #[test]
        fn chunks_of_any_cut_read_the_same(input in octets(), cut in 0usize..40) {
            let whole = chunked(&[&input]);
            let (head, tail) = input.split_at(cut.min(input.len()));
            prop_assert_eq!(chunked(&[head, tail]), whole);
        }
    }

    fn chunked(chunks: &[&[u8]]) -> (Vec<u8>, Option<Violation>) {
        let mut bdat = BdatReceiver::new(RULES);
        let mut out = Vec::new();
        for chunk in chunks {
            bdat.begin_chunk(chunk.len() as u64);
            assert!(bdat.ingest(chunk, &mut out).done);
        }
        bdat.finish(&mut out);
        (out, bdat.violation())
    }
}

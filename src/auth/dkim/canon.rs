//! Relaxed canonicalisation of fields and body (RFC 6376 §3.4.2, §3.4.4), as the octets stream in.

use crate::mail::headers::{Field, is_wsp};
use mail_auth::common::crypto::{HashContext, HashImpl, Sha256};
use mail_auth::common::headers::Writer;
use memchr::memmem::Finder;

/// SHA-256 over the relaxed body: computed once while a message arrives, used by each of its signatures.
pub struct BodyHasher {
    canon: RelaxedBody,
    digest: Digest,
}

/// The finished hash of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BodyHash([u8; 32]);

impl BodyHasher {
    pub fn new() -> Self {
        Self {
            canon: RelaxedBody::default(),
            digest: Digest {
                context: Sha256::hasher(),
                gathered: Vec::with_capacity(GATHER),
            },
        }
    }

    /// Takes the next octets of the body, cut anywhere.
    pub fn update(&mut self, octets: &[u8]) {
        self.canon.feed(octets, &mut self.digest);
    }

    pub fn finish(mut self) -> BodyHash {
        self.canon.close(&mut self.digest);
        self.digest.flush();
        let digest = self.digest.context.complete();
        let mut hash = [0; 32];
        for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        BodyHash(hash)
    }
}

impl Default for BodyHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl AsRef<[u8]> for BodyHash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// SHA-256, fed in larger pieces than words: a call for each costs more than the hashing.
struct Digest {
    context: <Sha256 as HashImpl>::Context,
    gathered: Vec<u8>,
}

const GATHER: usize = 2048;

impl Digest {
    fn flush(&mut self) {
        self.context.write(&self.gathered);
        self.gathered.clear();
    }
}

impl Writer for Digest {
    fn write(&mut self, octets: &[u8]) {
        if self.gathered.len() + octets.len() > GATHER {
            self.flush();
        }
        if octets.len() >= GATHER {
            self.context.write(octets);
        } else {
            self.gathered.extend_from_slice(octets);
        }
    }
}

/// What has been read but may yet turn out to be trailing: white space at the end of a line, empty lines at the end
/// of the body. Both are written only when something follows, so that nothing ever has to be taken back.
struct RelaxedBody {
    /// Finds two spaces in a row.
    gap: Finder<'static>,
    line_breaks: u64,
    white_space: bool,
    /// A CR came, and it is not known yet whether an LF follows.
    cr: bool,
    written: bool,
}

/// A little over a line.
const WINDOW: usize = 128;

impl Default for RelaxedBody {
    fn default() -> Self {
        Self {
            gap: Finder::new(b"  "),
            line_breaks: 0,
            white_space: false,
            cr: false,
            written: false,
        }
    }
}

impl RelaxedBody {
    fn feed(&mut self, mut rest: &[u8], out: &mut impl Writer) {
        while let Some((&octet, tail)) = rest.split_first() {
            if std::mem::take(&mut self.cr) {
                if octet == b'\n' {
                    self.white_space = false;
                    self.line_breaks += 1;
                    rest = tail;
                    continue;
                }
                // A CR on its own is text.
                self.text(b"\r", out);
            }
            match octet {
                b' ' | b'\t' => self.white_space = true,
                b'\r' => self.cr = true,
                _ => {
                    let (run, behind) = rest.split_at(self.kept(rest));
                    self.text(run, out);
                    rest = behind;
                    continue;
                }
            }
            rest = tail;
        }
    }

    /// How much of `rest`, which begins with text, stays as it is: words with single spaces between them. Looks no
    /// further than [`WINDOW`], so that a line of many gaps is not gone over again for each of them.
    fn kept(&self, rest: &[u8]) -> usize {
        let near = rest.get(..WINDOW).unwrap_or(rest);
        let end = memchr::memchr2(b'\t', b'\r', near).unwrap_or(near.len());
        let line = near.get(..end).unwrap_or(near);
        let whole = line.len() - usize::from(line.ends_with(b" "));
        self.gap.find(line).unwrap_or(whole)
    }

    /// Writes what turned out not to be trailing, then `run`.
    fn text(&mut self, run: &[u8], out: &mut impl Writer) {
        for _ in 0..std::mem::take(&mut self.line_breaks) {
            out.write(b"\r\n");
        }
        if std::mem::take(&mut self.white_space) {
            out.write(b" ");
        }
        out.write(run);
        self.written = true;
    }

    /// A body with any text ends in one CRLF, one without is empty.
    fn close(&mut self, out: &mut impl Writer) {
        if std::mem::take(&mut self.cr) {
            self.text(b"\r", out);
        }
        if self.written {
            out.write(b"\r\n");
        }
    }
}

/// One field in relaxed form, with its closing CRLF.
pub(super) fn relaxed_field(field: Field<'_>, out: &mut Vec<u8>) {
    out.extend(field.name().bytes().map(|octet| octet.to_ascii_lowercase()));
    out.push(b':');
    relaxed_value(field.value(), out);
    out.extend_from_slice(b"\r\n");
}

/// A value unfolded, its white space reduced to single spaces between words.
pub(super) fn relaxed_value(value: &[u8], out: &mut Vec<u8>) {
    let mut gap = false;
    let start = out.len();
    for &octet in value {
        match octet {
            b'\r' | b'\n' => {}
            _ if is_wsp(octet) => gap = true,
            _ => {
                if std::mem::take(&mut gap) && out.len() > start {
                    out.push(b' ');
                }
                out.push(octet);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::headers::HeaderSection;
    use mail_auth::common::headers::Writable;
    use mail_auth::dkim::Canonicalization;
    use proptest::prelude::*;

    fn relaxed(chunks: &[&[u8]]) -> Vec<u8> {
        let (mut canon, mut out) = (RelaxedBody::default(), Vec::new());
        for chunk in chunks {
            canon.feed(chunk, &mut out);
        }
        canon.close(&mut out);
        out
    }

    /// The RFC's rules one after another over the whole body, slow and plain.
    fn by_the_rules(body: &[u8]) -> Vec<u8> {
        let text = String::from_utf8(body.to_vec()).unwrap();
        let mut lines: Vec<String> = text
            .split("\r\n")
            .map(|line| {
                let spaced = line.replace('\t', " ");
                let mut words = spaced.split(' ').filter(|word| !word.is_empty());
                let lead = if spaced.starts_with(' ') { " " } else { "" };
                let joined: Vec<&str> = words.by_ref().collect();
                format!("{lead}{}", joined.join(" ")).trim_end().to_owned()
            })
            .collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
            .iter()
            .flat_map(|line| [line, "\r\n"].concat().into_bytes())
            .collect()
    }

    #[test]
    fn the_example_of_rfc_6376_section_3_4_5() {
        assert_eq!(relaxed(&[b" C \r\nD \t E\r\n\r\n\r\n"]), b" C\r\nD E\r\n");
        let head = HeaderSection::parse(b"A: X\r\nB : Y\t\r\n\tZ  \r\n".to_vec());
        assert!(
            head.is_err(),
            "a space before the colon is refused before it is signed"
        );
        let head = HeaderSection::parse(b"A: X\r\nB: Y\t\r\n\tZ  \r\n".to_vec()).unwrap();
        let mut out = Vec::new();
        head.fields()
            .for_each(|field| relaxed_field(field, &mut out));
        assert_eq!(out, b"a:X\r\nb:Y Z\r\n");
    }

    #[test]
    fn trailing_lines_of_white_space_are_trailing_empty_lines() {
        for (body, expected) in [
            (&b""[..], &b""[..]),
            (b"\r\n", b""),
            (b" \r\n", b""),
            (b"\r\n\r\n \t\r\n", b""),
            (b"hi\r\n \r\n", b"hi\r\n"),
            (b"hi\r\n\r\n\t\r\n", b"hi\r\n"),
            (b"hi", b"hi\r\n"),
            (b"hi  ", b"hi\r\n"),
            (b"hi\r\n\r\n  there", b"hi\r\n\r\n there\r\n"),
            (b"a\rb\r\n", b"a\rb\r\n"),
            (b"a\r\r\n", b"a\r\r\n"),
            (b"a\nb \n\r\n", b"a\nb \n\r\n"),
        ] {
            assert_eq!(
                relaxed(&[body]),
                expected,
                "{:?}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn the_hash_of_an_empty_body_is_the_published_one() {
        // RFC 6376 §3.4.4: the hash of nothing, in hexadecimal.
        let hash: String = BodyHasher::new()
            .finish()
            .as_ref()
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        assert_eq!(
            hash,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    proptest! {
        #[test]
        fn chunks_make_the_same_as_the_whole(body in "([ab]|[ \t]{1,3}|\r\n|\r|\n){0,40}", cuts: Vec<prop::sample::Index>) {
            let body = body.as_bytes();
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            places.extend([0, body.len()]);
            places.sort_unstable();
            let chunks: Vec<&[u8]> = places.windows(2).map(|w| &body[w[0]..w[1]]).collect();
            prop_assert_eq!(relaxed(&chunks), relaxed(&[body]));
        }

        #[test]
        fn the_stream_makes_what_the_rules_say(body in "([abé]|[ \t]{1,3}|\r\n){0,40}") {
            prop_assert_eq!(relaxed(&[body.as_bytes()]), by_the_rules(body.as_bytes()));
        }

        #[test]
        fn long_lines_too(body in "([abé]{1,9} |[ab]{120,130}|[ \t]{1,3}|\r\n){0,80}") {
            prop_assert_eq!(relaxed(&[body.as_bytes()]), by_the_rules(body.as_bytes()));
        }

        /// Bodies that end in text: the rest mail-auth 0.13.3 gets wrong.
        #[test]
        fn mail_auth_makes_the_same_of_a_body(body in "([abé]|[ \t]{1,3}|\r\n){0,40}x[ \t]{0,2}(\r\n){0,3}") {
            let mut theirs = Vec::new();
            Canonicalization::Relaxed.canonical_body(body.as_bytes(), 0).write(&mut theirs);
            prop_assert_eq!(relaxed(&[body.as_bytes()]), theirs);
        }

        #[test]
        fn mail_auth_makes_the_same_of_a_field(octets in "[!-9;-~]{1,8}:([ \t]{0,3}[!-~é]{1,5}|\r\n[ \t]{1,3}[a-z]){0,8}[ \t]{0,2}\r\n") {
            let head = HeaderSection::parse(octets.clone().into_bytes()).unwrap();
            let field = head.fields().next().unwrap();
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            relaxed_field(field, &mut ours);
            let (name, value) = octets.split_once(':').unwrap();
            let fields = [(name.as_bytes(), value.as_bytes())];
            Canonicalization::Relaxed.canonicalize_headers(fields.into_iter(), &mut theirs);
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn the_hash_is_of_the_relaxed_form(body in "([abé]{1,3000}|[ \t]{1,3}|\r\n){0,12}", cut in 1usize..5000) {
            let mut hasher = BodyHasher::new();
            body.as_bytes().chunks(cut).for_each(|chunk| hasher.update(chunk));
            let mut plain = Sha256::hasher();
            plain.write(&relaxed(&[body.as_bytes()]));
            let (ours, plain) = (hasher.finish(), plain.complete());
            prop_assert_eq!(ours.as_ref(), plain.as_ref());
        }

        #[test]
        fn relaxed_bodies_stay_as_they_are(body in "([abé]|[ \t]{1,3}|\r\n){0,40}") {
            let once = relaxed(&[body.as_bytes()]);
            prop_assert_eq!(relaxed(&[&once]), once);
        }
    }
}

//! Taking an address out of what has been told, for a person who asks to be forgotten.
//!
//! Files set aside are written anew, one after the other, where the address stands in them; the others are not touched.
//! A crash leaves each file as it was or as it is to be, and what it was about is asked for again.

use super::archive::rotated_files;
use super::reader;
use crate::units::Timestamp;
use regex::bytes::{Regex, RegexBuilder};
use std::fs::File;
use std::io::{self, BufRead, BufWriter, Write};
use std::path::Path;

/// What stands where the address stood.
const ERASED: &[u8] = b"erased@erased.invalid";

/// An order to take an address out.
pub struct Erasure {
    /// The ways to write it.
    pub texts: Vec<String>,
    pub at: Timestamp,
    /// Called with the number of lines that named it; dropped where the log is closed before.
    pub done: Box<dyn FnOnce(io::Result<u64>) + Send>,
}

impl Erasure {
    /// Takes it out of all files set aside in `dir`.
    pub fn carry_out(self, dir: &Path) {
        (self.done)(erase(dir, &self.texts));
    }
}

fn erase(dir: &Path, texts: &[String]) -> io::Result<u64> {
    let address = Pattern::new(texts)?;
    let mut lines = 0;
    for path in rotated_files(dir)? {
        if path.extension().is_some_and(|extension| extension == "tmp") {
            continue;
        }
        if names(&path, &address)? {
            lines += write_anew(&path, &address)?;
        }
    }
    Ok(lines)
}

/// Whether a file names it at all: most do not, and reading is cheaper than writing.
fn names(path: &Path, address: &Pattern) -> io::Result<bool> {
    for line in reader::open(path)?.split(b'\n') {
        if address.replaced(&line?).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn write_anew(path: &Path, address: &Pattern) -> io::Result<u64> {
    let is_compressed = path.extension().is_some_and(|extension| extension == "zst");
    let unfinished = path.with_extension(match is_compressed {
        true => "zst.tmp",
        false => "jsonl.tmp",
    });
    let target = BufWriter::new(File::create(&unfinished)?);
    let (lines, file) = if is_compressed {
        let mut encoder = zstd::Encoder::new(target, super::archive::LEVEL)?;
        encoder.include_checksum(true)?;
        let lines = copy(path, &mut encoder, address)?;
        (lines, encoder.finish()?)
    } else {
        let mut target = target;
        (copy(path, &mut target, address)?, target)
    };
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(lines)
}

fn copy(path: &Path, target: &mut impl Write, address: &Pattern) -> io::Result<u64> {
    let mut count = 0;
    for line in reader::open(path)?.split(b'\n') {
        let line = line?;
        match address.replaced(&line) {
            Some(other) => {
                count += 1;
                target.write_all(&other)?;
            }
            None => target.write_all(&line)?,
        }
        target.write_all(b"\n")?;
    }
    Ok(count)
}

/// An address as it stands in lines, in any case.
struct Pattern(Regex);

impl Pattern {
    fn new(texts: &[String]) -> io::Result<Self> {
        let alternatives: Vec<String> = texts
            .iter()
            .map(|text| regex::escape(&in_json(text)))
            .collect();
        RegexBuilder::new(&alternatives.join("|"))
            .case_insensitive(true)
            .build()
            .map(Self)
            .map_err(io::Error::other)
    }

    /// The line without the address; `None` where it does not name it.
    fn replaced(&self, line: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut copied = 0;
        for found in self.0.find_iter(line) {
            let (before, behind) = (line.get(..found.start())?, line.get(found.end()..)?);
            if !stands_alone(before, behind) {
                continue;
            }
            out.extend_from_slice(line.get(copied..found.start())?);
            out.extend_from_slice(ERASED);
            copied = found.end();
        }
        if copied == 0 {
            return None;
        }
        out.extend_from_slice(line.get(copied..)?);
        Some(out)
    }
}

/// It is no part of a longer address: `ann@x.example` is not in `joann@x.example`, nor in `ann@x.example.org`.
fn stands_alone(before: &[u8], behind: &[u8]) -> bool {
    let is_local = |octet: &u8| {
        octet.is_ascii_alphanumeric() || b".!#$%&*+/=?^_`{|}~-".contains(octet) || *octet > 127
    };
    let is_domain = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'-' || *octet > 127;
    let goes_on = match behind {
        [b'.', next, ..] => is_domain(next),
        [next, ..] => is_domain(next),
        [] => false,
    };
    !before.last().is_some_and(is_local) && !goes_on
}

/// As it stands within a JSON string.
fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(&quoted).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(&[text.to_owned()]).unwrap()
    }

    #[test]
    fn an_address_is_found_in_any_case_and_no_other_with_it() {
        let ann = pattern("ann@x.example");
        let replaced = |line: &str| {
            let replaced = ann.replaced(line.as_bytes());
            replaced.map(|line| String::from_utf8(line).unwrap())
        };
        let expected = r#"{"recipient":"erased@erased.invalid","text":"<erased@erased.invalid>. joann@x.example"}"#;
        let line = r#"{"recipient":"Ann@X.example","text":"<ann@x.example>. joann@x.example"}"#;
        assert_eq!(replaced(line).as_deref(), Some(expected));
        for other in [
            "joann@x.example",
            "ann@x.example.org",
            "ann@x.examples",
            "b+ann@x.example",
            "",
        ] {
            assert_eq!(replaced(other), None, "{other}");
        }
        assert!(replaced("to ann@x.example.").is_some());
    }

    #[test]
    fn a_quoted_local_part_is_found_as_json_writes_it() {
        let quoted = pattern("\"a b\"@x.example");
        let line = serde_json::json!({"recipient": "\"a b\"@x.example"}).to_string();
        let replaced = quoted.replaced(line.as_bytes()).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&replaced).unwrap();
        assert_eq!(read["recipient"], "erased@erased.invalid");
    }

    proptest! {
        #[test]
        fn whatever_is_in_a_line_the_rest_of_it_stays(before in "[ -~é]{0,20}", behind in "[ -~é]{0,20}") {
            let ann = pattern("ann@x.example");
            let line = format!("{before} ann@x.example {behind}");
            let replaced = String::from_utf8(ann.replaced(line.as_bytes()).unwrap()).unwrap();
            prop_assert_eq!(replaced, format!("{before} erased@erased.invalid {behind}"));
        }
    }
}

//! What a message in a file says about itself.

use crate::cli::{Exit, Failure};
use crate::intake::{Said, read_labels};
use crate::units::Timestamp;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// A header section that is longer is none.
const LARGEST: u64 = 1 << 20;

/// Reads the fields of `file` as the intake would.
///
/// # Errors
/// It cannot be read, or the intake would refuse it for what they say.
pub fn read(file: &Path, now: Timestamp) -> Result<Said, Failure> {
    let wrong = |why: String| Failure::new(Exit::Data, format!("{}: {why}", file.display()));
    let opened = File::open(file).map_err(|error| wrong(error.to_string()))?;
    let head = head(BufReader::new(opened)).map_err(|error| wrong(error.to_string()))?;
    read_labels(head, now).map_err(|reply| wrong(format!("would be refused: {reply}")))
}

/// The header section, with the line ends that SMTP would have; files have others.
fn head(message: impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut message = message.take(LARGEST);
    let (mut head, mut line) = (Vec::new(), Vec::new());
    while message.read_until(b'\n', &mut line)? > 0 {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.is_empty() {
            break;
        }
        head.extend_from_slice(text);
        head.extend_from_slice(b"\r\n");
        line.clear();
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_section_ends_with_the_first_empty_line_whatever_ends_the_lines() {
        for text in ["A: b\n c\n\nX: y\n", "A: b\r\n c\r\n\r\nX: y", "A: b\n c"] {
            assert_eq!(
                head(text.as_bytes()).unwrap(),
                b"A: b\r\n c\r\n",
                "{text:?}"
            );
        }
        assert_eq!(head(&b""[..]).unwrap(), b"");
    }
}

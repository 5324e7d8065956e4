//! Reading the log back.

use super::archive::rotated_files;
use super::file::{CURRENT, rotated_at};
use crate::mail::MessageId;
use crate::units::Timestamp;
use serde::Deserialize;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// The (message, recipient) pairs that have an event.
#[derive(Debug, Default)]
pub struct Told {
    pub accepted: HashSet<(MessageId, Box<str>)>,
    /// By a terminal event.
    pub ended: HashSet<(MessageId, Box<str>)>,
}

/// What was told of the `wanted` messages at `since` or later.
///
/// For the start after an unclean stop: what came in or ended may be told already or may not, and no recipient may get
/// a second such event. Lines that cannot be read are skipped.
///
/// # Errors
/// The directory or a file of it cannot be read; a directory that is not there has no events.
pub fn told_since(dir: &Path, since: Timestamp, wanted: &HashSet<MessageId>) -> io::Result<Told> {
    let (mut told, earliest) = (Told::default(), earliest(since));
    for path in files_since(dir, since)? {
        for line in open(&path)?.split(b'\n') {
            let line = line?;
            // Times sort as text: lines of long before are not worth parsing.
            if line.len() > earliest.len() && *line >= *earliest {
                told.read(&line, since, wanted);
            }
        }
    }
    Ok(told)
}

/// How a line of `since` begins: every line begins with its time.
fn earliest(since: Timestamp) -> Vec<u8> {
    format!("{{\"time\":\"{since}").into_bytes()
}

impl Told {
    fn read(&mut self, line: &[u8], since: Timestamp, wanted: &HashSet<MessageId>) -> Option<()> {
        let read: Read = serde_json::from_slice(line).ok()?;
        let kind = read.kind.as_str();
        let told = match kind {
            "accepted" => &mut self.accepted,
            _ if TERMINAL.contains(&kind) => &mut self.ended,
            _ => return None,
        };
        let id = read.id.parse().ok()?;
        if read.time >= since && wanted.contains(&id) {
            told.insert((id, read.recipient));
        }
        Some(())
    }
}

/// The newest file, and those set aside at `since` or later. A file half compressed is read uncompressed.
fn files_since(dir: &Path, since: Timestamp) -> io::Result<Vec<PathBuf>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut files = rotated_files(dir)?;
    files.retain(|path| {
        let unfinished = path.extension().is_some_and(|e| e == "tmp");
        !unfinished && rotated_at(path).is_some_and(|at| at >= since)
    });
    files.push(dir.join(CURRENT));
    Ok(files)
}

pub(super) fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let compressed = path.with_extension("jsonl.zst");
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        // Compressed since the directory was listed.
        Err(_) if compressed.exists() => return open(&compressed),
        Err(_) => return Ok(Box::new(io::empty())),
    };
    if path.extension().is_some_and(|e| e == "zst") {
        return Ok(Box::new(BufReader::new(zstd::Decoder::new(file)?)));
    }
    Ok(Box::new(BufReader::new(file)))
}

/// What is read of a line.
#[derive(Deserialize)]
struct Read {
    time: Timestamp,
    #[serde(rename = "type")]
    kind: String,
    id: String,
    recipient: Box<str>,
}

/// The types that end a recipient; [`super::Event::is_terminal`] says the same of an event.
const TERMINAL: [&str; 5] = ["delivered", "bounced", "expired", "dropped", "suppressed"];

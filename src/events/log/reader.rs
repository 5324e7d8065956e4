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

/// The (message, recipient) pairs that have a terminal event at `since` or later.
///
/// For the start after an unclean stop: an outcome may have been told as an event while the spool did not yet hold
/// it, and no recipient may get a second terminal event. Lines that cannot be read are skipped.
///
/// # Errors
/// The directory or a file of it cannot be read; a directory that is not there has no events.
pub fn terminal_since(dir: &Path, since: Timestamp) -> io::Result<HashSet<(MessageId, Box<str>)>> {
    let mut ended = HashSet::new();
    for path in files_since(dir, since)? {
        for line in open(&path)?.split(b'\n') {
            ended.extend(terminal(&line?, since));
        }
    }
    Ok(ended)
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

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
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
struct Ended {
    time: Timestamp,
    #[serde(rename = "type")]
    kind: String,
    id: String,
    recipient: Box<str>,
}

/// The types that end a recipient; [`super::Event::is_terminal`] says the same of an event.
const TERMINAL: [&str; 4] = ["delivered", "bounced", "expired", "dropped"];

fn terminal(line: &[u8], since: Timestamp) -> Option<(MessageId, Box<str>)> {
    let ended: Ended = serde_json::from_slice(line).ok()?;
    if ended.time < since || !TERMINAL.contains(&ended.kind.as_str()) {
        return None;
    }
    Some((ended.id.parse().ok()?, ended.recipient))
}

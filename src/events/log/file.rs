//! The file being written, and its rotation.

use crate::events::Config;
use crate::units::{Size, Span, Timestamp};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The name of the file being written.
pub const CURRENT: &str = "events.jsonl";

/// `events.jsonl`, open for appending.
pub struct LogFile {
    dir: PathBuf,
    file: File,
    size: u64,
    /// The instant of its first line; `None` while it is empty.
    began: Option<Timestamp>,
    rotate_size: Size,
    rotate_every: Span,
}

impl LogFile {
    /// Opens the file in `dir` and cuts off a line that is not whole.
    pub fn open(dir: &Path, config: &Config, now: Timestamp) -> io::Result<Self> {
        let path = dir.join(CURRENT);
        let mut file = open_to_append(&path)?;
        let size = cut_torn_line(&mut file, &path)?;
        let began = (size > 0).then(|| first_instant(&path).unwrap_or(now));
        Ok(Self {
            dir: dir.to_owned(),
            file,
            size,
            began,
            rotate_size: config.rotate_size,
            rotate_every: config.rotate_every,
        })
    }

    /// A file that takes no line.
    #[cfg(test)]
    pub fn refusing(dir: &Path) -> Self {
        let path = dir.join(CURRENT);
        std::fs::write(&path, "").unwrap();
        Self {
            dir: dir.to_owned(),
            file: File::open(&path).unwrap(),
            size: 0,
            began: None,
            rotate_size: Size::mib(1),
            rotate_every: Span::days(1),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Whether lines from `now` on belong in a new file.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.began.is_some_and(|began| {
            self.size >= self.rotate_size.0 || now.since(began) >= self.rotate_every.0
        })
    }

    /// Sets the file aside under a name of its own, which is returned, and begins a new one.
    pub fn rotate(&mut self, now: Timestamp) -> io::Result<PathBuf> {
        self.file.sync_data()?;
        let aside = self.free_name(now);
        let current = self.dir.join(CURRENT);
        std::fs::rename(&current, &aside)?;
        self.file = match open_to_append(&current) {
            Ok(file) => file,
            Err(error) => {
                std::fs::rename(&aside, &current)?;
                return Err(error);
            }
        };
        (self.size, self.began) = (0, None);
        Ok(aside)
    }

    /// Appends whole lines, the first of which is from `at`. On an error what was written of them is cut off again,
    /// so that the caller may repeat the call.
    pub fn append(&mut self, lines: &[u8], at: Timestamp) -> io::Result<()> {
        if let Err(error) = self.file.write_all(lines) {
            self.file.set_len(self.size)?;
            return Err(error);
        }
        self.size += lines.len() as u64;
        self.began.get_or_insert(at);
        Ok(())
    }

    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// `events-20261122T214300.123Z-0.jsonl`: sorts by time; the number tells two of one millisecond apart.
    fn free_name(&self, now: Timestamp) -> PathBuf {
        let time = now.to_string().replace(['-', ':'], "");
        let name = |n: u32| self.dir.join(format!("events-{time}-{n}.jsonl"));
        let taken = |path: &Path| path.exists() || path.with_extension("jsonl.zst").exists();
        (0..u32::MAX)
            .map(name)
            .find(|path| !taken(path))
            .unwrap_or_else(|| name(u32::MAX))
    }
}

/// When a file was set aside, from its name.
pub fn rotated_at(path: &Path) -> Option<Timestamp> {
    let name = path.file_name()?.to_str()?.strip_prefix("events-")?;
    let time = name.split('-').next()?;
    let parsed: jiff::Timestamp = time.parse().ok()?;
    let millis = u64::try_from(parsed.as_millisecond()).ok()?;
    Some(Timestamp::from_millis(millis))
}

fn open_to_append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(path)
}

/// How much of the file's end is searched for the last line end; a line is far shorter.
const TAIL: u64 = 1 << 20;

/// Leaves whole lines only; gives the size then.
fn cut_torn_line(file: &mut File, path: &Path) -> io::Result<u64> {
    let size = file.metadata()?.len();
    let start = size.saturating_sub(TAIL);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.read_to_end(&mut tail)?;
    let whole = memchr::memrchr(b'\n', &tail).map_or(0, |at| at + 1);
    let keep = start + whole as u64;
    if keep < size {
        tracing::warn!(
            file = %path.display(),
            octets = size - keep,
            "the last event was not written whole when the daemon stopped; it is cut off"
        );
        file.set_len(keep)?;
    }
    Ok(keep)
}

/// The `time` of the first line.
fn first_instant(path: &Path) -> Option<Timestamp> {
    use std::io::BufRead;
    let mut line = String::new();
    io::BufReader::new(File::open(path).ok()?)
        .read_line(&mut line)
        .ok()?;
    let fields: serde_json::Value = serde_json::from_str(&line).ok()?;
    serde_json::from_value(fields.get("time")?.clone()).ok()
}

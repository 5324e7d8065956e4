//! One file a day.

use super::{BooksError, Entry};
use crate::mail::MessageId;
use crate::units::Timestamp;
use redb::{Builder, Database, ReadableDatabase, TableDefinition, TableError};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Message id → [`FORMAT`], and the entry as postcard writes it.
const MESSAGES: TableDefinition<u64, &[u8]> = TableDefinition::new("messages");
/// What the first octet of a record says.
const FORMAT: u8 = 1;
/// Pages of a file in memory.
const CACHE: usize = 8 << 20;
/// Files that are kept open: today's, and those that what comes back is about.
const OPEN: usize = 4;
const DAY_MILLIS: u64 = 86_400_000;

/// A day since the epoch, in UTC.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Day(u64);

impl Day {
    pub fn of(at: Timestamp) -> Self {
        Self(at.as_millis() / DAY_MILLIS)
    }

    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    pub fn start(self) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_mul(DAY_MILLIS))
    }

    /// No message of the day has a lower one.
    pub fn first_id(self) -> MessageId {
        // Ids run out long after days do: 44 bits of milliseconds end in the year 2527.
        let millis = self.start().as_millis().min((1 << 44) - 1);
        MessageId(millis << 20)
    }

    /// The day that a file's name tells.
    fn of_file(path: &Path) -> Option<Self> {
        if path.extension()? != "redb" {
            return None;
        }
        let date: jiff::civil::Date = path.file_stem()?.to_str()?.parse().ok()?;
        let start = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        let millis = u64::try_from(start.timestamp().as_millisecond()).ok()?;
        Some(Self::of(Timestamp::from_millis(millis)))
    }
}

/// `2026-11-26`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.start().to_zoned().strftime("%Y-%m-%d"))
    }
}

/// The files, some of them open.
pub(super) struct Days {
    dir: PathBuf,
    /// The one that was used last is the last.
    open: Vec<(Day, Database)>,
}

impl Days {
    /// Makes the directory where it is missing.
    pub fn open(dir: &Path) -> Result<Self, BooksError> {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir);
        made.map_err(|error| BooksError(format!("{}: {error}", dir.display())))?;
        Ok(Self {
            dir: dir.to_owned(),
            open: Vec::new(),
        })
    }

    pub fn read(&mut self, id: MessageId) -> Result<Option<Entry>, BooksError> {
        let day = Day::of(id.accepted());
        let is_open = self.open.iter().any(|(open, _)| *open == day);
        if !is_open && !self.path(day).exists() {
            return Ok(None);
        }
        self.with(day, |database| {
            let table = match database.begin_read()?.open_table(MESSAGES) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                table => table?,
            };
            Ok(table.get(id.0)?.map(|record| decode(record.value())))
        })?
        .transpose()
    }

    /// Writes records of one day.
    pub fn write(
        &mut self,
        day: Day,
        entries: &BTreeMap<MessageId, Entry>,
    ) -> Result<(), BooksError> {
        self.with(day, |database| {
            let mut transaction = database.begin_write()?;
            // A start after a crash would read a whole day's file else.
            transaction.set_quick_repair(true);
            {
                let mut table = transaction.open_table(MESSAGES)?;
                for (id, entry) in entries {
                    if let Some(record) = encode(entry) {
                        table.insert(id.0, record.as_slice())?;
                    }
                }
            }
            Ok(transaction.commit()?)
        })
    }

    /// Removes the files of the days that `is_old` says.
    pub fn remove(&mut self, is_old: impl Fn(Day) -> bool) -> std::io::Result<()> {
        for file in fs::read_dir(&self.dir)? {
            let path = file?.path();
            let Some(day) = Day::of_file(&path).filter(|day| is_old(*day)) else {
                continue;
            };
            self.open.retain(|(open, _)| *open != day);
            fs::remove_file(&path)?;
            tracing::info!(%day, "tokens of this day are too old: its book is removed");
        }
        Ok(())
    }

    fn path(&self, day: Day) -> PathBuf {
        self.dir.join(format!("{day}.redb"))
    }

    /// Works on a day's file, which is made where it is missing. One that fails is closed, and opened again by who needs
    /// it next.
    fn with<T>(
        &mut self,
        day: Day,
        act: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, BooksError> {
        let path = self.path(day);
        let opened = self.open.iter().position(|(open, _)| *open == day);
        let opened = opened.map(|at| self.open.remove(at).1);
        // redb may panic on a file that something else has written into.
        let worked = catch_unwind(AssertUnwindSafe(|| {
            let database = opened.map_or_else(|| open(&path), Ok)?;
            let done = act(&database)?;
            Ok::<_, redb::Error>((done, database))
        }));
        let fault = |why: &dyn fmt::Display| BooksError(format!("{}: {why}", path.display()));
        let (done, database) = worked
            .map_err(|_| fault(&"the file is damaged"))?
            .map_err(|error| fault(&error))?;
        self.open.push((day, database));
        if self.open.len() > OPEN {
            self.open.remove(0);
        }
        Ok(done)
    }
}

fn open(path: &Path) -> Result<Database, redb::Error> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    Ok(builder.create(path)?)
}

fn encode(entry: &Entry) -> Option<Vec<u8>> {
    postcard::to_extend(entry, vec![FORMAT]).ok()
}

fn decode(record: &[u8]) -> Result<Entry, BooksError> {
    let unknown = || BooksError("a record is of no format that is known here".into());
    let (format, entry) = record.split_first().ok_or_else(unknown)?;
    if *format != FORMAT {
        return Err(unknown());
    }
    postcard::from_bytes(entry).map_err(|error| BooksError(format!("a record is damaged: {error}")))
}

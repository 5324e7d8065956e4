//! The file of what reports came to.
//!
//! ```text
//! reports/reports.redb
//!   sources    domain day address   → SourceDay
//!   tls        domain day reporter  → TlsDay
//!   figures    provider subject day → values
//!   policies   domain               → PolicySeen
//!   seen       kind reporter id domain → when it came
//! ```
//!
//! Whoever calls is blocked for the disk. Rows go when no report has added to them for as long as reports are kept.

use super::ReportsError;
use super::rows::{PolicySeen, SourceDay, TlsDay};
use parking_lot::Mutex;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, ReadableTableMetadata};
use redb::{ReadTransaction, TableDefinition, TableError, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

pub type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

pub const SOURCES: Table = TableDefinition::new("sources");
pub const TLS: Table = TableDefinition::new("tls");
pub const FIGURES: Table = TableDefinition::new("figures");
pub const POLICIES: Table = TableDefinition::new("policies");
pub const SEEN: Table = TableDefinition::new("seen");

/// Rows of a table; beyond it no more reports are taken. A row has some 150 octets on disk.
pub const MOST_ROWS: u64 = 1_000_000;
/// Pages of the file in memory.
const CACHE: usize = 8 << 20;
/// What the first octet of a record says.
const FORMAT: u8 = 1;

/// The file. It is made with the first report, and opened when it is needed.
pub struct Store {
    dir: PathBuf,
    database: Mutex<Option<Database>>,
}

impl Store {
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            database: Mutex::new(None),
        }
    }

    /// Does all of `act`, durably, or nothing.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn write<T>(
        &self,
        act: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, ReportsError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(|error| ReportsError(format!("{}: {error}", self.dir.display())))?;
        self.with(|database| {
            let transaction = database.begin_write()?;
            let done = act(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
    }

    /// Reads; `None` where there never was a report.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn read<T>(
        &self,
        act: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<Option<T>, ReportsError> {
        if self.database.lock().is_none() && !self.path().exists() {
            return Ok(None);
        }
        self.with(|database| act(&database.begin_read()?)).map(Some)
    }

    /// Lets the file go.
    pub fn close(&self) {
        self.database.lock().take();
    }

    fn path(&self) -> PathBuf {
        self.dir.join("reports.redb")
    }

    /// A file that fails is closed, and opened again by who needs it next.
    fn with<T>(
        &self,
        act: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, ReportsError> {
        let path = self.path();
        let mut held = self.database.lock();
        let opened = held.take();
        // redb may panic on a file that something else has written into.
        let worked = catch_unwind(AssertUnwindSafe(|| {
            let database = opened.map_or_else(|| open(&path), Ok)?;
            let done = act(&database)?;
            Ok::<_, redb::Error>((done, database))
        }));
        let fault =
            |why: &dyn std::fmt::Display| ReportsError(format!("{}: {why}", path.display()));
        let (done, database) = worked
            .map_err(|_| fault(&"the file is damaged"))?
            .map_err(|error| fault(&error))?;
        *held = Some(database);
        Ok(done)
    }
}

fn open(path: &Path) -> Result<Database, redb::Error> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    Ok(builder.create(path)?)
}

/// A key whose parts sort in order; texts cannot have the octet between them.
pub fn key(parts: &[&[u8]]) -> Vec<u8> {
    parts.join(&0u8)
}

/// Texts of strangers as a part of a key.
pub fn part(text: &str) -> Vec<u8> {
    let octets = super::text::cut(text, 256).bytes();
    octets.filter(|octet| *octet != 0).collect()
}

/// What a record says; `None` where it is of no format that is known here.
pub fn decode<T: DeserializeOwned>(record: &[u8]) -> Option<T> {
    let (format, rest) = record.split_first()?;
    (*format == FORMAT).then(|| postcard::from_bytes(rest).ok())?
}

pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Texts, numbers and maps of them: this cannot fail.
    postcard::to_extend(value, vec![FORMAT]).unwrap_or_default()
}

/// The rows of a table whose key begins with `prefix`, those alone that are of a known format.
pub fn scan<T: DeserializeOwned>(
    transaction: &ReadTransaction,
    table: Table,
    prefix: &[u8],
    mut row: impl FnMut(&[u8], T),
) -> Result<(), redb::Error> {
    let table = match transaction.open_table(table) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        table => table?,
    };
    for entry in table.range(prefix..)? {
        let (key, value) = entry?;
        if !key.value().starts_with(prefix) {
            break;
        }
        if let Some(value) = decode(value.value()) {
            row(key.value(), value);
        }
    }
    Ok(())
}

/// Whether a report may add rows.
pub fn has_room(transaction: &WriteTransaction) -> Result<bool, redb::Error> {
    for table in [SOURCES, TLS, FIGURES, SEEN] {
        if transaction.open_table(table)?.len()? >= MOST_ROWS {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes rows that nothing has been added to since `oldest`, in seconds.
pub fn sweep(transaction: &WriteTransaction, oldest: u64) -> Result<(), redb::Error> {
    sweep_table::<SourceDay>(transaction, SOURCES, |row| row.seen >= oldest)?;
    sweep_table::<TlsDay>(transaction, TLS, |row| row.seen >= oldest)?;
    sweep_table::<PolicySeen>(transaction, POLICIES, |row| row.seen >= oldest)?;
    sweep_table::<u64>(transaction, SEEN, |seen| *seen >= oldest)?;
    sweep_table::<(u64, String)>(transaction, FIGURES, |(seen, _)| *seen >= oldest)
}

fn sweep_table<T: DeserializeOwned>(
    transaction: &WriteTransaction,
    table: Table,
    stays: impl Fn(&T) -> bool,
) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(table)?;
    // A record of another version stays: whoever wrote it may come back.
    table.retain(|_, value| decode(value).as_ref().is_none_or(&stays))?;
    Ok(())
}

/// Reads, changes and writes one row.
pub fn change<T: DeserializeOwned + Serialize + Default>(
    transaction: &WriteTransaction,
    table: Table,
    key: &[u8],
    change: impl FnOnce(&mut T),
) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(table)?;
    let mut row = match table.get(key)? {
        Some(value) => decode(value.value()).unwrap_or_default(),
        None => T::default(),
    };
    change(&mut row);
    table.insert(key, encode(&row).as_slice())?;
    Ok(())
}

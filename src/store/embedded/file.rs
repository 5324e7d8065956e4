//! The file: claimed by one process, made in one step, checked when it is opened.
//!
//! ```text
//! state/lock             held while a process has the store
//! state/state.redb       the store
//! state/state.redb.new   one that is being made; not one yet, and made anew after a crash
//! ```

use super::tables;
use crate::store::OpenError;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, StorageError, TableDefinition, TableError,
};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What this version writes. Format 1 had other buckets, of before the first release.
const FORMAT: u64 = 2;
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
pub(super) const FORMAT_KEY: &str = "format";
/// Pages in memory. The whole state of a large sender is a few tens of MiB.
const CACHE: usize = 32 << 20;
/// Fewer free octets are not worth the work.
const LARGE: u64 = 1 << 20;

/// The name, and the right to it.
pub(super) struct StateFile {
    path: PathBuf,
    /// Locked while open.
    _lock: File,
}

impl StateFile {
    pub(super) fn path_in(dir: &Path) -> PathBuf {
        dir.join("state.redb")
    }

    /// Claims the store in `dir`, which is made where it is missing.
    pub(super) fn claim(dir: &Path) -> Result<Self, OpenError> {
        let (path, lock) = (Self::path_in(dir), dir.join("lock"));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| io(dir, error))?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock)
            .map_err(|error| io(&lock, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, _lock: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { file: path }),
            Err(TryLockError::Error(error)) => Err(io(&lock, error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file, or makes it where there is none.
    pub(super) fn open_or_make(&self) -> Result<Database, OpenError> {
        let found = fs::exists(&self.path).map_err(|error| io(&self.path, error))?;
        if !found {
            self.make()?;
            tracing::info!(file = %self.path.display(), "there was no state: begun anew");
        }
        let database = self.open()?;
        match self.free(&database) {
            Ok(0..LARGE) => Ok(database),
            Ok(free) => self.trim(database, free),
            Err(error) => self.untrimmed(database, &error),
        }
    }

    /// What is there stays as it was: the file is as good as before, and as large.
    fn untrimmed(
        &self,
        database: Database,
        error: &dyn std::fmt::Display,
    ) -> Result<Database, OpenError> {
        let file = self.path.display();
        tracing::warn!(%file, %error, "the file stays as large as it is");
        drop(database);
        self.open()
    }

    /// Octets of the file that hold nothing, where they are a fifth of it at least. The file grows by doubling, and a
    /// large write leaves free as much as it wrote anew.
    fn free(&self, database: &Database) -> Result<u64, redb::Error> {
        // What the last commit freed is free from the next one on.
        database.begin_write()?.commit()?;
        let transaction = database.begin_write()?;
        let stats = transaction.stats()?;
        transaction.abort()?;
        let used = stats.allocated_pages() * stats.page_size() as u64;
        let len = fs::metadata(&self.path).map_err(redb::Error::Io)?;
        let free = len.len().saturating_sub(used);
        Ok(if free > len.len() / 5 { free } else { 0 })
    }

    /// Gives free octets back to the disk, where that can be done.
    fn trim(&self, mut database: Database, free: u64) -> Result<Database, OpenError> {
        let file = self.path.display();
        tracing::info!(%file, free, "giving free octets back");
        match database.compact() {
            Ok(_) => Ok(database),
            Err(error) => self.untrimmed(database, &error),
        }
    }

    /// Opens the file that is there, and checks every page of it.
    pub(super) fn open(&self) -> Result<Database, OpenError> {
        let opened = builder().set_check_integrity_on_open(true).open(&self.path);
        let database = opened.map_err(|error| self.refused(error))?;
        match self.format(&database)? {
            FORMAT => Ok(database),
            1 => Err(self.damaged(
                "its format is 1, of a version before the first release: export the list with that one, and import it anew",
            )),
            found if found > FORMAT => Err(OpenError::Later {
                place: self.path.display().to_string(),
                found,
                ours: FORMAT,
            }),
            _ => Err(self.damaged("it names no format")),
        }
    }

    /// Writes an empty store beside, then gives it its name: a crash leaves a whole one or none.
    fn make(&self) -> Result<(), OpenError> {
        let new = self.path.with_extension("redb.new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(&new, error)),
            _ => {}
        }
        let file = File::options()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&new);
        drop(file.map_err(|error| io(&new, error))?);
        fill(&new).map_err(|error| match error {
            redb::Error::Io(error) => io(&new, error),
            other => io(&new, std::io::Error::other(other)),
        })?;
        let named = fs::rename(&new, &self.path);
        named
            .and_then(|()| File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all())
            .map_err(|error| io(&self.path, error))
    }

    fn format(&self, database: &Database) -> Result<u64, OpenError> {
        let read = || -> Result<Option<u64>, redb::Error> {
            let transaction = database.begin_read()?;
            let meta = match transaction.open_table(META) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                meta => meta?,
            };
            Ok(redb::ReadableTable::get(&meta, FORMAT_KEY)?.map(|format| format.value()))
        };
        let format = read().map_err(|error| self.damaged(&error))?;
        Ok(format.unwrap_or_default())
    }

    fn refused(&self, error: DatabaseError) -> OpenError {
        let file = self.path.clone();
        match error {
            DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { file },
            DatabaseError::Storage(StorageError::Io(error))
                if error.kind() != ErrorKind::InvalidData =>
            {
                OpenError::Io { file, error }
            }
            other => self.damaged(&other),
        }
    }

    fn damaged(&self, why: impl std::fmt::Display) -> OpenError {
        OpenError::Damaged {
            file: self.path.clone(),
            why: why.to_string(),
        }
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

/// An empty store in the empty file `new`, synced.
fn fill(new: &Path) -> Result<(), redb::Error> {
    let database = builder().create(new)?;
    let transaction = database.begin_write()?;
    tables::create(&transaction)?;
    transaction.open_table(META)?.insert(FORMAT_KEY, FORMAT)?;
    transaction.commit()?;
    database.close()?;
    Ok(())
}

fn io(file: &Path, error: std::io::Error) -> OpenError {
    OpenError::Io {
        file: file.to_owned(),
        error,
    }
}

//! What the spool asks of the file system: names, writes, syncs, free space. Tests hand in a disk that fails.

use super::SpoolError;
use crate::mail::MessageId;
use rustix::fs::{FallocateFlags, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The writing side of a disk. Reads go to the files directly: what they can do wrong, checksums find.
pub trait Disk: Send + Sync + 'static {
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Writes `size` zeros to `file`, which was made at `path` just now.
    fn zero(&self, file: &File, path: &Path, size: u64) -> io::Result<()>;
    /// Returns when what was written to `file` survives a power loss.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Returns when the names in `dir` survive a power loss.
    fn sync_names(&self, dir: &Path) -> io::Result<()>;
    /// What is free where `dir` is.
    fn space(&self, dir: &Path) -> io::Result<Space>;
}

/// Free bytes and inodes for unprivileged users. `inodes` is `None` where the file system has no fixed number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub bytes: u64,
    pub inodes: Option<u64>,
}

/// Zeros written at once.
const ZEROS: usize = 1 << 20;
/// Of memory and place in writes past the page cache: no disk has larger sectors.
const ALIGNMENT: usize = 4096;

/// The machine's disk.
pub struct Machine;

impl Disk for Machine {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    /// Past the page cache where the file system can do that: the zeros are copied nowhere, and push nothing out of
    /// memory that is wanted there.
    fn zero(&self, file: &File, path: &Path, size: u64) -> io::Result<()> {
        let zeros = vec![0; ZEROS + ALIGNMENT];
        let start = zeros.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        let zeros = &zeros[start..start + ZEROS];
        // Only to have it in one piece: where that cannot be done the writes make it.
        let _unsupported = rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size);
        let direct = direct(path).filter(|_| size.is_multiple_of(ALIGNMENT as u64));
        let mut at = 0;
        while at < size {
            let piece = &zeros[..(size - at).min(ZEROS as u64) as usize];
            let written = direct.as_ref().map(|direct| direct.write_all_at(piece, at));
            if !matches!(written, Some(Ok(()))) {
                file.write_all_at(piece, at)?;
            }
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_names(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(dir)?;
        Ok(Space {
            bytes: found.f_bavail.saturating_mul(found.f_frsize),
            // btrfs and others make inodes as needed and report none at all.
            inodes: (found.f_files > 0).then_some(found.f_favail),
        })
    }
}

/// Where things are below the spool's directory.
#[derive(Debug, Clone)]
pub struct Layout {
    pub root: PathBuf,
}

impl Layout {
    /// The spool of the data directory `dir`.
    pub fn of(dir: &Path) -> Self {
        Self {
            root: dir.join("spool"),
        }
    }

    pub fn create(&self, disk: &dyn Disk) -> io::Result<()> {
        std::fs::create_dir_all(self.large())?;
        std::fs::create_dir_all(self.corrupt())?;
        disk.sync_names(&self.root)
    }

    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub fn large(&self) -> PathBuf {
        self.root.join("large")
    }

    pub fn corrupt(&self) -> PathBuf {
        self.root.join("corrupt")
    }

    pub fn segment(&self, number: u64) -> PathBuf {
        self.root.join(format!("{number:08}.seg"))
    }

    /// A segment that is being written with zeros; not one yet.
    pub fn unfinished(&self, number: u64) -> PathBuf {
        self.root.join(format!("{number:08}.new"))
    }

    pub fn body(&self, id: MessageId) -> PathBuf {
        self.large().join(format!("{id}.body"))
    }

    /// A large body that is being received.
    pub fn part(&self, number: u64) -> PathBuf {
        self.large().join(format!("{number:08}.part"))
    }
}

/// A new file that may be read and written; fails where the name is taken.
pub fn create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// A second way into a file, past the page cache; `None` where the file system has none.
fn direct(path: &Path) -> Option<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = i32::try_from(OFlags::DIRECT.bits()).ok()?;
    let file = File::options().write(true).custom_flags(flags).open(path);
    file.ok()
}

/// As [`FileExt::read_exact_at`], but what cannot be read comes as zeros: one bad sector must not hide its neighbours.
pub fn read_lossy(file: &File, offset: u64, bytes: &mut [u8]) {
    const SECTOR: usize = 4096;
    if file.read_exact_at(bytes, offset).is_ok() {
        return;
    }
    let mut at = offset;
    for piece in bytes.chunks_mut(SECTOR) {
        if file.read_exact_at(piece, at).is_err() {
            piece.fill(0);
        }
        at += piece.len() as u64;
    }
}

/// Has the kernel read a part of a file in one go before it is asked for octets here and there in it: by itself it sees
/// no order in those. Advice only.
pub fn read_ahead(file: &File, from: u64, to: u64) {
    use rustix::fs::{Advice, fadvise};
    // At once the kernel takes no more than the device's largest request.
    const STEP: u64 = 1 << 20;
    for at in (from..to).step_by(STEP as usize) {
        let len = std::num::NonZeroU64::new(STEP.min(to - at));
        let _not_followed = fadvise(file, at, len, Advice::WillNeed);
    }
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::Io(error.to_string().into()),
        }
    }
}

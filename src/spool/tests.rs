//! Stories: a spool, what happens to it, what the next start finds.

use super::disk::{Disk, Layout, Machine, Space};
use super::record::{Header, UNIT};
use super::*;
use crate::clock::Clock;
use crate::mail::{BodyType, BounceClass, Recipient};
use crate::units::Size;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

mod crash;
mod damage;
mod life;
mod trouble;

const SEGMENT: u64 = 64 << 10;
const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn config() -> Config {
    Config {
        segment_size: Size(SEGMENT),
        inline_limit: Size::kib(8),
        reserve_space: Size(0),
        reserve_inodes: 0,
        ..Config::default()
    }
}

/// A data directory, a clock and a disk that outlive the spool.
struct World {
    dir: tempfile::TempDir,
    clock: Clock,
    disk: Arc<Faulty>,
    config: Config,
}

/// What a start found.
struct Found {
    spool: Spool,
    report: RecoveryReport,
    stored: BTreeMap<MessageId, Stored>,
}

impl World {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: Clock::manual(START),
            disk: Arc::new(Faulty::default()),
            config: config(),
        }
    }

    fn start(&self) -> Found {
        let mut stored = BTreeMap::new();
        let parts = (self.config.clone(), self.clock.clone());
        let disk = Arc::clone(&self.disk) as Arc<dyn Disk>;
        let (spool, report) = Spool::open_on(disk, self.dir.path(), parts, |message| {
            assert!(
                stored.insert(message.meta.id, message).is_none(),
                "told twice"
            );
        })
        .unwrap();
        Found {
            spool,
            report,
            stored,
        }
    }

    fn layout(&self) -> Layout {
        Layout::of(self.dir.path())
    }

    /// More than the window within which a client may not have seen its 250.
    fn pass_time(&self) {
        self.clock.advance(Duration::from_secs(60));
    }

    /// Every record of every segment file: path, offset, header.
    fn records(&self) -> Vec<(std::path::PathBuf, u64, Header)> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.layout().root).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e != "seg") {
                continue;
            }
            let octets = std::fs::read(&path).unwrap();
            for (unit, chunk) in octets.chunks_exact(UNIT).enumerate() {
                if let Some(header) = Header::parse(chunk) {
                    found.push((path.clone(), (unit * UNIT) as u64, header));
                }
            }
        }
        found.sort_by_key(|(_, offset, header)| (header.generation, *offset));
        found
    }

    fn aside(&self) -> usize {
        std::fs::read_dir(self.layout().corrupt()).unwrap().count()
    }
}

pub(super) fn meta(id: MessageId, recipients: usize) -> Arc<Meta> {
    let address = |n: usize| format!("r{n}@example.net").parse().unwrap();
    Arc::new(Meta {
        id,
        envelope: Envelope {
            sender: Some("a@example.com".parse().unwrap()),
            recipients: (0..recipients)
                .map(|n| Recipient::new(address(n)))
                .collect(),
            body: BodyType::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
        },
        labels: Arc::default(),
        received: START,
        send_at: None,
        expires: None,
        eight_bit_header: false,
        eight_bit_body: false,
    })
}

const HEAD: &[u8] = b"Subject: x\r\n\r\n";

/// A body that is different for each message.
fn body(id: MessageId, len: usize) -> Vec<u8> {
    id.to_string().bytes().cycle().take(len).collect()
}

async fn commit(spool: &Spool, recipients: usize, len: usize) -> Result<MessageId, SpoolError> {
    let id = spool.next_id();
    let mut draft = spool.draft();
    for chunk in body(id, len).chunks(1000) {
        draft.write(chunk).await?;
    }
    let message = Commit {
        meta: meta(id, recipients),
        head: HEAD.to_vec(),
        body: draft,
    };
    spool.commit(message).await.map(|()| id)
}

async fn read_all(spool: &Spool, id: MessageId) -> Result<Vec<u8>, SpoolError> {
    let mut content = spool.content(id).await?;
    let mut all = Vec::new();
    while let Some(piece) = content.next().await? {
        all.extend_from_slice(&piece);
    }
    assert_eq!(content.len(), all.len() as u64);
    Ok(all)
}

fn whole(id: MessageId, len: usize) -> Vec<u8> {
    [HEAD, &body(id, len)].concat()
}

fn reply(text: &str) -> Reply {
    Reply::said(451, None, text, ".")
}

fn deferred(text: &str) -> Disposition {
    Disposition::Deferred {
        until: START + Duration::from_secs(900),
        finding: BounceClass::Throttled.into(),
        why: reply(text),
    }
}

fn delivered() -> Disposition {
    Disposition::Delivered(Reply::said(250, None, "ok", "."))
}

async fn outcome(spool: &Spool, id: MessageId, recipient: u16, attempt: u16, what: Disposition) {
    let mark = Mark {
        id,
        at: START,
        outcomes: vec![(recipient, attempt, what)],
    };
    spool.mark(mark).await.unwrap();
}

/// A disk with switches.
struct Faulty {
    /// Nothing new can be allocated.
    full: AtomicBool,
    /// The next syncs of the log that fail.
    bad_syncs: AtomicU64,
    /// The machine dies with a sync that fails.
    last_sync: AtomicBool,
    /// Octets of log writes until the machine dies.
    until_death: AtomicI64,
    /// Which sectors of the write under way reach the disk then; 0 is a clean cut.
    torn: AtomicU64,
    dead: AtomicBool,
    space: Mutex<Space>,
}

impl Default for Faulty {
    fn default() -> Self {
        Self {
            full: AtomicBool::new(false),
            bad_syncs: AtomicU64::new(0),
            last_sync: AtomicBool::new(false),
            until_death: AtomicI64::new(i64::MAX),
            torn: AtomicU64::new(0),
            dead: AtomicBool::new(false),
            space: Mutex::new(Space {
                bytes: 1 << 40,
                inodes: Some(1 << 20),
            }),
        }
    }
}

impl Faulty {
    fn revive(&self) {
        self.dead.store(false, Ordering::SeqCst);
        self.until_death.store(i64::MAX, Ordering::SeqCst);
    }

    /// The power fails in the middle of this write.
    fn die(&self, file: &File, bytes: &[u8], offset: u64, left: usize) -> io::Result<()> {
        const SECTOR: usize = 512;
        self.dead.store(true, Ordering::SeqCst);
        let torn = self.torn.load(Ordering::SeqCst);
        if torn == 0 {
            return file.write_all_at(&bytes[..left], offset);
        }
        for (n, sector) in bytes.chunks(SECTOR).enumerate() {
            if torn >> (n % 64) & 1 == 1 {
                file.write_all_at(sector, offset + (n * SECTOR) as u64)?;
            }
        }
        Ok(())
    }
}

fn on_thread(name: &str) -> bool {
    std::thread::current().name() == Some(name)
}

impl Disk for Faulty {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.dead.load(Ordering::SeqCst) {
            return Err(io::Error::other("the machine is off"));
        }
        if self.full.load(Ordering::SeqCst) && !on_thread("spool-commit") {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if on_thread("spool-commit") {
            let len = bytes.len() as i64;
            let left = self.until_death.fetch_sub(len, Ordering::SeqCst);
            if left < len {
                self.die(file, bytes, offset, left.max(0) as usize)?;
                return Err(io::Error::other("the power failed"));
            }
        }
        Machine.write_at(file, bytes, offset)
    }

    fn zero(&self, file: &File, path: &Path, size: u64) -> io::Result<()> {
        if self.dead.load(Ordering::SeqCst) {
            return Err(io::Error::other("the machine is off"));
        }
        if self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Machine.zero(file, path, size)
    }

    fn sync(&self, _file: &File) -> io::Result<()> {
        if self.dead.load(Ordering::SeqCst) {
            return Err(io::Error::other("the machine is off"));
        }
        let take = |left: u64| left.checked_sub(1);
        let order = Ordering::SeqCst;
        if on_thread("spool-commit") && self.bad_syncs.fetch_update(order, order, take).is_ok() {
            self.dead.store(self.last_sync.load(order), order);
            return Err(io::Error::other("input/output error"));
        }
        Ok(())
    }

    fn sync_names(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn space(&self, _dir: &Path) -> io::Result<Space> {
        Ok(*self.space.lock())
    }
}

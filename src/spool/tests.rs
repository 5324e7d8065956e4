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

fn meta(id: MessageId, recipients: usize) -> Meta {
    let address = |n: usize| format!("r{n}@example.net").parse().unwrap();
    Meta {
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
    }
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
    /// Octets that can still be written; below zero there is no limit.
    room: AtomicI64,
    /// The next syncs that fail.
    bad_syncs: AtomicU64,
    /// Octets of log writes until the machine dies: the write that passes it is cut there.
    until_death: AtomicI64,
    dead: AtomicBool,
    space: Mutex<Space>,
    /// Offset of the last write, for tests that damage it.
    last_write: Mutex<(u64, u64)>,
}

impl Default for Faulty {
    fn default() -> Self {
        Self {
            room: AtomicI64::new(-1),
            bad_syncs: AtomicU64::new(0),
            until_death: AtomicI64::new(i64::MAX),
            dead: AtomicBool::new(false),
            space: Mutex::new(Space {
                bytes: 1 << 40,
                inodes: Some(1 << 20),
            }),
            last_write: Mutex::default(),
        }
    }
}

impl Faulty {
    fn revive(&self) {
        self.dead.store(false, Ordering::SeqCst);
        self.until_death.store(i64::MAX, Ordering::SeqCst);
    }
}

impl Disk for Faulty {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.dead.load(Ordering::SeqCst) {
            return Err(io::Error::other("the machine is off"));
        }
        let len = bytes.len() as i64;
        let left = self.until_death.fetch_sub(len, Ordering::SeqCst);
        if left < len {
            self.dead.store(true, Ordering::SeqCst);
            file.write_all_at(&bytes[..left.max(0) as usize], offset)?;
            return Err(io::Error::other("the power failed"));
        }
        let room = self.room.load(Ordering::SeqCst);
        if room >= 0 && room < len {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *self.last_write.lock() = (offset, bytes.len() as u64);
        Machine.write_at(file, bytes, offset)
    }

    fn sync(&self, _file: &File) -> io::Result<()> {
        if self.dead.load(Ordering::SeqCst) {
            return Err(io::Error::other("the machine is off"));
        }
        let take = |left: u64| left.checked_sub(1);
        if self
            .bad_syncs
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .is_ok()
        {
            return Err(io::Error::other("input/output error"));
        }
        Ok(())
    }

    fn space(&self, _dir: &Path) -> io::Result<Space> {
        Ok(*self.space.lock())
    }
}

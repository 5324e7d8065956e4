//! The spool.

use super::telling::labels;
use super::{Case, content, first_step};
use mailwright::clock::Clock;
use mailwright::mail::{BodyType, Disposition, Envelope, MessageId, Recipient, Reply};
use mailwright::spool::disk::{Disk, Machine, Space};
use mailwright::spool::{Commit, Config, Mark, Meta, Progress, Spool, SpoolError, Stored};
use mailwright::units::{Size, Timestamp};
use std::fs::File;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

pub const NOW: Timestamp = Timestamp::from_millis(1_795_426_200_000);

/// A message of `KIB` KiB made a record and handed to the thread that writes: meta encoded, checksums, one copy.
pub struct Accept<const KIB: usize>;

impl<const KIB: usize> Case for Accept<KIB> {
    type Input = (&'static Spool, Commit);
    type Output = Accepting;

    fn input() -> Self::Input {
        static SPOOL: LazyLock<(TempDir, Spool)> = LazyLock::new(|| {
            let dir = tempfile::tempdir().expect("a directory");
            let spool = open(dir.path(), Arc::new(Nowhere));
            (dir, spool)
        });
        let spool = &SPOOL.1;
        (spool, newsletter::<KIB>(spool))
    }

    fn run((spool, message): Self::Input) -> Accepting {
        let id = message.meta.id;
        let mut commit: Committing = Box::pin(spool.commit(message));
        let done = first_step(commit.as_mut());
        let commit = match done {
            Poll::Pending => commit,
            Poll::Ready(taken) => Box::pin(std::future::ready(taken)),
        };
        Accepting { spool, id, commit }
    }
}

type Committing = Pin<Box<dyn Future<Output = Result<(), SpoolError>>>>;

/// Dropped, it waits for the message to be taken and marks it as delivered, so that the spool stays empty.
pub struct Accepting {
    spool: &'static Spool,
    id: MessageId,
    commit: Committing,
}

impl Drop for Accepting {
    fn drop(&mut self) {
        let nothing: Committing = Box::pin(std::future::ready(Ok(())));
        let commit = std::mem::replace(&mut self.commit, nothing);
        let taken = Reply::said(250, None, "taken", ".");
        let mark = Mark {
            id: self.id,
            at: NOW,
            outcomes: vec![(0, 1, Disposition::Delivered(taken))],
        };
        runtime().block_on(async {
            commit.await.expect("the message is taken");
            self.spool.mark(mark).await.expect("the outcome is taken");
        });
    }
}

/// Reading back a spool of [`MESSAGES`] newsletters, stopped cleanly: every octet is checked, as in the segment that a
/// daemon wrote last.
///
/// Readers on threads of their own check and decode the log. Callgrind counts the thread that follows them alone: which
/// segments are needed, the ledger, the messages told.
pub struct Recover;

/// As many newsletters as nearly fill a segment of 4 MiB.
pub const MESSAGES: usize = 375;

impl Case for Recover {
    type Input = &'static Path;
    type Output = Vec<Stored>;

    fn input() -> Self::Input {
        static DIR: LazyLock<TempDir> = LazyLock::new(|| {
            let dir = tempfile::tempdir().expect("a directory");
            let spool = open(dir.path(), Arc::new(Machine));
            runtime().block_on(async {
                for _ in 0..MESSAGES {
                    let message = newsletter::<10>(&spool);
                    spool.commit(message).await.expect("the message is taken");
                }
                spool.close().await.expect("the spool closes");
            });
            remove_spares(&dir.path().join("spool")).expect("spares are removed");
            dir
        });
        DIR.path()
    }

    fn run(dir: Self::Input) -> Self::Output {
        let mut found = Vec::with_capacity(MESSAGES);
        let report = Spool::inspect(dir, |stored| found.push(stored)).expect("the spool is read");
        assert_eq!(report.messages, MESSAGES);
        found
    }
}

/// Removes segments that hold nothing: how many were made ready is a matter of time, and each is read to its end.
fn remove_spares(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let segment = path.extension().is_some_and(|extension| extension == "seg");
        if segment && std::fs::read(&path)?.iter().all(|octet| *octet == 0) {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// An empty spool with small segments.
pub fn open(dir: &Path, disk: Arc<dyn Disk>) -> Spool {
    let config = Config {
        sync: false,
        segment_size: Size::mib(4),
        ready_segments: 2,
        reserve_space: Size::mib(0),
        reserve_inodes: 0,
        ..Config::default()
    };
    let clock = Clock::manual(NOW);
    let (spool, _) = Spool::open_on(disk, dir, (config, clock), |_| {}).expect("the spool opens");
    spool
}

/// A message of `KIB` KiB, ready to be committed.
fn newsletter<const KIB: usize>(spool: &Spool) -> Commit {
    let mut draft = spool.draft();
    super::at_once(draft.write(&content::body::<KIB>())).expect("the body is taken");
    Commit {
        meta: Arc::new(meta(spool.next_id())),
        head: content::head::<KIB>(),
        body: draft,
    }
}

/// A message as the queue is handed it.
pub fn stored(meta: Meta) -> Stored {
    Stored {
        meta: Arc::new(meta),
        size: 10_240,
        progress: vec![Progress::default()],
        held: None,
    }
}

pub fn meta(id: MessageId) -> Meta {
    let recipient = "ann@example.net".parse().expect("an address");
    Meta {
        id,
        envelope: Envelope {
            sender: Some("bounce-42@news.example.com".parse().expect("an address")),
            recipients: vec![Recipient::new(recipient)],
            body: BodyType::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
        },
        labels: labels(),
        received: NOW,
        send_at: None,
        expires: None,
        eight_bit_header: false,
        eight_bit_body: false,
    }
}

fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .expect("a runtime")
    });
    &RUNTIME
}

/// A disk that keeps nothing and has room for everything.
struct Nowhere;

impl Disk for Nowhere {
    fn write_at(&self, _: &File, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }

    fn zero(&self, _: &File, _: &Path, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self, _: &File) -> io::Result<()> {
        Ok(())
    }

    fn sync_names(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        Ok(Space {
            bytes: u64::MAX,
            inodes: None,
        })
    }
}

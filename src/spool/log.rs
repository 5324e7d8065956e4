//! The spool as its callers see it.

use super::cache::Fresh;
use super::committer::{Committer, OVERHEAD};
use super::compactor::{self, Orders};
use super::content::Held;
use super::disk::{Disk, Layout, Machine};
use super::draft::Complete;
use super::ledger::Known;
use super::pool::Spare;
use super::queue::Effect;
use super::read::InMemory;
use super::record::{self, Accept, Doubt, Draw, Kind};
use super::recovery::{self, OpenError, Recovery, RecoveryReport};
use super::replay;
use super::shared::{Begin, Shared};
use super::{Config, Content, Draft, Mark, Meta, Progress, SpoolError, Stored, keeper, read};
use crate::clock::Clock;
use crate::mail::MessageId;
use bytes::Bytes;
use parking_lot::Mutex;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

/// A message ready to be made durable.
pub struct Commit {
    pub meta: Arc<Meta>,
    /// The header section as it will be sent, closing empty line included.
    pub head: Vec<u8>,
    pub body: Draft,
}

/// The durable store of messages. Cheap to clone.
///
/// When the last clone is dropped without [`Spool::close`], everything is left as a crash would leave it.
#[derive(Clone)]
pub struct Spool {
    running: Arc<Running>,
}

/// The spool's threads, which end with the last handle.
struct Running {
    shared: Arc<Shared>,
    orders: Arc<Orders>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Outcomes in one record; more are written as several.
const OUTCOMES: usize = 256;

impl Spool {
    /// Opens the spool below the data directory `dir`, made where there is none, and hands every live message to
    /// `on_message`. Blocks while the log is read.
    pub fn open(
        dir: &Path,
        config: Config,
        clock: Clock,
        on_message: impl FnMut(Stored),
    ) -> Result<(Self, RecoveryReport), OpenError> {
        Self::open_on(Arc::new(Machine), dir, (config, clock), on_message)
    }

    /// As [`Spool::open`], on a disk that is handed in.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        (config, clock): (Config, Clock),
        on_message: impl FnMut(Stored),
    ) -> Result<(Self, RecoveryReport), OpenError> {
        let layout = Layout::of(dir);
        let fail = |error| recovery::failed(&layout, error);
        layout.create(&*disk).map_err(fail)?;
        let lock = recovery::lock(&layout, false)?;
        if !config.sync {
            tracing::warn!(
                "[spool] sync = false: a power loss or kernel stop loses mail that was acknowledged"
            );
        }
        recovery::remove_unfinished(&layout);
        let files = replay::files(&layout, true).map_err(fail)?;
        let next_number = recovery::next_number(&files);
        let mut recovery = Recovery::new(&layout, clock.now(), replay::replay(files));
        recovery.clean_up();
        recovery.tell(on_message);
        let resume = recovery.resume();
        let Recovery { replay, report, .. } = recovery;
        let begin = Begin {
            ledger: replay.ledger,
            last_id: replay.last_id.unwrap_or(MessageId(0)),
            lock,
        };
        let shared = Arc::new(Shared::new(layout.clone(), config, clock, disk, begin));
        for file in replay.spare {
            adopt(&shared, file);
        }
        let running = Running::start(shared, resume, next_number).map_err(fail)?;
        let running = Arc::new(running);
        Ok((Self { running }, report))
    }

    /// Reads the spool below `dir` without changing it, for a daemon that does not run.
    pub fn inspect(
        dir: &Path,
        on_message: impl FnMut(Stored),
    ) -> Result<RecoveryReport, OpenError> {
        let layout = Layout::of(dir);
        let _lock = recovery::lock(&layout, true)?;
        let files =
            replay::files(&layout, false).map_err(|error| recovery::failed(&layout, error))?;
        let replay = replay::replay(files);
        let ids = replay.ledger.in_order();
        let messages = ids
            .iter()
            .filter_map(|(_, id)| recovery::stored(&replay.ledger, *id));
        messages.for_each(on_message);
        Ok(RecoveryReport {
            clean: replay.clean,
            messages: ids.len(),
            damages: replay
                .holes
                .iter()
                .map(|hole| recovery::damage(&replay.ledger, hole))
                .collect(),
            torn: replay.torn,
            ..RecoveryReport::default()
        })
    }

    /// An id that no message of this spool has had.
    pub fn next_id(&self) -> MessageId {
        self.shared().ids.next(&self.shared().clock)
    }

    /// Whether new mail may come in: space and inodes above the reserve, the log writable. Cheap: asked at MAIL.
    pub fn accepting(&self) -> Result<(), SpoolError> {
        self.shared().accepting()
    }

    pub fn draft(&self) -> Draft {
        Draft::new(Arc::clone(&self.running.shared))
    }

    /// Makes a message ours: durable when this returns.
    ///
    /// Do not drop this future before it is done: what became of the message would not be known until the next
    /// start.
    pub async fn commit(&self, message: Commit) -> Result<(), SpoolError> {
        let Commit { meta, head, body } = message;
        let head = Bytes::from(head);
        let id = meta.id;
        let recipients = meta.envelope.recipients.len();
        let (body, large) = match body.complete(id).await? {
            Complete::Inline(body) => (body, None),
            Complete::Large(large) => (Default::default(), Some(large)),
        };
        let tls = meta.labels.tls;
        let accept = Accept { meta, large };
        let encoded = encode(&accept)?;
        let draw = Draw {
            kind: Kind::Accept,
            tls,
            id,
            at: self.shared().clock.now(),
            meta: &encoded,
            head: &head,
            body: &body,
            content_crc: record::content_crc(&head, &body),
        };
        self.fits(&draw)?;
        let fresh = large.is_none().then(|| Fresh {
            meta: accept.meta,
            content: Held {
                head: head.clone(),
                body: body.clone(),
            },
        });
        let effect = Effect::Accept {
            recipients,
            large: large.is_some(),
            fresh,
        };
        self.shared().queue.submit(&draw, effect).await
    }

    /// Journals, durably, that attempt `attempt` at these recipients is about to send its final dot.
    pub async fn in_doubt(
        &self,
        id: MessageId,
        recipients: &[u16],
        attempt: u16,
    ) -> Result<(), SpoolError> {
        let doubt = Doubt {
            recipients: recipients.to_vec(),
            attempt,
        };
        self.state(Kind::Doubt, id, &encode(&doubt)?, Effect::Doubt(doubt))
            .await
    }

    /// Records outcomes, durably. The message is gone when all its recipients have a final one.
    pub async fn mark(&self, mark: Mark) -> Result<(), SpoolError> {
        let mut outcomes = mark.outcomes.into_iter().peekable();
        while outcomes.peek().is_some() {
            let part = Mark {
                id: mark.id,
                at: mark.at,
                outcomes: outcomes.by_ref().take(OUTCOMES).collect(),
            };
            self.state(Kind::Mark, mark.id, &encode(&part)?, Effect::Mark(part))
                .await?;
        }
        Ok(())
    }

    /// Holds (`Some(why)`) or releases (`None`) a message, durably.
    pub async fn hold(&self, id: MessageId, why: Option<&str>) -> Result<(), SpoolError> {
        self.state(
            Kind::Hold,
            id,
            &encode(&why)?,
            Effect::Hold(why.map(Into::into)),
        )
        .await
    }

    /// Meta, size and progress of a live message.
    pub async fn stored(&self, id: MessageId) -> Result<Stored, SpoolError> {
        let read = |file: &InMemory<'_>, known: Known| recovery::stored_at(file, known);
        let at_hand = self.at_hand(id);
        if let Some(stored) = at_hand.or_else(|| self.in_memory(id, read)) {
            return Ok(stored);
        }
        let shared = Arc::clone(&self.running.shared);
        off_runtime(move || stored(&shared, id)).await
    }

    /// A message that was accepted just now and is still in memory.
    fn at_hand(&self, id: MessageId) -> Option<Stored> {
        let Fresh { meta, content } = self.shared().cache.get(id)?;
        let known = self.shared().ledger.lock().get(id)?;
        Some(Stored {
            meta,
            size: content.len() as u64,
            progress: known.progress,
            held: known.held,
        })
    }

    /// Reads a message's record where the kernel holds it in memory: that takes microseconds, two hand-overs between
    /// threads would take more.
    fn in_memory<T>(
        &self,
        id: MessageId,
        read: impl Fn(&InMemory<'_>, Known) -> Option<T>,
    ) -> Option<T> {
        let (known, file) = place(self.shared(), id).ok()?;
        read(&InMemory(&file), known)
    }

    /// How far the recipients of a live message have come, one each; empty where there is no such message. Cheaper than
    /// [`Spool::stored`]: reads no file.
    pub fn progress(&self, id: MessageId) -> Vec<Progress> {
        let known = self.shared().ledger.lock().get(id);
        known.map(|known| known.progress).unwrap_or_default()
    }

    /// Every live message, in the order of the log. Blocks: not for an async task.
    pub fn each(&self, mut on_message: impl FnMut(Stored)) {
        let ids = self.shared().ledger.lock().in_order();
        for (_, id) in ids {
            if let Ok(stored) = stored(self.shared(), id) {
                on_message(stored);
            }
        }
    }

    /// The content of a live message. A damaged one is set aside and [`SpoolError::Corrupt`]; the message stays until
    /// its recipients are marked.
    pub async fn content(&self, id: MessageId) -> Result<Content, SpoolError> {
        let recipients = self.shared().ledger.lock().recipients(id);
        let cached = match recipients {
            0 => return Err(SpoolError::NotFound),
            // Nobody else will ask for it.
            1 => self.shared().cache.remove(id),
            _ => self.shared().cache.get(id),
        };
        if let Some(Fresh { content, .. }) = cached {
            return Ok(Content::held(content.head, content.body));
        }
        let read = |file: &InMemory<'_>, known: Known| read::content_in_memory(file, known.place);
        if let Some(content) = self.in_memory(id, read) {
            return Ok(content);
        }
        let shared = Arc::clone(&self.running.shared);
        off_runtime(move || content(&shared, id)).await
    }

    /// Syncs everything written and closes the log; later calls give [`SpoolError::Closed`].
    pub async fn close(&self) -> Result<(), SpoolError> {
        let shared = self.shared();
        if shared.health.closed.swap(true, Ordering::Relaxed) {
            return Err(SpoolError::Closed);
        }
        let draw = Draw::state(Kind::Close, shared.ids.last(), shared.clock.now(), &[]);
        let closed = shared.queue.submit(&draw, Effect::Close).await;
        let running = Arc::clone(&self.running);
        off_runtime(move || {
            running.stop();
            Ok(())
        })
        .await?;
        closed
    }

    async fn state(
        &self,
        kind: Kind,
        id: MessageId,
        meta: &[u8],
        effect: Effect,
    ) -> Result<(), SpoolError> {
        let shared = self.shared();
        if shared.health.closed.load(Ordering::Relaxed) {
            return Err(SpoolError::Closed);
        }
        if !shared.ledger.lock().contains(id) {
            return Err(SpoolError::NotFound);
        }
        let draw = Draw::state(kind, id, shared.clock.now(), meta);
        self.fits(&draw)?;
        shared.queue.submit(&draw, effect).await
    }

    /// Blocks until the keeper has made `count` segments ready.
    #[cfg(test)]
    pub(super) fn wait_for_spares(&self, count: usize) {
        self.shared().pool.wait_for(count);
    }

    /// Looks at the free space now rather than within a second.
    #[cfg(test)]
    pub(super) fn check_space(&self) {
        self.shared().check_space();
    }

    fn fits(&self, draw: &Draw<'_>) -> Result<(), SpoolError> {
        let most = self.shared().config.segment_size.0.saturating_sub(OVERHEAD);
        if draw.len() <= most {
            return Ok(());
        }
        let len = draw.len();
        Err(SpoolError::Io(
            format!("a record of {len} octets does not fit a segment").into(),
        ))
    }

    fn shared(&self) -> &Shared {
        &self.running.shared
    }
}

impl Running {
    fn start(
        shared: Arc<Shared>,
        resume: super::committer::Resume,
        mut number: u64,
    ) -> std::io::Result<Self> {
        shared.check_space();
        if resume.head.is_none() && !shared.pool.has_spare() {
            match keeper::zeroed(&shared, number) {
                Ok(spare) => shared.pool.give(spare),
                // What is in the spool can be delivered all the same.
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                    shared.pool.set_full(true)
                }
                Err(error) => return Err(error),
            }
            number += 1;
        }
        let orders = Arc::new(Orders::default());
        let committer = Committer::new(Arc::clone(&shared), Arc::clone(&orders), resume);
        let mut threads = vec![spawn("spool-commit", move || committer.run())?];
        threads.push(spawn("spool-keep", {
            let shared = Arc::clone(&shared);
            move || keeper::run(&shared, number)
        })?);
        threads.push(spawn("spool-compact", {
            let (shared, orders) = (Arc::clone(&shared), Arc::clone(&orders));
            move || compactor::run(&shared, &orders)
        })?);
        Ok(Self {
            shared,
            orders,
            threads: Mutex::new(threads),
        })
    }

    fn stop(&self) {
        self.shared.health.closed.store(true, Ordering::Relaxed);
        self.shared.queue.stop();
        self.shared.pool.stop();
        self.orders.stop();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if thread.join().is_err() {
                tracing::error!("a thread of the spool panicked");
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
}

/// A segment file without value becomes a spare, or goes where segments have another size now.
fn adopt(shared: &Shared, file: replay::SegmentFile) {
    if file.size == shared.config.segment_size.0 {
        shared.pool.give(Spare {
            file: file.file,
            path: file.path,
            size: file.size,
        });
    } else {
        shared.pool.doom(file.path);
    }
}

fn stored(shared: &Shared, id: MessageId) -> Result<Stored, SpoolError> {
    at_its_place(shared, id, |file, known| {
        let place = known.place;
        recovery::stored_at(file, known).ok_or_else(|| SpoolError::Corrupt(place.to_string()))
    })
}

fn content(shared: &Shared, id: MessageId) -> Result<Content, SpoolError> {
    at_its_place(shared, id, |file, known| {
        read::content(&shared.layout, file, known.place)
    })
}

/// What the ledger knows of a message, and the segment that it is in.
fn place(shared: &Shared, id: MessageId) -> Result<(Known, Arc<File>), SpoolError> {
    let ledger = shared.ledger.lock();
    let known = ledger.get(id).ok_or(SpoolError::NotFound)?;
    let file = ledger.file(known.place).ok_or(SpoolError::NotFound)?;
    Ok((known, file))
}

/// Reads a message's record. While it was read the message may have moved and its segment be in another use: then what
/// was read means nothing and its new place is read.
fn at_its_place<T>(
    shared: &Shared,
    id: MessageId,
    read: impl Fn(&File, Known) -> Result<T, SpoolError>,
) -> Result<T, SpoolError> {
    loop {
        let (known, file) = place(shared, id)?;
        let place = known.place;
        let result = read(&file, known);
        let stayed = shared.ledger.lock().place(id) == Some(place);
        if let (Err(SpoolError::Corrupt(_)), true) = (&result, stayed) {
            read::set_aside(&shared.layout, &file, place);
        }
        if result.is_ok() || stayed {
            return result;
        }
    }
}

async fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, SpoolError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or(Err(SpoolError::Closed))
}

fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, SpoolError> {
    postcard::to_allocvec(value).map_err(|error| SpoolError::Io(error.to_string().into()))
}

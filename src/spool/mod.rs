//! Durable messages: accepted mail is never lost, and no recipient that was done is tried again.
//!
//! # The log
//!
//! Everything durable is a record in one log, written only at its end. The log is a ring of segment files of fixed
//! size: `spool/NNNNNNNN.seg`. A segment is written with zeros before its first use, so that no later write changes the
//! file's size or extents and a sync costs one flush of data. Each use has a generation, one higher than the use
//! before, whatever file it is in; generation and a random salt stand in every record, so that what an earlier use left
//! in the file is never read. [`record`] has the form of records.
//!
//! One thread writes: all records that wait go down with one write and one sync, then count in memory ([`ledger`]),
//! then their callers are answered. While one batch is synced the next one fills; behind a batch of many records the
//! thread rests for half a millisecond, so that a busy log needs few syncs and an idle one waits for nothing. A batch is
//! padded with zeros to the end of its last page, which the kernel would otherwise read first; the next batch begins
//! where the records ended. Segments are freed strictly oldest first, so that a record about a message never goes before
//! the message, and not before two seconds have passed since anything happened in them: until then a start may have to
//! tell it to the event log. When over half of the log is dead, what is live in the oldest segment is copied to the end
//! (`Move`, with all that was known of the message).
//!
//! ```text
//! spool/lock                    held while a daemon runs
//! spool/NNNNNNNN.seg            a segment: in use, emptied or never used
//! spool/NNNNNNNN.new            a segment being zeroed
//! spool/large/ID.body           a body over the inline limit
//! spool/large/NNNNNNNN.part     such a body while it arrives
//! spool/corrupt/…               copies of what was found damaged
//! ```
//!
//! # States of a message, and what a crash in each leaves
//!
//! | | on disk | state | after a crash, start-up |
//! |---|---|---|---|
//! | M1 | nothing, or a `.part` | being received | deletes the `.part` |
//! | M2 | `.body` without `Accept` | large body durable, record not | deletes the `.body`; with damage in the log keeps it in `corrupt/` |
//! | M3 | part of an `Accept` in the last write | not acknowledged | not a message; counted as torn |
//! | M4 | `Accept`, sync not returned | not acknowledged | a message all the same, in doubt: the client will send it again |
//! | M5 | `Accept` | ours, 250 sent | queued |
//! | M6 | `Accept` `Doubt(n)` | final dot of attempt n sent | queued, those recipients in doubt, attempt n counted |
//! | M7 | `Accept` … `Mark(deferred)` | waiting | queued with attempts, time and reply |
//! | M8 | `Accept` … `Mark(final)` for some | partly done | queued for the others |
//! | M9 | `Accept` … `Hold` | held | queued, held |
//! | M10 | `Accept` … `Move` | copied forward | the copy counts, the original no more |
//! | M11 | `Accept` … `Mark(final)` for all | done | gone; its `.body` is deleted |
//! | M12 | `Accept`, then `Void` naming it | its write failed, 4xx sent | gone; until the `Void` is durable as M4, its `.body` kept |
//! | M13 | `Accept` with damaged header or meta | unreadable | reported, copied to `corrupt/`; its id where that is readable |
//! | M14 | `Accept` with damaged content | known, not sendable | queued and reported; reading its content fails |
//!
//! *In doubt* is for good: a later deferral does not answer for the copy that may have been delivered. M4 cannot be told
//! from M5, so after an unclean stop every message accepted within two seconds of the log's last record is in doubt,
//! and the caller is told the arrivals and the final outcomes of that time to compare them with its event log.
//!
//! # States of a segment
//!
//! | | in the file | state | after a crash, start-up |
//! |---|---|---|---|
//! | S1 | `.new` | being zeroed | deletes it |
//! | S2 | no record | spare, never used | spare |
//! | S3 | records of a generation that the newest record does not count on | spare, used before | spare |
//! | S4 | part of a `Start` and of the first batch | use begun, nothing acknowledged | as S3, or read as S5 |
//! | S5 | `Start` … last record | being written | checks every octet; written on if all of it is whole |
//! | S6 | `Start` … damage, no record behind it of a later write | torn last write | never written on; the torn part is no loss |
//! | S7 | `Start` … `End`, and the next `Start` says so | sealed | reads headers and meta only |
//! | S8 | `Start` … , the next `Start` does not say so | left after a failed write | checks every octet |
//! | S9 | damage, records of later writes behind it | damaged | reads on at the next record; reports, copies to `corrupt/`, notes it as `Void` |
//! | S10 | `Start` names a generation that no file has | lost | reports |
//!
//! A file is used again only after a record that does not count on its old use is durable (S3): were the ring turned
//! before, a crash could bring finished messages back.
//!
//! # When the disk fails
//!
//! After a write or sync that failed the page cache cannot be trusted. The segment is left as it is (S8), or if nothing
//! in it was acknowledged used again under a new generation. Accepts of that batch are refused; outcomes, doubts and
//! holds are facts and are written to the next segment, with a `Void` that names what was refused. New mail is refused
//! until a write succeeds. One spare segment is kept for outcomes when no more can be made, so that delivery goes on
//! with a full disk.
//!
//! With `sync = false` all of this holds for a crash of the daemon, not for one of the machine.

mod cache;
mod committer;
mod compactor;
mod config;
mod content;
pub mod disk;
mod draft;
mod keeper;
mod ledger;
mod log;
mod pool;
mod queue;
mod read;
mod readers;
mod record;
mod recovery;
mod replay;
mod shared;
mod steps;
#[cfg(test)]
mod tests;
mod tracks;
mod walk;

pub use config::Config;
pub use content::Content;
pub use draft::Draft;
pub use log::{Commit, Spool};
pub use recovery::{Arrived, Damage, Final, OpenError, RecoveryReport};

use crate::mail::{Disposition, Envelope, Labels, MessageId, Reply};
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is kept about a message beside its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    pub id: MessageId,
    pub envelope: Envelope,
    pub labels: Arc<Labels>,
    /// When it was accepted.
    pub received: Timestamp,
    /// Not before this.
    pub send_at: Option<Timestamp>,
    /// Given up after this; `None` is the retry schedule's expiry.
    pub expires: Option<Timestamp>,
    /// The content has octets over 127, in its header section or its body.
    pub eight_bit_header: bool,
    pub eight_bit_body: bool,
}

/// How far one recipient has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    pub done: bool,
    pub attempts: u16,
    /// Not before this (set by a deferral).
    pub until: Timestamp,
    /// An attempt was under way at an unclean stop: the next delivery is a possible duplicate.
    pub in_doubt: bool,
    /// What the last deferral said.
    pub last: Option<Arc<Reply>>,
}

/// A message in the spool, as start-up finds it or `queue show` asks.
#[derive(Debug, Clone)]
pub struct Stored {
    pub meta: Arc<Meta>,
    /// Octets of header section and body.
    pub size: u64,
    /// One a recipient, in envelope order.
    pub progress: Vec<Progress>,
    /// Held by the operator, and why.
    pub held: Option<Arc<str>>,
}

/// What became of some recipients of one message in one attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mark {
    pub id: MessageId,
    pub at: Timestamp,
    /// Recipient (position in the envelope), attempts so far, disposition.
    pub outcomes: Vec<(u16, u16, Disposition)>,
}

/// Why the spool did not take a message or a mark. Every variant is a 4xx to a client: nothing was lost.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SpoolError {
    #[error("disk space or inodes below the configured reserve")]
    NoSpace,
    #[error("the spool cannot write: {0}")]
    Io(Arc<str>),
    #[error("the spool is closed")]
    Closed,
    #[error("no such message")]
    NotFound,
    #[error("the record at {0} is corrupt and was set aside")]
    Corrupt(String),
}

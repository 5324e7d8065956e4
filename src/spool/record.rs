//! One record of the log: a header of 64 octets, then meta, header section and body, padded to the next 64.
//!
//! | octets | field | |
//! |---|---|---|
//! | 0..4 | magic | `MWR1` |
//! | 4 | kind | |
//! | 5 | TLS | what the sender of a message asks of it ([`TlsWish`]); 0 in other records |
//! | 8..12 | generation | of the segment's present use |
//! | 12..16 | back | generations from the oldest one still needed to this one |
//! | 16..20 | batch | where the batch began that this record was written with, in units of 64 octets |
//! | 20..24 | meta CRC | |
//! | 24..32 | id | of the message; in other records the highest id given out |
//! | 32..40 | at | milliseconds since the epoch |
//! | 40..52 | lengths | of meta, header section, body |
//! | 52..56 | content CRC | over header section and body |
//! | 56..60 | salt | random, one for each use of a segment |
//! | 60..64 | CRC | over octets 0..60 |
//!
//! All integers are little-endian. The salt keeps the octets of a message from passing for a record: who writes a
//! message cannot know it.

use crate::mail::{MessageId, Reply, TlsWish};
use crate::spool::Meta;
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub const UNIT: usize = 64;
const MAGIC: [u8; 4] = *b"MWR1";

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// First in every use of a segment: [`Start`].
    Start = 1,
    /// A message: [`Accept`], header section, body.
    Accept = 2,
    /// An attempt is about to send its final dot: [`Doubt`].
    Doubt = 3,
    /// Outcomes: [`super::Mark`].
    Mark = 4,
    /// Held by the operator or released: `Option<String>`.
    Hold = 5,
    /// A live message copied forward, with all that was known of it: [`Moved`], header section, body.
    Move = 6,
    /// Octets of the log that are known not to count: [`Void`].
    Void = 7,
    /// Nothing but its header, which carries how far back the log is needed.
    Note = 8,
    /// The daemon stopped cleanly here.
    Close = 9,
    /// Nothing follows in this segment.
    End = 10,
}

impl Kind {
    fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            1 => Self::Start,
            2 => Self::Accept,
            3 => Self::Doubt,
            4 => Self::Mark,
            5 => Self::Hold,
            6 => Self::Move,
            7 => Self::Void,
            8 => Self::Note,
            9 => Self::Close,
            10 => Self::End,
            _ => return None,
        })
    }
}

/// A header as read and found whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub tls: TlsWish,
    pub generation: u32,
    pub back: u32,
    pub batch: u32,
    pub meta_crc: u32,
    pub id: MessageId,
    pub at: Timestamp,
    pub meta_len: u32,
    pub head_len: u32,
    pub body_len: u32,
    pub content_crc: u32,
    pub salt: u32,
}

impl Header {
    /// Reads a header; `None` where these octets are none.
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let octets: &[u8; UNIT] = octets.get(..UNIT)?.try_into().ok()?;
        if octets[..4] != MAGIC || word(octets, 60) != crc32fast::hash(&octets[..60]) {
            return None;
        }
        Some(Self {
            kind: Kind::from_octet(octets[4])?,
            tls: TlsWish::from_octet(octets[5])?,
            generation: word(octets, 8),
            back: word(octets, 12),
            batch: word(octets, 16),
            meta_crc: word(octets, 20),
            id: MessageId(long(octets, 24)),
            at: Timestamp::from_millis(long(octets, 32)),
            meta_len: word(octets, 40),
            head_len: word(octets, 44),
            body_len: word(octets, 48),
            content_crc: word(octets, 52),
            salt: word(octets, 56),
        })
    }

    /// Octets of the whole record, padding included.
    pub fn len(&self) -> u64 {
        padded(UNIT as u64 + u64::from(self.meta_len) + self.content_len())
    }

    /// Octets of header section and body in the record.
    pub fn content_len(&self) -> u64 {
        u64::from(self.head_len) + u64::from(self.body_len)
    }

    /// Where the content begins, counted from the record's first octet.
    pub fn content_at(&self) -> u64 {
        UNIT as u64 + u64::from(self.meta_len)
    }
}

/// A record about to be written.
pub struct Draw<'a> {
    pub kind: Kind,
    pub tls: TlsWish,
    pub id: MessageId,
    pub at: Timestamp,
    pub meta: &'a [u8],
    pub head: &'a [u8],
    pub body: &'a [u8],
    pub content_crc: u32,
}

impl<'a> Draw<'a> {
    /// A record without content.
    pub fn state(kind: Kind, id: MessageId, at: Timestamp, meta: &'a [u8]) -> Self {
        Self {
            kind,
            tls: TlsWish::None,
            id,
            at,
            meta,
            head: &[],
            body: &[],
            content_crc: crc32fast::hash(&[]),
        }
    }

    /// Octets it will take, padding included.
    pub fn len(&self) -> u64 {
        padded((UNIT + self.meta.len() + self.head.len() + self.body.len()) as u64)
    }

    /// Appends it to `out`. Its header is completed by [`stamp`] when its place in the log is known.
    pub fn append(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.reserve(self.len() as usize);
        let mut header = [0u8; UNIT];
        header[..4].copy_from_slice(&MAGIC);
        header[4] = self.kind as u8;
        header[5] = self.tls.octet();
        put(&mut header, 20, crc32fast::hash(self.meta));
        header[24..32].copy_from_slice(&self.id.0.to_le_bytes());
        header[32..40].copy_from_slice(&self.at.as_millis().to_le_bytes());
        put(&mut header, 40, length(self.meta));
        put(&mut header, 44, length(self.head));
        put(&mut header, 48, length(self.body));
        put(&mut header, 52, self.content_crc);
        out.extend_from_slice(&header);
        out.extend_from_slice(self.meta);
        out.extend_from_slice(self.head);
        out.extend_from_slice(self.body);
        out.resize(start + padded((out.len() - start) as u64) as usize, 0);
    }
}

/// What a header says of its place in the log.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    pub generation: u32,
    pub salt: u32,
    pub back: u32,
    pub batch: u32,
}

/// Says when the record at the start of `record` was written; to be completed with [`stamp`].
pub fn date(record: &mut [u8], at: Timestamp) {
    if let Some(field) = record.get_mut(32..40) {
        field.copy_from_slice(&at.as_millis().to_le_bytes());
    }
}

/// Completes the header at the start of `record`.
pub fn stamp(record: &mut [u8], stamp: Stamp) {
    let Some(header) = record.first_chunk_mut::<UNIT>() else {
        return;
    };
    put(header, 8, stamp.generation);
    put(header, 12, stamp.back);
    put(header, 16, stamp.batch);
    put(header, 56, stamp.salt);
    let crc = crc32fast::hash(&header[..60]);
    put(header, 60, crc);
}

/// Checksum of a message's content.
pub fn content_crc(head: &[u8], body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(body);
    crc.finalize()
}

/// `len` up to the next multiple of the unit.
pub const fn padded(len: u64) -> u64 {
    len.next_multiple_of(UNIT as u64)
}

/// Of a `Start` record: the use before this one, and whether it was ended in order.
#[derive(Debug, Serialize, Deserialize)]
pub struct Start {
    pub previous: u32,
    pub sealed: bool,
}

/// Of an `Accept` record.
#[derive(Debug, Serialize, Deserialize)]
pub struct Accept {
    pub meta: Arc<Meta>,
    pub large: Option<Large>,
}

impl Accept {
    /// With what the header of its record says.
    pub fn with(mut self, tls: TlsWish) -> Self {
        if tls != TlsWish::None {
            let labels = &mut Arc::make_mut(&mut self.meta).labels;
            Arc::make_mut(labels).tls = tls;
        }
        self
    }
}

/// A body in a file of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Large {
    pub len: u64,
    pub crc: u32,
}

/// Of a `Move` record. `accept` comes first, so that it is read as from an `Accept` record.
#[derive(Debug, Serialize, Deserialize)]
pub struct Moved {
    pub accept: Accept,
    pub folded: Folded,
}

/// All that was known of a message when it was moved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Folded {
    pub recipients: Vec<FoldedRecipient>,
    pub held: Option<Arc<str>>,
}

/// One recipient's progress on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FoldedRecipient {
    pub done: bool,
    pub attempts: u16,
    pub until: Timestamp,
    pub in_doubt: bool,
    pub pending: u16,
    pub last: Option<Arc<Reply>>,
}

/// Of a `Doubt` record. Attempt 0 stands for what an unclean stop left open: never resolved by an outcome.
#[derive(Debug, Serialize, Deserialize)]
pub struct Doubt {
    pub recipients: Vec<u16>,
    pub attempt: u16,
}

/// Of a `Void` record: octets that were not acknowledged, or were found damaged and reported.
#[derive(Debug, Serialize, Deserialize)]
pub struct Void {
    pub generation: u32,
    pub from: u64,
    pub to: u64,
    /// Messages whose senders were told that we did not take them.
    pub refused: Vec<MessageId>,
}

fn word(octets: &[u8; UNIT], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&octets[at..at + 4]);
    u32::from_le_bytes(bytes)
}

fn long(octets: &[u8; UNIT], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&octets[at..at + 8]);
    u64::from_le_bytes(bytes)
}

fn put(header: &mut [u8; UNIT], at: usize, value: u32) {
    header[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Lengths over 4 GiB cannot come up: a record fits a segment, which is checked before.
fn length(part: &[u8]) -> u32 {
    u32::try_from(part.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(meta: &[u8], head: &[u8], body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Draw {
            kind: Kind::Accept,
            tls: TlsWish::Requires,
            id: MessageId(7),
            at: Timestamp::from_millis(9),
            meta,
            head,
            body,
            content_crc: content_crc(head, body),
        }
        .append(&mut out);
        let place = Stamp {
            generation: 3,
            salt: 0xfeed,
            back: 1,
            batch: 5,
        };
        stamp(&mut out, place);
        out
    }

    proptest! {
        #[test]
        fn a_record_reads_back_and_no_changed_octet_passes(
            meta: Vec<u8>, head: Vec<u8>, body: Vec<u8>, at in 0usize..64, flip in 1u8..
        ) {
            let mut record = written(&meta, &head, &body);
            let header = Header::parse(&record).unwrap();
            prop_assert_eq!((header.len(), header.tls), (record.len() as u64, TlsWish::Requires));
            prop_assert_eq!((header.generation, header.salt, header.back, header.batch), (3, 0xfeed, 1, 5));
            prop_assert_eq!(header.meta_crc, crc32fast::hash(&meta));
            let content = header.content_at() as usize..(header.content_at() + header.content_len()) as usize;
            prop_assert_eq!(header.content_crc, crc32fast::hash(&record[content]));
            record[at] ^= flip;
            prop_assert_eq!(Header::parse(&record), None);
        }
    }
}

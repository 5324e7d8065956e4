//! One segment, read and decoded by a reader's thread for `replay` to follow.

use super::Mark;
use super::record::{Accept, Doubt, Folded, Header, Kind, Moved, Void};
use super::replay::SegmentFile;
use super::walk::{Found, Record, Walk};
use std::sync::Arc;

/// Steps handed over at once, and octets of metas that they may be made of.
const PIECE: usize = 256;
const PIECE_OCTETS: usize = 256 << 10;

/// A segment that still counts.
pub struct Segment {
    pub generation: u32,
    pub salt: u32,
    pub sealed: bool,
    pub file: SegmentFile,
}

/// What stands at one place of a segment, in their order.
pub enum Step {
    Damage {
        from: u64,
        to: u64,
        header: Option<Header>,
    },
    Record {
        offset: u64,
        header: Header,
        content_whole: bool,
        /// `None` where it is of a kind or form that this version cannot read.
        said: Option<Said>,
    },
    /// The last step. `ended`: an end record was read.
    End { ended: bool },
}

/// What a record says, as far as the ledger needs it.
pub enum Said {
    Nothing,
    Accept { recipients: usize, large: bool },
    Move { large: bool, folded: Folded },
    Doubt(Doubt),
    Hold(Option<Arc<str>>),
    Mark(Mark),
    Void(Void),
}

impl Said {
    /// Whether a caller asked for the record, rather than the spool itself. Start-up settles doubts as attempt 0.
    pub fn is_of_callers(&self) -> bool {
        match self {
            Self::Accept { .. } | Self::Mark(_) | Self::Hold(_) => true,
            Self::Doubt(doubt) => doubt.attempt > 0,
            Self::Nothing | Self::Move { .. } | Self::Void(_) => false,
        }
    }
}

/// Reads a segment to its end.
pub fn read(segment: &Segment, give: &mut dyn FnMut(Vec<Step>)) {
    let file = &segment.file;
    let new = if segment.sealed {
        Walk::sealed
    } else {
        Walk::unsealed
    };
    let file_of_it = Arc::clone(&file.file);
    let mut walk = new(file_of_it, file.size, segment.generation, segment.salt).ahead();
    let (mut steps, mut octets) = (Vec::with_capacity(PIECE), 0);
    while let Some(found) = walk.next() {
        if let Found::Record(record) = &found {
            octets += record.meta.len();
        }
        steps.push(step(found));
        if steps.len() == PIECE || octets >= PIECE_OCTETS {
            octets = 0;
            give(std::mem::replace(&mut steps, Vec::with_capacity(PIECE)));
        }
    }
    steps.push(Step::End {
        ended: walk.ended(),
    });
    give(steps);
}

fn step(found: Found) -> Step {
    match found {
        Found::Damage { from, to, header } => Step::Damage { from, to, header },
        Found::Record(Record {
            offset,
            header,
            meta,
            content_whole,
        }) => Step::Record {
            offset,
            header,
            content_whole,
            said: said(header.kind, &meta),
        },
    }
}

fn said(kind: Kind, meta: &[u8]) -> Option<Said> {
    let said = match kind {
        Kind::Start | Kind::Note | Kind::Close | Kind::End => Said::Nothing,
        Kind::Accept => {
            let accept: Accept = postcard::from_bytes(meta).ok()?;
            Said::Accept {
                recipients: accept.meta.envelope.recipients.len(),
                large: accept.large.is_some(),
            }
        }
        Kind::Move => {
            let moved: Moved = postcard::from_bytes(meta).ok()?;
            Said::Move {
                large: moved.accept.large.is_some(),
                folded: moved.folded,
            }
        }
        Kind::Doubt => Said::Doubt(postcard::from_bytes(meta).ok()?),
        Kind::Hold => Said::Hold(postcard::from_bytes(meta).ok()?),
        Kind::Mark => Said::Mark(postcard::from_bytes(meta).ok()?),
        Kind::Void => Said::Void(postcard::from_bytes(meta).ok()?),
    };
    Some(said)
}

//! Reading one segment from record to record, and over damage to the next one.

use super::disk::{read_ahead, read_lossy};
use super::record::{Header, Kind, UNIT};
use std::fs::File;
use std::sync::Arc;

/// Octets read at once while looking for the next record behind damage.
const STRIDE: usize = 1 << 20;
/// Octets read at once in the hope that header and meta are in them. More of them would be copied for nothing, record
/// after record; fewer would take more reads where records are small.
const GUESS: usize = 1024;
/// Octets that the kernel is told to read before they are asked for. Even where every record is as large as can be, one
/// read of all is no slower than one for each.
const AHEAD: u64 = 4 << 20;

/// One step.
#[derive(Debug)]
pub enum Found {
    Record(Record),
    /// Octets between records that are none.
    Damage {
        from: u64,
        to: u64,
        header: Option<Header>,
    },
}

#[derive(Debug)]
pub struct Record {
    pub offset: u64,
    pub header: Header,
    pub meta: Vec<u8>,
    /// The content matches its checksum; not looked at (`true`) in a sealed segment.
    pub content_whole: bool,
}

pub struct Walk {
    file: Arc<File>,
    size: u64,
    generation: u32,
    salt: u32,
    at: u64,
    verify: bool,
    ended: bool,
    /// A window of the file, to save a read for each small record.
    window: Vec<u8>,
    window_at: u64,
    /// As far as the kernel was told to read; `None`: it is not told.
    told: Option<u64>,
}

impl Walk {
    /// Reads headers and meta only.
    pub fn sealed(file: Arc<File>, size: u64, generation: u32, salt: u32) -> Self {
        Self {
            file,
            size,
            generation,
            salt,
            at: 0,
            verify: false,
            ended: false,
            window: Vec::new(),
            window_at: 0,
            told: None,
        }
    }

    /// Checks content too.
    pub fn unsealed(file: Arc<File>, size: u64, generation: u32, salt: u32) -> Self {
        Self {
            verify: true,
            ..Self::sealed(file, size, generation, salt)
        }
    }

    /// Has the kernel read all of the segment ahead: where most of it is wanted, and nobody else wants the disk.
    pub fn ahead(self) -> Self {
        Self {
            told: Some(0),
            ..self
        }
    }

    /// An end record was read.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The next record or damage; `None` behind the last record.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Found> {
        if self.ended {
            return None;
        }
        let (offset, end, header) = match self.header(self.at) {
            Some(header) => (self.at, self.at + header.len(), header),
            None => {
                let from = self.at;
                let to = self.resync(from)?;
                self.at = to;
                return Some(Found::Damage {
                    from,
                    to,
                    header: None,
                });
            }
        };
        self.at = end;
        self.ended = header.kind == Kind::End;
        let meta = self
            .octets(offset + UNIT as u64, header.meta_len as usize)
            .to_vec();
        if crc32fast::hash(&meta) != header.meta_crc {
            return Some(Found::Damage {
                from: offset,
                to: end,
                header: Some(header),
            });
        }
        let content_whole = !self.verify || self.content_whole(offset, &header);
        Some(Found::Record(Record {
            offset,
            header,
            meta,
            content_whole,
        }))
    }

    fn header(&mut self, at: u64) -> Option<Header> {
        if at + UNIT as u64 > self.size {
            return None;
        }
        let (generation, salt, size) = (self.generation, self.salt, self.size);
        let header = Header::parse(self.octets(at, UNIT))?;
        let ours = header.generation == generation && header.salt == salt;
        (ours && at + header.len() <= size).then_some(header)
    }

    fn content_whole(&mut self, offset: u64, header: &Header) -> bool {
        let (at, len) = (offset + header.content_at(), header.content_len() as usize);
        crc32fast::hash(self.octets(at, len)) == header.content_crc
    }

    /// The first record behind `from`.
    fn resync(&mut self, from: u64) -> Option<u64> {
        let mut at = from + UNIT as u64;
        while at + UNIT as u64 <= self.size {
            let len = STRIDE.min((self.size - at) as usize);
            let (generation, salt) = (self.generation, self.salt);
            // Records of earlier uses lie about by the thousand.
            let ours = |unit| {
                Header::parse(unit).is_some_and(|h| h.generation == generation && h.salt == salt)
            };
            let near = self.octets(at, len).chunks_exact(UNIT).position(ours);
            match near {
                None => at += len as u64,
                Some(units) => {
                    at += (units * UNIT) as u64;
                    if self.header(at).is_some() {
                        return Some(at);
                    }
                    at += UNIT as u64;
                }
            }
        }
        None
    }

    fn tell_kernel(&mut self, at: u64) {
        if let Some(told) = &mut self.told
            && *told < (at + AHEAD).min(self.size)
        {
            let from = (*told).max(at);
            *told = (from + AHEAD).min(self.size);
            read_ahead(&self.file, from, *told);
        }
    }

    /// Octets of the file; zeros where they cannot be read or lie outside.
    fn octets(&mut self, at: u64, len: usize) -> &[u8] {
        let inside =
            at >= self.window_at && at + len as u64 <= self.window_at + self.window.len() as u64;
        if !inside {
            let ahead = if self.verify { STRIDE } else { GUESS };
            let want = len
                .max(ahead)
                .min(self.size.saturating_sub(at) as usize)
                .max(len);
            self.tell_kernel(at);
            self.window.clear();
            self.window.resize(want, 0);
            self.window_at = at;
            read_lossy(&self.file, at, &mut self.window);
        }
        let start = (at - self.window_at) as usize;
        self.window.get(start..start + len).unwrap_or_default()
    }
}

/// Which use a segment file is in: from its first record, or where that is damaged from the latest one found.
pub fn identify(file: &File, size: u64) -> Option<Header> {
    let mut first = [0; UNIT];
    read_lossy(file, 0, &mut first);
    if let Some(header) = Header::parse(&first) {
        return Some(header);
    }
    let mut latest: Option<Header> = None;
    let mut octets = vec![0; STRIDE];
    let mut at = 0;
    while at < size {
        let len = STRIDE.min((size - at) as usize);
        let Some(piece) = octets.get_mut(..len) else {
            break;
        };
        read_lossy(file, at, piece);
        for header in piece.chunks_exact(UNIT).filter_map(Header::parse) {
            if latest.is_none_or(|best| header.generation > best.generation) {
                latest = Some(header);
            }
        }
        at += len as u64;
    }
    latest
}

//! Reading single records back, and setting aside what is damaged.

use super::content::{Content, Held};
use super::disk::{Layout, create, read_lossy};
use super::ledger::Place;
use super::record::{Accept, Header, Large, UNIT};
use super::{Meta, SpoolError};
use crate::mail::MessageId;
use bytes::Bytes;
use rustix::io::ReadWriteFlags;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Octets read at once in the hope that header and meta are in them.
const GUESS: usize = 1024;

/// Where records are read from: a file, however long that takes, or what the kernel holds of it.
pub trait Records {
    fn read_exact_at(&self, octets: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Records for File {
    fn read_exact_at(&self, octets: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, octets, offset)
    }
}

impl<R: Records> Records for Arc<R> {
    fn read_exact_at(&self, octets: &mut [u8], offset: u64) -> io::Result<()> {
        R::read_exact_at(self, octets, offset)
    }
}

/// A file as far as it is in memory: a read that would wait for the disk fails, so that it may be tried where no
/// blocking is allowed.
pub struct InMemory<'a>(pub &'a File);

impl Records for InMemory<'_> {
    fn read_exact_at(&self, mut octets: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !octets.is_empty() {
            let into = &mut [IoSliceMut::new(octets)];
            let read = rustix::io::preadv2(self.0, into, offset, ReadWriteFlags::NOWAIT)?;
            octets = match octets.get_mut(read..) {
                Some(rest) if read > 0 => rest,
                _ => return Err(io::ErrorKind::UnexpectedEof.into()),
            };
            offset += read as u64;
        }
        Ok(())
    }
}

/// Header and message description of the record at `place`; `None` where they are damaged or of another use.
pub fn accept(file: &impl Records, place: Place) -> Option<(Header, Accept)> {
    let (header, meta) = header_and_meta(file, place)?;
    let (accept, _rest) = postcard::take_from_bytes::<Accept>(&meta).ok()?;
    Some((header, accept.with(header.tls)))
}

/// As [`accept`], with the meta as octets. Memory is taken for no more than `place` holds, whatever the header claims.
pub fn header_and_meta(file: &impl Records, place: Place) -> Option<(Header, Vec<u8>)> {
    let mut octets = vec![0; GUESS.min(place.len() as usize)];
    file.read_exact_at(&mut octets, place.offset()).ok()?;
    let header = Header::parse(&octets).filter(|h| h.generation == place.generation)?;
    let end = UNIT + header.meta_len as usize;
    if end as u64 > place.len() {
        return None;
    }
    if end > octets.len() {
        octets.resize(end, 0);
        file.read_exact_at(&mut octets, place.offset()).ok()?;
    }
    let meta = octets.get(UNIT..end)?.to_vec();
    (crc32fast::hash(&meta) == header.meta_crc).then_some((header, meta))
}

/// Octets of header section and body of a message.
pub fn size(header: &Header, accept: &Accept) -> u64 {
    header.content_len() + accept.large.map_or(0, |large| large.len)
}

/// Header section and body as the record has them, whether they are whole or not.
pub fn content_octets(file: &impl Records, place: Place, header: &Header) -> io::Result<Bytes> {
    let mut octets = vec![0; header.content_len() as usize];
    file.read_exact_at(&mut octets, place.offset() + header.content_at())?;
    Ok(octets.into())
}

/// The content of the message at `place`, its inline part verified.
pub fn content(layout: &Layout, file: &File, place: Place) -> Result<Content, SpoolError> {
    let corrupt = || SpoolError::Corrupt(place.to_string());
    let (id, held, large) = inline_part(file, place).ok_or_else(corrupt)?;
    let Some(large) = large else {
        return Ok(Content::held(held.head, held.body));
    };
    let path = layout.body(id);
    let aside = layout.corrupt().join(format!("{id}.body"));
    Content::from_file(held.head, path.clone(), aside, large)
        .map_err(|_missing| SpoolError::Corrupt(path.display().to_string()))
}

/// The content of the message at `place` where all of it is in memory and whole.
pub fn content_in_memory(file: &InMemory<'_>, place: Place) -> Option<Content> {
    let (_, held, large) = inline_part(file, place)?;
    large.is_none().then(|| Content::held(held.head, held.body))
}

/// What the record itself holds of a message, and whether its body is a file.
fn inline_part(file: &impl Records, place: Place) -> Option<(MessageId, Held, Option<Large>)> {
    let (header, accept): (Header, Accept) = accept(file, place)?;
    let octets = content_octets(file, place, &header).ok()?;
    let whole = crc32fast::hash(&octets) == header.content_crc;
    whole.then(|| {
        (
            header.id,
            split(octets, header.head_len as usize),
            accept.large,
        )
    })
}

pub fn split(content: Bytes, head_len: usize) -> Held {
    let head = content.slice(..head_len.min(content.len()));
    let body = content.slice(head.len()..);
    Held { head, body }
}

/// Copies a damaged record into the directory for such; returns where it is.
pub fn set_aside(layout: &Layout, file: &File, place: Place) -> Option<PathBuf> {
    let (generation, offset) = (place.generation, place.offset());
    let path = layout
        .corrupt()
        .join(format!("{generation:08}-{offset}.bin"));
    let copy = || -> std::io::Result<()> {
        let mut octets = vec![0; place.len() as usize];
        read_lossy(file, offset, &mut octets);
        let to = create(&path)?;
        to.write_all_at(&octets, 0)?;
        to.sync_all()
    };
    match copy() {
        Ok(()) => Some(path),
        // Set aside before.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Some(path),
        Err(error) => {
            tracing::error!(%place, %error, "a damaged part of the spool could not be set aside");
            None
        }
    }
}

/// Gives the file `from` a second name, so that it outlives its first one.
pub fn keep_link(from: &Path, to: &Path) {
    if let Err(error) = std::fs::hard_link(from, to)
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        tracing::error!(file = %from.display(), %error, "a damaged body could not be set aside");
    }
}

/// For callers that want the meta alone.
pub fn meta(file: &File, place: Place) -> Option<Arc<Meta>> {
    accept(file, place).map(|(_, accept)| accept.meta)
}

#[cfg(test)]
mod tests {
    use super::super::record::{Draw, Kind, Stamp, stamp};
    use super::*;
    use crate::mail::MessageId;
    use crate::units::Timestamp;

    #[test]
    fn a_meta_length_beyond_the_record_is_damage_and_takes_no_memory() {
        let mut record = Vec::new();
        let meta = [7; 200];
        Draw::state(Kind::Start, MessageId(1), Timestamp::from_millis(1), &meta)
            .append(&mut record);
        let place = Stamp {
            generation: 1,
            salt: 2,
            back: 0,
            batch: 0,
        };
        stamp(&mut record, place);
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&record, 0).unwrap();
        let whole = Place::new(1, 0, record.len() as u64);
        assert!(header_and_meta(&file, whole).is_some());
        let short = Place::new(1, 0, 128);
        assert!(header_and_meta(&file, short).is_none());
    }
}

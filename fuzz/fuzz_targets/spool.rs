//! Any octets as a segment file are read to a report, changed in nothing, and read the same a second time.
//!
//! Checksums would stop nearly all input at the first record, so the first octet says which of them are repaired.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailwright::spool::Spool;
use std::path::Path;

const UNIT: usize = 64;

fuzz_target!(|input: (u8, &[u8])| {
    let (repairs, octets) = input;
    let mut segment = octets.to_vec();
    repair(&mut segment, repairs);
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    std::fs::create_dir(&spool).unwrap();
    std::fs::write(spool.join("lock"), b"").unwrap();
    let file = spool.join("00000000.seg");
    std::fs::write(&file, &segment).unwrap();

    let first = inspect(dir.path(), segment.len() as u64);
    assert_eq!(std::fs::read(&file).unwrap(), segment);
    assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 2);
    assert_eq!(first, inspect(dir.path(), segment.len() as u64));
});

/// What a reader is told, as text.
fn inspect(dir: &Path, size: u64) -> (Vec<String>, String) {
    let mut told = Vec::new();
    let report = Spool::inspect(dir, |stored| told.push(format!("{stored:?}"))).unwrap();
    assert!(told.len() <= report.messages);
    assert!(report.messages as u64 <= size / UNIT as u64);
    assert!(report.torn + report.damages.iter().map(|d| d.bytes).sum::<u64>() <= size);
    (told, format!("{report:?}"))
}

/// Makes checksums, and by choice magic and lengths, right from record to record.
fn repair(segment: &mut [u8], repairs: u8) {
    let mut at = 0;
    while let Some(record) = segment.get_mut(at..).filter(|rest| rest.len() >= UNIT) {
        let (header, rest) = record.split_at_mut(UNIT);
        if repairs & 1 != 0 {
            header[..4].copy_from_slice(b"MWR1");
        }
        if repairs & 2 != 0 {
            header[4] = header[4] % 10 + 1;
            header[8..12].copy_from_slice(&3u32.to_le_bytes());
            header[56..60].copy_from_slice(&5u32.to_le_bytes());
        }
        if repairs & 4 != 0 {
            // Within 1 KiB, so that several records fit the input.
            for at in [42, 43, 46, 47, 50, 51] {
                header[at] = 0;
            }
            header[41] &= 1;
            header[45] &= 1;
            header[49] &= 1;
        }
        let length = |at: usize| word(header, at) as usize;
        let meta = length(40).min(rest.len());
        let content = (length(44) + length(48)).min(rest.len() - meta);
        let next = (UNIT + meta + content).next_multiple_of(UNIT);
        let meta_crc = crc32fast::hash(&rest[..meta]).to_le_bytes();
        let content_crc = crc32fast::hash(&rest[meta..meta + content]).to_le_bytes();
        if repairs & 8 != 0 {
            header[20..24].copy_from_slice(&meta_crc);
        }
        if repairs & 16 != 0 {
            header[52..56].copy_from_slice(&content_crc);
        }
        if repairs & 32 != 0 {
            let crc = crc32fast::hash(&header[..60]).to_le_bytes();
            header[60..64].copy_from_slice(&crc);
        }
        at += next;
    }
}

fn word(header: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

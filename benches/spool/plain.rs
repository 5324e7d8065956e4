//! The simpler ways to write: no checksums, no recovery, only the writing.

use crate::harness::{Latencies, grouped, producers};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SEGMENT: u64 = 64 << 20;
const DIRS: u64 = 256;

/// Messages gathered while the batch before is written, as the spool does, but to files that grow.
pub fn growing(dir: &Path, span: Duration) -> Latencies {
    let (mut files, mut at, mut file) = (0u64, SEGMENT, None);
    grouped(span, |batch| {
        let octets = batch.concat();
        if at + octets.len() as u64 > SEGMENT {
            file = None;
            (files, at) = (files + 1, 0);
        }
        let to: &File = file
            .get_or_insert_with(|| File::create(dir.join(format!("{files}.log"))).expect("a file"));
        to.write_all_at(&octets, at).expect("written");
        to.sync_data().expect("synced");
        at += octets.len() as u64;
    })
}

/// A file a message; file and directory synced.
pub fn file_each(dir: &Path, span: Duration) -> Latencies {
    for n in 0..DIRS {
        std::fs::create_dir(dir.join(n.to_string())).expect("a directory");
    }
    let next = AtomicU64::new(0);
    producers(span, |octets| {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let home = dir.join((n % DIRS).to_string());
        let mut file = File::create(home.join(n.to_string())).expect("a file");
        file.write_all(octets).expect("written");
        file.sync_all().expect("synced");
        let home = File::open(home).expect("the directory");
        home.sync_all().expect("synced");
    })
}

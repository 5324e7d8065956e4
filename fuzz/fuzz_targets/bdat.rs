//! Chunks take exactly their octets, and a message reads the same however it is cut into chunks and reads.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailwright::smtp::codec::{BdatReceiver, ContentRules, LineEndings, Violation};

fuzz_target!(|input: (bool, u8, u8, &[u8])| {
    let (fix, chunk, read, octets) = input;
    let rules = ContentRules {
        max_size: 4096,
        max_line: 100,
        eight_bit: true,
        line_endings: if fix { LineEndings::Fix } else { LineEndings::Refuse },
    };
    let whole = receive(rules, octets, octets.len().max(1), octets.len().max(1));
    let cut = receive(rules, octets, usize::from(chunk) + 1, usize::from(read) + 1);
    assert_eq!(whole.1.is_some(), cut.1.is_some());
    if whole.1.is_none() {
        assert_eq!(whole.0, cut.0);
        assert!(whole.0.is_empty() || whole.0.ends_with(b"\r\n"));
    }
});

fn receive(rules: ContentRules, octets: &[u8], chunk: usize, read: usize) -> (Vec<u8>, Option<Violation>) {
    let (mut receiver, mut out) = (BdatReceiver::new(rules), Vec::new());
    for piece in octets.chunks(chunk) {
        receiver.begin_chunk(piece.len() as u64);
        let mut rest = piece;
        loop {
            let progress = receiver.ingest(&rest[..read.min(rest.len())], &mut out);
            rest = &rest[progress.consumed..];
            if progress.done {
                break;
            }
        }
        assert!(rest.is_empty());
    }
    receiver.finish(&mut out);
    (out, receiver.violation())
}

//! Content behind DATA reads the same in one piece and octet by octet, ends where CRLF.CRLF first stands and nowhere
//! else, and leaves with CRLF line ends only.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailwright::smtp::codec::{ContentRules, DataReceiver, LineEndings, dot_stuff};

fuzz_target!(|input: (bool, bool, u8, &[u8])| {
    let (fix, eight_bit, max_line, octets) = input;
    let rules = ContentRules {
        max_size: 4096,
        max_line: u64::from(max_line) + 1,
        eight_bit,
        line_endings: if fix { LineEndings::Fix } else { LineEndings::Refuse },
    };
    let (mut whole, mut content) = (DataReceiver::new(rules), Vec::new());
    let progress = whole.ingest(octets, &mut content);

    let end = [b"\r\n", octets].concat();
    let end = end.windows(5).position(|five| five == b"\r\n.\r\n");
    assert_eq!(progress.done.then_some(progress.consumed), end.map(|at| at + 3));

    let (mut cut, mut pieces, mut taken) = (DataReceiver::new(rules), Vec::new(), 0);
    for octet in octets {
        taken += 1;
        if cut.ingest(&[*octet], &mut pieces).done {
            break;
        }
    }
    // Where several rules are broken, the cut decides which is told.
    assert_eq!(taken, progress.consumed);
    assert_eq!(cut.violation().is_some(), whole.violation().is_some());
    if whole.violation().is_none() {
        assert_eq!(pieces, content);
    }
    if progress.done && whole.violation().is_none() {
        assert_clean(&content);
        read_back(&content, rules);
    }
});

fn assert_clean(content: &[u8]) {
    let mut before = 0;
    for (i, octet) in content.iter().enumerate() {
        assert_ne!(*octet, 0);
        assert_eq!(*octet == b'\n', before == b'\r', "at {i}");
        before = *octet;
    }
    assert_ne!(before, b'\r');
}

/// What a client of ours would send of it is the same message again.
fn read_back(content: &[u8], rules: ContentRules) {
    let (mut start, mut wire, mut again) = (true, Vec::new(), Vec::new());
    dot_stuff(&mut start, content, &mut wire);
    wire.extend_from_slice(b".\r\n");
    let mut receiver = DataReceiver::new(rules);
    assert!(receiver.ingest(&wire, &mut again).done);
    assert_eq!((again.as_slice(), receiver.violation()), (content, None));
}

//! A reply reads the same however it is cut, and what we write of it reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailwright::smtp::codec::{EhloLines, ReplyParser, write_reply};

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, octets) = input;
    let whole = ReplyParser::default().ingest(octets, "X");
    let (head, tail) = octets.split_at(usize::from(cut).min(octets.len()));
    let mut parser = ReplyParser::default();
    let cut = match parser.ingest(head, "X") {
        Ok((taken, None)) => parser
            .ingest(tail, "X")
            .map(|(more, reply)| (taken + more, reply)),
        ended => ended,
    };
    assert_eq!(whole, cut);
    if let Ok((_, Some(reply))) = whole {
        let _offers = EhloLines::parse(&reply);
        let mut wire = Vec::new();
        write_reply(&reply, &mut wire);
        let (taken, again) = ReplyParser::default().ingest(&wire, "X").unwrap();
        assert_eq!((taken, again.unwrap().code), (wire.len(), reply.code));
    }
});

//! A header section is read or refused, never guessed at; what is read is written as it came, and editing touches
//! nothing else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailwright::mail::headers::HeaderSection;

fuzz_target!(|octets: &[u8]| {
    let end = HeaderSection::end(octets, 0);
    assert_eq!(end, end_octet_by_octet(octets));
    let section = &octets[..end.unwrap_or(octets.len())];
    let Ok(read) = HeaderSection::parse(section.to_vec()) else {
        return;
    };
    let written = read.to_octets(b"");
    if end.is_some() {
        assert_eq!(written, section);
    }
    assert_eq!(written.len(), read.len());
    assert_eq!(HeaderSection::end(&written, 0), Some(written.len()));
    let again = HeaderSection::parse(written).unwrap();
    assert_eq!(again, read);
    edit(read);
});

fn end_octet_by_octet(octets: &[u8]) -> Option<usize> {
    (1..=octets.len()).find_map(|len| HeaderSection::end(&octets[..len], len - 1))
}

/// Strips and adds as intake does.
fn edit(mut section: HeaderSection) {
    let kept: Vec<_> = section
        .fields()
        .filter(|field| !field.is("bcc"))
        .flat_map(|field| field.raw().to_vec())
        .collect();
    section.remove(|field| field.is("bcc"));
    assert_eq!(section.count("Bcc"), 0);
    section.prepend("Received", "here");
    let out = section.to_octets(b"");
    assert_eq!(out, [b"Received: here\r\n", &kept[..], b"\r\n"].concat());
    assert!(HeaderSection::parse(out).is_ok());
}

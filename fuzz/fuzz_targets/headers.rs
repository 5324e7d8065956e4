//! A header section is read or refused, never guessed at; what is read is written as it came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailwright::mail::headers::HeaderSection;

fuzz_target!(|octets: &[u8]| {
    let end = HeaderSection::end(octets, 0).unwrap_or(octets.len());
    let section = octets[..end].to_vec();
    if let Ok(read) = HeaderSection::parse(section.clone()) {
        let fields: Vec<u8> = read.fields().flat_map(|field| field.raw().to_vec()).collect();
        assert!(fields.len() <= section.len() + 2);
        assert!(HeaderSection::parse(fields).is_ok());
    }
});

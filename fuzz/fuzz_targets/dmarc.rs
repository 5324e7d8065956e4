//! Whatever is said to be a DMARC report is answered; what passed is a part of what was sent, by source as in sum.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailwright::reports::{Report, read};

fuzz_target!(|octets: &[u8]| {
    let answer = read(octets);
    assert_eq!(answer, read(octets));
    if let Ok(Report::Dmarc(report)) = answer {
        let total = report.total();
        assert!(total.pass <= total.messages && total.dkim <= total.pass && total.spf <= total.pass);
        let of_sources = report.sources().into_values();
        assert_eq!(of_sources.map(|tally| tally.messages).sum::<u64>(), total.messages);
        assert!(!report.domain.is_empty() && report.records.len() <= 100_000);
    }
});

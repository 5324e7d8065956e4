//! Whatever message comes is examined to a bounded number of printable findings, the same each time, and at whatever
//! lines it is cut at submission.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailwright::lint::facts::{Facts, Signing};
use mailwright::lint::{Message, examine, network_lines, rules};
use mailwright::mail::headers::HeaderSection;

fuzz_target!(|octets: &[u8]| {
    let octets = network_lines(octets);
    let message = Message::parse(&octets);
    let facts = Facts {
        signing: Some(Signing::Unsigned),
        ..Facts::default()
    };
    let found = examine(&message, &facts);
    assert!(found.len() <= 100);
    for finding in &found {
        assert!(finding.evidence.len() <= 300);
        assert!(!finding.evidence.contains(char::is_control));
        assert!(rules().any(|rule| rule.name == finding.rule && rule.id == finding.id));
    }
    assert!(found.is_sorted_by(|a, b| a.level >= b.level));
    assert_eq!(found, examine(&Message::parse(&octets), &facts));
    assert!(message.domains().len() <= 50);
    cut(&octets, &facts);
});

/// As submission sees it: a section that was taken, and the beginning of a body.
fn cut(octets: &[u8], facts: &Facts) {
    let Some(end) = HeaderSection::end(octets, 0) else {
        return;
    };
    let (head, body) = octets.split_at(end);
    if let Ok(head) = HeaderSection::parse(head.to_vec()) {
        let message = Message::of(head, &body[..body.len() / 2], octets.len() as u64);
        assert!(examine(&message, facts).len() <= 100);
    }
}

//! Whatever comes back is read; a token that is told has the form of one, a success or a delay condemns nobody, and
//! the same octets read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailwright::bounce::report::{Action, Original, Report, read};
use mailwright::bounce::rules::Classifier;
use std::sync::LazyLock;

static CLASSIFIER: LazyLock<Classifier> = LazyLock::new(|| Classifier::new().unwrap());

fuzz_target!(|octets: &[u8]| {
    let report = read(octets, &CLASSIFIER);
    assert_eq!(report, read(octets, &CLASSIFIER));
    match &report {
        Report::Notice(notice) => {
            for found in &notice.recipients {
                assert!(!found.address.is_empty());
                assert!(found.action == Action::Failed || !found.finding.condemns());
            }
            check(&notice.original);
        }
        Report::Feedback(feedback) => check(&feedback.original),
        Report::Autoreply(original) | Report::Message(original) => check(original),
    }
});

fn check(original: &Original) {
    for token in &original.tokens {
        assert_eq!(token.len(), 40);
        assert!(token.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()));
    }
}

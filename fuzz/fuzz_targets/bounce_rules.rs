//! Whatever a server says is judged; what it says for now condemns nobody, and neither does the name of a mailbox.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailwright::bounce::replies::Replies;
use mailwright::bounce::rules::{Classifier, Said, Seen};
use mailwright::units::Timestamp;
use std::sync::LazyLock;

static CLASSIFIER: LazyLock<Classifier> = LazyLock::new(|| Classifier::new().unwrap());

fuzz_target!(|input: (u16, &str)| {
    let (code, text) = input;
    let said = Said {
        code: (code != 0).then_some(code),
        text,
        ..Said::default()
    };
    let seen = Seen::of(&said);
    let ruling = CLASSIFIER.ruling(&seen);
    assert!(!(seen.is_temporary() && ruling.finding.condemns()));
    let replies = Replies::default();
    replies.note(&seen, text, ruling, Timestamp::default());
    assert_eq!(replies.patterns().len(), 1);

    // Names of one length: what is looked at of a long text ends at the same octet.
    let other = |name: &str| format!("550 5.7.1 <{name}@example.net> {text}");
    let judge = |text: &str| CLASSIFIER.judge(&Said { text, ..Said::default() });
    assert_eq!(judge(&other("ann.of.sales")), judge(&other("no-such-user")));
});

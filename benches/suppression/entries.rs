//! Addresses that are suppressed, and others; each from its number.

use mailwright::mail::{Address, MessageId};
use mailwright::policy::suppression::{By, Entry, Reason, Scope};
use std::ops::Range;

const DOMAINS: u64 = 5_000;

pub fn address(n: u64) -> Address {
    let text = format!("customer.{n}@mail-{}.example.net", n % DOMAINS);
    text.parse().expect("an address")
}

/// Mostly addresses that are bad; no reason that ends by itself.
pub fn made(numbers: Range<u64>) -> Vec<Entry> {
    let entry = |n: u64| Entry {
        scope: Scope::Global,
        address: address(n),
        reason: match n % 10 {
            0 => Reason::Complaint,
            1 | 2 => Reason::Unsubscribe,
            _ => Reason::Hard,
        },
        until: None,
        source: Some(MessageId(n)),
        by: By::Reply,
        note: "550 5.1.1 The email account that you tried to reach does not exist".into(),
    };
    numbers.map(entry).collect()
}

//! Whatever is said to be a TLS report is answered; what is kept of it is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailwright::reports::tls::read;

fuzz_target!(|text: &str| {
    if let Ok(report) = read(text) {
        assert!(report.policies.len() <= 1_000);
        for policy in &report.policies {
            assert!(policy.failure_types.len() <= 65);
            assert!(policy.success <= report.success() && policy.failure <= report.failure());
        }
    }
});

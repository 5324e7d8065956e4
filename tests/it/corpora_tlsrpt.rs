//! TLS reports of the field: every total is right.
//!
//! `cargo test --test it corpora_tlsrpt -- --nocapture` prints the totals.

use crate::corpora_bounces::{corpus, lines};
use mailwright::reports::line::Line;
use mailwright::reports::read;
use serde::Deserialize;
use serde_json::json;
use std::fs;

#[derive(Deserialize)]
struct Sample {
    file: String,
    valid: bool,
    organization: Option<String>,
    report_id: Option<String>,
    policies: Option<u64>,
    success: Option<u64>,
    failure: Option<u64>,
}

#[test]
fn every_report_has_its_totals() {
    let Some(dir) = corpus("tlsrpt") else {
        return;
    };
    let (mut reports, mut success, mut failure) = (0, 0, 0);
    for sample in lines::<Sample>(&dir) {
        let octets = fs::read(dir.join(&sample.file)).unwrap();
        let read = read(&octets);
        if !sample.valid {
            println!(
                "{} is refused: {}",
                sample.file,
                read.expect_err(&sample.file)
            );
            continue;
        }
        let line = json!(Line::of(sample.file.clone(), read));
        let expected = json!({
            "kind": "tlsrpt", "organization": sample.organization, "report_id": sample.report_id,
            "policies": sample.policies, "success": sample.success, "failure": sample.failure,
        });
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&line[key], value, "{key} of {}", sample.file);
        }
        reports += 1;
        success += sample.success.unwrap_or(0);
        failure += sample.failure.unwrap_or(0);
    }
    println!("{reports} TLS reports read; {success} sessions succeeded, {failure} failed");
    assert!(reports > 0);
}

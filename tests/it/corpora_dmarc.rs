//! DMARC reports of the field: every total is right, and what is broken is refused.
//!
//! `cargo test --test it corpora_dmarc -- --nocapture` prints the totals.

use crate::corpora_bounces::{corpus, lines};
use mailwright::reports::line::Line;
use mailwright::reports::{Report, read};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;

#[derive(Deserialize)]
struct Sample {
    file: String,
    well_formed: bool,
    org_name: Option<String>,
    report_id: String,
    begin: String,
    end: String,
    domain: String,
    p: String,
    records: u64,
    messages: u64,
    dmarc_pass: u64,
}

#[test]
fn every_report_has_its_totals_and_the_broken_ones_are_refused() {
    let Some(dir) = corpus("dmarc") else {
        return;
    };
    let (mut reports, mut refused, mut messages, mut passed) = (0, 0, 0, 0);
    for sample in lines::<Sample>(&dir) {
        let octets = fs::read(dir.join(&sample.file)).unwrap();
        let read = read(&octets);
        if !sample.well_formed {
            let why = read.expect_err(&sample.file);
            println!("{} is refused: {why}", sample.file);
            refused += 1;
            continue;
        }
        assert!(
            matches!(read, Ok(Report::Dmarc(_))),
            "{}: {read:?}",
            sample.file
        );
        let line = json!(Line::of(sample.file.clone(), read));
        sample.check(&line);
        reports += 1;
        messages += sample.messages;
        passed += sample.dmarc_pass;
    }
    println!("{reports} DMARC reports read, {refused} refused; {messages} messages, {passed} pass");
    assert!(reports > 0);
}

impl Sample {
    fn check(&self, line: &Value) {
        let number = |text: &str| text.parse::<u64>().unwrap();
        let expected = json!({
            "kind": "dmarc", "org_name": self.org_name, "report_id": self.report_id, "begin": number(&self.begin),
            "end": number(&self.end), "domain": self.domain, "p": self.p, "records": self.records,
            "messages": self.messages, "dmarc_pass": self.dmarc_pass,
        });
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&line[key], value, "{} of {}", key, self.file);
        }
        let of_sources = line["sources"].as_array().unwrap().iter();
        let sum: u64 = of_sources
            .map(|source| source["messages"].as_u64().unwrap())
            .sum();
        assert_eq!(sum, self.messages, "by source in {}", self.file);
    }
}

//! How many decisions about replies are right, on the samples beside the project where they are there.
//!
//! `cargo test --test it corpora_replies -- --nocapture` prints the table.

use mailwright::bounce::rules::{Classifier, Said};
use mailwright::mail::{Finding, Severity};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Of right decisions, at least.
const GOAL: f64 = 0.95;

/// A reply, why it was given, and which decisions about it a fair judge takes.
#[derive(Deserialize)]
struct Sample {
    reply: String,
    reason: String,
    accept_kinds: Vec<String>,
}

#[derive(Default)]
struct Score {
    right: usize,
    of: usize,
}

#[test]
fn decisions_about_replies_are_right_and_no_suppression_is_false() {
    let Some(text) = read("bounces/replies.jsonl") else {
        return;
    };
    let classifier = Classifier::new().unwrap();
    let mut scores: BTreeMap<String, Score> = BTreeMap::new();
    let mut false_suppressions = Vec::new();
    for line in text.lines() {
        let sample: Sample = serde_json::from_str(line).unwrap();
        let finding = judge(&classifier, &sample.reply);
        let takes = |kind: &str| sample.accept_kinds.iter().any(|k| k == kind);
        let decision = match finding.severity() {
            Severity::Hard => "hard",
            Severity::Soft | Severity::None => "soft",
        };
        let right = takes(decision) || takes("unknown") && decision == "soft";
        if finding.condemns() && !takes("hard") {
            false_suppressions.push(sample.reply.clone());
        }
        if !right {
            println!(
                "wrong: {finding:?} for {} ({})",
                sample.reply, sample.reason
            );
        }
        let score = scores.entry(sample.reason).or_default();
        score.of += 1;
        score.right += usize::from(right);
    }
    let right: usize = scores.values().map(|score| score.right).sum();
    let of: usize = scores.values().map(|score| score.of).sum();
    for (reason, score) in &scores {
        println!("{reason:<18} {:>4} of {:>4} right", score.right, score.of);
    }
    println!("{:<18} {right:>4} of {of:>4} right", "all");
    println!("false suppressions {}", false_suppressions.len());
    assert!(false_suppressions.is_empty(), "{false_suppressions:#?}");
    assert!(right as f64 >= GOAL * of as f64, "{right} of {of}");
}

/// A file of `shared/corpora` beside the project, or beside a directory that it is in; `None` where there is none.
fn read(name: &str) -> Option<String> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = project.ancestors().skip(1);
    let mut files = beside.map(|dir| dir.join("shared/corpora").join(name));
    let text = files.find_map(|file| fs::read_to_string(file).ok());
    if text.is_none() {
        println!("shared/corpora/{name} is not there: nothing is measured");
    }
    text
}

fn judge(classifier: &Classifier, text: &str) -> Finding {
    classifier.judge(&Said {
        text,
        ..Said::default()
    })
}

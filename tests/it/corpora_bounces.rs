//! How much of what comes back is understood, on the samples beside the project where they are there.
//!
//! `cargo test --test it corpora_bounces -- --nocapture` prints the tables.

use mailwright::bounce::report::{Action, Feedback, Report, Returned, read};
use mailwright::bounce::rules::Classifier;
use mailwright::mail::Severity;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Of failed recipients that are found, and of right decisions, at least.
const RECALL: f64 = 0.98;
const ACCURACY: f64 = 0.95;

/// A notice, who failed (each with other right spellings), and which decisions a fair judge takes.
#[derive(Deserialize)]
struct Sample {
    file: String,
    acceptable: Vec<Vec<String>>,
    accept_kinds: Vec<Vec<String>>,
    reason: String,
    reasons: Vec<String>,
    confidence: String,
}

#[derive(Default)]
struct Row {
    of: usize,
    found: usize,
    right: usize,
}

#[derive(Default)]
struct Table {
    rows: BTreeMap<String, Row>,
    false_suppressions: Vec<String>,
    invented: Vec<String>,
}

#[test]
fn failed_recipients_are_found_and_nobody_is_suppressed_for_a_block() {
    let Some(dir) = corpus("bounces") else {
        return;
    };
    let classifier = Classifier::new().unwrap();
    let mut table = Table::default();
    for sample in lines::<Sample>(&dir) {
        let octets = fs::read(dir.join(&sample.file)).unwrap();
        let recipients = match read(&octets, &classifier) {
            Report::Notice(notice) => notice.recipients,
            _ => Vec::new(),
        };
        table.note(&sample, &recipients);
    }
    table.print();
    table.check();
}

impl Table {
    fn note(&mut self, sample: &Sample, recipients: &[Returned]) {
        let file = &sample.file;
        for (position, spellings) in sample.acceptable.iter().enumerate() {
            let reason = sample.reasons.get(position).unwrap_or(&sample.reason);
            let row = self.rows.entry(reason.clone()).or_default();
            row.of += 1;
            let is_it = |found: &&Returned| {
                spellings
                    .iter()
                    .any(|s| s.eq_ignore_ascii_case(&found.address))
            };
            let Some(found) = recipients.iter().find(is_it) else {
                println!("missed: {spellings:?} in {file}");
                continue;
            };
            row.found += 1;
            let accepted = &sample.accept_kinds[position];
            let takes = |kind: &str| accepted.iter().any(|k| k == kind);
            match takes(decision(found)) || takes("unknown") && decision(found) == "soft" {
                true => row.right += 1,
                false => println!(
                    "wrong: {:?} for {reason} in {file}: {:?}",
                    found.finding, found.diagnostic
                ),
            }
        }
        let falsely = recipients
            .iter()
            .filter(|found| found.finding.condemns() && !may_condemn(sample, found));
        self.false_suppressions
            .extend(falsely.map(|found| format!("{} in {file}", found.address)));
        // Of an ambiguous label the file names an address, and is a notice to the eye.
        if sample.acceptable.is_empty() && sample.confidence != "ambiguous" {
            let failed = recipients
                .iter()
                .filter(|found| found.action == Action::Failed);
            self.invented
                .extend(failed.map(|found| format!("{} in {file}", found.address)));
        }
    }

    fn total(&self) -> Row {
        let mut total = Row::default();
        for row in self.rows.values() {
            total.of += row.of;
            total.found += row.found;
            total.right += row.right;
        }
        total
    }

    fn print(&self) {
        let total = self.total();
        println!("{:<18} {:>4} {:>6} {:>6}", "reason", "of", "found", "right");
        let rows = self.rows.iter().map(|(reason, row)| (reason.as_str(), row));
        for (reason, row) in rows.chain([("all", &total)]) {
            println!(
                "{reason:<18} {:>4} {:>6} {:>6}",
                row.of, row.found, row.right
            );
        }
        println!(
            "false suppressions {}, invented addresses {}",
            self.false_suppressions.len(),
            self.invented.len()
        );
    }

    fn check(&self) {
        let Row { of, found, right } = self.total();
        assert!(
            self.false_suppressions.is_empty(),
            "{:#?}",
            self.false_suppressions
        );
        assert!(self.invented.is_empty(), "{:#?}", self.invented);
        assert!(found as f64 >= RECALL * of as f64, "{found} of {of} found");
        assert!(
            right as f64 >= ACCURACY * found as f64,
            "{right} of {found} right"
        );
    }
}

/// Whether the label lets this address be suppressed; one that has no label, where it lets any.
fn may_condemn(sample: &Sample, found: &Returned) -> bool {
    let is_it = |spellings: &[String]| {
        spellings
            .iter()
            .any(|s| s.eq_ignore_ascii_case(&found.address))
    };
    let is_hard = |kinds: &[String]| kinds.iter().any(|kind| kind == "hard");
    let mut labels = sample.acceptable.iter().zip(&sample.accept_kinds);
    match labels.find(|(spellings, _)| is_it(spellings)) {
        Some((_, kinds)) => is_hard(kinds),
        None => sample.accept_kinds.iter().any(|kinds| is_hard(kinds)),
    }
}

/// What a delay says of an address is not for good.
fn decision(found: &Returned) -> &'static str {
    match (found.action, found.finding.severity()) {
        (Action::Failed, Severity::Hard) => "hard",
        _ => "soft",
    }
}

/// A complaint, and the fields that a reader must get.
#[derive(Deserialize)]
struct Complaint {
    file: String,
    feedback_type: Option<String>,
    original_recipient: Option<String>,
    original_mail_from: Option<String>,
    source_ip: Option<String>,
    reporting_mta: Option<String>,
    reported_domain: Option<String>,
    arrival_date: Option<String>,
    user_agent: Option<String>,
    embedded_message_id: Option<String>,
}

#[test]
fn complaints_are_read_field_for_field() {
    let Some(dir) = corpus("feedback") else {
        return;
    };
    let classifier = Classifier::new().unwrap();
    let mut wrong = Vec::new();
    let mut fields = 0;
    for label in lines::<Complaint>(&dir) {
        let octets = fs::read(dir.join(&label.file)).unwrap();
        let Report::Feedback(found) = read(&octets, &classifier) else {
            wrong.push(format!("{} is taken for no complaint", label.file));
            continue;
        };
        for (name, expected, got) in compared(&label, &found) {
            fields += 1;
            if expected != got {
                wrong.push(format!(
                    "{} {name}: {got:?} instead of {expected:?}",
                    label.file
                ));
            }
        }
    }
    println!("{fields} fields of complaints, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn compared(
    label: &Complaint,
    found: &Feedback,
) -> Vec<(&'static str, Option<String>, Option<String>)> {
    let bare = |id: &Option<String>| id.as_ref().map(|id| id.trim_matches(['<', '>']).to_owned());
    vec![
        (
            "type",
            label.feedback_type.clone(),
            Some(found.feedback_type.clone()),
        ),
        (
            "recipient",
            label.original_recipient.clone(),
            found.original_recipient.clone(),
        ),
        (
            "mail from",
            label.original_mail_from.clone(),
            found.original_mail_from.clone(),
        ),
        ("source", label.source_ip.clone(), found.source_ip.clone()),
        (
            "reporter",
            label.reporting_mta.clone(),
            found.reporting_mta.clone(),
        ),
        (
            "domain",
            label.reported_domain.clone(),
            found.reported_domain.clone(),
        ),
        (
            "arrival",
            label.arrival_date.clone(),
            found.arrival_date.clone(),
        ),
        ("agent", label.user_agent.clone(), found.user_agent.clone()),
        (
            "message-id",
            bare(&label.embedded_message_id),
            found.original.message_id.clone(),
        ),
    ]
}

/// A folder of `shared/corpora` beside the project, or beside a directory that it is in; `None` where there is none.
pub fn corpus(name: &str) -> Option<PathBuf> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut beside = project
        .ancestors()
        .skip(1)
        .map(|dir| dir.join("shared/corpora").join(name));
    let found = beside.find(|dir| dir.is_dir());
    if found.is_none() {
        println!("shared/corpora/{name} is not there: nothing is measured");
    }
    found
}

pub fn lines<T: for<'d> Deserialize<'d>>(dir: &Path) -> Vec<T> {
    let text = fs::read_to_string(dir.join("index.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

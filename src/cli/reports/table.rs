//! Reports as people and spreadsheets read them.

use super::Part;
use crate::cli::table::columns;
use crate::cli::{Failure, Outcome};
use crate::reports::advice::{Advice, Answer, Hit, Safe};
use crate::reports::rows::{FigureRow, Shown, SourceRow, TlsRow};
use crate::units::Span;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{self, Write};

/// Sources first, then sessions, then figures; what there is none of is left out.
pub fn shown(shown: &Shown, since: Span, out: &mut dyn Write) -> io::Result<()> {
    if shown.sources.is_empty() && shown.tls.is_empty() && shown.figures.is_empty() {
        return writeln!(out, "no report is about the last {since}");
    }
    if !shown.sources.is_empty() {
        let rows: Vec<_> = shown.sources.iter().map(source).collect();
        columns(&SOURCES, &rows, out)?;
    }
    if !shown.tls.is_empty() {
        writeln!(out)?;
        let rows: Vec<_> = shown.tls.iter().map(tls).collect();
        columns(&TLS, &rows, out)?;
    }
    if !shown.figures.is_empty() {
        writeln!(out)?;
        let rows: Vec<_> = shown.figures.iter().map(figure).collect();
        columns(&["PROVIDER", "OF", "DAY", "FIGURES"], &rows, out)?;
    }
    Ok(())
}

const SOURCES: [&str; 12] = [
    "DOMAIN",
    "ADDRESS",
    "SOURCE",
    "MESSAGES",
    "PASS",
    "DKIM",
    "SPF",
    "NONE",
    "QUARANTINE",
    "REJECT",
    "FIRST",
    "LAST",
];
const TLS: [&str; 7] = [
    "DOMAIN", "REPORTER", "SUCCESS", "FAILURE", "FIRST", "LAST", "FAILURES",
];

fn source(row: &SourceRow) -> [String; 12] {
    let tally = &row.tally;
    [
        row.domain.clone(),
        row.source_ip
            .map_or("unknown".to_owned(), |ip| ip.to_string()),
        row.source.clone().unwrap_or("not ours".to_owned()),
        tally.messages.to_string(),
        tally.pass.to_string(),
        tally.dkim.to_string(),
        tally.spf.to_string(),
        tally.none.to_string(),
        tally.quarantine.to_string(),
        tally.reject.to_string(),
        row.first.to_string(),
        row.last.to_string(),
    ]
}

fn tls(row: &TlsRow) -> [String; 7] {
    let types = row.failure_types.iter();
    let types: Vec<_> = types
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    [
        row.domain.clone(),
        row.organization.clone(),
        row.success.to_string(),
        row.failure.to_string(),
        row.first.to_string(),
        row.last.to_string(),
        types.join(", "),
    ]
}

fn figure(row: &FigureRow) -> [String; 4] {
    let values = row.values.iter();
    let values: Vec<_> = values
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    [
        row.provider.name().to_owned(),
        row.subject.clone(),
        row.day.to_string(),
        values.join(", "),
    ]
}

/// One object a line; `row` says of which kind.
pub fn json(shown: &Shown, out: &mut dyn Write) -> io::Result<()> {
    let rows = rows("source", &shown.sources)
        .chain(rows("tls", &shown.tls))
        .chain(rows("figures", &shown.figures));
    for row in rows {
        writeln!(out, "{row}")?;
    }
    Ok(())
}

fn rows<T: Serialize>(kind: &'static str, rows: &[T]) -> impl Iterator<Item = Value> {
    rows.iter().map(move |row| {
        let mut row = json!(row);
        if let Value::Object(fields) = &mut row {
            fields.insert("row".to_owned(), kind.into());
        }
        row
    })
}

/// One kind of rows.
pub fn csv(shown: &Shown, part: Part, out: &mut dyn Write) -> Outcome {
    match part {
        Part::Sources => csv_of(&shown.sources, out),
        Part::Tls => csv_of(&shown.tls, out),
        Part::Figures => {
            let mut writer = csv::Writer::from_writer(out);
            let head = ["provider", "subject", "day", "figure", "value"];
            writer.write_record(head).map_err(unwritten)?;
            for row in &shown.figures {
                let day = row.day.to_string();
                for (name, value) in &row.values {
                    let value = value.to_string();
                    let cells = [row.provider.name(), &row.subject, &day, name, &value];
                    writer.write_record(cells).map_err(unwritten)?;
                }
            }
            Ok(writer.flush()?)
        }
    }
}

/// Rows with their fields as columns, in the order of their names; a field that holds several is written as JSON.
pub fn csv_of<T: Serialize>(rows: &[T], out: &mut dyn Write) -> Outcome {
    let mut writer = csv::Writer::from_writer(out);
    for (i, row) in rows.iter().enumerate() {
        let Value::Object(fields) = json!(row) else {
            continue;
        };
        if i == 0 {
            writer.write_record(fields.keys()).map_err(unwritten)?;
        }
        let cells = fields.values().map(|value| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        writer.write_record(cells).map_err(unwritten)?;
    }
    Ok(writer.flush()?)
}

fn unwritten(error: csv::Error) -> Failure {
    io::Error::from(error).into()
}

/// The two answers with their reasons, and whom they are about.
pub fn advice(advice: &Advice, out: &mut dyn Write) -> io::Result<()> {
    let policy = advice
        .policy
        .as_ref()
        .and_then(|policy| policy.p.as_deref());
    writeln!(
        out,
        "{}: p={} as reporters saw it last; {} messages in reports of {} days, {} pass",
        advice.domain,
        policy.unwrap_or("unknown"),
        advice.total.messages,
        advice.days,
        advice.total.pass
    )?;
    answer("quarantine", &advice.quarantine, out)?;
    answer("reject", &advice.reject, out)?;
    if advice.hit.is_empty() {
        return writeln!(out, "no message would be hit");
    }
    writeln!(out, "\nwhat a policy would hit:")?;
    let rows: Vec<_> = advice.hit.iter().map(hit).collect();
    columns(&HITS, &rows, out)
}

const HITS: [&str; 9] = [
    "ADDRESS", "SOURCE", "KIND", "HIT", "OF", "SHARE", "DAYS", "SINCE", "LAST",
];

fn answer(policy: &str, answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    let safe = match answer.safe {
        Safe::Yes => "is safe",
        Safe::No => "is not safe",
        Safe::Unknown => "cannot be called safe yet",
    };
    writeln!(out, "p={policy} {safe}")?;
    answer
        .why
        .iter()
        .try_for_each(|why| writeln!(out, "  {why}"))
}

fn hit(hit: &Hit) -> [String; 9] {
    [
        hit.source_ip
            .map_or("unknown".to_owned(), |ip| ip.to_string()),
        hit.source.clone().unwrap_or("not ours".to_owned()),
        hit.kind.name().to_owned(),
        hit.failed.to_string(),
        hit.messages.to_string(),
        format!("{:.2} %", hit.share * 100.0),
        hit.days.to_string(),
        hit.since.to_string(),
        hit.last.to_string(),
    ]
}

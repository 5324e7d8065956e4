//! A part of the report as a table for programs.

use super::said::subject;
use super::{Section, action, seen};
use crate::cli::{Exit, Failure, Outcome};
use crate::http::Report;
use crate::policy::reputation::{Metric, Rate, Rated, Row, Stopped};
use std::io::{self, Write};

type Writer<'w> = csv::Writer<&'w mut dyn Write>;

/// One part: lines of different parts have different columns.
pub fn write(report: &Report, sections: &[Section], out: &mut dyn Write) -> Outcome {
    let section = match sections {
        [] => Section::Slices,
        [one] => *one,
        _ => {
            let why = "CSV has one part of the report: write --section slices, replies, suppressed or outside";
            return Err(Failure::new(Exit::Usage, why));
        }
    };
    let mut writer = csv::Writer::from_writer(out);
    let written = match section {
        Section::Slices => slices(&report.slices, &mut writer),
        Section::Replies => replies(report, &mut writer),
        Section::Suppressed => suppressed(report, &mut writer),
        Section::Outside => outside(report, &mut writer),
    };
    written.map_err(unwritten)?;
    Ok(writer.flush()?)
}

/// One line a slice; the counts by their names, then each rate with its parts.
fn slices(rows: &[Row], writer: &mut Writer<'_>) -> Result<(), csv::Error> {
    let mut head = vec![
        "slice".to_owned(),
        "by".into(),
        "window".into(),
        "answered".into(),
    ];
    head.extend(Metric::ALL.iter().map(|metric| metric.name().to_owned()));
    for rate in Rate::ALL {
        for part in [
            "numerator",
            "denominator",
            "rate",
            "before",
            "watch",
            "act",
            "standing",
        ] {
            head.push(format!("{}_{part}", rate.name()));
        }
    }
    head.extend(["action", "held_until", "slowed_since"].map(str::to_owned));
    writer.write_record(&head)?;
    for row in rows {
        writer.write_record(record(row))?;
    }
    Ok(())
}

fn replies(report: &Report, writer: &mut Writer<'_>) -> Result<(), csv::Error> {
    writer.write_record([
        "pattern", "provider", "window", "count", "class", "subject", "matched", "rule", "first",
        "last", "example", "help",
    ])?;
    for reply in &report.replies {
        writer.write_record([
            &*reply.pattern,
            &reply.provider,
            report.since.name(),
            &reply.count.to_string(),
            reply.class.name(),
            &subject(reply),
            if reply.matched { "yes" } else { "no" },
            reply.rule.as_deref().unwrap_or_default(),
            &reply.first.to_string(),
            &reply.last.to_string(),
            &reply.example,
            &reply.help,
        ])?;
    }
    Ok(())
}

fn suppressed(report: &Report, writer: &mut Writer<'_>) -> Result<(), csv::Error> {
    writer.write_record([
        "reason",
        "scope",
        "window",
        "listed",
        "listed_before",
        "unlisted",
        "refused",
        "dropped",
    ])?;
    for stopped in &report.suppressed {
        let Stopped {
            listed,
            listed_before,
            unlisted,
            refused,
            dropped,
            ..
        } = stopped;
        let counts = [listed, listed_before, unlisted, refused, dropped].map(u64::to_string);
        let names = [&*stopped.reason, &stopped.scope, report.since.name()];
        writer.write_record(names.into_iter().chain(counts.iter().map(String::as_str)))?;
    }
    Ok(())
}

fn outside(report: &Report, writer: &mut Writer<'_>) -> Result<(), csv::Error> {
    writer.write_record(["what", "subject", "address", "zone", "since", "detail"])?;
    for fault in &report.outside.faults {
        writer.write_record(seen::cells(fault))?;
    }
    Ok(())
}

fn record(row: &Row) -> Vec<String> {
    let mut cells = vec![
        row.slice.to_string(),
        row.by.clone(),
        row.window.name().to_owned(),
        row.answered.to_string(),
    ];
    cells.extend(
        Metric::ALL
            .iter()
            .map(|metric| row.count(*metric).to_string()),
    );
    for rate in Rate::ALL {
        let rated = row.rates.iter().find(|rated| rated.rate == rate);
        let text = |part: fn(&Rated) -> String| rated.map_or_else(String::new, part);
        cells.extend([
            text(|rated| rated.numerator.to_string()),
            text(|rated| rated.denominator.to_string()),
            text(|rated| share(rated.value)),
            text(|rated| share(rated.before)),
            text(|rated| share(Some(rated.watch))),
            text(|rated| share(Some(rated.act))),
            text(|rated| rated.standing.name().to_owned()),
        ]);
    }
    let (hold, slow) = (row.hold.as_ref(), row.slow.as_ref());
    cells.push(action(row).to_owned());
    cells.push(hold.map_or_else(String::new, |hold| hold.until.to_string()));
    cells.push(slow.map_or_else(String::new, |slow| slow.since.to_string()));
    cells
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(String::new, |share| format!("{share:.6}"))
}

fn unwritten(error: csv::Error) -> Failure {
    io::Error::from(error).into()
}

//! `report`: rates with what they were made from, and what was done about them.

mod html;

use super::daemon::{Format, Options};
use super::table::columns;
use super::{Failure, Outcome};
use crate::clock::Clock;
use crate::http::WhichReputation;
use crate::policy::reputation::{Metric, Rate, Rated, Row, Standing};
use std::io::{self, Write};
use std::path::PathBuf;

/// Shows the reputation of sources, providers, tenants and campaigns: rates, thresholds, and what is held.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The daemon's configuration: where it listens for HTTP, and its token. MAILWRIGHT_TOKEN overrides the token.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The daemon's HTTP address, in place of the configuration's.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Slices, with commas: source, pool, provider, pair (source × provider), tenant, campaign, stream, domain.
    #[arg(
        long,
        value_name = "KINDS",
        default_value = "source,provider,tenant,campaign"
    )]
    by: String,
    /// The window up to now: 15m, 1h, 24h, 7d or 30d. The trend is against the window before.
    #[arg(long, value_name = "WINDOW", default_value = "24h")]
    since: String,
    #[arg(long, value_enum, default_value = "table")]
    format: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    Table,
    Json,
    Csv,
    Html,
}

const EXAMPLE: &str = "\
Example:
  mailwright report --by campaign --since 1h
  mailwright report --by pair,domain --since 7d --format csv > week.csv
  mailwright report --format html > report.html";

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    let options = Options {
        config: args.config.clone(),
        url: args.url.clone(),
        format: Format::Json,
    };
    let which = WhichReputation {
        by: args.by.clone(),
        since: args.since.clone(),
    };
    let rows: Vec<Row> = options.daemon()?.get("/api/v1/reputation", &which)?;
    match args.format {
        Shape::Json => options.print(&rows, out, |_, _, _| Ok(())),
        Shape::Table => Ok(table(&rows, &args.since, out)?),
        Shape::Csv => csv(&rows, out),
        Shape::Html => Ok(html::page(&rows, &args.since, Clock::machine().now(), out)?),
    }
}

const HEADINGS: [&str; 13] = [
    "SLICE",
    "ATTEMPTS",
    "DELIVERED",
    "DEFERRED",
    "HARD",
    "SOFT",
    "BLOCKED",
    "BOUNCES",
    "COMPLAINTS",
    "BLOCKS",
    "UNSUBSCRIBED",
    "SUPPRESSED",
    "ACTION",
];

fn table(rows: &[Row], since: &str, out: &mut dyn Write) -> io::Result<()> {
    if rows.is_empty() {
        return writeln!(out, "nothing was sent within {since}");
    }
    let cells: Vec<[String; 13]> = rows.iter().map(cells).collect();
    columns(&HEADINGS, &cells, out)?;
    let advised = rows
        .iter()
        .flat_map(|row| row.rates.iter().map(move |rated| (row, rated)));
    let advised = advised.filter_map(|(row, rated)| Some((row, rated, rated.advice.as_deref()?)));
    for (i, (row, rated, advice)) in advised.enumerate() {
        if i == 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}: {}: {advice}", row.slice, sentence(rated))?;
    }
    for hold in rows.iter().filter_map(|row| row.hold.as_ref()) {
        writeln!(
            out,
            "{} is held until {}: {}\n  to let it go: mailwright reputation release {}",
            hold.slice, hold.until, hold.finding, hold.slice
        )?;
    }
    Ok(())
}

fn cells(row: &Row) -> [String; 13] {
    let count = |metric| row.count(metric).to_string();
    let blocked = row.count(Metric::BlockedSource) + row.count(Metric::BlockedContent);
    let rate = |rate: Rate| {
        let rated = row.rates.iter().find(|rated| rated.rate == rate);
        rated.map_or_else(String::new, short)
    };
    [
        row.slice.to_string(),
        count(Metric::Attempts),
        count(Metric::Delivered),
        count(Metric::Deferred),
        count(Metric::Hard),
        count(Metric::Soft),
        blocked.to_string(),
        rate(Rate::Bounce),
        rate(Rate::Complaint),
        rate(Rate::Block),
        count(Metric::Unsubscribed),
        count(Metric::Suppressed),
        row.hold
            .as_ref()
            .map_or("-".to_owned(), |_| "held".to_owned()),
    ]
}

/// `2.31 % of 1000 ↑ watch`: the rate, what it was divided by, the trend, and how it stands.
fn short(rated: &Rated) -> String {
    let Some(value) = rated.value else {
        return "-".to_owned();
    };
    let trend = match rated.before {
        Some(before) if value > before * 1.1 => " ↑",
        Some(before) if value < before * 0.9 => " ↓",
        _ => "",
    };
    let standing = match rated.standing {
        Standing::Good => "",
        standing => standing.name(),
    };
    format!(
        "{} of {}{trend} {standing}",
        percent(value),
        rated.denominator
    )
    .trim_end()
    .to_owned()
}

fn sentence(rated: &Rated) -> String {
    let threshold = match rated.standing {
        Standing::Act => rated.act,
        _ => rated.watch,
    };
    format!(
        "{}s {} ({} of {}), over {}",
        rated.rate.name(),
        percent(rated.value.unwrap_or_default()),
        rated.numerator,
        rated.denominator,
        percent(threshold)
    )
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// One line a slice; the counts by their names, then each rate with its parts.
fn csv(rows: &[Row], out: &mut dyn Write) -> Outcome {
    let mut writer = csv::Writer::from_writer(out);
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
    head.push("held_until".to_owned());
    writer.write_record(&head).map_err(unwritten)?;
    for row in rows {
        writer.write_record(record(row)).map_err(unwritten)?;
    }
    Ok(writer.flush()?)
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
    cells.push(
        row.hold
            .as_ref()
            .map_or_else(String::new, |hold| hold.until.to_string()),
    );
    cells
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(String::new, |share| format!("{share:.6}"))
}

fn unwritten(error: csv::Error) -> Failure {
    io::Error::from(error).into()
}

#[cfg(test)]
mod tests;

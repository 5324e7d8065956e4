//! `report`: rates with what they were made from, what was done about them, what servers said, what was suppressed, and
//! how others see us.

mod csv;
mod html;
mod said;
mod seen;

use super::Outcome;
use super::daemon::{Format, Options};
use super::table::columns;
use crate::http::{Report, WhichReputation};
use crate::policy::reputation::{Metric, Rate, Rated, Row, Standing};
use serde_json::json;
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
    /// Parts of the report, with commas. CSV has one: slices, where nothing is said.
    #[arg(long, value_enum, value_name = "PARTS", value_delimiter = ',')]
    section: Vec<Section>,
    /// Patterns of replies at most.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    replies: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Section {
    /// Rates by slice, and what was done.
    Slices,
    /// What servers said, by pattern.
    Replies,
    /// What was suppressed, and why.
    Suppressed,
    /// What others see wrong with our sources and domains.
    Outside,
}

impl Section {
    const ALL: [Self; 4] = [Self::Slices, Self::Replies, Self::Suppressed, Self::Outside];
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
  mailwright report --section replies,suppressed --replies 50
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
        replies: args.replies,
    };
    let report: Report = options.daemon()?.get("/api/v1/reputation", &which)?;
    let sections = match args.section.as_slice() {
        [] => &Section::ALL,
        chosen => chosen,
    };
    match args.format {
        Shape::Json => Ok(lines(&report, sections, out)?),
        Shape::Table => Ok(table(&report, sections, out)?),
        Shape::Csv => csv::write(&report, &args.section, out),
        Shape::Html => Ok(html::page(&report, sections, out)?),
    }
}

/// One JSON object a line, which says of which part it is.
fn lines(report: &Report, sections: &[Section], out: &mut dyn Write) -> io::Result<()> {
    for section in sections {
        let (name, all) = match section {
            Section::Slices => ("slices", json!(report.slices)),
            Section::Replies => ("replies", json!(report.replies)),
            Section::Suppressed => ("suppressed", json!(report.suppressed)),
            Section::Outside => ("outside", json!(report.outside.faults)),
        };
        for mut one in all.as_array().cloned().unwrap_or_default() {
            if let Some(fields) = one.as_object_mut() {
                fields.insert("section".to_owned(), name.into());
            }
            writeln!(out, "{one}")?;
        }
    }
    Ok(())
}

fn table(report: &Report, sections: &[Section], out: &mut dyn Write) -> io::Result<()> {
    for (i, section) in sections.iter().enumerate() {
        if i > 0 {
            writeln!(out)?;
        }
        match section {
            Section::Slices => slices(&report.slices, report.since.name(), out)?,
            Section::Replies => said::replies(report, out)?,
            Section::Suppressed => said::suppressed(report, out)?,
            Section::Outside => seen::outside(report, out)?,
        }
    }
    Ok(())
}

const HEADINGS: [&str; 16] = [
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
    "TRAPS",
    "OPENED",
    "CLICKED",
    "UNSUBSCRIBED",
    "SUPPRESSED",
    "ACTION",
];

fn slices(rows: &[Row], since: &str, out: &mut dyn Write) -> io::Result<()> {
    if rows.is_empty() {
        return writeln!(out, "nothing was sent within {since}");
    }
    let cells: Vec<[String; 16]> = rows.iter().map(cells).collect();
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
    for done in rows.iter().flat_map(done) {
        writeln!(out, "{done}")?;
    }
    Ok(())
}

/// What is done about a slice now, and how to end it.
fn done(row: &Row) -> impl Iterator<Item = String> {
    let end = format!("mailwright reputation release {}", row.slice);
    let hold = row.hold.as_ref().map(|hold| {
        format!(
            "{} is held until {}: {}\n  to let it go: {end}",
            hold.slice, hold.until, hold.finding
        )
    });
    let slow = row.slow.as_ref().map(|slow| {
        format!(
            "{} is slowed since {}: {}; {}\n  to give it its pace back: {end}",
            slow.slice,
            slow.since,
            slow.finding,
            slow.measure()
        )
    });
    hold.into_iter().chain(slow)
}

/// `held`, `slowed` or `-`.
fn action(row: &Row) -> &'static str {
    match (&row.hold, &row.slow) {
        (Some(_), _) => "held",
        (None, Some(_)) => "slowed",
        (None, None) => "-",
    }
}

fn cells(row: &Row) -> [String; 16] {
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
        rate(Rate::Trap),
        count(Metric::Opened),
        count(Metric::Clicked),
        count(Metric::Unsubscribed),
        count(Metric::Suppressed),
        action(row).to_owned(),
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

#[cfg(test)]
mod tests;

//! Warm-ups as people read them.

use crate::cli::explain::table::condition;
use crate::cli::table::columns;
use crate::cli::when::readable;
use crate::policy::warmup::{Budget, Plan, Position, Ramp, Rates, Ratio, Row, Stage};
use crate::units::Timestamp;
use jiff::civil::Date;
use std::io::{self, Write};

/// One line each. Of a cap, what a spread has let go so far is told where it holds some of it back.
pub fn positions(positions: &[Position], now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    let budgets = positions.iter().filter_map(|p| p.budget.as_ref());
    let mut spread = budgets.filter(|budget| budget.released < budget.cap);
    let released = spread.next().map(|_| "RELEASED");
    let before = ["SOURCE", "PROVIDER", "STATE", "STAGE", "PLAN", "CAP"];
    let after = ["USED", "LEFT", "UNTIL", "BECAUSE"];
    let headings = before.into_iter().chain(released).chain(after);
    let headings: Vec<&str> = headings.collect();
    let row = |position: &Position| -> Vec<String> {
        let cells = row(position, released.is_some()).into_iter();
        cells.map(|cell| readable(&cell, now)).collect()
    };
    let rows: Vec<Vec<String>> = positions.iter().map(row).collect();
    columns(&headings, &rows, out)
}

/// What came of an order in words, and one line each.
pub fn answer(steered: &[Position], now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    for position in steered {
        let (source, provider) = (&position.source, &position.provider);
        if let Some(because) = &position.because {
            writeln!(out, "{source} to {provider}: {because}")?;
        }
    }
    writeln!(out)?;
    positions(steered, now, out)
}

fn row(position: &Position, with_released: bool) -> Vec<String> {
    let budget = |pick: fn(&Budget) -> u64| {
        let number = position.budget.as_ref().map(pick);
        number.map_or("-".to_owned(), |number| number.to_string())
    };
    let stage = |stage| match stage {
        Stage::At(stage) => format!("{stage}/{}", position.stages),
        Stage::Warm => "warm".to_owned(),
    };
    let before = [
        position.source.clone(),
        position.provider.clone(),
        condition(position.condition).to_owned(),
        stage(position.stage),
        position.planned.map_or("-".to_owned(), stage),
        budget(|budget| budget.cap),
    ];
    let until = position.until.map(|until| until.to_string());
    let after = [
        budget(|budget| budget.used),
        budget(|budget| budget.remaining),
        until.unwrap_or_else(|| "-".to_owned()),
        because(position),
    ];
    let released = with_released.then(|| budget(|budget| budget.released));
    before.into_iter().chain(released).chain(after).collect()
}

/// The last decision, and what speaks against the next stage.
fn because(position: &Position) -> String {
    let because = position.because.clone().unwrap_or_default();
    match position.hindered.as_deref() {
        // The decision rests on it.
        Some(hindered) if because.contains(hindered) => because,
        Some(hindered) if because.is_empty() => format!("no next stage: {hindered}"),
        Some(hindered) => format!("{because}; no next stage: {hindered}"),
        None => because,
    }
}

const RATES: [&str; 7] = [
    "SOURCE",
    "PROVIDER",
    "DAY",
    "BOUNCES",
    "BLOCKS",
    "DEFERRALS",
    "COMPLAINTS",
];

/// The rates that the health gate goes by, one line each.
pub fn rates(positions: &[Position], out: &mut dyn Write) -> io::Result<()> {
    let row = |position: &Position| {
        let Rates {
            bounces,
            blocks,
            deferrals,
            complaints,
        } = &position.rates;
        let [bounces, blocks, deferrals, complaints] =
            [bounces, blocks, deferrals, complaints].map(rate);
        let day = position.day.to_string();
        let (source, provider) = (position.source.clone(), position.provider.clone());
        [
            source, provider, day, bounces, blocks, deferrals, complaints,
        ]
    };
    let rows: Vec<[String; 7]> = positions.iter().map(row).collect();
    columns(&RATES, &rows, out)
}

/// `3/120 2.50%`
fn rate(ratio: &Ratio) -> String {
    let Ratio { part, whole } = ratio;
    if *part == 0 || *whole == 0 {
        return format!("{part}/{whole}");
    }
    // Rounded down, so that it never looks like more than it is.
    let hundredths = u128::from(*part) * 10_000 / u128::from(*whole);
    format!(
        "{part}/{whole} {}.{:02}%",
        hundredths / 100,
        hundredths % 100
    )
}

/// What a plan comes to, and the calendar with `today` marked.
pub fn plan(plan: &Plan, ramp: &Ramp, today: Date, out: &mut dyn Write) -> io::Result<()> {
    summary(plan, ramp, today, out)?;
    writeln!(out)?;
    let cells = |row: &Row| {
        let mark = if row.date == today { "today" } else { "" };
        [
            row.date.to_string(),
            row.day.to_string(),
            row.cap.to_string(),
            row.cumulative.to_string(),
            mark.to_owned(),
        ]
    };
    let rows: Vec<[String; 5]> = plan.rows.iter().map(cells).collect();
    columns(&["DATE", "DAY", "CAP", "CUMULATIVE", ""], &rows, out)
}

fn summary(plan: &Plan, ramp: &Ramp, today: Date, out: &mut dyn Write) -> io::Result<()> {
    let (days, target) = (plan.rows.len(), ramp.volume(ramp.stages()));
    let start = plan.rows.first().map_or(today, |row| row.date);
    writeln!(out, "schedule     {}, {days} sending days", plan.schedule)?;
    if start < today {
        let note = "if every day since START had been a good one";
        let note = note.replace("START", &start.to_string());
        writeln!(out, "holds        {note}")?;
    }
    writeln!(out, "full volume  {}, {target} a day", plan.full_volume)?;
    writeln!(out, "no cap from  {}", plan.warm)?;
    writeln!(out, "spread       {}", ramp.spread)?;
    if let Some(list) = &plan.list {
        let (size, days, done) = (list.size, list.days, list.done);
        writeln!(out, "a list of {size} takes {days} days, until {done}")?;
    }
    Ok(())
}

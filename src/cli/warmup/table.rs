//! Warm-ups as people read them.

use crate::cli::explain::table::condition;
use crate::cli::table::columns;
use crate::policy::warmup::{Budget, Plan, Position, Ramp, Ratio, Row, Stage};
use jiff::civil::Date;
use std::io::{self, Write};

const POSITIONS: [&str; 16] = [
    "SOURCE",
    "PROVIDER",
    "STATE",
    "STAGE",
    "DAY",
    "CAP",
    "RELEASED",
    "USED",
    "LEFT",
    "PLAN",
    "BOUNCES",
    "BLOCKS",
    "DEFERRALS",
    "COMPLAINTS",
    "UNTIL",
    "BECAUSE",
];

/// One line each.
pub fn positions(positions: &[Position], out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 16]> = positions.iter().map(row).collect();
    columns(POSITIONS, &rows, out)
}

/// What came of an order in words, and one line each.
pub fn answer(steered: &[Position], out: &mut dyn Write) -> io::Result<()> {
    for position in steered {
        let (source, provider) = (&position.source, &position.provider);
        if let Some(because) = &position.because {
            writeln!(out, "{source} to {provider}: {because}")?;
        }
    }
    writeln!(out)?;
    positions(steered, out)
}

fn row(position: &Position) -> [String; 16] {
    let budget = |pick: fn(&Budget) -> u64| {
        let number = position.budget.as_ref().map(pick);
        number.map_or("-".to_owned(), |number| number.to_string())
    };
    let until = position.until.map(|until| until.to_string());
    let rates = &position.rates;
    [
        position.source.clone(),
        position.provider.clone(),
        condition(position.condition).to_owned(),
        match position.stage {
            Stage::At(stage) => format!("{stage}/{}", position.stages),
            Stage::Warm => "warm".to_owned(),
        },
        position.day.to_string(),
        budget(|budget| budget.cap),
        budget(|budget| budget.released),
        budget(|budget| budget.used),
        budget(|budget| budget.remaining),
        position
            .planned
            .map_or("-".to_owned(), |stage| stage.to_string()),
        rate(&rates.bounces),
        rate(&rates.blocks),
        rate(&rates.deferrals),
        rate(&rates.complaints),
        until.unwrap_or_else(|| "-".to_owned()),
        position.because.clone().unwrap_or_default(),
    ]
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
    columns(["DATE", "DAY", "CAP", "CUMULATIVE", ""], &rows, out)
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

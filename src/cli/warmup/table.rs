//! Warm-ups as people read them.

use crate::cli::explain::table::condition;
use crate::cli::table::columns;
use crate::policy::warmup::{Budget, Plan, Position, Ratio, Row, Stage};
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

/// The calendar, and what it comes to.
pub fn plan(plan: &Plan, target: u64, out: &mut dyn Write) -> io::Result<()> {
    let cells = |row: &Row| {
        let numbers = [row.cap, row.cumulative].map(|number| number.to_string());
        let [cap, cumulative] = numbers;
        [row.date.to_string(), row.day.to_string(), cap, cumulative]
    };
    let rows: Vec<[String; 4]> = plan.rows.iter().map(cells).collect();
    columns(["DATE", "DAY", "CAP", "CUMULATIVE"], &rows, out)?;
    writeln!(out)?;
    let days = plan.rows.len();
    writeln!(out, "schedule     {}, {days} sending days", plan.schedule)?;
    writeln!(out, "full volume  {}, {target} a day", plan.full_volume)?;
    writeln!(out, "no cap from  {}", plan.warm)?;
    if let Some(list) = &plan.list {
        let (size, days, done) = (list.size, list.days, list.done);
        writeln!(out, "a list of {size} takes {days} days, until {done}")?;
    }
    Ok(())
}

//! Warm-ups as people read them.

use crate::cli::explain::table::condition;
use crate::cli::table::columns;
use crate::cli::when::readable;
use crate::policy::warmup::{Budget, Plan, Position, Rates, Ratio, Row, Stage};
use crate::units::Timestamp;
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
        position.because.clone().unwrap_or_default(),
    ];
    let released = with_released.then(|| budget(|budget| budget.released));
    before.into_iter().chain(released).chain(after).collect()
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

/// The calendar, and what it comes to.
pub fn plan(plan: &Plan, target: u64, out: &mut dyn Write) -> io::Result<()> {
    let cells = |row: &Row| {
        let numbers = [row.cap, row.cumulative].map(|number| number.to_string());
        let [cap, cumulative] = numbers;
        [row.date.to_string(), row.day.to_string(), cap, cumulative]
    };
    let rows: Vec<[String; 4]> = plan.rows.iter().map(cells).collect();
    columns(&["DATE", "DAY", "CAP", "CUMULATIVE"], &rows, out)?;
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

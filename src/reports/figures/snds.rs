//! Microsoft SNDS: a line for each of our addresses and day that it saw enough of.
//!
//! | column | what |
//! |---|---|
//! | 1–3 | address, begin and end of what is counted |
//! | 4–6 | RCPT commands, DATA commands, recipients |
//! | 7, 8 | filter result (GREEN, YELLOW, RED), rate of complaints, `< 0.1%` where it is low |
//! | 9–11 | begin and end of the traps' time, hits |
//! | 12–14 | a HELO, a MAIL FROM, comments |

use super::super::Unreadable;
use super::csv::day;
use super::{Gathered, Value, put, value};
use csv::StringRecord;
use std::net::IpAddr;

/// Those that matter; counts of several lines of a day are added up.
const COLUMNS: [(usize, &str, bool); 9] = [
    (3, "rcpt_commands", true),
    (4, "data_commands", true),
    (5, "recipients", true),
    (6, "filter_result", false),
    (7, "complaint_rate", false),
    (10, "trap_hits", true),
    (11, "sample_helo", false),
    (12, "sample_mail_from", false),
    (13, "comments", false),
];

/// Whether the first cell of a file is one of SNDS.
pub fn begins(cell: &str) -> bool {
    cell.parse::<IpAddr>().is_ok() || is_heading(cell)
}

/// Some keep the headings of the page.
fn is_heading(cell: &str) -> bool {
    cell.eq_ignore_ascii_case("ip address")
}

/// Reads a line.
pub fn row(number: usize, row: &StringRecord, gathered: &mut Gathered) -> Result<(), Unreadable> {
    let cell = |column: usize| row.get(column).unwrap_or_default();
    if is_heading(cell(0)) {
        return Ok(());
    }
    let Ok(address) = cell(0).parse::<IpAddr>() else {
        return Err(Unreadable::new(format!(
            "line {number} does not begin with an address"
        )));
    };
    let day = day(number, cell(1))?;
    let values = gathered.of(Some(address.to_canonical().to_string()), day)?;
    for (column, name, is_count) in COLUMNS {
        let Some(value) = value(cell(column)) else {
            continue;
        };
        let value = match (value, values.get(name)) {
            (Value::Number(more), Some(Value::Number(before))) if is_count => {
                Value::Number(before + more)
            }
            (value, _) => value,
        };
        put(values, name, value);
    }
    Ok(())
}

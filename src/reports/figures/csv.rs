//! Figures as CSV: exports of Google's dashboards, files of SNDS.

use super::super::period::Day;
use super::super::{Unreadable, text};
use super::{Figures, Gathered, Provider, check_size, put, snds, value};
use csv::{ReaderBuilder, StringRecord};
use jiff::civil::{Date, DateTime};

/// Whether octets begin like such a file: with an address, or with headings of which one is a date.
pub fn is_csv(octets: &[u8]) -> bool {
    let line = octets.split(|octet| *octet == b'\n').next();
    let line = String::from_utf8_lossy(line.unwrap_or_default());
    let mut cells = line.split(',').map(|cell| cell.trim().trim_matches('"'));
    let is_first = cells.clone().next().is_some_and(snds::begins);
    let headings = line.contains(',') && cells.any(|cell| cell.eq_ignore_ascii_case("date"));
    is_first || headings
}

/// Reads a file of either kind.
///
/// # Errors
/// A line has no day, or no address where it should have one.
pub fn read(document: &str) -> Result<Figures, Unreadable> {
    check_size(document)?;
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(document.trim_start_matches('\u{feff}').as_bytes());
    let mut rows = reader.records().enumerate().map(|(i, row)| {
        let row = row.map_err(|error| Unreadable::new(format!("it is no CSV: {error}")))?;
        Ok::<_, Unreadable>((i + 1, row))
    });
    let Some((number, first)) = rows.next().transpose()? else {
        return Err(Unreadable::new("it is empty"));
    };
    let mut gathered = Gathered::default();
    if first.get(0).is_some_and(snds::begins) {
        snds::row(number, &first, &mut gathered)?;
        for row in rows {
            let (number, row) = row?;
            snds::row(number, &row, &mut gathered)?;
        }
        return gathered.finish(Provider::Snds);
    }
    let headings = Headings::of(&first)?;
    for row in rows {
        let (number, row) = row?;
        headings.row(number, &row, &mut gathered)?;
    }
    gathered.finish(Provider::Postmaster)
}

/// What the columns of an export of Google's are.
struct Headings {
    date: usize,
    domain: Option<usize>,
    names: StringRecord,
}

impl Headings {
    fn of(names: &StringRecord) -> Result<Self, Unreadable> {
        let column = |name: &str| {
            names
                .iter()
                .position(|cell| cell.eq_ignore_ascii_case(name))
        };
        let Some(date) = column("date") else {
            return Err(Unreadable::new("no column of the CSV is headed Date"));
        };
        Ok(Self {
            date,
            domain: column("domain"),
            names: names.clone(),
        })
    }

    fn row(
        &self,
        number: usize,
        row: &StringRecord,
        gathered: &mut Gathered,
    ) -> Result<(), Unreadable> {
        let day = day(number, row.get(self.date).unwrap_or_default())?;
        let domain = self.domain.and_then(|column| row.get(column));
        let values = gathered.of(domain.and_then(text::domain), day)?;
        for (column, (name, cell)) in self.names.iter().zip(row).enumerate() {
            if column != self.date
                && Some(column) != self.domain
                && let Some(value) = value(cell)
            {
                put(values, name, value);
            }
        }
        Ok(())
    }
}

/// The day of a line: `2026-11-26`, `11/26/2026 1:00 AM`, `Nov 26, 2026`.
pub(super) fn day(number: usize, cell: &str) -> Result<Day, Unreadable> {
    let formats = ["%m/%d/%Y", "%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%Y%m%d"];
    let dated = |format: &str| Date::strptime(format, cell).ok();
    let timed = |format: &str| DateTime::strptime(format, cell).ok().map(DateTime::date);
    let date: Option<Date> = cell.parse().ok();
    let date = date.or_else(|| formats.into_iter().find_map(dated));
    let date = date.or_else(|| {
        let formats = [
            "%m/%d/%Y %I:%M %p",
            "%m/%d/%Y %H:%M",
            "%m/%d/%Y %I:%M:%S %p",
        ];
        formats.into_iter().find_map(timed)
    });
    date.and_then(Day::of_date).ok_or_else(|| {
        Unreadable::new(format!(
            "line {number}: \"{}\" is no day",
            text::cut(cell, 64)
        ))
    })
}

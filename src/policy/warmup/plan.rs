//! What a warm-up that goes well comes to: a calendar, and how long a list takes.

use super::day::plus_days;
use super::schedule::Ramp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// One sending day of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub date: Date,
    /// Sending day, from 1; the stage of the same number.
    pub day: u32,
    /// Messages of the source that day.
    pub cap: u64,
    /// Messages of the source until the end of that day.
    pub cumulative: u64,
}

/// A warm-up in which every day is a sending day and each is followed by the next stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub schedule: String,
    /// One for each stage.
    pub rows: Vec<Row>,
    /// The day of the last stage, whose cap is the target.
    pub full_volume: Date,
    /// The first day without a cap.
    pub warm: Date,
    /// How long the list that was asked about takes.
    pub list: Option<List>,
}

/// How long a list takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// Messages.
    pub size: u64,
    /// Sending days until the last message.
    pub days: u64,
    /// The date of the last message.
    pub done: Date,
}

/// The plan of a warm-up by `ramp` whose first sending day is `start`, and how long `list` messages take: by the caps,
/// and at the target volume a day once the source is warm.
pub fn plan(ramp: &Ramp, start: Date, list: Option<u64>) -> Plan {
    let mut cumulative = 0u64;
    let days = (1u32..).zip(ramp.caps());
    let rows: Vec<Row> = days
        .map(|(day, cap)| {
            cumulative = cumulative.saturating_add(*cap);
            Row {
                date: plus_days(start, i64::from(day) - 1),
                day,
                cap: *cap,
                cumulative,
            }
        })
        .collect();
    let stages = i64::from(ramp.stages());
    Plan {
        schedule: ramp.name.to_string(),
        list: list.map(|size| List::new(size, &rows, start)),
        rows,
        full_volume: plus_days(start, stages - 1),
        warm: plus_days(start, stages),
    }
}

impl List {
    fn new(size: u64, rows: &[Row], start: Date) -> Self {
        let days = match rows.iter().find(|row| row.cumulative >= size) {
            _ if size == 0 => 0,
            Some(row) => u64::from(row.day),
            None => {
                let last = rows.last();
                let (sent, daily) = last.map_or((0, 1), |row| (row.cumulative, row.cap.max(1)));
                rows.len() as u64 + (size - sent).div_ceil(daily)
            }
        };
        let after = i64::try_from(days.saturating_sub(1)).unwrap_or(i64::MAX);
        Self {
            size,
            days,
            done: plus_days(start, after),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::{Own, Schedule};
    use super::*;
    use jiff::civil::date;
    use proptest::prelude::*;

    fn ramp(days: &[u64]) -> Ramp {
        let schedule = Schedule {
            days: days.to_vec(),
            ..Schedule::default()
        };
        schedule.compile("test", Own::default()).unwrap()
    }

    #[test]
    fn a_calendar_names_each_day_and_when_the_source_is_warm() {
        let plan = plan(&ramp(&[50, 100, 200]), date(2026, 12, 31), None);
        let rows = plan.rows.iter();
        let rows: Vec<_> = rows
            .map(|row| (row.date, row.day, row.cap, row.cumulative))
            .collect();
        assert_eq!(
            rows,
            [
                (date(2026, 12, 31), 1, 50, 50),
                (date(2027, 1, 1), 2, 100, 150),
                (date(2027, 1, 2), 3, 200, 350),
            ]
        );
        assert_eq!(
            (plan.full_volume, plan.warm),
            (date(2027, 1, 2), date(2027, 1, 3))
        );
    }

    #[test]
    fn a_list_takes_the_days_that_the_caps_say() {
        let days = |size| {
            plan(&ramp(&[50, 100, 200]), date(2026, 11, 1), Some(size))
                .list
                .unwrap()
        };
        for (size, expected) in [
            (0, 0),
            (1, 1),
            (50, 1),
            (51, 2),
            (350, 3),
            (351, 4),
            (550, 4),
            (551, 5),
        ] {
            assert_eq!(days(size).days, expected, "{size}");
        }
        assert_eq!(days(551).done, date(2026, 11, 5));
        assert_eq!(days(0).done, date(2026, 11, 1));
        assert_eq!(days(u64::MAX).done, Date::MAX);
    }

    proptest! {
        #[test]
        fn a_list_fits_into_its_days_and_not_into_one_less(
            caps in prop::collection::vec(1u64..1000, 1..50), size in 1u64..100_000,
        ) {
            let mut caps = caps;
            caps.sort_unstable();
            let days = plan(&ramp(&caps), date(2026, 11, 1), Some(size)).list.unwrap().days as usize;
            let sent_in = |days: usize| -> u64 { (0..days).map(|d| caps.get(d).unwrap_or(caps.last().unwrap())).sum() };
            prop_assert!(sent_in(days) >= size);
            prop_assert!(sent_in(days - 1) < size);
        }
    }
}

//! What windows say, and when; instants are in UTC.

mod properties;
mod text;

use super::*;

fn window(text: &str) -> SendWindow {
    text.parse().unwrap()
}

fn windows(texts: &[&str]) -> SendWindows {
    SendWindows(texts.iter().map(|text| window(text)).collect())
}

fn at(text: &str) -> Timestamp {
    timestamp(text.parse().unwrap())
}

/// Every change from `from` on until `to`, as instants in UTC; the first says what holds at `from`.
fn changes(windows: &SendWindows, from: &str, to: &str) -> Vec<String> {
    let (mut now, end, mut told) = (at(from), at(to), Vec::new());
    while now < end {
        let (word, until) = match windows.state(now) {
            State::Open { until } => ("open", until),
            State::Closed { until } => ("closed", until),
        };
        told.push(format!("{} {word}", instant(now)));
        assert!(until > now);
        now = until;
    }
    told
}

#[test]
fn a_window_is_open_from_its_first_minute_to_its_last() {
    let day = windows(&["08:00-22:00 Europe/Berlin"]);
    assert_eq!(
        changes(&day, "2026-06-10T00:00:00Z", "2026-06-11T06:00:00Z"),
        [
            "2026-06-10T00:00:00Z closed",
            "2026-06-10T06:00:00Z open",
            "2026-06-10T20:00:00Z closed",
        ]
    );
}

#[test]
fn days_are_those_of_the_zone_and_a_window_belongs_to_the_day_it_opens() {
    let week = windows(&["fri 22:00-06:00 America/New_York"]);
    assert_eq!(
        changes(&week, "2026-12-30T00:00:00Z", "2027-01-09T00:00:00Z"),
        [
            "2026-12-30T00:00:00Z closed",
            "2027-01-02T03:00:00Z open",
            "2027-01-02T11:00:00Z closed",
        ],
        "the first of January 2027 is a Friday"
    );
}

#[test]
fn windows_that_touch_or_overlap_are_one() {
    let day = windows(&[
        "08:00-12:00 UTC",
        "12:00-14:00 UTC",
        "15:30-17:00 Europe/Paris",
    ]);
    assert_eq!(
        changes(&day, "2026-01-10T09:00:00Z", "2026-01-11T07:00:00Z"),
        [
            "2026-01-10T09:00:00Z open",
            "2026-01-10T14:00:00Z closed",
            "2026-01-10T14:30:00Z open",
            "2026-01-10T16:00:00Z closed",
        ]
    );
}

#[test]
fn whole_days_are_open_on_end_and_no_window_at_all_is_always_open() {
    let weekend = windows(&["sat,sun 00:00-24:00 Europe/Berlin"]);
    assert_eq!(
        changes(&weekend, "2026-10-21T00:00:00Z", "2026-10-30T00:00:00Z"),
        [
            "2026-10-21T00:00:00Z closed",
            "2026-10-23T22:00:00Z open",
            "2026-10-25T23:00:00Z closed",
        ],
        "49 hours, since the clocks go back"
    );
    let now = at("2026-12-31T23:30:00Z");
    for always in [windows(&["00:00-24:00 Asia/Tokyo"]), windows(&[])] {
        let state = always.state(now);
        assert!(matches!(state, State::Open { until } if until >= now + FAR));
    }
}

#[test]
fn a_time_that_the_day_does_not_have_is_the_first_instant_after_the_gap() {
    // 02:00 → 03:00 at 01:00Z.
    for (text, opens, closes) in [
        ("02:30-05:00 Europe/Berlin", "01:00", "03:00"),
        ("01:00-02:30 Europe/Berlin", "00:00", "01:00"),
        ("03:00-05:00 Europe/Berlin", "01:00", "03:00"),
    ] {
        assert_eq!(
            changes(
                &windows(&[text]),
                "2026-03-28T20:00:00Z",
                "2026-03-29T20:00:00Z"
            )[1..],
            [
                format!("2026-03-29T{opens}:00Z open"),
                format!("2026-03-29T{closes}:00Z closed")
            ],
            "{text}"
        );
    }
    // 02:00 → 03:00 at 07:00Z.
    let state = window("02:30-05:00 America/New_York").state(at("2026-03-08T00:00:00Z"));
    let until = at("2026-03-08T07:00:00Z");
    assert_eq!(state, State::Closed { until });
    // 02:00 → 02:30 at 15:30Z.
    let state = window("02:15-05:00 Australia/Lord_Howe").state(at("2026-10-03T00:00:00Z"));
    let until = at("2026-10-03T15:30:00Z");
    assert_eq!(state, State::Closed { until });
}

#[test]
fn a_window_that_lies_in_the_gap_is_left_out_that_day() {
    let night = windows(&["sun 02:00-03:00 Europe/Berlin"]);
    assert_eq!(
        changes(&night, "2026-03-23T00:00:00Z", "2026-04-06T00:00:00Z"),
        [
            "2026-03-23T00:00:00Z closed",
            "2026-04-05T00:00:00Z open",
            "2026-04-05T01:00:00Z closed",
        ]
    );
}

#[test]
fn of_a_time_that_the_day_has_twice_the_first_opens_and_the_last_closes() {
    // 03:00 → 02:00 at 01:00Z.
    for (text, opens, closes) in [
        ("02:30-05:00 Europe/Berlin", "00:30", "04:00"),
        ("01:00-02:30 Europe/Berlin", "23:00", "01:30"),
        ("02:10-02:20 Europe/Berlin", "00:10", "01:20"),
        ("03:00-05:00 Europe/Berlin", "02:00", "04:00"),
        ("01:00-02:00 Europe/Berlin", "23:00", "00:00"),
        ("02:00-03:00 Europe/Berlin", "00:00", "02:00"),
    ] {
        let told = changes(
            &windows(&[text]),
            "2026-10-24T20:00:00Z",
            "2026-10-25T20:00:00Z",
        );
        assert_eq!(told.len(), 3, "{text}");
        assert!(told[1].ends_with(&format!("T{opens}:00Z open")), "{text}");
        assert!(
            told[2].ends_with(&format!("T{closes}:00Z closed")),
            "{text}"
        );
    }
    // 02:00 → 01:00 at 06:00Z.
    let state = window("22:00-01:30 America/New_York").state(at("2026-11-01T05:45:00Z"));
    let until = at("2026-11-01T06:30:00Z");
    assert_eq!(state, State::Open { until });
    // 02:00 → 01:30 at 15:00Z.
    let state = window("01:00-01:45 Australia/Lord_Howe").state(at("2026-04-04T14:50:00Z"));
    let until = at("2026-04-04T15:15:00Z");
    assert_eq!(state, State::Open { until });
}

#[test]
fn a_day_that_a_zone_has_left_out_has_no_window() {
    // Samoa went from the 29th to the 31st, a Saturday, at 10:00Z.
    let noon = windows(&["fri,sat 12:00-13:00 Pacific/Apia"]);
    assert_eq!(
        changes(&noon, "2011-12-29T00:00:00Z", "2012-01-01T00:00:00Z"),
        [
            "2011-12-29T00:00:00Z closed",
            "2011-12-30T22:00:00Z open",
            "2011-12-30T23:00:00Z closed",
        ]
    );
}

#[test]
fn a_door_tells_what_its_windows_do_and_when_it_opens() {
    let door = Door::new(windows(&["08:00-22:00 UTC"]));
    let opens = at("2026-06-10T08:00:00Z");
    for _ in 0..2 {
        assert_eq!(door.is_open(at("2026-06-10T07:59:59.999Z")), Err(opens));
    }
    assert_eq!(door.is_open(opens), Ok(()));
    assert_eq!(door.is_open(at("2026-06-10T21:59:59.999Z")), Ok(()));
    assert!(door.is_open(at("2026-06-10T22:00:00Z")).is_err());
    // The clock was set back.
    assert_eq!(door.is_open(at("2026-06-10T07:00:00Z")), Err(opens));
    assert_eq!(Door::default().is_open(opens), Ok(()));
}

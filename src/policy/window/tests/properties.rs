//! What holds of any window at any time.

use super::*;
use jiff::civil::DateTime;
use proptest::prelude::*;

const ZONES: [&str; 12] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Asia/Kathmandu",
    "Asia/Tehran",
];

/// Any window on whole steps, its hours often within those at which clocks change.
fn any_window() -> impl Strategy<Value = SendWindow> {
    let time = || prop_oneof![0..DAY / STEP, 0..240 / STEP].prop_map(|at| at * STEP);
    let days = prop_oneof![Just(0b111_1111u8), 1u8..128];
    (days, time(), time(), 0..ZONES.len()).prop_map(|(days, opens, closes, zone)| SendWindow {
        days: Days(days),
        opens,
        closes: if opens == closes { DAY } else { closes },
        zone: TimeZone::get(ZONES[zone]).unwrap(),
    })
}

/// An instant of the years 2000 to 2037, and how far it is from a change of the clocks.
fn any_instant() -> impl Strategy<Value = (u64, i64)> {
    (946_684_800u64..2_145_916_800, -260_000_000i64..100_000_000)
}

/// An instant a little beside the first change of a zone's clocks after `secs`.
fn near_change(zone: &TimeZone, (secs, beside): (u64, i64)) -> Timestamp {
    let from = jiff::Timestamp::from_second(secs as i64).unwrap();
    let change = zone
        .following(from)
        .next()
        .map_or(from, |change| change.timestamp());
    Timestamp::from_millis((change.as_millisecond() + beside) as u64)
}

/// Minutes between two looks at the clock. All zones' clocks change by more, and at multiples of it.
const STEP: Minute = 5;
const PER_DAY: i64 = DAY as i64 / STEP as i64;
/// Looks before and after an instant.
const BEFORE: i64 = 3 * PER_DAY;
const AFTER: i64 = 9 * PER_DAY;

/// The look at or before an instant, counted since 1970.
fn look(at: Timestamp) -> i64 {
    (at.as_secs() / 60 / u64::from(STEP)) as i64
}

/// The instant of a look.
fn looked(number: i64) -> Timestamp {
    Timestamp::from_millis(number as u64 * u64::from(STEP) * 60_000)
}

/// For each look around that at `now`, whether a window is open, by the clock on the wall.
fn walk(window: &SendWindow, now: Timestamp) -> Vec<bool> {
    let looks = look(now) - BEFORE..look(now) + AFTER;
    let walls = looks.map(|number| window.zone.to_datetime(instant(looked(number))));
    let walls: Vec<DateTime> = walls.collect();
    let mut open = vec![false; walls.len()];
    let mut day = walls[0].date();
    while day <= walls[walls.len() - 1].date() {
        if window.days.contains(day.weekday()) {
            let midnight = day.at(0, 0, 0, 0);
            let wall = |minute: Minute| midnight + jiff::Span::new().minutes(i64::from(minute));
            let over = if window.closes <= window.opens {
                DAY
            } else {
                0
            };
            let (opens, closes) = (wall(window.opens), wall(window.closes + over));
            let opens = walls.iter().position(|at| *at >= opens);
            let closes = walls.iter().rposition(|at| *at < closes);
            if let (Some(opens), Some(closes)) = (opens, closes) {
                (opens..=closes).for_each(|at| open[at] = true);
            }
        }
        day = day.tomorrow().unwrap();
    }
    open
}

proptest! {
    #[test]
    fn a_walk_from_minute_to_minute_finds_the_same(
        some in prop::collection::vec(any_window(), 1..4), when in any_instant()
    ) {
        let now = near_change(&some[0].zone, when);
        let walks: Vec<Vec<bool>> = some.iter().map(|window| walk(window, now)).collect();
        let open_at = |number: usize| walks.iter().any(|walk| walk[number]);
        let here = BEFORE as usize;
        let change = (here..walks[0].len()).find(|number| open_at(*number) != open_at(here));
        let until = change.map(|number| looked(look(now) + (number - here) as i64));
        match (SendWindows(some).state(now), until) {
            (State::Open { until }, Some(change)) if change < now + FAR => {
                prop_assert!(open_at(here));
                prop_assert_eq!(until, change);
            }
            (State::Open { until }, _) => prop_assert!(open_at(here) && until >= now + FAR),
            (State::Closed { until }, Some(change)) => {
                prop_assert!(!open_at(here));
                prop_assert_eq!(until, change);
            }
            // A day of the week that has no such hour comes once more.
            (State::Closed { until }, None) => prop_assert!(!open_at(here) && until >= now + FAR),
        }
    }

    #[test]
    fn a_door_says_what_its_windows_say_however_the_clock_jumps(
        some in prop::collection::vec(any_window(), 1..3), when in any_instant(),
        jumps in prop::collection::vec(prop_oneof![-5_000i64..5_000, -90_000_000i64..90_000_000], 1..40),
    ) {
        let mut now = near_change(&some[0].zone, when);
        let door = Door::new(SendWindows(some));
        for jump in jumps {
            now = Timestamp::from_millis(now.as_millis().checked_add_signed(jump).unwrap());
            let expected = match door.windows().state(now) {
                State::Open { .. } => Ok(()),
                State::Closed { until } => Err(until),
            };
            prop_assert_eq!(door.is_open(now), expected);
            prop_assert_eq!(door.is_open(now), expected, "as remembered");
        }
    }

    #[test]
    fn every_window_reads_back(window in any_window()) {
        prop_assert_eq!(window.to_string().parse::<SendWindow>().unwrap(), window);
    }

    #[test]
    fn no_text_is_too_strange_to_be_answered(text in "[a-z0-9:, /+-]{0,24}( UTC)?", millis: u64) {
        if let Ok(window) = text.parse::<SendWindow>() {
            let _state = window.state(Timestamp::from_millis(millis));
        }
    }
}

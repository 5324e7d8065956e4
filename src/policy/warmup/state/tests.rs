use super::super::config::{Config, SourceWarmup};
use super::super::day::Zone;
use super::super::rules::SourceRules;
use super::*;
use jiff::civil::date;
use std::sync::Arc;
use std::time::Duration;

struct Case {
    rules: Rules,
    source: Arc<SourceRules>,
    provider: Option<&'static str>,
}

impl Case {
    fn new(days: &[u64]) -> Self {
        let config = format!("[schedule.x]\ndays = {days:?}\nproviders = {{ microsoft = 0.5 }}");
        let config: Config = toml::from_str(&config).unwrap();
        let warmup = SourceWarmup {
            schedule: "x".into(),
            ..SourceWarmup::default()
        };
        let rules = Rules::new(&config, [("ip-a", &warmup)]).unwrap();
        Self {
            source: rules.source("ip-a").unwrap().clone(),
            rules,
            provider: Some("google"),
        }
    }

    fn to(&self, provider: Option<&'static str>) -> Self {
        Self {
            rules: self.rules.clone(),
            source: self.source.clone(),
            provider,
        }
    }

    fn terms(&self) -> Terms<'_> {
        Terms {
            rules: &self.rules,
            ramp: &self.source.ramp,
            provider: self.provider,
        }
    }

    fn at(&self, stage: u32) -> State {
        State::new(Stage::At(stage), &self.source.ramp)
    }
}

/// Noon of the `n`-th of November.
fn noon(n: i8) -> Timestamp {
    Zone::utc().start(nov(n)) + Duration::from_secs(12 * 3600)
}

fn nov(n: i8) -> Date {
    date(2026, 11, n)
}

fn good(used: u64) -> Counted {
    let tally = Tally {
        delivered: used.max(40),
        ..Tally::default()
    };
    Counted {
        used,
        day: tally,
        window: tally,
        hindrance: None,
    }
}

fn capped(leave: &Leave) -> (u32, u64) {
    let Leave::Capped { stage, cap } = leave else {
        panic!("{leave:?}");
    };
    (*stage, *cap)
}

#[test]
fn a_good_day_ends_in_the_next_stage_and_the_last_in_warmth() {
    let case = Case::new(&[50, 100]);
    let mut state = case.at(1);
    assert_eq!(capped(&state.open(nov(1), case.terms())), (1, 50));
    assert_eq!(state.unjudged(nov(1)), None);
    assert_eq!(state.unjudged(nov(2)), Some(nov(1)));
    let change = state.conclude(nov(1), &good(50), case.terms()).unwrap();
    assert!(
        change
            .why
            .starts_with("advanced to stage 2, 100 a day: 50 of 50 used (100 %)")
    );
    assert_eq!(capped(&state.open(nov(2), case.terms())), (2, 100));
    let change = state.conclude(nov(2), &good(100), case.terms()).unwrap();
    assert!(
        change
            .why
            .starts_with("warm after stage 2, no cap any more: 100 of 100")
    );
    assert_eq!(state.open(nov(3), case.terms()), Leave::Warm);
    assert_eq!((state.sent_days, state.last_sent), (2, Some(nov(3))));
    assert!(!state.said.unwrap().held);
}

#[test]
fn a_day_is_judged_once_and_a_day_without_mail_never() {
    let case = Case::new(&[50, 100]);
    let mut state = case.at(1);
    let _ = state.open(nov(1), case.terms());
    assert_eq!(state.conclude(nov(1), &good(0), case.terms()), None);
    assert_eq!(state, case.at(1));
    let _ = state.open(nov(2), case.terms());
    assert!(state.conclude(nov(2), &good(50), case.terms()).is_some());
    assert_eq!(state.unjudged(nov(9)), None);
    assert_eq!(state.stage, Stage::At(2));
}

#[test]
fn a_day_keeps_the_cap_it_was_opened_with() {
    let case = Case::new(&[50, 100, 200]);
    let mut state = case.at(1);
    let _ = state.open(nov(5), case.terms());
    let _ = state.conclude(nov(5), &good(50), case.terms());
    let _ = state.open(nov(6), case.terms());
    // The clock is set back to a day that was, and to one that was not.
    assert_eq!(capped(&state.open(nov(5), case.terms())), (1, 50));
    assert_eq!(capped(&state.open(nov(4), case.terms())), (2, 100));
    let dates: Vec<i8> = state.days.iter().map(|day| day.date.day()).collect();
    assert_eq!(dates, [4, 5, 6]);
}

#[test]
fn a_provider_has_its_share_of_the_cap() {
    let mut case = Case::new(&[51, 100]);
    case.provider = Some("microsoft");
    assert_eq!(capped(&case.at(1).open(nov(1), case.terms())), (1, 25));
    case.provider = None;
    assert_eq!(capped(&case.at(1).open(nov(1), case.terms())), (1, 51));
}

#[test]
fn a_bad_day_rolls_back_by_one_and_its_events_do_so_once() {
    let case = Case::new(&[50, 100, 200]);
    let bad = |used| {
        let mut counted = good(used);
        counted.window.complained = 5;
        counted
    };
    let mut state = case.at(2);
    let _ = state.open(nov(1), case.terms());
    let change = state.conclude(nov(1), &bad(100), case.terms()).unwrap();
    assert_eq!(
        change.why,
        "rolled back to stage 1, 50 a day: complaints 5 of 100 (5 %), 0.1 % is the limit"
    );
    assert_eq!(state.fresh_after, Some(nov(1)));
    assert_eq!(state.window_from(nov(2), 3), nov(2));
    let _ = state.open(nov(2), case.terms());
    let change = state.conclude(nov(2), &bad(50), case.terms()).unwrap();
    assert!(
        change
            .why
            .starts_with("stays at stage 1, the lowest: complaints")
    );
}

#[test]
fn a_window_is_of_sending_days_and_has_the_idle_ones_between() {
    let case = Case::new(&[50, 100, 200, 400, 800]);
    let mut state = case.at(1);
    for day in [1, 2, 5, 9] {
        let _ = state.open(nov(day), case.terms());
        let _ = state.conclude(nov(day), &good(10), case.terms());
    }
    let _ = state.open(nov(10), case.terms());
    for (n, from) in [(1, 10), (2, 6), (3, 3), (4, 2), (5, 1), (14, 1)] {
        assert_eq!(state.window_from(nov(10), n), nov(from), "{n}");
    }
    // The day of a single sending day is from the one before: complaints come on idle days too.
    assert_eq!(state.window_from(nov(9), 1), nov(6));
    state.fresh_after = Some(nov(4));
    assert_eq!(state.window_from(nov(10), 14), nov(5));
    assert_eq!(case.at(1).window_from(nov(3), 3), nov(3));
}

#[test]
fn thirty_idle_days_begin_again_whatever_the_stage() {
    let case = Case::new(&[50, 100, 200]);
    for stage in [Stage::At(3), Stage::Warm] {
        let mut state = State::new(stage, &case.source.ramp);
        state.last_sent = Some(date(2026, 10, 1));
        assert_eq!(state.rewarm(date(2026, 10, 31), case.terms()), None);
        let change = state.rewarm(nov(1), case.terms()).unwrap();
        assert!(
            change.why.contains("idle for 30 days since 2026-10-01"),
            "{}",
            change.why
        );
        assert_eq!((state.stage, state.volume), (Stage::At(1), 50));
        assert_eq!(state.rewarm(nov(2), case.terms()), None);
    }
    let mut fresh = case.at(3);
    assert_eq!(fresh.rewarm(nov(1), case.terms()), None);
}

#[test]
fn a_changed_schedule_is_entered_where_it_gives_as_many() {
    let old = Case::new(&[50, 100, 200, 400]);
    let new = Case::new(&[60, 120, 180, 240, 300, 500]);
    let mut state = old.at(3);
    let _ = state.open(nov(1), old.terms());
    assert_eq!(state.refit(&old.source.ramp), None);
    let change = state.refit(&new.source.ramp).unwrap();
    assert_eq!(
        change.why,
        "the schedule was changed: stage 3 with 200 a day is now stage 3 of 6 with 180 a day"
    );
    // The day goes on as it was, and speaks for the stage.
    assert_eq!(capped(&state.open(nov(1), new.terms())), (3, 200));
    let change = state.conclude(nov(1), &good(200), new.terms()).unwrap();
    assert!(change.why.starts_with("advanced to stage 4, 240 a day"));
    // A shorter one does not make it warm.
    let short = Case::new(&[50, 5_000]);
    assert!(state.refit(&short.source.ramp).is_some());
    assert_eq!(state.stage, Stage::At(1));
    let mut warm = State::new(Stage::Warm, &old.source.ramp);
    assert_eq!(warm.refit(&new.source.ramp), None);
}

#[test]
fn another_schedule_is_entered_by_what_was_earned_and_not_by_what_it_begins_with() {
    let slow = Case::new(&[50, 60, 75, 100, 150, 200, 300]);
    let fast = Case::new(&[200, 500, 1_000]);
    for provider in [None, Some("google"), Some("microsoft")] {
        let (slow, fast) = (slow.to(provider), fast.to(provider));
        let mut state = slow.at(1);
        let _ = state.open(nov(1), slow.terms());
        let first = state.clone();
        for _ in 0..3 {
            assert!(state.refit(&fast.source.ramp).is_some());
            assert_eq!((state.stage, state.volume), (Stage::At(1), 200));
            assert!(state.refit(&slow.source.ramp).is_some());
            assert_eq!((state.stage, state.volume), (Stage::At(1), 50));
            assert_eq!(state.days, first.days);
        }
        // A day that is well used by the lower cap does not earn the higher.
        let _ = state.refit(&fast.source.ramp);
        let cap = state.day(nov(1)).unwrap().cap;
        let change = state.conclude(nov(1), &good(cap), fast.terms()).unwrap();
        let held = format!("held at stage 1: the day had the cap of another stage, {cap}");
        assert_eq!(change.why, held);
        // One that is well used by the higher does.
        let (_, cap) = capped(&state.open(nov(2), fast.terms()));
        let _ = state.conclude(nov(2), &good(cap), fast.terms());
        assert_eq!((state.stage, state.volume), (Stage::At(2), 500));
        let _ = state.refit(&slow.source.ramp);
        assert_eq!((state.stage, state.volume), (Stage::At(6), 200));
        let _ = state.refit(&fast.source.ramp);
        assert_eq!((state.stage, state.volume), (Stage::At(2), 500));
    }
}

#[test]
fn a_stage_that_was_rolled_back_or_set_is_not_kept_by_going_through_another_schedule() {
    let slow = Case::new(&[50, 60, 75, 100]);
    let fast = Case::new(&[200, 500]);
    let mut state = slow.at(4);
    let _ = state.refit(&fast.source.ramp);
    let _ = state.set(Stage::At(1), noon(1), fast.terms());
    let _ = state.refit(&slow.source.ramp);
    assert_eq!(state.stage, Stage::At(1));
    let mut state = slow.at(3);
    let _ = state.open(nov(1), slow.terms());
    let mut bad = good(75);
    bad.window.complained = 5;
    let _ = state.conclude(nov(1), &bad, slow.terms());
    assert_eq!((state.stage, state.earned()), (Stage::At(2), 60));
}

#[test]
fn blocks_pause_longer_each_time_until_a_clean_sending_day() {
    let case = Case::new(&[50, 100]);
    let mut state = case.at(1);
    let _ = state.open(nov(1), case.terms());
    let first = state
        .strike("550 5.7.1 listed", noon(1), case.terms())
        .unwrap();
    assert_eq!(
        first.why,
        "paused for 4h, block 1 in a row: 550 5.7.1 listed"
    );
    assert_eq!(first.until, Some(noon(1) + Duration::from_secs(4 * 3600)));
    assert_eq!(state.strike("again", noon(1), case.terms()), None);
    assert!(matches!(state.open(nov(1), case.terms()), Leave::Paused(_)));
    assert_eq!(state.wake(noon(1)), None);
    let later = noon(1) + Duration::from_secs(4 * 3600);
    assert_eq!(
        state.wake(later).unwrap().why,
        "goes on: the pause is over (550 5.7.1 listed)"
    );
    let second = state.strike("again", later, case.terms()).unwrap();
    assert_eq!(second.until, Some(later + Duration::from_secs(8 * 3600)));
    let _ = state.wake(noon(2));
    let held = state.conclude(nov(1), &good(50), case.terms()).unwrap();
    assert_eq!(held.why, "held at stage 1: paused for a block that day");
    assert_eq!(state.strikes, 2);
    let _ = state.open(nov(2), case.terms());
    let _ = state.conclude(nov(2), &good(50), case.terms());
    assert_eq!(state.strikes, 0);
}

#[test]
fn a_day_with_blocks_that_paused_nothing_does_not_count_as_clean() {
    let case = Case::new(&[50, 100]);
    let mut state = case.at(1);
    state.strikes = 2;
    let _ = state.open(nov(1), case.terms());
    let mut counted = good(50);
    counted.day.blocked = 1;
    let _ = state.conclude(nov(1), &counted, case.terms());
    assert_eq!(state.strikes, 2);
}

#[test]
fn an_operator_pauses_and_lets_go_on() {
    let case = Case::new(&[50, 100]);
    let mut state = case.at(1);
    let change = state.pause("asked by postmaster", None);
    assert_eq!(change.why, "paused by hand: asked by postmaster");
    assert_eq!(state.strike("550", noon(1), case.terms()), None);
    assert_eq!(state.wake(noon(30)), None);
    assert_eq!(
        state.resume().unwrap().why,
        "goes on by hand; was paused: asked by postmaster"
    );
    assert_eq!(state.resume(), None);
}

#[test]
fn a_stage_set_by_hand_raises_todays_cap_and_lowers_tomorrows() {
    let case = Case::new(&[50, 100, 200]);
    let mut state = case.at(2);
    let _ = state.open(nov(1), case.terms());
    let lower = state.set(Stage::At(1), noon(1), case.terms());
    assert_eq!(
        lower.why,
        "set to stage 1 by hand, 50 a day from 2026-11-02; today's cap (2026-11-01) stays 100"
    );
    assert_eq!(state.said.clone().unwrap().why, lower.why);
    assert_eq!(capped(&state.open(nov(1), case.terms())), (2, 100));
    let higher = state.set(Stage::At(3), noon(1), case.terms());
    assert_eq!(higher.why, "set to stage 3 by hand, 200 a day");
    assert_eq!(capped(&state.open(nov(1), case.terms())), (3, 200));
    let _ = state.set(Stage::Warm, noon(1), case.terms());
    assert_eq!(state.open(nov(1), case.terms()), Leave::Warm);
    assert_eq!(state.conclude(nov(1), &good(7), case.terms()), None);
    // An idle source that was put at a stage is not sent back at once.
    let mut idle = case.at(1);
    idle.last_sent = Some(date(2026, 1, 1));
    let _ = idle.set(Stage::At(3), noon(1), case.terms());
    assert_eq!(idle.rewarm(nov(1), case.terms()), None);
}

#[test]
fn a_clock_before_all_the_days_that_are_kept_is_refused() {
    let case = Case::new(&[50]);
    let mut state = case.at(1);
    let first = nov(1);
    for n in 0..KEPT as i64 + 5 {
        let today = plus_days(first, n);
        assert_eq!(capped(&state.open(today, case.terms())), (1, 50));
        let _ = state.conclude(today, &good(1), case.terms());
    }
    assert_eq!(state.days.len(), KEPT);
    let kept = plus_days(first, 5);
    assert_eq!(state.open(first, case.terms()), Leave::TooEarly(kept));
    assert_eq!(capped(&state.open(kept, case.terms())), (1, 50));
    // It was the days that were wrong: an operator says so.
    let _ = state.set(Stage::At(1), noon(1), case.terms());
    assert_eq!(capped(&state.open(first, case.terms())), (1, 50));
}

#[test]
fn a_state_reads_back_as_written_and_nothing_else_is_taken() {
    let case = Case::new(&[50, 100]);
    let mut state = case.at(1);
    let _ = state.open(nov(1), case.terms());
    let _ = state.conclude(nov(1), &good(50), case.terms());
    let _ = state.open(nov(2), case.terms());
    let _ = state.strike("550", noon(2), case.terms());
    let value = serde_json::to_vec(&state).unwrap();
    assert_eq!(State::read(&value), Ok(state));
    let text = String::from_utf8(value).unwrap();
    for (from, to) in [
        ("\"stage\":2", "\"stage\":0"),
        ("\"stage\":2", "\"stage\":\"hot\""),
        ("\"volume\":100", "\"volume\":0"),
        ("\"cap\":50", "\"cap\":0"),
        ("2026-11-01", "2026-11-03"),
        ("2026-11-01", "2026-11-31"),
        ("\"strikes\"", "\"stripes\""),
        ("{", ""),
    ] {
        let broken = text.replace(from, to);
        assert_ne!(broken, text, "{from}");
        assert!(State::read(broken.as_bytes()).is_err(), "{from} → {to}");
    }
}

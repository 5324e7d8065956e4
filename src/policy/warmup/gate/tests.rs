use super::*;
use Verdict::{Advance, Hold, RollBack};

/// A day of 1,000 that was well used and went well.
fn good() -> Evidence<'static> {
    let tally = Tally {
        delivered: 1_000,
        ..Tally::default()
    };
    Evidence {
        is_whole_source: false,
        is_of_another_stage: false,
        cap: 1_000,
        used: 1_000,
        day: tally,
        window: tally,
        was_paused: false,
        hindrance: None,
    }
}

fn window(change: impl FnOnce(&mut Tally)) -> Evidence<'static> {
    let mut evidence = good();
    change(&mut evidence.window);
    evidence
}

fn verdict(evidence: &Evidence<'_>) -> Verdict {
    judge(evidence, &Gate::default()).verdict
}

fn why(evidence: &Evidence<'_>) -> String {
    judge(evidence, &Gate::default()).why
}

#[test]
fn a_good_day_leads_to_the_next_stage_and_tells_its_numbers() {
    assert_eq!(verdict(&good()), Advance);
    assert_eq!(
        why(&good()),
        "1000 of 1000 used (100 %), bounces 0 of 1000 (0 %), complaints 0 of 1000 (0 %), \
         blocks 0 of 1000 (0 %), deferrals 0 of 1000 (0 %)"
    );
}

#[test]
fn each_threshold_holds_or_rolls_back_exactly_at_its_edge() {
    type Change = fn(&mut Tally, u64);
    let bounced: Change = |tally, n| (tally.bounced, tally.delivered) = (n, 10_000 - n);
    let complained: Change = |tally, n| (tally.complained, tally.delivered) = (n, 10_000);
    let deferred: Change = |tally, n| (tally.deferred, tally.delivered) = (n, 10_000 - n);
    let blocked: Change = |tally, n| (tally.blocked, tally.delivered) = (n, 10_000 - n);
    for (what, change, n, expected) in [
        ("bounces", bounced, 199, Advance),
        ("bounces", bounced, 200, Hold),
        ("bounces", bounced, 499, Hold),
        ("bounces", bounced, 500, RollBack),
        ("complaints", complained, 9, Advance),
        ("complaints", complained, 10, RollBack),
        ("deferrals", deferred, 999, Advance),
        ("deferrals", deferred, 1_000, Hold),
        ("deferrals", deferred, 1_999, Hold),
        ("deferrals", deferred, 2_000, RollBack),
        ("blocks", blocked, 99, Advance),
        ("blocks", blocked, 100, RollBack),
    ] {
        let evidence = window(|tally| change(tally, n));
        assert_eq!(verdict(&evidence), expected, "{n} {what} of 10,000");
        if expected != Advance {
            assert!(
                why(&evidence).starts_with(&format!("{what} {n} of 10000 (")),
                "{}",
                why(&evidence)
            );
        }
    }
}

#[test]
fn a_day_that_used_less_than_asked_for_holds() {
    for (used, expected) in [(799, Hold), (800, Advance), (1_000, Advance)] {
        assert_eq!(verdict(&Evidence { used, ..good() }), expected);
    }
    let evidence = Evidence {
        used: 61,
        cap: 100,
        ..good()
    };
    assert_eq!(why(&evidence), "61 of 100 used (61 %), 80 % is asked for");
}

#[test]
fn one_block_at_a_provider_holds_it_but_not_the_whole_source() {
    let mut evidence = good();
    evidence.day.blocked = 1;
    assert_eq!(verdict(&evidence), Hold);
    assert_eq!(why(&evidence), "blocked 1 times that day");
    evidence.is_whole_source = true;
    assert_eq!(verdict(&evidence), Advance);
    let paused = Evidence {
        was_paused: true,
        ..good()
    };
    assert_eq!(why(&paused), "paused for a block that day");
}

#[test]
fn too_few_samples_hold_and_never_roll_back() {
    let of = |delivered, bounced| {
        window(|tally| (tally.delivered, tally.bounced) = (delivered, bounced))
    };
    assert_eq!(verdict(&of(40, 0)), Advance);
    assert_eq!(verdict(&of(39, 0)), Hold);
    assert_eq!(why(&of(39, 0)), "39 answers seen, 40 are asked for");
    assert_eq!(verdict(&of(0, 39)), Hold);
    assert_eq!(verdict(&of(0, 40)), RollBack);
}

#[test]
fn a_cap_that_cannot_give_the_samples_asks_for_fewer() {
    let tiny = |delivered| Evidence {
        cap: 5,
        used: 5,
        ..window(|tally| tally.delivered = delivered)
    };
    // 80 % of three days of 5.
    assert_eq!(verdict(&tiny(11)), Hold);
    assert_eq!(why(&tiny(11)), "11 answers seen, 12 are asked for");
    assert_eq!(verdict(&tiny(12)), Advance);
    let single = Evidence {
        cap: 1,
        used: 1,
        ..window(|tally| tally.delivered = 2)
    };
    assert_eq!(verdict(&single), Advance);
}

#[test]
fn one_bounce_in_fifty_holds_unless_single_events_are_let_pass() {
    let evidence = window(|tally| (tally.delivered, tally.bounced) = (49, 1));
    assert_eq!(
        why(&evidence),
        "bounces 1 of 50 (2 %), under 2 % is asked for"
    );
    let lenient = Gate {
        min_events: 2,
        ..Gate::default()
    };
    assert_eq!(judge(&evidence, &lenient).verdict, Advance);
    let complaint = window(|tally| (tally.delivered, tally.complained) = (50, 1));
    assert_eq!(verdict(&complaint), RollBack);
    assert_eq!(judge(&complaint, &lenient).verdict, Advance);
}

#[test]
fn everything_that_is_missing_is_told_and_the_worse_verdict_wins() {
    let mut evidence = window(|tally| (tally.bounced, tally.deferred) = (30, 150));
    evidence.used = 500;
    evidence.is_of_another_stage = true;
    assert_eq!(
        why(&evidence),
        "the day had the cap of another stage, 1000; 500 of 1000 used (50 %), 80 % is asked for; \
         bounces 30 of 1030 (2.91 %), under 2 % is asked for; deferrals 150 of 1180 (12.71 %), under 10 % is asked for"
    );
    evidence.window.complained = 1;
    assert_eq!(verdict(&evidence), RollBack);
    assert_eq!(
        why(&evidence),
        "complaints 1 of 1000 (0.1 %), 0.1 % is the limit"
    );
}

#[test]
fn deferrals_alone_are_enough_of_a_sample_for_deferrals() {
    let evidence = window(|tally| (tally.delivered, tally.deferred) = (0, 40));
    assert_eq!(
        why(&evidence),
        "deferrals 40 of 40 (100 %), 20 % is the limit"
    );
}

#[test]
fn what_speaks_against_the_source_holds_a_good_day_and_saves_no_bad_one() {
    let listed = Some("listed at bl.test (127.0.0.2)");
    let held = Evidence {
        hindrance: listed,
        ..good()
    };
    assert_eq!(verdict(&held), Hold);
    assert_eq!(why(&held), "listed at bl.test (127.0.0.2)");
    let mut bad = window(|window| window.bounced = 500);
    bad.hindrance = listed;
    assert_eq!(verdict(&bad), RollBack);
}

//! Flows and tenants that are passed over for a time.

use super::*;

#[test]
fn a_flow_that_waits_holds_nobody_up_and_is_asked_again_at_its_time() {
    let mut world = World::new();
    world.push_all(marketing("a", "slow"), 0..2);
    world.push_all(marketing("a", "sale"), 0..9);
    let until = NOW + SECOND;
    let answer = |flow: &str| match flow {
        "a/slow" => Admit::WaitFlow { until, why: "rate" },
        _ => Admit::Go(()),
    };
    let (taken, asked) = world.take_with(NOW, answer);
    assert!(matches!(taken, Taken::Some { .. }));
    assert_eq!(asked, ["a/slow", "a/sale"]);
    let almost = Timestamp::from_millis(until.as_millis() - 1);
    for _ in 0..3 {
        assert_eq!(world.take_with(almost, answer).1, ["a/sale"]);
    }
    let (_, asked) = world.take_with(until, |_| Admit::Go(()));
    assert_eq!(asked, ["a/slow"]);
}

#[test]
fn a_tenant_that_waits_holds_no_other_up() {
    let mut world = World::new();
    for campaign in ["1", "2", "3"] {
        world.push_all(marketing("a", campaign), 0..2);
    }
    world.push_all(marketing("b", "sale"), 0..2);
    let until = NOW + SECOND;
    let answer = |flow: &str| match flow.starts_with("a/") {
        true => Admit::WaitTenant { until, why: "rate" },
        false => Admit::Go(()),
    };
    let (_, asked) = world.take_with(NOW, answer);
    assert_eq!(asked, ["a/1", "b/sale"], "one of its flows speaks for all");
    world.push_all(marketing("a", "4"), 0..1);
    let (_, asked) = world.take_with(NOW, answer);
    assert_eq!(asked, ["b/sale"], "a new flow changes nothing about that");
    let (taken, asked) = world.take_with(NOW, answer);
    assert!(matches!(taken, Taken::Waiting { until: at, why: "rate" } if at == until));
    assert!(asked.is_empty());
}

#[test]
fn a_new_campaign_of_a_tenant_whose_others_all_wait_goes_at_once() {
    let mut world = World::new();
    world.push_all(marketing("a", "slow"), 0..2);
    let until = NOW + HOUR;
    let (taken, _) = world.take_with(NOW, |_| Admit::WaitFlow { until, why: "rate" });
    assert!(matches!(taken, Taken::Waiting { why: "rate", .. }));
    world.push_all(marketing("a", "new"), 0..1);
    assert_eq!(world.flows(1), ["a/new"]);
}

#[test]
fn a_tenants_marketing_does_not_use_up_what_its_transactional_mail_waits_for() {
    let mut world = World::new();
    world.push_all(transactional("a"), 0..1);
    world.push_all(marketing("a", "sale"), 0..1);
    world.push_all(marketing("b", "sale"), 0..1);
    let until = NOW + SECOND;
    let answer = |flow: &str| match flow {
        "a/-" => Admit::WaitTenant { until, why: "rate" },
        _ => Admit::Go(()),
    };
    let (_, asked) = world.take_with(NOW, answer);
    assert_eq!(asked, ["a/-", "b/sale"]);
    let (_, asked) = world.take_with(until, |_| Admit::Go(()));
    assert_eq!(asked, ["a/-"]);
    assert_eq!(world.flows(1), ["a/sale"], "nothing more urgent waits");
}

#[test]
fn where_all_wait_nobody_else_is_asked_and_the_next_take_asks_anew() {
    let mut world = World::new();
    world.push_all(marketing("a", "sale"), 0..1);
    world.push_all(marketing("b", "sale"), 0..1);
    let until = NOW + SECOND;
    let wait = |_: &str| Admit::WaitAll { until, why: "cap" };
    for _ in 0..2 {
        let (taken, asked) = world.take_with(NOW, wait);
        assert!(matches!(taken, Taken::Waiting { until: at, why: "cap" } if at == until));
        assert_eq!(asked, ["a/sale"]);
    }
    assert_eq!(world.flows(9), ["a/sale", "b/sale"]);
}

#[test]
fn what_is_free_first_says_until_when_and_why_all_wait() {
    let mut world = World::new();
    world.push_all(transactional("a"), 0..1);
    world.push_all(marketing("b", "1"), 0..1);
    world.push_all(marketing("b", "2"), 0..1);
    let answer = |flow: &str| match flow {
        "a/-" => Admit::WaitTenant {
            until: NOW + HOUR,
            why: "tenant",
        },
        "b/1" => Admit::WaitFlow {
            until: NOW + 3 * SECOND,
            why: "first",
        },
        _ => Admit::WaitFlow {
            until: NOW + 2 * SECOND,
            why: "second",
        },
    };
    let (taken, asked) = world.take_with(NOW, answer);
    assert_eq!(asked.len(), 3);
    let Taken::Waiting { until, why } = taken else {
        panic!("nobody may go")
    };
    assert_eq!((until, why), (NOW + 2 * SECOND, "second"));
}

#[test]
fn a_wait_that_is_over_before_it_began_lets_a_take_end() {
    let mut world = World::new();
    world.push_all(marketing("a", "sale"), 0..1);
    let over = |_: &str| Admit::WaitFlow {
        until: NOW,
        why: "rate",
    };
    let (taken, asked) = world.take_with(NOW, over);
    assert!(matches!(taken, Taken::Waiting { until, .. } if until > NOW));
    assert_eq!(asked.len(), 1);
}

#[test]
fn ten_thousand_flows_that_wait_are_asked_once() {
    let mut world = World::new();
    let names: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
    for name in &names {
        world.push_all(marketing("a", name), 0..1);
    }
    world.push_all(marketing("b", "sale"), 0..100);
    let answer = |flow: &str| match flow {
        "b/sale" => Admit::Go(()),
        _ => Admit::WaitFlow {
            until: NOW + HOUR,
            why: "rate",
        },
    };
    let asked = (0..100).map(|_| world.take_with(NOW, answer).1.len());
    assert_eq!(asked.sum::<usize>(), 10_000 + 100);
}

#[test]
fn after_a_reload_or_with_the_clock_set_back_all_are_asked_again() {
    let mut world = World::new();
    world.push_all(marketing("a", "sale"), 0..1);
    world.push_all(marketing("b", "sale"), 0..1);
    let refuse = |flow: &str| match flow {
        "a/sale" => Admit::WaitFlow {
            until: NOW + HOUR,
            why: "rate",
        },
        _ => Admit::WaitTenant {
            until: NOW + HOUR,
            why: "rate",
        },
    };
    assert_eq!(world.take_with(NOW, refuse).1.len(), 2);
    assert_eq!(world.take_with(NOW, refuse).1.len(), 0);
    world.line.forget_waits();
    assert_eq!(world.take_with(NOW, refuse).1.len(), 2);
    let before = Timestamp::from_millis(NOW.as_millis() - 1);
    assert_eq!(world.take_with(before, refuse).1.len(), 2);
}

#[test]
fn a_stream_that_waits_holds_nothing_up_that_overtakes_it() {
    let mut world = World::new();
    world.push_all(marketing("a", "sale"), 0..2);
    let until = NOW + SECOND;
    let answer = |flow: &str| match flow.ends_with("sale") {
        true => Admit::WaitStream { until, why: "rate" },
        false => Admit::Go(()),
    };
    let (taken, _) = world.take_with(NOW, answer);
    assert!(matches!(taken, Taken::Waiting { until: at, why: "rate" } if at == until));
    world.push_all(marketing("b", "sale"), 0..1);
    assert!(!world.line.may_go(NOW), "new tenants wait with the others");
    world.push_all(transactional("b"), 0..1);
    assert!(world.line.may_go(NOW));
    let (taken, asked) = world.take_with(NOW, answer);
    assert!(matches!(taken, Taken::Some { .. }));
    assert_eq!(asked, ["b/-"]);
    let (_, asked) = world.take_with(NOW, answer);
    assert!(asked.is_empty(), "{asked:?}");
    let turn = world.line.turn(marketing("a", "sale"), world.keys[0]);
    assert_eq!(turn.and_then(|turn| turn.rest), Some((until, &"rate")));
    assert_eq!(world.take_with(until, |_| Admit::Go(())).1, ["a/sale"]);
}

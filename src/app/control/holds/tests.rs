use super::*;
use crate::http::tests::sample;
use crate::policy::explain::LineView;
use crate::policy::limits::Of;

fn source() -> Of {
    Of::Source {
        source: "ip-b".into(),
    }
}

fn explained(fill: Fill, open: u32) -> Explanation {
    let mut explanation = sample::verdict().explained.explanation;
    let taken = explanation.candidates.iter_mut().find(|c| c.taken).unwrap();
    taken.limits = vec![fill];
    taken.line = Some(LineView {
        open,
        ..taken.line.clone().unwrap()
    });
    explanation
}

fn used_up(kind: Kind) -> Fill {
    Fill {
        kind,
        until: Some(sample::NOW),
        ..sample::fill(source(), "source[1].limits.x")
    }
}

#[test]
fn a_limit_that_is_used_up_holds_and_names_its_key() {
    let free = sample::fill(source(), "source[1].limits.messages");
    assert_eq!(full(&explained(free, 1)), None);
    let Some(Held::Limit(held)) = full(&explained(used_up(Kind::Messages), 1)) else {
        panic!("it does not hold");
    };
    assert_eq!(
        (&*held.key, held.until),
        ("source[1].limits.x", sample::NOW)
    );
}

#[test]
fn limits_on_connections_are_no_matter_where_one_is_open() {
    for kind in [Kind::Connections, Kind::ConnectionRate] {
        assert_eq!(full(&explained(used_up(kind), 1)), None);
        assert!(full(&explained(used_up(kind), 0)).is_some());
    }
}

#[test]
fn the_limits_of_sources_that_do_not_take_it_are_no_matter() {
    let mut explanation = sample::verdict().explained.explanation;
    explanation.candidates[0].limits = vec![used_up(Kind::Messages)];
    assert_eq!(full(&explanation), None);
    explanation.limits = vec![used_up(Kind::Messages)];
    assert!(full(&explanation).is_some());
}

#[test]
fn a_line_whose_connections_are_all_busy_holds() {
    let free = || sample::fill(source(), "source[1].limits.messages");
    assert_eq!(busy(&explained(free(), 4)), None);
    let held = busy(&explained(free(), 5)).unwrap();
    assert!(held.to_string().contains("takes 5 of at most 20"), "{held}");
    let mut nobody_waits = explained(free(), 5);
    nobody_waits.candidates[1].line.as_mut().unwrap().waiting = 0;
    assert_eq!(busy(&nobody_waits), None);
}

#[test]
fn closed_hours_hold_marketing_mail_alone() {
    let window = |open| Window {
        open,
        ..sample::verdict().windows[0].clone()
    };
    assert_eq!(closed(&[window(true)], None), None);
    let held = closed(&[window(true), window(false)], None).unwrap();
    let text = held.to_string();
    assert!(
        text.contains("08:00-22:00 UTC (tenant[0].send_window)"),
        "{text}"
    );
    assert_eq!(closed(&[window(false)], Some(Stream::Transactional)), None);
}

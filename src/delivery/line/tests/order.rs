//! Which waiter of a flow goes, with whom, and where one stands.

use super::*;

fn engaged(engagement: u8, waiter: Waiter) -> Waiter {
    Waiter {
        engagement: Some(engagement),
        ..waiter
    }
}

const TEN_AN_HOUR: Order = Order::Engagement {
    points_per_hour: 10,
};

#[test]
fn while_a_source_warms_the_most_engaged_go_first_and_equals_as_they_came() {
    let mut world = World::new();
    world.line.set_order(TEN_AN_HOUR);
    let flow = marketing("a", "sale");
    for (id, engagement) in [(1, 10), (2, 100), (3, 60), (4, 100)] {
        world.push(flow, engaged(engagement, world.waiter(id)));
    }
    world.push(flow, world.waiter(5));
    world.push(flow, engaged(50, world.waiter(6)));
    world.push(flow, engaged(255, world.waiter(7)));
    assert_eq!(world.ids(), [2, 4, 7, 3, 5, 6, 1]);
}

#[test]
fn the_least_engaged_goes_before_whoever_comes_ten_hours_later() {
    let mut world = World::new();
    world.line.set_order(TEN_AN_HOUR);
    let flow = marketing("a", "sale");
    world.push(flow, engaged(0, world.waiter(0)));
    for id in 1..=11 {
        let since = NOW + HOUR * id;
        let best = engaged(100, world.waiter(u64::from(id)));
        world.push(flow, Waiter { since, ..best });
    }
    // As much at ten hours: who came first.
    assert_eq!(world.ids(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 10, 11]);
}

#[test]
fn a_change_of_order_on_the_way_loses_nobody() {
    let mut world = World::new();
    let flow = marketing("a", "sale");
    for id in 0..300 {
        world.push(flow, engaged((id % 101) as u8, world.waiter(id)));
    }
    let mut ids: Vec<u64> = Vec::new();
    for round in 0..30 {
        world.line.set_order(if round % 2 == 0 {
            Order::Arrival
        } else {
            TEN_AN_HOUR
        });
        ids.extend((0..10).filter_map(|_| Some(world.go()?.1[0].id.0)));
    }
    assert_eq!(ids[..10], (0..10).collect::<Vec<_>>());
    assert_eq!(
        ids[10..13],
        [100, 201, 99],
        "100 % 101, 201 % 101, 99 % 101"
    );
    assert_eq!(ids[20..30], (10..20).collect::<Vec<_>>());
    ids.sort_unstable();
    assert_eq!(ids, (0..300).collect::<Vec<_>>());
}

#[test]
fn recipients_of_one_message_go_together_as_far_as_the_lease_reaches() {
    let mut world = World::new();
    for id in [7, 8, 7, 9, 7, 7] {
        world.push(marketing("a", "sale"), world.waiter(id));
    }
    world.push(marketing("a", "other"), world.waiter(7));
    let admit = |_: &String, _: &Waiter| Admit::Go(2);
    let join = |room: &mut i32, _: &Waiter| {
        *room -= 1;
        *room >= 0
    };
    let Taken::Some { batch, .. } = world.line.take(NOW, admit, join) else {
        panic!("all may go")
    };
    assert_eq!(batch.len(), 3);
    assert!(batch.iter().all(|waiter| waiter.id == MessageId(7)));
    assert_eq!(world.go().unwrap().0, "a/other", "the other has had three");
    assert_eq!(world.ids(), [8, 9, 7]);
}

#[test]
fn where_a_waiter_stands_is_told_in_full() {
    let mut world = World::with_keys(20);
    world.push_all(transactional("c"), 0..3);
    world.push_all(marketing("a", "sale"), 3..10);
    world.push_all(marketing("a", "news"), 10..12);
    world.push_all(marketing("b", "sale"), 12..13);
    let (flow, key) = (marketing("a", "sale"), world.keys[7]);
    let expected = Turn {
        ahead: 4,
        overtaking: 3,
        tenants: 2,
        campaigns: 2,
        rest: None,
    };
    assert_eq!(world.line.turn(flow, key), Some(expected));
    assert_eq!(world.line.turn(marketing("a", "news"), key), None);
}

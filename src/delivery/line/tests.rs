//! Who goes next, told as stories. Flows keep their own name, so that an answer can tell them apart.

mod properties;

use super::*;
use crate::clock::Clock;
use crate::queue::{Queue, keys_for_tests};
use std::collections::HashMap;
use std::sync::Arc;

const NOW: Timestamp = Timestamp::from_millis(1_750_000_000_000);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

type Why = &'static str;

/// A line whose flows are called `tenant/campaign`, and keys to line up.
struct World {
    line: Line<String, Why>,
    keys: Vec<Key>,
    weights: HashMap<&'static str, u32>,
}

impl World {
    fn new() -> Self {
        Self::with_keys(1)
    }

    fn with_keys(count: usize) -> Self {
        let queue = Queue::new(Clock::manual(NOW));
        Self {
            line: Line::default(),
            keys: keys_for_tests(&queue, count),
            weights: HashMap::new(),
        }
    }

    fn waiter(&self, id: u64) -> Waiter {
        Waiter {
            key: self.keys[id as usize % self.keys.len()],
            id: MessageId(id),
            since: NOW,
            recipients: 1,
            engagement: None,
        }
    }

    fn push(&mut self, flow: FlowKey<'_>, waiter: Waiter) {
        let weight = flow.tenant.and_then(|tenant| self.weights.get(tenant));
        let weight = weight.copied().unwrap_or(1);
        self.line.push(waiter, flow, |key| Share {
            kept: title(key),
            weight,
        });
    }

    /// Lines up messages `ids` of one recipient.
    fn push_all(&mut self, flow: FlowKey<'_>, ids: std::ops::Range<u64>) {
        for id in ids {
            self.push(flow, self.waiter(id));
        }
    }

    /// Who goes next, when everybody may: the name of the flow, and the batch.
    fn go(&mut self) -> Option<(String, Vec<Waiter>)> {
        let admit = |flow: &String, _: &Waiter| Admit::Go(flow.clone());
        match self.line.take(NOW, admit, |_, _| true) {
            Taken::Some { batch, lease } => Some((lease, batch)),
            Taken::Empty => None,
            Taken::Waiting { why, .. } => panic!("waits for {why}"),
        }
    }

    /// The next `count` flows to go.
    fn flows(&mut self, count: usize) -> Vec<String> {
        (0..count)
            .map_while(|_| self.go().map(|(f, _)| f))
            .collect()
    }

    /// Ids of all that wait, in the order they go.
    fn ids(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| self.go())
            .flat_map(|(_, batch)| batch.into_iter().map(|waiter| waiter.id.0))
            .collect()
    }

    /// Takes once, as `answer` says by the name of the flow; gives what came of it, and who was asked.
    fn take_with(
        &mut self,
        now: Timestamp,
        answer: impl Fn(&str) -> Admit<(), Why>,
    ) -> (Taken<(), Why>, Vec<String>) {
        let mut asked = Vec::new();
        let admit = |flow: &String, _: &Waiter| {
            asked.push(flow.clone());
            answer(flow)
        };
        let taken = self.line.take(now, admit, |(), _| true);
        (taken, asked)
    }
}

fn title(key: FlowKey<'_>) -> String {
    let name = |label: Option<&str>| label.unwrap_or("-").to_owned();
    format!("{}/{}", name(key.tenant), name(key.campaign))
}

fn marketing<'a>(tenant: &'a str, campaign: &'a str) -> FlowKey<'a> {
    FlowKey {
        stream: Stream::Marketing,
        tenant: Some(tenant),
        campaign: Some(campaign),
    }
}

fn transactional(tenant: &str) -> FlowKey<'_> {
    FlowKey {
        stream: Stream::Transactional,
        tenant: Some(tenant),
        campaign: None,
    }
}

fn count(flows: &[String], start: &str) -> usize {
    flows.iter().filter(|flow| flow.starts_with(start)).count()
}

#[test]
fn a_password_reset_overtakes_a_campaign_of_100_000() {
    let mut world = World::new();
    world.push_all(marketing("a", "sale"), 0..100_000);
    assert_eq!(world.flows(10), ["a/sale"; 10]);
    world.push_all(transactional("b"), 0..3);
    assert_eq!(world.flows(4), ["b/-", "b/-", "b/-", "a/sale"]);
    assert_eq!(world.line.len(), 100_000 - 11);
}

#[test]
fn a_small_campaign_goes_turn_by_turn_with_one_of_100_000() {
    let mut world = World::new();
    world.push_all(marketing("a", "sale"), 0..100_000);
    world.flows(5_000);
    world.push_all(marketing("a", "news"), 0..100);
    assert_eq!(count(&world.flows(200), "a/news"), 100);
}

#[test]
fn a_tenant_gets_no_more_by_splitting_its_mail_into_campaigns() {
    let mut world = World::new();
    for campaign in ["1", "2", "3", "4", "5", "6", "7", "8", "9"] {
        world.push_all(marketing("a", campaign), 0..100);
    }
    world.push_all(marketing("b", "only"), 0..100);
    let flows = world.flows(90);
    assert_eq!(count(&flows, "b/"), 45);
    assert_eq!(count(&flows, "a/7"), 5);
}

#[test]
fn what_counts_is_recipients_not_messages() {
    let mut world = World::new();
    for id in 0..1_000 {
        let recipients = 50;
        let many = Waiter {
            recipients,
            ..world.waiter(id)
        };
        world.push(marketing("a", "sale"), many);
        world.push(marketing("b", "sale"), world.waiter(id));
    }
    assert_eq!(count(&world.flows(510), "a/"), 10);
}

#[test]
fn tenants_share_by_their_weights() {
    let mut world = World::new();
    world.weights = HashMap::from([("a", 3), ("b", 1)]);
    world.push_all(marketing("a", "sale"), 0..1_000);
    world.push_all(marketing("b", "sale"), 0..1_000);
    assert_eq!(count(&world.flows(400), "a/"), 300);
    let reload = |key: FlowKey<'_>| Share {
        kept: title(key),
        weight: 1,
    };
    world.line.renew(reload);
    assert_eq!(count(&world.flows(400), "a/"), 200);
}

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
    let rests = world.line.flows().filter_map(|flow| Some(*flow.rest?.1));
    let rests: Vec<Why> = rests.collect();
    assert_eq!(rests, ["tenant", "first", "second"]);
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
fn a_rest_is_no_credit() {
    let mut world = World::new();
    world.push_all(marketing("a", "sale"), 0..1_000);
    world.push_all(marketing("b", "sale"), 0..1_000);
    let until = NOW + SECOND;
    let answer = |flow: &str| match flow {
        "a/sale" => Admit::WaitFlow { until, why: "rate" },
        _ => Admit::Go(()),
    };
    for _ in 0..500 {
        let _gone = world.take_with(NOW, answer);
    }
    let went = (0..100).map(|_| world.take_with(until, |_| Admit::Go(())).1);
    let went: Vec<String> = went.flatten().collect();
    assert!((50..=51).contains(&count(&went, "a/sale")));
}

#[test]
fn leaving_and_coming_back_at_once_does_not_make_forgotten_what_one_had() {
    let mut world = World::new();
    world.push_all(marketing("b", "sale"), 0..1_000);
    let mut large = 0;
    for id in 0..1_000 {
        if world.line.flows().all(|flow| flow.key.tenant != Some("a")) {
            let recipients = 50;
            let waiter = Waiter {
                recipients,
                ..world.waiter(id)
            };
            world.push(marketing("a", "sale"), waiter);
        }
        large += count(&world.flows(1), "a/");
    }
    assert!((19..=21).contains(&large), "{large} of 50 recipients each");
}

#[test]
fn flows_that_are_done_are_let_go() {
    let mut line: Line<Arc<()>, Why> = Line::default();
    let (world, kept) = (World::new(), Arc::new(()));
    let make = |_: FlowKey<'_>| Share {
        kept: Arc::clone(&kept),
        weight: 1,
    };
    (0..9).for_each(|id| line.push(world.waiter(id), marketing("a", "long"), make));
    for id in 0..1_000 {
        let name = id.to_string();
        line.push(world.waiter(id), marketing(&name, &name), make);
        let _gone = line.take(NOW, |_, _| Admit::Go(()), |(), _| true);
        line.push(world.waiter(id), marketing("a", "long"), make);
        let _gone = line.take(NOW, |_, _| Admit::Go(()), |(), _| true);
        assert!(Arc::strong_count(&kept) < 10);
    }
}

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
    assert!(world.line.remove(flow, world.keys[5]).is_some());
    assert!(world.line.remove(flow, world.keys[5]).is_none());
    assert_eq!(world.line.turn(flow, key).unwrap().ahead, 3);
    assert!(
        world
            .line
            .remove(marketing("b", "sale"), world.keys[12])
            .is_some()
    );
    assert_eq!(world.line.turn(flow, key).unwrap().tenants, 1);
}

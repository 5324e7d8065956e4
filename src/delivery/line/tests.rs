//! Who goes next, told as stories. Flows keep their own name, so that an answer can tell them apart.

mod order;
mod properties;
mod waiting;

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
        pool: None,
    }
}

fn transactional(tenant: &str) -> FlowKey<'_> {
    FlowKey {
        stream: Stream::Transactional,
        tenant: Some(tenant),
        campaign: None,
        pool: None,
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
    let (mut large, mut there) = (0, false);
    for id in 0..1_000 {
        if !there {
            let recipients = 50;
            let waiter = Waiter {
                recipients,
                ..world.waiter(id)
            };
            world.push(marketing("a", "sale"), waiter);
        }
        let went = count(&world.flows(1), "a/");
        there = went == 0;
        large += went;
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

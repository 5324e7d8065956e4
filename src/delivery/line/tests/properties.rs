//! What holds whatever happens.

use super::*;
use proptest::prelude::*;

/// Something that befalls a line.
#[derive(Debug, Clone)]
enum Step {
    /// One more waiter: of which flow, of which message, how engaged, how many recipients.
    Push(usize, u64, Option<u8>, u16),
    /// A take; the answers go round, one for each flow that is asked.
    Take(Vec<Answer>),
    Order(Order),
    ForgetWaits,
    Drain,
    Later(u64),
    Earlier(u64),
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Go,
    WaitFlow(u64),
    WaitTenant(u64),
    WaitAll(u64),
}

const FLOWS: [FlowKey<'static>; 8] = {
    const fn flow(stream: Stream, tenant: Option<&'static str>) -> FlowKey<'static> {
        FlowKey {
            stream,
            tenant,
            campaign: None,
            pool: None,
        }
    }
    const fn of(campaign: &'static str, flow: FlowKey<'static>) -> FlowKey<'static> {
        FlowKey {
            campaign: Some(campaign),
            ..flow
        }
    }
    let (a, b) = (Some("a"), Some("b"));
    [
        flow(Stream::Transactional, a),
        of("1", flow(Stream::Transactional, a)),
        flow(Stream::Transactional, b),
        of("1", flow(Stream::Marketing, a)),
        of("2", flow(Stream::Marketing, a)),
        of("3", flow(Stream::Marketing, a)),
        flow(Stream::Marketing, b),
        flow(Stream::Marketing, None),
    ]
};

fn answer() -> impl Strategy<Value = Answer> {
    let millis = 0u64..5_000;
    prop_oneof![
        4 => Just(Answer::Go),
        3 => millis.clone().prop_map(Answer::WaitFlow),
        1 => millis.clone().prop_map(Answer::WaitTenant),
        1 => millis.prop_map(Answer::WaitAll),
    ]
}

fn order() -> impl Strategy<Value = Order> {
    let points = prop_oneof![Just(0u16), Just(10), any::<u16>()];
    prop_oneof![
        Just(Order::Arrival),
        points.prop_map(|points_per_hour| Order::Engagement { points_per_hour }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let engagement = prop::option::of(0u8..=100);
    let push = (0..FLOWS.len(), 0u64..30, engagement, 0u16..60);
    prop_oneof![
        24 => push.prop_map(|(flow, id, engagement, n)| Step::Push(flow, id, engagement, n)),
        20 => prop::collection::vec(answer(), 1..6).prop_map(Step::Take),
        2 => order().prop_map(Step::Order),
        1 => Just(Step::ForgetWaits),
        1 => Just(Step::Drain),
        6 => (1u64..3_000_000).prop_map(Step::Later),
        1 => (1u64..3_000_000).prop_map(Step::Earlier),
    ]
}

/// A line, and what ought to be in it: flow and waiter, in the order they came.
struct Watched {
    world: World,
    model: Vec<(usize, Waiter)>,
    order: Order,
    now: Timestamp,
    /// The next key.
    fresh: usize,
}

impl Watched {
    fn does(&mut self, step: Step) {
        match step {
            Step::Push(flow, id, engagement, recipients) => {
                let waiter = Waiter {
                    key: self.world.keys[self.fresh],
                    id: MessageId(id),
                    since: self.now,
                    recipients,
                    engagement,
                };
                self.fresh += 1;
                self.world.push(FLOWS[flow], waiter);
                self.model.push((flow, waiter));
            }
            Step::Take(answers) => self.takes(&answers),
            Step::Order(order) => {
                self.order = order;
                self.world.line.set_order(order);
            }
            Step::ForgetWaits => self.world.line.forget_waits(),
            Step::Drain => {
                let mut drained: Vec<Key> = self.world.line.drain().map(|w| w.key).collect();
                let mut expected: Vec<Key> = self.model.drain(..).map(|(_, w)| w.key).collect();
                drained.sort_unstable();
                expected.sort_unstable();
                assert_eq!(drained, expected);
            }
            Step::Later(millis) => self.now = self.now + Duration::from_millis(millis),
            Step::Earlier(millis) => {
                self.now = Timestamp::from_millis(self.now.as_millis() - millis);
            }
        }
        assert_eq!(self.world.line.len(), self.model.len());
    }

    fn takes(&mut self, answers: &[Answer]) {
        let (now, mut answers) = (self.now, answers.iter().cycle());
        let admit = |_: &String, waiter: &Waiter| {
            let until = |millis: u64| now + Duration::from_millis(millis);
            match answers.next().unwrap() {
                Answer::Go => Admit::Go(waiter.key),
                Answer::WaitFlow(n) => Admit::WaitFlow {
                    until: until(*n),
                    why: "flow",
                },
                Answer::WaitTenant(n) => Admit::WaitTenant {
                    until: until(*n),
                    why: "tenant",
                },
                Answer::WaitAll(n) => Admit::WaitAll {
                    until: until(*n),
                    why: "all",
                },
            }
        };
        match self.world.line.take(now, admit, |_, _| true) {
            Taken::Some { batch, lease } => {
                assert_eq!(batch[0].key, lease, "who was asked goes");
                self.goes(&batch);
            }
            Taken::Empty => assert!(self.model.is_empty()),
            Taken::Waiting { until, .. } => {
                assert!(until > now);
                assert!(!self.model.is_empty());
            }
        }
    }

    /// The first of a batch is the one its flow owes, the others are of its message and flow; all are in the model.
    fn goes(&mut self, batch: &[Waiter]) {
        let first = batch[0];
        let (flow, _) = *self.model.iter().find(|(_, w)| w.key == first.key).unwrap();
        let own: Vec<Waiter> = self
            .model
            .iter()
            .filter(|(f, _)| *f == flow)
            .map(|(_, w)| *w)
            .collect();
        assert_eq!(first, owed(&own, self.order));
        for waiter in batch {
            assert_eq!(waiter.id, first.id);
            let at = self
                .model
                .iter()
                .position(|known| *known == (flow, *waiter));
            self.model.remove(at.expect("it waits, and in this flow"));
        }
    }
}

/// Who goes first of a flow, of rows in which those of equal engagement stand as they came.
fn owed(flow: &[Waiter], order: Order) -> Waiter {
    let Order::Engagement { points_per_hour } = order else {
        return flow[0];
    };
    let engagement = |waiter: &Waiter| waiter.engagement.unwrap_or(50);
    let mut fronts: Vec<Waiter> = Vec::new();
    for waiter in flow {
        if fronts
            .iter()
            .all(|front| engagement(front) != engagement(waiter))
        {
            fronts.push(*waiter);
        }
    }
    // Points at some instant, in 3,600,000ths.
    let points = |waiter: &Waiter| {
        let waited = NOW.as_millis() as i128 * 2 - waiter.since.as_millis() as i128;
        i128::from(engagement(waiter)) * 3_600_000 + waited * i128::from(points_per_hour)
    };
    let best = fronts.iter().map(points).max().unwrap();
    *fronts.iter().find(|front| points(front) == best).unwrap()
}

proptest! {
    #[test]
    fn nobody_is_lost_or_doubled_and_each_flow_keeps_its_order(
        steps in prop::collection::vec(step(), 1..200)
    ) {
        let world = World::with_keys(steps.len());
        let mut watched = Watched { world, model: Vec::new(), order: Order::Arrival, now: NOW, fresh: 0 };
        steps.into_iter().for_each(|step| watched.does(step));
        watched.does(Step::ForgetWaits);
        while !watched.model.is_empty() {
            watched.does(Step::Take(vec![Answer::Go]));
        }
        watched.does(Step::Take(vec![Answer::Go]));
    }

    /// The position that `turn` tells is the one that comes true.
    #[test]
    fn as_many_go_before_a_waiter_as_was_told(
        waiters in prop::collection::vec((prop::option::of(0u8..=100), 0u64..40_000_000), 1..60),
        order in order(),
    ) {
        let mut world = World::with_keys(waiters.len());
        world.line.set_order(order);
        let flow = marketing("a", "sale");
        for (id, (engagement, since)) in (0u64..).zip(waiters) {
            let since = NOW + Duration::from_millis(since);
            let waiter = Waiter { engagement, since, ..world.waiter(id) };
            world.push(flow, waiter);
        }
        let keys = world.keys.clone();
        let told: HashMap<Key, usize> =
            keys.iter().map(|key| (*key, world.line.turn(flow, *key).unwrap().ahead)).collect();
        for number in 0..keys.len() {
            let (_, batch) = world.go().unwrap();
            prop_assert_eq!(told[&batch[0].key], number);
        }
    }

    /// Whatever other flows come, go and wait: between two campaigns that always have mail the larger share is ahead
    /// by one message at most, and by two where one had begun before the other came.
    #[test]
    fn two_campaigns_of_a_tenant_never_part_by_more_than_a_message(
        sizes in prop::collection::vec(1u16..=100, 50..300),
        head_start in 0usize..40,
        others in prop::collection::vec((0usize..3, 1u16..=100), 0..100),
    ) {
        let mut world = World::new();
        let pair = [marketing("a", "1"), marketing("a", "2")];
        let (mut sizes, mut ids) = (sizes.into_iter().cycle(), 0u64..);
        let mut more = |world: &mut World, flow, recipients| {
            let id = ids.next().unwrap();
            world.push(flow, Waiter { recipients, ..world.waiter(id) });
        };
        let mut served = [0i64; 2];
        let mut others = others.into_iter();
        for round in 0..400 {
            let begun = if round < head_start { &pair[..1] } else { &pair[..] };
            begun.iter().for_each(|flow| more(&mut world, *flow, sizes.next().unwrap()));
            if round == head_start {
                served = [0, 0];
            }
            if let Some((flow, recipients)) = others.next() {
                let flow = [marketing("a", "3"), marketing("b", "1"), marketing("c", "1")][flow];
                more(&mut world, flow, recipients);
            }
            let (flow, batch) = world.go().unwrap();
            let recipients: i64 = batch.iter().map(|waiter| i64::from(waiter.recipients)).sum();
            match flow.as_str() {
                "a/1" => served[0] += recipients,
                "a/2" => served[1] += recipients,
                _ => {}
            }
            let largest = if head_start == 0 { 100 } else { 200 };
            prop_assert!(round < head_start || (served[0] - served[1]).abs() <= largest, "{:?}", served);
        }
    }

    #[test]
    fn tenants_get_what_their_weights_say(weights in [1u32..20, 1u32..20], sizes in prop::collection::vec(1u16..=50, 10..50)) {
        let mut world = World::new();
        world.weights = HashMap::from([("a", weights[0]), ("b", weights[1])]);
        let mut served = [0f64; 2];
        for (id, recipients) in (0u64..2_000).zip(sizes.iter().cycle()) {
            for tenant in ["a", "b"] {
                world.push(marketing(tenant, "sale"), Waiter { recipients: *recipients, ..world.waiter(id) });
            }
            let (flow, batch) = world.go().unwrap();
            let which = usize::from(flow.starts_with("b/"));
            served[which] += f64::from(batch[0].recipients) / f64::from(weights[which]);
            prop_assert!((served[0] - served[1]).abs() < 50.01, "{:?}", served);
        }
    }
}

//! Forty-five days of one source, with bad days, idle days, stops and kills in them.

use super::super::*;
use super::world::*;
use What::*;
use std::collections::BTreeMap;

/// What happens on a day. Mail waits on all of them but the idle ones.
#[derive(Debug, Clone, Copy)]
enum What {
    Good,
    /// Nothing is sent.
    Idle,
    /// Nothing is sent; so many complain of what was sent before.
    IdleComplaints(u32),
    /// Only this many percent of the cap have recipients.
    Few(u64),
    /// So many percent of what is sent bounces.
    Bounces(u32),
    /// For each hundred that are sent, so many attempts are put off.
    Deferrals(u32),
    /// The provider blocks the source in the morning.
    Block,
    /// The process is killed in the middle of the day, and again.
    Kills,
    /// It is stopped and started again.
    Restart,
    /// A second node helps.
    TwoNodes,
}

/// What happens, and the stage of the next day: of the mail to google, and of the source as a whole. A bad day is seen
/// for as long as it is in the window of three; a rollback answers for it.
const DAYS: [(What, u32, u32); 45] = [
    (Good, 2, 2),
    (Restart, 3, 3),
    (Kills, 4, 4),
    (Few(61), 4, 4),
    (Good, 5, 5),
    (Idle, 5, 5),
    (Idle, 5, 5),
    (TwoNodes, 6, 6),
    (Good, 7, 7),
    (Bounces(20), 6, 6),
    (Good, 7, 7),
    (Good, 8, 8),
    (Kills, 9, 9),
    (Block, 9, 10),
    (Good, 10, 11),
    (Good, 11, 12),
    (Idle, 11, 12),
    (IdleComplaints(2), 11, 12),
    (Good, 10, 11),
    (Good, 11, 12),
    (Good, 12, 13),
    (Bounces(7), 12, 13),
    (Good, 12, 13),
    (Good, 12, 13),
    (Restart, 13, 14),
    (Deferrals(50), 13, 14),
    (Good, 13, 14),
    (Good, 13, 14),
    (Good, 14, 15),
    (TwoNodes, 15, 15),
    (Kills, 16, 16),
    (Few(79), 16, 16),
    (Few(80), 17, 17),
    (Good, 18, 18),
    (Good, 19, 19),
    (Good, 20, 20),
    (Idle, 20, 20),
    (Good, 21, 21),
    (Bounces(30), 20, 20),
    (Good, 21, 21),
    (Good, 22, 22),
    (Good, 23, 23),
    (Good, 24, 24),
    (Good, 25, 25),
    (Good, 26, 26),
];

/// Caps of the stages, as the schedule is meant.
const CAPS: [u64; 26] = [
    50, 58, 67, 75, 83, 92, 100, 200, 250, 300, 350, 400, 450, 500, 1_000, 1_167, 1_333, 1_500,
    1_667, 1_833, 2_000, 2_098, 2_202, 2_310, 2_424, 2_543,
];

/// Some of what is told; the number is the day.
const TOLD: [&str; 14] = [
    "1 google: begins at stage 1 of 88, 50 a day",
    "1 google: advanced to stage 2, 58 a day: 50 of 50 used (100 %), bounces 0 of 50 (0 %), \
     complaints 0 of 50 (0 %), blocks 0 of 50 (0 %), deferrals 0 of 50 (0 %)",
    "4 google: held at stage 4: 46 of 75 used (61.33 %), 80 % is asked for",
    "10 google: rolled back to stage 6, 92 a day: bounces 20 of 295 (6.77 %), 5 % is the limit",
    "14 google: paused for 4h, block 1 in a row: 550 5.7.1 listed",
    "14 google: goes on: the pause is over (550 5.7.1 listed)",
    "14 google: held at stage 9: blocked 1 times that day",
    "19 google: rolled back to stage 10, 300 a day: complaints 2 of 900 (0.22 %), 0.1 % is the limit",
    "19 *: rolled back to stage 11, 350 a day: complaints 2 of 900 (0.22 %), 0.1 % is the limit",
    "22 google: held at stage 12: bounces 28 of 1078 (2.59 %), under 2 % is asked for",
    "26 google: held at stage 13: deferrals 225 of 1475 (15.25 %), under 10 % is asked for",
    "30 *: held at stage 15: 500 of 1000 used (50 %), 80 % is asked for",
    "32 *: held at stage 16: 922 of 1167 used (79 %), 80 % is asked for",
    "39 *: rolled back to stage 20, 1833 a day: bounces 600 of 6100 (9.83 %), 5 % is the limit",
];

struct Story {
    world: World,
    node: Warmup,
    /// What left, counted by who received it.
    received: BTreeMap<i64, u64>,
    told: Vec<String>,
}

impl Story {
    async fn day(&mut self, n: i64, what: What) {
        let cap = position(&self.node, "*", at(n, 0.0)).budget.unwrap().cap;
        match what {
            Idle => {}
            IdleComplaints(many) => {
                self.pair().observe(Outcome::Complained, many, at(n, 12.0));
            }
            Few(percent) => {
                let few = (cap * percent).div_ceil(100);
                self.send(n, 9.0, few).await;
            }
            Bounces(percent) => self.send_and(n, Outcome::Bounced, percent).await,
            Deferrals(percent) => self.send_and(n, Outcome::Deferred, percent).await,
            Block => {
                self.send(n, 9.0, 10).await;
                self.pair().observe(Outcome::Blocked, 1, at(n, 9.0));
                self.pair().blocked("550 5.7.1 listed", at(n, 9.0));
                self.send(n, 12.0, u64::MAX).await;
            }
            Kills => {
                for hour in [6.0, 12.0] {
                    self.send(n, hour, cap / 3).await;
                    self.node = self.world.node(at(n, hour)).await;
                }
            }
            Restart => {
                self.send(n, 9.0, cap / 2).await;
                self.node.close().await.unwrap();
                self.node = self.world.node(at(n, 10.0)).await;
            }
            TwoNodes => {
                let other = self.world.node(at(n, 1.0)).await;
                let ours = std::mem::replace(&mut self.node, other);
                self.send(n, 9.0, cap / 3).await;
                self.node.close().await.unwrap();
                self.node = ours;
            }
            Good => {}
        }
        if !matches!(what, Idle | IdleComplaints(_) | Few(_)) {
            self.send(n, 20.0, u64::MAX).await;
        }
        self.node.tick(at(n, 23.9), true).await.unwrap();
    }

    fn pair(&self) -> std::sync::Arc<Pair> {
        self.node.pair(SOURCE, "google").unwrap()
    }

    async fn send(&mut self, n: i64, hour: f64, most: u64) {
        let sent = send(&self.node, "google", most, at(n, hour)).await;
        *self.received.entry(n).or_default() += sent;
    }

    async fn send_and(&mut self, n: i64, outcome: Outcome, percent: u32) {
        self.send(n, 20.0, u64::MAX).await;
        let sent = u32::try_from(self.received[&n]).unwrap();
        self.pair()
            .observe(outcome, (sent * percent).div_ceil(100), at(n, 20.0));
    }

    /// The day is over.
    async fn close_of(&mut self, n: i64) -> (Stage, Stage) {
        let midnight = at(n + 1, 0.0);
        self.node.tick(midnight, true).await.unwrap();
        self.told.extend(
            self.world
                .told()
                .into_iter()
                .map(|told| format!("{} {told}", n + 1)),
        );
        (
            stage(&self.node, "google", midnight),
            stage(&self.node, "*", midnight),
        )
    }
}

#[tokio::test]
async fn forty_five_days_pass_no_cap_waste_little_and_say_why() {
    let world = World::new(
        "weeks = [{ from = 50, to = 100 }, { from = 200, to = 500 }, { from = 1000, to = 2000 }]\n\
         growth_per_week = \"40%\"\ntarget = 50000",
    );
    let node = world.node(at(0, 0.0)).await;
    let mut story = Story {
        world,
        node,
        received: BTreeMap::new(),
        told: Vec::new(),
    };
    let mut before = (1, 1);
    for (n, (what, google, whole)) in (0..).zip(DAYS) {
        story.day(n, what).await;
        let stages = story.close_of(n).await;
        assert_eq!(
            stages,
            (Stage::At(google), Stage::At(whole)),
            "day {}",
            n + 1
        );
        let cap = CAPS[before.0 - 1].min(CAPS[before.1 - 1]);
        let received = story.received.get(&n).copied().unwrap_or_default();
        assert!(received <= cap, "{received} of {cap} on day {}", n + 1);
        if !matches!(what, Idle | IdleComplaints(_) | Few(_)) {
            assert!(
                received * 100 >= cap * 95,
                "{received} of {cap} on day {}",
                n + 1
            );
        }
        before = (google as usize, whole as usize);
    }
    for told in TOLD {
        assert!(
            story.told.iter().any(|line| line == told),
            "{told}\n{:#?}",
            story.told
        );
    }
    // A decision for each unit and sending day, and the pause and the two beginnings.
    let sending = DAYS
        .iter()
        .filter(|(what, ..)| !matches!(what, Idle | IdleComplaints(_)));
    assert_eq!(story.told.len(), 2 * sending.count() + 2 + 2);
}

#[tokio::test]
async fn after_thirty_idle_days_a_source_begins_again_even_a_warm_one() {
    let mut world = World::new("days = [50, 60]");
    world.source.started = Some(date(0));
    let node = world.node(at(0, 0.0)).await;
    assert_eq!(send(&node, "google", 99, at(0, 9.0)).await, 50);
    assert_eq!(send(&node, "google", 99, at(1, 9.0)).await, 60);
    assert!(matches!(
        reserve(&node, "google", 1, at(2, 9.0)).await,
        Reserved::Unlimited
    ));
    let shown = position(&node, "google", at(2, 9.0));
    assert_eq!(
        (shown.condition, shown.planned),
        (Condition::Warm, Some(Stage::Warm))
    );
    assert!(matches!(
        reserve(&node, "google", 1, at(32, 9.0)).await,
        Reserved::Unlimited
    ));
    world.told();
    assert_eq!(send(&node, "google", 99, at(63, 9.0)).await, 50);
    let told = "begins again at stage 1, was warm: idle for 30 days since 2026-12-03";
    assert_eq!(
        world.told(),
        [format!("*: {told}"), format!("google: {told}")]
    );
}

#[tokio::test]
async fn idle_days_change_nothing_but_the_plan() {
    let mut world = World::new("days = [50, 60, 70, 80]");
    world.source.started = Some(date(0));
    let node = world.node(at(0, 0.0)).await;
    send(&node, "google", 99, at(0, 9.0)).await;
    world.told();
    for n in 1..20 {
        node.tick(at(n, 9.0), true).await.unwrap();
    }
    let shown = position(&node, "google", at(2, 9.0));
    assert_eq!(
        (shown.stage, shown.planned, shown.day),
        (Stage::At(2), Some(Stage::At(3)), 2)
    );
    assert_eq!(world.told().len(), 2, "the first day was judged");
}

#[tokio::test]
async fn two_nodes_judge_a_day_once() {
    let world = World::new("days = [50, 60, 70, 80]");
    let (a, b) = (world.node(at(0, 9.0)).await, world.node(at(0, 9.0)).await);
    send(&a, "google", 25, at(0, 9.0)).await;
    send(&b, "google", 99, at(0, 9.0)).await;
    // Each tells what it knows before the day ends.
    for node in [&a, &b] {
        node.tick(at(0, 23.0), false).await.unwrap();
    }
    world.told();
    let (of_a, of_b) = tokio::join!(
        send(&a, "google", 99, at(1, 0.0)),
        send(&b, "google", 99, at(1, 0.0))
    );
    assert_eq!(of_a + of_b, 60);
    assert_eq!(world.told().len(), 2, "one decision for each unit");
    assert_eq!(stage(&b, "google", at(1, 0.0)), Stage::At(2));
}

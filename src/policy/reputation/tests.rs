//! What is held, when, and what is not.

use super::*;
use crate::mail::{MessageId, Reply};
use crate::policy::share::Share;
use crate::store::Store;
use crate::units::Span;
use std::time::Duration;

mod kept;
mod simulated;
mod slowed;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A reputation and mail that moves.
struct World {
    reputation: Reputation,
    now: Timestamp,
}

/// What becomes of a recipient.
#[derive(Clone, Copy)]
enum Fate {
    Delivered,
    Hard,
    Blocked,
    Complains,
}

impl World {
    fn new() -> Self {
        Self::with(&Config::default())
    }

    fn with(config: &Config) -> Self {
        let reputation = Reputation::default();
        let strict = TenantConfig {
            bounce: Some(config::Thresholds {
                watch: Share::percent(1),
                act: Share::percent(2),
            }),
            ..TenantConfig::default()
        };
        let tenants = [("strict", &strict)].into_iter();
        let rules = Rules::new("mta.test", config, tenants, ["yahoo".into()].into_iter());
        reputation.configure(Arc::new(rules));
        Self {
            reputation,
            now: START,
        }
    }

    fn send(&self, labels: &Labels, fate: Fate) {
        let about = about(labels);
        let attempt = attempt();
        let disposition = match fate {
            Fate::Delivered | Fate::Complains => Disposition::Delivered(reply(250)),
            Fate::Hard => Disposition::Bounced {
                finding: BounceClass::Hard.into(),
                why: reply(550),
            },
            Fate::Blocked => Disposition::Bounced {
                finding: BounceClass::Block.into(),
                why: reply(554),
            },
        };
        let outcome = Event::Outcome {
            about: about.clone(),
            attempt: attempt.clone(),
            disposition,
        };
        self.reputation.take(self.now, &outcome);
        if matches!(fate, Fate::Complains) {
            let complained = Event::Complained {
                about,
                attempt,
                feedback: "abuse".into(),
                why: String::new(),
            };
            self.reputation.take(self.now, &complained);
        }
    }

    fn send_all(&self, labels: &Labels, fates: &[(Fate, usize)]) {
        for (fate, n) in fates {
            (0..*n).for_each(|_| self.send(labels, *fate));
        }
    }

    fn held(&self, labels: &Labels) -> Option<Slice> {
        let slices = Reputation::concerned(labels);
        let hold = self.reputation.holding(&slices, self.now)?;
        Some(hold.slice.clone())
    }

    fn look(&self) -> Vec<Decision> {
        self.reputation.look(self.now)
    }

    fn holds(&self) -> Vec<String> {
        let held = self.reputation.holds(self.now);
        held.iter().map(|hold| hold.slice.to_string()).collect()
    }
}

fn labels(campaign: &str, stream: Stream) -> Labels {
    Labels {
        tenant: Some("acme".into()),
        campaign: Some(campaign.into()),
        stream: Some(stream),
        ..Labels::default()
    }
}

fn marketing(campaign: &str) -> Labels {
    labels(campaign, Stream::Marketing)
}

fn about(labels: &Labels) -> About {
    About {
        id: MessageId(7),
        labels: Arc::new(labels.clone()),
        sender: "news@acme.example".parse().ok(),
        recipient: "ann@yahoo.com".parse().ok(),
        size: 1_000,
    }
}

fn attempt() -> Attempt {
    Attempt {
        number: 1,
        site: Some("mx.yahoo.com".into()),
        source: Some("ip-a".into()),
        provider: Some("yahoo".into()),
        tls: None,
        latency: Duration::ZERO,
        possible_duplicate: false,
    }
}

fn reply(code: u16) -> Reply {
    Reply::said(code, None, "so", ".")
}

#[test]
fn one_bounce_of_ten_holds_nobody_and_a_flood_does() {
    let world = World::new();
    let spring = marketing("spring");
    world.send_all(&spring, &[(Fate::Delivered, 9), (Fate::Hard, 1)]);
    assert!(world.look().iter().all(|d| !matches!(d, Decision::Hold(_))));
    world.send_all(&spring, &[(Fate::Delivered, 80), (Fate::Hard, 20)]);
    let decisions = world.look();
    let held = decisions.iter().find_map(|d| match d {
        Decision::Hold(hold) => Some(hold),
        _ => None,
    });
    let finding = held.unwrap().finding;
    assert_eq!((finding.part, finding.whole), (21, 110));
    assert_eq!(finding.threshold, Share::percent(5));
    assert_eq!(
        world.held(&spring).unwrap().to_string(),
        "campaign/acme/spring"
    );
}

#[test]
fn transactional_mail_and_other_campaigns_go_on() {
    let world = World::new();
    world.send_all(&marketing("good"), &[(Fate::Delivered, 1_000)]);
    world.send_all(
        &marketing("bad"),
        &[(Fate::Delivered, 300), (Fate::Hard, 200)],
    );
    let _told = world.look();
    // Of all marketing one in eight bounced, of what is left none.
    assert_eq!(world.holds(), ["campaign/acme/bad"]);
    assert_eq!(world.held(&labels("bad", Stream::Transactional)), None);
    assert_eq!(world.held(&marketing("good")), None);
}

#[test]
fn a_tenant_without_campaigns_is_held_itself() {
    let world = World::new();
    let plain = Labels {
        campaign: None,
        ..marketing("")
    };
    world.send_all(&plain, &[(Fate::Delivered, 300), (Fate::Hard, 100)]);
    let _told = world.look();
    assert_eq!(world.holds(), ["stream/acme/marketing"]);
    assert!(world.held(&marketing("any")).is_some());
}

#[test]
fn complaints_are_of_deliveries_to_who_tells_of_them() {
    let world = World::new();
    let spring = marketing("spring");
    world.send_all(&spring, &[(Fate::Delivered, 500), (Fate::Complains, 12)]);
    let _told = world.look();
    let holds = world.reputation.holds(world.now);
    let of_campaign = holds.iter().find(|hold| hold.slice.kind() == "campaign");
    let finding = of_campaign.unwrap().finding;
    assert_eq!(
        (finding.rate, finding.part, finding.whole),
        (Rate::Complaint, 12, 512)
    );
}

#[test]
fn blocks_keep_a_source_from_a_provider_and_hold_no_stream() {
    let world = World::new();
    let plain = Labels::default();
    world.send_all(&plain, &[(Fate::Delivered, 500), (Fate::Blocked, 100)]);
    let _told = world.look();
    assert_eq!(world.holds(), ["pair/ip-a/yahoo"]);
}

#[test]
fn a_hold_ends_counts_anew_and_is_longer_the_next_time() {
    let mut world = World::new();
    let spring = marketing("spring");
    let flood = [(Fate::Delivered, 300), (Fate::Hard, 60)];
    world.send_all(&spring, &flood);
    let _told = world.look();
    world.now = world.now + 4 * HOUR;
    assert_eq!(world.held(&spring), None);
    let released = world.look();
    assert!(released.iter().any(|d| matches!(d, Decision::Released(_))));
    // What was counted before does not hold it again.
    world.send_all(&spring, &[(Fate::Delivered, 100)]);
    let _told = world.look();
    assert_eq!(world.held(&spring), None);
    world.send_all(&spring, &flood);
    let _told = world.look();
    let hold = world.reputation.holds(world.now);
    let hold = hold.iter().find(|h| h.slice.kind() == "campaign").unwrap();
    assert_eq!((hold.times, hold.until), (2, world.now + 8 * HOUR));
}

#[test]
fn a_person_lets_go_and_is_named() {
    let mut world = World::new();
    let spring = marketing("spring");
    world.send_all(&spring, &[(Fate::Delivered, 300), (Fate::Hard, 60)]);
    let _told = world.look();
    let slice = world.held(&spring).unwrap();
    world.now = world.now + MINUTE;
    let released = world.reputation.release(&slice, "ops", world.now).unwrap();
    assert_eq!(released.released, Some((world.now, "ops".into())));
    assert_eq!(world.held(&spring), None);
    assert_eq!(world.reputation.release(&slice, "ops", world.now), None);
    world.send_all(&spring, &[(Fate::Delivered, 10)]);
    let _told = world.look();
    assert_eq!(world.held(&spring), None);
}

#[test]
fn only_watching_holds_nothing_and_says_so_once() {
    let config = Config {
        action: config::Action::Watch,
        ..Config::default()
    };
    let world = World::with(&config);
    let spring = marketing("spring");
    for _ in 0..5 {
        world.send_all(&spring, &[(Fate::Delivered, 300), (Fate::Hard, 60)]);
    }
    let told = world.look();
    let campaign =
        |d: &&Decision| matches!(d, Decision::Watch(Slice::Campaign(..), _, Standing::Act));
    assert_eq!(told.iter().filter(campaign).count(), 1);
    assert!(world.holds().is_empty());
    world.send_all(&spring, &[(Fate::Hard, 10)]);
    assert_eq!(world.look().iter().filter(campaign).count(), 0);
}

#[test]
fn a_tenant_may_have_thresholds_of_its_own() {
    let world = World::new();
    let strict = Labels {
        tenant: Some("strict".into()),
        ..marketing("spring")
    };
    world.send_all(&strict, &[(Fate::Delivered, 960), (Fate::Hard, 40)]);
    world.send_all(
        &marketing("spring"),
        &[(Fate::Delivered, 960), (Fate::Hard, 40)],
    );
    let _told = world.look();
    assert_eq!(world.holds(), ["campaign/strict/spring"]);
}

#[test]
fn what_is_suppressed_or_expired_is_in_no_rate() {
    let world = World::new();
    let spring = marketing("spring");
    for class in [
        BounceClass::Suppressed,
        BounceClass::Expired,
        BounceClass::Dropped,
    ] {
        let outcome = Event::Outcome {
            about: about(&spring),
            attempt: attempt(),
            disposition: Disposition::Bounced {
                finding: class.into(),
                why: Reply::local(550, crate::mail::EnhancedCode(5, 7, 1), "no", "RCPT"),
            },
        };
        (0..500).for_each(|_| world.reputation.take(world.now, &outcome));
    }
    assert!(world.look().is_empty());
    let campaign: Slice = "campaign/acme/spring".parse().unwrap();
    let row = world.reputation.row(&campaign, Window::Hour, world.now);
    let row = row.unwrap();
    assert_eq!((row.answered, row.count(Metric::Suppressed)), (0, 500));
}

#[tokio::test]
async fn a_restart_forgets_neither_counts_nor_holds() {
    let store = Store::in_memory();
    let mut world = World::new();
    let spring = marketing("a/b %");
    world.send_all(&spring, &[(Fate::Delivered, 300), (Fate::Hard, 60)]);
    let _told = world.look();
    let reputation = &world.reputation;
    reputation.write_decisions(&store, "n1").await.unwrap();
    reputation.write_counts(&store, "n1").await.unwrap();
    let before = reputation.report(&[], Window::Day, world.now);

    let again = World::new();
    again
        .reputation
        .recall(&store, "n1", again.now)
        .await
        .unwrap();
    assert_eq!(again.reputation.report(&[], Window::Day, again.now), before);
    assert_eq!(again.held(&spring), world.held(&spring));
    world.now = world.now + 4 * HOUR;
    let _released = world.look();
}

#[tokio::test]
async fn what_cannot_be_read_keeps_nobody_from_starting() {
    let store = Store::in_memory();
    store
        .set("reputation/series/n1/tenant/acme", b"junk")
        .await
        .unwrap();
    store
        .set("reputation/series/n1/nothing", b"[[],[],[]]")
        .await
        .unwrap();
    store
        .set("reputation/hold/tenant/acme", b"{}")
        .await
        .unwrap();
    let world = World::new();
    world.reputation.recall(&store, "n1", START).await.unwrap();
    assert!(world.reputation.report(&[], Window::Day, START).is_empty());
}

#[test]
fn thresholds_that_make_no_sense_are_told() {
    let config = Config {
        bounce: config::Thresholds {
            watch: Share::percent(5),
            act: Share::percent(2),
        },
        complaint: config::Thresholds {
            watch: Share::default(),
            act: Share::default(),
        },
        hold: Span::secs(0),
        slow: Share::percent(0),
        ..Config::default()
    };
    let mut problems = crate::problem::Problems::default();
    config.validate("reputation", &mut problems);
    let keys: Vec<String> = problems.0.into_iter().map(|p| p.key).collect();
    assert_eq!(
        keys,
        [
            "reputation.bounce",
            "reputation.complaint.act",
            "reputation.slow",
            "reputation.hold"
        ]
    );
}

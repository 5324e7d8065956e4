//! What is slowed, by how much, and until when; hits of traps; what the suppression list stopped.

use super::*;

const GOOD: (Fate, usize) = (Fate::Delivered, 960);
/// Four of a hundred bounce: beyond doubt over 2 %, and not over 5 %.
const WATCHED: [(Fate, usize); 2] = [GOOD, (Fate::Hard, 40)];

fn slowed(world: &World) -> Vec<String> {
    let slows = world.reputation.slows();
    slows.iter().map(|slow| slow.slice.to_string()).collect()
}

/// The recipients of a campaign that may go within a time, asked for again and again.
fn goes(world: &World, labels: &Labels, within: Duration) -> usize {
    let (mut now, end) = (world.now, world.now + within);
    let mut gone = 0;
    while now < end && gone < 10_000 {
        match world
            .reputation
            .pace(&Reputation::concerned(labels), 1, now)
        {
            Ok(_) => gone += 1,
            Err((_, until)) => now = until,
        }
    }
    gone
}

#[test]
fn a_campaign_that_is_watched_goes_on_at_half_its_pace() {
    let mut world = World::new();
    let spring = marketing("spring");
    // A hundred a minute.
    for _ in 0..10 {
        world.send_all(&spring, &[(Fate::Delivered, 96), (Fate::Hard, 4)]);
        world.now = world.now + MINUTE;
    }
    let decisions = world.look();
    let slow = decisions.iter().find_map(|d| match d {
        Decision::Slow(slow) => Some(slow),
        _ => None,
    });
    let slow = slow.unwrap();
    assert_eq!(slow.slice.to_string(), "campaign/acme/spring");
    assert_eq!(slow.spacing_ms, 1_200);
    assert_eq!(
        slow.to_string(),
        "the reputation of campaign/acme/spring: bounces 4 % (40 of 1000 within 15m), over 2 %; slowed to 50 % of its \
         pace, a recipient in 1.2 s"
    );
    // Its tenant's other mail is not slowed for it, and transactional mail never is.
    assert_eq!(slowed(&world), ["campaign/acme/spring"]);
    assert_eq!(goes(&world, &spring, 15 * MINUTE), 750);
    assert!(goes(&world, &marketing("other"), MINUTE) > 750);
    assert!(Reputation::concerned(&labels("spring", Stream::Transactional)).is_empty());
    assert!(world.look().is_empty(), "told once");
}

#[test]
fn it_has_its_pace_back_when_it_has_recovered_and_not_before_its_time() {
    let mut world = World::new();
    let spring = marketing("spring");
    world.send_all(&spring, &WATCHED);
    let _told = world.look();
    world.now = world.now + 14 * MINUTE;
    world.send_all(&spring, &[GOOD]);
    assert!(world.look().is_empty());
    world.now = world.now + MINUTE;
    let eased = world.look();
    let why = eased.iter().find_map(|d| match d {
        Decision::Eased(_, why) => Some(&**why),
        _ => None,
    });
    assert_eq!(
        why,
        Some("bounces 0 of 960 since it is slowed, at most 80 % of 2 %")
    );
    assert!(slowed(&world).is_empty());
    // What it was slowed for does not slow it, or its tenant, again; more of it does.
    world.send_all(&spring, &[(Fate::Delivered, 50)]);
    let _told = world.look();
    assert!(slowed(&world).is_empty(), "{:?}", slowed(&world));
    world.now = world.now + HOUR;
    world.send_all(&spring, &WATCHED);
    let _told = world.look();
    assert_eq!(slowed(&world), ["campaign/acme/spring"]);
}

#[test]
fn a_rate_on_the_threshold_stays_slowed_and_a_worse_one_is_held() {
    let mut world = World::new();
    let spring = marketing("spring");
    world.send_all(&spring, &WATCHED);
    let _told = world.look();
    for _ in 0..3 {
        world.now = world.now + 20 * MINUTE;
        // 1.9 %: under `watch`, over four fifths of it.
        world.send_all(&spring, &[(Fate::Delivered, 981), (Fate::Hard, 19)]);
        let _told = world.look();
        assert_eq!(slowed(&world), ["campaign/acme/spring"]);
    }
    world.send_all(&spring, &[(Fate::Delivered, 200), (Fate::Hard, 400)]);
    let _told = world.look();
    assert_eq!(world.holds(), ["campaign/acme/spring"]);
    assert!(slowed(&world).is_empty());
}

#[test]
fn who_slows_nothing_is_only_told() {
    let config = Config {
        slow: Share::percent(100),
        ..Config::default()
    };
    let world = World::with(&config);
    world.send_all(&marketing("spring"), &WATCHED);
    let told = world.look();
    let is_of_it =
        |d: &&Decision| matches!(d, Decision::Watch(Slice::Campaign(..), _, Standing::Watch));
    assert_eq!(told.iter().filter(is_of_it).count(), 1);
    assert!(slowed(&world).is_empty());
}

#[test]
fn blocks_slow_a_source_at_a_provider() {
    let world = World::new();
    let plain = Labels::default();
    world.send_all(&plain, &[(Fate::Delivered, 950), (Fate::Blocked, 50)]);
    let _told = world.look();
    assert_eq!(slowed(&world), ["pair/ip-a/yahoo"]);
    let slice: Slice = "pair/ip-a/yahoo".parse().unwrap();
    assert!(world.reputation.ease(&slice, world.now).is_some());
    assert!(world.reputation.ease(&slice, world.now).is_none());
    assert!(!world.reputation.is_slow());
}

#[test]
fn the_first_hit_of_a_trap_is_told_and_some_hold_the_campaign() {
    let world = World::new();
    let spring = marketing("spring");
    world.send_all(&spring, &[(Fate::Delivered, 1_000)]);
    let hit = || {
        let (about, attempt) = (about(&spring), attempt());
        let later = world.now + 26 * HOUR;
        world
            .reputation
            .observe(&about, Some(&attempt), Metric::Trapped, later);
        world.reputation.look(later)
    };
    let told = hit();
    let is_told = |d: &Decision| {
        matches!(d, Decision::Watch(slice, finding, _)
            if slice.kind() == "campaign" && finding.rate == Rate::Trap && finding.part == 1)
    };
    assert!(told.iter().any(is_told), "{told:?}");
    assert!(world.reputation.slows().is_empty());
    assert!(hit().iter().all(|d| !matches!(d, Decision::Hold(_))));
    let holds = hit();
    let is_hold =
        |d: &Decision| matches!(d, Decision::Hold(hold) if hold.slice.kind() == "campaign");
    assert!(holds.iter().any(is_hold), "{holds:?}");
}

#[test]
fn what_is_known_without_its_tenant_counts_for_nobodys_stream() {
    let world = World::new();
    let (about, attempt) = (about(&Labels::default()), attempt());
    let reputation = &world.reputation;
    reputation.observe_nobodys(&about, Some(&attempt), Metric::Opened, world.now);
    let rows = reputation.report(&[], Window::Hour, world.now);
    let kinds: Vec<&str> = rows.iter().map(|row| row.slice.kind()).collect();
    assert_eq!(kinds, ["source", "provider", "pair", "domain"]);
}

#[test]
fn what_the_suppression_list_did_is_told_by_reason_and_scope() {
    let mut world = World::new();
    let listed = |reason| Event::Suppressed {
        tenant: Some("acme".into()),
        recipient: "ann@yahoo.com".parse().unwrap(),
        id: None,
        scope: "tenant/acme".into(),
        reason,
        until: None,
        why: String::new(),
    };
    world.reputation.take(world.now, &listed(Some("hard")));
    world.now = world.now + HOUR;
    (0..2).for_each(|_| world.reputation.take(world.now, &listed(Some("hard"))));
    world.reputation.take(world.now, &listed(None));
    let of = ("hard", "tenant/acme");
    (0..3).for_each(|_| world.reputation.stopped(of, Metric::Refused, world.now));
    world.reputation.stopped(of, Metric::Suppressed, world.now);
    let told = world.reputation.suppressed(Window::Hour, world.now);
    let stopped = |reason: &str| Stopped {
        reason: reason.into(),
        scope: "tenant/acme".into(),
        ..Stopped::default()
    };
    let hard = Stopped {
        listed: 2,
        listed_before: 1,
        refused: 3,
        dropped: 1,
        ..stopped("hard")
    };
    let removed = Stopped {
        unlisted: 1,
        ..stopped("-")
    };
    assert_eq!(told, [hard, removed]);
    assert!(
        world
            .reputation
            .report(&[], Window::Hour, world.now)
            .is_empty()
    );
    assert!(world.look().is_empty());
}

//! New numbers while mail flows.

use super::*;

#[test]
fn a_handle_takes_the_new_numbers_at_once() {
    let (world, limit) = World::with("messages = \"1/h\"");
    assert_eq!(world.passing(&limit), 1);
    world.wait(MINUTE);
    world.configure("messages = \"10/s\"");
    assert_eq!(world.passing(&limit), 1);
    world.wait(SECOND / 10);
    assert_eq!(world.passing(&limit), 1);
    world.configure("");
    assert_eq!(limit.message(ANYBODY, world.now()), Ok(()));
    assert_eq!(limit.fill(world.now()), []);
    world.configure("connections = 1");
    let _seat = limit.connection(world.now()).unwrap();
    limit.connection(world.now()).unwrap_err();
}

#[test]
fn unchanged_numbers_keep_their_state() {
    let text = "messages = [\"1/min\", \"100/h\"]\nconnection_rate = \"1/min\"\nbytes = \"1MB/s\"";
    let (world, limit) = World::with(text);
    assert_eq!(world.passing(&limit), 1);
    drop(limit.connection(world.now()).unwrap());
    limit.charge(10_000_000, world.now());
    let before = limit.fill(world.now());
    world.configure(&format!("{text}\nconnections = 5"));
    let mut after = limit.fill(world.now());
    after.retain(|fill| fill.kind != Kind::Connections);
    assert_eq!(after, before);
    world.wait(11 * SECOND);
    assert_eq!(
        &*limit.message(ANYBODY, world.now()).unwrap_err().limit,
        "1/min"
    );
}

#[test]
fn the_same_number_from_another_line_keeps_its_state_and_says_so() {
    let (world, limit) = World::with("messages = \"1/min\"");
    assert_eq!(world.passing(&limit), 1);
    let mut rules = Rules::default();
    let scope = Scope::Source {
        source: Some("ip-a".into()),
    };
    rules.add(scope, "source[0].limits", &config("messages = \"1/min\""));
    world.limits.configure(rules);
    let full = limit.message(ANYBODY, world.now()).unwrap_err();
    assert_eq!(&*full.key, "source[0].limits.messages");
}

#[test]
fn a_new_number_begins_with_one_message_and_no_burst() {
    let (world, limit) = World::with("");
    world.wait(HOUR);
    world.configure("messages = \"1000/s\"");
    assert_eq!(world.passing(&limit), 1);
}

#[test]
fn changes_however_frequent_let_nothing_through() {
    let (world, limit) = World::with("messages = \"60/min\"");
    let mut passed = world.passing(&limit);
    for change in 0..1_000 {
        let rate = 60 + change % 2;
        world.configure(&format!("messages = \"{rate}/min\""));
        passed += world.passing(&limit);
        world.wait(Duration::from_millis(100));
    }
    // A hundred seconds at one a second.
    assert!((95..=101).contains(&passed), "{passed}");
}

#[test]
fn the_count_of_the_day_survives_a_change_of_its_number() {
    let (world, limit) = World::with("messages = [\"10/s\", \"200000/d\"]");
    for _ in 0..7 {
        assert_eq!(limit.message(ANYBODY, world.now()), Ok(()));
        world.wait(SECOND);
    }
    world.configure("messages = [\"20/s\", \"300000/d\"]");
    let day = |fill: &Fill| (fill.limit.to_string(), fill.used);
    let fills = limit.fill(world.now());
    assert!(fills.iter().any(|f| day(f) == ("300000/d".into(), 7)));
}

#[test]
fn what_is_owed_stays_owed_when_the_rate_changes() {
    let (world, limit) = World::with("bytes = \"1MB/s\"");
    limit.charge(10_000_000, world.now());
    world.configure("bytes = \"5MB/s\"");
    let wait = world.told_to_wait(&limit);
    assert!(wait.abs_diff(2 * SECOND) < SECOND / 100, "{wait:?}");
}

#[test]
fn what_was_taken_before_there_was_a_limit_cannot_be_given_back_to_it() {
    let (world, limit) = World::with("");
    for _ in 0..10 {
        assert_eq!(limit.message(ANYBODY, world.now()), Ok(()));
    }
    world.configure("messages = \"10/s\"");
    for _ in 0..10 {
        limit.give_back(ANYBODY);
    }
    assert_eq!(world.passing(&limit), 1);
}

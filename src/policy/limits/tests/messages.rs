//! Message rates, and what is given back.

use super::*;

#[test]
fn what_is_not_configured_is_not_limited() {
    let (world, limit) = World::with("");
    for _ in 0..10_000 {
        assert_eq!(limit.message(ANYBODY, world.now()), Ok(()));
    }
    limit.give_back(ANYBODY);
    limit.charge(1 << 40, world.now());
    assert_eq!(limit.message(ANYBODY, world.now()), Ok(()));
    assert_eq!(limit.fill(world.now()), []);
}

#[test]
fn a_slow_rate_lets_one_through_at_a_time() {
    let (world, limit) = World::with("messages = \"1/min\"");
    assert_eq!(world.passing(&limit), 1);
    assert_eq!(world.told_to_wait(&limit), MINUTE);
    world.wait(MINUTE - Duration::from_millis(1));
    assert_eq!(world.passing(&limit), 0);
    world.wait(Duration::from_millis(1));
    assert_eq!(world.passing(&limit), 1);
    world.wait(HOUR);
    assert_eq!(world.passing(&limit), 1);
}

#[test]
fn a_fast_rate_begins_with_one_and_saves_up_a_tenth_of_a_second() {
    let (world, limit) = World::with("messages = \"1000/s\"");
    assert_eq!(world.passing(&limit), 1);
    world.wait(Duration::from_millis(7));
    assert_eq!(world.passing(&limit), 7);
    world.wait(HOUR);
    assert_eq!(world.passing(&limit), 101);
}

#[test]
fn the_burst_is_a_tenth_of_a_second_and_at_least_one() {
    for (rate, burst) in [
        ("1000000/s", 100_001),
        ("1000/s", 101),
        ("10/s", 2),
        ("9/s", 1),
        ("1/min", 1),
        ("50/d", 1),
    ] {
        assert_eq!(rate.parse::<Rate>().unwrap().burst(), burst, "{rate}");
    }
}

#[test]
fn a_refusal_says_which_number_of_which_line_and_when_to_come_again() {
    let (world, limit) = World::with("messages = \"2/min\"");
    assert_eq!(limit.message(ANYBODY, world.now()), Ok(()));
    let full = limit.message(ANYBODY, world.now()).unwrap_err();
    let expected = Full {
        kind: Kind::Messages,
        of: source("ip-a"),
        limit: "2/min".into(),
        used: 1,
        key: "limits.source.messages".into(),
        until: world.now() + MINUTE / 2,
    };
    assert_eq!(full, expected);
}

#[test]
fn of_several_rates_all_hold_and_a_refused_message_takes_nothing() {
    let (world, limit) = World::with("messages = [\"1/s\", \"60/h\"]");
    assert_eq!(world.passing(&limit), 1);
    world.wait(SECOND);
    let full = limit.message(ANYBODY, world.now()).unwrap_err();
    assert_eq!(&*full.limit, "60/h");
    assert_eq!(full.until.since(world.now()), MINUTE - SECOND);
    let used: Vec<u64> = limit.fill(world.now()).iter().map(|f| f.used).collect();
    assert_eq!(used, [1, 0]);
    world.wait(MINUTE - SECOND);
    assert_eq!(world.passing(&limit), 1);
}

#[test]
fn what_the_slower_rate_gave_for_a_message_the_faster_refused_is_not_lost() {
    let (world, limit) = World::with("messages = \"10/s\"");
    world.wait(SECOND);
    // Ten a second have two ready, and twelve a second, just configured, begin with one.
    world.configure("messages = [\"10/s\", \"720/min\"]");
    assert_eq!(world.passing(&limit), 1);
    let full = limit.message(ANYBODY, world.now()).unwrap_err();
    assert_eq!(&*full.limit, "720/min");
    assert_eq!(limit.fill(world.now())[0].used, 1);
    world.wait(SECOND / 12 + Duration::from_millis(1));
    assert_eq!(world.passing(&limit), 1);
}

#[test]
fn what_is_given_back_can_be_had_again_at_once() {
    let (world, limit) = World::with("messages = \"1/min\"");
    for _ in 0..5 {
        assert_eq!(world.passing(&limit), 1);
        limit.give_back(ANYBODY);
    }
    assert_eq!(world.passing(&limit), 1);
    assert_eq!(limit.fill(world.now())[0].used, 1);
}

#[test]
fn what_is_given_back_after_it_came_back_by_itself_is_worth_nothing() {
    let (world, limit) = World::with("messages = \"1/min\"");
    assert_eq!(world.passing(&limit), 1);
    world.wait(MINUTE);
    limit.give_back(ANYBODY);
    assert_eq!(world.passing(&limit), 1);
}

#[test]
fn nobody_can_give_back_what_was_never_taken() {
    let (world, limit) = World::with("messages = \"10/s\"");
    for _ in 0..10 {
        limit.give_back(ANYBODY);
    }
    assert_eq!(world.passing(&limit), 1);
    assert_eq!(limit.fill(world.now())[0].used, 1);
}

#[test]
fn what_is_used_is_counted_by_the_clock() {
    let (world, limit) = World::with("messages = [\"10/s\", \"1000/min\"]");
    for _ in 0..10 {
        assert_eq!(limit.message(ANYBODY, world.now()), Ok(()));
        world.wait(SECOND / 2);
    }
    let used: Vec<u64> = limit.fill(world.now()).iter().map(|f| f.used).collect();
    assert_eq!(used, [0, 10]);
    world.wait(MINUTE);
    assert_eq!(limit.fill(world.now())[1].used, 0);
}

#[test]
fn a_fill_says_when_something_is_free_without_taking_a_turn() {
    let (world, limit) = World::with("messages = \"1/s\"");
    assert_eq!(limit.fill(world.now())[0].until, None);
    assert_eq!(world.passing(&limit), 1);
    for _ in 0..3 {
        let until = limit.fill(world.now())[0].until;
        assert_eq!(until, Some(world.now() + SECOND));
    }
    assert_eq!(world.told_to_wait(&limit), 2 * SECOND);
    limit.give_back(ANYBODY);
    assert_eq!(limit.fill(world.now())[0].until, None);
}

#[test]
fn callers_who_vanish_leave_nobody_waiting_long() {
    let (world, limit) = World::with("messages = \"1/min\"");
    assert_eq!(world.passing(&limit), 1);
    let waits = [0; 3].map(|_| world.told_to_wait(&limit));
    // The first two never come. The third does, and finds what they left.
    world.wait(waits[2]);
    assert!(waits[2] <= MINUTE);
    assert_eq!(world.passing(&limit), 1);
}

#[test]
fn who_finds_that_others_did_not_come_starts_the_line_anew() {
    let (world, limit) = World::with("messages = \"1/s\"");
    // The first takes one; one comes again after a second, two, … up to the tenth.
    assert_eq!(world.passing(&limit), 1);
    for _ in 0..8 {
        let _turn = world.told_to_wait(&limit);
    }
    assert_eq!(world.told_to_wait(&limit), 10 * SECOND);
    // None of them comes but a newcomer.
    world.wait(3 * SECOND);
    assert_eq!(world.passing(&limit), 1);
    assert!(world.told_to_wait(&limit) <= 2 * SECOND);
}

#[test]
fn many_threads_take_no_more_than_there_is() {
    let (world, limit) = World::with("messages = [\"1000/s\", \"6000/min\"]");
    world.wait(MINUTE);
    let mut passed = 0;
    for _ in 0..50 {
        passed += from_threads(|| {
            let taken = (0..50).filter(|_| limit.message(ANYBODY, world.now()).is_ok());
            taken.count()
        });
        world.wait(Duration::from_millis(100));
    }
    // A burst of 11 at the start, and 10 in each of the 49 tenths of a second after it.
    assert_eq!(passed, 11 + 49 * 10);
}

#[test]
fn threads_that_give_all_back_have_taken_nothing() {
    let (world, limit) = World::with("messages = \"1000/s\"");
    world.wait(MINUTE);
    from_threads(|| {
        for _ in 0..500 {
            if limit.message(ANYBODY, world.now()).is_ok() {
                limit.give_back(ANYBODY);
            }
        }
        0
    });
    assert_eq!(limit.fill(world.now())[0].used, 0);
    assert_eq!(world.passing(&limit), 101);
}

fn from_threads(act: impl Fn() -> usize + Sync) -> usize {
    std::thread::scope(|scope| {
        let threads = [0; 4].map(|_| scope.spawn(&act));
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    })
}

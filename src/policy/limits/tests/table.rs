//! Which limits there are.

use super::*;

#[test]
fn the_same_thing_has_one_limit() {
    let world = World::new();
    let (a, again) = (world.limits.of(&source("a")), world.limits.of(&source("a")));
    assert!(Arc::ptr_eq(&a, &again));
    assert!(!Arc::ptr_eq(&a, &world.limits.of(&source("b"))));
    assert_eq!(a.of(), &source("a"));
    assert_eq!(world.limits.all().len(), 2);
}

#[test]
fn limits_that_nobody_holds_are_let_go() {
    let world = World::new();
    world.configure("messages = \"10/s\"");
    let held = world.limits.of(&source("held"));
    for i in 0..10_000 {
        let limit = world.limits.of(&source(&i.to_string()));
        assert_eq!(limit.message(ANYBODY, world.now()), Ok(()));
        world.wait(Duration::from_millis(1));
    }
    assert!(world.limits.all().len() < 2_100);
    assert!(Arc::ptr_eq(&held, &world.limits.of(&source("held"))));
}

#[test]
fn a_limit_that_remembers_something_stays() {
    let world = World::new();
    world.configure("messages = \"1/h\"\nbytes = \"1KiB/s\"");
    let spent = world.limits.of(&source("spent"));
    assert_eq!(spent.message(ANYBODY, world.now()), Ok(()));
    let owing = world.limits.of(&source("owing"));
    owing.charge(3_600 << 10, world.now());
    drop((spent, owing));
    for i in 0..5_000 {
        world.limits.of(&source(&i.to_string()));
    }
    let refused = |name: &str| {
        world
            .limits
            .of(&source(name))
            .message(ANYBODY, world.now())
            .is_err()
    };
    assert!(refused("spent") && refused("owing"));
}

#[test]
fn a_forgotten_limit_lets_no_more_through_than_one_that_is_kept() {
    let world = World::new();
    let passed = |forget: bool| {
        world.configure("messages = \"1000/s\"");
        let mut passed = 0;
        for _ in 0..1_000 {
            let limit = world.limits.of(&source("a"));
            passed += world.passing(&limit);
            drop(limit);
            if forget {
                world.configure("messages = \"1000/s\"");
            }
            world.wait(Duration::from_millis(3));
        }
        passed
    };
    let kept = passed(false);
    world.wait(HOUR);
    assert!(passed(true) <= kept);
}

#[test]
fn a_reload_while_limits_are_made_misses_none() {
    let world = World::new();
    let limits = std::thread::scope(|scope| {
        let maker = scope.spawn(|| {
            let make = |i: u32| world.limits.of(&source(&i.to_string()));
            (0..5_000).map(make).collect::<Vec<_>>()
        });
        for i in 1..=20 {
            world.configure(&format!("connections = {i}"));
        }
        maker.join().unwrap()
    });
    for limit in limits {
        assert_eq!(&*limit.fill(world.now())[0].limit, "20");
    }
}

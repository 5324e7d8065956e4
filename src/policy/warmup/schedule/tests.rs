use super::*;
use proptest::prelude::*;

fn written(text: &str) -> Schedule {
    toml::from_str(text).unwrap()
}

fn ramp(text: &str) -> Ramp {
    written(text).compile("test", Own::default()).unwrap()
}

fn keys(text: &str) -> Vec<String> {
    let mut problems = Problems::default();
    written(text).validate("warmup.schedule.x", &mut problems);
    let keys = problems.0.iter();
    keys.map(|p| p.key.replace("warmup.schedule.x.", ""))
        .collect()
}

#[test]
fn the_schedules_that_come_with_the_program_compile() {
    let built_in = Schedule::built_in();
    let names: Vec<&str> = built_in.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["sendgrid-like", "ses-like", "sparkpost-like", "standard"]
    );
    for (name, schedule) in &built_in {
        let ramp = schedule.compile(name, Own::default()).unwrap();
        assert!(
            (28..=90).contains(&ramp.stages()),
            "{name}: {}",
            ramp.stages()
        );
        for target in [1, 1_000, 50_000, 1_000_000] {
            let own = Own {
                target: Some(target),
                growth_per_week: Some(Share::percent(50)),
                ..Own::default()
            };
            let ramp = schedule.compile(name, own).unwrap();
            assert_eq!(ramp.volume(ramp.stages()), target);
        }
    }
}

#[test]
fn standard_is_three_weeks_and_then_forty_percent_a_week() {
    let standard = &Schedule::built_in()["standard"];
    let ramp = standard.compile("standard", Own::default()).unwrap();
    assert_eq!(ramp.caps()[..7], [50, 58, 67, 75, 83, 92, 100]);
    assert_eq!(ramp.caps()[7..14], [200, 250, 300, 350, 400, 450, 500]);
    assert_eq!(
        ramp.caps()[14..21],
        [1000, 1167, 1333, 1500, 1667, 1833, 2000]
    );
    assert_eq!(ramp.volume(28), 2_800);
    assert_eq!(ramp.volume(35), 3_920);
    assert_eq!(ramp.stages(), 88);
    assert_eq!((ramp.volume(87), ramp.volume(88)), (47_732, 50_000));
}

#[test]
fn a_target_cuts_a_list_or_is_grown_to() {
    assert_eq!(ramp("days = [50, 100, 200]").caps(), [50, 100, 200]);
    assert_eq!(
        ramp("days = [50, 100, 200]\ntarget = 150").caps(),
        [50, 100, 150]
    );
    assert_eq!(
        ramp("days = [50, 100, 200]\ntarget = 100").caps(),
        [50, 100]
    );
    assert_eq!(ramp("days = [50, 100, 200]\ntarget = 30").caps(), [30]);
    let grown = ramp("days = [100]\ntarget = 200\ngrowth_per_week = \"50%\"");
    assert_eq!(
        grown.caps(),
        [
            100, 106, 112, 119, 126, 134, 142, 150, 159, 168, 178, 189, 200
        ]
    );
}

#[test]
fn a_provider_may_get_another_share_and_never_less_than_one() {
    let ramp = ramp("days = [1, 55, 200]\nproviders = { microsoft = 0.5, tiny = 0.01 }");
    assert_eq!(ramp.cap(2, None), 55);
    assert_eq!(ramp.cap(2, Some("google")), 55);
    assert_eq!(ramp.cap(2, Some("microsoft")), 27);
    assert_eq!(ramp.cap(1, Some("microsoft")), 1);
    assert_eq!(ramp.cap(3, Some("tiny")), 2);
    assert_eq!(ramp.cap(9, None), 200);
}

#[test]
fn a_volume_has_a_stage() {
    let ramp = ramp("days = [50, 100, 100, 200]");
    let stages = [0, 50, 99, 100, 199, 200, 1_000].map(|volume| ramp.stage_of(volume));
    assert_eq!(stages, [1, 1, 1, 3, 3, 4, 4]);
}

#[test]
fn every_mistake_is_named() {
    assert_eq!(keys("days = [1]"), Vec::<String>::new());
    assert_eq!(keys(""), ["days"]);
    assert_eq!(
        keys("days = [1]\nweeks = [{ from = 1, to = 2 }]"),
        ["weeks"]
    );
    assert_eq!(
        keys("days = [50, 40, 0]"),
        ["days[1]", "days[2]", "days[2]"]
    );
    assert_eq!(
        keys("weeks = [{ from = 0, to = 10 }, { from = 5, to = 4 }]"),
        ["weeks[0].from", "weeks[1].from", "weeks[1].to"]
    );
    assert_eq!(
        keys("days = [50]\ngrowth_per_week = \"60%\"\ntarget = 0"),
        ["growth_per_week", "target"]
    );
    assert_eq!(
        keys("days = [50]\ngrowth_per_week = \"4%\"\ntarget = 100"),
        ["growth_per_week"]
    );
    assert_eq!(keys("days = [50]\ngrowth_per_week = \"40%\""), ["target"]);
    assert_eq!(keys("days = [50]\ntarget = 51"), ["target"]);
    assert_eq!(
        keys("days = [50]\ntarget = 900000000\ngrowth_per_week = \"5%\""),
        ["target"]
    );
    assert_eq!(
        keys("days = [50]\nproviders = { a = 0.0, b = -1.0, c = 11.0, d = nan, e = 1.0 }"),
        ["providers.a", "providers.b", "providers.c", "providers.d"]
    );
    let long = format!("days = {:?}", vec![5; 731]);
    assert_eq!(keys(&long), ["days"]);
    assert!(toml::from_str::<Schedule>("day = [1]").is_err());
}

proptest! {
    #[test]
    fn caps_never_shrink_and_end_at_the_target(
        first in 1u64..5_000, rises in prop::collection::vec(0u64..3_000, 0..40),
        growth in 5u32..=50, target in 1u64..100_000,
    ) {
        let mut days = vec![first];
        days.extend(rises.iter().scan(first, |cap, rise| { *cap += rise; Some(*cap) }));
        let schedule = Schedule {
            days, growth_per_week: Some(Share::percent(growth)), target: Some(target), ..Schedule::default()
        };
        let Ok(ramp) = schedule.compile("p", Own::default()) else {
            // Only slow growth to a far target takes too long.
            prop_assert!(growth < 8);
            return Ok(());
        };
        prop_assert!(ramp.caps().is_sorted() && ramp.caps()[0] >= 1);
        prop_assert_eq!(ramp.volume(ramp.stages()), target);
        for stage in 1..=ramp.stages() {
            prop_assert!(ramp.volume(ramp.stage_of(ramp.volume(stage))) == ramp.volume(stage));
        }
    }
}

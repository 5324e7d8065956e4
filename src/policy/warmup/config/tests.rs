use super::*;

fn config(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

fn keys(check: impl FnOnce(&mut Problems)) -> Vec<String> {
    let mut problems = Problems::default();
    check(&mut problems);
    assert!(
        problems
            .0
            .iter()
            .all(|p| !p.message.is_empty() && !p.remedy.is_empty())
    );
    problems.0.into_iter().map(|p| p.key).collect()
}

fn of_config(text: &str) -> Vec<String> {
    keys(|problems| config(text).validate("warmup", problems))
}

fn of_source(text: &str) -> Vec<String> {
    let source: SourceWarmup = toml::from_str(text).unwrap();
    let config = config("[schedule.mine]\ndays = [10, 20]\n[schedule.broken]\ndays = [0]");
    keys(|problems| source.validate("source[0].warmup", &config, &["warm"], problems))
}

#[test]
fn the_defaults_are_good_and_read_back_as_written() {
    assert_eq!(of_config(""), Vec::<String>::new());
    let text = toml::to_string(&Config::default()).unwrap();
    assert_eq!(config(&text), Config::default());
    assert!(text.contains("complaints = \"0.1%\""), "{text}");
    let source = SourceWarmup {
        started: Some(jiff::civil::date(2026, 11, 1)),
        target: Some(50_000),
        overflow: Overflow::Pool("warm".into()),
        ..SourceWarmup::default()
    };
    let text = toml::to_string(&source).unwrap();
    assert_eq!(toml::from_str::<SourceWarmup>(&text).unwrap(), source);
    assert!(text.contains("started = \"2026-11-01\""), "{text}");
}

#[test]
fn every_mistake_of_the_section_is_named() {
    let all = r#"
        zone = "Europe/Atlantis"
        lease = "11%"
        pause = "59s"
        max_pause = "1s"
        rewarm_after = "23h"
        engagement_aging = "999ms"
        [gate]
        used = "0%"
        window = 0
        min_samples = 0
        min_events = 0
        hold = { bounces = "6%" }
        roll_back = { deferrals = "101%", blocks = "0%" }
        [schedule.x]
        days = [2, 1]
    "#;
    let expected = [
        "zone",
        "lease",
        "pause",
        "max_pause",
        "rewarm_after",
        "engagement_aging",
        "gate.used",
        "gate.window",
        "gate.min_samples",
        "gate.min_events",
        "gate.roll_back.bounces",
        "gate.roll_back.deferrals",
        "gate.roll_back.blocks",
        "gate.roll_back.blocks",
        "schedule.x.days[1]",
    ];
    let expected = expected.map(|key| format!("warmup.{key}"));
    assert_eq!(of_config(all), expected);
}

#[test]
fn every_mistake_of_a_source_is_named() {
    assert_eq!(of_source(""), Vec::<String>::new());
    assert_eq!(
        of_source("schedule = \"mine\"\noverflow = \"warm\""),
        Vec::<String>::new()
    );
    assert_eq!(
        of_source("schedule = \"none\"\noverflow = \"cold\""),
        ["source[0].warmup.schedule", "source[0].warmup.overflow"]
    );
    assert_eq!(
        of_source("schedule = \"mine\"\ntarget = 30"),
        ["source[0].warmup.target"]
    );
    assert_eq!(
        of_source("target = 0\ngrowth_per_week = \"90%\""),
        [
            "source[0].warmup.growth_per_week",
            "source[0].warmup.target"
        ]
    );
    // Told at the schedule.
    assert_eq!(of_source("schedule = \"broken\""), Vec::<String>::new());
    assert!(toml::from_str::<SourceWarmup>("started = \"2026-02-30\"").is_err());
}

#[test]
fn a_schedule_of_the_operator_takes_the_place_of_one_that_comes_with_the_program() {
    let config = config("[schedule.standard]\ndays = [7]");
    assert_eq!(config.schedule("standard").unwrap().days, [7]);
    assert!(config.schedule("ses-like").is_some());
    assert!(config.schedule("unheard-of").is_none());
    let source = SourceWarmup::default();
    assert_eq!(source.ramp(&config).unwrap().caps(), [7]);
}

#[test]
fn rules_are_made_of_what_is_good_and_refuse_what_is_not() {
    use crate::policy::warmup::Rules;
    let source = SourceWarmup::default();
    let rules = Rules::new(&Config::default(), [("ip-a", &source)]).unwrap();
    assert_eq!(rules.source("ip-a").unwrap().ramp.stages(), 88);
    assert!(rules.source("ip-b").is_none());
    let lost = SourceWarmup {
        schedule: "none".into(),
        ..source
    };
    let Err(problems) = Rules::new(&config("zone = \"x\""), [("ip-a", &lost)]) else {
        panic!("taken");
    };
    assert_eq!(problems.0.len(), 2);
}

#[test]
fn pauses_double_up_to_the_longest() {
    let rules = crate::policy::warmup::Rules::new(&Config::default(), []).unwrap();
    let hours = [0, 1, 2, 3, 4, 5, 40].map(|strike| rules.pauses.length(strike).as_secs() / 3600);
    assert_eq!(hours, [4, 4, 8, 16, 32, 48, 48]);
}

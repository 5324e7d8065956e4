use crate::cli::Exit;
use crate::cli::tests::{asked_of, mailwright};
use crate::http::Steer;
use crate::policy::warmup::{Plan, Position, Stage};

/// A configuration with a source that warms and one that does not.
fn configuration(dir: &std::path::Path) -> String {
    let file = dir.join("mailwright.toml");
    let text = r#"
        [[source]]
        name = "ip-a"
        address = "127.0.0.1"
        ehlo = "a.example.com"
        warmup = { schedule = "short", started = "2026-11-01" }
        [[source]]
        name = "ip-b"
        address = "127.0.0.2"
        ehlo = "b.example.com"
        [warmup.schedule.short]
        days = [50, 100, 200]
        providers = { outlook = 0.5 }
    "#;
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// `warmup plan MORE` with that configuration.
fn plan(more: &str) -> (Exit, String) {
    let dir = tempfile::tempdir().unwrap();
    let config = configuration(dir.path());
    let more = more.split_whitespace();
    let words: Vec<&str> = ["warmup", "plan", "--config", &config]
        .into_iter()
        .chain(more)
        .collect();
    mailwright(&words)
}

#[test]
fn a_plan_says_first_how_long_a_list_takes_and_then_has_a_calendar() {
    let (exit, text) = plan("--source ip-a --start 2099-11-01 --list 551");
    let expected = "\
schedule     short, 3 sending days
full volume  2099-11-03, 200 a day
no cap from  2099-11-04
spread       none
a list of 551 takes 5 days, until 2099-11-05

DATE        DAY  CAP  CUMULATIVE
2099-11-01    1   50          50
2099-11-02    2  100         150
2099-11-03    3  200         350
";
    assert_eq!((exit, text.as_str()), (Exit::Ok, expected));
}

#[test]
fn a_plan_that_began_marks_today_and_says_what_it_supposes() {
    let schedule: crate::policy::warmup::Schedule =
        toml::from_str("days = [50, 100, 200]\nspread = \"08:00-20:00\"").unwrap();
    let config = crate::policy::warmup::Config {
        schedule: [("short".to_owned(), schedule)].into(),
        ..Default::default()
    };
    let warmup = crate::policy::warmup::SourceWarmup {
        schedule: "short".into(),
        ..Default::default()
    };
    let ramp = warmup.ramp(&config).unwrap();
    let [first, second] = [1, 2].map(|day| jiff::civil::date(2026, 11, day));
    let plan = crate::policy::warmup::plan(&ramp, first, None);
    let mut out = Vec::new();
    super::table::plan(&plan, &ramp, second, &mut out).unwrap();
    let expected = "\
schedule     short, 3 sending days
holds        if every day since 2026-11-01 had been a good one
full volume  2026-11-03, 200 a day
no cap from  2026-11-04
spread       08:00-20:00

DATE        DAY  CAP  CUMULATIVE
2026-11-01    1   50          50
2026-11-02    2  100         150  today
2026-11-03    3  200         350
";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn a_plan_for_a_provider_that_nobody_knows_is_refused() {
    assert_eq!(plan("--source ip-a --provider gogle").0, Exit::Data);
    assert_eq!(plan("--source ip-a --provider google").0, Exit::Ok);
    assert_eq!(plan("--source ip-a --provider *").0, Exit::Ok);
}

#[test]
fn a_plan_for_a_provider_has_its_share_of_the_caps() {
    let (exit, text) = plan("--source ip-a --provider outlook --format json");
    let plan: Plan = serde_json::from_str(&text).unwrap();
    let caps: Vec<u64> = plan.rows.iter().map(|row| row.cap).collect();
    assert_eq!((exit, caps), (Exit::Ok, vec![25, 50, 100]));
    assert_eq!(plan.rows[2].cumulative, 175);
    assert_eq!(plan.schedule, "short, outlook");
}

#[test]
fn a_shipped_schedule_is_planned_to_a_target_from_a_date() {
    let options = "--schedule standard --start 2026-11-01 --target 100000 --format json";
    let (exit, text) = plan(options);
    assert_eq!(exit, Exit::Ok);
    let plan: Plan = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (plan.rows[0].cap, plan.rows[0].date),
        (50, jiff::civil::date(2026, 11, 1))
    );
    assert_eq!(plan.rows.last().map(|row| row.cap), Some(100_000));
    let (exit, text) = plan_starting_today();
    assert_eq!((exit, text.lines().count()), (Exit::Ok, 10));
}

fn plan_starting_today() -> (Exit, String) {
    plan("--schedule short --list 1")
}

#[test]
fn what_cannot_be_planned_says_what_can() {
    assert_eq!(plan("").0, Exit::Usage);
    assert_eq!(plan("--schedule short --source ip-a").0, Exit::Usage);
    assert_eq!(plan("--schedule short --start tomorrow").0, Exit::Usage);
    let (config, warmup) = (
        crate::policy::warmup::Config::default(),
        super::plan::faults,
    );
    let unknown = crate::policy::warmup::SourceWarmup {
        schedule: "standrd".into(),
        ..Default::default()
    };
    let failure = warmup(&unknown, &config);
    assert_eq!(failure.exit, Exit::Data);
    for name in [
        "no schedule \"standrd\"",
        "standard",
        "ses-like",
        "sendgrid-like",
    ] {
        assert!(failure.message.contains(name), "{}", failure.message);
    }
    for bad in [
        "--schedule standrd",
        "--schedule short --target 400",
        "--source ip-b",
        "--source ip-z",
    ] {
        assert_eq!(plan(bad).0, Exit::Data, "{bad}");
    }
}

#[tokio::test]
async fn show_prints_a_line_each_or_json() {
    let (exit, text, _) = asked_of(&["warmup", "show", "--source", "ip-a", "--rates"]).await;
    let expected = "\
SOURCE  PROVIDER  STATE  STAGE  PLAN  CAP  USED  LEFT  UNTIL  BECAUSE
ip-a    google    held   3/64   5/64   67    67     0      -  held at stage 3: deferrals 15 of 135 (11.11 %)
ip-a    *         held   3/64   5/64   67    67     0      -  held at stage 3: deferrals 15 of 135 (11.11 %)

SOURCE  PROVIDER  DAY  BOUNCES      BLOCKS  DEFERRALS      COMPLAINTS
ip-a    google      3  3/120 2.50%  0/120   15/135 11.11%  0/0
ip-a    *           3  3/120 2.50%  0/120   15/135 11.11%  0/0
";
    assert_eq!((exit, text.as_str()), (Exit::Ok, expected));
    let (_, plain, _) = asked_of(&["warmup", "show"]).await;
    assert!(!plain.contains("BOUNCES"), "{plain}");
    let (_, json, _) = asked_of(&["warmup", "show", "--format", "json"]).await;
    let first: Position = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(
        (first.provider.as_str(), json.lines().count()),
        ("google", 2)
    );
    assert_eq!(
        asked_of(&["warmup", "show", "--source", "ip-z"]).await.0,
        Exit::Data
    );
}

#[tokio::test]
async fn a_provider_that_nothing_knows_is_said_to_be_none() {
    let (exit, text, _) = asked_of(&["warmup", "show", "--provider", "gogle"]).await;
    assert_eq!((exit, text.as_str()), (Exit::Data, ""));
    let known = ["*", "google"].map(String::from).into();
    assert_eq!(
        super::no_such_provider("gogle", &known).message,
        "no such provider \"gogle\" in the warm-up: those with mail so far are *, google"
    );
    let (exit, text, _) = asked_of(&["warmup", "show", "--provider", "*"]).await;
    assert_eq!((exit, text.lines().count()), (Exit::Ok, 2));
}

#[test]
fn what_a_spread_has_released_is_told_where_it_holds_some_back() {
    let mut position = crate::http::tests::sample::position("google");
    if let Some(budget) = &mut position.budget {
        budget.released = 30;
    }
    let now = crate::http::tests::sample::NOW;
    position.until = Some(now + std::time::Duration::from_secs(3600));
    let mut out = Vec::new();
    super::table::positions(&[position], now, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("CAP  RELEASED  USED"), "{text}");
    assert!(text.contains("67        30    67"), "{text}");
    assert!(text.contains("2026-11-03 16:00:00Z, in 1 h"), "{text}");
}

/// The one order that a command gave.
async fn order(words: &str) -> Steer {
    let words: Vec<&str> = words.split(' ').collect();
    let (exit, text, daemon) = asked_of(&words).await;
    assert_eq!(exit, Exit::Ok, "{words:?}");
    assert!(text.contains("ip-a"), "{text}");
    daemon.orders.lock().remove(0)
}

#[tokio::test]
async fn orders_reach_the_daemon() {
    let Steer::Pause(pause) =
        order("warmup pause ip-a google --why odd --until 2099-01-01T00:00:00Z").await
    else {
        panic!("it is no pause");
    };
    assert_eq!(
        (pause.provider.as_deref(), pause.why.as_deref()),
        (Some("google"), Some("odd"))
    );
    assert_eq!(pause.until.unwrap().to_string(), "2099-01-01T00:00:00.000Z");
    let Steer::Pause(pause) = order("warmup pause ip-a --for 4h").await else {
        panic!("it is no pause");
    };
    // Its clock decides, not ours.
    assert_eq!(
        (pause.until, pause.span.unwrap().to_string()),
        (None, "4h".to_owned())
    );
    assert_eq!(pause.provider, None);
    let Steer::Resume(resume) = order("warmup resume ip-a *").await else {
        panic!("it is no resumption");
    };
    assert_eq!(resume.provider.as_deref(), Some("*"));
    let Steer::Set(set) = order("warmup set ip-a google 5").await else {
        panic!("it sets nothing");
    };
    assert_eq!(
        (set.provider.as_deref(), set.stage),
        (Some("google"), Stage::At(5))
    );
    let Steer::Set(set) = order("warmup set ip-a warm").await else {
        panic!("it sets nothing");
    };
    assert_eq!((set.provider, set.stage), (None, Stage::Warm));
}

#[tokio::test]
async fn what_a_stage_that_is_set_comes_to_is_the_first_thing_that_is_said() {
    let (_, text, _) = asked_of(&["warmup", "set", "ip-a", "google", "3"]).await;
    assert!(
        text.starts_with("ip-a to google: held at stage 3:"),
        "{text}"
    );
    assert!(text.contains("\n\nSOURCE  PROVIDER"), "{text}");
    let words = ["warmup", "set", "ip-a", "google", "3", "--format", "json"];
    let (_, text, _) = asked_of(&words).await;
    let position: Position = serde_json::from_str(&text).unwrap();
    assert!(position.because.unwrap().starts_with("held at stage 3:"));
}

#[test]
fn the_help_of_resume_says_that_providers_go_on_with_their_source() {
    let (_, text) = mailwright(&["warmup", "resume", "--help"]);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("that of the source as a whole and those of all its providers"),
        "{text}"
    );
}

#[tokio::test]
async fn orders_that_cannot_be_carried_out_end_with_the_code_for_it() {
    for (words, expected) in [
        ("warmup set ip-z 1", Exit::Data),
        ("warmup set ip-a 99", Exit::Data),
        ("warmup resume ip-down", Exit::TemporaryFailure),
        ("warmup set ip-a 0", Exit::Usage),
        ("warmup set ip-a", Exit::Usage),
        ("warmup pause ip-a --for soon", Exit::Usage),
        ("warmup pause ip-a --until soon", Exit::Usage),
        (
            "warmup pause ip-a --for 4h --until 2099-01-01T00:00:00Z",
            Exit::Usage,
        ),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        assert_eq!(asked_of(&words).await.0, expected, "{words:?}");
    }
}

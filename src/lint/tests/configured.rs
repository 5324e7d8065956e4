//! Levels as they are configured.

use super::super::{AtSubmission, Config, SetLevel, Settings, TenantConfig, blocks};
use super::*;
use crate::mail::Stream;
use crate::problem::Problems;

fn levels(list: &[(&str, SetLevel)]) -> std::collections::BTreeMap<String, SetLevel> {
    let list = list.iter();
    list.map(|(key, level)| ((*key).to_owned(), *level))
        .collect()
}

fn settings() -> Settings {
    let config = Config {
        at_submission: AtSubmission::Warn,
        rules: levels(&[("L14", SetLevel::Block), ("list-id-missing", SetLevel::Off)]),
        transactional: levels(&[("L22", SetLevel::Warn)]),
        ..Config::default()
    };
    let acme = TenantConfig {
        at_submission: Some(AtSubmission::Block),
        rules: levels(&[("L14", SetLevel::Info), ("one-click-value", SetLevel::Warn)]),
        ..TenantConfig::default()
    };
    Settings::new(&config, [("acme", &acme)])
}

#[test]
fn a_tenants_levels_go_before_the_common_ones_and_a_name_before_its_family() {
    let settings = settings();
    let text = with("List-Id: News <news.acme.example>\r\n", "")
        .replace("List-Unsubscribe=One-Click", "x");
    let found = || of(&text, &Facts::default());
    assert_eq!(names(&found()), ["one-click-value", "list-id-missing"]);
    let common = settings.judge(found(), None, None);
    assert_eq!(names(&common), ["one-click-value"]);
    assert!(blocks(&common));
    let acmes = settings.judge(found(), Some("acme"), Some(Stream::Marketing));
    assert_eq!(
        acmes.iter().map(|f| f.level).collect::<Vec<_>>(),
        [Level::Warn]
    );

    let html = with("text/plain", "text/other");
    let info = settings.judge(of(&html, &Facts::default()), None, None);
    assert_eq!(
        (names(&info), info[0].level),
        (vec!["html-only"], Level::Info)
    );
    let warn = settings.judge(info, None, Some(Stream::Transactional));
    assert_eq!(warn[0].level, Level::Warn);
}

#[test]
fn what_is_put_right_stays_so_whatever_its_level() {
    let strict = Config {
        rules: levels(&[("L02", SetLevel::Block)]),
        ..Config::default()
    };
    let found = of(
        &with("Message-ID: <1@acme.example>\r\n", ""),
        &Facts::default(),
    );
    let judged = Settings::new(&strict, []).judge(found, None, None);
    assert_eq!(judged[0].level, Level::Fix);
}

#[test]
fn submission_is_by_tenant() {
    let settings = settings();
    assert_eq!(settings.at_submission(None), AtSubmission::Warn);
    assert_eq!(settings.at_submission(Some("other")), AtSubmission::Warn);
    assert_eq!(settings.at_submission(Some("acme")), AtSubmission::Block);
    assert!(settings.is_on());
    assert!(!Settings::default().is_on());
}

#[test]
fn every_mistake_is_told_with_its_key() {
    let wrong = Config {
        bulk_from: 0,
        body_limit: crate::units::Size::mib(100),
        rules: levels(&[
            ("L99", SetLevel::Off),
            ("one-klick-missing", SetLevel::Off),
            ("L01", SetLevel::Off),
        ]),
        marketing: levels(&[("nonsense-of-a-rule", SetLevel::Off)]),
        ..Config::default()
    };
    let mut problems = Problems::default();
    wrong.validate("lint", &mut problems);
    let told: Vec<_> = problems
        .0
        .iter()
        .map(|p| (p.key.as_str(), p.remedy.as_str()))
        .collect();
    assert_eq!(told.len(), 5);
    assert_eq!(told[0].0, "lint.bulk_from");
    assert_eq!(told[1].0, "lint.body_limit");
    assert_eq!(told[2].0, "lint.rules.L99");
    assert_eq!(
        told[3],
        (
            "lint.rules.one-klick-missing",
            "did you mean \"one-click-missing\"?"
        )
    );
    assert!(told[4].0 == "lint.marketing.nonsense-of-a-rule" && told[4].1.contains("--rules"));
}

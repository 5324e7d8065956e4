use super::check::validate_list;
use super::shipped::Shipped;
use super::*;
use crate::mail::Severity;
use proptest::prelude::*;

fn shipped() -> Shipped {
    let mut problems = Problems::default();
    let shipped = Shipped::read(&mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    shipped
}

fn finding(said: &str, command: &str) -> (BounceClass, Option<Subject>) {
    let classifier = Classifier::new().unwrap();
    let found = classifier.ruling(&Seen::read(said, command, None)).finding;
    (found.class, found.subject)
}

#[test]
fn shipped_rules_are_alive_and_none_reaches_too_far() {
    let shipped = shipped();
    let mut problems = Problems::default();
    validate_list(&shipped.rule, "rule", &mut problems);
    validate_list(&shipped.fallback, "fallback", &mut problems);
    let told: Vec<String> = problems
        .0
        .iter()
        .map(|p| format!("{}: {}", p.key, p.message))
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

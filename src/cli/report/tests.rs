use super::*;
use crate::policy::reputation::{Slice, Window};
use std::collections::BTreeMap;

fn row(slice: &str, hard: u64, delivered: u64) -> Row {
    let counts = [
        ("hard", hard),
        ("delivered", delivered),
        ("attempts", hard + delivered),
    ];
    let whole = hard + delivered;
    Row {
        slice: slice.parse::<Slice>().unwrap(),
        by: "campaign".into(),
        window: Window::Day,
        counts: counts
            .iter()
            .map(|(name, n)| ((*name).to_owned(), *n))
            .collect::<BTreeMap<_, _>>(),
        answered: whole,
        rates: vec![Rated {
            rate: Rate::Bounce,
            numerator: hard,
            denominator: whole,
            value: Some(hard as f64 / whole as f64),
            before: Some(0.01),
            watch: 0.02,
            act: 0.05,
            standing: Standing::Watch,
            advice: Some("clean the list".into()),
        }],
        hold: None,
    }
}

#[test]
fn a_line_has_counts_rates_with_what_they_are_of_and_what_to_do() {
    let mut out = Vec::new();
    table(&[row("campaign/acme/spring", 30, 970)], "24h", &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("3.00 % of 1000 ↑ watch"), "{text}");
    let advice = "campaign/acme/spring: bounces 3.00 % (30 of 1000), over 2.00 %: clean the list";
    assert!(text.contains(advice), "{text}");
}

#[test]
fn csv_quotes_and_has_every_column() {
    let mut out = Vec::new();
    csv(&[row("campaign/acme/a, \"b\"", 1, 9)], &mut out).unwrap();
    let mut reader = csv::Reader::from_reader(out.as_slice());
    let width = reader.headers().unwrap().len();
    let record = reader.records().next().unwrap().unwrap();
    // Only one of the three rates is there.
    assert_eq!(record.get(0), Some("campaign/acme/a, \"b\""));
    assert_eq!(width, 4 + Metric::ALL.len() + 3 * 7 + 1);
}

#[test]
fn a_page_escapes_what_others_chose() {
    let mut out = Vec::new();
    let rows = [row("campaign/acme/<script>", 30, 970)];
    html::page(&rows, "24h", crate::units::Timestamp::default(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("campaign/acme/&lt;script&gt;"));
    assert!(!text.contains("<script"));
}

#[test]
fn nothing_sent_is_said() {
    let mut out = Vec::new();
    table(&[], "1h", &mut out).unwrap();
    assert_eq!(out, b"nothing was sent within 1h\n");
}

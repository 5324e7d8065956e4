use super::*;
use crate::bounce::replies::ReplyPattern;
use crate::mail::BounceClass;
use crate::outside::{Book, Certificate, Fault, Subject, What};
use crate::policy::reputation::{Slice, Stopped, Window};
use crate::units::Timestamp;
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
        slow: None,
    }
}

fn outside() -> Book {
    let subject = Subject {
        what: What::Listed,
        name: "ip-a".into(),
        address: "192.0.2.10".parse().ok(),
        zone: Some("bl.test".into()),
    };
    Book {
        checked: Some(Timestamp::default()),
        faults: vec![Fault {
            subject,
            since: Timestamp::default(),
            rounds: 2,
            detail: "127.0.0.2: see <https://bl.test>".into(),
        }],
        certificates: vec![Certificate {
            file: "tls/a.pem".into(),
            expires: Timestamp::default(),
            told: None,
        }],
    }
}

fn report(slice: &str, hard: u64, delivered: u64) -> Report {
    Report {
        since: Window::Day,
        at: Timestamp::default(),
        slices: vec![row(slice, hard, delivered)],
        replies: vec![ReplyPattern {
            pattern: "550 5.7.1 blocked, see {url}".into(),
            provider: "yahoo".into(),
            count: 7,
            over: 0,
            first: Timestamp::default(),
            last: Timestamp::default(),
            example: "550 5.7.1 blocked, see https://example.net/<a>".into(),
            class: BounceClass::Block,
            subject: Some(crate::mail::Subject::SourceIp),
            matched: true,
            rule: Some("listed".into()),
            help: "ask to be taken off".into(),
        }],
        outside: outside(),
        suppressed: vec![Stopped {
            reason: "hard".into(),
            scope: "tenant/acme".into(),
            listed: 3,
            listed_before: 1,
            unlisted: 0,
            refused: 12,
            dropped: 2,
        }],
    }
}

fn told(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_line_has_counts_rates_with_what_they_are_of_and_what_to_do() {
    let report = report("campaign/acme/spring", 30, 970);
    let text = told(|out| table(&report, &Section::ALL, out).unwrap());
    for said in [
        "3.00 % of 1000 ↑ watch",
        "campaign/acme/spring: bounces 3.00 % (30 of 1000), over 2.00 %: clean the list",
        "550 5.7.1 blocked, see {url}\n  such as: 550 5.7.1 blocked, see https://example.net/<a>\n  ask to be taken off (rule listed)",
        "3 addresses listed, 0 taken off; 12 recipients refused at submission, 2 dropped",
        "3 ↑",
        "listed  ip-a     192.0.2.10  bl.test",
        "how others see us; looked at 1970-01-01T00:00:00.000Z",
        "tls/a.pem expires 1970-01-01T00:00:00.000Z",
    ] {
        assert!(text.contains(said), "{said} is not in {text}");
    }
    let text = told(|out| table(&report, &[Section::Suppressed], out).unwrap());
    assert!(!text.contains("campaign/"), "{text}");
}

#[test]
fn json_has_a_line_for_each_and_says_of_which_part_it_is() {
    let report = report("campaign/acme/spring", 1, 9);
    let text = told(|out| lines(&report, &Section::ALL, out).unwrap());
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<serde_json::Value> = lines.collect();
    let parts: Vec<&str> = lines
        .iter()
        .map(|l| l["section"].as_str().unwrap())
        .collect();
    assert_eq!(parts, ["slices", "replies", "suppressed", "outside"]);
    assert_eq!(
        (&lines[3]["what"], &lines[3]["zone"]),
        (&"listed".into(), &"bl.test".into())
    );
    assert_eq!(lines[1]["count"], 7);
}

#[test]
fn csv_quotes_and_has_every_column() {
    let report = report("campaign/acme/a, \"b\"", 1, 9);
    let of = |section: Section| {
        let text = told(|out| csv::write(&report, &[section], out).unwrap());
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        let width = reader.headers().unwrap().len();
        (reader.records().next().unwrap().unwrap(), width)
    };
    // Only one of the four rates is there.
    let (record, width) = of(Section::Slices);
    assert_eq!(record.get(0), Some("campaign/acme/a, \"b\""));
    assert_eq!(width, 4 + Metric::ALL.len() + 4 * 7 + 3);
    let (record, width) = of(Section::Replies);
    assert_eq!((record.get(3), width), (Some("7"), 12));
    let (record, width) = of(Section::Suppressed);
    assert_eq!((record.get(6), width), (Some("12"), 8));
    let many = csv::write(&report, &Section::ALL, &mut Vec::new());
    assert!(many.unwrap_err().message.contains("--section"));
}

#[test]
fn a_page_escapes_what_others_chose() {
    let report = report("campaign/acme/<script>", 30, 970);
    let text = told(|out| html::page(&report, &Section::ALL, out).unwrap());
    assert!(text.contains("campaign/acme/&lt;script&gt;"));
    assert!(!text.contains("<script") && !text.contains("<a>"));
    assert!(text.contains("What was suppressed"));
}

#[test]
fn nothing_sent_is_said() {
    let text = told(|out| slices(&[], "1h", out).unwrap());
    assert_eq!(text, "nothing was sent within 1h\n");
}

use super::book::{Change, Heard};
use super::*;
use crate::units::Timestamp;

const DAY: Duration = Duration::from_secs(86_400);

fn subject(what: What) -> Subject {
    Subject {
        what,
        name: "ip-a".into(),
        address: "192.0.2.10".parse().ok(),
        zone: (what == What::Listed).then(|| "bl.test".into()),
    }
}

fn heard(what: What, wrong: Option<&str>) -> Heard {
    Heard {
        subject: subject(what),
        wrong: wrong.map(str::to_owned),
    }
}

fn at(n: u64) -> Timestamp {
    Timestamp::from_millis(1_795_348_800_000) + DAY * u32::try_from(n).unwrap()
}

/// `+`: begun, `-`: ended, `.`: nothing is told.
fn tell(change: &Option<Change>) -> char {
    match change {
        Some(Change::Begun(_)) => '+',
        Some(Change::Ended(_)) => '-',
        Some(_) => '?',
        None => '.',
    }
}

#[test]
fn two_in_a_row_are_told_once_and_a_good_answer_ends_it() {
    let told = |what, answers: &str| -> String {
        let mut book = Book::default();
        let hear = |(n, answer): (usize, char)| {
            let wrong = (answer == 'x').then_some("127.0.0.2");
            tell(&book.hear(heard(what, wrong), at(n as u64)))
        };
        answers.chars().enumerate().map(hear).collect()
    };
    assert_eq!(told(What::Listed, "x"), ".");
    assert_eq!(told(What::Listed, "xoxoxo"), "......");
    assert_eq!(told(What::Listed, "xxxxooxx"), ".+..-..+");
    assert_eq!(told(What::Ptr, "oxxo"), "..+-");
    assert_eq!(told(What::Refused, "xxoox"), "+.-.+");
}

#[test]
fn what_hinders_a_source_is_certain_and_of_a_list_that_counts() {
    let mut book = Book::default();
    let hindrances = |book: &Book, holds: bool| {
        let all = book.hindrances(|_| holds);
        all.get("ip-a").map(|text| text.to_string())
    };
    book.hear(heard(What::Listed, Some("127.0.0.2")), at(0));
    assert_eq!(hindrances(&book, true), None);
    book.hear(heard(What::Listed, Some("127.0.0.2")), at(1));
    assert_eq!(
        hindrances(&book, true).as_deref(),
        Some("listed at bl.test (127.0.0.2)")
    );
    assert_eq!(hindrances(&book, false), None);
    for n in 2..4 {
        book.hear(heard(What::Ehlo, Some("other")), at(n));
        book.hear(heard(What::Ptr, Some("192.0.2.10 has no PTR")), at(n));
    }
    assert_eq!(
        hindrances(&book, false).as_deref(),
        Some("192.0.2.10 has no PTR")
    );
    // As it is kept.
    let text = serde_json::to_vec(&book).unwrap();
    assert_eq!(serde_json::from_slice::<Book>(&text).unwrap(), book);
    book.keep(|_| false, &[]);
    assert_eq!(hindrances(&book, true), None);
}

/// Once a list that shut down held a warm-up for ever.
#[test]
fn what_a_list_said_before_it_refused_hinders_nobody() {
    let mut book = Book::default();
    for n in 0..2 {
        book.hear(heard(What::Listed, Some("127.0.0.2")), at(n));
    }
    assert_eq!(book.hindrances(|_| true).len(), 1);
    let refusal = |wrong: Option<&str>| Heard {
        subject: Subject {
            what: What::Refused,
            name: "bl.test".into(),
            address: None,
            zone: Some("bl.test".into()),
        },
        wrong: wrong.map(str::to_owned),
    };
    book.hear(refusal(Some("127.255.255.254")), at(2));
    assert!(book.hindrances(|_| true).is_empty());
    for n in 3..5 {
        book.hear(refusal(None), at(n));
    }
    assert_eq!(book.hindrances(|_| true).len(), 1, "it still lists it");
}

#[test]
fn a_certificate_is_told_at_each_step_once_and_when_it_is_renewed() {
    let mut book = Book::default();
    let mut told = |n: u64, expires: u64| match book.see("a.pem", at(expires), at(n)) {
        Some(Change::Expires(_, days)) => days.to_string(),
        Some(Change::Renewed(_)) => "renewed".to_owned(),
        _ => "-".to_owned(),
    };
    let steps = [0, 9, 10, 24, 25, 28, 29, 30, 31].map(|n| told(n, 30));
    assert_eq!(
        steps,
        ["-", "21", "-", "7", "-", "-", "1", "0", "-"].map(str::to_owned)
    );
    assert_eq!(told(31, 121), "renewed");
    assert_eq!(told(32, 121), "-");
    assert_eq!(told(115, 121), "7");
    assert_eq!(told(116, 130), "21");
}

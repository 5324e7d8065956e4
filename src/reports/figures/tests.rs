use super::*;
use proptest::prelude::*;

fn number(figure: &Figure, name: &str) -> f64 {
    match figure.values.get(name) {
        Some(Value::Number(number)) => *number,
        other => panic!("{name}: {other:?} in {figure:?}"),
    }
}

#[test]
fn days_of_the_first_api_are_read_alone_and_in_lists() {
    let one = r#"{"name": "domains/acme.example/trafficStats/20261126", "userReportedSpamRatio": 0.002,
        "domainReputation": "HIGH", "dkimSuccessRatio": 1, "outboundEncryptionRatio": 0.99,
        "ipReputations": [{"reputation": "BAD", "ipCount": "3", "sampleIps": ["192.0.2.1"]}],
        "deliveryErrors": [{"errorClass": "TEMPORARY_ERROR", "errorType": "RATE_LIMIT_EXCEEDED", "errorRatio": 0.01}],
        "spammyFeedbackLoops": [{"id": "Spring-1", "spamRatio": 0.1}]}"#;
    for text in [one.to_owned(), format!(r#"{{"trafficStats": [{one}]}}"#)] {
        assert!(is_postmaster(&text));
        let read = postmaster(&text).unwrap();
        let [figure] = read.figures.as_slice() else {
            panic!("{read:?}")
        };
        assert_eq!(
            (figure.subject.as_deref(), figure.day.to_string()),
            (Some("acme.example"), "2026-11-26".into())
        );
        assert_eq!(number(figure, "spam_rate"), 0.002);
        assert_eq!(number(figure, "ip_reputation.bad"), 3.0);
        assert_eq!(number(figure, "delivery_error.rate_limit_exceeded"), 0.01);
        assert_eq!(number(figure, "feedback_loop.spring_1"), 0.1);
        assert_eq!(
            figure.values["domain_reputation"],
            Value::Text("HIGH".into())
        );
    }
}

#[test]
fn metrics_of_the_second_api_are_put_together_by_day() {
    let text = r#"{"results": [{"response": {"domainStats": [
        {"name": "domains/acme.example/domainStats/x", "date": {"year": 2026, "month": 11, "day": 26},
         "metric": "SPAM_RATE", "value": {"doubleValue": 0.003}},
        {"name": "domains/acme.example/domainStats/y", "date": {"year": 2026, "month": 11, "day": 26},
         "metric": "loops", "value": {"stringList": {"values": ["a", "b"]}}},
        {"name": "domains/acme.example/domainStats/z", "metric": "sum", "value": {"intValue": "7"}}]}}]}"#;
    let read = postmaster(text).unwrap();
    assert_eq!(read.figures.len(), 1);
    assert_eq!(number(&read.figures[0], "spam_rate"), 0.003);
    assert_eq!(read.figures[0].values["loops"], Value::Text("a b".into()));
    assert!(postmaster(r#"{"domainStats": []}"#).is_err());
}

#[test]
fn exports_have_a_column_of_days() {
    let text = "Date,User-reported spam rate,Reputation\n2026-11-25,0.1%,High\n11/26/2026,,Low\n";
    assert!(is_csv(text.as_bytes()));
    let read = csv(text).unwrap();
    assert_eq!(
        (read.provider, read.figures.len()),
        (Provider::Postmaster, 2)
    );
    assert_eq!(number(&read.figures[0], "user_reported_spam_rate"), 0.001);
    assert_eq!(read.figures[1].day.to_string(), "2026-11-26");
    assert_eq!(read.figures[0].subject, None);
    let refused = csv("Date,x\nsoon,1\n").unwrap_err().to_string();
    assert_eq!(refused, "line 2: \"soon\" is no day");
}

#[test]
fn lines_of_snds_are_added_up_by_address_and_day() {
    let text = "192.0.2.1,11/26/2026 1:00 AM,11/26/2026 9:00 AM,100,90,\"1,080\",GREEN,< 0.1%,,,0,a.example,x@a.example,\n\
                192.0.2.1,11/26/2026 9:00 AM,11/26/2026 11:00 PM,50,50,60,YELLOW,0.3%,,,2,,,\n\
                2001:db8::1,11/26/2026 1:00 AM,11/26/2026 9:00 AM,1,1,1,RED,1.2%,,,0,,,note\n";
    assert!(is_csv(text.as_bytes()));
    let read = csv(text).unwrap();
    assert_eq!((read.provider, read.figures.len()), (Provider::Snds, 2));
    let first = &read.figures[0];
    assert_eq!(first.subject.as_deref(), Some("192.0.2.1"));
    assert_eq!(
        (number(first, "rcpt_commands"), number(first, "recipients")),
        (150.0, 1140.0)
    );
    assert_eq!(
        (number(first, "trap_hits"), number(first, "complaint_rate")),
        (2.0, 0.003)
    );
    assert_eq!(first.values["filter_result"], Value::Text("YELLOW".into()));
    assert!(csv("192.0.2.1,11/26/2026,,1\nx,y\n").is_err());
}

#[test]
fn mail_is_no_csv() {
    for text in [
        "Subject: a, b\nDate: today\n\nx",
        "hello, world",
        "Date: x, y\n\n",
    ] {
        assert!(!is_csv(text.as_bytes()), "{text}");
    }
}

#[test]
fn names_are_in_snake_case() {
    for (name, expected) in [
        ("userReportedSpamRatio", "user_reported_spam_ratio"),
        ("User-reported  spam (rate)", "user_reported_spam_rate"),
        ("SPAM_RATE", "spam_rate"),
        ("--", ""),
    ] {
        assert_eq!(snake(name), expected);
    }
}

proptest! {
    #[test]
    fn whatever_comes_is_answered(text in "[ -~\n]{0,200}") {
        let _answered = (csv(&text), postmaster(&text), is_csv(text.as_bytes()));
    }
}

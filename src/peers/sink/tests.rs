//! A client on the wire against a sink, octet for octet.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends `octets` to a sink with these rules and returns the sink and all it said until it closed.
async fn converse(config: SinkConfig, rules: &[&str], octets: &[u8]) -> (Sink, String) {
    let rules = rules.iter().map(|r| Arc::new(r.parse().unwrap()));
    let sink = Sink::bind(SinkConfig {
        rules: rules.collect(),
        keep: Keep::Memory,
        ..config
    })
    .await
    .unwrap();
    let mut client = TcpStream::connect(sink.address()).await.unwrap();
    client.write_all(octets).await.unwrap();
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.unwrap();
    (sink, String::from_utf8_lossy(&said).into_owned())
}

fn codes(said: &str) -> Vec<&str> {
    let last = |line: &&str| line.as_bytes().get(3) != Some(&b'-');
    said.lines().filter(last).map(|l| &l[..3]).collect()
}

const ONE: &[u8] =
    b"EHLO c\r\nMAIL FROM:<a@b.example> BODY=8BITMIME\r\nRCPT TO:<c@d.example>\r\nDATA\r\n\
    Subject: x\r\n y\r\n\r\n..dot\r\n.\r\nQUIT\r\n";

#[tokio::test]
async fn a_message_is_kept_as_sent_with_its_envelope() {
    let (sink, said) = converse(SinkConfig::default(), &[], ONE).await;
    assert_eq!(
        codes(&said),
        ["220", "250", "250", "250", "354", "250", "221"]
    );
    let messages = sink.messages();
    let [message] = &messages[..] else {
        panic!("{messages:?}")
    };
    assert_eq!(&*message.content, b"Subject: x\r\n y\r\n\r\n.dot\r\n");
    assert_eq!(message.header("subject").as_deref(), Some("x y"));
    assert_eq!(&*message.parameters, "BODY=8BITMIME");
    assert_eq!(message.recipients, [Box::<str>::from("c@d.example")]);
    let totals = sink.totals();
    assert_eq!((totals.messages, totals.recipients), (1, 1));
    assert_eq!(sink.commands().len(), 5);
}

#[tokio::test]
async fn a_reply_lost_after_the_dot_leaves_the_message_taken() {
    let (sink, said) = converse(SinkConfig::default(), &["DOT close"], ONE).await;
    assert_eq!(codes(&said), ["220", "250", "250", "250", "354"]);
    assert_eq!(sink.totals().messages, 1);
}

#[tokio::test]
async fn a_message_refused_at_the_dot_is_not_taken() {
    let (sink, said) = converse(SinkConfig::default(), &["DOT 554 5.7.1 spam"], ONE).await;
    assert_eq!(codes(&said)[5..], ["554", "221"]);
    assert_eq!((sink.totals().messages, sink.totals().refused), (0, 1));
}

#[tokio::test]
async fn a_421_ends_the_session_at_any_stage() {
    for (stage, before) in [
        ("CONNECT", 0),
        ("EHLO", 1),
        ("MAIL", 2),
        ("RCPT", 3),
        ("DATA", 4),
        ("DOT", 5),
    ] {
        let rule = format!("{stage} 421 4.3.2 going down");
        let (_sink, said) = converse(SinkConfig::default(), &[&rule], ONE).await;
        let codes = codes(&said);
        assert_eq!(
            (codes.len(), codes.last()),
            (before + 1, Some(&"421")),
            "{stage}: {said}"
        );
    }
}

#[tokio::test]
async fn recipients_beyond_the_limit_get_452() {
    let config = SinkConfig {
        rcpt_max: Some(1),
        ..SinkConfig::default()
    };
    let octets = b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nQUIT\r\n";
    let (_sink, said) = converse(config, &[], octets).await;
    assert_eq!(codes(&said)[3..], ["250", "452", "221"]);
    assert!(said.contains("250 LIMITS RCPTMAX=1\r\n"), "{said}");
}

#[tokio::test]
async fn a_lax_sink_is_smuggled_into_and_a_strict_one_is_not() {
    let octets =
        b"EHLO c\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\nhi\n.\r\nMAIL FROM:<evil@x>\r\n\
        RCPT TO:<c@x>\r\nDATA\r\nsmuggled\r\n.\r\nQUIT\r\n";
    for (end_of_data, messages) in [(EndOfData::Strict, 1), (EndOfData::Lax, 2)] {
        let config = SinkConfig {
            end_of_data,
            ..SinkConfig::default()
        };
        let (sink, _) = converse(config, &[], octets).await;
        assert_eq!(sink.totals().messages, messages, "{end_of_data:?}");
    }
}

#[tokio::test]
async fn the_script_can_change_while_a_sink_runs() {
    let (sink, _) = converse(SinkConfig::default(), &["DOT 450 no"], ONE).await;
    sink.set_rules(vec![]);
    let mut client = TcpStream::connect(sink.address()).await.unwrap();
    client.write_all(ONE).await.unwrap();
    let totals = sink.until(|t| t.messages == 1).await;
    assert_eq!(totals.connections, 2);
}

#[tokio::test]
async fn an_answer_may_wait_for_another_script() {
    let config = SinkConfig {
        rules: vec![Arc::new("DATA wait".parse().unwrap())],
        ..SinkConfig::default()
    };
    let sink = Sink::bind(config).await.unwrap();
    let mut client = TcpStream::connect(sink.address()).await.unwrap();
    client.write_all(ONE).await.unwrap();
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains("recipient ok") {
        client.read_buf(&mut said).await.unwrap();
    }
    assert_eq!(sink.totals().messages, 0);
    sink.set_rules(vec![]);
    client.read_to_end(&mut said).await.unwrap();
    assert_eq!(codes(&String::from_utf8_lossy(&said)).len(), 7);
    assert_eq!(sink.totals().messages, 1);
}

#[tokio::test]
async fn dumped_messages_lie_beside_their_envelopes() {
    let dir = tempfile::tempdir().unwrap();
    for run in 1..=2 {
        let config = SinkConfig {
            keep: Keep::Directory(dir.path().to_owned()),
            ..SinkConfig::default()
        };
        let sink = Sink::bind(config).await.unwrap();
        let mut client = TcpStream::connect(sink.address()).await.unwrap();
        client.write_all(ONE).await.unwrap();
        sink.until(|t| t.messages == 1).await;
        let content = std::fs::read(dir.path().join(format!("{run}.eml"))).unwrap();
        assert!(content.ends_with(b".dot\r\n"));
        let envelope = std::fs::read_to_string(dir.path().join(format!("{run}.json"))).unwrap();
        assert!(
            envelope.contains("\"sender\":\"a@b.example\""),
            "{envelope}"
        );
    }
}

#[tokio::test]
async fn only_messages_with_a_sensible_stamp_count_as_timed() {
    let config = SinkConfig {
        transit: true,
        ..SinkConfig::default()
    };
    let now = stamp::field(SystemTime::now());
    let ahead = stamp::field(SystemTime::now() + Duration::from_secs(3600));
    let epoch = stamp::field(SystemTime::UNIX_EPOCH);
    let mut octets = "EHLO c\r\n".to_owned();
    for stamp in ["", &now, &ahead, &epoch] {
        octets += "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n";
        octets += &format!("{stamp}Subject: x\r\n\r\n.\r\n");
    }
    octets += "QUIT\r\n";
    let (sink, _) = converse(config, &[], octets.as_bytes()).await;
    assert_eq!((sink.totals().messages, sink.transit().0), (4, 1));
}

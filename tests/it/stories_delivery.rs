//! Mail leaves: signed, by MX, grouped by site, each recipient with its own outcome.

use crate::internet::Internet;
use mailwright::auth::dkim::{Algorithm, generate};

#[tokio::test]
async fn a_first_message_arrives_signed_with_its_headers_and_body_whole() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let key = net.path("s1.pem");
    let published = generate(Algorithm::Rsa2048, &key).expect("a key").text();
    let keys = format!(
        "[[dkim]]\ndomain = \"shop.test\"\nselector = \"s1\"\nkey = \"{}\"\n",
        key.display()
    );
    let mta = net.mta(&keys).await;
    let text = "From: Shop <news@shop.test>\r\nTo: ann@example.net\r\nBcc: secret@shop.test\r\n\
        X-Mailwright-Campaign: spring\r\nSubject: =?utf-8?q?H=C3=A9llo?=\r\n folded\r\n\r\nBody. \r\n\r\nTwo  spaces.\r\n";
    let id = mta
        .inject_text("bounce@shop.test", &["ann@example.net"], text)
        .await;

    let delivered = mta.journal.first("delivered", "ann@example.net").await;
    assert_eq!((delivered.id(), delivered.code()), (&*id, 250));
    assert_eq!(delivered.text("campaign"), "spring");
    let message = mx.only();
    assert_eq!(&*message.sender, "bounce@shop.test");
    assert_eq!(message.recipients, [Box::from("ann@example.net")]);
    let content = String::from_utf8(message.content.to_vec()).expect("ASCII");
    let signature = message.header("DKIM-Signature").expect("a signature");
    assert!(
        signature.contains("d=shop.test") && signature.contains("s=s1"),
        "{signature}"
    );
    assert!(
        content.ends_with("\r\n\r\nBody. \r\n\r\nTwo  spaces.\r\n"),
        "{content}"
    );
    assert!(
        content.contains("Subject: =?utf-8?q?H=C3=A9llo?=\r\n folded\r\n"),
        "{content}"
    );
    assert!(message.header("Received").is_some() && message.header("Date").is_some());
    verify(&net.path("arrived.eml"), &message.content, &published);
    for gone in ["Bcc", "X-Mailwright-Campaign"] {
        assert_eq!(message.header(gone), None, "{content}");
    }
    net.check(&mta).await;
}

/// Has dkimpy verify what arrived, with `published` for the key's TXT record.
pub fn verify(file: &std::path::Path, content: &[u8], published: &str) {
    std::fs::write(file, content).expect("a file");
    let program = "import sys, dkim\n\
        txt = sys.argv[2].encode()\n\
        message = open(sys.argv[1], 'rb').read()\n\
        sys.exit(0 if dkim.verify(message, dnsfunc=lambda name, timeout=5: txt) else 1)\n";
    let output = std::process::Command::new("/usr/bin/python3")
        .args(["-c", program])
        .arg(file)
        .arg(published)
        .output()
        .expect("python3 with dkimpy; tests/run installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "dkimpy refuses the signature: {said}"
    );
}

#[tokio::test]
async fn domains_at_one_site_share_a_transaction() {
    let net = Internet::new().await;
    let mx = net.mx("a.example").serves("b.example", 10).start().await;
    let mta = net.mta("").await;
    let to = ["ann@a.example", "bob@b.example", "cid@a.example"];
    mta.inject("s@shop.test", &to).await;
    for recipient in to {
        mta.journal.first("delivered", recipient).await;
    }
    let mut recipients = mx.only().recipients.clone();
    recipients.sort();
    assert_eq!(recipients, to.map(Box::from));
    net.check(&mta).await;
}

#[tokio::test]
async fn every_recipient_of_a_transaction_has_its_own_outcome() {
    let net = Internet::new().await;
    let mx = net
        .mx("example.net")
        .on("RCPT", "nobody@* 550 5.1.1 no such user")
        .on("RCPT", "full@* first=1 452 4.2.2 mailbox full")
        .start()
        .await;
    let mta = net.mta("").await;
    let to = ["ann@example.net", "nobody@example.net", "full@example.net"];
    mta.inject("s@shop.test", &to).await;

    mta.journal.first("delivered", "ann@example.net").await;
    let bounced = mta.journal.first("bounced", "nobody@example.net").await;
    assert_eq!((bounced.code(), bounced.enhanced()), (550, "5.1.1"));
    assert_eq!(
        (bounced.text("class"), bounced.text("severity")),
        ("hard", "hard")
    );
    let deferred = mta.deferral("full@example.net").await;
    assert_eq!((deferred.code(), deferred.enhanced()), (452, "4.2.2"));
    let delivered = mta.outcome("full@example.net").await;
    assert_eq!(delivered.kind(), "delivered");
    let recipients: Vec<_> = mx.messages().iter().map(|m| m.recipients.clone()).collect();
    assert_eq!(
        recipients,
        [
            [Box::from("ann@example.net")],
            [Box::from("full@example.net")]
        ]
    );
    net.check(&mta).await;
}

#[tokio::test]
async fn a_message_refused_at_the_dot_bounces_for_all_with_the_reply_whole() {
    let net = Internet::new().await;
    let reply = "554 5.7.1 content refused\n5.7.1 see https://example.net/why";
    let _mx = net.mx("example.net").on("DOT", reply).start().await;
    let mta = net.mta("").await;
    mta.inject("s@shop.test", &["ann@example.net", "bob@example.net"])
        .await;
    for recipient in ["ann@example.net", "bob@example.net"] {
        let bounced = mta.journal.first("bounced", recipient).await;
        assert_eq!((bounced.code(), bounced.enhanced()), (554, "5.7.1"));
        let text = bounced.0["reply"]["text"].as_str().unwrap_or_default();
        assert!(text.contains("https://example.net/why"), "{text}");
    }
    net.check(&mta).await;
}

#[tokio::test]
async fn a_host_that_takes_few_recipients_gets_the_rest_in_further_transactions() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").rcpt_max(2).start().await;
    let mta = net.mta("").await;
    let to: Vec<String> = (0..5).map(|n| format!("u{n}@example.net")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    mta.inject("s@shop.test", &to).await;
    for recipient in &to {
        assert_eq!(mta.outcome(recipient).await.kind(), "delivered");
    }
    assert!(mx.messages().iter().all(|m| m.recipients.len() <= 2));
    net.check(&mta).await;
}

#[tokio::test]
async fn a_dead_site_costs_the_others_nothing() {
    let net = Internet::new().await;
    net.dead("dead.example");
    let _mx = net.mx("fine.example").start().await;
    let mta = net.mta("").await;
    mta.inject("s@shop.test", &["ann@dead.example", "bob@fine.example"])
        .await;
    mta.journal.first("delivered", "bob@fine.example").await;
    let deferred = mta.deferral("ann@dead.example").await;
    assert_eq!(deferred.code() / 100, 4, "{deferred:?}");
    net.check(&mta).await;
}

#[tokio::test]
async fn dots_at_the_start_of_lines_arrive_as_written() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let mta = net.mta("").await;
    let mut talk = crate::talk::Talk::open(mta.smtp).await;
    talk.envelope("s@shop.test", &["ann@example.net"]).await;
    talk.send(b"From: <s@shop.test>\r\nSubject: dots\r\n\r\n..one\r\n...two\r\n....\r\n.\r\n")
        .await;
    assert!(talk.reply().await.starts_with("250"));
    mta.journal.first("delivered", "ann@example.net").await;
    assert!(
        mx.only()
            .content
            .ends_with(b"\r\n\r\n.one\r\n..two\r\n...\r\n")
    );
    net.check(&mta).await;
}

#[tokio::test]
async fn a_route_overrides_the_dns() {
    let net = Internet::new().await;
    let elsewhere = net.mx("example.net").start().await;
    let hop = net.host("smart.test").start().await;
    let keys = format!(
        "[[route]]\ndomain = \"example.net\"\nnext_hop = [\"{}:{}\"]\nallow_loopback = true\n",
        hop.address, net.port
    );
    let mta = net.mta(&keys).await;
    mta.inject("s@shop.test", &["ann@example.net"]).await;
    mta.journal.first("delivered", "ann@example.net").await;
    assert_eq!((hop.totals().messages, elsewhere.totals().messages), (1, 0));
    net.check(&mta).await;
}

#[tokio::test]
async fn a_host_that_takes_one_command_at_a_time_gets_them_so() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").without("PIPELINING").start().await;
    let mta = net.mta("").await;
    mta.inject("s@shop.test", &["ann@example.net", "bob@example.net"])
        .await;
    for recipient in ["ann@example.net", "bob@example.net"] {
        mta.journal.first("delivered", recipient).await;
    }
    assert_eq!(mx.only().recipients.len(), 2);
    net.check(&mta).await;
}

#[tokio::test]
async fn eight_bit_mail_for_a_seven_bit_host_comes_back_rather_than_broken() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").without("8BITMIME").start().await;
    let mta = net.mta("").await;
    let mut talk = crate::talk::Talk::open(mta.smtp).await;
    talk.say("MAIL FROM:<> BODY=8BITMIME").await;
    talk.say("RCPT TO:<ann@example.net>").await;
    talk.say("DATA").await;
    let text = "From: <s@shop.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: 8bit\r\n\r\nGr\u{fc}\u{df}e\r\n.\r\n";
    talk.send(text.as_bytes()).await;
    assert!(talk.reply().await.starts_with("250"));
    let end = mta.outcome("ann@example.net").await;
    assert_eq!(
        (end.kind(), &end.enhanced()[..4]),
        ("bounced", "5.6."),
        "{end:?}"
    );
    assert_eq!(mx.totals().messages, 0);
    net.check(&mta).await;
}

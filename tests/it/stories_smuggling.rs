//! Nothing inside a message becomes a command, coming in or going out.

use crate::internet::Internet;
use crate::talk::Talk;

/// What stands between two messages in an attack: it ends a message for someone, and must not for us.
const FALSE_ENDS: [&str; 9] = [
    "\n.\n",
    "\n.\r\n",
    "\r\n.\n",
    "\r.\r",
    "\r\n.\r",
    "\r.\r\n",
    "\r\n.\r\r\n",
    "\n\n.\r\n",
    "\r\n\0.\r\n",
];

fn attack(end: &str) -> String {
    format!(
        "From: <s@shop.test>\r\nSubject: one\r\n\r\nfirst{end}MAIL FROM:<evil@shop.test>\r\n\
         RCPT TO:<victim@example.net>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n.\r\n"
    )
}

/// The careless host ends messages at anything, so whatever of an attack gets through us becomes a second message.
async fn attempt(line_endings: &str) {
    let net = Internet::new().await;
    let mx = net.mx("example.net").lax().start().await;
    let keys = format!("[smtp]\nline_endings = \"{line_endings}\"\n");
    let mta = net.mta(&keys).await;
    for end in FALSE_ENDS {
        let mut talk = Talk::open(mta.smtp).await;
        talk.envelope("s@shop.test", &["ann@example.net"]).await;
        talk.send(attack(end).as_bytes()).await;
        let reply = talk.reply().await;
        assert!(
            reply.starts_with("250") || reply.starts_with('5'),
            "{end:?}: {reply}"
        );
        talk.send(b"QUIT\r\n").await;
    }
    mta.inject("s@shop.test", &["last@example.net"]).await;
    mta.journal.first("delivered", "last@example.net").await;
    for event in mta
        .journal
        .events()
        .iter()
        .filter(|e| e.kind() == "accepted")
    {
        mta.outcome(event.recipient()).await;
    }
    for message in mx.messages() {
        assert!(
            !message.recipients.contains(&"victim@example.net".into()),
            "{message:?}"
        );
        assert_eq!(&*message.sender, "s@shop.test");
    }
    net.check(&mta).await;
}

#[tokio::test]
async fn no_false_end_of_data_smuggles_a_message_through() {
    attempt("refuse").await;
}

#[tokio::test]
async fn nor_where_line_endings_are_repaired() {
    attempt("fix").await;
}

#[tokio::test]
async fn what_was_sent_in_clear_before_starttls_is_forgotten() {
    let net = Internet::new().await;
    let _mx = net.mx("example.net").start().await;
    let mta = net.mta("").await;
    let mut talk = Talk::open(mta.smtp).await;
    talk.send(b"STARTTLS\r\nMAIL FROM:<evil@shop.test>\r\nRCPT TO:<ann@example.net>\r\n")
        .await;
    // Refused outright, or forgotten: in neither case is a command that came in clear ever answered.
    let reply = talk.reply().await;
    assert!(!reply.starts_with("250"), "{reply}");
    talk.close().await;
    let rest = talk.reply().await;
    assert!(!rest.contains("250"), "{rest}");
    net.check(&mta).await;
}

#[tokio::test]
async fn parameters_cannot_carry_commands() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let mta = net.mta("").await;
    let mut talk = Talk::open(mta.smtp).await;
    for line in [
        "MAIL FROM:<s@shop.test\nRCPT TO:<x@y>",
        "MAIL FROM:<s@shop.test> ENVID=a+0D+0AX",
        "MAIL FROM:<s@shop.test> SIZE=1\rDATA",
        "MAIL FROM:<s\0@shop.test>",
    ] {
        let mut talk = Talk::open(mta.smtp).await;
        let reply = talk.say(line).await;
        assert!(reply.starts_with('5'), "{line:?}: {reply}");
    }
    talk.say("MAIL FROM:<s@shop.test>").await;
    for line in [
        "RCPT TO:<ann@example.net\rX>",
        "RCPT TO:<ann@example.net> ORCPT=rfc822;a+0D+0AData",
        "RCPT TO:<@relay.example:ann@example.net",
        "RCPT TO:<ann@exa mple.net>",
    ] {
        let reply = talk.say(line).await;
        assert!(reply.starts_with('5'), "{line:?}: {reply}");
    }
    assert_eq!(mx.totals().connections, 0);
    net.check(&mta).await;
}

//! What a server offers decides what it is told.

use super::*;

/// What the server is told in MAIL and RCPT for `change`d transaction, or what the client answers by itself.
async fn commands(
    offers: &'static [&'static str],
    to: &[Recipient],
    change: impl FnOnce(&mut Transaction<'_>),
) -> (String, Transacted) {
    let (address, server) = serve(move |mut s| async move {
        s.hello(offers).await;
        s.rest().await
    })
    .await;
    let mut connection = open(address).await.unwrap();
    connection.timeouts.mail = Span::millis(50);
    (connection.timeouts.rcpt, connection.timeouts.data) = (Span::millis(50), Span::millis(50));
    let sender = sender();
    let mut transaction = transaction(&sender, to);
    change(&mut transaction);
    let mut content = Pieces::of(MESSAGE);
    let done = connection
        .transact(&transaction, &mut content, journalled())
        .await;
    drop(connection);
    (server.await.unwrap(), done)
}

#[tokio::test]
async fn a_message_over_the_servers_size_is_not_begun() {
    let to = recipients(&["a@t.test"]);
    let (said, done) = commands(&["SIZE 20"], &to, |_| {}).await;
    let reply = done.said_to(0).unwrap();
    assert_eq!(
        (reply.code, reply.enhanced),
        (552, Some(EnhancedCode(5, 3, 4)))
    );
    assert!(reply.local && said.is_empty());
    assert_eq!(done.state, State::Reusable);
    for fits in [&["SIZE 21"][..], &["SIZE 0"], &["SIZE"]] {
        let (said, _) = commands(fits, &to, |_| {}).await;
        assert_eq!(said, "MAIL FROM:<me@us.test> SIZE=21\r\n");
    }
}

#[tokio::test]
async fn eight_bit_content_needs_a_server_that_takes_it() {
    let to = recipients(&["a@t.test"]);
    let (said, done) = commands(&[], &to, |t| t.eight_bit_body = true).await;
    assert_eq!(
        done.said_to(0).unwrap().enhanced,
        Some(EnhancedCode(5, 6, 3))
    );
    assert!(said.is_empty());
    let (said, _) = commands(&["8BITMIME"], &to, |t| t.eight_bit_body = true).await;
    assert_eq!(said, "MAIL FROM:<me@us.test> BODY=8BITMIME\r\n");
    let declared = |t: &mut Transaction<'_>| t.body = BodyType::EightBitMime;
    let (said, _) = commands(&[], &to, declared).await;
    assert_eq!(
        said, "MAIL FROM:<me@us.test>\r\n",
        "7-bit content, whatever was declared"
    );
}

#[tokio::test]
async fn addresses_beyond_ascii_are_converted_where_they_can_be() {
    let to = recipients(&["a@bücher.test", "jörg@t.test"]);
    let utf8 = |t: &mut Transaction<'_>| t.smtputf8 = true;
    let (said, _) = commands(&["PIPELINING", "SMTPUTF8", "8BITMIME"], &to, utf8).await;
    assert_eq!(
        said,
        "MAIL FROM:<me@us.test> SMTPUTF8\r\nRCPT TO:<a@bücher.test>\r\nRCPT TO:<jörg@t.test>\r\nDATA\r\n"
    );
    let (said, done) = commands(&["PIPELINING"], &to, utf8).await;
    assert_eq!(
        said,
        "MAIL FROM:<me@us.test>\r\nRCPT TO:<a@xn--bcher-kva.test>\r\nDATA\r\n"
    );
    let refused = done.said_to(1).unwrap();
    assert_eq!(
        (refused.code, refused.enhanced),
        (550, Some(EnhancedCode(5, 6, 7)))
    );
    let header = |t: &mut Transaction<'_>| (t.smtputf8, t.eight_bit_header) = (true, true);
    let (said, done) = commands(&["8BITMIME"], &to, header).await;
    assert!(said.is_empty());
    assert_eq!(
        done.said_to(0).unwrap().enhanced,
        Some(EnhancedCode(5, 6, 7))
    );
}

#[tokio::test]
async fn what_the_sender_asked_of_notices_goes_where_it_is_understood() {
    let mut to = recipients(&["a@t.test", "b@t.test"]);
    to[0].notify = Some(Notify::On {
        success: true,
        failure: true,
        delay: false,
    });
    to[0].orcpt = Some("rfc822;a+b=c d@t.test".into());
    to[1].notify = Some(Notify::Never);
    let ask = |t: &mut Transaction<'_>| (t.ret, t.envid) = (Some(Ret::Headers), Some("id 1+1"));
    let (said, _) = commands(&["PIPELINING", "DSN"], &to, ask).await;
    assert_eq!(
        said,
        "MAIL FROM:<me@us.test> RET=HDRS ENVID=id+201+2B1\r\n\
         RCPT TO:<a@t.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb+3Dc+20d@t.test\r\n\
         RCPT TO:<b@t.test> NOTIFY=NEVER\r\nDATA\r\n"
    );
    let (said, _) = commands(&["PIPELINING"], &to, ask).await;
    assert!(!said.contains("NOTIFY") && !said.contains("RET"), "{said}");
}

#[tokio::test]
async fn the_null_sender_is_said_as_such() {
    let to = recipients(&["a@t.test"]);
    let (said, _) = commands(&[], &to, |t| t.sender = None).await;
    assert_eq!(said, "MAIL FROM:<>\r\n");
}

//! Transactions and all the ways they end.

use super::*;

#[tokio::test]
async fn a_message_goes_out_in_two_writes_and_arrives_as_it_was() {
    let (address, server) = serve(|mut s| async move {
        s.hello(ALL).await;
        let mut group = [0; 4096];
        let count = s.stream.read(&mut group).await.unwrap();
        let group = String::from_utf8(group[..count].to_vec()).unwrap();
        assert_eq!(
            group,
            "MAIL FROM:<me@us.test> SIZE=21\r\nRCPT TO:<a@them.test>\r\nRCPT TO:<b@them.test>\r\nDATA\r\n"
        );
        s.say("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n").await;
        let mut content = [0; 4096];
        let count = s.stream.read(&mut content).await.unwrap();
        assert_eq!(&content[..count], format!("{MESSAGE}.\r\n").as_bytes());
        s.say("250 2.0.0 queued as 77\r\n").await;
        assert_eq!(s.line().await, "QUIT");
        s.say("221 bye\r\n").await;
    })
    .await;
    let mut connection = open(address).await.unwrap();
    let done = send(&mut connection, &["a@them.test", "b@them.test"]).await;
    let reply = done.said_to(1).unwrap();
    assert_eq!(
        (reply.code, &*reply.text, &*reply.command),
        (250, "queued as 77", ".")
    );
    assert_eq!((done.state, done.failure), (State::Reusable, None));
    connection.quit().await;
    server.await.unwrap();
}

#[tokio::test]
async fn each_recipient_has_its_own_answer() {
    let (address, server) = serve(|mut s| async move {
        s.hello(ALL).await;
        s.until("DATA\r\n").await;
        s.say("250 ok\r\n250 ok\r\n550-5.1.1 no such\r\n550 5.1.1 user\r\n")
            .await;
        s.say("451 4.7.650 slow down\r\n354 go\r\n").await;
        s.until("\r\n.\r\n").await;
        s.say("250 taken\r\n").await;
        s.until("DATA\r\n").await
    })
    .await;
    let mut connection = open(address).await.unwrap();
    let to = ["a@t.test", "b@t.test", "c@t.test"];
    let done = send(&mut connection, &to).await;
    assert_eq!(done.said_to(0).unwrap().code, 250);
    let refused = done.said_to(1).unwrap();
    assert_eq!((refused.code, &*refused.text), (550, "no such\nuser"));
    assert_eq!(&*refused.command, "RCPT");
    let slow = done.said_to(2).unwrap();
    assert_eq!(slow.enhanced, Some(EnhancedCode(4, 7, 650)));
    let next = tokio::spawn(async move { send(&mut connection, &["a@t.test"]).await });
    let group = server.await.unwrap();
    assert!(
        group.starts_with("MAIL"),
        "a finished transaction needs no RSET: {group}"
    );
    assert_eq!(next.await.unwrap().state, State::Closed);
}

#[tokio::test]
async fn where_nobody_is_accepted_a_354_is_answered_with_a_lone_dot() {
    let (address, server) = serve(|mut s| async move {
        s.hello(ALL).await;
        s.until("DATA\r\n").await;
        s.say("250 ok\r\n550 no\r\n354 go\r\n").await;
        assert_eq!(s.line().await, ".");
        s.say("554 no valid recipients\r\n").await;
        let group = s.until("DATA\r\n").await;
        assert!(group.starts_with("RSET\r\nMAIL"), "{group}");
        s.say("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n").await;
        s.until("\r\n.\r\n").await;
        s.say("250 ok\r\n").await;
    })
    .await;
    let mut connection = open(address).await.unwrap();
    let done = send(&mut connection, &["a@t.test"]).await;
    assert_eq!(done.said_to(0).unwrap().code, 550);
    assert_eq!((done.state, done.reply), (State::Reusable, None));
    let done = send(&mut connection, &["a@t.test"]).await;
    assert_eq!(done.said_to(0).unwrap().code, 250);
    server.await.unwrap();
}

#[tokio::test]
async fn a_refused_mail_or_data_is_everybodys_answer() {
    let (address, server) = serve(|mut s| async move {
        s.hello(ALL).await;
        s.until("DATA\r\n").await;
        s.say("550 5.7.1 not you\r\n503 mail first\r\n503 mail first\r\n")
            .await;
        s.until("DATA\r\n").await;
        s.say("250 ok\r\n250 ok\r\n250 ok\r\n451 4.3.0 not now\r\n")
            .await;
    })
    .await;
    let mut connection = open(address).await.unwrap();
    let done = send(&mut connection, &["a@t.test"]).await;
    let reply = done.said_to(0).unwrap();
    assert_eq!((reply.code, &*reply.command), (550, "MAIL"));
    let done = send(&mut connection, &["a@t.test"]).await;
    let reply = done.said_to(0).unwrap();
    assert_eq!((reply.code, &*reply.command), (451, "DATA"));
    assert_eq!(done.state, State::Reusable);
    server.await.unwrap();
}

#[tokio::test]
async fn a_server_without_pipelining_is_asked_one_by_one() {
    let (address, server) = serve(|mut s| async move {
        s.hello(&[]).await;
        assert_eq!(s.line().await, "MAIL FROM:<me@us.test>");
        assert!(s.read.is_empty());
        s.say("250 ok\r\n").await;
        assert_eq!(s.line().await, "RCPT TO:<a@t.test>");
        assert!(s.read.is_empty());
        s.say("250 ok\r\n").await;
        assert_eq!(s.line().await, "DATA");
        s.say("354 go\r\n").await;
        s.until("\r\n.\r\n").await;
        s.say("250 ok\r\n").await;
        assert_eq!(s.line().await, "MAIL FROM:<me@us.test>");
        s.say("250 ok\r\n").await;
        assert_eq!(s.line().await, "RCPT TO:<b@t.test>");
        s.say("550 no\r\n").await;
        s.rest().await
    })
    .await;
    let mut connection = open(address).await.unwrap();
    let done = send(&mut connection, &["a@t.test"]).await;
    assert_eq!(done.said_to(0).unwrap().code, 250);
    let done = send(&mut connection, &["b@t.test"]).await;
    assert_eq!(done.said_to(0).unwrap().code, 550);
    drop(connection);
    assert_eq!(server.await.unwrap(), "", "no DATA without a recipient");
}

#[tokio::test]
async fn a_421_ends_the_conversation_wherever_it_comes() {
    for (answers, refused) in [
        ("421 4.3.2 shutting down\r\n", true),
        ("250 ok\r\n421 4.7.0 too many\r\n", true),
        ("250 ok\r\n250 ok\r\n421 4.3.2 shutting down\r\n", false),
    ] {
        let (address, server) = serve(move |mut s| async move {
            s.hello(ALL).await;
            s.until("DATA\r\n").await;
            s.say(answers).await;
            // The connection stays open: nobody may wait for answers that will not come.
            s.rest().await
        })
        .await;
        let mut connection = open(address).await.unwrap();
        let done = send(&mut connection, &["a@t.test"]).await;
        assert_eq!(done.state, State::Closed);
        let failure = done.failure.as_ref().unwrap();
        assert!(matches!(failure, Failure::Said(reply) if reply.code == 421));
        assert_eq!(done.recipients[0].is_err(), refused, "{answers}");
        drop(connection);
        server.await.unwrap();
    }
}

#[tokio::test]
async fn a_421_or_an_end_between_transactions_is_seen_before_anything_is_sent() {
    for farewell in [
        "421 4.4.2 idle for too long\r\n",
        "",
        "250 surprise\r\n",
        "25",
    ] {
        let (address, server) = serve(move |mut s| async move {
            s.hello(ALL).await;
            s.until("DATA\r\n").await;
            s.say("250 ok\r\n250 ok\r\n354 go\r\n").await;
            s.until("\r\n.\r\n").await;
            s.say(&format!("250 ok\r\n{farewell}")).await;
            s.stream.shutdown().await.unwrap();
            s.rest().await
        })
        .await;
        let mut connection = open(address).await.unwrap();
        let first = send(&mut connection, &["a@t.test"]).await;
        assert_eq!(first.said_to(0).unwrap().code, 250);
        // Until the end of the stream has arrived.
        let wire = &mut connection.client.stream;
        wire.readable().await;
        let done = send(&mut connection, &["a@t.test"]).await;
        let failure = done.failure.unwrap();
        assert_eq!((phase(&failure), done.state), ("idle", State::Closed));
        assert_eq!(
            matches!(failure, Failure::Said(_)),
            farewell.starts_with("421")
        );
        assert_eq!(connection.transactions(), 1);
        drop(connection);
        assert_eq!(server.await.unwrap(), "");
    }
}

#[tokio::test]
async fn garbage_and_early_ends_within_a_transaction_are_connection_faults() {
    let endless = "250-x\r\n".repeat(20_000);
    for answers in [
        "250 ok\r\nwhat?\r\n",
        "250 ok\r\n",
        "250 ok\r\n2",
        "334 odd\r\n",
        &endless,
    ] {
        let answers = answers.to_owned();
        let (address, server) = serve(move |mut s| async move {
            s.hello(ALL).await;
            s.until("DATA\r\n").await;
            // An endless answer may find the client gone.
            let _cut = s.stream.write_all(answers.as_bytes()).await;
        })
        .await;
        let mut connection = open(address).await.unwrap();
        let done = send(&mut connection, &["a@t.test"]).await;
        let failure = done.failure.unwrap();
        assert!(matches!(failure, Failure::Connection(_)), "{failure}");
        assert_eq!(done.state, State::Closed);
        server.await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_lost_after_the_dot_is_a_fault_of_its_own() {
    for answer in ["", "what?\r\n", "354 more\r\n", "25"] {
        let (address, server) = serve(move |mut s| async move {
            s.hello(ALL).await;
            s.until("DATA\r\n").await;
            s.say("250 ok\r\n250 ok\r\n354 go\r\n").await;
            s.until("\r\n.\r\n").await;
            s.say(answer).await;
        })
        .await;
        let mut connection = open(address).await.unwrap();
        let done = send(&mut connection, &["a@t.test"]).await;
        assert!(
            matches!(done.failure, Some(Failure::LostAfterDot(_))),
            "{answer}"
        );
        assert_eq!((done.said_to(0), done.state), (None, State::Closed));
        server.await.unwrap();
    }
}

#[tokio::test]
async fn answers_to_the_dot_are_the_servers_word() {
    for (answer, state) in [
        ("552 5.2.2 full\r\n", State::Reusable),
        ("421 4.3.2 shutting down\r\n", State::Closed),
    ] {
        let (address, server) = serve(move |mut s| async move {
            s.hello(ALL).await;
            s.until("DATA\r\n").await;
            s.say("250 ok\r\n250 ok\r\n354 go\r\n").await;
            s.until("\r\n.\r\n").await;
            s.say(answer).await;
        })
        .await;
        let mut connection = open(address).await.unwrap();
        let done = send(&mut connection, &["a@t.test"]).await;
        assert!(answer.starts_with(&done.said_to(0).unwrap().code.to_string()));
        assert_eq!((done.state, done.failure.is_none()), (state, true));
        server.await.unwrap();
    }
}

#[tokio::test]
async fn the_journal_is_written_before_the_dot_and_a_failed_one_stops_it() {
    let durable = Arc::new(AtomicBool::new(false));
    let seen = durable.clone();
    let (address, server) = serve(|mut s| async move {
        s.hello(ALL).await;
        s.until("DATA\r\n").await;
        s.say("250 ok\r\n250 ok\r\n354 go\r\n").await;
        s.until("\r\n.\r\n").await;
        assert!(seen.load(Ordering::SeqCst));
        s.say("250 ok\r\n").await;
        s.until("DATA\r\n").await;
        s.say("250 ok\r\n250 ok\r\n354 go\r\n").await;
        s.rest().await
    })
    .await;
    let mut connection = open(address).await.unwrap();
    let (sender, to) = (sender(), recipients(&["a@t.test"]));
    let transaction = transaction(&sender, &to);
    let journal = async {
        durable.store(true, Ordering::SeqCst);
        Ok::<(), SpoolError>(())
    };
    let mut content = Pieces::of(MESSAGE);
    let done = connection
        .transact(&transaction, &mut content, journal)
        .await;
    assert_eq!(done.said_to(0).unwrap().code, 250);
    let full = async { Err(SpoolError::NoSpace) };
    let mut content = Pieces::of(MESSAGE);
    let done = connection.transact(&transaction, &mut content, full).await;
    assert!(matches!(done.failure, Some(Failure::Local(_))));
    drop(connection);
    assert!(!server.await.unwrap().contains("\r\n.\r\n"));
}

#[tokio::test]
async fn content_that_cannot_be_read_is_never_ended() {
    let (address, server) = serve(|mut s| async move {
        s.hello(ALL).await;
        s.until("DATA\r\n").await;
        s.say("250 ok\r\n250 ok\r\n354 go\r\n").await;
        s.rest().await
    })
    .await;
    let mut connection = open(address).await.unwrap();
    let (sender, to) = (sender(), recipients(&["a@t.test"]));
    let transaction = transaction(&sender, &to);
    let done = connection
        .transact(&transaction, &mut Corrupt(false), journalled())
        .await;
    let failure = done.failure.unwrap();
    assert!(matches!(failure, Failure::Local(_)), "{failure}");
    assert!(failure.reply().text.contains("segment 7"));
    drop(connection);
    assert!(!server.await.unwrap().contains(".\r\n"));
}

#[tokio::test]
async fn large_content_streams_and_arrives_octet_for_octet() {
    let line = ".x\r\n".repeat(1000);
    let pieces: VecDeque<Bytes> = (0..100).map(|_| Bytes::from(line.clone())).collect();
    let (address, server) = serve(|mut s| async move {
        s.hello(&["PIPELINING"]).await;
        s.until("DATA\r\n").await;
        s.say("250 ok\r\n250 ok\r\n354 go\r\n").await;
        let content = s.until("\r\n.\r\n").await;
        s.say("250 ok\r\n").await;
        content
    })
    .await;
    let mut connection = open(address).await.unwrap();
    let (sender, to) = (sender(), recipients(&["a@t.test"]));
    let transaction = transaction(&sender, &to);
    let mut content = Pieces(pieces);
    let done = connection
        .transact(&transaction, &mut content, journalled())
        .await;
    assert_eq!(done.said_to(0).unwrap().code, 250);
    let content = server.await.unwrap();
    assert_eq!(content, "..x\r\n".repeat(100_000) + ".\r\n");
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_content_is_heard() {
    let pieces: VecDeque<Bytes> = (0..800).map(|_| vec![b'x'; 64 * 1024].into()).collect();
    let (address, server) = serve(|mut s| async move {
        s.hello(&["PIPELINING"]).await;
        s.until("DATA\r\n").await;
        s.say("250 ok\r\n250 ok\r\n354 go\r\n552 5.3.4 too big for me\r\n")
            .await;
        s
    })
    .await;
    let mut connection = open(address).await.unwrap();
    let (sender, to) = (sender(), recipients(&["a@t.test"]));
    let transaction = transaction(&sender, &to);
    let mut content = Pieces(pieces);
    let (done, ()) = tokio::join!(
        connection.transact(&transaction, &mut content, journalled()),
        async { drop(server.await.unwrap()) }
    );
    assert_eq!(done.state, State::Closed);
    let refused = done.said_to(0).map(|reply| reply.code);
    assert_eq!(refused, Some(552), "{:?}", done.failure);
}

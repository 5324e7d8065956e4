use super::*;
use crate::http::Access;
use crate::http::tests::{Daemon, World};
use crate::spool::{self, Spool};
use clap::CommandFactory;
use std::sync::Arc;

/// Runs `mailwright WORDS`; gives how it ended and what it printed.
pub(super) fn mailwright(words: &[&str]) -> (Exit, String) {
    let args = std::iter::once("mailwright").chain(words.iter().copied());
    let mut out = Vec::new();
    let exit = run(args.map(OsString::from), &mut out);
    (exit, String::from_utf8(out).unwrap())
}

/// A world with a daemon, and a command run against it; gives also the daemon.
pub(super) async fn asked_of(words: &[&str]) -> (Exit, String, Arc<Daemon>) {
    asked_with(Daemon::default(), words).await
}

/// The same against that daemon.
async fn asked_with(daemon: Daemon, words: &[&str]) -> (Exit, String, Arc<Daemon>) {
    let world = World::new(daemon, Access::default()).await;
    let url = format!("http://{}", world.address);
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let ran = tokio::task::spawn_blocking(move || {
        let words = words.iter().map(String::as_str);
        let words: Vec<&str> = words.chain(["--url", &url]).collect();
        mailwright(&words)
    });
    let (exit, out) = ran.await.unwrap();
    (exit, out, world.daemon.clone())
}

/// The same, with what the daemon was told.
async fn asked(words: &[&str]) -> (Exit, String, Vec<String>) {
    let (exit, out, daemon) = asked_of(words).await;
    let told = daemon.told.lock().clone();
    (exit, out, told)
}

#[test]
fn the_command_line_is_sound_and_every_help_has_an_example() {
    let mut root = Cli::command();
    root.clone().debug_assert();
    root.build();
    fn leaves(command: &clap::Command) {
        if !command.has_subcommands() {
            let help = command.clone().render_long_help().to_string();
            assert!(
                help.contains("Example:"),
                "{} has no example",
                command.get_name()
            );
        }
        command.get_subcommands().for_each(leaves);
    }
    leaves(&root);
}

#[test]
fn wrong_use_is_64_and_help_is_0() {
    assert_eq!(mailwright(&[]).0, Exit::Usage);
    assert_eq!(mailwright(&["deliver"]).0, Exit::Usage);
    assert_eq!(mailwright(&["queue", "drop"]).0, Exit::Usage);
    assert_eq!(
        mailwright(&["queue", "drop", "--all", "--tenant", "a"]).0,
        Exit::Usage
    );
    let (exit, text) = mailwright(&["--help"]);
    assert_eq!((exit, text.contains("Example:")), (Exit::Ok, true));
    assert_eq!(mailwright(&["--version"]).0, Exit::Ok);
}

#[test]
fn check_is_78_where_there_is_a_problem_and_0_where_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mailwright.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "hostname = \"mta.example\"\n").unwrap();
    let (exit, text) = mailwright(&["check", "--config", path]);
    assert_eq!((exit, text.contains("mta.example")), (Exit::Ok, true));
    std::fs::write(&file, "hostnme = \"mta.example\"\n").unwrap();
    assert_eq!(mailwright(&["check", "--config", path]).0, Exit::Config);
    assert_eq!(mailwright(&["serve", "--config", path]).0, Exit::Config);
    assert_eq!(
        mailwright(&["check", "--config", "/nowhere.toml"]).0,
        Exit::Config
    );
}

#[test]
fn the_schema_is_printed_as_it_is_shipped() {
    let (exit, text) = mailwright(&["check", "--schema"]);
    assert_eq!(exit, Exit::Ok);
    assert_eq!(text, include_str!("../../config/schema.json"));
}

#[test]
fn keygen_writes_a_key_once_and_prints_its_record() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key.pem");
    let words = [
        "dkim",
        "keygen",
        "--domain",
        "acme.example",
        "--selector",
        "s1",
        "--algorithm",
        "ed25519",
        "--out",
        file.to_str().unwrap(),
    ];
    let (exit, text) = mailwright(&words);
    assert_eq!(exit, Exit::Ok);
    assert!(
        text.contains("s1._domainkey.acme.example. IN TXT \"v=DKIM1; k=ed25519; p="),
        "{text}"
    );
    crate::auth::dkim::Key::load(&file).unwrap();
    assert_eq!(
        mailwright(&words).0,
        Exit::Io,
        "a key that is there is kept"
    );
    let bad = [
        "dkim",
        "keygen",
        "--domain",
        "acme.example/..",
        "--selector",
        "s1",
    ];
    assert_eq!(mailwright(&bad).0, Exit::Usage);
}

#[tokio::test]
async fn queue_list_prints_columns_or_json_lines() {
    let (exit, text, told) =
        asked(&["queue", "list", "--domain", "example.net", "--limit", "5"]).await;
    assert_eq!(exit, Exit::Ok);
    assert_eq!(told, ["list Some(\"example.net\") 5"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("ID             RECEIVED"), "{text}");
    assert!(
        lines[1].starts_with("0000000000001  1970-01-01 00:00:00Z, "),
        "{text}"
    );
    assert!(
        lines[1].ends_with("an operator's release: looks odd"),
        "{text}"
    );
    let (_, json, _) = asked(&["queue", "list", "--format", "json"]).await;
    let entry: crate::http::QueueEntry = serde_json::from_str(json.trim()).unwrap();
    assert_eq!(entry.recipients[0].attempts, 2);
}

#[tokio::test]
async fn what_queue_list_leaves_out_is_told() {
    let list = async |waiting, words: &str| {
        let daemon = Daemon {
            waiting: Some(waiting),
            ..Daemon::default()
        };
        let words: Vec<&str> = ["queue", "list"]
            .into_iter()
            .chain(words.split_whitespace())
            .collect();
        let (exit, text, _) = asked_with(daemon, &words).await;
        assert_eq!(exit, Exit::Ok);
        text
    };
    assert_eq!(list(0, "").await, "nothing waits\n");
    assert_eq!(list(0, "--tenant a").await, "nothing that waits fits\n");
    let last = |text: String| text.lines().last().unwrap_or_default().to_owned();
    let whole = last(list(386, "").await);
    assert_eq!(whole, "100 of 386 shown; --limit N shows more");
    let chosen = last(list(386, "--tenant a --limit 7").await);
    assert_eq!(chosen, "the first 7 shown; --limit N shows more");
    assert_eq!(
        list(386, "--limit 7 --format json").await.lines().count(),
        7
    );
    assert_eq!(list(0, "--format json").await, "");
    assert!(!list(7, "").await.contains("shown"));
}

#[test]
fn an_entry_tells_until_when_what_holds_it_does() {
    use crate::http::tests::{entry, sample};
    let waiting = entry().held(Some(sample::spent()));
    assert_eq!(waiting.until, sample::spent().until());
    let due = crate::http::QueueEntry {
        until: Some(sample::NOW),
        ..entry()
    };
    assert_eq!(due.held(Some(sample::spent())).until, Some(sample::NOW));
}

#[tokio::test]
async fn queue_show_says_why_it_waits() {
    let (exit, text, _) = asked(&["queue", "show", "0000000000001"]).await;
    assert_eq!(exit, Exit::Ok);
    for line in [
        "waits for  an operator's release: looks odd\n",
        "recipient  ann@example.net (waiting, 2 attempts)\n",
        "451 4.7.1 greylisted\n",
        "\nwhen its time comes it would go from ip-b to mx.example.net\n",
        "(source[1].limits.messages)\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert_eq!(
        asked(&["queue", "show", "0000000000002"]).await.0,
        Exit::Data
    );
    assert_eq!(asked(&["queue", "show", "nonsense"]).await.0, Exit::Data);
}

#[test]
fn a_retry_is_said_once_with_what_decides_about_it() {
    let reply = crate::mail::Reply::said(451, None, "greylisted", "RCPT");
    let mut entry = crate::http::tests::entry().held(Some(crate::policy::Held::Retry {
        attempt: 2,
        reply: reply.clone().into(),
    }));
    entry.recipients[0].last = Some(reply.to_string());
    let mut out = Vec::new();
    queue::table::show(&[entry], crate::http::tests::sample::NOW, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.matches("greylisted").count(), 1, "{text}");
    assert!(text.contains("retry.first"), "{text}");
    assert!(
        text.contains("mailwright queue retry 0000000000001\n"),
        "{text}"
    );
}

#[tokio::test]
async fn queue_actions_reach_the_daemon() {
    let (exit, text, told) =
        asked(&["queue", "hold", "--tenant", "acme", "--why", "too fast"]).await;
    assert_eq!((exit, text.as_str()), (Exit::Ok, "3 held\n"));
    assert_eq!(told, ["Hold Some(\"acme\") too fast"]);
    let (exit, text, told) = asked(&["queue", "retry", "--all", "--format", "json"]).await;
    assert_eq!(
        (exit, text.as_str()),
        (Exit::Ok, "{\"count\":3,\"wait_on\":2}\n")
    );
    assert_eq!(told, ["Retry None "]);
    let (_, text, _) = asked(&["queue", "retry", "--all"]).await;
    assert!(
        text.starts_with("3 made due; 2 wait on for the time their senders chose"),
        "{text}"
    );
}

#[test]
fn where_no_daemon_answers_it_is_69() {
    let (_port, address) = refusing_port();
    let url = format!("http://{address}");
    for words in [
        "queue drop --all",
        "explain --from a@b.example --to c@d.example",
        "warmup show",
        "warmup pause ip-a",
        "source list",
        "source lift ip-a",
    ] {
        let words: Vec<&str> = words.split(' ').chain(["--url", &url]).collect();
        assert_eq!(mailwright(&words).0, Exit::Unavailable, "{words:?}");
    }
}

/// A port that is ours and refuses: bound, but nobody listens.
fn refusing_port() -> (socket2::Socket, std::net::SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// Leaves one message in a spool that nobody has open.
async fn leave_a_message(dir: &std::path::Path, held: bool) -> crate::mail::MessageId {
    use crate::mail::{BodyType, Envelope, Recipient};
    let clock = crate::clock::Clock::machine();
    let (spool, _) = Spool::open(dir, spool::Config::default(), clock.clone(), drop).unwrap();
    let id = spool.next_id();
    let meta = spool::Meta {
        id,
        envelope: Envelope {
            sender: None,
            recipients: vec![Recipient::new("ann@example.net".parse().unwrap())],
            body: BodyType::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
        },
        labels: Default::default(),
        received: clock.now(),
        send_at: None,
        expires: None,
        eight_bit_header: false,
        eight_bit_body: false,
    };
    let body = spool.draft();
    let head = b"Subject: hello\r\n\r\n".to_vec();
    spool
        .commit(spool::Commit {
            meta: meta.into(),
            head,
            body,
        })
        .await
        .unwrap();
    if held {
        spool.hold(id, Some("looks odd")).await.unwrap();
    }
    spool.close().await.unwrap();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_the_data_directory_is_read_but_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let id = leave_a_message(&dir.path().join("data"), true)
        .await
        .to_string();
    let (_port, address) = refusing_port();
    let file = dir.path().join("mailwright.toml");
    std::fs::write(
        &file,
        format!("data_dir = \"data\"\n[http]\naddress = \"{address}\"\n"),
    )
    .unwrap();
    let config = file.to_str().unwrap();
    let (exit, text) = mailwright(&["queue", "show", &id, "--config", config]);
    assert_eq!(exit, Exit::Ok);
    assert!(
        text.contains("recipient  ann@example.net (waiting, 0 attempts)"),
        "{text}"
    );
    assert!(
        text.contains("waits for  an operator's release: looks odd"),
        "{text}"
    );
    let (exit, text) = mailwright(&[
        "queue",
        "list",
        "--domain",
        "example.org",
        "--config",
        config,
    ]);
    assert_eq!(
        (exit, text.as_str()),
        (Exit::Ok, "nothing that waits fits\n")
    );
    let (exit, _) = mailwright(&["queue", "drop", &id, "--config", config]);
    assert_eq!(exit, Exit::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_mail_that_was_never_tried_has_had_no_attempt() {
    let dir = tempfile::tempdir().unwrap();
    leave_a_message(&dir.path().join("data"), false).await;
    let (_port, address) = refusing_port();
    let file = dir.path().join("mailwright.toml");
    let text = format!("data_dir = \"data\"\n[http]\naddress = \"{address}\"\n");
    std::fs::write(&file, text).unwrap();
    let config = file.to_str().unwrap();
    let (exit, text) = mailwright(&["queue", "list", "--config", config]);
    assert_eq!(exit, Exit::Ok);
    assert!(text.ends_with("  no attempt yet\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_in_use_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let clock = crate::clock::Clock::machine();
    let (spool, _) = Spool::open(&data, spool::Config::default(), clock, drop).unwrap();
    let (_port, address) = refusing_port();
    let file = dir.path().join("mailwright.toml");
    std::fs::write(
        &file,
        format!("data_dir = \"data\"\n[http]\naddress = \"{address}\"\n"),
    )
    .unwrap();
    let (exit, _) = mailwright(&["queue", "list", "--config", file.to_str().unwrap()]);
    assert_eq!(exit, Exit::TemporaryFailure);
    spool.close().await.unwrap();
}

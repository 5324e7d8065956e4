//! The daemon among programs that are not ours: four clients hand mail in, two servers take it.
//!
//! Each client authenticates over STARTTLS and sends one message to two recipients, one behind our sink and one
//! behind Postfix's smtp-sink. `tests/run` installs what is needed.

use crate::daemon::Daemon;
use crate::journal::PATIENCE;
use mailwright::auth::credentials::hash_password;
use mailwright::peers::sink::{Keep, Sink, SinkConfig};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const USER: &str = "shop";
const PASSWORD: &str = "correct horse battery staple";
const TEXT: &str = "A line with a\n.dot at its start of a line,\n\nand an end.";

/// A daemon between a client and two servers.
struct Office {
    daemon: Daemon,
    sink: Sink,
    postfix: SmtpSink,
    dir: tempfile::TempDir,
}

impl Office {
    async fn open() -> Office {
        let dir = tempfile::tempdir().expect("a directory");
        let postfix = SmtpSink::start(&dir.path().join("postfix"));
        let sink = Sink::bind(SinkConfig {
            keep: Keep::Memory,
            ..SinkConfig::default()
        });
        let sink = sink.await.expect("a free port");
        let hash = hash_password(PASSWORD).expect("a hash");
        let users = private(&dir.path().join("users"), &format!("{USER}:{hash}\n"));
        let route = |domain: &str, to: SocketAddr| {
            format!(
                "[[route]]\ndomain = \"{domain}\"\nnext_hop = [\"{to}\"]\nallow_loopback = true\n"
            )
        };
        let keys = format!(
            "[[tenant]]\nname = \"shop\"\ndomains = [\"shop.test\"]\ncredentials = \"file:{}\"\n{}{}",
            users.display(),
            route("sink.test", sink.address()),
            route("postfix.test", postfix.address)
        );
        let mut daemon = Daemon::new(&dir.path().join("mta"), &keys);
        daemon.forget_relaying();
        daemon.start().await;
        Office {
            daemon,
            sink,
            postfix,
            dir,
        }
    }

    fn host(&self) -> String {
        self.daemon.smtp.ip().to_string()
    }

    fn port(&self) -> String {
        self.daemon.smtp.port().to_string()
    }

    /// Runs a client to its end; it must be content.
    async fn run(&self, command: &mut Command, input: &str) {
        let path = self.dir.path().join("input");
        std::fs::write(&path, input).expect("a file");
        command.stdin(std::fs::File::open(&path).expect("the file"));
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let child = child.unwrap_or_else(|e| panic!("{name}: {e}; tests/run installs it"));
        let done = tokio::task::spawn_blocking(move || child.wait_with_output());
        let output = done.await.expect("no panic").expect("our child");
        assert!(
            output.status.success(),
            "{name} failed: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Both recipients got the message as the client wrote it.
    async fn both_arrived(&mut self) {
        let journal = self.daemon.journal();
        for recipient in ["ann@sink.test", "bob@postfix.test"] {
            let event = journal.first("delivered", recipient).await;
            assert_eq!(event.text("tenant"), "shop");
        }
        let messages = self.sink.messages();
        assert_eq!(messages.len(), 1);
        let ours = String::from_utf8_lossy(&messages[0].content).replace("\r\n", "\n");
        let theirs = self.postfix.message().await;
        for text in [&ours, &theirs] {
            assert!(text.contains(TEXT), "{text}");
            assert!(
                text.contains("ESMTPSA"),
                "the Received line says how it came: {text}"
            );
            assert!(!text.contains(PASSWORD));
        }
        assert!(self.daemon.terminate().await.success());
    }
}

#[tokio::test]
async fn swaks_sends_with_auth_and_starttls() {
    let mut office = Office::open().await;
    let mut swaks = Command::new("swaks");
    swaks
        .args([
            "--server",
            &office.host(),
            "--port",
            &office.port(),
            "--tls",
        ])
        .args([
            "--auth",
            "LOGIN",
            "--auth-user",
            USER,
            "--auth-password",
            PASSWORD,
        ])
        .args([
            "--from",
            "news@shop.test",
            "--to",
            "ann@sink.test,bob@postfix.test",
        ])
        .args(["--h-Subject", "swaks", "--body", TEXT]);
    office.run(&mut swaks, "").await;
    office.both_arrived().await;
}

#[tokio::test]
async fn msmtp_sends_with_auth_and_starttls() {
    let mut office = Office::open().await;
    let settings = format!(
        "account default\nhost {}\nport {}\nauth plain\nuser {USER}\npassword \"{PASSWORD}\"\ntls on\n\
         tls_starttls on\ntls_certcheck off\nfrom news@shop.test\n",
        office.host(),
        office.port()
    );
    let file = private(&office.dir.path().join("msmtprc"), &settings);
    let mut msmtp = Command::new("msmtp");
    msmtp
        .arg("-C")
        .arg(file)
        .args(["ann@sink.test", "bob@postfix.test"]);
    let message = format!("From: news@shop.test\nTo: ann@sink.test\nSubject: msmtp\n\n{TEXT}\n");
    office.run(&mut msmtp, &message).await;
    office.both_arrived().await;
}

#[tokio::test]
async fn python_smtplib_sends_with_auth_and_starttls() {
    let mut office = Office::open().await;
    let program = format!(
        "import smtplib, email.message\n\
         m = email.message.EmailMessage()\n\
         m['From'], m['To'], m['Subject'] = 'news@shop.test', 'ann@sink.test, bob@postfix.test', 'smtplib'\n\
         m.set_content({TEXT:?})\n\
         with smtplib.SMTP('{}', {}) as s:\n\
         \x20   s.starttls()\n\
         \x20   s.login('{USER}', '{PASSWORD}')\n\
         \x20   assert s.send_message(m) == {{}}\n",
        office.host(),
        office.port()
    );
    office
        .run(Command::new("/usr/bin/python3").arg("-"), &program)
        .await;
    office.both_arrived().await;
}

#[tokio::test]
async fn nodemailer_sends_with_auth_and_starttls() {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tests/node/node_modules");
    assert!(
        modules.join("nodemailer").is_dir(),
        "nodemailer is not in {}; tests/run installs it",
        modules.display()
    );
    let mut office = Office::open().await;
    let program = format!(
        "const mailer = require('nodemailer');\n\
         const transport = mailer.createTransport({{ host: '{}', port: {}, requireTLS: true,\n\
         \x20 tls: {{ rejectUnauthorized: false }}, auth: {{ user: '{USER}', pass: '{PASSWORD}' }} }});\n\
         transport.sendMail({{ from: 'news@shop.test', to: ['ann@sink.test', 'bob@postfix.test'],\n\
         \x20 subject: 'nodemailer', text: {TEXT:?} }})\n\
         \x20 .then(info => process.exit(info.accepted.length == 2 ? 0 : 1),\n\
         \x20       error => {{ console.error(error); process.exit(1); }});\n",
        office.host(),
        office.port()
    );
    let mut node = Command::new("node");
    node.arg("-").env("NODE_PATH", &modules);
    office.run(&mut node, &program).await;
    office.both_arrived().await;
}

#[tokio::test]
async fn a_wrong_password_and_a_foreign_sender_are_refused() {
    let office = Office::open().await;
    for (password, from) in [("wrong", "news@shop.test"), (PASSWORD, "news@bank.test")] {
        let mut swaks = Command::new("swaks");
        swaks
            .args([
                "--server",
                &office.host(),
                "--port",
                &office.port(),
                "--tls",
            ])
            .args([
                "--auth",
                "PLAIN",
                "--auth-user",
                USER,
                "--auth-password",
                password,
            ])
            .args(["--from", from, "--to", "ann@sink.test"])
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || swaks.output()).await;
        let output = output
            .expect("no panic")
            .expect("swaks; tests/run installs it");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success(), "{said}");
        assert!(said.contains("<** 5") || said.contains("<~* 5"), "{said}");
    }
    assert_eq!(office.sink.totals().messages, 0);
}

/// Postfix's test server, one file a message.
struct SmtpSink {
    child: Child,
    address: SocketAddr,
    dir: PathBuf,
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        // It may have ended on its own.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

impl SmtpSink {
    fn start(dir: &Path) -> SmtpSink {
        std::fs::create_dir_all(dir).expect("a directory");
        let host = Ipv4Addr::new(
            127,
            78,
            rand::random_range(0..=255),
            rand::random_range(1..=254),
        );
        let listener = std::net::TcpListener::bind((host, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let mut command = Command::new("smtp-sink");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin"));
        if !std::path::Path::new("/usr/sbin/smtp-sink").exists() {
            panic!("smtp-sink (Postfix) is missing; tests/run installs it");
        }
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "root"]);
        }
        let child = command
            .arg("-d")
            .arg(dir.join("message."))
            .args([&address.to_string(), "100"])
            .spawn()
            .expect("smtp-sink (Postfix); tests/run installs it");
        let sink = SmtpSink {
            child,
            address,
            dir: dir.to_owned(),
        };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(started.elapsed() < PATIENCE, "smtp-sink does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        sink
    }

    /// The one message that came, with its lines ended by LF.
    async fn message(&self) -> String {
        let started = Instant::now();
        loop {
            let entries = std::fs::read_dir(&self.dir).expect("its directory");
            let texts: Vec<String> = entries
                .filter_map(|e| std::fs::read_to_string(e.ok()?.path()).ok())
                .filter(|text| text.contains("and an end."))
                .collect();
            if let [text] = &texts[..] {
                return text.replace("\r\n", "\n");
            }
            assert!(
                started.elapsed() < PATIENCE,
                "smtp-sink has {} messages",
                texts.len()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A file that only its owner can read.
fn private(path: &Path, text: &str) -> PathBuf {
    use std::io::Write;
    let mut options = std::fs::File::options();
    let file = options
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut f| f.write_all(text.as_bytes()))
        .expect("a file");
    path.to_owned()
}

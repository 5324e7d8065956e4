//! The daemon as a process of its own: what only a real one can show.

use crate::http;
use crate::journal::{Journal, PATIENCE};
use crate::settings::overlay;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A daemon's directory, configuration and addresses; the process comes and goes.
pub struct Daemon {
    pub dir: PathBuf,
    pub smtp: SocketAddr,
    pub http: SocketAddr,
    child: Option<Child>,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.join("stderr.log")).unwrap_or_default();
            let tail: Vec<_> = log.lines().rev().take(40).collect();
            let tail: Vec<_> = tail.into_iter().rev().collect();
            eprintln!("the daemon's last words:\n{}", tail.join("\n"));
        }
    }
}

impl Daemon {
    /// Writes the configuration; [`Daemon::start`] runs it.
    pub fn new(dir: &Path, keys: &str) -> Daemon {
        std::fs::create_dir_all(dir).expect("a directory");
        let address = Ipv4Addr::new(
            127,
            77,
            rand::random_range(0..=255),
            rand::random_range(1..=254),
        );
        let (smtp, http) = (free(address), free(address));
        let base = format!(
            "hostname = \"mta.test\"\ndata_dir = \"{}\"\n[http]\naddress = \"{http}\"\n[[listener]]\n\
             address = \"{smtp}\"\nrole = \"submission\"\ntls = \"starttls\"\nrelay_from = [\"127.0.0.0/8\"]\n\
             [spool]\nsegment_size = \"4MiB\"\nready_segments = 2\n",
            dir.join("data").display()
        );
        let settings = overlay(&base, keys);
        std::fs::write(dir.join("mailwright.toml"), settings).expect("a file");
        Daemon {
            dir: dir.to_owned(),
            smtp,
            http,
            child: None,
        }
    }

    /// Lets nobody send without AUTH; for the next start.
    pub fn forget_relaying(&self) {
        let path = self.dir.join("mailwright.toml");
        let mut settings: toml::Table = std::fs::read_to_string(&path)
            .expect("a file")
            .parse()
            .expect("TOML");
        let listeners = settings["listener"].as_array_mut().expect("a list");
        listeners[0]["relay_from"] = toml::Value::Array(Vec::new());
        std::fs::write(path, settings.to_string()).expect("a file");
    }

    pub fn journal(&self) -> Journal {
        Journal(self.dir.join("data/events"))
    }

    /// Starts the process and waits until it takes mail.
    pub async fn start(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("stderr.log"))
            .expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_mailwright"))
            .args(["serve", "--config"])
            .arg(self.dir.join("mailwright.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("the daemon's program"));
        let started = Instant::now();
        while !self.is_ready().await {
            let ended = self
                .child
                .as_mut()
                .and_then(|c| c.try_wait().ok().flatten());
            assert!(ended.is_none(), "the daemon ended at its start: {ended:?}");
            assert!(
                started.elapsed() < PATIENCE,
                "the daemon does not get ready"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn is_ready(&self) -> bool {
        let answer = http::request(self.http, "GET", "/readyz", &Value::Null).await;
        answer.is_ok_and(|(status, _)| status == 200)
    }

    /// Entries that wait in its queue.
    pub async fn waiting(&self) -> usize {
        self.entries().await.len()
    }

    /// Something waits, and all of it for that.
    pub async fn all_wait_for(&self, held_by: &str) -> bool {
        let entries = self.entries().await;
        let held = entries.iter().all(|e| e["waits"]["held_by"] == held_by);
        held && !entries.is_empty()
    }

    async fn entries(&self) -> Vec<Value> {
        let path = "/api/v1/queue?limit=10000";
        let (status, body) = http::request(self.http, "GET", path, &Value::Null)
            .await
            .expect("a running daemon");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("a list")
    }

    /// SIGKILL, and the process is gone when this returns.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended on its own; waiting tells.
            let _ended = child.kill();
            child.wait().expect("our child");
        }
    }

    /// Lays `keys` over the configuration and sends SIGHUP.
    pub fn reconfigure(&self, keys: &str) {
        let path = self.dir.join("mailwright.toml");
        let text = std::fs::read_to_string(&path).expect("a file");
        std::fs::write(path, overlay(&text, keys)).expect("a file");
        let child = self.child.as_ref().expect("a running daemon");
        kill_process(Pid::from_child(child), Signal::HUP).expect("our child");
    }

    /// SIGTERM; gives how it ended.
    pub async fn terminate(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("a running daemon");
        let pid = Pid::from_child(&child);
        kill_process(pid, Signal::TERM).expect("our child");
        tokio::task::spawn_blocking(move || child.wait())
            .await
            .expect("no panic")
            .expect("our child")
    }
}

fn free(address: Ipv4Addr) -> SocketAddr {
    let listener = std::net::TcpListener::bind((address, 0));
    listener.and_then(|l| l.local_addr()).expect("a free port")
}

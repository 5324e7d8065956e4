//! What `dns generate` prints, as BIND reads it: an independent parser of zone files, and answers over the wire.

use crate::zone::Zone;
use mailwright::cli::Exit;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A name server process with its own port and directory; it ends with the test.
struct Named {
    process: Child,
    address: SocketAddr,
}

impl Drop for Named {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

impl Named {
    /// Serves the zones, each a file in `dir`.
    fn start(dir: &Path, zones: &[String]) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = socket.local_addr().expect("a bound socket");
        drop(socket);
        let (port, dir) = (address.port(), dir.display());
        let mut config = format!(
            "options {{ directory \"{dir}\"; pid-file none; session-keyfile \"{dir}/session.key\"; recursion no; \
             listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; allow-query {{ any; }}; \
             empty-zones-enable no; dnssec-validation no; }};\ncontrols {{ }};\n"
        );
        for zone in zones {
            config += &format!("zone \"{zone}\" {{ type primary; file \"{zone}\"; }};\n");
        }
        let file = format!("{dir}/named.conf");
        std::fs::write(&file, config).expect("a file");
        let mut command = Command::new("named");
        command.args(["-g", "-c", &file, "-n", "1"]);
        command
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stderr(Stdio::null());
        let process = command.spawn().expect("named, which tests/run installs");
        Self { process, address }
    }
}

/// Zone files of what was generated, each with the SOA and NS that its owner has.
fn write_zones(dir: &Path, printed: &Value) -> Vec<String> {
    let mut files: Vec<(String, Vec<String>)> = Vec::new();
    let lines = |records: &Value| -> Vec<String> {
        let records = records.as_array().expect("a list").iter();
        records
            .map(|record| record["line"].as_str().expect("a line").to_owned())
            .collect()
    };
    for zone in printed["zones"].as_array().expect("a list") {
        let name = zone["zone"].as_str().expect("a name").to_owned();
        files.push((name, lines(&zone["records"])));
    }
    for (zone, ending) in [
        ("in-addr.arpa", ".in-addr.arpa."),
        ("ip6.arpa", ".ip6.arpa."),
    ] {
        let all = lines(&printed["reverse"]).into_iter();
        let here = all.filter(|line| line.split(' ').next().expect("a name").ends_with(ending));
        files.push((zone.to_owned(), here.collect()));
    }
    for (zone, lines) in &files {
        let head = format!(
            "$TTL 60\n{zone}. IN SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 60\n{zone}. IN NS ns.invalid.\n"
        );
        std::fs::write(dir.join(zone), head + &lines.join("\n") + "\n").expect("a file");
    }
    files.into_iter().map(|(zone, _)| zone).collect()
}

#[tokio::test]
async fn bind_loads_what_generate_prints_and_its_answers_pass_the_check() {
    let zone = Zone::new().await;
    let printed = zone.generate(&["--format", "json"]).await.json();
    let dir = tempfile::tempdir().expect("a directory");
    let zones = write_zones(dir.path(), &printed);
    assert_eq!(zones.len(), 4, "{zones:?}");
    let named = Named::start(dir.path(), &zones);
    let server = named.address.to_string();
    let started = Instant::now();
    // Questions that come before it listens would each wait their whole time.
    while TcpStream::connect(named.address).is_err() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "named does not listen"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let checked = loop {
        let checked = zone.check(&["--no-fetch", "--nameserver", &server]).await;
        if checked.exit == Exit::Ok {
            break checked;
        }
        // It takes a moment to start, in which nobody answers.
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{}",
            checked.out
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let report = checked.json();
    let findings = report["findings"].as_array().expect("a list");
    let wrong: Vec<&Value> = findings.iter().filter(|f| f["weight"] != "good").collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

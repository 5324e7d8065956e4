//! A small DNS and a configuration to generate records from and check them against.

use mailwright::auth::dkim::{Algorithm, generate};
use mailwright::cli::{Exit, run};
use mailwright::peers::dns::{DnsServer, Record};
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub struct Zone {
    pub dns: DnsServer,
    dir: TempDir,
}

/// Two addresses of ours, a tenant with a From domain, and everything that comes back.
const SETTINGS: &str = r#"
hostname = "mta1.example.com"
data_dir = "data"

[[listener]]
address = "127.0.0.1:2525"

[[listener]]
address = "0.0.0.0:25"
role = "inbound"

[[source]]
name = "ip-a"
address = "192.0.2.10"
ehlo = "a.mail.example.com"

[[source]]
name = "ip-b"
address = "2001:db8::25"
ehlo = "b.mail.example.com"

[[tenant]]
name = "acme"
domains = ["acme.example"]

[[dkim]]
domain = "acme.example"
selector = "s1"
key = "s1.pem"

[return_path]
domain = "bounces.acme.example"

[feedback]
address = "fbl@fbl.acme.example"

[unsubscribe]
mailto_domain = "leave.acme.example"

[zone]
dmarc = "quarantine"
dmarc_reports = "dmarc@reports.example.com"
tls_reports = "tls@reports.example.com"
mx_addresses = ["127.0.0.1"]
"#;

/// The last lines, which stories may leave out or change.
const BIMI: &str = r#"
[[zone.domain]]
name = "acme.example"
bimi_logo = "https://acme.example/logo.svg"
"#;

/// What a command gave.
pub struct Given {
    pub exit: Exit,
    pub out: String,
}

impl Given {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }
}

impl Zone {
    /// An empty DNS.
    pub async fn new() -> Self {
        Self::with(&format!("{SETTINGS}{BIMI}")).await
    }

    /// With more said of `[[zone.domain]]`.
    pub async fn with_domain(more: &str) -> Self {
        Self::with(&format!("{SETTINGS}{BIMI}{more}")).await
    }

    pub async fn with(settings: &str) -> Self {
        let zone = Self {
            dns: DnsServer::start().await.expect("a DNS server"),
            dir: tempfile::tempdir().expect("a directory"),
        };
        let dns = format!(
            "\n[dns]\nnameservers = [\"{}\"]\ntimeout = \"5s\"\nattempts = 1\n",
            zone.dns.address()
        );
        std::fs::write(zone.config(), format!("{settings}{dns}")).expect("a file");
        generate(Algorithm::Rsa2048, &zone.path("s1.pem")).expect("a key");
        zone
    }

    /// An empty DNS, then all that `dns generate` prints.
    pub async fn filled() -> Self {
        let zone = Self::new().await;
        let lines = zone.generate(&[]).await.out;
        load(&zone.dns, &lines);
        zone
    }

    pub fn config(&self) -> PathBuf {
        self.path("mailwright.toml")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Appends to the configuration.
    pub fn say(&self, more: &str) {
        let text = std::fs::read_to_string(self.config()).expect("a file");
        std::fs::write(self.config(), format!("{text}{more}")).expect("a file");
    }

    pub async fn generate(&self, more: &[&str]) -> Given {
        self.command(&[&["dns", "generate", "acme.example"], more].concat())
            .await
    }

    /// `dns check` as JSON.
    pub async fn check(&self, more: &[&str]) -> Given {
        let options = ["dns", "check", "acme.example", "--format", "json"];
        self.command(&[&options[..], more].concat()).await
    }

    /// `dns check` without what it fetches.
    pub async fn records(&self) -> Given {
        self.check(&["--no-fetch"]).await
    }

    pub async fn command(&self, args: &[&str]) -> Given {
        command(&self.config(), args).await
    }
}

/// Runs a command with a configuration, on a thread of its own as a process would.
pub async fn command(config: &Path, args: &[&str]) -> Given {
    let mut all: Vec<OsString> = vec!["mailwright".into()];
    all.extend(args.iter().map(OsString::from));
    all.extend([OsString::from("--config"), config.into()]);
    let ran = tokio::task::spawn_blocking(move || {
        let mut out = Vec::new();
        let exit = run(all, &mut out);
        Given {
            exit,
            out: String::from_utf8(out).expect("text"),
        }
    });
    ran.await.expect("no panic")
}

/// Loads lines of a zone file, all names of which are whole, as a name server would.
pub fn load(dns: &DnsServer, lines: &str) {
    for line in lines.lines() {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let Some((name, rest)) = words.split_first() else {
            continue;
        };
        let rest = if rest[0] == "IN" {
            &rest[1..]
        } else {
            &rest[2..]
        };
        assert!(name.ends_with('.'), "{line}");
        let whole = |name: &str| name.strip_suffix('.').expect("a whole name").to_owned();
        let record = match rest {
            ["A", address] => Record::A(address.parse().expect(line)),
            ["AAAA", address] => Record::Aaaa(address.parse().expect(line)),
            ["MX", preference, host] => Record::mx(preference.parse().expect(line), whole(host)),
            ["CNAME", to] => Record::Cname(whole(to)),
            ["PTR", to] => Record::Ptr(whole(to)),
            ["TXT", strings @ ..] => {
                assert!(strings.iter().all(|string| string.len() <= 255), "{line}");
                Record::Txt(strings.concat())
            }
            _ => panic!("{line}"),
        };
        dns.add(name, record);
    }
}

/// RFC 1035 §5.1: words and quoted strings; parentheses only group, `;` begins a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        match first {
            ';' => break,
            '(' | ')' => rest = &rest[1..],
            '"' => {
                let mut word = String::new();
                let mut characters = rest.char_indices().skip(1);
                let end = loop {
                    match characters.next().expect("a closing quote") {
                        (at, '"') => break at,
                        (_, '\\') => word.push(characters.next().expect("what is escaped").1),
                        (_, c) => word.push(c),
                    }
                };
                words.push(word);
                rest = &rest[end + 1..];
            }
            _ => {
                let end = rest
                    .find(|c: char| c.is_whitespace() || c == ')')
                    .unwrap_or(rest.len());
                words.push(rest[..end].to_owned());
                rest = &rest[end..];
            }
        }
        rest = rest.trim_start();
    }
    words
}

//! Stories: a message in a file, a configuration beside it or not, and what is said of it.

use crate::auth::dkim::{Algorithm, generate};
use crate::cli::Exit;
use crate::cli::tests::mailwright;
use serde_json::Value;
use std::path::PathBuf;

struct Desk {
    dir: tempfile::TempDir,
}

/// As an editor writes it: lines end with LF.
const NEWS: &str = "From: Acme <news@acme.example>\nTo: Ann <ann@example.net>\nSubject: Spring\n\n\
                    Unsubscribe: https://acme.example/u/1\nAcme, Gartenweg 5, 10115 Berlin\n";

impl Desk {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A configuration that signs for acme.example and stamps.
    fn config(&self, more: &str) -> String {
        let key = self.dir.path().join("acme.pem");
        if !key.exists() {
            generate(Algorithm::Ed25519, &key).unwrap();
        }
        let text = format!(
            "[[dkim]]\ndomain = \"acme.example\"\nselector = \"s1\"\nkey = \"acme.pem\"\n\
             [[tenant]]\nname = \"acme\"\ndomains = [\"acme.example\"]\n\
             [unsubscribe]\nurl = \"https://u.acme.example\"\n\
             [return_path]\ndomain = \"b.acme.example\"\n{more}"
        );
        self.file("mailwright.toml", &text)
    }
}

fn json(words: &[&str]) -> (Exit, Value) {
    let words: Vec<&str> = ["lint", "--format", "json"]
        .iter()
        .chain(words)
        .copied()
        .collect();
    let (exit, out) = mailwright(&words);
    (
        exit,
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}")),
    )
}

fn rules(linted: &Value) -> Vec<(&str, &str)> {
    let found = linted["findings"].as_array().unwrap().iter();
    let text = |finding| Value::as_str(finding).unwrap();
    let told = found.map(|finding| (text(&finding["level"]), text(&finding["rule"])));
    told.collect()
}

#[test]
fn a_message_alone_is_held_to_what_it_shows() {
    let desk = Desk::new();
    let file = desk.file("news.eml", NEWS);
    let (exit, linted) = json(&[&file]);
    assert_eq!((exit, &linted["blocked"]), (Exit::Ok, &false.into()));
    assert_eq!(
        rules(&linted),
        [
            ("warn", "unsubscribe-missing"),
            ("fix", "date-missing"),
            ("fix", "message-id-missing"),
            ("info", "feedback-id-missing"),
            ("info", "list-id-missing"),
            ("info", "cfbl-missing"),
        ]
    );
    let (_, receipt) = json(&["--stream", "transactional", &file]);
    assert!(rules(&receipt).iter().all(|(level, _)| *level != "warn"));
    let labelled = desk.file(
        "r.eml",
        &format!("X-Mailwright-Stream: transactional\n{NEWS}"),
    );
    assert_eq!(json(&[&labelled]).1["findings"], receipt["findings"]);
}

#[test]
fn a_rule_that_blocks_ends_with_65_and_people_read_why() {
    let desk = Desk::new();
    let file = desk.file(
        "bad.eml",
        &NEWS.replace("news@acme.example", "acme@gmail.com"),
    );
    let (exit, out) = mailwright(&["lint", &file]);
    assert_eq!(exit, Exit::Data);
    assert!(
        out.starts_with(&format!("{file}: 1 block, 1 warn, 2 fix, 3 info\n")),
        "{out}"
    );
    assert!(
        out.contains("\nblock L05 freemail-from: From: acme@gmail.com is a mailbox at gmail.com"),
        "{out}"
    );
    assert!(
        out.contains("\n      google, yahoo, outlook, apple: Google's sender guidelines"),
        "{out}"
    );
    assert!(
        out.contains("\n      fix: send from a domain of your own"),
        "{out}"
    );
    let (exit, _) = mailwright(&["lint", &format!("{file}.missing")]);
    assert_eq!(exit, Exit::Data);
}

#[test]
fn a_configuration_says_what_is_signed_added_and_ours() {
    let desk = Desk::new();
    let (config, file) = (desk.config(""), desk.file("news.eml", NEWS));
    let (exit, linted) = json(&["--config", &config, &file]);
    assert_eq!(exit, Exit::Ok);
    let found = rules(&linted);
    assert!(found.contains(&("fix", "unsubscribe-missing")), "{found:?}");
    assert!(
        !found
            .iter()
            .any(|(_, rule)| rule.starts_with("dkim") || *rule == "untraced"),
        "{found:?}"
    );

    let other = desk.file(
        "other.eml",
        &NEWS.replace("news@acme.example", "news@other.example"),
    );
    let as_acme = ["--config", &config, "--tenant", "acme", &other];
    let (exit, linted) = json(&as_acme);
    let found = rules(&linted);
    assert_eq!(exit, Exit::Data);
    assert!(found.contains(&("block", "from-not-ours")), "{found:?}");
    assert!(found.contains(&("warn", "dkim-missing")), "{found:?}");
    // Who has no tenant may use any domain, and is told no other thing here.
    let (_, linted) = json(&["--config", &config, &other]);
    assert!(!rules(&linted).contains(&("block", "from-not-ours")));

    let config = desk.config(
        "[lint]\nrules = { L05 = \"warn\", L02 = \"off\" }\n[lint.marketing]\nL16 = \"off\"\n",
    );
    let (exit, linted) = json(&["--config", &config, "--tenant", "acme", &other]);
    let found = rules(&linted);
    assert_eq!(exit, Exit::Ok, "{found:?}");
    assert!(found.contains(&("warn", "from-not-ours")), "{found:?}");
    assert!(
        !found
            .iter()
            .any(|(_, rule)| rule.contains("date") || rule.contains("feedback")),
        "{found:?}"
    );
}

#[test]
fn envelope_and_source_are_looked_at_where_they_are_given() {
    let desk = Desk::new();
    let file = desk.file("news.eml", NEWS);
    let (_, linted) = json(&[
        "--from",
        "<>",
        "--to",
        "postmaster@example.net",
        "--source",
        "192.0.2.10",
        &file,
    ]);
    let found = rules(&linted);
    assert!(
        found.contains(&("warn", "null-sender")) && found.contains(&("warn", "role-address")),
        "{found:?}"
    );
    let (exit, _) = mailwright(&["lint", "--from", "nobody", &file]);
    assert_eq!(exit, Exit::Data);
    let (exit, _) = mailwright(&["lint", "--source", "here", &file]);
    assert_eq!(exit, Exit::Usage);
}

#[test]
fn what_is_not_checked_is_told_where_somebody_asks_and_the_rules_are_listed() {
    let desk = Desk::new();
    let file = desk.file("news.eml", NEWS);
    let (_, out) = mailwright(&["lint", "--verbose", &file]);
    assert!(
        out.contains("L08 spf-fails: not checked: SPF of the sources is not known here"),
        "{out}"
    );
    let (exit, out) = mailwright(&["lint", "--rules"]);
    assert_eq!(exit, Exit::Ok);
    assert!(out.lines().count() > 60, "{out}");
    assert!(out.contains("L14  one-click-missing"), "{out}");
    let (exit, _) = mailwright(&["lint"]);
    assert_eq!(exit, Exit::Usage);
}

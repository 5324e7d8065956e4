//! The published cases of RFC 7208, one by one: through the library, through the command against a name server, and
//! through mail-auth, to see what its verifier would have us believe.
//!
//! `rfc7208/suite.json` is the suite of openspf.org (rfc7208-tests.yml of pyspf 2.0.14) with its cases and zones unchanged,
//! written as JSON without the prose; its licence is beside it.

mod servers;
mod suite;
mod worlds;

use mailwright::auth::spf::{Question, Report, check};
use mailwright::clock::Clock;
use mailwright::units::Timestamp;
use serde_json::Value;
use std::fmt::Write;
use suite::Case;

/// What came of a case.
#[derive(Debug)]
struct Verdict {
    result: String,
    explanation: Option<String>,
}

/// Where we answer otherwise than the suite, and why that is right.
///
/// `v-macro-ip6` wants `%{i}` of IPv6 in capitals; the examples of RFC 7208 §7.4 have it in small letters. Explanations
/// are therefore compared without regard to case.
const DIFFERENT: &[&str] = &[];

const CASES: usize = 203;

#[tokio::test]
async fn every_case_through_the_library() {
    let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let mut tally = Tally::default();
    for scenario in suite::read() {
        let world = worlds::in_memory(&scenario, clock.clone());
        for (name, case) in &scenario.tests {
            let question = Question {
                ip: case.host.parse().unwrap(),
                sender: &case.mailfrom,
                helo: &case.helo,
                receiver: "receiver.test",
            };
            let report = check(&world, &clock, &question).await;
            within_limits(name, &report);
            tally.count(name, case, &report.into());
        }
    }
    tally.finish("library", DIFFERENT);
}

#[test]
fn every_case_through_the_command() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut tally = Tally::default();
    for scenario in suite::read() {
        let server = runtime.block_on(servers::on_loopback(&scenario));
        let nameserver = server.address().to_string();
        for (name, case) in &scenario.tests {
            tally.count(name, case, &command(case, &nameserver));
        }
    }
    tally.finish("command", DIFFERENT);
}

/// The reason for a verifier of our own: were mail-auth right in all cases, we would use it.
#[tokio::test]
async fn mail_auth_is_not_exact() {
    let mut tally = Tally::default();
    for scenario in suite::read() {
        let server = servers::on_loopback(&scenario).await;
        let verifier = servers::mail_auth(server.address());
        for (name, case) in &scenario.tests {
            tally.count(name, case, &servers::verify(&verifier, case).await);
        }
    }
    println!(
        "mail-auth: {} of {}; not {:?}",
        tally.right,
        tally.all,
        tally.names()
    );
    for case in ["void-over-limit", "exists-ip6only", "p-macro-ip4-novalid"] {
        assert!(tally.names().contains(&case), "mail-auth has learnt {case}");
    }
}

fn within_limits(name: &str, report: &Report) {
    assert!(report.lookups <= 10, "{name}");
    assert!(report.voids <= 3, "{name}");
    assert_eq!(
        report.error.is_some(),
        report.result.name().ends_with("error"),
        "{name}"
    );
}

fn command(case: &Case, nameserver: &str) -> Verdict {
    let args = [
        "mailwright",
        "spf",
        "check",
        "--ip",
        &case.host,
        "--from",
        &case.mailfrom,
        "--helo",
        &case.helo,
        "--nameserver",
        nameserver,
    ];
    let mut out = Vec::new();
    let exit = mailwright::cli::run(args.map(Into::into), &mut out);
    assert_eq!(exit, mailwright::cli::Exit::Ok, "{args:?}");
    let line: Value = serde_json::from_slice(&out).unwrap();
    Verdict {
        result: line["result"].as_str().unwrap().to_owned(),
        explanation: line["explanation"].as_str().map(Into::into),
    }
}

impl From<Report> for Verdict {
    fn from(report: Report) -> Self {
        Self {
            result: report.result.name().to_owned(),
            explanation: report.explanation.map(Into::into),
        }
    }
}

#[derive(Default)]
struct Tally {
    all: usize,
    right: usize,
    wrong: Vec<(String, String)>,
}

impl Tally {
    fn count(&mut self, name: &str, case: &Case, verdict: &Verdict) {
        self.all += 1;
        let wanted = case
            .explanation
            .as_deref()
            .filter(|text| *text != "DEFAULT");
        let explained = match (case.explanation.is_some(), wanted, &verdict.explanation) {
            (false, ..) => true,
            (true, Some(wanted), Some(given)) => wanted.eq_ignore_ascii_case(given),
            (true, wanted, given) => wanted.is_none() == given.is_none(),
        };
        if case.result.contains(&verdict.result) && explained {
            self.right += 1;
            return;
        }
        let found = format!("{verdict:?}, not {:?} {:?}", case.result, case.explanation);
        self.wrong.push((name.to_owned(), found));
    }

    fn names(&self) -> Vec<&str> {
        self.wrong.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn finish(self, through: &str, expected: &[&str]) {
        let mut text = String::new();
        for (name, found) in &self.wrong {
            writeln!(text, "  {name}: {found}").unwrap();
        }
        println!("{through}: {} of {} cases\n{text}", self.right, self.all);
        assert_eq!(self.all, CASES);
        assert_eq!(self.names(), expected, "{text}");
    }
}

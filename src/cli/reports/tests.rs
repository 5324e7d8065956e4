use crate::cli::Exit;
use crate::cli::tests::{asked_of, mailwright};
use serde_json::Value;
use std::path::Path;

const REPORT: &str = "<feedback><report_metadata><org_name>r</org_name><report_id>1</report_id><date_range><begin>1700000000\
    </begin><end>1700086399</end></date_range></report_metadata><policy_published><domain>acme.example</domain><p>none</p>\
    </policy_published><record><row><source_ip>192.0.2.1</source_ip><count>7</count><policy_evaluated><disposition>none\
    </disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row></record></feedback>";

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_file_has_a_line_and_a_broken_one_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let whole = write(dir.path(), "whole.xml", REPORT);
    let broken = write(dir.path(), "broken.xml", &REPORT[..REPORT.len() - 3]);
    let (exit, out) = mailwright(&["reports", "parse", &whole]);
    assert_eq!(exit, Exit::Ok);
    let line = &lines(&out)[0];
    assert_eq!(
        (&line["kind"], &line["org_name"], &line["p"]),
        (&"dmarc".into(), &"r".into(), &"none".into())
    );
    assert_eq!(
        (
            &line["messages"],
            &line["dkim"]["pass"],
            &line["spf"]["fail"]
        ),
        (&7.into(), &7.into(), &7.into())
    );
    assert_eq!(line["sources"][0]["source_ip"], "192.0.2.1");
    let (exit, out) = mailwright(&["reports", "parse", &broken, &whole]);
    assert_eq!(exit, Exit::Data);
    let lines = lines(&out);
    assert_eq!(
        (&lines[0]["kind"], &lines[1]["kind"]),
        (&"unknown".into(), &"dmarc".into())
    );
    assert!(
        lines[0]["error"]
            .as_str()
            .unwrap()
            .contains("not well-formed"),
        "{out}"
    );
}

#[test]
fn without_a_daemon_the_data_directory_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let report = write(dir.path(), "whole.xml", REPORT);
    let snds = write(
        dir.path(),
        "snds.csv",
        "192.0.2.1,11/15/2023 1:00 AM,,1,1,1,GREEN,< 0.1%,,,0,,,\n",
    );
    let config = write(
        dir.path(),
        "mailwright.toml",
        "data_dir = \"data\"\n[http]\naddress = \"127.0.0.1:1\"\n[[source]]\nname = \"ip-a\"\naddress = \"192.0.2.1\"\n\
         ehlo = \"a.acme.example\"\n[[pool]]\nname = \"default\"\nsources = [{ name = \"ip-a\" }]\n",
    );
    let run = |words: &[&str]| {
        let words: Vec<&str> = words.iter().copied().chain(["--config", &config]).collect();
        mailwright(&words)
    };
    let (exit, out) = run(&["reports", "import", &report, &report, &snds]);
    assert_eq!(exit, Exit::Ok, "{out}");
    let results: Vec<_> = lines(&out)
        .iter()
        .map(|line| line["result"].clone())
        .collect();
    assert_eq!(results, ["stored", "duplicate", "stored"]);
    let (_, out) = run(&["reports", "show", "--since", "5000d", "--format", "csv"]);
    let (head, row) = out.split_once('\n').unwrap();
    assert!(
        head.contains("source_ip") && row.contains("192.0.2.1") && row.contains("ip-a"),
        "{out}"
    );
    let (_, out) = run(&["reports", "show", "--since", "5000d"]);
    assert!(
        out.contains("acme.example  192.0.2.1  ip-a") && out.contains("filter_result GREEN"),
        "{out}"
    );
    let (_, out) = run(&["reports", "advise", "acme.example", "--since", "5000d"]);
    assert!(
        out.contains("p=reject cannot be called safe yet")
            && out.contains("no message would be hit"),
        "{out}"
    );
    let (_, out) = run(&["reports", "show"]);
    assert_eq!(out, "no report is about the last 30d\n");
}

#[tokio::test]
async fn a_daemon_is_asked_where_one_runs() {
    let (exit, out, _) = asked_of(&[
        "reports",
        "show",
        "--domain",
        "acme.example",
        "--format",
        "json",
    ])
    .await;
    let rows: Vec<_> = lines(&out).iter().map(|line| line["row"].clone()).collect();
    assert_eq!(exit, Exit::Ok);
    assert_eq!(rows, ["source", "source", "tls", "figures"]);
    let (_, out, _) = asked_of(&["reports", "advise", "acme.example"]).await;
    assert!(
        out.contains("p=reject is safe") && out.contains("192.0.2.2"),
        "{out}"
    );
    let dir = tempfile::tempdir().unwrap();
    let report = write(dir.path(), "whole.xml", REPORT);
    let (exit, out, daemon) = asked_of(&["reports", "import", &report, "--any-domain"]).await;
    assert_eq!(
        (exit, &lines(&out)[0]["result"]),
        (Exit::Ok, &"stored".into())
    );
    let told = daemon.told.lock().clone();
    assert_eq!(
        told,
        [format!(
            "import {} Order {{ any_domain: true, domain: None }}",
            REPORT.len()
        )]
    );
}

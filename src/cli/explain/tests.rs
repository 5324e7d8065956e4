use crate::cli::Exit;
use crate::cli::tests::{asked_of, mailwright};
use crate::http::tests::sample;
use crate::http::{Aligned, Question, Verdict, Window};
use crate::mail::Stream;
use crate::policy::Held;

const PLAIN: [&str; 5] = [
    "explain",
    "--from",
    "news@acme.example",
    "--to",
    "ann@example.net",
];

fn printed(verdict: &Verdict) -> String {
    let mut said = String::new();
    super::table::verdict(verdict, &mut said).unwrap();
    said
}

#[test]
fn a_verdict_reads_from_the_answer_to_the_key_that_changes_it() {
    let expected = "\
would go now from ip-b to mx.example.net

domain    example.net
site      mx.example.net, by its MX
provider  google (config/providers.toml)
tls       opportunistic (delivery.tls)
pool      shared (tenant[0].pool)

sources, in the order in which this message tries them
  ip-a 192.0.2.10, by pool shared (source[0])
    not now; waits for warm-up of ip-a to google: 67 of 67 used on sending day 3, stage 3 of 64; until 2026-11-04T00:00:00.000Z
      decided by source[0].warmup.schedule, source[0].warmup.overflow
      ended by   mailwright warmup set ip-a google STAGE
    limit    none (source[0].limits, limits.source, limits.provider, limits.site)
    warm-up  to google: held, stage 3 of 64, sending day 3, 67 of 67 used, 0 left; held at stage 3: deferrals 15 of 135 (11.11 %) (source[0].warmup)
    warm-up  to all providers together: held, stage 3 of 64, sending day 3, 67 of 67 used, 0 left; as said above (source[0].warmup)
    line     none yet
  ip-b 192.0.2.10, by pool shared (source[1])
    chosen
    limit    source ip-b: 3 of 100/min messages (source[1].limits.messages)
    line     12 waiting, about 7 s at 100/min; connections: 3 open, 5 may be, 20 at most (delivery.max_connections_per_site)

limits of tenant and campaign
  tenant acme: 3 of 100/min messages (limits.tenant.messages)

send windows
  tenant acme: 08:00-22:00 UTC, open until 2026-11-03T22:00:00.000Z (tenant[0].send_window)
";
    assert_eq!(printed(&sample::verdict()), expected);
}

#[test]
fn what_holds_a_message_is_told_first_with_its_keys() {
    let mut verdict = sample::verdict();
    verdict.explained.waits = Some(sample::spent());
    verdict.summary = "waits for something".into();
    verdict.refused = Some(crate::mail::Reply::said(451, None, "full", "."));
    verdict.notes = vec!["a note".into()];
    let text = printed(&verdict);
    let first: Vec<&str> = text.lines().take(3).collect();
    assert_eq!(first[0], "waits for something");
    assert_eq!(
        first[1],
        "  decided by source[0].warmup.schedule, source[0].warmup.overflow"
    );
    assert!(first[2].ends_with("mailwright warmup set ip-a google STAGE"));
    assert!(
        text.contains("refused   451 full\nnote      a note\n"),
        "{text}"
    );
}

#[test]
fn a_reason_is_said_once() {
    let mut verdict = sample::verdict();
    verdict.explained.waits = Some(sample::spent());
    verdict.summary = crate::http::explain::summary(&verdict.explained, None);
    let candidates = &mut verdict.explained.explanation.candidates;
    candidates[0].taken = true;
    candidates[1].taken = false;
    let text = printed(&verdict);
    let reason = "67 of 67 used on sending day 3, stage 3 of 64";
    assert_eq!(text.matches(reason).count(), 1, "{text}");
    assert!(
        text.contains("    chosen; waits, as said above\n"),
        "{text}"
    );
    assert!(text.contains("    next in order, not needed\n"), "{text}");
}

#[test]
fn what_receivers_will_see_is_told_for_each_source_and_a_finding_in_full_once() {
    let mut verdict = sample::verdict();
    let finding = "L10 acme.example has no DMARC record (publish one)";
    let at = |source: &str, last: u8, spf: &str| Aligned {
        source: source.into(),
        address: [192, 0, 2, last].into(),
        spf: format!("{spf} for acme.example, aligned"),
        dkim: vec!["s1._domainkey.acme.example: ours, aligned".into()],
        dmarc: "none, no record for acme.example".into(),
        findings: vec![finding.into()],
    };
    verdict.alignment = vec![at("ip-a", 10, "pass"), at("ip-b", 11, "fail")];
    let expected = format!(
        "
as its receivers will see it (alignment.action)
  from ip-a 192.0.2.10
    spf      pass for acme.example, aligned
    dkim     s1._domainkey.acme.example: ours, aligned
    dmarc    none, no record for acme.example
    finding  {finding}
  from ip-b 192.0.2.11
    spf      fail for acme.example, aligned
    dkim     s1._domainkey.acme.example: ours, aligned
    dmarc    none, no record for acme.example
    finding  L10, as said above
"
    );
    let text = printed(&verdict);
    assert!(text.contains(&expected), "{text}");
}

#[test]
fn where_nothing_is_configured_the_keys_are_told_at_which_it_could_be() {
    let mut verdict = sample::verdict();
    let explanation = &mut verdict.explained.explanation;
    (explanation.limits, explanation.candidates) = (Vec::new(), Vec::new());
    explanation.pool = "".into();
    explanation.held = Some(Held::SendAt);
    verdict.windows = Vec::<Window>::new();
    let text = printed(&verdict);
    for part in [
        "pool      none\n",
        "tries them\n  none\n",
        "  none (tenant[0].limits, tenant[0].campaign_limits, limits.tenant, limits.campaign)\n",
        "  none (tenant[].send_window, provider[].send_window)\n",
    ] {
        assert!(text.contains(part), "{part} not in\n{text}");
    }
}

#[tokio::test]
async fn the_options_are_the_question() {
    let options = "--tenant acme --campaign spring --stream transactional --list news --pool shared --engagement 80";
    let words: Vec<&str> = PLAIN.into_iter().chain(options.split(' ')).collect();
    let (exit, text, daemon) = asked_of(&words).await;
    assert_eq!(exit, Exit::Ok);
    assert!(
        text.starts_with("would go now from ip-b to mx.example.net\n"),
        "{text}"
    );
    let asked = daemon.asked.lock().take().unwrap();
    let expected = Question {
        from: Some("news@acme.example".parse().unwrap()),
        to: "ann@example.net".parse().unwrap(),
        tenant: Some("acme".into()),
        campaign: Some("spring".into()),
        stream: Some(Stream::Transactional),
        list: Some("news".into()),
        pool: Some("shared".into()),
        virtual_mta: None,
        engagement: Some(80),
        send_at: None,
        expires: None,
    };
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn json_is_the_answer_of_the_api() {
    let words: Vec<&str> = PLAIN.into_iter().chain(["--format", "json"]).collect();
    let (exit, text, _) = asked_of(&words).await;
    assert_eq!((exit, text.lines().count()), (Exit::Ok, 1));
    assert_eq!(
        serde_json::from_str::<Verdict>(&text).unwrap(),
        sample::verdict()
    );
}

#[tokio::test]
async fn a_message_says_what_the_options_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("message.eml");
    let text = "From: a@acme.example\nX-Mailwright-Tenant: acme\nX-Mailwright-Engagement: 7\n\
                X-Virtual-MTA: blue\nX-Mailwright-Send-At: 2099-01-01T00:00:00Z\n\nX-Mailwright-Tag: no\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let words: Vec<&str> = PLAIN
        .into_iter()
        .chain([file, "--engagement", "80"])
        .collect();
    let (exit, _, daemon) = asked_of(&words).await;
    assert_eq!(exit, Exit::Ok);
    let asked = daemon.asked.lock().take().unwrap();
    assert_eq!(
        (asked.tenant.as_deref(), asked.engagement),
        (Some("acme"), Some(80))
    );
    assert_eq!(asked.virtual_mta.as_deref(), Some("blue"));
    assert_eq!(
        asked.send_at.unwrap().to_string(),
        "2099-01-01T00:00:00.000Z"
    );
    let words: Vec<&str> = PLAIN.into_iter().chain([file, "--pool", "red"]).collect();
    let asked = asked_of(&words).await.2.asked.lock().take().unwrap();
    assert_eq!(
        (asked.pool.as_deref(), asked.virtual_mta),
        (Some("red"), None)
    );
}

#[tokio::test]
async fn what_the_daemon_cannot_say_ends_with_the_code_for_it() {
    let of = async |to: &'static str| asked_of(&["explain", "--from", "<>", "--to", to]).await.0;
    assert_eq!(of("ann@example.net").await, Exit::Ok);
    assert_eq!(of("ann@nowhere.test").await, Exit::Data);
    assert_eq!(of("ann@silent.test").await, Exit::TemporaryFailure);
}

#[test]
fn bad_addresses_and_messages_are_65_and_bad_options_64() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("message.eml");
    std::fs::write(&file, "X-Mailwright-Stream: bulk\n\n").unwrap();
    let file = file.to_str().unwrap();
    let exit = |more: &[&str]| {
        let words: Vec<&str> = ["explain"].iter().chain(more).copied().collect();
        mailwright(&words).0
    };
    let good = ["--from", "a@b.example", "--to", "c@d.example"];
    let with = |more: &[&'static str]| exit(&[good.as_slice(), more].concat());
    assert_eq!(
        exit(&["--from", "nobody", "--to", "c@d.example"]),
        Exit::Data
    );
    assert_eq!(exit(&["--from", "a@b.example", "--to", "<>"]), Exit::Data);
    assert_eq!(exit(&[good.as_slice(), &[file]].concat()), Exit::Data);
    assert_eq!(with(&["/nowhere.eml"]), Exit::Data);
    assert_eq!(exit(&["--to", "c@d.example"]), Exit::Usage);
    assert_eq!(with(&["--engagement", "101"]), Exit::Usage);
    assert_eq!(with(&["--stream", "bulk"]), Exit::Usage);
}

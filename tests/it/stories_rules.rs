//! What is heard in replies: a source stays away, a connection ends, a refusal is taken for something else, as the
//! rules of providers and operators say.

use crate::internet::{Internet, Mx};
use crate::mta::Mta;
use crate::wire::Source;
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const NO_SYNC: &str = "[spool]\nsync = false\n";
const ONE_CONNECTION: &str =
    "[delivery]\ninitial_connections_per_site = 1\nmax_connections_per_site = 1\n";

fn people(name: &str, count: usize, domain: &str) -> Vec<String> {
    (0..count).map(|n| format!("{name}-{n}@{domain}")).collect()
}

/// Two sources and a pool of each, and the hosts of Yahoo, of which one puts the first attempt off.
struct Suspended {
    net: Internet,
    yahoo: Mx,
    aol: Mx,
    a: Source,
    b: Source,
    mta: Mta,
}

const TSS04: &str = "421 4.7.0 [TSS04] Messages from 192.0.2.25 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes";

/// Source `ip-a` has been told to stay away from Yahoo.
async fn suspended() -> Suspended {
    let net = Internet::new().await;
    let yahoo = net
        .host("mta5.am0.yahoodns.net")
        .serves("yahoo.example", 1)
        .start()
        .await;
    let aol = net
        .host("mx-aol.mail.gm0.yahoodns.net")
        .serves("aol.example", 1)
        .start()
        .await;
    let [a, b] = ["ip-a", "ip-b"].map(|name| net.source(name));
    let pools = "[[pool]]\nname = \"a\"\nsources = [{ name = \"ip-a\" }]\n\
        [[pool]]\nname = \"both\"\nsources = [{ name = \"ip-a\", weight = 1000000 }, { name = \"ip-b\" }]\n";
    let mta = net
        .mta(&format!("{NO_SYNC}{}{}{pools}", a.with(""), b.with("")))
        .await;
    yahoo.on("MAIL", &format!("first=1 {TSS04}"));
    Suspended {
        net,
        yahoo,
        aol,
        a,
        b,
        mta,
    }
}

/// A rule keeps the source away; not that the site could not be reached, of which failures are counted.
fn is_suspension(event: &crate::journal::Event) -> bool {
    event.kind() == "breaker" && event.0.get("failures").is_none()
}

#[tokio::test]
async fn a_source_that_is_put_off_stays_away_and_another_takes_over_at_once() {
    let Suspended {
        net,
        yahoo,
        aol,
        a,
        b,
        mta,
    } = suspended().await;
    let both = "X-Mailwright-Pool: both\r\n";
    mta.inject_as(both, "first@yahoo.example").await;
    mta.deferral("first@yahoo.example").await;
    let told = mta.journal.nth(1, "breaker", is_suspension).await;
    assert_eq!(
        (told.text("source"), told.text("provider")),
        ("ip-a", "yahoo")
    );
    assert_eq!(told.until(), net.clock.now() + 2 * HOUR);
    assert!(told.0["reply"].to_string().contains("[TSS04]"), "{told:?}");
    assert!(told.0.get("site").is_none_or(Value::is_null), "{told:?}");

    mta.inject_all(both, &people("p", 10, "yahoo.example"))
        .await;
    mta.inject_all(both, &people("p", 10, "aol.example")).await;
    yahoo.came(10).await;
    aol.came(10).await;
    assert_eq!(
        b.sent(&yahoo.messages()),
        10,
        "at once, by the other source"
    );
    assert_eq!(b.sent(&aol.messages()), 10, "all sites of the provider");
    // The message that was put off goes by the other source too when its time comes.
    mta.outcome("first@yahoo.example").await;
    assert_eq!(a.sent(&yahoo.messages()), 0);
    net.check(&mta).await;
}

#[tokio::test]
async fn mail_in_line_changes_to_another_source_when_its_own_is_put_off() {
    for stage in ["CONNECT", "MAIL", "DOT"] {
        changes_when_put_off_at(stage).await;
    }
}

async fn changes_when_put_off_at(stage: &str) {
    let Suspended {
        net,
        yahoo,
        a,
        b,
        mta,
        ..
    } = suspended().await;
    yahoo.behave();
    yahoo.on(stage, &format!("first=1 after=1s {TSS04}"));
    let both = "X-Mailwright-Pool: both\r\n";
    let keys = format!(
        "{NO_SYNC}{ONE_CONNECTION}{}{}[[pool]]\nname = \"both\"\nsources = [{{ name = \"ip-a\", weight = 1000000 }}, {{ name = \"ip-b\" }}]\n",
        a.with(""),
        b.with("")
    );
    assert_eq!(mta.reload(&keys).await.0, 200);
    let to = people("p", 10, "yahoo.example");
    mta.inject_all(both, &to).await;
    for to in &to[1..] {
        mta.journal.first("delivered", to).await;
    }
    assert_eq!(b.sent(&yahoo.messages()), 9);
    mta.outcome(&to[0]).await;
    assert_eq!(b.sent(&yahoo.messages()), 10);
    net.check(&mta).await;
}

#[tokio::test]
async fn a_suspension_is_told_survives_a_restart_and_ends_by_itself() {
    let Suspended {
        net,
        yahoo,
        aol,
        a,
        mta,
        ..
    } = suspended().await;
    let only_a = "X-Mailwright-Pool: a\r\n";
    mta.inject_as(only_a, "first@yahoo.example").await;
    mta.deferral("first@yahoo.example").await;
    let since = net.clock.now();
    let mta = mta.restart().await;
    mta.inject_all(only_a, &people("p", 5, "yahoo.example"))
        .await;
    mta.inject_all(only_a, &people("p", 5, "aol.example")).await;
    for entry in mta
        .all("kept away", |e| {
            e["attempts"] != 0
                && !e["waits"].is_null()
                && e["waits"]["held_by"] != "sending"
                && e["waits"]["held_by"] != "routing"
        })
        .await
    {
        if entry["recipients"][0]["address"] == "first@yahoo.example" {
            continue;
        }
        let waits = &entry["waits"];
        assert_eq!(waits["held_by"], "suspended", "{entry}");
        assert_eq!(waits["source"], "ip-a", "{waits}");
        assert_eq!(waits["at"]["provider"], "yahoo", "{waits}");
        assert_eq!(waits["until"], (since + 2 * HOUR).to_string(), "{waits}");
        assert!(
            waits["why"]
                .as_str()
                .is_some_and(|why| why.contains("yahoo")),
            "{waits}"
        );
        assert!(waits["reply"].to_string().contains("[TSS04]"), "{waits}");
    }
    net.clock.advance(2 * HOUR - MINUTE);
    mta.inject_as("", "late@elsewhere.test").await;
    assert_eq!(yahoo.totals().messages + aol.totals().messages, 0);
    net.clock.advance(MINUTE);
    yahoo.came(6).await;
    aol.came(5).await;
    assert_eq!(a.sent(&yahoo.messages()), 6);
    net.check(&mta).await;
}

#[tokio::test]
async fn a_reply_may_ask_for_a_fresh_connection_for_the_rest() {
    let net = Internet::new().await;
    let mx = net
        .mx("example.net")
        .on("MAIL", "first=1 pass")
        .on(
            "MAIL",
            "first=1 451 4.7.0 Too many messages in this session",
        )
        .start()
        .await;
    // However long it is between two messages, the connection stays open.
    let keys = format!("{NO_SYNC}{ONE_CONNECTION}idle = \"1h\"\n");
    let mta = net.mta(&keys).await;
    for to in ["one", "two", "three", "four"] {
        let to = format!("{to}@example.net");
        mta.inject_as("", &to).await;
        let settled = |e: &crate::journal::Event| e.recipient() == to && e.kind() != "accepted";
        mta.journal.nth(1, "an attempt", settled).await;
    }
    let connections = |name: &str| {
        let messages = mx.messages();
        let of = messages.iter().find(|m| m.recipients[0].starts_with(name));
        of.map(|m| m.connection)
    };
    assert_eq!(connections("one"), Some(1));
    assert_eq!(connections("two"), None, "it was put off");
    assert_eq!(
        (connections("three"), connections("four")),
        (Some(2), Some(2))
    );
    let said = mx.commands();
    assert!(
        said.iter()
            .any(|(c, line)| *c == 1 && line.starts_with("QUIT"))
    );
    mta.outcome("two@example.net").await;
    net.check(&mta).await;
}

#[tokio::test]
async fn a_block_of_the_address_is_no_bounce_of_the_recipient() {
    let net = Internet::new().await;
    let gmx = net
        .host("mx00.emig.gmx.net")
        .serves("gmx.example", 10)
        .on("RCPT", "first=1 554 gmx.net (mxgmx016) Nemesis ESMTP Service not available. No SMTP service. IP address is block listed.")
        .start()
        .await;
    let mta = net.mta("").await;
    mta.inject_as("", "ann@gmx.example").await;
    let deferred = mta.deferral("ann@gmx.example").await;
    assert_eq!(deferred.code(), 554);
    let told = mta.journal.nth(1, "breaker", is_suspension).await;
    assert_eq!(told.until(), net.clock.now() + 4 * HOUR);
    net.clock.advance(4 * HOUR);
    mta.journal.first("delivered", "ann@gmx.example").await;
    assert_eq!(gmx.totals().messages, 1);
    net.check(&mta).await;
}

/// What the log says to operators, of what runs on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false);
        tracing::subscriber::set_default(subscriber.with_writer(move || log.clone()).finish())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn operators_are_told_of_the_replies_that_a_rule_names() {
    let log = Log::default();
    let _guard = log.listen();
    let net = Internet::new().await;
    let _mx = net
        .host("mx.mine.test")
        .serves("m.example", 10)
        .on("RCPT", "told@* 550 5.7.1 we do not like you")
        .on("RCPT", "quiet@* 550 5.1.1 no such user")
        .start()
        .await;
    let rule = "[[rule]]\nreply = \"do not like you\"\nnotify = true\n\
        matches = [\"550 we do not like you\"]\nspares = [\"550 we like you\"]\n";
    let mta = net.mta(rule).await;
    for to in ["quiet@m.example", "told@m.example"] {
        mta.inject_as("", to).await;
        mta.journal.first("bounced", to).await;
    }
    let text = log.text();
    let told: Vec<&str> = text
        .lines()
        .filter(|l| l.contains("a reply to look at"))
        .collect();
    let [told] = told.as_slice() else {
        panic!("one reply is to be looked at: {text}")
    };
    for said in ["WARN", "mx.mine.test", "we do not like you", "rule[0]"] {
        assert!(told.contains(said), "{told}");
    }
    net.check(&mta).await;
}

const RULES: &str = r#"
[[provider]]
name = "mine"
mx = [".mine.test"]
messages_per_connection = 1
[[provider.rule]]
reply = "^450 .*nobody of that name"
why = "it says so for ever"
treat_as = "hard"
matches = ["450 4.1.1 nobody of that name"]
spares = ["450 4.2.1 nobody is at home"]
[[provider.rule]]
reply = "^550 .*not today"
treat_as = "soft"
matches = ["550 5.7.1 not today"]
spares = ["550 5.7.1 not tomorrow"]
[[rule]]
reply = "go away"
suspend = "10m"
matches = ["550 go away"]
spares = ["550 stay"]
"#;

#[tokio::test]
async fn rules_of_the_operator_say_what_a_reply_means() {
    let net = Internet::new().await;
    let mine = net
        .host("mx.mine.test")
        .serves("m.example", 10)
        .on("RCPT", "hard@* 450 4.1.1 nobody of that name here")
        .on("RCPT", "soft@* first=1 550 5.7.1 not today, thank you")
        .on("RCPT", "away@* first=1 451 4.7.1 go away")
        .start()
        .await;
    let other = net
        .mx("other.example")
        .on("RCPT", "hard@* first=1 450 4.1.1 nobody of that name here")
        .start()
        .await;
    let mta = net.mta(RULES).await;
    mta.inject_as("", "hard@m.example").await;
    let bounced = mta.journal.first("bounced", "hard@m.example").await;
    assert_eq!((bounced.text("class"), bounced.code()), ("hard", 450));
    mta.inject_as("", "hard@other.example").await;
    mta.deferral("hard@other.example").await;

    mta.inject_as("", "soft@m.example").await;
    assert_eq!(mta.deferral("soft@m.example").await.code(), 550);
    mta.outcome("soft@m.example").await;
    let delivered = mta.journal.first("delivered", "soft@m.example").await;
    assert_eq!(delivered.text("provider"), "mine");

    mta.inject_as("", "away@m.example").await;
    mta.deferral("away@m.example").await;
    let told = mta.journal.nth(1, "breaker", is_suspension).await;
    assert_eq!(
        (told.text("site"), told.text("provider")),
        ("mx.mine.test", "mine")
    );
    let id = mta.inject_as("", "ann@m.example").await;
    let entry = mta
        .entry(&id, |e| e["waits"]["held_by"] == "suspended")
        .await;
    assert_eq!(entry["waits"]["at"]["site"], "mx.mine.test");
    let before = mine.totals().messages;
    net.clock.advance(10 * MINUTE);
    mine.came(before + 2).await;
    mta.empty().await;
    assert_eq!(other.totals().messages, 1);
    net.check(&mta).await;
}

#[tokio::test]
async fn rules_of_the_operator_come_before_the_shipped_ones_and_may_keep_replies_from_them() {
    let Suspended {
        net, yahoo, mta, ..
    } = suspended().await;
    let ignore = "[[provider]]\nname = \"yahoo\"\n[[provider.rule]]\nreply = '\\[TSS04\\]'\nignore = true\n\
        matches = [\"421 4.7.0 [TSS04] x\"]\nspares = [\"421 4.7.0 [TSS05] x\"]\n";
    assert_eq!(mta.reload(ignore).await.0, 200);
    mta.inject_as("", "first@yahoo.example").await;
    mta.deferral("first@yahoo.example").await;
    // Whoever says 421 is left alone for a minute, and no longer.
    net.clock.advance(MINUTE);
    mta.inject_as("", "ann@yahoo.example").await;
    mta.journal.first("delivered", "ann@yahoo.example").await;
    let events = mta.journal.events();
    assert!(!events.iter().any(is_suspension));
    // The other shipped rules are there as before.
    yahoo.behave();
    yahoo.on("MAIL", "first=1 421 4.7.0 [TSS05] Messages from 192.0.2.25 temporarily deferred due to unexpected volume or user complaints");
    mta.inject_as("", "bob@yahoo.example").await;
    mta.journal.nth(1, "breaker", is_suspension).await;
    net.clock.advance(3 * HOUR);
    mta.empty().await;
    net.check(&mta).await;
}

#[tokio::test]
async fn a_reload_changes_what_the_replies_of_an_open_connection_mean() {
    let net = Internet::new().await;
    let mx = net
        .host("mx.mine.test")
        .serves("m.example", 10)
        .start()
        .await;
    let mta = net.mta("").await;
    mta.inject_as("", "ann@m.example").await;
    mta.journal.first("delivered", "ann@m.example").await;
    mx.on("RCPT", "450 4.1.1 nobody of that name");
    assert_eq!(mta.reload(RULES).await.0, 200);
    mta.inject_as("", "bob@m.example").await;
    mta.journal.first("bounced", "bob@m.example").await;
    net.check(&mta).await;
}

const WIBBLE: &str = r#"
[[bounce_rule]]
name = "wibble"
text = ['\bwibble\b']
class = "block"
subject = "sender-domain"
help = "Ask them what it means."
examples = ["550 wibble"]
not = ["550 wobble"]
"#;

#[tokio::test]
async fn refusals_are_told_by_whose_failure_they_are_and_counted_by_pattern() {
    let net = Internet::new().await;
    let mx = net
        .mx("example.net")
        .on(
            "RCPT",
            "nobody@* 550 5.1.1 <nobody@example.net>... User unknown",
        )
        .on(
            "RCPT",
            "spam@* 550 5.1.1 <spam@example.net>: a virus was found, user unknown",
        )
        .on("RCPT", "odd@* 550 wibble 4711")
        .start()
        .await;
    let mta = net.mta("").await;
    let bounced = async |to: &str| {
        mta.inject_as("", to).await;
        let bounced = mta.journal.first("bounced", to).await;
        let subject = bounced.0["subject"].as_str().unwrap_or_default();
        (bounced.text("class").to_owned(), subject.to_owned())
    };
    let is = |class: &str, subject: &str| (class.to_owned(), subject.to_owned());
    assert_eq!(bounced("nobody@example.net").await, is("hard", "recipient"));
    assert_eq!(bounced("spam@example.net").await, is("block", "message"));
    assert_eq!(bounced("odd@example.net").await, is("unknown", ""));

    let missed = mta.get("/api/v1/replies?matched=false").await;
    assert_eq!(missed[0]["pattern"], "550 wibble {n}", "{missed}");
    assert_eq!(missed.as_array().map(Vec::len), Some(1), "{missed}");
    let known = mta.get("/api/v1/replies?matched=true").await;
    let patterns: Vec<&Value> = known.as_array().unwrap().iter().collect();
    let rules: Vec<&str> = patterns.iter().filter_map(|p| p["rule"].as_str()).collect();
    assert_eq!(rules.len(), 2, "{known}");
    assert!(rules.contains(&"unknown-user") && rules.contains(&"virus"));
    assert!(!known.to_string().contains("nobody@"), "{known}");

    assert_eq!(mta.reload(WIBBLE).await.0, 200);
    mx.on("RCPT", "even@* 550 wibble 12");
    assert_eq!(
        bounced("even@example.net").await,
        is("block", "sender-domain")
    );
    assert_eq!(
        mta.get("/api/v1/replies?matched=false").await,
        serde_json::json!([])
    );
    let bad = WIBBLE.replace("550 wobble", "550 wibble");
    let (status, body) = mta.reload(&bad).await;
    assert!(
        status == 422 && body.contains("bounce_rule[0].not[0]"),
        "{body}"
    );
    net.check(&mta).await;
}

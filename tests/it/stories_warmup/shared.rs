//! One cap for several daemons, and for one that is killed.

use super::*;
use crate::daemon::Daemon;
use crate::talk::Talk;
use mailwright::peers::redis::RedisServer;
use mailwright::peers::sink::{Keep, Sink, SinkConfig};
use std::sync::Arc;

/// Two daemons whose store is Redis, and one source of that name between them.
struct Pair {
    net: Internet,
    mx: Mx,
    new: IpAddr,
    redis: RedisServer,
    a: Mta,
    b: Mta,
}

impl Pair {
    async fn new() -> Pair {
        let redis = RedisServer::start().await.expect("a Redis server");
        let net = Internet::new().await;
        let mx = net.mx("example.net").start().await;
        let new = net.source("new");
        let keys = format!(
            "{QUICK}[state]\nurl = \"{}\"\n[warmup.schedule.x]\ndays = [100, 200, 300]\n{}",
            redis.url(),
            new.with("warmup = { schedule = \"x\" }\n"),
        );
        let (a, b) = (net.mta(&keys).await, net.mta(&keys).await);
        Pair {
            a,
            b,
            net,
            mx,
            redis,
            new: new.address,
        }
    }

    fn came(&self) -> u64 {
        count(&self.mx, self.new)
    }

    /// Waits until nothing moves.
    async fn at_rest(&self) -> Vec<Value> {
        let mut waiting = self.a.at_rest().await;
        waiting.extend(self.b.at_rest().await);
        waiting
    }

    async fn check(&self) {
        self.net.check(&self.a).await;
        self.net.check(&self.b).await;
    }
}

#[tokio::test]
async fn two_daemons_on_one_store_use_one_cap_and_all_of_it() {
    let pair = Pair::new().await;
    let to = [
        mailboxes("ann", 300, "example.net"),
        mailboxes("bob", 300, "example.net"),
    ];
    tokio::join!(pair.a.inject_all("", &to[0]), pair.b.inject_all("", &to[1]));
    for (before, cap) in [(0, 100), (100, 200)] {
        until("most of the cap", async || {
            pair.came() >= before + cap * 95 / 100
        })
        .await;
        pair.at_rest().await;
        assert!(pair.came() <= before + cap);
        // What one of them has taken in advance and does not need comes back to where the other finds it.
        for _ in 0..3 {
            pair.net.clock.advance(Duration::from_secs(61));
            pair.at_rest().await;
        }
        until("the cap", async || pair.came() == before + cap).await;
        pair.at_rest().await;
        assert_eq!(pair.came(), before + cap);
        pair.net
            .advance_to(START + DAY / 2 + DAY * u32::from(before > 0));
    }
    until("a third day", async || pair.came() > 300).await;
    let all = [&pair.a, &pair.b].map(|mta| decisions(mta, "new", "*"));
    let advanced = all
        .iter()
        .flatten()
        .filter(|e| e.text("why").starts_with("advanced"));
    assert_eq!(advanced.count(), 2, "each day is judged once: {all:?}");
    pair.at_rest().await;
    pair.check().await;
}

#[tokio::test]
async fn without_its_store_mail_waits_and_says_so() {
    let mut pair = Pair::new().await;
    let to = [
        mailboxes("ann", 150, "example.net"),
        mailboxes("bob", 150, "example.net"),
    ];
    tokio::join!(pair.a.inject_all("", &to[0]), pair.b.inject_all("", &to[1]));
    until("most of the cap", async || pair.came() >= 95).await;
    pair.at_rest().await;
    let today = pair.came();
    assert!(today <= 100);
    pair.redis.kill();
    pair.net.clock.advance(DAY);
    let silent = |e: &Value| e["waits"]["reason"] == "unavailable";
    for mta in [&pair.a, &pair.b] {
        let waiting = mta.all("waiting for the store", silent).await;
        let because = waiting[0]["waits"]["because"].as_str().unwrap_or_default();
        assert!(
            because.contains(&pair.redis.address().to_string()),
            "{because}"
        );
    }
    assert_eq!(pair.came(), today);
    pair.redis.restart().await.expect("a Redis server");
    pair.net.clock.advance(Duration::from_secs(10));
    until("mail", async || pair.came() >= today + 190).await;
    pair.at_rest().await;
    assert!(pair.came() <= today + 200);
    pair.check().await;
}

const CAP: u64 = 120;
const KILLS: u64 = 4;

#[tokio::test]
async fn a_daemon_that_is_killed_again_and_again_does_not_pass_its_cap() {
    let config = SinkConfig {
        keep: Keep::Memory,
        rules: vec![Arc::new("DOT after=20ms pass".parse().expect("a rule"))],
        ..SinkConfig::default()
    };
    let sink = Sink::bind(config).await.expect("a free port");
    let dir = tempfile::tempdir().expect("a directory");
    let mut daemon = Daemon::new(dir.path(), &killed_keys(&sink));
    daemon.start().await;
    let mut talk = Talk::open(daemon.smtp).await;
    for to in mailboxes("ann", 200, "example.net") {
        let reply = talk
            .submit_at_once("s@shop.test", &to, "From: <s@shop.test>\r\n\r\nHello.\r\n")
            .await;
        assert!(reply.starts_with("250"), "{reply}");
    }
    for kill in 1..=KILLS {
        sink.until(|t| t.messages >= kill * 20).await;
        daemon.kill();
        daemon.start().await;
    }
    until("all to wait for the warm-up", async || {
        daemon.all_wait_for("warmup").await
    })
    .await;
    let came = sink.totals().messages;
    assert!(came <= CAP, "{came} of {CAP}");
    // Of each kill a lease is lost, and what was being sent.
    assert!(came >= CAP - KILLS * (2 + 5), "{came} of {CAP}");
    assert!(daemon.terminate().await.success());
    assert_eq!(sink.totals().messages, came);
}

fn killed_keys(sink: &Sink) -> String {
    let hop = sink.address();
    format!(
        "[warmup]\nzone = \"{}\"\nlease = \"2%\"\n[warmup.schedule.x]\ndays = [{CAP}]\n\
         [[source]]\nname = \"new\"\naddress = \"127.0.0.1\"\nehlo = \"new.test\"\nwarmup = {{ schedule = \"x\" }}\n\
         [[route]]\ndomain = \"*\"\nnext_hop = [\"{hop}\"]\ntls = \"off\"\nallow_loopback = true\n\
         [retry]\nfirst = \"1s\"\nfactor = 1.0\nmax = \"1s\"\n[delivery]\nsite_backoff = \"1s\"\n",
        zone_where_it_is_noon()
    )
}

/// Midnight is far away there.
fn zone_where_it_is_noon() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let hour = now.expect("a clock").as_secs() / 3600 % 24;
    // The names have the sign the other way round.
    format!("Etc/GMT{:+}", hour as i64 - 12)
}

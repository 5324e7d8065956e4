//! Forty-five days of an address that is new, beside one that is known, at two providers.

use super::oracle::{Day, Unit};
use super::*;
use What::*;
use mailwright::clock::Clock;
use std::path::PathBuf;

/// What happens on a day.
#[derive(Debug, Clone, Copy)]
enum What {
    /// Mail waits all day long.
    Good,
    /// So many percent of the caps are there to be sent.
    Few(u64),
    /// Nothing goes: an operator holds what is there.
    Held,
    /// Nothing goes: nothing is there.
    Idle,
    /// So many percent of what yahoo gets are to mailboxes that are not there.
    Bounces(u64),
    /// For each hundred that yahoo takes it puts so many off.
    Deferrals(u64),
    /// So often yahoo blocks the source for its reputation.
    Blocks(u64),
    /// The daemon is stopped and started in the middle of the day.
    Restart,
    /// The clock goes a day too far, and back: two days.
    Jump,
}

/// What happens, on so many days in a row.
const STORY: [(What, usize); 22] = [
    (Good, 10),
    (Restart, 1),
    (Held, 2),
    (Good, 2),
    (Bounces(20), 1),
    (Good, 3),
    (Jump, 1),
    (Good, 1),
    (Deferrals(50), 1),
    (Good, 2),
    (Blocks(1), 1),
    (Good, 2),
    (Restart, 1),
    (Good, 1),
    (Blocks(2), 1),
    (Good, 1),
    (Few(79), 1),
    (Few(80), 1),
    (Good, 1),
    (Idle, 1),
    (Bounces(8), 1),
    (Good, 8),
];

/// Of the schedule: three weeks, and 40 % more a week until 260.
const STAGES: u32 = 27;

const SMALL: &str = "[warmup]\nlease = \"10%\"\n[warmup.schedule.small]\n\
    weeks = [{ from = 5, to = 10 }, { from = 20, to = 50 }, { from = 100, to = 200 }]\n\
    growth_per_week = \"40%\"\ntarget = 260\nproviders = { yahoo = 0.5, other = 0.5 }\n";

/// For mail that only the new source may send; and the log of all days in one file.
const POOL: &str = "[[pool]]\nname = \"new\"\nsources = [{ name = \"new\" }]\n\
    [retry]\nexpire = \"60d\"\n[events]\nrotate_every = \"60d\"\nkeep = \"60d\"\n";

/// What is sent to a provider that is warm.
const WARM: u64 = 20;
/// What waits beyond the caps, at each provider.
const SURPLUS: u64 = 5;
/// Mail that leaves from whichever source has room, at each provider on each day.
const OTHERS: u64 = 2;
const HOUR: Duration = Duration::from_secs(3600);
const BLOCK: &str = "450 4.7.0 [TSS04] Messages temporarily deferred due to user complaints";

struct Provider {
    domain: &'static str,
    mx: Mx,
}

struct Story {
    net: Internet,
    mta: Option<Mta>,
    /// yahoo, and the others.
    providers: [Provider; 2],
    /// Of the source that warms, and of the one that is warm.
    new: IpAddr,
    old: IpAddr,
    units: [Unit; 3],
    /// Decisions at the gate that have been seen, of each unit.
    told: [usize; 3],
    log: Log,
    /// Mailboxes that have been written to.
    mailboxes: u64,
}

/// A day as it goes on. Numbers are of yahoo, of the others, and of the source as a whole.
struct Today {
    /// `None`: warm.
    caps: [Option<u64>; 3],
    before: Before,
    bounced: u64,
    deferred: u64,
    blocked: u64,
}

/// What there had been when a day began.
#[derive(Clone, Copy)]
struct Before {
    came: [u64; 2],
    refused: u64,
}

#[tokio::test]
async fn forty_five_days_of_a_new_address() {
    let days = STORY.iter().flat_map(|(what, n)| vec![*what; *n]);
    let days: Vec<What> = days.collect();
    assert_eq!(days.len() + 1, 45, "the jump takes two");
    let mut story = Story::begin().await;
    let mut before = story.now();
    for (n, what) in days.iter().enumerate() {
        let next = days.get(n + 1).copied().unwrap_or(Good);
        before = story.day(before, *what, next).await;
    }
    story.end_of_all().await;
}

impl Story {
    async fn begin() -> Story {
        let net = Internet::new().await;
        let yahoo = net.host("mx1.mail.gm0.yahoodns.net");
        let yahoo = Provider {
            domain: "y.example",
            mx: yahoo.serves("y.example", 10).start().await,
        };
        let other = Provider {
            domain: "o.example",
            mx: net.mx("o.example").start().await,
        };
        let (new, old) = (net.source("new"), net.source("old"));
        let keys = format!(
            "{QUICK}{SMALL}{}{}{POOL}",
            new.with("warmup = { schedule = \"small\" }\n"),
            old.with(""),
        );
        let mta = net.mta(&keys).await;
        let log = Log {
            file: mta.journal.0.join("events.jsonl"),
            read: 0,
            warmups: Vec::new(),
        };
        Story {
            net,
            log,
            mta: Some(mta),
            providers: [yahoo, other],
            new: new.address,
            old: old.address,
            units: ["yahoo", "other", "*"].map(Unit::new),
            told: [0; 3],
            mailboxes: 0,
        }
    }

    fn mta(&self) -> &Mta {
        self.mta.as_ref().expect("a daemon")
    }

    /// A day until noon of the next; gives what there was when that began.
    async fn day(&mut self, before: Before, what: What, next: What) -> Before {
        let mut today = self.today(before).await;
        match what {
            Good => self.send_all(&today, 0).await,
            Few(percent) => self.send(&today, percent).await,
            Held | Idle => drop(self.mta().at_rest().await),
            Bounces(percent) => {
                today.bounced = today.cap(0) * percent / 100;
                self.refuse(today.bounced, "550 5.1.1 no such user");
                self.send_all(&today, 0).await;
            }
            Deferrals(percent) => {
                today.deferred = today.cap(0) * percent / 100;
                self.refuse(today.deferred, "451 4.3.0 not now");
                self.send_all(&today, today.deferred).await;
            }
            Blocks(n) => {
                today.blocked = n;
                self.block(&today, n).await;
            }
            Restart => {
                self.send(&today, 50).await;
                let mta = self.mta.take().expect("a daemon");
                self.mta = Some(mta.restart().await);
                self.send_all(&today, 0).await;
            }
            Jump => today = self.jump(today).await,
        }
        self.providers[0].mx.behave();
        self.end(&today, next).await
    }

    async fn today(&self, before: Before) -> Today {
        let mut caps = [None; 3];
        for (cap, unit) in caps.iter_mut().zip(&self.units) {
            let path = format!("/api/v1/warmup?source=new&provider={}", unit.provider);
            *cap = match self.mta().get(&path).await.get(0) {
                Some(position) => position["budget"]["cap"].as_u64(),
                // It has not been met yet.
                None => Some(2),
            };
        }
        Today {
            caps,
            before,
            bounced: 0,
            deferred: 0,
            blocked: 0,
        }
    }

    fn now(&self) -> Before {
        Before {
            came: self.came(self.new),
            refused: self.providers[0].mx.totals().refused,
        }
    }

    /// What each provider has had from an address.
    fn came(&self, address: IpAddr) -> [u64; 2] {
        self.providers.each_ref().map(|p| count(&p.mx, address))
    }

    /// What has been used of the caps of a day.
    fn used(&self, today: &Today) -> [u64; 3] {
        let (now, before) = (self.now(), today.before);
        let bounced = (now.refused - before.refused).min(today.bounced);
        let yahoo = now.came[0] - before.came[0] + bounced;
        let other = now.came[1] - before.came[1];
        [yahoo, other, yahoo + other]
    }

    /// Yahoo says so to the next `n` recipients.
    fn refuse(&self, n: u64, reply: &str) {
        let rule = format!("first={n} {reply}");
        self.providers[0].mx.on("RCPT", &rule);
    }

    /// Hands in what lacks of `percent` of the caps and `more`.
    async fn fill(&mut self, today: &Today, percent: u64, more: u64) {
        let waiting = self.mta().at_rest().await;
        let used = self.used(today);
        for (i, used) in used.into_iter().take(2).enumerate() {
            let domain = self.providers[i].domain;
            let goes = |e: &&Value| e["domain"] == domain && e["state"] != "held";
            let there = used + waiting.iter().filter(goes).count() as u64;
            let cap = today.caps[i].or(today.caps[2]).unwrap_or(WARM);
            let wanted = (cap * percent).div_ceil(100) + more;
            let lacks = wanted.saturating_sub(there);
            self.post(i, lacks, "X-Mailwright-Pool: new\r\n").await;
        }
    }

    async fn post(&mut self, i: usize, n: u64, fields: &str) {
        let domain = self.providers[i].domain;
        let boxes = self.mailboxes..self.mailboxes + n;
        let to: Vec<String> = boxes.map(|n| format!("m{n}@{domain}")).collect();
        self.mailboxes += n;
        self.mta().inject_all(fields, &to).await;
    }

    /// So many percent of the caps are there to be sent, and as much of it is sent as fits into all of them.
    async fn send(&mut self, today: &Today, percent: u64) {
        self.fill(today, percent, 0).await;
        self.mta().at_rest().await;
        self.check(today);
        let used = self.used(today);
        let is_full = today.caps[2].is_some_and(|cap| used[2] == cap);
        for (used, cap) in used.into_iter().zip(today.caps).take(2) {
            let all = cap.is_none_or(|cap| used == (cap * percent).div_ceil(100));
            assert!(all || is_full, "{used} of {cap:?}");
        }
    }

    /// More is there than the caps allow, and all that they allow is sent. The warm source takes what may leave from
    /// any.
    async fn send_all(&mut self, today: &Today, more: u64) {
        self.order("release").await;
        self.fill(today, 100, SURPLUS + more).await;
        until("the caps to be used", async || self.is_used(today)).await;
        self.mta().at_rest().await;
        self.check(today);
        let before = self.came(self.old);
        for i in 0..2 {
            self.post(i, OTHERS, "").await;
        }
        self.mta().at_rest().await;
        let others = self.came(self.old);
        for i in 0..2 {
            if today.caps[i].is_some() {
                assert_eq!(others[i], before[i] + OTHERS);
            }
        }
        self.check(today);
    }

    /// Nothing more can go today: each cap is used, or the one that both providers share.
    fn is_used(&self, today: &Today) -> bool {
        let used = self.used(today);
        let full = |i: usize| today.caps[i].is_none_or(|cap| used[i] == cap);
        let whole = today.caps[2].is_some() && full(2);
        whole || (full(0) && full(1))
    }

    fn check(&self, today: &Today) {
        let used = self.used(today);
        for (used, cap) in used.into_iter().zip(today.caps) {
            assert!(cap.is_none_or(|cap| used <= cap), "{used} of {cap:?}");
        }
    }

    /// Yahoo blocks so often; each pause is twice as long as the one before.
    async fn block(&mut self, today: &Today, n: u64) {
        let mut pause = 4 * HOUR;
        self.refuse(1, BLOCK);
        self.order("release").await;
        self.fill(today, 100, SURPLUS).await;
        for i in 1..=n {
            let mta = self.mta();
            let is_paused = async || position(mta, "new", "yahoo").await["condition"] == "paused";
            until("a pause", is_paused).await;
            mta.at_rest().await;
            let (used, end) = (self.used(today), self.net.clock.now() + pause);
            // Yahoo itself is left alone for two hours.
            self.net.clock.advance(pause - HOUR);
            let waiting = mta.at_rest().await;
            let ours = waiting.iter().find(|e| e["domain"] == "y.example");
            let waits = &ours.expect("mail that waits")["waits"];
            assert_eq!(
                (&waits["reason"], &waits["until"]),
                (&"paused".into(), &json!(end))
            );
            assert_eq!(self.used(today)[0], used[0]);
            if i < n {
                self.refuse(1, BLOCK);
            }
            self.net.advance_to(end);
            pause *= 2;
        }
        if n == 1 {
            self.send_all(today, 0).await;
        }
    }

    /// The clock goes a day too far, and with a restart back again; gives the day it had gone to.
    async fn jump(&mut self, mut today: Today) -> Today {
        self.send(&today, 60).await;
        let back = self.net.clock.now() + HOUR;
        let used = self.used(&today);
        let tomorrow = self.end(&today, Jump).await;
        let mut tomorrow = self.today(tomorrow).await;
        self.send_all(&tomorrow, 0).await;
        let ahead = self.used(&tomorrow);

        self.net.clock = Clock::manual(back);
        let mta = self.mta.take().expect("a daemon");
        self.mta = Some(mta.restart_in(self.net.world()).await);
        (0..2).for_each(|i| today.before.came[i] += ahead[i]);
        self.send_all(&today, 0).await;
        let rest = self.used(&today);
        (0..2).for_each(|i| tomorrow.before.came[i] += rest[i] - used[i]);
        (0..3).for_each(|i| self.units[i].hears_later(rest[i] - used[i]));

        self.net.clock.advance(DAY);
        self.mta().at_rest().await;
        assert_eq!(self.used(&tomorrow), ahead);
        tomorrow
    }

    /// Goes on to the next noon, and looks what was decided about the day.
    async fn end(&mut self, today: &Today, next: What) -> Before {
        match next {
            Held | Few(_) | Restart | Jump => self.order("hold").await,
            Idle => self.order("drop").await,
            _ => {}
        }
        let (used, before) = (self.used(today), self.now());
        let days = self.net.clock.now().since(START).as_secs() / DAY.as_secs();
        self.net.advance_to(START + DAY * (days as u32 + 1));
        for (i, used) in used.into_iter().enumerate().take(3) {
            let Some(cap) = today.caps[i].filter(|_| used > 0) else {
                continue;
            };
            let of_yahoo = |n: u64| if i == 1 { 0 } else { n };
            let day = Day {
                cap,
                used,
                bounced: of_yahoo(today.bounced),
                deferred: of_yahoo(today.deferred),
                blocked: of_yahoo(today.blocked),
            };
            let (begins, has) = self.units[i].conclude(day, STAGES);
            let why = self.decision(i).await;
            let provider = self.units[i].provider;
            assert!(
                why.starts_with(&begins) && why.contains(&has),
                "{provider}: {why}, and not {begins}: {has}"
            );
        }
        before
    }

    /// The next decision at the gate.
    async fn decision(&mut self, i: usize) -> String {
        let n = self.told[i];
        self.told[i] += 1;
        let provider = self.units[i].provider;
        let log = &mut self.log;
        let mut found = None;
        until("a decision", async || {
            log.read();
            let decided = log.told(provider).filter(|why| is_of_the_gate(why)).nth(n);
            found = decided.map(str::to_owned);
            found.is_some()
        })
        .await;
        found.expect("a decision")
    }

    /// The source is warm, and every kind of decision has been told on the way there.
    async fn end_of_all(self) {
        assert!(self.units[2].stage > STAGES, "warm as a whole");
        let told = |provider: &str, what: &str| {
            let all = self.log.told(provider);
            all.filter(|why| why.starts_with(what)).count()
        };
        for (provider, what, times) in [
            ("yahoo", "begins at stage 1 of 27, 2 a day", 1),
            ("*", "begins at stage 1 of 27, 5 a day", 1),
            ("yahoo", "paused for 4h, block 1 in a row: 450", 2),
            ("yahoo", "paused for 8h, block 2 in a row: 450", 1),
            ("yahoo", "goes on: the pause is over", 3),
            ("*", "paused", 0),
            ("*", "warm after stage 27", 1),
        ] {
            assert_eq!(told(provider, what), times, "{provider}: {what}");
        }
        let Story { net, mta, .. } = self;
        // What is told of the last message is in the log when the daemon has been stopped.
        let mta = mta.expect("a daemon").restart().await;
        mta.at_rest().await;
        net.check(&mta).await;
    }

    /// For all that waits.
    async fn order(&self, action: &str) {
        let order = json!({ "all": true, "why": "the story wants it" });
        let path = format!("/api/v1/queue/{action}");
        let (status, body) = self.mta().request("POST", &path, &order).await;
        assert_eq!(status, 200, "{body}");
    }
}

fn is_of_the_gate(why: &str) -> bool {
    let said = ["advanced", "held at", "rolled back", "stays", "warm after"];
    said.iter().any(|said| why.starts_with(said))
}

/// The log of events, which is long and in one file: what is told of warm-ups, each line read once.
struct Log {
    file: PathBuf,
    read: usize,
    warmups: Vec<Event>,
}

impl Log {
    fn read(&mut self) {
        let octets = std::fs::read(&self.file).unwrap_or_default();
        let new = String::from_utf8_lossy(octets.get(self.read..).unwrap_or_default());
        let whole = new
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        for line in whole {
            self.read += line.len();
            if line.contains("\"type\":\"warmup\"") {
                let event = serde_json::from_str(line).expect("an event");
                self.warmups.push(Event(event));
            }
        }
    }

    /// What was said of mail of the new source to `provider`.
    fn told<'l>(&'l self, provider: &'l str) -> impl Iterator<Item = &'l str> {
        let warmups = self.warmups.iter();
        let ours = warmups.filter(move |e| is_about(e, "new", provider));
        ours.map(|e| e.text("why"))
    }
}

impl Today {
    fn cap(&self, i: usize) -> u64 {
        self.caps[i].unwrap_or(0)
    }
}

//! Whom the budget goes to.

use super::*;

/// One at a time, so that the order in which they come is the order in which they were chosen.
const ONE: &str = "[delivery]\ninitial_connections_per_site = 1\nmax_connections_per_site = 1\n";

struct Street {
    net: Internet,
    mta: Mta,
    mx: Mx,
}

impl Street {
    async fn new(keys: &str) -> Street {
        let net = Internet::new().await;
        let mx = net.mx("example.net").start().await;
        let new = net.source("new");
        let warmup = "warmup = { schedule = \"x\" }\n";
        let mta = net
            .mta(&format!("{QUICK}{ONE}{keys}{}", new.with(warmup)))
            .await;
        Street { net, mta, mx }
    }

    /// One each, to a mailbox that is named by it.
    async fn inject(&self, engagements: impl IntoIterator<Item = u64>) {
        for engagement in engagements {
            let fields = format!("X-Mailwright-Engagement: {engagement}\r\n");
            let to = format!("{engagement}@example.net");
            self.mta.inject_as(&fields, &to).await;
        }
    }

    /// Nothing goes before it is resumed.
    async fn pause(&self) {
        let order = json!({ "source": "new", "why": "the story wants it" });
        self.steer("pause", order).await;
    }

    async fn resume(&self) {
        self.steer("resume", json!({ "source": "new" })).await;
    }

    async fn steer(&self, action: &str, order: Value) {
        let path = format!("/api/v1/warmup/{action}");
        let (status, body) = self.mta.request("POST", &path, &order).await;
        assert_eq!(status, 200, "{body}");
    }

    /// Waits until so many came, and no more will; the engagement of each, in their order.
    async fn came(&self, n: usize) -> Vec<u64> {
        until("mail", async || self.mx.totals().recipients >= n as u64).await;
        self.mta.at_rest().await;
        let messages = self.mx.messages();
        let recipients = messages.iter().flat_map(|m| &m.recipients);
        let name = |to: &str| to.split('@').next().and_then(|name| name.parse().ok());
        recipients.map(|to| name(to).expect("a number")).collect()
    }
}

#[tokio::test]
async fn the_most_engaged_get_the_budget_whoever_came_first() {
    let street = Street::new("[warmup.schedule.x]\ndays = [10, 20]\n").await;
    street.pause().await;
    // 100 in no order: 37 and 100 have no common factor.
    street.inject((0..100).map(|i| i * 37 % 100)).await;
    street.mta.all_held_by("warmup").await;
    street.resume().await;
    let first: Vec<u64> = (90..100).rev().collect();
    assert_eq!(street.came(10).await, first);
    street.net.clock.advance(DAY);
    let second: Vec<u64> = (80..100).rev().collect();
    assert_eq!(street.came(20).await, second);
    street.net.check(&street.mta).await;
}

#[tokio::test]
async fn whoever_has_waited_long_enough_goes_before_the_more_engaged() {
    let aging = "[warmup]\nengagement_aging = \"30m\"\n[warmup.schedule.x]\ndays = [2]\n";
    let street = Street::new(aging).await;
    street.pause().await;
    street.inject([3]).await;
    street.net.clock.advance(DAY);
    // 48 points for a day of waiting.
    street.inject([90, 52, 50, 60]).await;
    street.mta.all_held_by("warmup").await;
    street.resume().await;
    assert_eq!(street.came(2).await, [90, 60]);
    street.net.clock.advance(DAY);
    assert_eq!(street.came(4).await, [90, 60, 52, 3]);
    street.net.check(&street.mta).await;
}

#[tokio::test]
async fn of_a_message_to_many_as_many_get_it_as_there_is_room_for_and_nobody_twice() {
    let net = Internet::new().await;
    let mx = net.mx("example.net").start().await;
    let new = net.source("new");
    // Leases of 7: neither the message's recipients nor the cap are a multiple.
    let keys = "[warmup]\nlease = \"10%\"\n[warmup.schedule.x]\ndays = [75, 80]\n";
    let warmup = "warmup = { schedule = \"x\" }\n";
    let keys = format!("{QUICK}{keys}{}", new.with(warmup));
    let mta = net.mta(&keys).await;
    let to = mailboxes("ann", 100, "example.net");
    let all: Vec<&str> = to.iter().map(String::as_str).collect();
    let id = mta.inject("s@shop.test", &all).await;
    until("the cap", async || count(&mx, new.address) == 75).await;
    let waiting = mta.at_rest().await;
    assert_eq!((waiting.len(), count(&mx, new.address)), (1, 75));
    let (rest, waits) = (&waiting[0]["recipients"], &waiting[0]["waits"]);
    assert_eq!(rest.as_array().map(Vec::len), Some(25));
    assert_eq!((&waits["cap"], &waits["used"]), (&json!(75), &json!(75)));
    assert_eq!(waiting[0]["id"], *id);

    net.clock.advance(DAY);
    mta.empty().await;
    let mut got: Vec<Box<str>> = Vec::new();
    mx.messages()
        .iter()
        .for_each(|m| got.extend(m.recipients.clone()));
    got.sort();
    assert_eq!(got, to.into_iter().map(Box::from).collect::<Vec<_>>());
    assert!(mx.totals().messages < 30, "leases are sent as one message");
    net.check(&mta).await;
}

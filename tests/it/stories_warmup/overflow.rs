//! What becomes of mail that is over the cap of the day.

use super::*;

/// Ten a day until it has shown something.
const TEN: &str = "[warmup.schedule.ten]\ndays = [10, 20]\n";
const NEW: &str = "X-Mailwright-Pool: new\r\n";
const POOLS: &str = "[[pool]]\nname = \"new\"\nsources = [{ name = \"new\" }]\n\
    [[pool]]\nname = \"relief\"\nsources = [{ name = \"old\" }]\n";

/// A source that warms and one that is warm, and where they send.
struct Two {
    net: Internet,
    mta: Mta,
    mx: Mx,
    new: IpAddr,
    old: IpAddr,
}

impl Two {
    async fn new(overflow: &str) -> Two {
        let net = Internet::new().await;
        let mx = net.mx("example.net").start().await;
        let (new, old) = (net.source("new"), net.source("old"));
        let warmup = format!("warmup = {{ schedule = \"ten\", overflow = \"{overflow}\" }}\n");
        let keys = format!("{QUICK}{TEN}{}{}{POOLS}", new.with(&warmup), old.with(""));
        let mta = net.mta(&keys).await;
        Two {
            mta,
            mx,
            net,
            new: new.address,
            old: old.address,
        }
    }

    /// What came from the one that warms, and from the other.
    fn came(&self) -> (u64, u64) {
        (count(&self.mx, self.new), count(&self.mx, self.old))
    }

    async fn check(&self) {
        self.net.check(&self.mta).await;
    }
}

#[tokio::test]
async fn what_is_over_the_cap_goes_by_the_other_source_of_its_pool() {
    let two = Two::new("next").await;
    let to = mailboxes("ann", 100, "example.net");
    two.mta.inject_all("", &to).await;
    two.mta.empty().await;
    assert_eq!(two.came(), (10, 90));
    two.check().await;
}

#[tokio::test]
async fn what_is_over_the_cap_waits_where_the_pool_has_no_other_source() {
    let two = Two::new("next").await;
    let to = mailboxes("ann", 15, "example.net");
    two.mta.inject_all(NEW, &to).await;
    until("the cap", async || two.came() == (10, 0)).await;
    let waiting = two.mta.at_rest().await;
    assert_eq!((waiting.len(), two.came()), (5, (10, 0)));
    two.check().await;
}

#[tokio::test]
async fn what_is_over_the_cap_goes_by_a_pool_that_is_named_for_it() {
    let two = Two::new("relief").await;
    let to = mailboxes("ann", 30, "example.net");
    two.mta.inject_all(NEW, &to).await;
    two.mta.empty().await;
    assert_eq!(two.came(), (10, 20));
    two.check().await;
}

#[tokio::test]
async fn what_waits_for_the_next_day_says_so_with_the_numbers() {
    let two = Two::new("wait").await;
    let to = mailboxes("ann", 60, "example.net");
    two.mta.inject_all("", &to).await;
    until("the cap", async || two.came().0 == 10).await;
    let waiting = two.mta.all_held_by("warmup").await;
    let others = 60 - 10 - waiting.len() as u64;
    until("the others", async || two.came().1 == others).await;
    let midnight = START + DAY / 2;
    for entry in &waiting {
        let waits = &entry["waits"];
        let told = json!({
            "held_by": "warmup", "reason": "spent", "source": "new", "provider": waits["provider"],
            "day": 1, "stage": 1, "stages": 2, "cap": 10, "released": 10, "used": 10,
            "until": midnight,
        });
        assert_eq!(*waits, told);
        assert_eq!(entry["source"], "new");
    }
    two.net.advance_to(midnight);
    until("the next day", async || two.came().0 == 20).await;
    assert_eq!(two.mta.at_rest().await.len(), waiting.len() - 10);
    two.check().await;
}

#[tokio::test]
async fn a_source_may_refuse_at_the_door_what_it_cannot_send_today() {
    let two = Two::new("reject").await;
    // One after the other: nobody is left who would have asked for more.
    for to in mailboxes("ann", 10, "example.net") {
        two.mta.inject_as(NEW, &to).await;
        two.mta.empty().await;
    }
    assert_eq!(two.came(), (10, 0));
    let reply = two.mta.refusal(NEW, "bob@example.net").await;
    assert!(reply.starts_with("451 4.7.0"), "{reply}");
    for piece in ["cap of 10", "10 are used", "2026-11-23T00:00:00"] {
        assert!(reply.contains(piece), "{reply}");
    }
    // Another source takes it; and what is to go tomorrow is of tomorrow's cap.
    two.mta.inject_as("", "cat@example.net").await;
    let tomorrow = "X-Mailwright-Send-At: 2026-11-23T08:00:00Z\r\n";
    let tomorrow = format!("{NEW}{tomorrow}");
    two.mta.inject_as(&tomorrow, "dan@example.net").await;
    two.mta.journal.first("delivered", "cat@example.net").await;
    assert_eq!(two.came(), (10, 1));

    two.net.clock.advance(DAY);
    two.mta.inject_as(NEW, "bob@example.net").await;
    for recipient in ["bob@example.net", "dan@example.net"] {
        two.mta.journal.first("delivered", recipient).await;
    }
    assert_eq!(two.came(), (12, 1));
    two.check().await;
}

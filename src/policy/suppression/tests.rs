//! Who is suppressed, for whom, and until when; over every store.

use super::*;
use crate::events::About;
use crate::mail::{BounceClass, EnhancedCode, Labels, MessageId, Reply, Stream};
use crate::store::tests::World;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

async fn list(world: &World) -> Suppression {
    list_with(world, Config::default()).await
}

async fn list_with(world: &World, config: Config) -> Suppression {
    let events = Events::new(world.clock.clone(), Vec::new());
    let store = world.open().await;
    Suppression::open(Rules::new(&config, []), store, world.clock.clone(), events)
        .await
        .unwrap()
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn labels(tenant: &str, stream: Stream, list: Option<&str>) -> Labels {
    Labels {
        tenant: Some(tenant.into()),
        stream: Some(stream),
        list: list.map(Into::into),
        ..Labels::default()
    }
}

fn entry(scope: &str, who: &str, reason: Reason) -> Entry {
    Entry {
        scope: scope.parse().unwrap(),
        address: address(who),
        reason,
        until: None,
        source: Some(MessageId(7)),
        by: By::Operator("ann".into()),
        note: "because".into(),
    }
}

async fn answer(list: &Suppression, who: &str, labels: &Labels) -> Answer {
    let recipient = address(who);
    let ask = Ask {
        recipient: &recipient,
        labels,
    };
    list.check(&[ask]).await.unwrap().remove(0)
}

async fn is_free(list: &Suppression, who: &str, labels: &Labels) -> bool {
    matches!(answer(list, who, labels).await, Answer::Free { .. })
}

fn about(who: &str) -> About {
    About {
        id: MessageId(7),
        labels: Arc::new(labels("acme", Stream::Marketing, None)),
        sender: None,
        recipient: Some(address(who)),
        size: 1,
    }
}

async fn fails(list: &Suppression, who: &str, class: BounceClass) {
    let reply = Reply::said(552, Some(EnhancedCode(5, 2, 2)), "full", "RCPT");
    list.hear(&about(who), class.into(), &reply, By::Reply)
        .await
        .unwrap();
}

async fn scopes(world: World) {
    let list = list(&world).await;
    let marketing = labels("acme", Stream::Marketing, Some("news"));
    let receipts = labels("acme", Stream::Transactional, None);
    let other = labels("brand", Stream::Marketing, Some("news"));
    list.add(entry("list/acme/news", "a@x.example", Reason::Unsubscribe))
        .await
        .unwrap();
    list.add(entry(
        "stream/acme/marketing",
        "b@x.example",
        Reason::Unsubscribe,
    ))
    .await
    .unwrap();
    list.add(entry("tenant/acme", "c@x.example", Reason::Complaint))
        .await
        .unwrap();
    list.add(entry("global", "d@x.example", Reason::Hard))
        .await
        .unwrap();
    for (who, free) in [
        ("A@X.example", [false, true, true]),
        ("b@x.example", [false, true, true]),
        ("c@x.example", [false, false, true]),
        ("d@x.example", [false, false, false]),
        ("e@x.example", [true, true, true]),
    ] {
        let asked = [
            is_free(&list, who, &marketing).await,
            is_free(&list, who, &receipts).await,
            is_free(&list, who, &other).await,
        ];
        assert_eq!(asked, free, "{who}");
    }
    // Another list of the same tenant.
    let another = labels("acme", Stream::Marketing, Some("offers"));
    assert!(is_free(&list, "a@x.example", &another).await);
}

async fn soft_failures(world: World) {
    let list = list(&world).await;
    let to = labels("acme", Stream::Marketing, None);
    for n in 0..4 {
        fails(&list, "ann@x.example", BounceClass::Soft).await;
        assert_eq!(
            answer(&list, "ann@x.example", &to).await,
            Answer::Free { failing: true },
            "{n}"
        );
        world.clock.advance(DAY);
    }
    fails(&list, "ann@x.example", BounceClass::Soft).await;
    assert!(!is_free(&list, "ann@x.example", &to).await);
    world.clock.advance(29 * DAY);
    assert!(!is_free(&list, "ann@x.example", &to).await);
    world.clock.advance(2 * DAY);
    assert!(is_free(&list, "ann@x.example", &to).await);
    // The second time is twice as long.
    for _ in 0..5 {
        fails(&list, "ann@x.example", BounceClass::Soft).await;
    }
    world.clock.advance(59 * DAY);
    assert!(!is_free(&list, "ann@x.example", &to).await);
    world.clock.advance(2 * DAY);
    assert!(is_free(&list, "ann@x.example", &to).await);
    // A delivery makes good what was.
    for _ in 0..4 {
        fails(&list, "ann@x.example", BounceClass::Soft).await;
    }
    list.delivered(&address("ann@x.example")).await.unwrap();
    assert_eq!(
        answer(&list, "ann@x.example", &to).await,
        Answer::Free { failing: false }
    );
    fails(&list, "ann@x.example", BounceClass::Soft).await;
    assert!(is_free(&list, "ann@x.example", &to).await);
}

async fn only_what_is_said_of_the_recipient(world: World) {
    let list = list(&world).await;
    let to = labels("acme", Stream::Marketing, None);
    for class in BounceClass::ALL {
        if !matches!(class, BounceClass::Hard | BounceClass::Soft) {
            for _ in 0..10 {
                fails(&list, "bob@x.example", class).await;
            }
        }
    }
    assert_eq!(
        answer(&list, "bob@x.example", &to).await,
        Answer::Free { failing: false }
    );
    fails(&list, "bob@x.example", BounceClass::Hard).await;
    let held = answer(&list, "bob@x.example", &to).await;
    let hard = Answer::Suppressed {
        scope: Scope::Global,
        reason: Reason::Hard,
        until: None,
    };
    assert_eq!(held, hard);
}

async fn removal_and_history(world: World) {
    let list = list(&world).await;
    let to = labels("acme", Stream::Marketing, None);
    let ops = By::Operator("ops".into());
    let who = address("ann@x.example");
    list.add(entry("global", "ann@x.example", Reason::Hard))
        .await
        .unwrap();
    assert!(list.remove(&Scope::Global, &who, &ops).await.unwrap());
    assert!(!list.remove(&Scope::Global, &who, &ops).await.unwrap());
    assert!(is_free(&list, "ann@x.example", &to).await);
    assert_eq!(list.list(0, 10).await.unwrap().records, []);
    list.add(entry("global", "ann@x.example", Reason::Manual))
        .await
        .unwrap();
    let records = list.records_of(&who, &[Scope::Global]).await.unwrap();
    let what: Vec<&str> = records[0]
        .history
        .iter()
        .map(|change| &*change.what)
        .collect();
    assert_eq!(what, ["removed", "hard"]);
    assert_eq!(records[0].history[0].by, ops);
}

async fn a_long_list(world: World) {
    let config = Config {
        size: 10,
        ..Config::default()
    };
    let list = list_with(&world, config).await;
    let entries: Vec<Entry> = (0..1_200)
        .map(|n| entry("tenant/acme", &format!("u{n}@x.example"), Reason::Manual))
        .collect();
    assert_eq!(list.add_all(&entries).await.unwrap(), 1_200);
    assert_eq!(list.add_all(&entries).await.unwrap(), 0);
    let (mut seen, mut from) = (Vec::new(), Some(0));
    while let Some(at) = from {
        let page = list.list(at, 100).await.unwrap();
        seen.extend(page.records.into_iter().map(|record| record.entry));
        from = page.next;
    }
    let by_address = |a: &Entry, b: &Entry| a.address.cmp(&b.address);
    let mut expected = entries;
    expected.sort_by(by_address);
    seen.sort_by(by_address);
    assert_eq!(seen, expected);
}

/// Once a list that was added in one go forgot who had done what before.
async fn an_import_keeps_history_and_shortens_nothing(world: World) {
    let list = list(&world).await;
    let hard = entry("global", "ann@x.example", Reason::Hard);
    list.add(hard.clone()).await.unwrap();
    let ending = Entry {
        until: Some(world.clock.now() + DAY),
        ..entry("global", "ann@x.example", Reason::Soft)
    };
    let complaint = entry("global", "ann@x.example", Reason::Complaint);
    let other = entry("global", "bob@x.example", Reason::Manual);
    let added = list
        .add_all(&[ending, other.clone(), other, complaint])
        .await;
    assert_eq!(added.unwrap(), 2, "bob, and what ann did");
    let ann = address("ann@x.example");
    let records = list.records_of(&ann, &[Scope::Global]).await.unwrap();
    assert_eq!(records[0].reason(), Reason::Complaint);
    assert_eq!(records[0].entry.until, None);
    let before: Vec<&str> = records[0].history.iter().map(|c| &*c.what).collect();
    assert_eq!(before, ["hard"]);
}

async fn records_are_made_up_for(world: World) {
    let without = Config {
        records: false,
        ..Config::default()
    };
    let ann = entry("global", "ann@x.example", Reason::Hard);
    let before = list_with(&world, without).await;
    assert_eq!(before.add_all(std::slice::from_ref(&ann)).await.unwrap(), 1);
    drop(before);
    let list = list(&world).await;
    assert!(list.list(0, 10).await.unwrap().records.is_empty());
    let ending = Entry {
        until: Some(world.clock.now() + DAY),
        ..entry("global", "ann@x.example", Reason::Soft)
    };
    assert_eq!(list.add_all(&[ending]).await.unwrap(), 0);
    let records = list.list(0, 10).await.unwrap().records;
    assert_eq!(
        (records[0].reason(), records[0].entry.until),
        (Reason::Hard, None)
    );
}

async fn erasure(world: World) {
    let list = list(&world).await;
    let to = labels("acme", Stream::Marketing, None);
    for scope in ["global", "tenant/acme"] {
        list.add(entry(scope, "Ann@x.example", Reason::Manual))
            .await
            .unwrap();
    }
    list.add(entry("global", "bob@x.example", Reason::Manual))
        .await
        .unwrap();
    let ann = address("ann@X.example");
    assert_eq!(list.erase(&ann, false, &[]).await.unwrap(), 2);
    let left = list.list(0, 10).await.unwrap().records;
    assert_eq!(left.len(), 1);
    assert!(!is_free(&list, "ann@x.example", &to).await);
    list.add(entry("global", "ann@x.example", Reason::Hard))
        .await
        .unwrap();
    assert_eq!(list.erase(&ann, true, &[]).await.unwrap(), 1);
    let unlabelled = Labels::default();
    assert!(is_free(&list, "ann@x.example", &unlabelled).await);
}

async fn a_restart(world: World) {
    let before = list(&world).await;
    before
        .add(entry("global", "ann@x.example", Reason::Hard))
        .await
        .unwrap();
    drop(before);
    let config = Config {
        size: 20,
        records: false,
        ..Config::default()
    };
    let list = list_with(&world, config).await;
    assert!(!is_free(&list, "ann@x.example", &Labels::default()).await);
    list.add(entry("global", "bob@x.example", Reason::Hard))
        .await
        .unwrap();
    let bob = address("bob@x.example");
    let records = list.records_of(&bob, &[Scope::Global]).await.unwrap();
    assert_eq!(
        (records[0].reason(), &*records[0].entry.note),
        (Reason::Hard, "")
    );
    list.erase(&bob, true, &[Scope::Global]).await.unwrap();
    assert!(is_free(&list, "bob@x.example", &Labels::default()).await);
}

/// Once marks that had ended stayed in the table for ever.
async fn ended_marks_are_swept_and_renewed_ones_stay(world: World) {
    let config = Config {
        size: 4,
        ..Config::default()
    };
    let list = list_with(&world, config).await;
    let to = Labels::default();
    let ending = |who: &str, after: Duration| Entry {
        until: Some(world.clock.now() + after),
        ..entry("global", who, Reason::Soft)
    };
    list.add_all(&[
        ending("ann@x.example", DAY),
        ending("bob@x.example", DAY),
        entry("global", "cid@x.example", Reason::Hard),
    ])
    .await
    .unwrap();
    fails(&list, "dan@x.example", BounceClass::Soft).await;
    let marks = async || {
        let buckets = list.0.store.buckets(print::MARKS, 0, 16).await.unwrap();
        buckets
            .iter()
            .map(|(_, fields)| fields.len())
            .sum::<usize>()
    };
    assert_eq!(marks().await, 4);
    // Another node's clock may be behind.
    world.clock.advance(DAY + DAY / 2);
    assert_eq!(list.sweep(0, 16).await.unwrap(), 0);
    list.add(ending("bob@x.example", DAY)).await.unwrap();
    world.clock.advance(DAY);
    assert_eq!(list.sweep(0, 16).await.unwrap(), 1);
    assert_eq!(marks().await, 3);
    assert!(is_free(&list, "ann@x.example", &to).await);
    let failing = Answer::Free { failing: true };
    assert_eq!(answer(&list, "dan@x.example", &to).await, failing);
    assert!(!is_free(&list, "cid@x.example", &to).await);
    // What was, is still told when it is suppressed anew.
    list.add(entry("global", "ann@x.example", Reason::Hard))
        .await
        .unwrap();
    let ann = address("ann@x.example");
    let records = list.records_of(&ann, &[Scope::Global]).await.unwrap();
    assert_eq!(&*records[0].history[0].what, "soft");
}

/// The daemon sweeps by itself, and in a week has been everywhere.
#[tokio::test]
async fn the_sweep_comes_by_everywhere() {
    let world = World::embedded().await;
    let config = Config {
        size: 4,
        ..Config::default()
    };
    let list = list_with(&world, config).await;
    let until = Some(world.clock.now() + DAY);
    let ending = |n: u32| Entry {
        until,
        ..entry("global", &format!("u{n}@x.example"), Reason::Soft)
    };
    let entries: Vec<Entry> = (0..40).map(ending).collect();
    list.add_all(&entries).await.unwrap();
    world.clock.advance(3 * DAY);
    let stop = tokio_util::sync::CancellationToken::new();
    let (running, ending) = (list.clone(), stop.clone());
    let swept = tokio::spawn(async move { running.run(ending).await });
    while !list
        .0
        .store
        .buckets(print::MARKS, 0, 16)
        .await
        .unwrap()
        .is_empty()
    {
        world.clock.advance(Duration::from_secs(60));
        tokio::task::yield_now().await;
    }
    stop.cancel();
    swept.await.unwrap();
}

/// Makes a test of each story for each store.
macro_rules! over_every_store {
    ($($story:ident),+ $(,)?) => {
        over_every_store!(in embedded: $($story),+);
        over_every_store!(in redis: $($story),+);
    };
    (in $store:ident: $($story:ident),+) => {
        mod $store {
            $(#[tokio::test]
            async fn $story() {
                super::$story(super::World::$store().await).await;
            })+
        }
    };
}

over_every_store!(
    scopes,
    soft_failures,
    only_what_is_said_of_the_recipient,
    removal_and_history,
    a_long_list,
    an_import_keeps_history_and_shortens_nothing,
    erasure,
    records_are_made_up_for,
    ended_marks_are_swept_and_renewed_ones_stay,
    a_restart,
);

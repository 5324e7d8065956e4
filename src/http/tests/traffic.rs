//! Verdicts, warm-ups and sources by the API.

use super::*;
use crate::mail::Stream;
use crate::policy::warmup::Stage;

#[tokio::test]
async fn a_message_is_explained_as_its_query_describes_it() {
    let world = World::new(Daemon::default(), Access::default()).await;
    let query = "from=%3C%3E&to=ann@example.net&tenant=acme&stream=transactional&engagement=80\
                 &send_at=2026-11-01T09:00:00%2B01:00";
    let (status, body) = world.get(&format!("/api/v1/explain?{query}")).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        serde_json::from_str::<Verdict>(&body).unwrap(),
        sample::verdict()
    );
    let json: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(json["summary"], "would go now from ip-b to mx.example.net");
    assert_eq!(json["candidates"][0]["held"]["held_by"], "warmup");
    assert_eq!(json["candidates"][0]["warmup"][0]["budget"]["cap"], 67);
    assert_eq!(json["advice"][0]["keys"][0], "source[0].warmup.schedule");
    let asked = world.daemon.asked.lock().take().unwrap();
    assert_eq!(
        (asked.from, asked.stream),
        (None, Some(Stream::Transactional))
    );
    assert_eq!(asked.to.as_str(), "ann@example.net");
    assert_eq!(
        (asked.tenant.as_deref(), asked.engagement),
        (Some("acme"), Some(80))
    );
    let send_at = asked.send_at.unwrap().to_string();
    assert_eq!(send_at, "2026-11-01T08:00:00.000Z");
}

#[tokio::test]
async fn a_question_that_is_none_is_refused_with_what_is_wrong() {
    let world = World::new(Daemon::default(), Access::default()).await;
    for (query, status, says) in [
        ("to=ann@example.net", 400, "from"),
        ("from=a@b.example", 400, "to"),
        ("from=a@b.example&to=ann", 400, "no domain"),
        ("from=nobody&to=ann@example.net", 400, "no domain"),
        (
            "from=a@b.example&to=ann@example.net&stream=bulk",
            400,
            "bulk",
        ),
        (
            "from=a@b.example&to=ann@example.net&engagement=101",
            400,
            "100",
        ),
        (
            "from=a@b.example&to=ann@example.net&tennant=x",
            400,
            "tennant",
        ),
        ("from=a@b.example&to=ann@nowhere.test", 422, "bounces"),
        ("from=a@b.example&to=ann@silent.test", 503, "not known"),
    ] {
        let (found, body) = world.get(&format!("/api/v1/explain?{query}")).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        let error = body["error"].as_str().unwrap();
        assert!(
            found == status && error.contains(says),
            "{query}: {found} {error}"
        );
    }
}

#[tokio::test]
async fn warm_ups_are_shown() {
    let world = World::new(Daemon::default(), Access::default()).await;
    let (status, body) = world
        .get("/api/v1/warmup?source=ip-a&provider=google")
        .await;
    assert_eq!(status, 200);
    let shown: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(shown[0]["condition"], "held");
    assert_eq!(
        shown[0]["rates"]["bounces"],
        json!({"part": 3, "whole": 120})
    );
    assert_eq!(world.get("/api/v1/warmup?source=ip-z").await.0, 404);
    assert_eq!(world.get("/api/v1/warmup?colour=red").await.0, 400);
}

#[tokio::test]
async fn warm_ups_are_paused_resumed_and_set() {
    let world = World::new(Daemon::default(), Access::default()).await;
    let until = "2026-11-01T09:00:00.000Z";
    let pause = json!({"source": "ip-a", "provider": "google", "why": "odd", "until": until});
    for (name, order) in [
        ("pause", pause),
        ("resume", json!({"source": "ip-a"})),
        (
            "set",
            json!({"source": "ip-a", "provider": "*", "stage": 5}),
        ),
        ("set", json!({"source": "ip-a", "stage": "warm"})),
    ] {
        let (status, body) = world.post(&format!("/api/v1/warmup/{name}"), order).await;
        assert_eq!((status, &body["done"]), (200, &json!(true)), "{body}");
        assert_eq!(body["positions"][0]["source"], "ip-a");
    }
    let google = Some("google".to_owned());
    let orders = std::mem::take(&mut *world.daemon.orders.lock());
    let [
        Steer::Pause(pause),
        Steer::Resume(_),
        Steer::Set(five),
        Steer::Set(warm),
    ] = orders.as_slice()
    else {
        panic!("{orders:?}");
    };
    assert_eq!(
        (&pause.provider, pause.why.as_deref()),
        (&google, Some("odd"))
    );
    assert_eq!(pause.until.unwrap().to_string(), until);
    assert_eq!((five.stage, warm.stage), (Stage::At(5), Stage::Warm));
}

#[tokio::test]
async fn a_pause_lasts_for_a_span_of_the_daemons_clock() {
    let world = World::new(Daemon::default(), Access::default()).await;
    let order = json!({"source": "ip-a", "for": "4h"});
    let (status, body) = world.post("/api/v1/warmup/pause", order).await;
    assert_eq!(status, 200, "{body}");
    let Steer::Pause(pause) = world.daemon.orders.lock().remove(0) else {
        panic!("it is no pause");
    };
    let ends = pause.ends(sample::NOW).unwrap();
    assert_eq!(ends.to_string(), "2026-11-03T19:00:00.000Z");
}

#[tokio::test]
async fn an_order_that_cannot_be_carried_out_says_why() {
    let world = World::new(Daemon::default(), Access::default()).await;
    for (name, order, status, says) in [
        (
            "set",
            json!({"source": "ip-z", "stage": 1}),
            404,
            "no source",
        ),
        (
            "set",
            json!({"source": "ip-a", "stage": 99}),
            422,
            "no stage 99",
        ),
        (
            "set",
            json!({"source": "ip-a", "stage": 0}),
            422,
            "not a stage",
        ),
        ("set", json!({"source": "ip-a"}), 422, "stage"),
        (
            "pause",
            json!({"source": "ip-a", "stage": 1}),
            422,
            "unknown field `stage`",
        ),
        (
            "pause",
            json!({"source": "ip-a", "until": "soon"}),
            422,
            "until: write a date",
        ),
        (
            "pause",
            json!({"source": "ip-a", "for": "soon"}),
            422,
            "for: \"soon\" is not a span",
        ),
        (
            "pause",
            json!({"source": "ip-a", "for": "4h", "until": "2026-11-01T09:00:00Z"}),
            400,
            "not both",
        ),
        (
            "resume",
            json!({"source": "ip-down"}),
            503,
            "does not answer",
        ),
        (
            "hurry",
            json!({"source": "ip-a"}),
            404,
            "pause, resume or set",
        ),
    ] {
        let (found, body) = world
            .post(&format!("/api/v1/warmup/{name}"), order.clone())
            .await;
        let error = body["error"].as_str().unwrap();
        assert!(
            found == status && error.contains(says),
            "{name} {order}: {found} {error}"
        );
    }
    assert!(world.daemon.told.lock().is_empty());
}

#[tokio::test]
async fn sources_are_listed_and_their_suspensions_lifted() {
    let world = World::new(Daemon::default(), Access::default()).await;
    let (status, body) = world.get("/api/v1/sources").await;
    assert_eq!(status, 200);
    let listed: Vec<SourceEntry> = serde_json::from_str(&body).unwrap();
    assert_eq!(listed, [sample::source()]);
    let order = json!({"source": "ip-a", "provider": "google", "why": "solved"});
    let (status, body) = world.post("/api/v1/sources/lift", order).await;
    assert_eq!(
        (status, &body["lifted"][0]["at"]),
        (200, &json!({"provider": "google"}))
    );
    assert_eq!(
        *world.daemon.told.lock(),
        ["lift ip-a None Some(\"google\") Some(\"solved\")"]
    );
    for (order, status) in [
        (json!({"source": "ip-a", "site": "x", "provider": "y"}), 400),
        (json!({"source": "ip-z"}), 404),
        (json!({"site": "x"}), 422),
    ] {
        let (found, body) = world.post("/api/v1/sources/lift", order.clone()).await;
        assert!(
            found == status && body["error"].is_string(),
            "{order}: {found} {body}"
        );
    }
}

#[tokio::test]
async fn refusals_are_listed_by_pattern() {
    let world = World::new(Daemon::default(), Access::default()).await;
    for (query, expected) in [
        ("", vec![true, false]),
        ("?limit=1", vec![true]),
        ("?matched=false", vec![false]),
        ("?provider=yahoo", vec![]),
    ] {
        let (status, body) = world.get(&format!("/api/v1/replies{query}")).await;
        let listed: Vec<ReplyPattern> = serde_json::from_str(&body).unwrap();
        let expected: Vec<ReplyPattern> = expected.into_iter().map(sample::reply).collect();
        assert_eq!((status, listed), (200, expected), "{query}");
    }
    let (status, _) = world.get("/api/v1/replies?matched=perhaps").await;
    assert_eq!(status, 400);
    let (status, _) = world.get("/api/v1/replies?since=2y").await;
    assert_eq!(status, 404);
}

#[test]
fn a_sentence_says_what_would_happen() {
    let mut explained = sample::verdict().explained;
    let says = |explained: &_| explain::summary(explained, None);
    assert_eq!(says(&explained), "would go now from ip-b to mx.example.net");
    explained.waits = Some(sample::spent());
    explained.until = sample::spent().until();
    let text = says(&explained);
    assert_eq!(
        text.matches("until 2026-11-04T00:00:00.000Z").count(),
        1,
        "{text}"
    );
    assert!(
        text.starts_with("waits for warm-up of ip-a to google: 67 of 67 used"),
        "{text}"
    );
    explained.waits = Some(Held::SendAt);
    explained.until = Some(sample::NOW);
    assert_eq!(
        says(&explained),
        "waits for the time the sender chose; until 2026-11-03T15:00:00.000Z"
    );
    let reply = crate::mail::Reply::local(451, crate::mail::EnhancedCode(4, 7, 0), "full", ".");
    let text = explain::summary(&explained, Some(&reply));
    assert_eq!(
        text,
        "would be refused when it is handed in: 451 4.7.0 full"
    );
}

#[test]
fn a_question_reads_back_as_it_was_written() {
    let question = Question {
        from: None,
        to: "ann@example.net".parse().unwrap(),
        tenant: Some("a & b".into()),
        campaign: None,
        stream: Some(Stream::Marketing),
        list: None,
        pool: None,
        virtual_mta: Some("blue".into()),
        engagement: Some(7),
        send_at: Some(sample::NOW),
        expires: None,
    };
    let json = serde_json::to_string(&question).unwrap();
    assert_eq!(serde_json::from_str::<Question>(&json).unwrap(), question);
}

#[tokio::test]
async fn feedback_is_taken_one_by_one_and_in_batches_and_each_mistake_has_its_place() {
    let world = World::new(Daemon::default(), Access::default()).await;
    let open = |event: &str| json!({"event": event, "kind": "open", "id": "x", "recipient": "ann@example.net"});
    let (status, body) = world.post("/api/v1/feedback", open("e1")).await;
    assert_eq!((status, &body["counted"]), (200, &json!(1)));
    let (status, body) = world.post("/api/v1/feedback", open("gone")).await;
    assert_eq!(
        (status, &body["error"]),
        (422, &json!("it is not in the books"))
    );
    let batch = json!({"events": [7, open("e1"), {"event": "e2"}, open("gone")]});
    let (status, body) = world.post("/api/v1/feedback", batch).await;
    assert_eq!((status, &body["counted"]), (200, &json!(1)));
    let errors = body["errors"].as_array().unwrap().iter();
    let places: Vec<u64> = errors.map(|e| e["index"].as_u64().unwrap()).collect();
    assert_eq!(places, [0, 2, 3]);
    let many: Vec<Value> = (0..1_001).map(|n| open(&n.to_string())).collect();
    let (status, _) = world
        .post("/api/v1/feedback", json!({ "events": many }))
        .await;
    assert_eq!(status, 413);
    let full: Vec<Value> = (0..1_000).map(|n| open(&format!("{n:0200}"))).collect();
    let (status, body) = world
        .post("/api/v1/feedback", json!({ "events": full }))
        .await;
    assert_eq!(
        (status, &body["counted"]),
        (200, &json!(1_000)),
        "a full batch fits"
    );
}

//! Messages come, wait, move and go.

use super::*;

#[tokio::test]
async fn a_message_survives_a_restart_with_all_that_was_said_of_it() {
    let world = World::new();
    let spool = world.start().spool;
    let id = commit(&spool, 3, 2000).await.unwrap();
    spool.in_doubt(id, &[0, 1, 2], 1).await.unwrap();
    outcome(&spool, id, 0, 1, delivered()).await;
    outcome(&spool, id, 1, 1, deferred("busy")).await;
    outcome(&spool, id, 2, 1, deferred("busy")).await;
    spool.in_doubt(id, &[2], 2).await.unwrap();
    spool.hold(id, Some("asked by the sender")).await.unwrap();
    let before = spool.stored(id).await.unwrap();
    spool.close().await.unwrap();
    drop(spool);

    let found = world.start();
    assert!(found.report.clean && found.report.damages.is_empty());
    let after = &found.stored[&id];
    assert_eq!(after.meta, meta(id, 3));
    assert_eq!(after.size, (HEAD.len() + 2000) as u64);
    assert_eq!(after.held.as_deref(), Some("asked by the sender"));
    assert_eq!(after.progress[..2], before.progress[..2]);
    assert!(after.progress[0].done && after.progress[1].last.as_deref() == Some(&reply("busy")));
    // Even a clean stop leaves an attempt without an outcome in doubt, and counts it.
    assert!(after.progress[2].in_doubt && after.progress[2].attempts == 2);
    assert_eq!(read_all(&found.spool, id).await.unwrap(), whole(id, 2000));
    assert!(found.spool.next_id() > id);
}

#[tokio::test]
async fn a_message_is_gone_when_its_last_recipient_is_done() {
    let world = World::new();
    let spool = world.start().spool;
    let id = commit(&spool, 2, 100).await.unwrap();
    outcome(&spool, id, 0, 1, delivered()).await;
    let dropped = Disposition::Bounced {
        finding: BounceClass::Dropped.into(),
        why: reply("by the operator"),
    };
    outcome(&spool, id, 1, 1, dropped).await;
    assert!(matches!(spool.content(id).await, Err(SpoolError::NotFound)));
    assert!(matches!(
        spool.hold(id, None).await,
        Err(SpoolError::NotFound)
    ));
    drop(spool);
    let found = world.start();
    assert!(found.stored.is_empty() && !found.report.clean);
    let finals: Vec<_> = found
        .report
        .finals
        .iter()
        .map(|f| (f.id, f.recipient))
        .collect();
    assert_eq!(
        finals,
        [(id, 0), (id, 1)],
        "so that the event log can be compared"
    );
    assert_eq!(found.report.finals[0].meta, Some(meta(id, 2)));
}

/// A second delivery whose event the next kill swallowed was told again without its mark.
#[tokio::test]
async fn an_outcome_that_is_told_again_keeps_its_doubt() {
    let world = World::new();
    let spool = world.start().spool;
    let (twice, once) = (
        commit(&spool, 1, 10).await.unwrap(),
        commit(&spool, 1, 10).await.unwrap(),
    );
    world.pass_time();
    spool.in_doubt(twice, &[0], 1).await.unwrap();
    drop(spool);
    let spool = world.start().spool;
    for (id, attempt) in [(twice, 2), (once, 1)] {
        spool.in_doubt(id, &[0], attempt).await.unwrap();
        outcome(&spool, id, 0, attempt, delivered()).await;
    }
    drop(spool);
    let finals = world.start().report.finals;
    let doubts: Vec<_> = finals.iter().map(|f| (f.id, f.in_doubt)).collect();
    assert_eq!(doubts, [(twice, true), (once, false)]);
}

#[tokio::test]
async fn a_large_body_has_a_file_that_lives_as_long_as_its_message() {
    let world = World::new();
    let spool = world.start().spool;
    let id = commit(&spool, 1, 700_000).await.unwrap();
    let file = world.layout().body(id);
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 700_000);
    assert_eq!(read_all(&spool, id).await.unwrap(), whole(id, 700_000));
    {
        let mut abandoned = spool.draft();
        abandoned.write(&vec![b'x'; 100_000]).await.unwrap();
    }
    let files = || std::fs::read_dir(world.layout().large()).unwrap().count();
    assert_eq!(files(), 1, "an abandoned draft leaves nothing");
    drop(spool);

    std::fs::write(world.layout().part(77), "half").unwrap();
    std::fs::write(world.layout().body(MessageId(5)), "of nobody").unwrap();
    let found = world.start();
    assert_eq!((found.report.removed, files()), (2, 1));
    assert_eq!(found.stored[&id].size, (HEAD.len() + 700_000) as u64);
    assert_eq!(
        read_all(&found.spool, id).await.unwrap(),
        whole(id, 700_000)
    );
    outcome(&found.spool, id, 0, 1, delivered()).await;
    found.spool.close().await.unwrap();
    drop(found);
    world.start();
    assert_eq!(files(), 0);
}

#[tokio::test]
async fn two_daemons_never_share_a_spool_and_the_offline_reader_says_why_it_cannot() {
    let world = World::new();
    let found = world.start();
    let id = commit(&found.spool, 1, 10).await.unwrap();
    let second = Spool::open(world.dir.path(), config(), world.clock.clone(), |_| ());
    assert!(matches!(second, Err(OpenError::Locked(_))));
    let reader = Spool::inspect(world.dir.path(), |_| ());
    assert!(matches!(reader, Err(OpenError::Locked(_))));
    drop(found);
    let mut seen = Vec::new();
    Spool::inspect(world.dir.path(), |message| seen.push(message.meta.id)).unwrap();
    assert_eq!(seen, [id]);
}

#[tokio::test]
async fn after_close_nothing_is_taken() {
    let world = World::new();
    let spool = world.start().spool;
    let id = commit(&spool, 1, 10).await.unwrap();
    spool.close().await.unwrap();
    assert!(matches!(spool.accepting(), Err(SpoolError::Closed)));
    assert!(matches!(
        commit(&spool, 1, 10).await,
        Err(SpoolError::Closed)
    ));
    assert!(matches!(
        spool.hold(id, None).await,
        Err(SpoolError::Closed)
    ));
}

/// Messages of 3 KB that come and go, ten a second.
async fn pass(world: &World, spool: &Spool, count: usize) {
    for _ in 0..count {
        world.clock.advance(Duration::from_millis(100));
        let passing = commit(spool, 1, 3000).await.unwrap();
        outcome(spool, passing, 0, 1, delivered()).await;
    }
}

fn segments(world: &World) -> usize {
    let files = std::fs::read_dir(world.layout().root).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let segments = paths.filter(|path| path.extension().is_some_and(|e| e == "seg"));
    segments.count()
}

/// A few old messages among many that come and go: the log stays small, the old ones keep everything.
#[tokio::test]
async fn compaction_under_load_keeps_what_is_live() {
    let world = World::new();
    let spool = world.start().spool;
    let mut old = Vec::new();
    for round in 0..40u16 {
        let id = commit(&spool, 2, 3000).await.unwrap();
        outcome(&spool, id, 0, 1, delivered()).await;
        outcome(
            &spool,
            id,
            1,
            round + 1,
            deferred(&format!("round {round}")),
        )
        .await;
        spool.in_doubt(id, &[1], round + 2).await.unwrap();
        old.push((id, round));
        pass(&world, &spool, 20).await;
    }
    // 860 messages of 3 KB would fill 41. The compactor has a thread of its own, which may be late on a busy machine.
    let mut more = 0;
    while segments(&world) >= 20 {
        assert!(more < 200, "{} segments", segments(&world));
        more += 1;
        pass(&world, &spool, 20).await;
    }
    world.pass_time();
    commit(&spool, 1, 10).await.unwrap();
    drop(spool);

    let found = world.start();
    assert_eq!(found.report.damages, []);
    assert_eq!(found.stored.len(), 41);
    for (id, round) in old {
        let progress = &found.stored[&id].progress;
        assert!(progress[0].done && !progress[0].in_doubt);
        assert_eq!(progress[1].attempts, round + 2);
        assert!(progress[1].in_doubt, "the journalled attempt was moved too");
        assert_eq!(
            progress[1].last.as_deref(),
            Some(&reply(&format!("round {round}")))
        );
        assert_eq!(read_all(&found.spool, id).await.unwrap(), whole(id, 3000));
    }
}

/// A segment was used again a millisecond after its last message was done; a kill within the time that events take to
/// their log lost those events for good.
#[tokio::test]
async fn what_was_just_done_is_told_by_the_next_start_however_many_segments_it_filled() {
    let world = World::new();
    let spool = world.start().spool;
    let mut done = Vec::new();
    for _ in 0..60 {
        let id = commit(&spool, 1, 3000).await.unwrap();
        outcome(&spool, id, 0, 1, delivered()).await;
        done.push(id);
    }
    drop(spool);
    // A start that is cut off takes nothing from the next one.
    drop(world.start());
    let report = world.start().report;
    let arrivals = report.arrivals.iter().map(|arrived| arrived.meta.id);
    assert_eq!(arrivals.collect::<Vec<_>>(), done);
    let finals = report.finals.iter().filter(|last| last.meta.is_some());
    assert_eq!(finals.map(|last| last.id).collect::<Vec<_>>(), done);
}

#[tokio::test]
async fn records_of_an_earlier_use_of_a_segment_never_come_back() {
    let world = World::new();
    let mut gone = Vec::new();
    for _ in 0..12 {
        let found = world.start();
        world.pass_time();
        assert_eq!(found.report.damages, []);
        assert!(found.stored.is_empty(), "a finished message came back");
        for _ in 0..15 {
            let id = commit(&found.spool, 1, 2000).await.unwrap();
            outcome(&found.spool, id, 0, 1, delivered()).await;
            gone.push(id);
        }
    }
    let uses = world.records();
    let stale = uses
        .windows(2)
        .filter(|pair| pair[0].2.generation != pair[1].2.generation);
    assert!(stale.count() > 2, "several generations lie in the files");
}

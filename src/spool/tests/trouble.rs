//! A disk that is full or fails.

use super::*;

#[tokio::test]
async fn below_the_reserve_new_mail_is_refused_and_delivery_goes_on() {
    let mut world = World::new();
    world.config.reserve_space = Size::mib(256);
    world.config.reserve_inodes = 1000;
    let spool = world.start().spool;
    let id = commit(&spool, 1, 10).await.unwrap();
    for (bytes, inodes, taken) in [
        (255 << 20, Some(5000), false),
        (1 << 30, Some(999), false),
        (1 << 30, None, true),
        (1 << 30, Some(5000), true),
    ] {
        *world.disk.space.lock() = Space { bytes, inodes };
        spool.check_space();
        let answer = spool.accepting();
        assert_eq!(answer.is_ok(), taken, "{bytes} {inodes:?}");
        assert!(taken || matches!(answer, Err(SpoolError::NoSpace)));
        outcome(&spool, id, 0, 1, deferred("later")).await;
    }
}

/// Sixteen emptied segments kept for the next use would keep a small disk full for ever.
#[tokio::test]
async fn when_space_is_short_emptied_segments_go_back_to_the_disk() {
    let mut world = World::new();
    world.config.reserve_space = Size::mib(256);
    world.config.recycle_segments = 16;
    let spool = world.start().spool;
    let mut ids = Vec::new();
    for _ in 0..80 {
        ids.push(commit(&spool, 1, 6000).await.unwrap());
    }
    for id in ids {
        outcome(&spool, id, 0, 1, delivered()).await;
    }
    world.pass_time();
    let last = commit(&spool, 1, 6000).await.unwrap();
    outcome(&spool, last, 0, 1, delivered()).await;
    spool.wait_for_spares(6);
    *world.disk.space.lock() = Space {
        bytes: 1 << 20,
        inodes: None,
    };
    spool.check_space();
    let names = || {
        std::fs::read_dir(world.layout().root)
            .unwrap()
            .map(|entry| entry.unwrap().path())
    };
    let segments = || {
        names()
            .filter(|path| path.extension().is_some_and(|e| e == "seg"))
            .count()
    };
    // The segment being written and two spares; the keeper deletes the rest within its round.
    while segments() > 3 {
        std::thread::yield_now();
    }
    assert!(matches!(spool.accepting(), Err(SpoolError::NoSpace)));
    *world.disk.space.lock() = Space {
        bytes: 1 << 30,
        inodes: None,
    };
    spool.check_space();
    assert!(spool.accepting().is_ok());
}

#[tokio::test]
async fn on_a_full_disk_outcomes_are_still_recorded_and_make_room_again() {
    let mut world = World::new();
    world.config.ready_segments = 2;
    let spool = world.start().spool;
    let mut taken = Vec::new();
    spool.wait_for_spares(2);
    world.disk.full.store(true, Ordering::SeqCst);
    let refusal = loop {
        match commit(&spool, 1, 6000).await {
            Ok(id) => taken.push(id),
            Err(refusal) => break refusal,
        }
    };
    assert!(matches!(refusal, SpoolError::NoSpace), "{refusal}");
    assert!(!taken.is_empty());
    assert!(matches!(spool.accepting(), Err(SpoolError::NoSpace)));
    for id in &taken {
        spool.in_doubt(*id, &[0], 1).await.unwrap();
        outcome(&spool, *id, 0, 1, delivered()).await;
    }
    taken = vec![commit(&spool, 1, 6000).await.unwrap()];
    assert!(spool.accepting().is_ok());
    drop(spool);
    let found = world.start();
    assert_eq!(found.stored.keys().copied().collect::<Vec<_>>(), taken);
    assert_eq!(found.report.damages, []);
}

#[tokio::test]
async fn a_large_body_that_finds_no_space_is_refused_and_leaves_nothing() {
    let world = World::new();
    let spool = world.start().spool;
    world.disk.full.store(true, Ordering::SeqCst);
    assert!(matches!(
        commit(&spool, 1, 50_000).await,
        Err(SpoolError::NoSpace)
    ));
    assert_eq!(
        std::fs::read_dir(world.layout().large()).unwrap().count(),
        0
    );
}

/// Found by the property of power failures: the body of a refused message was deleted although the log did not yet say
/// that the message was refused.
#[tokio::test]
async fn a_refused_message_keeps_its_large_body_until_the_log_says_so() {
    let world = World::new();
    let spool = world.start().spool;
    commit(&spool, 1, 50_000).await.unwrap();
    // The record reaches the disk, its sync fails, and the power goes before anything else is written.
    world.disk.last_sync.store(true, Ordering::SeqCst);
    world.disk.bad_syncs.store(1, Ordering::SeqCst);
    assert!(commit(&spool, 1, 50_000).await.is_err());
    drop(spool);
    world.disk.revive();
    let found = world.start();
    assert_eq!(found.report.damages, []);
    assert_eq!(found.stored.len(), 2, "as if its 250 had been lost");
    for id in found.stored.keys() {
        let content = read_all(&found.spool, *id).await.unwrap();
        assert_eq!(content, whole(*id, 50_000));
    }
}

#[tokio::test]
async fn a_failed_sync_acknowledges_nothing_and_its_messages_do_not_come_back() {
    let world = World::new();
    let spool = world.start().spool;
    let kept = commit(&spool, 1, 500).await.unwrap();
    world.disk.bad_syncs.store(1, Ordering::SeqCst);
    let refused = spool.next_id();
    let message = Commit {
        meta: meta(refused, 1),
        head: HEAD.to_vec(),
        body: spool.draft(),
    };
    assert!(matches!(
        spool.commit(message).await,
        Err(SpoolError::Io(_))
    ));
    assert!(matches!(
        spool.content(refused).await,
        Err(SpoolError::NotFound)
    ));
    let after = commit(&spool, 1, 500).await.unwrap();
    assert!(spool.accepting().is_ok(), "it writes again, elsewhere");
    let generations: Vec<_> = world
        .records()
        .iter()
        .map(|(_, _, h)| (h.id, h.generation))
        .collect();
    assert!(generations.contains(&(refused, 1)) && generations.contains(&(after, 2)));
    drop(spool);
    let found = world.start();
    let taken = [kept, after];
    assert_eq!(found.stored.keys().copied().collect::<Vec<_>>(), taken);
    assert_eq!(found.report.damages, []);
    let arrivals = found.report.arrivals.iter();
    let arrivals: Vec<_> = arrivals.map(|arrived| arrived.meta.id).collect();
    assert_eq!(arrivals, taken, "what was refused is not told as accepted");
}

#[tokio::test]
async fn outcomes_in_a_failed_batch_are_facts_and_written_again() {
    let world = World::new();
    let spool = world.start().spool;
    let id = commit(&spool, 2, 500).await.unwrap();
    world.disk.bad_syncs.store(1, Ordering::SeqCst);
    outcome(&spool, id, 0, 1, delivered()).await;
    world.disk.bad_syncs.store(2, Ordering::SeqCst);
    let mark = Mark {
        id,
        at: START,
        outcomes: vec![(1, 1, deferred("full"))],
    };
    assert!(
        matches!(spool.mark(mark).await, Err(SpoolError::Io(_))),
        "told after the second failure"
    );
    let next = commit(&spool, 1, 500).await.unwrap();
    drop(spool);
    let found = world.start();
    assert!(found.stored.contains_key(&next));
    let progress = &found.stored[&id].progress;
    assert!(progress[0].done);
    assert_eq!(
        progress[1].last.as_deref(),
        Some(&reply("full")),
        "recorded all the same"
    );
}

#[tokio::test]
async fn what_does_not_fit_a_segment_is_refused() {
    let world = World::new();
    let spool = world.start().spool;
    let message = Commit {
        meta: meta(spool.next_id(), 1),
        head: vec![b'x'; SEGMENT as usize],
        body: spool.draft(),
    };
    assert!(matches!(
        spool.commit(message).await,
        Err(SpoolError::Io(_))
    ));
    commit(&spool, 1, 10).await.unwrap();
}

#[tokio::test]
async fn a_spool_opens_on_a_full_disk_and_takes_mail_when_there_is_room() {
    let world = World::new();
    world.disk.full.store(true, Ordering::SeqCst);
    let spool = world.start().spool;
    assert!(matches!(spool.accepting(), Err(SpoolError::NoSpace)));
    assert!(matches!(
        commit(&spool, 1, 10).await,
        Err(SpoolError::NoSpace)
    ));
    world.disk.full.store(false, Ordering::SeqCst);
    spool.wait_for_spares(2);
    commit(&spool, 1, 10).await.unwrap();
    assert!(spool.accepting().is_ok());
}

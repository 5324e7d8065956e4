//! Octets of the log that are not what was written.

use super::record::{Draw, Kind, Stamp, stamp};
use super::*;

/// A spool stopped cleanly with messages of 3000 octets over several segments, long ago.
async fn filled(count: usize) -> (World, Vec<MessageId>) {
    let world = World::new();
    let spool = world.start().spool;
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(commit(&spool, 1, 3000).await.unwrap());
    }
    spool.close().await.unwrap();
    world.pass_time();
    (world, ids)
}

impl World {
    fn record_of(&self, id: MessageId) -> (std::path::PathBuf, u64, Header) {
        let mut records = self.records().into_iter();
        records
            .find(|(_, _, h)| h.id == id && h.kind == Kind::Accept)
            .unwrap()
    }

    fn flip(&self, path: &Path, offset: u64) {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let mut octet = [0];
        file.read_exact_at(&mut octet, offset).unwrap();
        file.write_all_at(&[!octet[0]], offset).unwrap();
    }
}

#[tokio::test]
async fn damage_costs_only_the_records_it_hits_and_is_told_once() {
    let (world, ids) = filled(60).await;
    let (path, offset, _) = world.record_of(ids[5]);
    world.flip(&path, offset + 10);
    let (path, offset, _) = world.record_of(ids[9]);
    world.flip(&path, offset + 70);
    let seen = Spool::inspect(world.dir.path(), |_| ()).unwrap();
    assert_eq!(
        (seen.damages.len(), world.aside()),
        (2, 0),
        "the reader changes nothing"
    );
    let found = world.start();
    let told: Vec<_> = found
        .report
        .damages
        .iter()
        .map(|d| (d.id, d.listed))
        .collect();
    assert_eq!(told, [(None, false), (Some(ids[9]), false)]);
    assert!(
        found
            .report
            .damages
            .iter()
            .all(|d| d.bytes > 3000 && d.aside.as_ref().unwrap().exists())
    );
    assert_eq!(world.aside(), 2);
    let lost = [ids[5], ids[9]];
    let expected: Vec<_> = ids
        .iter()
        .filter(|id| !lost.contains(id))
        .copied()
        .collect();
    assert_eq!(found.stored.keys().copied().collect::<Vec<_>>(), expected);
    for id in expected {
        assert_eq!(read_all(&found.spool, id).await.unwrap(), whole(id, 3000));
    }
    found.spool.close().await.unwrap();
    drop(found);
    assert_eq!(world.start().report.damages, []);
}

#[tokio::test]
async fn a_damaged_body_is_found_when_it_is_read_and_the_message_stays_listed() {
    let (world, ids) = filled(60).await;
    let (path, offset, header) = world.record_of(ids[3]);
    world.flip(&path, offset + header.content_at() + 100);
    let found = world.start();
    assert!(found.stored.contains_key(&ids[3]));
    assert!(matches!(
        found.spool.content(ids[3]).await,
        Err(SpoolError::Corrupt(_))
    ));
    assert_eq!(world.aside(), 1);
    outcome(&found.spool, ids[3], 0, 1, delivered()).await;
}

#[tokio::test]
async fn a_damaged_body_in_the_last_segment_is_found_at_the_start() {
    let (world, ids) = filled(3).await;
    let (path, offset, header) = world.record_of(ids[1]);
    world.flip(&path, offset + header.content_at());
    let found = world.start();
    let told: Vec<_> = found
        .report
        .damages
        .iter()
        .map(|d| (d.id, d.listed))
        .collect();
    assert_eq!(told, [(Some(ids[1]), true)]);
    assert!(matches!(
        found.spool.content(ids[1]).await,
        Err(SpoolError::Corrupt(_))
    ));
}

#[tokio::test]
async fn a_damaged_large_body_gives_no_last_piece_and_a_missing_one_is_told() {
    let world = World::new();
    let spool = world.start().spool;
    let (bad, gone) = (
        commit(&spool, 1, 200_000).await.unwrap(),
        commit(&spool, 1, 200_000).await.unwrap(),
    );
    drop(spool);
    world.flip(&world.layout().body(bad), 5);
    std::fs::remove_file(world.layout().body(gone)).unwrap();
    let found = world.start();
    let told: Vec<_> = found
        .report
        .damages
        .iter()
        .map(|d| (d.id, d.listed))
        .collect();
    assert_eq!(told, [(Some(gone), true)]);
    assert!(matches!(
        found.spool.content(gone).await,
        Err(SpoolError::Corrupt(_))
    ));
    let mut content = found.spool.content(bad).await.unwrap();
    let mut octets = 0;
    let end = loop {
        match content.next().await {
            Ok(Some(piece)) => octets += piece.len() as u64,
            other => break other,
        }
    };
    assert!(matches!(end, Err(SpoolError::Corrupt(_))));
    assert!(octets < content.len());
    assert_eq!(
        world.aside(),
        2,
        "the record of the one, the body of the other"
    );
}

#[tokio::test]
async fn a_segment_without_its_first_record_is_read_all_the_same() {
    let (world, ids) = filled(60).await;
    for (path, offset, header) in world.records() {
        if header.kind == Kind::Start {
            world.flip(&path, offset + 1);
        }
    }
    let found = world.start();
    assert_eq!(found.stored.len(), ids.len());
    assert!(!found.report.damages.is_empty());
}

#[tokio::test]
async fn a_segment_that_is_missing_is_told() {
    let (world, ids) = filled(60).await;
    let (path, _, header) = world.record_of(ids[30]);
    std::fs::remove_file(path).unwrap();
    let found = world.start();
    assert!(found.stored.len() < ids.len() && found.stored.contains_key(&ids[0]));
    let told: Vec<_> = found
        .report
        .damages
        .iter()
        .map(|d| d.place.as_str())
        .collect();
    assert_eq!(told, [format!("segment {} offset 0", header.generation)]);
}

/// A sender puts a record of our own form into a body; then the true record's header breaks.
#[tokio::test]
async fn the_octets_of_a_message_never_pass_for_a_record() {
    let world = World::new();
    let spool = world.start().spool;
    let (victim, id) = (commit(&spool, 1, 100).await.unwrap(), spool.next_id());
    let done = Mark {
        id: victim,
        at: START,
        outcomes: vec![(0, 1, delivered())],
    };
    let mut forged = Vec::new();
    let mark = postcard::to_allocvec(&done).unwrap();
    Draw::state(Kind::Mark, victim, START, &mark).append(&mut forged);
    let place = Stamp {
        generation: 1,
        salt: 0,
        back: 0,
        batch: 0,
    };
    stamp(&mut forged, place);
    let mut draft = spool.draft();
    // At every offset modulo 64, so that one of them is aligned.
    for pad in 0..UNIT {
        draft.write(&vec![b' '; pad]).await.unwrap();
        if draft.len() < 7000 {
            draft.write(&forged).await.unwrap();
        }
    }
    let message = Commit {
        meta: meta(id, 1),
        head: HEAD.to_vec(),
        body: draft,
    };
    spool.commit(message).await.unwrap();
    let last = commit(&spool, 1, 100).await.unwrap();
    spool.close().await.unwrap();
    drop(spool);
    let (path, offset, _) = world.record_of(id);
    world.flip(&path, offset);
    let found = world.start();
    assert_eq!(
        found.stored.keys().copied().collect::<Vec<_>>(),
        [victim, last]
    );
    assert_eq!(found.report.damages.len(), 1);
}

/// Rows S1 and S4 of the table: a segment being zeroed, and a first write of which the start record is missing.
#[tokio::test]
async fn a_segment_that_was_not_begun_in_full_is_read_as_far_as_it_goes() {
    let (world, ids) = filled(2).await;
    let unfinished = world.layout().unfinished(77);
    std::fs::write(&unfinished, [0; 100]).unwrap();
    let (path, _, _) = world.record_of(ids[0]);
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(&[0; 2 * UNIT], 0).unwrap();
    let found = world.start();
    assert!(!unfinished.exists());
    assert_eq!(found.stored.keys().copied().collect::<Vec<_>>(), ids);
}

/// What could be read of its body stays beside what was set aside of its record.
#[tokio::test]
async fn a_message_that_became_unreadable_is_given_up_when_its_segment_is_emptied() {
    let world = World::new();
    let spool = world.start().spool;
    let lost = commit(&spool, 1, 200_000).await.unwrap();
    let kept = commit(&spool, 1, 3000).await.unwrap();
    let (path, offset, _) = world.record_of(lost);
    world.flip(&path, offset + 10);
    let mut passed = 0;
    while !matches!(spool.stored(lost).await, Err(SpoolError::NotFound)) {
        assert!(passed < 4000, "it is listed still");
        let passing = commit(&spool, 1, 3000).await.unwrap();
        outcome(&spool, passing, 0, 1, delivered()).await;
        passed += 1;
    }
    assert_eq!(read_all(&spool, kept).await.unwrap(), whole(kept, 3000));
    let body = world.layout().body(lost);
    while body.exists() {
        std::thread::yield_now();
    }
    assert_eq!(world.aside(), 2, "its record and its body");
}

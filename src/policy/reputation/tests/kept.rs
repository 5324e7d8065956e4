//! What outlives restarts, outages of the store, and a flood of slices.

use super::*;
use crate::store::tests::World as Place;

fn campaign(n: usize) -> Slice {
    format!("campaign/acme/c{n}").parse().unwrap()
}

fn count(world: &World, slice: Slice) {
    let mut book = world.reputation.0.book.lock();
    book.count(slice, &[Metric::Attempts], 1, world.now);
}

fn known(world: &World) -> Vec<Slice> {
    world.reputation.gather(|_, slice, _| Some(slice.clone()))
}

fn is_known(world: &World, n: usize) -> bool {
    known(world).contains(&campaign(n))
}

async fn recalled(store: &Store, now: Timestamp) -> World {
    let mut world = World::new();
    world.now = now;
    world.reputation.recall(store, "n1", now).await.unwrap();
    world
}

async fn write(world: &World, store: &Store) {
    let reputation = &world.reputation;
    reputation.write_decisions(store, "n1").await.unwrap();
    reputation.write_counts(store, "n1").await.unwrap();
}

/// Once what was restored counted as quiet for ever: the first overflow forgot all of it, and a restart brought it back.
#[tokio::test]
async fn an_overflow_forgets_what_was_quiet_the_longest_restored_or_not_and_for_good() {
    let store = Store::in_memory();
    let mut world = World::new();
    for n in 0..200 {
        count(&world, campaign(n));
        world.now = world.now + MINUTE;
    }
    write(&world, &store).await;

    let world = recalled(&store, world.now).await;
    for n in 200..320 {
        count(&world, campaign(n));
    }
    let _told = world.look();
    let left = MOST - MOST / 10;
    assert_eq!(known(&world).len(), left);
    assert!((320 - left..320).all(|n| is_known(&world, n)));
    assert!(!is_known(&world, 0));
    write(&world, &store).await;
    assert_eq!(store.list("reputation/").await.unwrap().len(), left);
    let again = recalled(&store, world.now).await;
    assert_eq!(known(&again), known(&world));
}

#[test]
fn between_two_looks_there_is_no_more_than_a_tenth_too_much() {
    let world = World::new();
    (0..1_000).for_each(|n| count(&world, campaign(n)));
    assert_eq!(known(&world).len(), MOST + MOST / 10);
    // What is known is counted on.
    count(&world, campaign(0));
    let row = world.reputation.row(&campaign(0), Window::Hour, world.now);
    assert_eq!(row.unwrap().count(Metric::Attempts), 2);
    let _told = world.look();
    count(&world, campaign(1_000));
    assert!(is_known(&world, 1_000));
}

/// Once each list that anybody had named took the place of a campaign.
#[test]
fn lists_of_any_name_do_not_push_out_what_mail_is_judged_by() {
    let world = World::new();
    count(&world, campaign(1));
    for n in 0..500 {
        let scope = format!("list/acme/l{n}");
        let of = ("unsubscribe", &*scope);
        world.reputation.stopped(of, Metric::Refused, world.now);
    }
    let told = world.reputation.suppressed(Window::Hour, world.now);
    assert_eq!(told.iter().map(|s| s.refused).sum::<u64>(), 500);
    assert_eq!((told[0].scope.as_str(), told[0].refused), ("others", 480));
    assert_eq!(told.len(), 21);
    let _told = world.look();
    assert!(is_known(&world, 1));
}

/// Once the report and the lint summed the whole book up while nobody else could count.
#[test]
fn a_report_goes_by_pieces_and_sees_each_slice_once() {
    let world = World::new();
    (0..3 * PIECE).for_each(|n| count(&world, campaign(n)));
    assert_eq!(world.reputation.0.book.lock().piece(None).count(), PIECE);
    let rows = world.reputation.report(&[], Window::Hour, world.now);
    let told: HashSet<&Slice> = rows.iter().map(|row| &row.slice).collect();
    assert_eq!((rows.len(), told.len()), (3 * PIECE, 3 * PIECE));
}

/// Once a write that failed lost a hold, and with it whatever had not been written yet.
#[tokio::test]
async fn what_could_not_be_written_is_written_again_and_in_force_meanwhile() {
    let place = Place::embedded().await;
    let world = World::new();
    let spring = marketing("spring");
    world.send_all(&spring, &[(Fate::Delivered, 300), (Fate::Hard, 60)]);
    let _told = world.look();
    let held = world.held(&spring);
    assert!(held.is_some());
    let closed = place.open().await;
    closed.close().await;
    let reputation = &world.reputation;
    assert!(reputation.write_decisions(&closed, "n1").await.is_err());
    assert!(reputation.write_counts(&closed, "n1").await.is_err());
    assert_eq!(world.held(&spring), held);

    let store = place.open().await;
    write(&world, &store).await;
    let again = recalled(&store, world.now).await;
    assert_eq!(again.held(&spring), held);
    let report = |world: &World| world.reputation.report(&[], Window::Day, world.now);
    assert_eq!(report(&again), report(&world));
}

/// Once what the store still had undid what a person had decided while it was away.
#[tokio::test]
async fn what_the_store_has_does_not_undo_what_it_could_not_take() {
    let place = Place::embedded().await;
    let mut world = World::new();
    let spring = marketing("spring");
    world.send_all(&spring, &[(Fate::Delivered, 300), (Fate::Hard, 60)]);
    let _told = world.look();
    let store = place.open().await;
    write(&world, &store).await;
    world.now = world.now + MINUTE;
    let slice = world.held(&spring).unwrap();
    world.reputation.release(&slice, "ops", world.now).unwrap();
    let reputation = &world.reputation;
    reputation.refresh(&store, "n1", world.now).await.unwrap();
    assert_eq!(world.held(&spring), None);
    write(&world, &store).await;
    reputation.refresh(&store, "n1", world.now).await.unwrap();
    assert_eq!(world.held(&spring), None);
    assert_eq!(recalled(&store, world.now).await.held(&spring), None);
}

#[tokio::test]
async fn a_hold_is_forgotten_a_month_after_its_end() {
    let store = Store::in_memory();
    let mut world = World::new();
    world.send_all(
        &marketing("spring"),
        &[(Fate::Delivered, 300), (Fate::Hard, 60)],
    );
    let _told = world.look();
    write(&world, &store).await;
    let reputation = &world.reputation;
    let kept = async || store.list("reputation/hold/").await.unwrap().len();
    world.now = world.now + 4 * HOUR;
    reputation.refresh(&store, "n1", world.now).await.unwrap();
    assert_eq!(kept().await, 1);
    world.now = world.now + 30 * 24 * HOUR;
    reputation.refresh(&store, "n1", world.now).await.unwrap();
    assert_eq!(kept().await, 0);
    assert!(reputation.0.book.lock().holds.is_empty());
}

/// Once a restart gave all that was slowed its pace back, and slowed again what had been let go.
#[tokio::test]
async fn a_restart_forgets_neither_what_is_slowed_nor_what_has_its_pace_back() {
    let store = Store::in_memory();
    let world = World::new();
    let (spring, summer) = (marketing("spring"), marketing("summer"));
    for labels in [&spring, &summer] {
        world.send_all(labels, &[(Fate::Delivered, 960), (Fate::Hard, 40)]);
    }
    let _told = world.look();
    let slow = world.reputation.slows();
    assert_eq!(slow.len(), 2);
    let summers: Slice = "campaign/acme/summer".parse().unwrap();
    world.reputation.ease(&summers, world.now).unwrap();
    write(&world, &store).await;

    let mut again = recalled(&store, world.now).await;
    assert!(again.reputation.is_slow());
    assert_eq!(again.reputation.slows(), slow[..1]);
    again.send_all(&summer, &[(Fate::Delivered, 50)]);
    let _told = again.look();
    assert_eq!(again.reputation.slows(), slow[..1]);
    // After a day nothing is left of either.
    let springs: Slice = "campaign/acme/spring".parse().unwrap();
    again.reputation.ease(&springs, again.now).unwrap();
    again.now = again.now + 25 * HOUR;
    let _told = again.look();
    write(&again, &store).await;
    assert!(store.list("reputation/pace/").await.unwrap().is_empty());
}

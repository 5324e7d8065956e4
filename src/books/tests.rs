use super::*;
use std::fs;
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(86_400);
/// 2026-11-26, noon.
const NOON: Timestamp = Timestamp::from_millis(1_795_694_400_000);

/// The books of a directory at a time that the test moves.
struct World {
    dir: TempDir,
    clock: Clock,
}

impl World {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: Clock::manual(NOON),
        }
    }

    fn books(&self) -> Books {
        Books::open(self.dir.path(), self.clock.clone(), Box::new(|| 60 * DAY)).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let files = fs::read_dir(self.dir.path()).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

fn id(at: Timestamp) -> MessageId {
    MessageId(at.as_millis() << 20)
}

fn to(recipients: &[(u16, &str)]) -> Entry {
    let sent = |(position, address): &(u16, &str)| Sent {
        position: *position,
        address: address.parse().unwrap(),
        site: Some("mx.b.test".into()),
        source: None,
        provider: Some("other".into()),
        attempt: 1,
        at: NOON,
        returned: false,
        complained: false,
        unsubscribed: false,
    };
    Entry {
        labels: Arc::default(),
        sender: "news@a.test".parse().ok(),
        size: 1000,
        recipients: recipients.iter().map(sent).collect(),
    }
}

#[tokio::test]
async fn a_message_is_found_at_once_and_after_a_restart() {
    let world = World::new();
    let books = world.books();
    books.note(id(NOON), to(&[(0, "ann@b.test")]));
    let found = books.find(id(NOON)).await.unwrap();
    assert_eq!(found, Some(to(&[(0, "ann@b.test")])));
    books.close().await;
    assert!(books.find(id(NOON)).await.is_err());

    let books = world.books();
    assert_eq!(books.find(id(NOON)).await.unwrap(), found);
    assert_eq!(books.find(MessageId(id(NOON).0 + 1)).await.unwrap(), None);
    assert_eq!(world.files(), ["2026-11-26.redb"]);
}

#[tokio::test]
async fn a_later_recipient_joins_its_message_before_and_after_a_restart() {
    let world = World::new();
    let (books, message) = (world.books(), id(NOON));
    books.note(message, to(&[(3, "ann@b.test")]));
    books.note(message, to(&[(1, "bob@b.test")]));
    books.close().await;
    let books = world.books();
    books.note(message, to(&[(2, "cat@b.test")]));
    let found = books.find(message).await.unwrap().unwrap();
    let positions: Vec<u16> = found.recipients.iter().map(|sent| sent.position).collect();
    assert_eq!(positions, [3, 1, 2]);
}

#[tokio::test]
async fn a_mark_is_new_once_and_survives_a_restart_and_a_second_delivery() {
    let world = World::new();
    let (books, message) = (world.books(), id(NOON));
    books.note(message, to(&[(0, "ann@b.test"), (1, "bob@b.test")]));
    assert!(
        books
            .change(message, 1, |sent| &mut sent.returned)
            .await
            .unwrap()
    );
    assert!(
        !books
            .change(message, 1, |sent| &mut sent.returned)
            .await
            .unwrap()
    );
    assert!(
        books
            .change(message, 1, |sent| &mut sent.complained)
            .await
            .unwrap()
    );
    books.close().await;
    let books = world.books();
    books.note(message, to(&[(1, "bob@b.test")]));
    assert!(
        !books
            .change(message, 1, |sent| &mut sent.returned)
            .await
            .unwrap()
    );
    assert!(
        books
            .change(message, 0, |sent| &mut sent.returned)
            .await
            .unwrap()
    );
    for (message, position) in [(message, 2), (MessageId(1), 0)] {
        let change = books.change(message, position, |sent| &mut sent.returned);
        assert!(!change.await.unwrap());
    }
}

#[tokio::test]
async fn the_day_of_acceptance_has_the_file_and_goes_with_its_last_token() {
    let world = World::new();
    let books = world.books();
    let yesterday = Timestamp::from_millis(NOON.as_millis() - 86_400_000);
    for accepted in [yesterday, NOON] {
        books.note(id(accepted), to(&[(0, "ann@b.test")]));
    }
    books.close().await;
    assert_eq!(world.files(), ["2026-11-25.redb", "2026-11-26.redb"]);

    let books = world.books();
    world.clock.advance(59 * DAY);
    assert!(books.find(id(yesterday)).await.unwrap().is_some());
    // Midnight of the 60th day behind the 25th.
    world.clock.advance(DAY);
    assert!(books.find(id(yesterday)).await.unwrap().is_none());
    assert!(books.find(id(NOON)).await.unwrap().is_some());
    assert_eq!(world.files(), ["2026-11-26.redb"]);
    books.close().await;

    world.clock.advance(DAY);
    let books = world.books();
    assert!(books.find(id(NOON)).await.unwrap().is_none());
    assert_eq!(world.files(), Vec::<String>::new());
}

#[tokio::test]
async fn a_file_that_something_else_wrote_into_is_told_and_the_others_serve() {
    let world = World::new();
    fs::write(world.dir.path().join("2026-11-25.redb"), "not a database").unwrap();
    fs::write(world.dir.path().join("notes.txt"), "not ours").unwrap();
    let books = world.books();
    let yesterday = Timestamp::from_millis(NOON.as_millis() - 86_400_000);
    books.note(id(yesterday), to(&[(0, "ann@b.test")]));
    books.note(id(NOON), to(&[(0, "ann@b.test")]));
    books.close().await;
    let books = world.books();
    let error = books.find(id(yesterday)).await.unwrap_err();
    assert!(error.to_string().contains("2026-11-25.redb"), "{error}");
    assert!(books.find(id(NOON)).await.unwrap().is_some());
}

#[tokio::test]
async fn books_that_are_behind_drop_and_count_and_those_who_ask_wait() {
    let world = World::new();
    let dir = world.dir.path();
    let books = Books::open_with(dir, world.clock.clone(), Box::new(|| 60 * DAY), 1).unwrap();
    let sent = 2_000;
    for n in 0..sent {
        books.note(MessageId(id(NOON).0 + n), to(&[(0, "ann@b.test")]));
    }
    let mut found = 0;
    for n in 0..sent {
        let entry = books.find(MessageId(id(NOON).0 + n)).await.unwrap();
        found += u64::from(entry.is_some());
    }
    assert_eq!(found + books.dropped(), sent);
    books.close().await;
    books.note(id(NOON), to(&[(0, "ann@b.test")]));
    assert_eq!(found + books.dropped(), sent + 1);
}

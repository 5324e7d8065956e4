//! One rotation from its begin to its end, and every step that is refused.

use super::*;
use std::path::PathBuf;
use tempfile::TempDir;

struct World {
    dir: TempDir,
    book: Book,
    configured: Vec<Config>,
    now: Timestamp,
}

const LIFE: Span = Span::days(3);

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("s1.pem");
        generate(Algorithm::Ed25519, &key).unwrap();
        let configured = Config {
            domain: "Acme.Example".into(),
            selector: "s1".into(),
            key,
            ..Config::default()
        };
        Self {
            dir,
            book: Book::default(),
            configured: vec![configured],
            now: Timestamp::from_millis(1_795_348_800_000),
        }
    }

    fn pair(&self) -> Result<Pair, Refusal> {
        let which = Which {
            domain: "acme.example".into(),
            ..Which::default()
        };
        Pair::find(&self.book, &self.configured, &which)
    }

    fn begin(&mut self) -> Result<PublicKey, Refusal> {
        let order = Begin {
            dir: self.dir.path().to_owned(),
            selector: None,
        };
        let pair = self.pair()?;
        let begun = pair.begin(&mut self.book, &self.configured, &order, self.now);
        begun.map(|(_, public)| public)
    }

    fn activate(&mut self, seen: Published) -> Result<(), Refusal> {
        let pair = self.pair()?;
        pair.activate(&mut self.book, seen, "the line".into(), self.now)
    }

    fn remove(&mut self, queued: &[&str]) -> Result<(), Refusal> {
        let pair = self.pair()?;
        let transit = Transit {
            longest_life: LIFE,
            queued: queued.iter().map(|id| (*id).to_owned()).collect(),
        };
        pair.remove(&mut self.book, &transit, self.now)
    }

    fn wait(&mut self, days: u64) {
        self.now = self.now + Span::days(days).0;
    }

    /// The selectors that sign, and those whose record is needed.
    fn state(&self) -> (Vec<String>, Vec<String>) {
        let published = self.book.published(&self.configured);
        let selector = |(config, _): &(Config, State)| config.selector.clone();
        let signing = published.iter().filter(|(_, state)| state.signs());
        (
            signing.map(selector).collect(),
            published.iter().map(selector).collect(),
        )
    }
}

#[test]
fn a_key_signs_once_it_is_published_and_its_record_goes_when_no_mail_needs_it() {
    let mut world = World::new();
    world.begin().unwrap();
    assert_eq!(
        world.state(),
        (vec!["s1".into()], vec!["s1".into(), "s2".into()])
    );
    world.activate(Published::Ours).unwrap();
    assert_eq!(
        world.state(),
        (vec!["s2".into()], vec!["s1".into(), "s2".into()])
    );
    world.wait(11);
    world.remove(&[]).unwrap();
    assert_eq!(world.state(), (vec!["s2".into()], vec!["s2".into()]));
    assert_eq!(
        world.book.state(&world.configured[0]),
        State::Removed,
        "s1 does not sign again"
    );
    world.begin().unwrap();
    assert_eq!(world.pair().unwrap().other.unwrap().selector, "s3");
}

#[test]
fn a_key_that_dns_does_not_have_does_not_sign() {
    for seen in [
        Published::Absent,
        Published::Other,
        Published::Revoked,
        Published::Testing,
        Published::Several,
        Published::Unreadable,
    ] {
        let mut world = World::new();
        world.begin().unwrap();
        let refusal = world.activate(seen).unwrap_err();
        assert!(!refusal.is_temporary());
        assert!(
            refusal.to_string().contains("s2 is not signed with"),
            "{refusal}"
        );
        assert!(refusal.remedy().contains("the line"));
        assert_eq!(world.state().0, ["s1"]);
    }
}

#[test]
fn a_record_stays_for_the_longest_life_in_the_queue_and_the_receivers_delay() {
    let mut world = World::new();
    world.begin().unwrap();
    world.activate(Published::Ours).unwrap();
    world.wait(10);
    let refusal = world.remove(&[]).unwrap_err();
    assert!(matches!(&refusal, Refusal::InTransit(selector, _) if selector == "s1"));
    assert!(refusal.is_temporary() && !refusal.remedy().is_empty());
    world.now = world.now + CHANGE_SLACK.0;
    world.remove(&[]).unwrap();
}

#[test]
fn mail_in_the_queue_keeps_the_record_until_the_receivers_delay_after_it_has_left() {
    let mut world = World::new();
    world.begin().unwrap();
    world.activate(Published::Ours).unwrap();
    world.wait(30);
    let refusal = world.remove(&["m1", "m2"]).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "2 messages signed with s1 may be in the queue, such as m1"
    );
    world.wait(6);
    assert!(matches!(world.remove(&[]), Err(Refusal::InTransit(..))));
    world.wait(1);
    world.remove(&[]).unwrap();
}

#[test]
fn a_step_out_of_order_is_refused() {
    let mut world = World::new();
    assert!(matches!(
        world.activate(Published::Ours),
        Err(Refusal::Idle(_))
    ));
    assert!(matches!(world.remove(&[]), Err(Refusal::Idle(_))));
    world.begin().unwrap();
    assert!(matches!(world.begin(), Err(Refusal::Taken(selector)) if selector == "s2"));
    world.configured.clear();
    assert!(matches!(world.pair(), Err(Refusal::NoKey(_))));
}

#[test]
fn of_several_keys_one_has_to_be_named() {
    let mut world = World::new();
    let other = Config {
        selector: "e1".into(),
        ..world.configured[0].clone()
    };
    world.configured.push(other);
    let refusal = world.pair().unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "several keys sign for acme.example: s1, e1"
    );
    let which = Which {
        domain: "acme.example".into(),
        selector: Some("E1".into()),
        tenant: None,
    };
    let pair = Pair::find(&world.book, &world.configured, &which).unwrap();
    assert_eq!(pair.active.selector, "e1");
}

#[test]
fn the_book_is_kept_and_moves_with_its_directory() {
    let mut world = World::new();
    let (from, to) = (world.dir.path().join("a"), world.dir.path().join("b"));
    let lock = Book::lock(&from).unwrap();
    assert!(matches!(Book::lock(&from), Err(BookError::Locked)));
    let order = Begin {
        dir: Book::dir(&from),
        selector: None,
    };
    let pair = world.pair().unwrap();
    pair.begin(&mut world.book, &world.configured, &order, world.now)
        .unwrap();
    world.book.save(&from, &lock).unwrap();
    drop(lock);
    assert_eq!(Book::load(&from).unwrap(), world.book);
    std::fs::rename(&from, &to).unwrap();
    let moved = Book::load(&to).unwrap();
    assert!(Key::load(&moved.keys[0].key).is_ok());
    std::fs::write(Book::dir(&to).join("rotation.json"), "{").unwrap();
    assert!(matches!(Book::load(&to), Err(BookError::Shape(..))));
}

#[test]
fn what_is_over_is_forgotten_once_the_configuration_has_it_no_more() {
    let mut world = World::new();
    let data = world.dir.path().to_owned();
    let _lock = Book::lock(&data).unwrap();
    let entry = |selector: &str, key: PathBuf| Entry {
        selector: selector.into(),
        key,
        state: State::Removed,
        ..Entry::of(&world.configured[0], world.now)
    };
    let own = Book::dir(&data).join("acme.example.s0.pem");
    world.book.keys = vec![entry("s0", own.clone()), entry("s1", "s1.pem".into())];
    assert_eq!(world.book.forget(&world.configured, &data), [own]);
    assert_eq!(world.book.keys.len(), 1, "s1 is in [[dkim]]");
    let forgotten = world.book.forget(&[], &data);
    assert!(
        forgotten.is_empty(),
        "the file of [[dkim]] is the operator's"
    );
    assert!(world.book.keys.is_empty());
}

#[test]
fn the_change_of_a_state_is_seen() {
    let mut world = World::new();
    let before = world.book.clone();
    world.begin().unwrap();
    let states = |book: &Book, before: &Book| -> Vec<&str> {
        book.changed_since(before)
            .map(|entry| entry.state.name())
            .collect()
    };
    assert_eq!(states(&world.book, &before), ["published"]);
    let before = world.book.clone();
    world.activate(Published::Ours).unwrap();
    assert_eq!(states(&world.book, &before), ["active", "retiring"]);
    assert!(states(&world.book, &world.book).is_empty());
}

/// Where the tests run as root, as `dkim rotate` does.
#[test]
fn what_root_writes_belongs_to_the_owner_of_the_directory() {
    use std::os::unix::fs::{MetadataExt, chown};
    let mut world = World::new();
    let data_dir = world.dir.path().to_owned();
    if chown(&data_dir, Some(65_534), Some(65_534)).is_err() {
        return;
    }
    world.begin().unwrap();
    let lock = Book::lock(&data_dir).unwrap();
    world.book.save(&data_dir, &lock).unwrap();
    let keys = world.book.keys.iter().map(|entry| entry.key.clone());
    let book = Book::dir(&data_dir);
    let written = [book.join("lock"), book.join("rotation.json"), book];
    for path in keys.chain(written) {
        let owner = std::fs::metadata(&path).unwrap().uid();
        assert_eq!(owner, 65_534, "{}", path.display());
    }
}

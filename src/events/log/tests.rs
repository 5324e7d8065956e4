use super::super::sample;
use super::*;
use crate::mail::BounceClass;
use crate::units::{Size, Span};
use std::collections::HashSet;
use std::io::Read;
use std::time::Duration;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn config(rotate_size: Size) -> Config {
    Config {
        rotate_size,
        ..Config::default()
    }
}

/// All lines of the log, oldest file first.
fn lines(dir: &Path) -> Vec<String> {
    let mut text = String::new();
    for path in archive::rotated_files(dir).unwrap() {
        assert_eq!(
            path.extension().unwrap(),
            "zst",
            "{path:?} is not compressed"
        );
        let file = std::fs::File::open(path).unwrap();
        zstd::Decoder::new(file)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
    }
    text += &std::fs::read_to_string(dir.join(file::CURRENT)).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn numbered(n: u64) -> Event {
    Event::Accepted {
        about: sample::about(n),
        peer: None,
        why: None,
    }
}

#[test]
fn rotation_and_compression_lose_nothing_and_keep_the_order() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::open(dir.path(), &config(Size::kib(64)), START).unwrap();
    for n in 0..5_000 {
        log.take(START + Duration::from_millis(n), &numbered(n));
    }
    log.close();
    let found = lines(dir.path());
    assert_eq!(found.len(), 5_000);
    for (n, line) in found.iter().enumerate() {
        let id = crate::mail::MessageId(n as u64).to_string();
        assert!(line.contains(&id), "line {n} is {line}");
    }
    assert!(archive::rotated_files(dir.path()).unwrap().len() >= 3);
}

#[test]
fn senders_on_many_threads_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::open(dir.path(), &config(Size::kib(64)), START).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let log = log.clone();
            scope.spawn(move || {
                for n in 0..500 {
                    log.take(START, &numbered(thread * 1_000 + n));
                }
            });
        }
    });
    log.close();
    let mut found = lines(dir.path());
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 4_000);
}

#[tokio::test]
async fn a_flushed_event_is_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::open(dir.path(), &Config::default(), START).unwrap();
    log.take(START, &numbered(7));
    log.flush().await;
    assert_eq!(lines(dir.path()).len(), 1);
    log.close();
    log.flush().await;
}

#[test]
fn a_file_is_rotated_by_age_and_removed_when_old() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        rotate_every: Span::days(1),
        keep: Span::days(2),
        ..Config::default()
    };
    for day in 0..6u64 {
        let now = START + Duration::from_secs(day * 86_400);
        let log = EventLog::open(dir.path(), &config, now).unwrap();
        log.take(now, &numbered(day));
        log.close();
    }
    // Set aside on days 1 to 5; on day 5 those of days 1 and 2 are older than two days.
    let kept = archive::rotated_files(dir.path()).unwrap();
    let days: Vec<u64> = kept
        .iter()
        .map(|path| file::rotated_at(path).unwrap().since(START).as_secs() / 86_400)
        .collect();
    assert_eq!(days, [3, 4, 5]);
}

#[test]
fn an_unclean_stop_leaves_whole_lines_and_no_half_archive() {
    let dir = tempfile::tempdir().unwrap();
    let aside = dir.path().join("events-20270101T000000.000Z-0.jsonl");
    std::fs::write(&aside, "{\"set\":\"aside\"}\n").unwrap();
    std::fs::write(aside.with_extension("jsonl.zst.tmp"), "half").unwrap();
    std::fs::write(dir.path().join(file::CURRENT), "{\"whole\":1}\n{\"torn\":").unwrap();
    let log = EventLog::open(dir.path(), &Config::default(), START).unwrap();
    log.take(START, &numbered(1));
    log.close();
    let found = lines(dir.path());
    assert_eq!(found.len(), 3);
    assert_eq!(found[..2], ["{\"set\":\"aside\"}", "{\"whole\":1}"]);
}

/// A start that tells again what a kill swallowed waited for a full disk for ever, and no delivery made room on it.
#[test]
fn a_disk_that_takes_nothing_does_not_keep_a_start_waiting() {
    let nobody_writes = EventLog(Arc::new(Shared {
        waiting: Arc::default(),
        writer: Mutex::new(None),
    }));
    nobody_writes.take(START, &numbered(1));
    assert!(!nobody_writes.flush_within(Duration::from_millis(1)));
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::open(dir.path(), &Config::default(), START).unwrap();
    log.take(START, &numbered(1));
    assert!(log.flush_within(Duration::from_secs(60)));
    log.close();
}

#[test]
fn what_was_told_is_found_across_files_from_an_instant_on() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        rotate_every: Span::minutes(1),
        ..Config::default()
    };
    let log = EventLog::open(dir.path(), &config, START).unwrap();
    let at = |minutes: u64| START + Duration::from_secs(minutes * 60);
    let outcome = |id: u64, class: BounceClass| match sample::bounced(class) {
        Event::Outcome {
            attempt,
            disposition,
            ..
        } => Event::Outcome {
            about: sample::about(id),
            attempt,
            disposition,
        },
        other => other,
    };
    log.take(at(0), &outcome(1, BounceClass::Hard));
    log.take(at(2), &outcome(2, BounceClass::Expired));
    log.take(at(2), &sample::deferred());
    log.take(at(4), &outcome(3, BounceClass::Dropped));
    log.take(at(0), &numbered(4));
    log.take(at(4), &numbered(5));
    log.close();
    let all: HashSet<_> = (0..10).map(crate::mail::MessageId).collect();
    let told = told_since(dir.path(), at(1), &all).unwrap();
    let mut ended: Vec<u64> = told
        .ended
        .into_iter()
        .map(|(id, recipient)| {
            assert_eq!(&*recipient, "ann@example.net");
            id.0
        })
        .collect();
    ended.sort_unstable();
    assert_eq!(ended, [2, 3]);
    let accepted: Vec<u64> = told.accepted.into_iter().map(|(id, _)| id.0).collect();
    assert_eq!(accepted, [5]);
    let none = told_since(&dir.path().join("none"), START, &all).unwrap();
    assert!(none.ended.is_empty() && none.accepted.is_empty());
}

#[tokio::test]
async fn an_address_that_is_erased_stands_in_no_file_and_nothing_else_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::open(dir.path(), &config(Size::kib(64)), START).unwrap();
    let zoe: Address = "Zoe@Example.net".parse().unwrap();
    let to_zoe = |n: u64| n.is_multiple_of(50);
    for n in 0..1_000 {
        let mut about = sample::about(n);
        if to_zoe(n) {
            about.recipient = Some(zoe.clone());
        }
        let event = Event::Accepted {
            about,
            peer: None,
            why: None,
        };
        log.take(START + Duration::from_millis(n), &event);
    }
    let asked: Address = "zoe@example.NET".parse().unwrap();
    let later = |seconds| START + Duration::from_secs(seconds);
    assert_eq!(log.erase(&asked, later(2)).await.unwrap(), 20);
    assert_eq!(log.erase(&asked, later(3)).await.unwrap(), 0);
    log.take(later(4), &numbered(1_000));
    log.close();
    let found = lines(dir.path());
    assert_eq!(found.len(), 1_001);
    for (n, line) in (0..).zip(&found) {
        assert!(line.contains(&crate::mail::MessageId(n).to_string()));
        let read: serde_json::Value = serde_json::from_str(line).unwrap();
        let erased = read["recipient"] == "erased@erased.invalid";
        assert_eq!(erased, to_zoe(n) && n < 1_000, "{line}");
        assert!(!line.to_lowercase().contains("zoe@example.net"), "{line}");
    }
    assert!(log.erase(&asked, later(5)).await.is_err(), "it is closed");
}

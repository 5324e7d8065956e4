//! What a suppression list costs, and how fast it answers: memory or disk an entry, load, questions.
//!
//! `cargo bench --bench suppression -- redis|embedded [entries] [records]`: a list of so many entries (default
//! 10,000,000) without full records, then one of so many with them (default 1,000,000; 0: none). `redis` starts a
//! redis-server of its own on a free port of loopback; both work below `TMPDIR` and leave nothing. Batches have
//! `SUPPRESSION_BATCH` entries (default 100,000), as an import gives them.

#[path = "suppression/entries.rs"]
mod entries;
#[path = "suppression/place.rs"]
mod place;
#[path = "spool/process.rs"]
mod process;
#[path = "suppression/questions.rs"]
mod questions;

use mailwright::clock::Clock;
use mailwright::events::Events;
use mailwright::policy::suppression::{Config, Rules, Suppression};
use mailwright::store::Store;
use place::Place;
use std::time::{Duration, Instant};

/// As in the daemon.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = |at: usize, default: u64| {
        let word = words.get(at).filter(|word| !word.starts_with('-'));
        word.map_or(Some(default), |word| {
            word.replace(['_', ','], "").parse().ok()
        })
    };
    let (Some(kind), Some(entries), Some(records)) = (
        words.first().and_then(|word| place::Kind::named(word)),
        number(1, 10_000_000),
        number(2, 1_000_000),
    ) else {
        println!("cargo bench --bench suppression -- redis|embedded [entries] [records]");
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        measure(kind, entries, false).await;
        if records > 0 {
            measure(kind, records, true).await;
        }
    });
}

/// A list from nothing: loaded, asked, opened again.
async fn measure(kind: place::Kind, entries: u64, records: bool) {
    let beside = if records { "with" } else { "without" };
    println!("{entries} entries, {beside} full records");
    let place = Place::new(kind).await;
    let store = place.open().await;
    let list = open(&store, rules(entries, records)).await;
    let before = place.octets().await;
    load(&list, entries).await;
    let each = |octets: u64| octets.saturating_sub(before) as f64 / entries as f64;
    println!("  octets an entry: {:.2}", each(place.octets().await));
    questions::ask_all(&list, &place, entries).await;
    drop(list);
    store.close().await;
    let since = Instant::now();
    let store = place.open().await;
    let opened = since.elapsed();
    println!(
        "  opened again in {:.2} s: octets an entry: {:.2}",
        opened.as_secs_f64(),
        each(place.octets().await)
    );
    store.close().await;
}

/// With buckets as many as the documentation of `size` says.
fn rules(entries: u64, records: bool) -> Rules {
    let size = (10..30).find(|size| 100 << size >= entries);
    let config = Config {
        records,
        size: size.unwrap_or(30),
        ..Config::default()
    };
    Rules::new(&config, [])
}

async fn open(store: &Store, rules: Rules) -> Suppression {
    let clock = Clock::machine();
    let events = Events::new(clock.clone(), Vec::new());
    let list = Suppression::open(rules, store.clone(), clock, events);
    list.await.expect("the list opens")
}

async fn load(list: &Suppression, entries: u64) {
    let batch = std::env::var("SUPPRESSION_BATCH").ok();
    let batch = batch.and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let (since, cpu) = (Instant::now(), process::cpu_time());
    let (mut from, mut made) = (0, Duration::ZERO);
    while from < entries {
        let end = entries.min(from + batch);
        let making = Instant::now();
        let entries = entries::made(from..end);
        made += making.elapsed();
        list.add_all(&entries).await.expect("entries are added");
        from = end;
    }
    let took = since.elapsed() - made;
    println!(
        "  loaded in {:.1} s: {:.0} entries/s; our processor time {:.1} s",
        took.as_secs_f64(),
        entries as f64 / took.as_secs_f64(),
        (process::cpu_time() - cpu).as_secs_f64()
    );
}

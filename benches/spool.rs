//! How fast mail becomes durable: our spool against the simpler ways to write it.
//!
//! `cargo bench --bench spool` with 64 producers that wait for each message of 10 KB. `SPOOL_BENCH_DIR` says on which
//! disk (default: below `target/`), `SPOOL_BENCH_SECONDS` how long each run takes (4), `SPOOL_BENCH_ROUNDS` how often
//! each contender runs, in turn (3).

use hdrhistogram::Histogram;
use mailwright::clock::Clock;
use mailwright::mail::{BodyType, Disposition, Envelope, Recipient, Reply};
use mailwright::spool::{Commit, Config, Mark, Meta, Spool};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

const PRODUCERS: usize = 64;
const MESSAGE: usize = 10_000;
const SEGMENT: u64 = 64 << 20;

type Run = fn(&Path, Duration) -> Histogram<u64>;

const CONTENDERS: [(&str, Run); 5] = [
    ("mailwright: accept, then delivered", whole_life),
    ("mailwright: accept only", accept_only),
    ("mailwright: accept only, sync = false", unsynced),
    ("growing segment files, group fdatasync", growing),
    ("a file a message, fsync of file and directory", file_each),
];

fn main() {
    let number = |name: &str, default: u64| {
        let value = std::env::var(name).ok();
        value.and_then(|v| v.parse().ok()).unwrap_or(default)
    };
    let span = Duration::from_secs(number("SPOOL_BENCH_SECONDS", 4));
    let dir = std::env::var_os("SPOOL_BENCH_DIR").map_or_else(default_dir, PathBuf::from);
    let mut best = [0.0f64; CONTENDERS.len()];
    for round in 1..=number("SPOOL_BENCH_ROUNDS", 3) {
        for ((name, run), best) in CONTENDERS.iter().zip(&mut best) {
            let here = dir.join(format!("run-{}", std::process::id()));
            std::fs::create_dir_all(&here).expect("the directory can be made");
            let (cpu, start) = (cpu_time(), Instant::now());
            let latencies = run(&here, span);
            let (cpu, wall) = (cpu_time() - cpu, start.elapsed().min(span));
            std::fs::remove_dir_all(&here).expect("the directory can be removed");
            let rate = latencies.len() as f64 / wall.as_secs_f64();
            *best = best.max(rate);
            let millis = |q| latencies.value_at_quantile(q) as f64 / 1000.0;
            println!(
                "round {round}  {name:<46} {rate:>7.0} msg/s  p50 {:>6.2} ms  p99 {:>7.2} ms  {:>4.0} µs CPU/msg",
                millis(0.5),
                millis(0.99),
                cpu.as_secs_f64() * 1e6 / latencies.len().max(1) as f64,
            );
        }
    }
    println!();
    for ((name, _), rate) in CONTENDERS.iter().zip(best) {
        println!(
            "best   {name:<46} {rate:>7.0} msg/s  {:>5.2} of the first",
            rate / best[0]
        );
    }
}

fn default_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/spool-bench")
}

/// User and system time of this process so far, from /proc (10 ms ticks).
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: u64 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|f| f.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds are in order")
}

// Ours.

fn whole_life(dir: &Path, span: Duration) -> Histogram<u64> {
    ours(dir, span, Config::default(), true)
}

fn accept_only(dir: &Path, span: Duration) -> Histogram<u64> {
    ours(dir, span, Config::default(), false)
}

fn unsynced(dir: &Path, span: Duration) -> Histogram<u64> {
    let config = Config {
        sync: false,
        ..Config::default()
    };
    ours(dir, span, config, false)
}

fn ours(dir: &Path, span: Duration, config: Config, deliver: bool) -> Histogram<u64> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let (spool, _) =
            Spool::open(dir, config, Clock::machine(), |_| ()).expect("the spool opens");
        let end = Instant::now() + span;
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|_| tokio::spawn(produce(spool.clone(), end, deliver)))
            .collect();
        let mut all = histogram();
        for producer in producers {
            all.add(producer.await.expect("a producer ends"))
                .expect("same bounds");
        }
        spool.close().await.expect("the spool closes");
        all
    })
}

async fn produce(spool: Spool, end: Instant, deliver: bool) -> Histogram<u64> {
    let mut latencies = histogram();
    let body = vec![b'x'; MESSAGE - 500];
    while Instant::now() < end {
        let start = Instant::now();
        let id = spool.next_id();
        let mut draft = spool.draft();
        draft.write(&body).await.expect("the body is taken");
        let message = Commit {
            meta: meta(id),
            head: vec![b'h'; 500],
            body: draft,
        };
        spool.commit(message).await.expect("the message is taken");
        latencies.saturating_record(start.elapsed().as_micros() as u64);
        if deliver {
            let mark = Mark {
                id,
                at: Clock::machine().now(),
                outcomes: vec![(
                    0,
                    1,
                    Disposition::Delivered(Reply::said(250, None, "2.0.0 queued", ".")),
                )],
            };
            spool.mark(mark).await.expect("the outcome is taken");
        }
    }
    latencies
}

fn meta(id: mailwright::mail::MessageId) -> Meta {
    let recipient = "recipient@example.net".parse().expect("an address");
    Meta {
        id,
        envelope: Envelope {
            sender: Some("bounces@example.com".parse().expect("an address")),
            recipients: vec![Recipient::new(recipient)],
            body: BodyType::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
        },
        labels: Arc::default(),
        received: Clock::machine().now(),
        send_at: None,
        expires: None,
        eight_bit_header: false,
        eight_bit_body: false,
    }
}

// The simpler ways: no checksums, no recovery, only the writing.

/// Records gathered while the batch before is written, as ours, but to files that grow.
#[derive(Default)]
struct Gathered {
    state: Mutex<(Vec<u8>, u64, u64, bool)>,
    changed: Condvar,
}

fn growing(dir: &Path, span: Duration) -> Histogram<u64> {
    let log = Gathered::default();
    let end = Instant::now() + span;
    let octets = vec![b'x'; MESSAGE];
    std::thread::scope(|scope| {
        scope.spawn(|| write_growing(&log, dir));
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|_| scope.spawn(|| append_until(&log, &octets, end)))
            .collect();
        let mut all = histogram();
        for producer in producers {
            all.add(producer.join().expect("a producer ends"))
                .expect("same bounds");
        }
        log.state.lock().expect("no panic").3 = true;
        log.changed.notify_all();
        all
    })
}

fn append_until(log: &Gathered, octets: &[u8], end: Instant) -> Histogram<u64> {
    let mut latencies = histogram();
    while Instant::now() < end {
        let start = Instant::now();
        let mut state = log.state.lock().expect("no panic");
        state.0.extend_from_slice(octets);
        let mine = state.1;
        log.changed.notify_all();
        while state.2 <= mine {
            state = log.changed.wait(state).expect("no panic");
        }
        drop(state);
        latencies.saturating_record(start.elapsed().as_micros() as u64);
    }
    latencies
}

fn write_growing(log: &Gathered, dir: &Path) {
    let (mut files, mut at) = (0u64, SEGMENT);
    let mut file = None;
    loop {
        let mut state = log.state.lock().expect("no panic");
        while state.0.is_empty() && !state.3 {
            state = log.changed.wait(state).expect("no panic");
        }
        if state.0.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut state.0);
        state.1 += 1;
        drop(state);
        if at + batch.len() as u64 > SEGMENT {
            file = None;
            (files, at) = (files + 1, 0);
        }
        let to: &File = file
            .get_or_insert_with(|| File::create(dir.join(format!("{files}.log"))).expect("a file"));
        to.write_all_at(&batch, at).expect("written");
        to.sync_data().expect("synced");
        at += batch.len() as u64;
        log.state.lock().expect("no panic").2 += 1;
        log.changed.notify_all();
    }
}

fn file_each(dir: &Path, span: Duration) -> Histogram<u64> {
    const DIRS: u64 = 256;
    for n in 0..DIRS {
        std::fs::create_dir(dir.join(n.to_string())).expect("a directory");
    }
    let next = AtomicU64::new(0);
    let end = Instant::now() + span;
    std::thread::scope(|scope| {
        let work = || {
            let mut latencies = histogram();
            let octets = vec![b'x'; MESSAGE];
            while Instant::now() < end {
                let start = Instant::now();
                let n = next.fetch_add(1, Ordering::Relaxed);
                let home = dir.join((n % DIRS).to_string());
                let mut file = File::create(home.join(n.to_string())).expect("a file");
                file.write_all(&octets).expect("written");
                file.sync_all().expect("synced");
                File::open(home)
                    .and_then(|home| home.sync_all())
                    .expect("synced");
                latencies.saturating_record(start.elapsed().as_micros() as u64);
            }
            latencies
        };
        let producers: Vec<_> = (0..PRODUCERS).map(|_| scope.spawn(work)).collect();
        let mut all = histogram();
        for producer in producers {
            all.add(producer.join().expect("a producer ends"))
                .expect("same bounds");
        }
        all
    })
}

//! What every contender has in common: producers that wait for durability, turns, and the table.

use crate::process::cpu_time;
use hdrhistogram::Histogram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::Thread;
use std::time::{Duration, Instant};

pub const PRODUCERS: usize = 64;
/// Octets of a message.
pub const MESSAGE: usize = 10_000;

pub type Latencies = Histogram<u64>;
/// Writes below a directory for a while; gives the time each message took, in microseconds.
pub type Run = fn(&Path, Duration) -> Latencies;

/// Runs the contenders in turn and prints each run, then medians. `SPOOL_BENCH_DIR` says on which disk (default: below
/// `target/`), `SPOOL_BENCH_SECONDS` how long each run takes (4), `SPOOL_BENCH_ROUNDS` how often each runs (5).
pub fn compare(contenders: &[(&str, Run)]) {
    let span = Duration::from_secs(number("SPOOL_BENCH_SECONDS", 4));
    let dir = std::env::var_os("SPOOL_BENCH_DIR").map_or_else(default_dir, PathBuf::from);
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); contenders.len()];
    for round in 1..=number("SPOOL_BENCH_ROUNDS", 5) {
        for ((name, run), rates) in contenders.iter().zip(&mut rates) {
            let rate = one(&dir, span, *run, &format!("round {round}  {name:<46}"));
            rates.push(rate);
        }
    }
    println!(
        "\n{:<48} {:>31}  of the first",
        "", "msg/s min / median / max"
    );
    let first = rates.first().cloned().unwrap_or_default();
    for ((name, _), rates) in contenders.iter().zip(&rates) {
        let ratios: Vec<f64> = rates.iter().zip(&first).map(|(a, b)| a / b).collect();
        let ([low, mid, high], [least, ratio, most]) = (spread(rates), spread(&ratios));
        println!(
            "{name:<48} {low:>9.0} / {mid:>8.0} / {high:>8.0}  {least:.2} – {ratio:.2} – {most:.2}"
        );
    }
}

fn one(dir: &Path, span: Duration, run: Run, title: &str) -> f64 {
    let here = dir.join(format!("run-{}", std::process::id()));
    std::fs::create_dir_all(&here).expect("the directory can be made");
    let (cpu, start) = (cpu_time(), Instant::now());
    let latencies = run(&here, span);
    let (cpu, wall) = (cpu_time() - cpu, start.elapsed().min(span));
    std::fs::remove_dir_all(&here).expect("the directory can be removed");
    let rate = latencies.len() as f64 / wall.as_secs_f64();
    let millis = |q| latencies.value_at_quantile(q) as f64 / 1000.0;
    println!(
        "{title} {rate:>7.0} msg/s  p50 {:>6.2} ms  p99 {:>7.2} ms  {:>4.0} µs CPU/msg",
        millis(0.5),
        millis(0.99),
        cpu.as_secs_f64() * 1e6 / latencies.len().max(1) as f64,
    );
    rate
}

/// Minimum, median, maximum.
fn spread(values: &[f64]) -> [f64; 3] {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let at = |i: usize| values.get(i).copied().unwrap_or_default();
    [
        at(0),
        at(values.len() / 2),
        at(values.len().saturating_sub(1)),
    ]
}

fn number(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn default_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/spool-bench")
}

pub fn histogram() -> Latencies {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds are in order")
}

/// Octets that a store which compresses gains nothing from.
pub fn incompressible(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Producers on threads of their own, each calling `message` again and again.
pub fn producers(span: Duration, message: impl Fn(&[u8]) + Sync) -> Latencies {
    let end = Instant::now() + span;
    let work = || {
        let mut latencies = histogram();
        let octets = incompressible(MESSAGE);
        while Instant::now() < end {
            let start = Instant::now();
            message(&octets);
            latencies.saturating_record(start.elapsed().as_micros() as u64);
        }
        latencies
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..PRODUCERS).map(|_| scope.spawn(work)).collect();
        let mut all = histogram();
        for thread in threads {
            let latencies = thread.join().expect("a producer ends");
            all.add(latencies).expect("same bounds");
        }
        all
    })
}

/// A message and who waits for it.
struct Waiting {
    octets: Vec<u8>,
    done: Arc<AtomicBool>,
    producer: Thread,
}

/// Group commit for stores that have none of their own: one thread hands all messages that wait to `write`, which
/// returns when they are durable, then wakes their producers one by one.
pub fn grouped(span: Duration, write: impl FnMut(&[Vec<u8>]) + Send) -> Latencies {
    let line: (Mutex<(Vec<Waiting>, bool)>, Condvar) = Default::default();
    std::thread::scope(|scope| {
        let committer = scope.spawn(|| commit(&line, write));
        let all = producers(span, |octets| {
            let done = Arc::<AtomicBool>::default();
            let waiting = Waiting {
                octets: octets.to_vec(),
                done: Arc::clone(&done),
                producer: std::thread::current(),
            };
            line.0.lock().expect("no panic").0.push(waiting);
            line.1.notify_one();
            while !done.load(Ordering::Acquire) {
                std::thread::park();
            }
        });
        line.0.lock().expect("no panic").1 = true;
        line.1.notify_one();
        committer.join().expect("the committer ends");
        all
    })
}

fn commit(line: &(Mutex<(Vec<Waiting>, bool)>, Condvar), mut write: impl FnMut(&[Vec<u8>])) {
    loop {
        let mut state = line.0.lock().expect("no panic");
        while state.0.is_empty() && !state.1 {
            state = line.1.wait(state).expect("no panic");
        }
        if state.0.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut state.0);
        drop(state);
        let (batch, producers): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .map(|w| (w.octets, (w.done, w.producer)))
            .unzip();
        write(&batch);
        for (done, producer) in producers {
            done.store(true, Ordering::Release);
            producer.unpark();
        }
    }
}

//! What a million waiting messages cost: memory a message by part, pauses of the queue, restart.
//!
//! `cargo bench --bench million -- fill|open|queue DIR`, in this order: `fill` writes a spool of deferred messages below
//! DIR, `open` starts with it, `queue` works a queue of the same depth in memory alone. `MILLION_MESSAGES` and
//! `MILLION_SIZE` (octets) make it smaller. A cold start wants the page cache dropped before `open`.

#[path = "spool/process.rs"]
mod process;

use mailwright::clock::Clock;
use mailwright::mail::{
    BodyType, BounceClass, Disposition, Envelope, Labels, MessageId, Recipient, Reply,
};
use mailwright::queue::{Queue, Selector};
use mailwright::spool::{Commit, Config, Mark, Meta, Progress, Spool, Stored};
use mailwright::units::Timestamp;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// As in the daemon.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PRODUCERS: u64 = 64;
const DOMAINS: u64 = 1000;
const HOUR: Duration = Duration::from_secs(3600);
const PAGE: usize = 4096;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["fill", dir, ..] => fill(Path::new(dir)),
        ["open", dir, ..] => open(Path::new(dir)),
        ["queue", ..] => queue(),
        _ => println!("cargo bench --bench million -- fill|open|queue DIR"),
    }
}

fn messages() -> u64 {
    setting("MILLION_MESSAGES", 1_000_000)
}

fn setting(name: &str, default: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Octets resident in this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse::<usize>().ok());
    pages.unwrap_or_default() * PAGE
}

/// Prints what a quarter of the messages added.
fn tell(what: &str, quarter: u64, before: usize) {
    let (now, each) = (resident(), messages() / 4);
    let octets = (now as i64 - before as i64) as f64 / each as f64;
    println!(
        "quarter {quarter}, {what}: {octets:.0} octets a message, resident {} MiB",
        now >> 20
    );
}

fn unsynced() -> Config {
    Config {
        sync: false,
        ..Config::default()
    }
}

// The spool.

fn fill(dir: &Path) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let (spool, _) =
            Spool::open(dir, unsynced(), Clock::machine(), |_| ()).expect("the spool opens");
        for quarter in 1..=4 {
            let (before, each) = (resident(), messages() / 4 / PRODUCERS);
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|n| tokio::spawn(produce(spool.clone(), n * each..(n + 1) * each)))
                .collect();
            for producer in producers {
                producer.await.expect("a producer ends");
            }
            tell("spool", quarter, before);
        }
        spool.close().await.expect("the spool closes");
    });
}

async fn produce(spool: Spool, numbers: std::ops::Range<u64>) {
    let body = vec![b'b'; setting("MILLION_SIZE", 10_240) as usize - 500];
    for number in numbers {
        let id = spool.next_id();
        let mut draft = spool.draft();
        draft.write(&body).await.expect("the body is taken");
        let message = Commit {
            meta: meta(id, number).into(),
            head: vec![b'h'; 500],
            body: draft,
        };
        spool.commit(message).await.expect("the message is taken");
        let now = Clock::machine().now();
        let why = Reply::said(451, None, "4.2.1 not now", "RCPT");
        let until = now + 24 * HOUR;
        let mark = Mark {
            id,
            at: now,
            outcomes: vec![(
                0,
                1,
                Disposition::Deferred {
                    until,
                    finding: BounceClass::Throttled.into(),
                    why,
                },
            )],
        };
        spool.mark(mark).await.expect("the outcome is taken");
    }
}

fn meta(id: MessageId, number: u64) -> Meta {
    let address = format!("recipient{number}@d{}.example.net", number % DOMAINS);
    Meta {
        id,
        envelope: Envelope {
            sender: Some("bounces@example.com".parse().expect("an address")),
            recipients: vec![Recipient::new(address.parse().expect("an address"))],
            body: BodyType::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
        },
        labels: Arc::new(Labels {
            campaign: Some("spring".into()),
            ..Labels::default()
        }),
        received: Clock::machine().now(),
        send_at: None,
        expires: None,
        eight_bit_header: false,
        eight_bit_body: false,
    }
}

fn open(dir: &Path) {
    let (queue, before, begin) = (Queue::new(Clock::machine()), resident(), Instant::now());
    let mut first = None;
    let (spool, report) = Spool::open(dir, unsynced(), Clock::machine(), |stored| {
        first.get_or_insert_with(|| begin.elapsed());
        queue.insert(&stored, |_| stored.meta.received + 120 * HOUR);
    })
    .expect("the spool opens");
    println!(
        "{} messages of {} segments back after {:.2} s (the first after {:.2} s), resident {} -> {} MiB, CPU {:.2} s",
        report.messages,
        report.segments,
        begin.elapsed().as_secs_f64(),
        first.unwrap_or_default().as_secs_f64(),
        before >> 20,
        resident() >> 20,
        process::cpu_time().as_secs_f64()
    );
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(spool.close()).expect("the spool closes");
}

// The queue.

fn queue() {
    let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let queue = Queue::new(clock.clone());
    let mut worst = Duration::ZERO;
    for quarter in 1..=4 {
        let before = resident();
        for number in (quarter - 1) * messages() / 4..quarter * messages() / 4 {
            let stored = deferred(number, clock.now());
            let begin = Instant::now();
            queue.insert(&stored, |_| clock.now() + 120 * HOUR);
            worst = worst.max(begin.elapsed());
        }
        tell("queue", quarter, before);
    }
    println!("longest insert: {worst:?}");
    operate(&queue);
    drain(&queue, &clock);
    for number in 0..messages() {
        queue.insert(&deferred(number, clock.now()), |_| clock.now() + 120 * HOUR);
    }
    println!("as many again: resident {} MiB", resident() >> 20);
}

fn deferred(number: u64, now: Timestamp) -> Stored {
    let spread = Duration::from_millis(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 14_400_000);
    Stored {
        meta: meta(MessageId((now.as_millis() << 20) + number), number).into(),
        size: 10_240,
        progress: vec![Progress {
            attempts: 1,
            until: now + HOUR + spread,
            ..Progress::default()
        }],
        held: None,
    }
}

/// Operators' commands, each with the longest wait of a thread that asks for the depth over and over meanwhile.
fn operate(queue: &Queue) {
    let one_domain = || Selector {
        domain: Some("d7.example.net".into()),
        ..Selector::default()
    };
    let all = Selector::default;
    beside(queue, "list all, 100 shown", |q| q.list(&all(), 100).len());
    beside(queue, "list a domain", |q| {
        q.list(&one_domain(), usize::MAX).len()
    });
    beside(queue, "hold a domain", |q| {
        q.hold(&one_domain(), "looking").len()
    });
    beside(queue, "release a domain", |q| {
        q.release(&one_domain()).len()
    });
    beside(queue, "hold all", |q| q.hold(&all(), "looking").len());
    beside(queue, "release all", |q| q.release(&all()).len());
    beside(queue, "retry all", |q| q.retry(&all()));
}

fn beside(queue: &Queue, what: &str, work: impl FnOnce(&Queue) -> usize) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut worst = Duration::ZERO;
            while !done.load(Ordering::Relaxed) {
                let begin = Instant::now();
                std::hint::black_box(queue.depth());
                worst = worst.max(begin.elapsed());
            }
            worst
        });
        let begin = Instant::now();
        let count = work(queue);
        let took = begin.elapsed();
        done.store(true, Ordering::Relaxed);
        let worst = asking.join().expect("it asks to the end");
        println!("{what}: {count}, {took:?}; longest wait of another: {worst:?}");
    });
}

/// Everything comes due and leaves.
fn drain(queue: &Queue, clock: &Clock) {
    clock.advance(10 * HOUR);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (begin, mut gone, mut worst) = (Instant::now(), 0, Duration::ZERO);
    let delivered = [(
        0,
        Disposition::Delivered(Reply::said(250, None, "2.0.0 taken", ".")),
    )];
    while gone < messages() {
        let asked = Instant::now();
        let due = runtime.block_on(queue.due());
        worst = worst.max(asked.elapsed());
        for due in due {
            if let Some(job) = queue.begin(due.key) {
                queue.settle(job.key, &delivered);
                gone += 1;
            }
        }
    }
    println!(
        "drained in {:?}, longest wait for what is due {worst:?}; resident {} MiB, {:?}",
        begin.elapsed(),
        resident() >> 20,
        queue.depth()
    );
}

//! Questions of one recipient and of a hundred, one after another and from many sessions at a time.

use crate::entries::address;
use crate::place::Place;
use crate::process::cpu_time;
use mailwright::mail::{Address, Labels};
use mailwright::policy::suppression::{Answer, Ask, Suppression};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long each kind is asked.
const SPAN: Duration = Duration::from_secs(5);
const SESSIONS: u64 = 200;

pub async fn ask_all(list: &Suppression, place: &Place, entries: u64) {
    for (recipients, sessions) in [(1, 1), (100, 1), (1, SESSIONS), (100, 20)] {
        let (ours, theirs) = (cpu_time(), place.cpu_time().await);
        let since = Instant::now();
        let mut asking = JoinSet::new();
        for session in 0..sessions {
            asking.spawn(ask(list.clone(), entries, recipients, session));
        }
        let mut took = asking.join_all().await.concat();
        let elapsed = since.elapsed();
        took.sort_unstable_by(f32::total_cmp);
        let count = (took.len() * recipients) as f64;
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / count;
        println!(
            "  {sessions} asking for {recipients}: {:.0} recipients/s; a question p50 {:.0} µs, p99 {:.0} µs; processor time a \
             recipient: ours {:.1} µs, the server's {:.1} µs",
            count / elapsed.as_secs_f64(),
            of(&took, 0.5),
            of(&took, 0.99),
            each(cpu_time() - ours),
            each(place.cpu_time().await - theirs),
        );
    }
}

/// Asks until the time is over; half of the recipients are on the list. How long each question took, in microseconds.
async fn ask(list: Suppression, entries: u64, recipients: usize, session: u64) -> Vec<f32> {
    let mut chance = StdRng::seed_from_u64(session);
    let (labels, since, mut took) = (Labels::default(), Instant::now(), Vec::new());
    while since.elapsed() < SPAN {
        let numbers = (0..recipients).map(|_| chance.random_range(0..2 * entries));
        let numbers: Vec<u64> = numbers.collect();
        let addresses: Vec<Address> = numbers.iter().map(|n| address(*n)).collect();
        let asks = addresses.iter().map(|recipient| Ask {
            recipient,
            labels: &labels,
        });
        let asks: Vec<Ask<'_>> = asks.collect();
        let asked = Instant::now();
        let answers = list.check(&asks).await.expect("an answer");
        took.push(asked.elapsed().as_secs_f32() * 1e6);
        for (n, answer) in numbers.into_iter().zip(answers) {
            let is_suppressed = matches!(answer, Answer::Suppressed { .. });
            assert_eq!(is_suppressed, n < entries, "{n}");
        }
    }
    took
}

fn of(sorted: &[f32], part: f64) -> f32 {
    let at = (sorted.len() as f64 * part) as usize;
    sorted.get(at).copied().unwrap_or_default()
}

//! How long a line takes.

use crate::cli::when::span;
use crate::http::Verdict;
use crate::policy::explain::Candidate;
use crate::policy::limits::{Fill, Kind, Rate};
use std::time::Duration;

/// `about 2 min at 100/min`: what `waiting` messages take at the slowest rate that holds them. `None` where none does,
/// or where it is no matter.
pub fn takes(waiting: u64, verdict: &Verdict, candidate: &Candidate) -> Option<String> {
    let of_labels = &verdict.explained.explanation.limits;
    let limits = candidate.limits.iter().chain(of_labels);
    let messages = limits.filter(|fill| fill.kind == Kind::Messages);
    let each = messages.filter_map(|fill| Some((needs(waiting, fill)?, &fill.limit)));
    let (needed, limit) = each.max_by_key(|(needed, _)| *needed)?;
    (needed.as_secs() > 0).then(|| format!("about {} at {limit}", span(needed)))
}

fn needs(waiting: u64, fill: &Fill) -> Option<Duration> {
    let Rate { count, per } = fill.limit.parse().ok()?;
    let millis = u128::from(waiting) * per.duration().as_millis() / u128::from(count.get());
    Some(Duration::from_millis(u64::try_from(millis).ok()?))
}

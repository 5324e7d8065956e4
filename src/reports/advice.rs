//! Whether a domain may publish p=quarantine or p=reject, and whom that would hit.
//!
//! | who fails | what it means |
//! |---|---|
//! | our sources | mail of ours would be lost: mend it first |
//! | others, some of whose mail passes | a service of ours that signs a part, or a forwarder that breaks signatures |
//! | others, steadily, of which nothing passes | a service that nobody set up, or somebody who pretends: look who it is |
//! | others, now and then | what the policy is there for |

use super::dmarc::Tally;
use super::period::Day;
use super::rows::{PolicySeen, Shown, SourceRow};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What is advised for a domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    pub domain: String,
    /// As reporters saw it last; `null` before the first report.
    pub policy: Option<PolicySeen>,
    /// Days with reports, in the time that was looked at.
    pub days: u64,
    pub total: Tally,
    pub quarantine: Answer,
    pub reject: Answer,
    /// What a policy would hit, the most messages first.
    pub hit: Vec<Hit>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub safe: Safe,
    /// Why; empty where it is safe without more words.
    pub why: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Safe {
    Yes,
    /// Mail that is ours, or likely is, would be hit.
    No,
    /// There are too few reports, or a sender that somebody should look at.
    Unknown,
}

/// A source whose mail would be quarantined or rejected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// That of the From addresses.
    pub domain: String,
    pub source_ip: Option<IpAddr>,
    pub source: Option<String>,
    pub kind: Kind,
    /// Messages that would be hit, and those that the source sent.
    pub failed: u64,
    pub messages: u64,
    /// Of all messages of the domain, from 0 to 1.
    pub share: f64,
    /// On how many days it was seen, and on which first and last.
    pub days: u64,
    pub since: Day,
    pub last: Day,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One of our sources.
    Own,
    /// Somebody some of whose mail passes.
    Mixed,
    /// Somebody who sends steadily, and never passes.
    Steady,
    /// Receivers take it for forwarded.
    Forwarder,
    /// Anybody else.
    Foreign,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Mixed => "mixed",
            Self::Steady => "steady",
            Self::Forwarder => "forwarder",
            Self::Foreign => "foreign",
        }
    }
}

/// What has to be there before a policy is called safe.
struct Bar {
    days: u64,
    messages: u64,
    /// Of the messages of our sources, and of those that likely are ours, so many may fail.
    failing: f64,
}

const QUARANTINE: Bar = Bar {
    days: 7,
    messages: 100,
    failing: 0.01,
};
const REJECT: Bar = Bar {
    days: 21,
    messages: 1_000,
    failing: 0.002,
};

/// A stranger whose share of all messages is smaller is not asked after.
const STEADY_SHARE: f64 = 0.01;
/// Hits that are listed.
const MOST_HITS: usize = 100;

/// Advises for `domain`, by what is known of it.
pub fn advise(domain: &str, shown: &Shown) -> Advice {
    let rows = shown.sources.as_slice();
    let mut total = Tally::default();
    rows.iter().for_each(|row| total.add(&row.tally));
    let days = shown.days.values().copied().max().unwrap_or(0);
    let failing = rows.iter().filter(|row| row.tally.failed() > 0);
    let mut hit: Vec<Hit> = failing.map(|row| hit_of(row, &total, days)).collect();
    hit.sort_by_key(|hit| std::cmp::Reverse(hit.failed));
    let answer = |bar: &Bar| {
        let mut answer = judge(bar, &hit, rows, (&total, days));
        if shown.more && answer.safe == Safe::Yes {
            answer.safe = Safe::Unknown;
            let why = "there are more senders than were looked at: ask for fewer days";
            answer.why.push(why.to_owned());
        }
        answer
    };
    Advice {
        domain: domain.to_owned(),
        policy: shown.policies.get(domain).cloned(),
        days,
        quarantine: answer(&QUARANTINE),
        reject: answer(&REJECT),
        total,
        hit: hit.into_iter().take(MOST_HITS).collect(),
    }
}

fn hit_of(row: &SourceRow, total: &Tally, days: u64) -> Hit {
    let tally = &row.tally;
    let share = share(tally.failed(), total.messages);
    let is_steady = row.days > 2 && row.days.saturating_mul(2) >= days && share >= STEADY_SHARE;
    let kind = match &row.source {
        Some(_) => Kind::Own,
        None if tally.forwarded.saturating_mul(2) >= tally.failed() => Kind::Forwarder,
        None if tally.pass.saturating_mul(10) >= tally.messages => Kind::Mixed,
        None if is_steady => Kind::Steady,
        None => Kind::Foreign,
    };
    Hit {
        domain: row.domain.clone(),
        source_ip: row.source_ip,
        source: row.source.clone(),
        kind,
        failed: tally.failed(),
        messages: tally.messages,
        share,
        days: row.days,
        since: row.first,
        last: row.last,
    }
}

fn judge(bar: &Bar, hit: &[Hit], rows: &[SourceRow], (total, days): (&Tally, u64)) -> Answer {
    let (mut no, mut unknown) = (Vec::new(), Vec::new());
    let own = rows.iter().filter(|row| row.source.is_some());
    let sent = own
        .map(|row| row.tally.messages)
        .fold(0, u64::saturating_add);
    let failed = |kind| {
        let of_kind = hit.iter().filter(move |hit| hit.kind == kind);
        of_kind.fold((0u64, 0usize), |(sum, count), hit| {
            (sum.saturating_add(hit.failed), count + 1)
        })
    };
    let (lost, sources) = failed(Kind::Own);
    if share(lost, sent) > bar.failing {
        no.push(format!(
            "{lost} of {sent} messages of {sources} of our own sources fail: mend them first"
        ));
    }
    let (mixed, senders) = failed(Kind::Mixed);
    if share(mixed, total.messages) > bar.failing {
        no.push(format!(
            "{mixed} messages of {senders} senders fail of which others pass: they are likely ours, or forwarded"
        ));
    }
    let (steady, senders) = failed(Kind::Steady);
    if steady > 0 {
        unknown.push(format!(
            "{steady} messages come steadily from {senders} senders that never pass: see whether they are a service of ours"
        ));
    }
    if days < bar.days || total.messages < bar.messages {
        unknown.push(format!(
            "there are reports of {days} days with {} messages; {} days and {} messages say enough",
            total.messages, bar.days, bar.messages
        ));
    }
    let safe = match (no.is_empty(), unknown.is_empty()) {
        (false, _) => Safe::No,
        (true, false) => Safe::Unknown,
        (true, true) => Safe::Yes,
    };
    no.append(&mut unknown);
    Answer { safe, why: no }
}

fn share(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 / whole as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(last: u8, source: Option<&str>, (messages, pass): (u64, u64), days: u64) -> SourceRow {
        SourceRow {
            domain: "acme.example".into(),
            source_ip: Some([192, 0, 2, last].into()),
            source: source.map(str::to_owned),
            tally: Tally {
                messages,
                pass,
                ..Tally::default()
            },
            days,
            first: Day(20_000),
            last: Day(20_000 + days as u32),
        }
    }

    fn advice(days: u64, sources: Vec<SourceRow>) -> Advice {
        let shown = Shown {
            sources,
            days: [("acme.example".to_owned(), days)].into(),
            ..Shown::default()
        };
        advise("acme.example", &shown)
    }

    fn safe(advice: &Advice) -> (Safe, Safe) {
        (advice.quarantine.safe, advice.reject.safe)
    }

    #[test]
    fn a_clean_stream_may_reject_and_lists_who_would_be_hit() {
        let own = row(1, Some("ip-a"), (100_000, 99_990), 30);
        let spoofer = row(2, None, (500, 0), 3);
        let advice = advice(30, vec![own, spoofer]);
        assert_eq!(safe(&advice), (Safe::Yes, Safe::Yes), "{advice:?}");
        let hit: Vec<_> = advice
            .hit
            .iter()
            .map(|hit| (hit.kind, hit.failed))
            .collect();
        assert_eq!(hit, [(Kind::Foreign, 500), (Kind::Own, 10)]);
        assert_eq!(advice.hit[0].since, Day(20_000));
    }

    #[test]
    fn our_own_failing_mail_keeps_from_it() {
        let own = row(1, Some("ip-a"), (10_000, 9_950), 30);
        let advice = advice(30, vec![own]);
        assert_eq!(safe(&advice), (Safe::Yes, Safe::No));
        assert!(
            advice.reject.why[0].starts_with("50 of 10000 messages"),
            "{advice:?}"
        );
    }

    #[test]
    fn few_reports_and_steady_strangers_are_no_answer() {
        let few = advice(3, vec![row(1, Some("ip-a"), (10, 10), 3)]);
        assert_eq!(safe(&few), (Safe::Unknown, Safe::Unknown));
        let own = row(1, Some("ip-a"), (10_000, 10_000), 30);
        let steady = advice(30, vec![own.clone(), row(2, None, (900, 0), 28)]);
        assert_eq!(safe(&steady), (Safe::Unknown, Safe::Unknown));
        let mixed = advice(30, vec![own, row(2, None, (900, 450), 28)]);
        assert_eq!(safe(&mixed), (Safe::No, Safe::No));
        assert_eq!(safe(&advice(0, Vec::new())), (Safe::Unknown, Safe::Unknown));
    }
}

//! The health gate: what a sending day says about the next stage. A pure function of numbers.
//!
//! Rates are taken over a window of sending days, because complaints come a day or more after the mail. Small numbers:
//! at a cap of 50 one bounce is 2 % and one complaint is 2 %, so that with the default thresholds one bounce holds the
//! source until the window has 51 answers, and one complaint rolls it back at any volume under 1,000 a window. Whoever
//! finds that too strict raises `min_events`: with 2, a single bounce or complaint is nobody's verdict.

use super::config::Gate;
use super::tally::{Ratio, Tally};
use crate::policy::share::{Share, in_percent};

/// What a sending day is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence<'a> {
    /// The unit is all the mail of a source. One provider's block is that provider's matter: for the source as a
    /// whole only the rate of blocks counts.
    pub is_whole_source: bool,
    /// The day had the cap of another stage than the one that is judged: it cannot speak for an advance.
    pub is_of_another_stage: bool,
    /// The cap of the day, and how much of it was reserved.
    pub cap: u64,
    pub used: u64,
    /// Since the sending day before.
    pub day: Tally,
    /// Over the window, the day included.
    pub window: Tally,
    /// A block paused the unit on that day.
    pub was_paused: bool,
    /// What speaks against the source itself when the day is judged: a blocklist has it, its PTR does not lead back.
    pub hindrance: Option<&'a str>,
}

/// What becomes of the stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Advance,
    Hold,
    RollBack,
}

/// A verdict and the numbers it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Judgement {
    pub verdict: Verdict,
    pub why: String,
}

/// Judges a day on which something was sent.
pub fn judge(evidence: &Evidence<'_>, gate: &Gate) -> Judgement {
    let wanted = samples_wanted(evidence.cap, gate);
    let bad = bad(evidence, gate, wanted);
    if !bad.is_empty() {
        return Judgement {
            verdict: Verdict::RollBack,
            why: bad.join("; "),
        };
    }
    let missing = missing(evidence, gate, wanted);
    if !missing.is_empty() {
        return Judgement {
            verdict: Verdict::Hold,
            why: missing.join("; "),
        };
    }
    Judgement {
        verdict: Verdict::Advance,
        why: numbers(evidence),
    }
}

/// The samples asked for before anything is concluded; no more than what a window of well used days gives, so that a
/// small cap can be left too.
fn samples_wanted(cap: u64, gate: &Gate) -> u64 {
    let possible = gate.used.of(cap.saturating_mul(u64::from(gate.window)));
    gate.min_samples.min(possible).max(1)
}

/// What asks for the stage before.
fn bad(evidence: &Evidence<'_>, gate: &Gate, wanted: u64) -> Vec<String> {
    let (window, at) = (&evidence.window, &gate.roll_back);
    let rates = [
        ("complaints", window.complaints(), at.complaints),
        ("bounces", window.bounces(), at.bounces),
        ("blocks", window.blocks(), at.blocks),
        ("deferrals", window.deferrals(), at.deferrals),
    ];
    let over = rates
        .into_iter()
        .filter(|(_, ratio, limit)| ratio.whole >= wanted && is_over(*ratio, *limit, gate));
    over.map(|(what, ratio, limit)| format!("{what} {ratio}, {limit} is the limit"))
        .collect()
}

/// What is missing for the next stage.
fn missing(evidence: &Evidence<'_>, gate: &Gate, wanted: u64) -> Vec<String> {
    let Evidence {
        cap, used, window, ..
    } = evidence;
    let mut missing = Vec::new();
    if evidence.is_of_another_stage {
        missing.push(format!("the day had the cap of another stage, {cap}"));
    }
    if !gate.used.is_reached(*used, *cap) {
        let share = in_percent(*used, *cap);
        missing.push(format!(
            "{used} of {cap} used ({share}), {} is asked for",
            gate.used
        ));
    }
    missing.extend(blocked(evidence, gate));
    missing.extend(evidence.hindrance.map(str::to_owned));
    let at = &gate.hold;
    for (what, ratio, limit) in [
        ("bounces", window.bounces(), at.bounces),
        ("complaints", window.complaints(), at.complaints),
        ("deferrals", window.deferrals(), at.deferrals),
    ] {
        if is_over(ratio, limit, gate) {
            missing.push(format!("{what} {ratio}, under {limit} is asked for"));
        }
    }
    let samples = window.samples();
    if samples < wanted {
        missing.push(format!("{samples} answers seen, {wanted} are asked for"));
    }
    missing
}

fn blocked(evidence: &Evidence<'_>, gate: &Gate) -> Option<String> {
    if evidence.is_whole_source {
        return None;
    }
    let blocks = evidence.day.blocked;
    if gate.hold.blocks > 0 && blocks >= gate.hold.blocks {
        return Some(format!("blocked {blocks} times that day"));
    }
    evidence
        .was_paused
        .then(|| "paused for a block that day".to_owned())
}

/// Enough events, and enough of them for the limit.
fn is_over(ratio: Ratio, limit: Share, gate: &Gate) -> bool {
    ratio.part >= gate.min_events.max(1) && limit.is_reached(ratio.part, ratio.whole)
}

fn numbers(evidence: &Evidence<'_>) -> String {
    let Evidence {
        cap, used, window, ..
    } = evidence;
    let share = in_percent(*used, *cap);
    format!(
        "{used} of {cap} used ({share}), bounces {}, complaints {}, blocks {}, deferrals {}",
        window.bounces(),
        window.complaints(),
        window.blocks(),
        window.deferrals(),
    )
}

#[cfg(test)]
mod tests;

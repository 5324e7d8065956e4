//! The state of a unit as the store has it.

use super::day::plus_days;
use super::rules::Rules;
use super::schedule::Ramp;
use super::stage::Stage;
use super::tally::Tally;
use crate::units::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The value at `warmup/unit/SOURCE/PROVIDER`. It is written whole, where nobody else wrote meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub stage: Stage,
    /// Messages a day of the source as a whole at that stage: by this a schedule that was changed is noticed.
    pub volume: u64,
    /// Messages a day of the source as a whole that a good day has shown it can send. A schedule that was changed is
    /// entered where it gives no more: reputation is about volume, not about numbers of stages, and what a schedule
    /// begins with is not earned by having it. `None`: what [`State::earned`] makes of the stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earned: Option<u64>,
    /// The place in the schedule that was left last without anything decided since: who goes back finds it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Place>,
    /// Days on which something was sent.
    pub sent_days: u32,
    /// The last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sent: Option<Date>,
    /// What happened until this date has been answered for, and is not judged again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_after: Option<Date>,
    /// Pauses for blocks since the last sending day without one.
    #[serde(default)]
    pub strikes: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// The last decision at the gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Said>,
    /// Days that were opened, by date; the last [`KEPT`] of them.
    #[serde(default)]
    pub days: Vec<Opened>,
}

/// A stage of a schedule that was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    pub stage: u32,
    /// By which the schedule is known again.
    pub volume: u64,
}

/// A date on which something could be sent. Its cap stays what it was when it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Opened {
    pub date: Date,
    pub stage: u32,
    pub cap: u64,
    /// How much of it was used, once the day has been judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// A block paused the unit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocked: bool,
}

/// Why nothing is sent, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pause {
    /// `None`: until an operator lets it go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    pub why: String,
    pub by_hand: bool,
}

/// What was decided last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    pub on: Date,
    pub held: bool,
    pub why: String,
}

/// What a unit goes by.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub rules: &'a Rules,
    pub ramp: &'a Ramp,
    /// `None`: the source as a whole.
    pub provider: Option<&'a str>,
}

/// What was read for the judgement of a day.
#[derive(Debug, Clone, Default)]
pub(super) struct Counted {
    pub used: u64,
    pub day: Tally,
    pub window: Tally,
    /// What speaks against the source now.
    pub hindrance: Option<Arc<str>>,
}

/// Something that was decided, to be told once it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub why: String,
    pub until: Option<Timestamp>,
}

/// What a unit may do on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Leave {
    Warm,
    /// Up to a cap.
    Capped {
        stage: u32,
        cap: u64,
    },
    Paused(Pause),
    /// The clock is before all the days that are kept; what was used then is not known. The first that is.
    TooEarly(Date),
}

/// Opened days that are kept, for a clock that is set back.
pub(super) const KEPT: usize = 40;
/// Days before a judged one that tallies are read of at the most.
const LONGEST_WINDOW: i64 = 62;

impl State {
    /// A unit of which nothing is known.
    pub fn new(stage: Stage, ramp: &Ramp) -> Self {
        Self {
            stage,
            volume: volume(stage, ramp),
            earned: None,
            left: None,
            sent_days: 0,
            last_sent: None,
            fresh_after: None,
            strikes: 0,
            pause: None,
            said: None,
            days: Vec::new(),
        }
    }

    /// Reads a value of the store, or says what is wrong with it.
    pub fn read(value: &[u8]) -> Result<Self, String> {
        let state: Self = serde_json::from_slice(value).map_err(|e| e.to_string())?;
        if state.volume == 0 {
            return Err("volume is 0".into());
        }
        let mut dates = state.days.windows(2);
        if !dates.all(|pair| matches!(pair, [a, b] if a.date < b.date)) {
            return Err("days are out of order".into());
        }
        match state.days.iter().find(|day| day.cap == 0 || day.stage == 0) {
            Some(day) => Err(format!("the day {} has no cap", day.date)),
            None => Ok(state),
        }
    }

    /// Messages a day of the source as a whole that it has shown it can send; of a stage beyond the first that it was
    /// put at, what that gives.
    pub fn earned(&self) -> u64 {
        let of_stage = match self.stage {
            Stage::At(1) => 0,
            _ => self.volume,
        };
        self.earned.unwrap_or(of_stage)
    }

    /// The first day before `today` that has not been judged.
    pub fn unjudged(&self, today: Date) -> Option<Date> {
        let mut days = self.days.iter().take_while(|day| day.date < today);
        days.find(|day| day.used.is_none()).map(|day| day.date)
    }

    pub fn day(&self, date: Date) -> Option<&Opened> {
        self.days.iter().find(|day| day.date == date)
    }

    /// The first date that counts in a window of `n` sending days up to `date`: what was heard of a sending day comes
    /// up to the next one.
    pub fn window_from(&self, date: Date, n: u32) -> Date {
        let sent = self.days.iter().rev();
        let sent = sent.filter(|day| day.date < date && day.used.is_some_and(|used| used > 0));
        let before = n.saturating_sub(1).try_into().unwrap_or(usize::MAX);
        let after = sent.map(|day| day.date).nth(before);
        let first = self.days.first().map_or(date, |day| day.date.min(date));
        let from = after.map_or(first, |date| plus_days(date, 1));
        let fresh = self
            .fresh_after
            .map_or(Date::MIN, |date| plus_days(date, 1));
        let longest = plus_days(date, -LONGEST_WINDOW);
        from.max(fresh).max(longest).min(date)
    }

    /// What may be done on `today`, whose cap is fixed by this.
    pub fn open(&mut self, today: Date, terms: Terms<'_>) -> Leave {
        if let Some(pause) = &self.pause {
            return Leave::Paused(pause.clone());
        }
        let Stage::At(stage) = self.stage else {
            self.last_sent = self.last_sent.max(Some(today));
            return Leave::Warm;
        };
        let place = self.days.binary_search_by_key(&today, |day| day.date);
        let index = match place {
            Ok(index) => index,
            Err(0) if self.days.len() >= KEPT => {
                return Leave::TooEarly(self.days.first().map_or(today, |day| day.date));
            }
            Err(index) => {
                let cap = terms.ramp.cap(stage, terms.provider);
                self.days.insert(
                    index,
                    Opened {
                        date: today,
                        stage,
                        cap,
                        used: None,
                        blocked: false,
                    },
                );
                index
            }
        };
        let (stage, cap) = self
            .days
            .get(index)
            .map_or((stage, 0), |day| (day.stage, day.cap));
        let surplus = self.days.len().saturating_sub(KEPT);
        self.days.drain(..surplus);
        Leave::Capped { stage, cap }
    }

    /// Something is to be decided though nobody asks for budget.
    pub fn is_due(&self, now: Timestamp, today: Date) -> bool {
        let ends = self.pause.as_ref().and_then(|pause| pause.until);
        ends.is_some_and(|until| until <= now) || self.unjudged(today).is_some()
    }

    /// What a desk goes by on `today` is another than in `other`.
    pub fn differs(&self, other: &Self, today: Date) -> bool {
        let cap = |state: &Self| state.day(today).map(|day| day.cap);
        self.stage != other.stage || self.pause != other.pause || cap(self) != cap(other)
    }
}

/// What the stage gives the source as a whole; of a warm one, the most there was.
pub(super) fn volume(stage: Stage, ramp: &Ramp) -> u64 {
    match stage {
        Stage::At(stage) => ramp.volume(stage),
        Stage::Warm => ramp.volume(ramp.stages()),
    }
}

#[cfg(test)]
mod tests;

//! Where a unit is, for `show`.

use super::day::{Day, days_between};
use super::desk::{Desk, Look};
use super::keys::WHOLE;
use super::rules::{Rules, SourceRules};
use super::stage::Stage;
use super::state::State;
use super::tally::{Ratio, Tally};
use super::unit::{Unit, more_at};
use super::waiting::Reason;
use crate::units::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Where a source as a whole, or its mail to one provider, is on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    pub source: String,
    /// `*` is the source as a whole.
    pub provider: String,
    pub condition: Condition,
    /// Why it is held or paused; else the last decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// What keeps it from the next stage, however well its mail does: the source is on a blocklist, or its PTR does not
    /// lead back to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hindered: Option<String>,
    /// When something can be sent again, where nothing can now and that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    pub schedule: String,
    pub stage: Stage,
    pub stages: u32,
    /// The stage it would be at by now if every day since the start had been a good one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<Stage>,
    /// The sending day, from 1: today's, if something is sent.
    pub day: u32,
    pub date: Date,
    /// Of the day; `None`: there is no cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// What came of the mail, over the window of the health gate.
    pub window: Tally,
    pub rates: Rates,
}

/// What may be sent on a day, in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    pub cap: u64,
    /// Of the cap, by the hours that it is spread over.
    pub released: u64,
    /// Sent, being sent, leased by other nodes, or lost with a node that was killed.
    pub used: u64,
    /// Of the cap.
    pub remaining: u64,
}

/// What state of affairs it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    Warming,
    /// The last day did not lead to the next stage, or what is known cannot be read.
    Held,
    Paused,
    Warm,
}

/// The rates that the health gate goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    pub bounces: Ratio,
    pub blocks: Ratio,
    pub deferrals: Ratio,
    pub complaints: Ratio,
}

impl Unit {
    /// Where it is, as far as this process knows. `None`: its source does not warm.
    pub fn position(&self, now: Timestamp) -> Option<Position> {
        let rules = self.base.rules.load();
        let source = rules.source(&self.name.source)?;
        let desk = self.desk.lock();
        let state = desk.known.as_ref().map(|(state, _)| &**state);
        let first = State::new(Stage::At(1), &source.ramp);
        let state = state.unwrap_or(&first);
        let day = rules.zone.day(now);
        let (condition, because, until) = affairs(&desk, state, now);
        let budget = self.budget(&desk, state, (&rules, source), (&day, now));
        let has_begun = source.started.is_none_or(|started| started <= day.date);
        let may_send = matches!(condition, Condition::Warming | Condition::Held) && has_begun;
        let knows_no_other = matches!(desk.look(now), Look::Ask | Look::Room(_)) && may_send;
        // The same whether or not somebody has asked for more since.
        let spent = budget.filter(|budget| knows_no_other && budget.used >= budget.released);
        let until = until.or_else(|| {
            let Budget { cap, used, .. } = spent?;
            let release = source.ramp.spread.on(&day, &rules.zone);
            let share = rules.lease.of(cap).max(1);
            Some(more_at((release, &day), (cap, share, used), now))
        });
        Some(Position {
            source: self.name.source.to_string(),
            provider: self.name.provider.as_deref().unwrap_or(WHOLE).to_owned(),
            condition,
            because,
            hindered: self.hindered(state.stage),
            until,
            schedule: source.ramp.name.to_string(),
            stage: state.stage,
            stages: source.ramp.stages(),
            planned: planned(source, day.date),
            day: state.sent_days.saturating_add(1),
            date: day.date,
            budget,
            window: desk.seen.window,
            rates: Rates::of(&desk.seen.window),
        })
    }

    /// Of a unit that has a next stage.
    fn hindered(&self, stage: Stage) -> Option<String> {
        let hindrance = self.hindrance().filter(|_| stage != Stage::Warm);
        hindrance.map(|hindrance| hindrance.to_string())
    }

    fn budget(
        &self,
        desk: &Desk,
        state: &State,
        (rules, source): (&Rules, &SourceRules),
        (day, now): (&Day, Timestamp),
    ) -> Option<Budget> {
        let Stage::At(stage) = state.stage else {
            return None;
        };
        let planned = || source.ramp.cap(stage, self.name.provider.as_deref());
        let cap = state.day(day.date).map_or_else(planned, |day| day.cap);
        let release = source.ramp.spread.on(day, &rules.zone);
        let used = desk.used(day.date);
        Some(Budget {
            cap,
            released: release.released(cap, now),
            used,
            remaining: cap.saturating_sub(used),
        })
    }
}

/// What the matter is, why, and until when.
fn affairs(
    desk: &Desk,
    state: &State,
    now: Timestamp,
) -> (Condition, Option<String>, Option<Timestamp>) {
    let said = state.said.as_ref();
    let last = said.map(|said| said.why.clone());
    let until = match desk.look(now) {
        Look::Wait(waiting) => match waiting.why {
            Reason::Spent { .. } => waiting.until,
            Reason::Paused { .. } => {
                return (
                    Condition::Paused,
                    Some(waiting.why.to_string()),
                    waiting.until,
                );
            }
            _ => return (Condition::Held, Some(waiting.to_string()), waiting.until),
        },
        _ => None,
    };
    if let Some(pause) = state
        .pause
        .as_ref()
        .filter(|pause| pause.until.is_none_or(|end| now < end))
    {
        return (Condition::Paused, Some(pause.why.clone()), pause.until);
    }
    let condition = match state.stage {
        Stage::Warm => Condition::Warm,
        Stage::At(_) if said.is_some_and(|said| said.held) => Condition::Held,
        Stage::At(_) => Condition::Warming,
    };
    (condition, last, until)
}

fn planned(source: &SourceRules, today: Date) -> Option<Stage> {
    let age = days_between(source.started?, today);
    let stage = u32::try_from(age).ok()?.saturating_add(1);
    Some(if stage > source.ramp.stages() {
        Stage::Warm
    } else {
        Stage::At(stage)
    })
}

impl Rates {
    fn of(tally: &Tally) -> Self {
        Self {
            bounces: tally.bounces(),
            blocks: tally.blocks(),
            deferrals: tally.deferrals(),
            complaints: tally.complaints(),
        }
    }
}

//! How a state changes, and what is said of it. Nothing here waits or reads a clock.

use super::day::{days_between, plus_days};
use super::gate::{Evidence, Verdict, judge};
use super::schedule::Ramp;
use super::stage::Stage;
use super::state::{Change, Counted, Pause, Place, Said, State, Terms, volume};
use crate::units::{Span, Timestamp};
use jiff::civil::Date;

impl State {
    /// Judges the day `date`, which is over. Without anything sent it changes nothing.
    pub fn conclude(&mut self, date: Date, counted: &Counted, terms: Terms<'_>) -> Option<Change> {
        let index = self.days.iter().position(|day| day.date == date)?;
        if counted.used == 0 {
            self.days.remove(index);
            return None;
        }
        let day = self.days.get_mut(index)?;
        day.used = Some(counted.used);
        let day = day.clone();
        self.sent_days = self.sent_days.saturating_add(1);
        self.last_sent = self.last_sent.max(Some(date));
        if !day.blocked && counted.day.blocked == 0 {
            self.strikes = 0;
        }
        let Stage::At(stage) = self.stage else {
            return None;
        };
        let evidence = Evidence {
            is_whole_source: terms.provider.is_none(),
            // A schedule that was changed since may ask for more.
            is_of_another_stage: day.stage != stage
                || day.cap < terms.ramp.cap(stage, terms.provider),
            cap: day.cap,
            used: counted.used,
            day: counted.day,
            window: counted.window,
            was_paused: day.blocked,
            hindrance: counted.hindrance.as_deref(),
        };
        let judgement = judge(&evidence, &terms.rules.gate);
        let decided = self.decide(stage, judgement.verdict, date, terms);
        let why = format!("{decided}: {}", judgement.why);
        self.said = Some(Said {
            on: date,
            held: judgement.verdict != Verdict::Advance,
            why: why.clone(),
        });
        Some(Change { why, until: None })
    }

    /// Moves the stage, and says so.
    fn decide(&mut self, stage: u32, verdict: Verdict, date: Date, terms: Terms<'_>) -> String {
        let a_day = |stage| terms.ramp.cap(stage, terms.provider);
        match verdict {
            Verdict::Hold => format!("held at stage {stage}"),
            Verdict::Advance if stage >= terms.ramp.stages() => {
                self.earn(stage, terms.ramp);
                self.enter(Stage::Warm, terms.ramp);
                format!("warm after stage {stage}, no cap any more")
            }
            Verdict::Advance => {
                let next = stage + 1;
                self.earn(stage, terms.ramp);
                self.enter(Stage::At(next), terms.ramp);
                format!("advanced to stage {next}, {} a day", a_day(next))
            }
            Verdict::RollBack => {
                // The same events must not set it back again tomorrow.
                self.fresh_after = self.fresh_after.max(Some(date));
                let before = stage.saturating_sub(1).max(1);
                self.earned = Some(self.earned().min(terms.ramp.volume(before)));
                self.enter(Stage::At(before), terms.ramp);
                if before == stage {
                    return format!("stays at stage {stage}, the lowest");
                }
                format!("rolled back to stage {before}, {} a day", a_day(before))
            }
        }
    }

    fn enter(&mut self, stage: Stage, ramp: &Ramp) {
        self.stage = stage;
        self.volume = volume(stage, ramp);
        self.left = None;
    }

    /// A good day at `stage` is over.
    fn earn(&mut self, stage: u32, ramp: &Ramp) {
        // What was earned before does not count for less because a schedule was entered below it.
        let before = self.earned.unwrap_or_default();
        self.earned = Some(before.max(ramp.volume(stage)));
    }

    /// Finds the place in a schedule that has been changed since: the one that was left where it is that schedule again
    /// and nothing was decided meanwhile, else where it gives no more than has been earned.
    pub fn refit(&mut self, ramp: &Ramp) -> Option<Change> {
        let Stage::At(old) = self.stage else {
            return None;
        };
        if old <= ramp.stages() && ramp.volume(old) == self.volume {
            return None;
        }
        let (was, earned) = (self.volume, self.earned());
        let left = self.left.unwrap_or(Place {
            stage: old,
            volume: was,
        });
        let is_back = left.stage <= ramp.stages() && ramp.volume(left.stage) == left.volume;
        let new = match is_back {
            true => left.stage,
            false => ramp.stage_of(earned),
        };
        self.enter(Stage::At(new), ramp);
        self.earned = Some(earned);
        self.left = (!is_back).then_some(left);
        let unjudged = self.days.iter_mut().filter(|day| day.used.is_none());
        for day in unjudged.filter(|day| day.stage == old) {
            day.stage = new;
        }
        let why = format!(
            "the schedule was changed: stage {old} with {was} a day is now stage {new} of {} with {} a day",
            ramp.stages(),
            self.volume,
        );
        Some(Change { why, until: None })
    }

    /// Begins again where nothing was sent for too long.
    pub fn rewarm(&mut self, today: Date, terms: Terms<'_>) -> Option<Change> {
        let last = self.last_sent?;
        let idle = days_between(last, today) - 1;
        if idle < terms.rules.rewarm_after || self.stage == Stage::At(1) {
            return None;
        }
        let was = self.stage;
        self.enter(Stage::At(1), terms.ramp);
        self.earned = None;
        self.fresh_after = self.fresh_after.max(Some(plus_days(today, -1)));
        self.strikes = 0;
        let why = match was {
            Stage::Warm => {
                format!("begins again at stage 1, was warm: idle for {idle} days since {last}")
            }
            Stage::At(stage) => {
                format!(
                    "begins again at stage 1, was at {stage}: idle for {idle} days since {last}"
                )
            }
        };
        self.said = None;
        Some(Change { why, until: None })
    }

    /// Ends a pause whose time is over.
    pub fn wake(&mut self, now: Timestamp) -> Option<Change> {
        let over = self.pause.as_ref()?.until.is_some_and(|until| until <= now);
        let pause = self.pause.take_if(|_| over)?;
        let why = format!("goes on: the pause is over ({})", pause.why);
        Some(Change { why, until: None })
    }

    /// Pauses for a block, unless it rests already or is warm.
    pub fn strike(&mut self, why: &str, now: Timestamp, terms: Terms<'_>) -> Option<Change> {
        if self.stage == Stage::Warm {
            return None;
        }
        let resting = self.pause.as_ref();
        if resting.is_some_and(|pause| pause.until.is_none_or(|until| now < until)) {
            return None;
        }
        self.strikes = self.strikes.saturating_add(1);
        let length = terms.rules.pauses.length(self.strikes);
        let today = terms.rules.zone.date(now);
        if let Some(day) = self.days.iter_mut().find(|day| day.date == today) {
            day.blocked = true;
        }
        let until = Some(now + length);
        self.pause = Some(Pause {
            until,
            why: why.to_owned(),
            by_hand: false,
        });
        let (length, strikes) = (Span(length), self.strikes);
        let why = format!("paused for {length}, block {strikes} in a row: {why}");
        Some(Change { why, until })
    }

    /// Pauses because an operator says so; in place of any other pause.
    pub fn pause(&mut self, why: &str, until: Option<Timestamp>) -> Change {
        self.pause = Some(Pause {
            until,
            why: why.to_owned(),
            by_hand: true,
        });
        let why = format!("paused by hand: {why}");
        Change { why, until }
    }

    /// Ends any pause because an operator says so.
    pub fn resume(&mut self) -> Option<Change> {
        let pause = self.pause.take()?;
        let why = format!("goes on by hand; was paused: {}", pause.why);
        Some(Change { why, until: None })
    }

    /// Puts the unit at `stage` because an operator says so. A cap that is higher holds from now, a lower one from the
    /// next day: what may have been used today stays so. Days after today, which a wrong clock has opened, are no more.
    pub fn set(&mut self, stage: Stage, now: Timestamp, terms: Terms<'_>) -> Change {
        let today = terms.rules.zone.date(now);
        self.enter(stage, terms.ramp);
        self.earned = None;
        self.fresh_after = Some(plus_days(today, -1));
        self.last_sent = Some(today);
        self.days.retain(|day| day.date <= today);
        let why = match stage {
            Stage::Warm => "set to warm by hand: no cap any more".into(),
            Stage::At(number) => self.set_number(number, today, terms),
        };
        self.said = Some(Said {
            on: today,
            held: false,
            why: why.clone(),
        });
        Change { why, until: None }
    }

    /// Raises today's cap where it is lower; says what holds.
    fn set_number(&mut self, number: u32, today: Date, terms: Terms<'_>) -> String {
        let cap = terms.ramp.cap(number, terms.provider);
        let set = format!("set to stage {number} by hand, {cap} a day");
        let open = self.days.iter_mut().find(|day| day.date == today);
        let Some(day) = open.filter(|day| day.used.is_none()) else {
            return set;
        };
        if cap >= day.cap {
            (day.cap, day.stage) = (cap, number);
            return set;
        }
        // With dates: it is still to be read tomorrow.
        let (tomorrow, was) = (plus_days(today, 1), day.cap);
        format!("{set} from {tomorrow}; today's cap ({today}) stays {was}")
    }
}

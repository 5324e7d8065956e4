//! `[warmup]` and the `warmup` of a `[[source]]` as written; [`super::Rules`] is what they mean.

use super::day::Zone;
use super::schedule::{Own, Ramp, Schedule};
use super::spread::Spread;
use crate::policy::share::Share;
use crate::problem::Problems;
use crate::units::Span;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// `[warmup]`: how new sources earn their reputation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The zone whose midnight ends a sending day, by its IANA name: `"UTC"`, `"Europe/Berlin"`.
    pub zone: String,
    /// What a node takes of a day's cap at a time, at least one message. A node that is killed loses at most this much
    /// of the day's budget, and what was being sent.
    pub lease: Share,
    /// How long mail to a provider rests after it blocked the source; doubled with each further block until a sending
    /// day without one.
    pub pause: Span,
    /// The longest such pause.
    pub max_pause: Span,
    /// A source that has sent nothing for so many whole days begins again at stage 1; so does its mail to one provider.
    pub rewarm_after: Span,
    /// A message that waits for a source that warms gains one point of engagement for each of these, so that the least
    /// engaged are not left for ever.
    pub engagement_aging: Span,
    /// What a sending day must show before the next stage begins.
    pub gate: Gate,
    /// Schedules by name, beside those that come with the program: `standard`, `sendgrid-like`, `ses-like` and
    /// `sparkpost-like`. One of the same name takes their place.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub schedule: BTreeMap<String, Schedule>,
}

/// `[warmup.gate]`: the next stage begins where all of this holds at the end of a sending day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gate {
    /// The least share of the day's cap that was used.
    pub used: Share,
    /// Sending days that bounces, complaints, blocks and deferrals are counted over: complaints come late.
    pub window: u32,
    /// Answers (delivered, bounced, blocked) in the window before anything is concluded. Less where the caps of a whole
    /// window do not give as many.
    pub min_samples: u64,
    /// Bounces, complaints, blocks or deferrals under this number are never held against a source.
    pub min_events: u64,
    /// What keeps a source at its stage.
    pub hold: HoldAt,
    /// What sets it back by one.
    pub roll_back: RollBackAt,
}

/// `[warmup.gate.hold]`: the source stays at its stage where one of these is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HoldAt {
    /// Hard bounces of all that was answered for good.
    pub bounces: Share,
    /// Complaints of all that was delivered.
    pub complaints: Share,
    /// Deferrals of all answers.
    pub deferrals: Share,
    /// Blocks by a provider in a day, a number. 0: blocks hold nobody; they pause and roll back all the same.
    pub blocks: u64,
}

/// `[warmup.gate.roll_back]`: the source goes back one stage where one of these is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RollBackAt {
    /// Hard bounces of all that was answered for good.
    pub bounces: Share,
    /// Complaints of all that was delivered.
    pub complaints: Share,
    /// Deferrals of all answers.
    pub deferrals: Share,
    /// Blocks of all that was answered for good.
    pub blocks: Share,
}

/// `warmup` of a `[[source]]`: the source is new and warms by a schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SourceWarmup {
    /// Name of a schedule.
    pub schedule: String,
    /// The first day, such as `"2026-11-01"`: nothing is sent before it, and `warmup show` compares with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub started: Option<Date>,
    /// Messages a day when the source is warm, in place of the schedule's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<u64>,
    /// In place of the schedule's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth_per_week: Option<Share>,
    /// In place of the schedule's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// What becomes of mail over the cap: `"wait"` for the next day, `"reject"` at submission, or the name of a pool of
    /// warm sources that takes it.
    pub overflow: Overflow,
}

/// What becomes of mail over the cap.
#[derive(Debug, Clone, PartialEq, Eq, Default, schemars::JsonSchema)]
#[schemars(with = "String")]
pub enum Overflow {
    /// The next source of its pool takes it; where none does, it waits for room.
    #[default]
    Next,
    /// It waits for room.
    Wait,
    /// It is refused at submission.
    Reject,
    /// It goes by this pool.
    Pool(std::sync::Arc<str>),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            zone: "UTC".into(),
            lease: Share::percent(2),
            pause: Span::hours(4),
            max_pause: Span::days(2),
            rewarm_after: Span::days(30),
            engagement_aging: Span::minutes(30),
            gate: Gate::default(),
            schedule: BTreeMap::new(),
        }
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            used: Share::percent(80),
            window: 3,
            min_samples: 40,
            min_events: 1,
            hold: HoldAt::default(),
            roll_back: RollBackAt::default(),
        }
    }
}

impl Default for HoldAt {
    fn default() -> Self {
        Self {
            bounces: Share::percent(2),
            complaints: Share::ppm(1_000),
            deferrals: Share::percent(10),
            blocks: 1,
        }
    }
}

impl Default for RollBackAt {
    fn default() -> Self {
        Self {
            bounces: Share::percent(5),
            complaints: Share::ppm(1_000),
            deferrals: Share::percent(20),
            blocks: Share::percent(1),
        }
    }
}

impl Default for SourceWarmup {
    fn default() -> Self {
        Self {
            schedule: "standard".into(),
            started: None,
            target: None,
            growth_per_week: None,
            spread: None,
            overflow: Overflow::Next,
        }
    }
}

impl Config {
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if Zone::named(&self.zone).is_none() {
            let message = format!("\"{}\" is no zone that this machine knows", self.zone);
            let remedy = "write an IANA name such as \"UTC\" or \"Europe/Berlin\"";
            problems.add(format!("{at}.zone"), message, remedy);
        }
        let lease = (Share::ppm(1)..=Share::percent(10)).contains(&self.lease);
        let pause = self.pause >= Span::minutes(1);
        let max_pause = self.max_pause >= self.pause;
        let rewarm_after = self.rewarm_after >= Span::days(1);
        let aging = self.engagement_aging >= Span::secs(1);
        for (good, key, message, remedy) in [
            (lease, "lease", "is outside 0.0001 % to 10 %", "\"2%\""),
            (pause, "pause", "is under a minute", "\"4h\""),
            (max_pause, "max_pause", "is shorter than pause", "\"2d\""),
            (rewarm_after, "rewarm_after", "is under a day", "\"30d\""),
            (aging, "engagement_aging", "is under a second", "\"30m\""),
        ] {
            if !good {
                problems.add(format!("{at}.{key}"), message, remedy);
            }
        }
        self.gate.validate(&format!("{at}.gate"), problems);
        for (name, schedule) in &self.schedule {
            schedule.validate(&format!("{at}.schedule.{name}"), problems);
        }
    }

    /// The schedule `name`, the operator's before the program's.
    pub fn schedule(&self, name: &str) -> Option<Schedule> {
        let own = self.schedule.get(name).cloned();
        own.or_else(|| Schedule::built_in().remove(name))
    }

    fn schedule_names(&self) -> String {
        let mut names = Schedule::built_in();
        names.extend(self.schedule.clone());
        let names: Vec<String> = names.into_keys().collect();
        names.join(", ")
    }
}

impl Gate {
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        let used = LIMITS.contains(&self.used);
        let window = (1..=14).contains(&self.window);
        for (good, key, message, remedy) in [
            (used, "used", "is outside 0.0001 % to 100 %", "\"80%\""),
            (
                window,
                "window",
                "is outside 1 to 14 sending days",
                "write 3",
            ),
            (
                self.min_samples > 0,
                "min_samples",
                "is 0",
                "write 40, or 1 to conclude from anything",
            ),
            (self.min_events > 0, "min_events", "is 0", "write 1 or more"),
        ] {
            if !good {
                problems.add(format!("{at}.{key}"), message, remedy);
            }
        }
        let (hold, back) = (&self.hold, &self.roll_back);
        for (key, hold, back) in [
            ("bounces", hold.bounces, back.bounces),
            ("complaints", hold.complaints, back.complaints),
            ("deferrals", hold.deferrals, back.deferrals),
            ("blocks", *LIMITS.start(), back.blocks),
        ] {
            validate_limits(&format!("{at}.roll_back.{key}"), hold, back, problems);
        }
    }
}

const LIMITS: std::ops::RangeInclusive<Share> = Share::ppm(1)..=Share::percent(100);

/// Both limits are shares, and what sets back is not under what holds.
fn validate_limits(key: &str, hold: Share, back: Share, problems: &mut Problems) {
    if !LIMITS.contains(&hold) || !LIMITS.contains(&back) {
        let message = "or what holds is outside 0.0001 % to 100 %";
        problems.add(key, message, "write such as \"5%\"");
    }
    if back < hold {
        let remedy = "set back at the same share or a higher one";
        problems.add(key, "is lower than what holds", remedy);
    }
}

impl SourceWarmup {
    /// `pools` are the names of all pools.
    pub fn validate(&self, at: &str, config: &Config, pools: &[&str], problems: &mut Problems) {
        match config.schedule(&self.schedule) {
            None => {
                let message = format!("there is no schedule \"{}\"", self.schedule);
                let remedy = format!("name one of {}", config.schedule_names());
                problems.add(format!("{at}.schedule"), message, remedy);
            }
            // What is wrong with the schedule itself is told at its place.
            Some(schedule) if schedule.compile("", Own::default()).is_ok() => {
                let faults = schedule.compile("", self.own()).err().unwrap_or_default();
                for fault in faults {
                    problems.add(format!("{at}.{}", fault.key), fault.message, fault.remedy);
                }
            }
            Some(_) => {}
        }
        if let Overflow::Pool(pool) = &self.overflow
            && !pools.contains(&&**pool)
        {
            let message = format!("there is no pool \"{pool}\"");
            problems.add(
                format!("{at}.overflow"),
                message,
                "write \"wait\", \"reject\", or the name of a [[pool]]",
            );
        }
    }

    /// The caps of this source; `None` where the configuration has a mistake.
    pub fn ramp(&self, config: &Config) -> Option<Ramp> {
        let schedule = config.schedule(&self.schedule)?;
        schedule.compile(&self.schedule, self.own()).ok()
    }

    fn own(&self) -> Own {
        Own {
            target: self.target,
            growth_per_week: self.growth_per_week,
            spread: self.spread,
        }
    }
}

impl Serialize for Overflow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Next => "next",
            Self::Wait => "wait",
            Self::Reject => "reject",
            Self::Pool(name) => name,
        })
    }
}

impl<'de> Deserialize<'de> for Overflow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.as_str() {
            "next" => Self::Next,
            "wait" => Self::Wait,
            "reject" => Self::Reject,
            _ => Self::Pool(text.into()),
        })
    }
}

#[cfg(test)]
mod tests;

//! Schedules as written, and the ramp of caps that one compiles to.

use super::spread::Spread;
use crate::policy::share::Share;
use crate::problem::Problems;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// `[warmup.schedule.NAME]`: how many messages a day a source may send while it warms.
///
/// Either `days` or `weeks`; then `growth_per_week` up to `target`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Messages a day on the first sending days, one after the other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<u64>,
    /// Weeks of seven sending days, each growing evenly.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weeks: Vec<Week>,
    /// How much the cap grows in seven sending days after the last of `days` or `weeks`, until the target: `"5%"` to
    /// `"50%"`. It grows a little each day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth_per_week: Option<Share>,
    /// The cap of the last stage, in messages a day. Without it the last of `days` or `weeks` is the last stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<u64>,
    /// Providers that get another number than the schedule's: 0.5 is half of each cap, at least 1.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub providers: BTreeMap<String, f64>,
    /// Hours over which a day's cap becomes available: `"none"`, `"08:00-20:00"` in the zone of `[warmup]`, or a span
    /// from the start of the day such as `"10h"`.
    pub spread: Spread,
}

/// Seven sending days that grow evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Week {
    /// Messages on the first of the seven days.
    pub from: u64,
    /// Messages on the seventh.
    pub to: u64,
}

/// What a source says otherwise than its schedule.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Own {
    pub target: Option<u64>,
    pub growth_per_week: Option<Share>,
    pub spread: Option<Spread>,
}

/// A schedule made ready: one cap for each stage. There is at least one, and none is lower than the one before.
#[derive(Debug, Clone, PartialEq)]
pub struct Ramp {
    pub name: Arc<str>,
    caps: Box<[u64]>,
    /// Parts per million of the caps.
    providers: BTreeMap<String, u32>,
    pub spread: Spread,
}

/// What is wrong with a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The key below the schedule's.
    pub key: String,
    pub message: String,
    pub remedy: &'static str,
}

/// Two years: a longer warm-up is a slip of the pen.
const MOST_STAGES: usize = 730;
/// More than all the mail there is in a day.
const MOST_A_DAY: u64 = 1_000_000_000_000;
const GROWTH: std::ops::RangeInclusive<Share> = Share::percent(5)..=Share::percent(50);
const MULTIPLIERS: std::ops::RangeInclusive<f64> = 0.01..=10.0;

impl Schedule {
    /// The schedules that come with the program, by name.
    pub fn built_in() -> BTreeMap<String, Schedule> {
        #[derive(Deserialize, Default)]
        #[serde(deny_unknown_fields)]
        struct File {
            schedule: BTreeMap<String, Schedule>,
        }
        let text = include_str!("../../../config/warmup.toml");
        // A test reads it: it cannot fail here.
        let file: File = toml::from_str(text).unwrap_or_default();
        file.schedule
    }

    pub fn validate(&self, at: &str, problems: &mut Problems) {
        let faults = self.compile("", Own::default()).err().unwrap_or_default();
        for Fault {
            key,
            message,
            remedy,
        } in faults
        {
            problems.add(format!("{at}.{key}"), message, remedy);
        }
    }

    /// The caps of all stages, or everything that is wrong with them.
    pub(super) fn compile(&self, name: &str, own: Own) -> Result<Ramp, Vec<Fault>> {
        let mut faults = Faults::default();
        let listed = self.listed(&mut faults);
        let growth = own.growth_per_week.or(self.growth_per_week);
        let target = own.target.or(self.target);
        faults.check(
            growth.is_none_or(|g| GROWTH.contains(&g)),
            "growth_per_week",
            || {
                let written = growth.unwrap_or_default();
                (
                    format!("{written} is outside 5 % to 50 %"),
                    "\"40%\" is usual",
                )
            },
        );
        faults.check(
            target.is_none_or(|t| (1..=MOST_A_DAY).contains(&t)),
            "target",
            || {
                (
                    "is no number of messages a day".into(),
                    "write what the source is to send a day when it is warm",
                )
            },
        );
        faults.check(growth.is_none() || target.is_some(), "target", || {
            (
                "is missing, so growth_per_week would have no end".into(),
                "write messages a day, such as 50000",
            )
        });
        let providers = self.multipliers(&mut faults);
        faults.none_yet()?;
        let caps = up_to_target(listed, growth, target, &mut faults);
        faults.none_yet()?;
        Ok(Ramp {
            name: name.into(),
            caps: caps.into(),
            providers,
            spread: own.spread.unwrap_or(self.spread),
        })
    }

    /// The caps of `days` or of `weeks`.
    fn listed(&self, faults: &mut Faults) -> Vec<u64> {
        let (days, weeks) = (!self.days.is_empty(), !self.weeks.is_empty());
        faults.check(!(days && weeks), "weeks", || {
            ("stands beside days".into(), "keep one of the two")
        });
        faults.check(days || weeks, "days", || {
            let remedy = "list messages a day: days = [50, 60, 75]";
            ("is missing, and so is weeks".into(), remedy)
        });
        let length = self.days.len().max(self.weeks.len().saturating_mul(7));
        let longest = if weeks { "weeks" } else { "days" };
        faults.check(length <= MOST_STAGES, longest, || {
            let message = format!("makes {length} days, and {MOST_STAGES} is the most");
            (message, "let growth_per_week do the rest")
        });
        self.check_numbers(faults);
        match weeks {
            true => self.weeks.iter().flat_map(|week| week.days()).collect(),
            false => self.days.clone(),
        }
    }

    fn check_numbers(&self, faults: &mut Faults) {
        let mut before = 0;
        for (key, cap) in self.written() {
            faults.check((1..=MOST_A_DAY).contains(&cap), &key, || {
                (
                    format!("{cap} is no number of messages a day"),
                    "write 1 or more",
                )
            });
            faults.check(cap >= before, &key, || {
                let message = format!("{cap} is less than the {before} before it");
                (message, "a schedule never shrinks")
            });
            before = cap;
        }
    }

    /// The numbers of `days` and `weeks` in order, each with its key.
    fn written(&self) -> Vec<(String, u64)> {
        let days = self.days.iter().enumerate();
        let days = days.map(|(i, cap)| (format!("days[{i}]"), *cap));
        let weeks = self.weeks.iter().enumerate();
        let weeks = weeks.flat_map(|(i, week)| {
            let ends = [("from", week.from), ("to", week.to)];
            ends.map(|(key, cap)| (format!("weeks[{i}].{key}"), cap))
        });
        // Beside each other they are refused anyhow.
        if self.weeks.is_empty() {
            days.collect()
        } else {
            weeks.collect()
        }
    }

    fn multipliers(&self, faults: &mut Faults) -> BTreeMap<String, u32> {
        let mut ready = BTreeMap::new();
        for (provider, factor) in &self.providers {
            faults.check(
                MULTIPLIERS.contains(factor),
                &format!("providers.{provider}"),
                || {
                    (
                        format!("{factor} is outside 0.01 to 10"),
                        "0.5 gives the provider half of each cap",
                    )
                },
            );
            // In range it fits; out of range nothing is made of it.
            ready.insert(
                provider.clone(),
                (factor * 1e6).round().clamp(0.0, 1e7) as u32,
            );
        }
        ready
    }
}

impl Week {
    fn days(self) -> [u64; 7] {
        let rise = self.to.saturating_sub(self.from);
        std::array::from_fn(|i| {
            let part = (u128::from(rise) * i as u128 * 2 + 6) / 12;
            self.from
                .saturating_add(u64::try_from(part).unwrap_or(u64::MAX))
        })
    }
}

/// Cuts `listed` at the target, or grows it until there.
fn up_to_target(
    mut listed: Vec<u64>,
    growth: Option<Share>,
    target: Option<u64>,
    faults: &mut Faults,
) -> Vec<u64> {
    let last = listed.last().copied().unwrap_or(1);
    let Some(target) = target else {
        return listed;
    };
    if target <= last {
        listed.retain(|cap| *cap < target);
    } else if let Some(growth) = growth {
        let week = 1.0 + f64::from(growth.as_ppm()) / 1e6;
        let after = |day: u32| (last as f64 * week.powf(f64::from(day) / 7.0)).round() as u64;
        let grown = (1..).map(after).take_while(|cap| *cap < target);
        let room = (MOST_STAGES + 1).saturating_sub(listed.len());
        listed.extend(grown.take(room));
        faults.check(listed.len() < MOST_STAGES, "target", || {
            (
                format!("{target} is over {MOST_STAGES} sending days away"),
                "grow faster, or lower the target",
            )
        });
    } else {
        faults.check(false, "target", || {
            (
                format!("{target} is over the last day's {last}, and growth_per_week is missing"),
                "write growth_per_week = \"40%\"",
            )
        });
    }
    listed.push(target);
    listed
}

impl Ramp {
    /// How many stages there are before a source is warm.
    pub fn stages(&self) -> u32 {
        u32::try_from(self.caps.len()).unwrap_or(u32::MAX)
    }

    /// Messages a day of the source as a whole at `stage`, counted from 1; beyond the last, the last's.
    pub fn volume(&self, stage: u32) -> u64 {
        let index = usize::try_from(stage.max(1) - 1).unwrap_or(usize::MAX);
        let cap = self.caps.get(index).or(self.caps.last());
        cap.copied().unwrap_or(1)
    }

    /// Messages a day to `provider` at `stage`; `None` is the source as a whole. At least 1.
    pub fn cap(&self, stage: u32, provider: Option<&str>) -> u64 {
        let factor = provider.and_then(|name| self.providers.get(name));
        let volume = self.volume(stage);
        factor.map_or(volume, |ppm| Share::ppm(*ppm).of(volume).max(1))
    }

    /// The highest stage that gives no more than `volume`; the first where none does.
    pub fn stage_of(&self, volume: u64) -> u32 {
        let stages = self.caps.partition_point(|cap| *cap <= volume);
        u32::try_from(stages.max(1)).unwrap_or(u32::MAX)
    }

    /// The caps of the source as a whole, stage by stage.
    pub fn caps(&self) -> &[u64] {
        &self.caps
    }
}

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn check(&mut self, holds: bool, key: &str, fault: impl FnOnce() -> (String, &'static str)) {
        if !holds {
            let (message, remedy) = fault();
            let key = key.to_owned();
            self.0.push(Fault {
                key,
                message,
                remedy,
            });
        }
    }

    fn none_yet(&mut self) -> Result<(), Vec<Fault>> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(std::mem::take(&mut self.0))
    }
}

#[cfg(test)]
mod tests;

//! `[warmup]` and the sources that warm, made ready.

use super::config::{Config, Gate, Overflow, SourceWarmup};
use super::day::Zone;
use super::schedule::Ramp;
use crate::policy::share::Share;
use crate::problem::Problems;
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What [`super::Warmup`] goes by until the next reload.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    pub zone: Zone,
    pub gate: Gate,
    pub(super) lease: Share,
    pub(super) pauses: Pauses,
    /// Days.
    pub(super) rewarm_after: i64,
    sources: BTreeMap<Arc<str>, Arc<SourceRules>>,
}

/// How one source warms.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceRules {
    pub ramp: Ramp,
    pub started: Option<Date>,
    pub overflow: Overflow,
}

/// How long a unit rests after a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pauses {
    pub first: Duration,
    pub most: Duration,
}

impl Rules {
    /// Of a configuration that was found good, with the name and the `warmup` of each source that has one.
    ///
    /// # Errors
    /// What is wrong with one that was not.
    pub fn new<'c>(
        config: &Config,
        sources: impl IntoIterator<Item = (&'c str, &'c SourceWarmup)>,
    ) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        config.validate("warmup", &mut problems);
        let mut ready = BTreeMap::new();
        for (name, source) in sources {
            match source.ramp(config) {
                Some(ramp) => {
                    let rules = SourceRules {
                        ramp,
                        started: source.started,
                        overflow: source.overflow.clone(),
                    };
                    ready.insert(Arc::from(name), Arc::new(rules));
                }
                None => {
                    source.validate(&format!("source.{name}.warmup"), config, &[], &mut problems)
                }
            }
        }
        let zone = Zone::named(&config.zone).filter(|_| problems.is_empty());
        Ok(Self {
            zone: zone.ok_or(problems)?,
            gate: config.gate,
            lease: config.lease,
            pauses: Pauses {
                first: config.pause.0,
                most: config.max_pause.0.max(config.pause.0),
            },
            rewarm_after: days(config.rewarm_after.0),
            sources: ready,
        })
    }

    /// The rules of `source`; `None` where it does not warm.
    pub fn source(&self, source: &str) -> Option<&Arc<SourceRules>> {
        self.sources.get(source)
    }

    /// The name as it is kept, where the source warms.
    pub(super) fn name_of(&self, source: &str) -> Option<&Arc<str>> {
        self.sources.get_key_value(source).map(|(name, _)| name)
    }

    /// The sources that warm, by name.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<str>> {
        self.sources.keys()
    }
}

impl Pauses {
    /// The length of the `strike`-th pause in a row, from 1.
    pub fn length(self, strike: u32) -> Duration {
        let doubled = 2u32.checked_pow(strike.max(1) - 1);
        let length = doubled.and_then(|factor| self.first.checked_mul(factor));
        length.map_or(self.most, |length| length.min(self.most))
    }
}

fn days(span: Duration) -> i64 {
    i64::try_from(span.as_secs() / 86_400).unwrap_or(i64::MAX)
}

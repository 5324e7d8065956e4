//! How a new address earns its reputation.
mod config;
mod day;
mod gate;
mod plan;
mod rules;
mod schedule;
mod share;
mod spread;
mod tally;

pub use config::{Config, Gate, HoldAt, Overflow, RollBackAt, SourceWarmup};
pub use day::{Day, Zone};
pub use gate::{Evidence, Judgement, Verdict, judge};
pub use plan::{List, Plan, Row, plan};
pub use rules::{Rules, SourceRules};
pub use schedule::{Ramp, Schedule, Week};
pub use share::{NotAShare, Share};
pub use spread::{NotASpread, Spread};
pub use tally::{Outcome, Ratio, Tally};

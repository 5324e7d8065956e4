//! How a new address earns its reputation.
mod background;
mod config;
mod day;
mod desk;
mod gate;
mod handle;
mod keys;
mod ledger;
mod operate;
mod pair;
mod plan;
mod position;
mod rules;
mod schedule;
mod share;
mod spread;
mod stage;
mod state;
mod tally;
mod unit;
mod waiting;

pub use config::{Config, Gate, HoldAt, Overflow, RollBackAt, SourceWarmup};
pub use day::{Day, Zone};
pub use desk::Look;
pub use gate::{Evidence, Judgement, Verdict, judge};
pub use handle::{Freed, Warmup};
pub use keys::WHOLE;
pub use operate::OperateError;
pub use pair::{Pair, Reservation, Reserved};
pub use plan::{List, Plan, Row, plan};
pub use position::{Budget, Condition, Position, Rates};
pub use rules::{Rules, SourceRules};
pub use schedule::{Ramp, Schedule, Week};
pub use share::{NotAShare, Share};
pub use spread::{NotASpread, Spread};
pub use stage::{NotAStage, Stage};
pub use tally::{Outcome, Ratio, Tally};
pub use waiting::{Reason, Waiting};

#[cfg(test)]
mod tests;

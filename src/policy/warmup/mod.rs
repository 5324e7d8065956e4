//! How a new address earns its reputation: little mail on the first day, more on each day that went well.
//!
//! # Units
//!
//! A *unit* is all mail of a source, or its mail to one provider. Each has a stage and a cap of its own, and what is
//! sent to a provider needs room in both: reputation is earned provider by provider, and no provider should meet an
//! address that is already loud elsewhere. A provider's cap grows only when its own mail fills it; where one provider
//! gets all the mail, both units go in step.
//!
//! A unit that the store knows nothing of begins at stage 1, with two exceptions. A provider first met when the source
//! as a whole is warm begins warm: in all the weeks before it had no mail, so it is either small or was split from
//! another in `providers.toml`, and mail that flows must not stop for that; who is about to send much to a provider
//! that is really new says `warmup set SOURCE PROVIDER 1`. And a source whose providers have states while its own is
//! missing has lost it: it is held until an operator says where it was.
//!
//! A unit keeps the volume that its good days have *earned*. Where the schedule is changed, it goes on at the stage of
//! the new one that gives no more than that; going back before anything was decided returns to where it was. What a
//! source sends while it is warm is counted in memory, and goes into the day's counter when an operator gives the day a
//! cap after all.
//!
//! # Sending days
//!
//! A day is a civil date in the zone of `[warmup]`. The stage moves only when a day ends on which something was sent
//! ([`judge`]): idle days change nothing, until there are thirty of them. What a date has been through:
//!
//! | date is      | in the state        | counter `used` | leaves by |
//! |--------------|---------------------|----------------|-----------|
//! | unknown      | no                  | 0              | the first who wants to send opens it; its cap is fixed by that |
//! | open         | its cap             | 0 to the cap   | the first look on a later date judges it, or drops it where nothing was used |
//! | judged       | its cap and its use | as it was      | the fortieth date after it pushes it out |
//! | pushed out   | no                  | as it was      | a clock that goes back there is refused |
//!
//! All writes of a state are conditional on nobody else having written, so a date is opened and judged once, however
//! many nodes look. A clock that goes back finds the cap and the counter of the date it goes to; one that goes forward
//! and back again has at worst judged a day early. Counters are kept for 90 days: a node whose clock is further behind
//! the store's than that is not to be helped.
//!
//! While others see something wrong with a source itself, such as a blocklist that has it, a day that went well leaves
//! all its units where they are ([`Warmup::hinder`]): what counts is what is known when the day is judged.
//!
//! # Where a message of the cap is
//!
//! | it is       | counted in the store | in memory   | after a kill |
//! |-------------|----------------------|-------------|--------------|
//! | free        | no                   | –           | free |
//! | leased      | yes                  | lease       | counted, and not sent: at most a lease (2 %, or one) for each unit and kill |
//! | reserved    | yes                  | reservation | counted; it may have been sent |
//! | kept        | yes                  | –           | counted; it was sent |
//! | on its way back | yes, until told | owed        | counted, and not sent: at most what came back in a second |
//!
//! It is counted in the store before it is handed out, and handed out once, so what is sent on a date is never more than
//! its cap. What a store that fails may have done counts as done: a lease that did not arrive is lost, and one given
//! back is not given back twice.
//!
//! # Who owns what
//!
//! | what | where | written by |
//! |---|---|---|
//! | stage, days with their caps, pause, last decision | `warmup/unit/SOURCE/PROVIDER` | whoever looks first; conditional |
//! | use of a cap | `warmup/used/SOURCE/PROVIDER/DATE` | leases, in one step |
//! | what came of the mail | `warmup/tally/SOURCE/PROVIDER/DATE/OUTCOME` | every node, about once a second |
//! | lease, what is owed to the store | memory of a process (`desk`) | [`Pair::reserve`], [`Warmup::run`] |
//! | schedules, thresholds | [`Rules`] | [`Warmup::configure`] |
//!
//! PROVIDER is `*` for the source as a whole. A state that cannot be read is not guessed: the unit is held until it can
//! be, or until `warmup set` writes another. [`Pair::reserve`] only looks at memory; where it answers
//! [`Reserved::Refill`], one caller asks the store for all who wait.
//!
//! A block by a provider pauses its unit at once on the node that saw it, is written within a tick, and is known to
//! other nodes when they next look: when their lease is used up, or after ten seconds.
mod background;
mod change;
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
mod spread;
mod stage;
mod state;
mod tally;
mod unit;
mod waiting;

pub use super::share::{NotAShare, Share};
pub use config::{Config, Gate, HoldAt, Overflow, RollBackAt, SourceWarmup};
pub use day::{Day, Zone};
pub use desk::Look;
pub use gate::{Evidence, Judgement, Verdict, judge};
pub use handle::{Freed, Refusal, Warmup};
pub use keys::WHOLE;
pub use operate::OperateError;
pub use pair::{Pair, Reservation, Reserved};
pub use plan::{List, Plan, Row, plan};
pub use position::{Budget, Condition, Position, Rates};
pub use rules::{Rules, SourceRules};
pub use schedule::{Ramp, Schedule, Week};
pub use spread::{NotASpread, Spread};
pub use stage::{NotAStage, Stage};
pub use tally::{Outcome, Ratio, Tally};
pub use waiting::{Reason, Waiting};

#[cfg(test)]
mod tests;

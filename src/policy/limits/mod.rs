//! How fast and how many at once.
//!
//! [`Config`] is a table of limits as an operator writes it, [`Rules`] are all such tables of a configuration, and
//! [`Limits`] keeps them: [`Limits::of`] gives the [`Limit`] on a source, a source at a site or a provider, a tenant or a
//! campaign. Message and connection rates and octets a second are counted by governor, one limiter to a number.
//!
//! A rate is spread evenly over its time: `"86400/d"` is a message a second, not a day's messages at midnight. Nothing is
//! saved up beyond a tenth of a second's worth ([`Rate::burst`]), and nothing is handed out at the start.
//!
//! Who is refused is told a turn. Where mail of many sites wants the same limit, tenants and their campaigns ([`Party`])
//! have turns by their shares, however many lanes they wait in.

mod cells;
pub mod config;
mod count;
mod debt;
mod full;
mod limit;
mod meter;
mod numbers;
mod of;
mod rate;
mod rules;
mod table;
#[cfg(test)]
mod tests;
mod turns;

pub use config::{Config, Defaults};
pub use full::{Fill, Full, Kind};
pub use limit::{Limit, Seat};
pub use of::Of;
pub use rate::{ByteRate, Per, Rate, Rates};
pub use rules::{Rules, Scope};
pub use table::Limits;
pub use turns::{Asker, Party};

use full::Name;

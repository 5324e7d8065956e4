//! How fast and how many at once.

mod config;
mod rate;

pub use config::Config;
pub use rate::{ByteRate, Per, Rate, Rates};

//! Metrics, health and the API.

mod config;

pub use config::Config;

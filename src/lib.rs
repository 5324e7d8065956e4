//! Mailwright: an email delivery MTA. (Architecture page: completed with the code.)
#![forbid(unsafe_code)]

pub mod auth;
pub mod bounce;
pub mod cli;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod dns;
pub mod events;
pub mod http;
pub mod intake;
pub mod mail;
pub mod peers;
pub mod policy;
pub mod problem;
pub mod queue;
pub mod smtp;
pub mod spool;
pub mod tls;
pub mod units;

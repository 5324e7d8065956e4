//! rustls, set up once: certificates we show, certificates we trust.

pub mod client;
pub mod https;
pub mod memory;
pub mod server;

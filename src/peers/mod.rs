//! The other side of the wire: an SMTP sink that plays any receiver, and a generator that plays any platform.
//!
//! Both are commands (`mailwright sink`, `mailwright load`) and both are the world of the tests: [`sink::Sink`] is
//! every MX host of the small internet, [`dns::DnsServer`] tells who they are, [`load`] keeps the daemon busy while it
//! is killed. Nothing the daemon does depends on them.

pub mod dns;
mod latency;
pub mod load;
pub mod redis;
pub mod script;
pub mod sink;
mod stamp;
mod wire;
pub mod world;

pub use latency::Latency;

/// How a peer prints its counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    #[default]
    Table,
    /// One JSON object a line.
    Json,
}

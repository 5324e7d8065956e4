//! What our domains need in DNS: written from templates, and compared with what is there.
//!
//! [`Facts`] are what the configuration says of one domain, [`Plan`] what should be published for it, and
//! [`check::Checker`] compares the live zone with that.

pub mod ask;
pub mod check;
mod config;
pub mod facts;
pub mod look;
mod plan;
mod print;
mod record;
pub mod spf;

mod template;
#[cfg(test)]
mod tests;

pub use config::{Config, DomainConfig, MtaSts, Stage};
pub use facts::Facts;
pub use plan::{Plan, Policy, Section};
pub use print::{Printed, PrintedFile, PrintedRecord, PrintedZone};
pub use record::{Data, Record, reverse};
pub use template::{Kind, TemplateError, Templates};

//! TLS reports of our own sending (RFC 8460): what sessions with a domain's hosts came to, told to whom the domain names.
//!
//! ```text
//!  Delivery ─▶ Tally::count ─ every ten minutes ─▶ store  tlsrpt/count/DAY/DOMAIN
//!                                                    │ the day is over
//!  Daily::run ─▶ TXT _smtp._tls.DOMAIN ─▶ Document ──┤  tlsrpt/sent/DAY/DOMAIN: who has it, so that nobody gets it twice
//!                                                    ├─▶ mailto: Intake::submit (signed, `TLS-Required: No`)
//!                                                    └─▶ https:  POST
//! ```
//!
//! Counts are added up in the store: several nodes that share it send one report a day and domain.

pub mod config;
mod daily;
mod document;
mod message;
mod record;
mod tally;
#[cfg(test)]
mod tests;

pub use daily::{Daily, Parts};
pub use tally::{Counts, Policy, Session, Tally};

//! Sender Policy Framework (RFC 7208): may this address send for this domain?
//!
//! [`check`] answers as a receiver would, and says what decided: the mechanism, the terms that asked DNS on the way, and
//! how much of the limits is used up. The answer lives until [`Report::expires`], the earliest end of any record used.
//!
//! # Why not mail-auth
//!
//! mail-auth 0.13.3 has a verifier of SPF. Of the 203 published cases of RFC 7208 (`tests/it/rfc7208`) it answers 139 as
//! they want it, and differs where we have to be exact: it takes many records that are wrong for right (§4.6), maps IPv4
//! into IPv6 networks (§5), knows no limit of void lookups (§4.6.4), finds IPv6 addresses for `exists` (§5.7), and takes `%{p}`
//! from PTR records that nobody validated (§7.3). It gives neither a trace nor a time to live. The test
//! `mail_auth_is_not_exact` prints the list.
//!
//! # Where the RFC leaves a choice
//!
//! * A name that DNS cannot hold, made by a macro or written so, matches nothing and is not asked for (§4.8).
//! * A *void lookup* (§4.6.4) is a term whose answers hold nothing to compare: it counts once, however many questions
//!   it took. `mx` is void where there are no MX records, or none of the hosts has an address of the family.
//! * More than ten MX records are a permerror at once, whichever of them would have matched.
//! * More than ten names in a PTR answer: the first ten are looked at.

mod error;
mod eval;
mod hosts;
mod macros;
mod parse;
mod record;
mod report;
mod run;
#[cfg(test)]
mod tests;
mod words;

pub use error::SpfError;
pub use eval::{Question, check};
pub use record::{Directive, Mechanism, Qualifier, Record, is_spf};
pub use report::{Identity, Report, SpfResult, Step};

//! Domain-based Message Authentication, Reporting and Conformance (RFC 9989, which obsoletes RFC 7489): what the owner
//! of a From domain asks receivers to do with mail that cannot be shown to be its own, and what counts as showing it.
//!
//! [`discover`] finds the record that applies by walking up the tree of DNS (§4.10), [`organizational`] the domain by
//! which relaxed alignment is judged, [`Discovery::result`] what comes of SPF and DKIM. Everything is a value; whoever
//! answers questions to DNS is handed in.
//!
//! # Why not mail-auth
//!
//! Its `verify_dmarc` walks the tree too, but wants a whole message and gives neither a time to live nor what was found
//! where. Of a record with a wrong `sp` or `np` it keeps `p` (§4.10.1 makes the whole policy `none`, or void), and it knows nothing of
//! `pct=0`, by which records of before 2026 say what `t=y` says now (Appendix A.6).
//!
//! # Where the RFC leaves a choice
//!
//! * A failure of name servers on the way up leaves what was found below it in force; what would have needed the rest
//!   is unknown ([`DmarcResult::TempError`]).
//! * `pct` from 1 to 99 is no longer honoured by receivers of today: the policy applies in full, and [`Record::pct`] is
//!   there to be told.

mod discovery;
mod record;
#[cfg(test)]
mod tests;
mod walk;

pub use discovery::{Applied, Discovery, DmarcResult, Publisher, Tag, discover};
pub use record::{Mode, Policy, Psd, Record, Stance};
pub use walk::{Organization, Walk, organizational, targets, walk};

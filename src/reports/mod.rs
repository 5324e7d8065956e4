//! What others report about our mail: DMARC aggregate reports, TLS reports, daily figures of mailbox providers.
//!
//! | file | what it does |
//! |---|---|
//! | [`read`](fn@read), `attachments`, `unpack`, `xml`, [`text`] | finds a report in a file or message; bounds what that costs |
//! | [`dmarc`] | RFC 9990, RFC 7489 appendix C and its drafts |
//! | [`tls`] | RFC 8460 |
//! | [`figures`] | Google Postmaster Tools, Microsoft SNDS |
//! | [`line`](mod@line) | a report as one line of JSON |
//! | `config`, `taking`, `store`, [`rows`] | reports taken in once, filed by domain, source and day |
//! | [`alarm`] | what they give reason to tell |
//! | `shown`, [`advice`] | added up; whether a stricter policy is safe |
//!
//! Readers are functions of octets: no clock, no I/O. They are lenient where the field is, and refuse where a guess would
//! change what a report says.

pub mod advice;
pub mod alarm;
mod attachments;
mod config;
pub mod dmarc;
pub mod figures;
mod importing;
pub mod line;
pub mod period;
mod read;
pub mod rows;
mod shown;
mod store;
mod taking;
pub mod text;
pub mod tls;
mod unpack;
mod unreadable;
mod xml;

pub use config::{Config, Settings};
pub use figures::Provider;
pub use importing::{Imported, Order};
pub use read::{Report, read};
pub use shown::{MOST_SHOWN, Which};
pub use taking::{Domains, Reports, Taken};
pub use unreadable::Unreadable;

/// The file of reports cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the reports cannot be used: {0}")]
pub struct ReportsError(pub String);

#[cfg(test)]
mod tests;

//! One SMTP conversation as a client (RFC 5321 §3), over mail-send's [`SmtpClient`].
//!
//! ```text
//! Connection::open  connect → greeting → EHLO → STARTTLS → EHLO     → Failure says whose fault it is
//!     transact      [RSET] MAIL RCPT… DATA → content → before_dot → "." → Transacted: one answer a recipient
//!     quit
//! ```
//!
//! mail-send owns the stream and carries commands, pipelined groups and their time limits (`cmds`, `read`). Three of
//! its parts are not used, each for a reason found in its source: its reply parser (enhanced codes saturate at 255,
//! error texts are dropped, octets behind a reply are lost; see [`wire`]), its EHLO parser (no LIMITS), and its message
//! writer (it changes bare line ends, appends an empty line, and writes once for each stuffed dot). Replies, EHLO
//! lines and dot-stuffing come from our codec instead.

mod connect;
mod content;
mod exchange;
mod failure;
mod plan;
#[cfg(test)]
mod tests;
mod timeouts;
mod transact;
mod wire;

pub use failure::Failure;
pub use timeouts::Timeouts;
pub use transact::{Source, State, Transacted, Transaction};

use super::codec::EhloLines;
use crate::tls::client::{Fault, Policy};
use exchange::Group;
use mail_send::SmtpClient;
use std::net::{IpAddr, SocketAddr};
use wire::Wire;

/// Where a connection goes, from where, and under which names.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    pub address: SocketAddr,
    /// MX host name, for SNI and verification; an address literal has its brackets.
    pub host: &'a str,
    /// Our address, bound before connecting; `None` leaves the choice to the system.
    pub source: Option<IpAddr>,
    /// The name we say in EHLO.
    pub ehlo: &'a str,
    pub tls: Policy,
    /// Look at the certificate also where any will do; see [`Connection::certificate`].
    pub examine: bool,
}

/// An open conversation with a server, between transactions.
pub struct Connection {
    client: SmtpClient<Wire>,
    offers: EhloLines,
    certificate: Result<(), Fault>,
    timeouts: Timeouts,
    transactions: u32,
    /// The last transaction did not end with a 2xx: RSET goes first in the next.
    unfinished: bool,
    /// Octets could not leave: nothing more can be said.
    broken: bool,
}

impl Connection {
    /// What the server offers, as it said last (after STARTTLS where TLS is spoken).
    pub fn offers(&self) -> &EhloLines {
        &self.offers
    }

    /// `TLSv1.3` and its kin; `None` in clear.
    pub fn tls_version(&self) -> Option<&'static str> {
        self.client.stream.tls_version()
    }

    /// What is wrong with the server's certificate, where somebody has looked ([`Target::examine`], [`Policy::Verify`]).
    pub fn certificate(&self) -> Result<(), Fault> {
        self.certificate
    }

    /// Transactions begun; a failure on a connection that has carried some deserves a free retry on a fresh one.
    pub fn transactions(&self) -> u32 {
        self.transactions
    }

    /// RFC 9422 MAILMAX: the server takes no further transaction on this connection.
    pub fn is_spent(&self) -> bool {
        let limit = self.offers.mail_max;
        limit.is_some_and(|max| u64::from(self.transactions) >= max)
    }

    /// Says QUIT and waits shortly for the answer, so that the server sees a proper end. Dropping a connection
    /// instead closes it without a word.
    pub async fn quit(mut self) {
        let mut group = Group::default();
        group.push("QUIT", |line| line.extend_from_slice(b"QUIT"));
        // Nothing depends on the answer.
        let _parted = exchange::exchange(&mut self.client, &group, self.timeouts.quit.0).await;
    }
}

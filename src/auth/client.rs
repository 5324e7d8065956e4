//! Who hands in a message: what a session knows of its client, in the words a Received field needs.

use super::credentials::Tenant;
use std::net::IpAddr;
use std::sync::Arc;

/// The client of one transaction.
#[derive(Debug, Clone)]
pub struct ClientInfo {
    /// The client's address, as a listed balancer tells it where there is one.
    pub peer: Option<IpAddr>,
    /// What the client calls itself in EHLO or HELO; safe to stand in a header field.
    pub helo: Box<str>,
    /// RFC 3848 and RFC 6531 §4.3: `ESMTPSA`, `UTF8SMTPS`, …
    pub protocol: &'static str,
    /// `TLSv1.3` or `TLSv1.2`; `None` in clear.
    pub tls: Option<&'static str>,
    /// REQUIRETLS stood in MAIL (RFC 8689).
    pub require_tls: bool,
    /// `None` for a client that is trusted by its network alone.
    pub tenant: Option<Arc<Tenant>>,
}

//! How a conversation ends before its time, and whose fault that is.

use crate::mail::{EnhancedCode, Reply};
use crate::spool::SpoolError;
use crate::tls::client::Fault;

/// A conversation that cannot go on. The connection is closed after any of them.
///
/// `reply().command` names the phase: `connect`, `greeting`, `EHLO`, `HELO`, `STARTTLS`, `MAIL`, `RCPT`, `DATA`, `content`,
/// `.`, or `idle` between transactions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No connection, a lost or silent one, or one that speaks no SMTP. Another address may do better.
    #[error("connection: {0}")]
    Connection(Reply),
    /// STARTTLS is missing or refused, or the handshake failed. Under an opportunistic policy the caller may try again
    /// in clear, on a new connection.
    #[error("TLS: {0}")]
    Tls(Reply, Fault),
    /// The message asks for TLS on its whole way, and there is none of that kind here (RFC 8689 §4.2.1).
    #[error("REQUIRETLS: {0}")]
    RequireTls(Reply),
    /// The server ended the conversation itself: a 4xx or 5xx greeting, a refused EHLO, 421 at any point.
    #[error("said: {0}")]
    Said(Reply),
    /// The final dot may have left and no reply came: the message may have been taken. Trying again may repeat it.
    #[error("lost after the final dot: {0}")]
    LostAfterDot(Reply),
    /// Our own side: the content could not be read, or the attempt not journalled.
    #[error("local: {0}")]
    Local(Reply),
}

impl Failure {
    /// What happened, as the reply to record: the server's own, or a local 4xx.
    pub fn reply(&self) -> &Reply {
        match self {
            Self::Connection(reply)
            | Self::Tls(reply, _)
            | Self::RequireTls(reply)
            | Self::Said(reply)
            | Self::LostAfterDot(reply)
            | Self::Local(reply) => reply,
        }
    }

    /// Another address of the site may do better: the fault is this connection's, or this host's refusal to talk
    /// (RFC 7504 §3 for 5xx greetings).
    pub fn worth_another_address(&self) -> bool {
        match self {
            Self::Connection(_) | Self::Tls(..) | Self::RequireTls(_) => true,
            Self::Said(reply) => matches!(&*reply.command, "greeting" | "EHLO" | "HELO"),
            Self::LostAfterDot(_) | Self::Local(_) => false,
        }
    }

    /// The host will not do another time either: it lacks TLS or REQUIRETLS, or shows a certificate that will not do. A
    /// handshake that broke off, was late or was put off says nothing of that.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::RequireTls(_) => true,
            Self::Tls(_, fault) => *fault != Fault::ValidationFailure,
            _ => false,
        }
    }

    /// RFC 3463 §3.5: 4.4.1 no answer from host, at connect and greeting; 4.4.2 bad connection, later.
    pub(super) fn lost(phase: &str, why: impl std::fmt::Display) -> Self {
        let detail = if phase == "connect" { 1 } else { 2 };
        let code = EnhancedCode(4, 4, detail);
        Self::Connection(Reply::local(451, code, why.to_string(), phase))
    }

    pub(super) fn tls(why: impl std::fmt::Display, fault: Fault) -> Self {
        let code = EnhancedCode(4, 7, 5);
        let reply = Reply::local(454, code, why.to_string(), "STARTTLS");
        Self::Tls(reply, fault)
    }

    pub(super) fn local(phase: &str, why: impl std::fmt::Display) -> Self {
        let code = EnhancedCode(4, 3, 0);
        Self::Local(Reply::local(451, code, why.to_string(), phase))
    }

    /// The content cannot be read: a passing fault is waited out, a damaged message will not mend.
    pub(super) fn unreadable(error: &SpoolError) -> Self {
        match error {
            SpoolError::Corrupt(_) => {
                let code = EnhancedCode(5, 3, 0);
                Self::Local(Reply::local(554, code, error.to_string(), "content"))
            }
            _ => Self::local("content", error),
        }
    }

    /// The same loss, in answer to STARTTLS: servers that break off there often talk in clear.
    pub(super) fn at_starttls(self) -> Self {
        match self {
            Self::Connection(reply) => Self::Tls(reply, Fault::ValidationFailure),
            other => other,
        }
    }

    /// The same loss, with the dot possibly at the server.
    pub(super) fn after_dot(self) -> Self {
        match self {
            Self::Connection(reply) => Self::LostAfterDot(reply),
            other => other,
        }
    }
}

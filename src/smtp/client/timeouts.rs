//! How long each phase of a conversation may take (RFC 5321 §4.5.3.2).

use crate::problem::Problems;
use crate::units::Span;
use serde::{Deserialize, Serialize};

/// Limits of patience with a next hop, one a phase. Commands that travel together have the longest of theirs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Until the TCP connection stands.
    pub connect: Span,
    /// Until the server's greeting.
    pub greeting: Span,
    /// For the answer to EHLO, HELO and STARTTLS.
    pub helo: Span,
    /// For the TLS handshake.
    pub tls: Span,
    /// For the answer to MAIL.
    pub mail: Span,
    /// For the answer to RCPT.
    pub rcpt: Span,
    /// For the answer to DATA.
    pub data: Span,
    /// For each block of content to leave.
    pub block: Span,
    /// For the answer to the final dot. Short times here make duplicates (RFC 5321 §4.5.3.2.6).
    pub dot: Span,
    /// For the answer to QUIT.
    pub quit: Span,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Span::secs(30),
            greeting: Span::minutes(5),
            helo: Span::minutes(5),
            tls: Span::minutes(1),
            mail: Span::minutes(5),
            rcpt: Span::minutes(5),
            data: Span::minutes(2),
            block: Span::minutes(3),
            dot: Span::minutes(10),
            quit: Span::secs(5),
        }
    }
}

impl Timeouts {
    /// Notes what is wrong; `at` is the key of this table.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        for (key, span) in [
            ("connect", self.connect),
            ("greeting", self.greeting),
            ("helo", self.helo),
            ("tls", self.tls),
            ("mail", self.mail),
            ("rcpt", self.rcpt),
            ("data", self.data),
            ("block", self.block),
            ("dot", self.dot),
            ("quit", self.quit),
        ] {
            if span.0.is_zero() {
                let key = format!("{at}.{key}");
                problems.add(key, "is zero", "write a time such as \"5m\"");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_without_time_is_a_problem() {
        let mut problems = Problems::default();
        Timeouts::default().validate("delivery.timeouts", &mut problems);
        assert!(problems.is_empty());
        let none = Timeouts {
            dot: Span::default(),
            ..Timeouts::default()
        };
        none.validate("delivery.timeouts", &mut problems);
        assert_eq!(problems.0[0].key, "delivery.timeouts.dot");
    }
}

//! `[smtp]`: what one session may do, and how long it may take.

use crate::problem::Problems;
use crate::smtp::codec::{ContentRules, LineEndings};
use crate::units::{Size, Span};
use serde::{Deserialize, Serialize};

/// Limits of every listener. Each has a reply of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections of all listeners together; a newcomer beyond it is answered 421.
    pub max_connections: usize,
    /// Connections from one address; a newcomer beyond it is answered 421.
    pub max_connections_per_address: usize,
    /// Largest message, as announced in SIZE: `[intake] max_message`, handed in by the assembly.
    #[serde(skip)]
    pub max_message_size: Size,
    /// Recipients of one message; RCPT beyond it is answered 452, and the client sends the rest in another message.
    pub max_recipients: usize,
    /// Longest line of a message, without its CRLF.
    pub max_line_length: Size,
    /// Refused commands in a session, before it is closed with 421.
    pub max_errors: u32,
    /// Commands in a row that bring no message forward, before the session is closed with 421.
    pub max_idle_commands: u32,
    /// A CR or LF that stands alone in a message: "refuse" the message, or "fix" it to CRLF.
    pub line_endings: LineEndings,
    /// Take 8-bit content from clients that did not say BODY=8BITMIME.
    pub accept_undeclared_8bit: bool,
    /// How long the client may take for its TLS handshake, or a balancer for its PROXY header.
    pub handshake_timeout: Span,
    /// How long to wait for the next command.
    pub command_timeout: Span,
    /// How long to wait for the next piece of a message.
    pub content_timeout: Span,
    /// How long the client may take to read our replies.
    pub write_timeout: Span,
    /// Octets a second a message must arrive with, on average after its first ten seconds.
    pub min_rate: Size,
    /// At shutdown, how long sessions may take to finish the message they are in.
    pub shutdown_grace: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 2000,
            max_connections_per_address: 500,
            max_message_size: Size::mib(50),
            max_recipients: 1000,
            max_line_length: Size::kib(64),
            max_errors: 20,
            max_idle_commands: 200,
            line_endings: LineEndings::Refuse,
            accept_undeclared_8bit: false,
            handshake_timeout: Span::secs(30),
            // RFC 5321 §4.5.3.2.7: at least five minutes.
            command_timeout: Span::minutes(5),
            // §4.5.3.2.5 gives a client three minutes for each block it sends.
            content_timeout: Span::minutes(3),
            write_timeout: Span::minutes(1),
            min_rate: Size(256),
            shutdown_grace: Span::secs(30),
        }
    }
}

impl Limits {
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        let counts = [
            ("max_connections", self.max_connections as u64),
            (
                "max_connections_per_address",
                self.max_connections_per_address as u64,
            ),
            ("max_recipients", self.max_recipients as u64),
            ("max_errors", u64::from(self.max_errors)),
        ];
        for (key, _) in counts.iter().filter(|(_, count)| *count == 0) {
            let key = format!("{at}.{key}");
            problems.add(key, "zero would refuse everything", "write 1 or more");
        }
        // RFC 5321 §4.5.3.1.8 and .6.
        let floors = [
            ("max_recipients", self.max_recipients as u64, 100),
            ("max_line_length", self.max_line_length.0, 998),
        ];
        for (key, value, floor) in floors {
            if value > 0 && value < floor {
                problems.add(
                    format!("{at}.{key}"),
                    format!("{value} is under the {floor} that RFC 5321 asks of every server"),
                    format!("write {floor} or more"),
                );
            }
        }
        let spans = [
            ("handshake_timeout", self.handshake_timeout),
            ("command_timeout", self.command_timeout),
            ("content_timeout", self.content_timeout),
            ("write_timeout", self.write_timeout),
        ];
        for (key, _) in spans.iter().filter(|(_, span)| span.0.is_zero()) {
            let key = format!("{at}.{key}");
            problems.add(
                key,
                "no client can answer in no time",
                "write a span such as \"5m\"",
            );
        }
    }

    /// The rules for the content of a message of which the client said `eight_bit`.
    pub(super) fn content_rules(&self, eight_bit: bool) -> ContentRules {
        ContentRules {
            max_size: self.max_message_size.0,
            max_line: self.max_line_length.0,
            eight_bit: eight_bit || self.accept_undeclared_8bit,
            line_endings: self.line_endings,
        }
    }
}

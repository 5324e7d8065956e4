//! One SMTP session as a server, as a function of octets (RFC 5321 §3, §4). No socket, no clock, no disk.
//!
//! The listener feeds octets to [`Session::advance`] and performs the [`Step`] it returns; replies and content gather
//! in an [`Output`] until the listener sends or stores them.
//!
//! ```text
//!             MAIL          the door says yes      RCPT, DATA | BDAT            end of content
//!  Command ─────────▶ Asking ───────────────▶ Envelope ──────────▶ Data | Chunks ─────────▶ Finishing ──▶ Command
//!     │ AUTH                                   RSET, EHLO: back to Command
//!     └──────▶ Sasl ──▶ Checking ──▶ Command
//! ```

mod commands;
mod limits;
mod message;
mod replies;
mod sasl;
#[cfg(test)]
mod tests;

pub use limits::Limits;

use crate::auth::ClientInfo;
use crate::auth::credentials::Tenant;
use crate::mail::{Address, Envelope, Recipient, Reply};
use crate::smtp::codec::line::{Line, first_line};
use crate::smtp::codec::{Command, MailFrom, write_reply};
use message::Message;
use sasl::Exchange;
use std::net::IpAddr;
use std::sync::Arc;

/// What is known of a connection before its first octet.
#[derive(Debug, Clone)]
pub struct Context {
    /// Our name in the banner and in the EHLO reply.
    pub hostname: Arc<str>,
    pub limits: Arc<Limits>,
    pub peer: Option<IpAddr>,
    /// The client's network may send without AUTH.
    pub trusted: bool,
    /// STARTTLS is offered.
    pub starttls: bool,
    /// AUTH is offered under TLS.
    pub auth: bool,
    /// AUTH is offered in clear too.
    pub auth_in_clear: bool,
    /// Whoever comes may hand mail in, and the door says for whom. Nothing is told of addresses otherwise.
    pub public: bool,
}

/// What gathers for the listener: replies to send, content to store.
#[derive(Debug, Default)]
pub struct Output {
    pub replies: Vec<u8>,
    pub content: Vec<u8>,
}

/// What the listener does next.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// Send the replies and wait for more octets.
    Read,
    /// Call `advance` again with what is left of the input.
    Go,
    /// Something was refused, and the client told: an event. Then as `Go`.
    Refused(Box<Refusal>),
    /// May a message come in? Answer with [`Session::door_answered`].
    AskDoor,
    /// May this recipient be given? Answer with [`Session::recipient_answered`].
    AskRecipient(Box<Recipient>),
    /// A message begins: open it at the door, and answer with [`Session::begun`].
    Begin(Box<Envelope>),
    /// Store the content gathered. Tell a refusal with [`Session::content_refused`].
    Store,
    /// Store the content gathered, make the message durable, and answer with [`Session::finished`].
    Finish,
    /// Answer with [`Session::authenticated`].
    CheckPassword { user: String, password: Vec<u8> },
    /// Send the replies and shake hands; then [`Session::secured`].
    StartTls,
    /// Send the replies and close.
    Close,
}

/// Something refused, as the event tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reply: Reply,
    pub sender: Option<Address>,
    pub recipient: Option<Address>,
    /// The session ends with it.
    pub close: bool,
}

/// What the client is at; the listener picks its timeout by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Command,
    Content,
}

/// How authentication ended.
#[derive(Debug, Clone)]
pub enum AuthOutcome {
    Granted(Arc<Tenant>),
    Denied,
    TooMany,
    Unavailable,
}

/// The state of one session.
#[derive(Debug)]
pub struct Session {
    context: Context,
    hello: Option<Hello>,
    tls: Option<&'static str>,
    tenant: Option<Arc<Tenant>>,
    state: State,
    /// Refused commands so far.
    errors: u32,
    /// Commands since a message was last taken.
    idle: u32,
    /// The rest of a line that was too long is passed over.
    skipping: bool,
    /// The transaction that is open asks for TLS on its whole way (RFC 8689).
    require_tls: bool,
}

#[derive(Debug)]
struct Hello {
    name: Box<str>,
    extended: bool,
}

#[derive(Debug)]
enum State {
    Command,
    /// MAIL was read; the door has not answered.
    Asking(Box<MailFrom>),
    Envelope(Box<Envelope>),
    /// RCPT was read; the door has not answered.
    Recipient(Box<Envelope>, Box<Recipient>),
    /// Content comes in by DATA or BDAT.
    Message(Box<Message>),
    /// Octets of a chunk that belongs to no message; then this reply.
    Skip {
        remaining: u64,
        reply: Box<Reply>,
    },
    Sasl(Exchange),
    Checking,
    /// The content is whole; the door has not answered.
    Finishing {
        sender: Option<Address>,
    },
}

impl Session {
    /// Greets the client.
    pub fn open(context: Context, out: &mut Output) -> Self {
        let banner = format!("{} ESMTP ready", context.hostname);
        write_reply(
            &Reply::said(220, None, &banner, "connect"),
            &mut out.replies,
        );
        Self {
            context,
            hello: None,
            tls: None,
            tenant: None,
            state: State::Command,
            errors: 0,
            idle: 0,
            skipping: false,
            require_tls: false,
        }
    }

    /// Takes octets from `input`; returns how many, and what to do next.
    pub fn advance(&mut self, input: &[u8], out: &mut Output) -> (usize, Step) {
        match &mut self.state {
            State::Message(message) if message.wants_content() => self.take_content(input, out),
            State::Skip { .. } => self.skip(input, out),
            // The listener owes an answer; nothing moves before it.
            State::Asking(_) | State::Recipient(..) | State::Checking | State::Finishing { .. } => {
                (0, Step::Read)
            }
            _ if self.skipping => self.skip_line(input, out),
            _ => self.take_line(input, out),
        }
    }

    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Message(message) if message.wants_content() => Phase::Content,
            State::Skip { .. } => Phase::Content,
            _ => Phase::Command,
        }
    }

    /// A message is open at the door. Where this is false, whatever was opened is to be dropped.
    pub fn has_message(&self) -> bool {
        matches!(self.state, State::Message(_) | State::Finishing { .. })
    }

    /// Whom the door is told of.
    pub fn client(&self, utf8: bool) -> ClientInfo {
        ClientInfo {
            peer: self.context.peer,
            helo: self.hello.as_ref().map_or("".into(), |h| h.name.clone()),
            protocol: self.protocol(utf8),
            tls: self.tls,
            require_tls: self.require_tls,
            tenant: self.tenant.clone(),
        }
    }

    pub fn tenant(&self) -> Option<&Arc<Tenant>> {
        self.tenant.as_ref()
    }

    /// The handshake is done. Nothing said before it counts any more (RFC 3207 §4.2).
    pub fn secured(&mut self, version: &'static str) {
        self.tls = Some(version);
        self.hello = None;
        self.tenant = None;
        self.state = State::Command;
    }

    /// Answers [`Step::CheckPassword`].
    pub fn authenticated(&mut self, outcome: AuthOutcome, out: &mut Output) -> Step {
        self.state = State::Command;
        match outcome {
            AuthOutcome::Granted(tenant) => {
                self.tenant = Some(tenant);
                out.replies.extend_from_slice(replies::AUTHENTICATED);
                Step::Go
            }
            AuthOutcome::Denied => self.refuse(replies::bad_credentials(), out),
            AuthOutcome::TooMany => self.refuse(replies::too_many_failures(), out),
            AuthOutcome::Unavailable => self.refuse(replies::auth_unavailable(), out),
        }
    }

    fn take_line(&mut self, input: &[u8], out: &mut Output) -> (usize, Step) {
        match first_line(input) {
            Line::Partial => (0, Step::Read),
            Line::TooLong => {
                self.skipping = true;
                self.skip_line(input, out)
            }
            Line::BareLf { consumed } => {
                self.leave_sasl();
                (consumed, self.refuse(replies::bare_lf(), out))
            }
            Line::Whole { text, consumed } => {
                let behind = input.len() > consumed;
                (consumed, self.on_line(text, behind, out))
            }
        }
    }

    fn skip_line(&mut self, input: &[u8], out: &mut Output) -> (usize, Step) {
        match memchr::memchr(b'\n', input) {
            None => (input.len(), Step::Read),
            Some(end) => {
                self.skipping = false;
                self.leave_sasl();
                (end + 1, self.refuse(replies::line_too_long(), out))
            }
        }
    }

    /// A line that cannot be an answer ends the exchange.
    fn leave_sasl(&mut self) {
        if matches!(self.state, State::Sasl(_)) {
            self.state = State::Command;
        }
    }

    fn on_line(&mut self, line: &[u8], behind: bool, out: &mut Output) -> Step {
        if let State::Sasl(exchange) = &self.state {
            let next = exchange.clone().on(line);
            return self.on_sasl(next, out);
        }
        match Command::parse(line) {
            Ok(command) => self.on(command, behind, out),
            Err(error) => {
                let sender = match &self.state {
                    State::Envelope(envelope) => envelope.sender.clone(),
                    _ => None,
                };
                self.refuse_about(error.reply(line), (sender, None), out)
            }
        }
    }

    /// Tells the client no, counts it, and ends the session where it was one too many.
    fn refuse(&mut self, reply: Reply, out: &mut Output) -> Step {
        self.refuse_about(reply, (None, None), out)
    }

    fn refuse_about(
        &mut self,
        reply: Reply,
        (sender, recipient): (Option<Address>, Option<Address>),
        out: &mut Output,
    ) -> Step {
        self.errors += 1;
        let close = reply.code == 421 || self.errors > self.context.limits.max_errors;
        write_reply(&reply, &mut out.replies);
        if close && reply.code != 421 {
            write_reply(&replies::too_many_errors(), &mut out.replies);
        }
        Step::Refused(Box::new(Refusal {
            reply,
            sender,
            recipient,
            close,
        }))
    }

    /// RFC 3848; RFC 6531 §4.3 for UTF8SMTP.
    fn protocol(&self, utf8: bool) -> &'static str {
        if !self.hello.as_ref().is_some_and(|hello| hello.extended) {
            return "SMTP";
        }
        match (utf8, self.tls.is_some(), self.tenant.is_some()) {
            (false, false, false) => "ESMTP",
            (false, false, true) => "ESMTPA",
            (false, true, false) => "ESMTPS",
            (false, true, true) => "ESMTPSA",
            (true, false, false) => "UTF8SMTP",
            (true, false, true) => "UTF8SMTPA",
            (true, true, false) => "UTF8SMTPS",
            (true, true, true) => "UTF8SMTPSA",
        }
    }
}

//! What each command does.

use super::sasl::{Exchange, Next};
use super::{Hello, Output, Session, State, Step, replies};
use crate::mail::{Address, Envelope, Recipient, Reply};
use crate::smtp::codec::{Command, EhloLines, MailFrom, Mailbox, RcptTo, write_reply};

impl Session {
    /// Carries out a command. `behind` says that the client had sent more when it was read.
    pub(super) fn on(&mut self, command: Command<'_>, behind: bool, out: &mut Output) -> Step {
        if !brings_forward(&command) {
            self.idle += 1;
            if self.idle > self.context.limits.max_idle_commands {
                return self.refuse(replies::too_many_commands(), out);
            }
        }
        match command {
            Command::Mail(mail) => self.on_mail(mail, out),
            Command::Rcpt(rcpt) => self.on_rcpt(rcpt, out),
            Command::Data => self.on_data(behind, out),
            Command::Bdat { size, last } => self.on_bdat(size, last, out),
            Command::Ehlo(name) => self.on_hello(name, true, out),
            Command::Helo(name) => self.on_hello(name, false, out),
            Command::Auth { mechanism, initial } => self.on_auth(mechanism, initial, out),
            Command::StartTls => self.on_starttls(behind, out),
            Command::Rset => {
                self.state = State::Command;
                say(replies::OK, out)
            }
            Command::Noop => say(replies::OK, out),
            Command::Help => say(replies::HELP, out),
            Command::Vrfy if self.context.public => self.refuse(replies::not_implemented(), out),
            Command::Vrfy => say(replies::CANNOT_VERIFY, out),
            Command::Expn => self.refuse(replies::not_implemented(), out),
            Command::Quit => {
                out.replies.extend_from_slice(replies::BYE);
                Step::Close
            }
        }
    }

    fn on_hello(&mut self, name: &str, extended: bool, out: &mut Output) -> Step {
        self.state = State::Command;
        self.hello = Some(Hello {
            name: name.into(),
            extended,
        });
        let hostname = &self.context.hostname;
        let reply = if extended {
            self.offers().reply(hostname)
        } else {
            Reply::said(250, None, hostname, "HELO")
        };
        write_reply(&reply, &mut out.replies);
        Step::Go
    }

    fn offers(&self) -> EhloLines {
        let auth = self.context.auth && (self.tls.is_some() || self.context.auth_in_clear);
        EhloLines {
            pipelining: true,
            size: Some(self.context.limits.max_message_size.0),
            eight_bit_mime: true,
            smtputf8: true,
            enhanced_status_codes: true,
            chunking: true,
            dsn: true,
            starttls: self.context.starttls && self.tls.is_none(),
            requiretls: self.offers_require_tls(),
            auth: if auth {
                "PLAIN LOGIN".into()
            } else {
                String::new()
            },
            rcpt_max: None,
            mail_max: None,
        }
    }

    /// RFC 8689 §2: over TLS alone. Who brings back mail asks nothing of its way: it has arrived.
    fn offers_require_tls(&self) -> bool {
        self.tls.is_some() && !self.context.public
    }

    fn on_starttls(&mut self, behind: bool, out: &mut Output) -> Step {
        if !self.context.starttls {
            return self.refuse(replies::tls_not_offered(), out);
        }
        if self.tls.is_some() {
            return self.refuse(replies::out_of_order("TLS is active", "STARTTLS"), out);
        }
        if behind {
            return self.refuse(replies::said_too_early("STARTTLS"), out);
        }
        out.replies.extend_from_slice(replies::READY_FOR_TLS);
        Step::StartTls
    }

    fn on_auth(&mut self, mechanism: &str, initial: Option<&str>, out: &mut Output) -> Step {
        if let Some(refusal) = self.auth_refusal() {
            return self.refuse(refusal, out);
        }
        match Exchange::begin(mechanism, initial) {
            Some(next) => self.on_sasl(next, out),
            None => self.refuse(replies::unknown_mechanism(), out),
        }
    }

    fn auth_refusal(&self) -> Option<Reply> {
        if !self.context.auth {
            return Some(replies::auth_not_offered());
        }
        if self.tls.is_none() && !self.context.auth_in_clear {
            return Some(replies::auth_needs_tls());
        }
        let why = match (&self.hello, &self.tenant, &self.state) {
            (None, _, _) => "EHLO first",
            (_, Some(_), _) => "already authenticated",
            (_, _, State::Command) => return None,
            _ => "not within a mail transaction",
        };
        Some(replies::out_of_order(why, "AUTH"))
    }

    pub(super) fn on_sasl(&mut self, next: Next, out: &mut Output) -> Step {
        self.state = State::Command;
        match next {
            Next::Challenge(exchange, challenge) => {
                self.state = State::Sasl(exchange);
                out.replies.extend_from_slice(b"334 ");
                out.replies.extend_from_slice(challenge.as_bytes());
                say(b"\r\n", out)
            }
            Next::Credentials { user, password } => {
                self.state = State::Checking;
                Step::CheckPassword { user, password }
            }
            Next::Cancelled => self.refuse(replies::auth_cancelled(), out),
            Next::Malformed => self.refuse(replies::malformed_response(), out),
            Next::OtherIdentity => self.refuse(replies::bad_credentials(), out),
        }
    }

    fn on_mail(&mut self, mail: MailFrom, out: &mut Output) -> Step {
        match self.mail_refusal(&mail) {
            Some(refusal) => self.refuse_about(refusal, (mail.sender, None), out),
            None => {
                self.state = State::Asking(Box::new(mail));
                Step::AskDoor
            }
        }
    }

    fn mail_refusal(&self, mail: &MailFrom) -> Option<Reply> {
        if self.hello.is_none() {
            return Some(replies::out_of_order("EHLO first", "MAIL"));
        }
        if !matches!(self.state, State::Command) {
            return Some(replies::out_of_order("a transaction is open", "MAIL"));
        }
        if self.tenant.is_none() && !self.context.trusted && !self.context.public {
            return Some(replies::must_authenticate());
        }
        if mail.require_tls && !self.offers_require_tls() {
            return Some(replies::no_require_tls(self.context.public));
        }
        let limit = self.context.limits.max_message_size.0;
        if mail.size.is_some_and(|size| size > limit) {
            return Some(replies::too_big(limit, "MAIL"));
        }
        let tenant = self.tenant.as_ref()?;
        let sender = mail.sender.as_ref()?;
        let own = tenant.may_use(sender.domain());
        (!own).then(|| replies::foreign_sender(&tenant.name, sender))
    }

    /// Answers [`Step::AskDoor`].
    pub fn door_answered(&mut self, answer: Result<(), Reply>, out: &mut Output) -> Step {
        let State::Asking(mail) = std::mem::replace(&mut self.state, State::Command) else {
            return Step::Go;
        };
        if let Err(reply) = answer {
            return self.refuse_about(reply, (mail.sender, None), out);
        }
        self.require_tls = mail.require_tls;
        self.state = State::Envelope(Box::new(Envelope {
            sender: mail.sender,
            recipients: Vec::new(),
            body: mail.body,
            smtputf8: mail.smtputf8,
            ret: mail.ret,
            envid: mail.envid,
        }));
        say(replies::SENDER_OK, out)
    }

    fn on_rcpt(&mut self, rcpt: RcptTo, out: &mut Output) -> Step {
        let address = match rcpt.mailbox {
            Mailbox::Address(address) => Some(address),
            Mailbox::Postmaster => format!("postmaster@{}", self.context.hostname).parse().ok(),
        };
        let limit = self.context.limits.max_recipients;
        let refusal = match (&mut self.state, address) {
            (State::Envelope(envelope), Some(address)) => {
                match recipient_refusal(envelope, &address, limit) {
                    None => {
                        return self.on_recipient(Recipient {
                            address,
                            notify: rcpt.notify,
                            orcpt: rcpt.orcpt,
                        });
                    }
                    Some(reply) => (reply, (envelope.sender.clone(), Some(address))),
                }
            }
            (State::Envelope(_), None) => (replies::no_postmaster(), (None, None)),
            (_, address) => (replies::out_of_order("MAIL first", "RCPT"), (None, address)),
        };
        self.refuse_about(refusal.0, refusal.1, out)
    }

    fn on_recipient(&mut self, recipient: Recipient) -> Step {
        match std::mem::replace(&mut self.state, State::Command) {
            State::Envelope(envelope) => {
                let asked = Box::new(recipient.clone());
                self.state = State::Recipient(envelope, Box::new(recipient));
                Step::AskRecipient(asked)
            }
            other => {
                self.state = other;
                Step::Go
            }
        }
    }

    /// Answers [`Step::AskRecipient`].
    pub fn recipient_answered(&mut self, answer: Result<(), Reply>, out: &mut Output) -> Step {
        let (mut envelope, recipient) = match std::mem::replace(&mut self.state, State::Command) {
            State::Recipient(envelope, recipient) => (envelope, recipient),
            other => {
                self.state = other;
                return Step::Go;
            }
        };
        match answer {
            Ok(()) => {
                envelope.recipients.push(*recipient);
                self.state = State::Envelope(envelope);
                say(replies::RECIPIENT_OK, out)
            }
            Err(reply) => {
                let about = (envelope.sender.clone(), Some(recipient.address));
                self.state = State::Envelope(envelope);
                self.refuse_about(reply, about, out)
            }
        }
    }
}

/// An empty chunk before the last adds nothing to a message, and could be sent for ever.
fn brings_forward(command: &Command<'_>) -> bool {
    match command {
        Command::Bdat { size, last } => *size > 0 || *last,
        Command::Rcpt(_) | Command::Data => true,
        _ => false,
    }
}

fn recipient_refusal(envelope: &Envelope, address: &Address, limit: usize) -> Option<Reply> {
    if envelope.recipients.len() >= limit {
        return Some(replies::too_many_recipients(limit));
    }
    (!address.is_ascii() && !envelope.smtputf8).then(replies::recipient_needs_smtputf8)
}

fn say(reply: &[u8], out: &mut Output) -> Step {
    out.replies.extend_from_slice(reply);
    Step::Go
}

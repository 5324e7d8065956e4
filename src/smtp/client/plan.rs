//! What a transaction becomes at this server: commands with the parameters it offers, and what it cannot take.

use super::exchange::Group;
use super::transact::Transaction;
use crate::mail::{Address, BodyType, EnhancedCode, Notify, Recipient, Reply, Ret};
use crate::smtp::codec::EhloLines;
use std::borrow::Cow;

/// The commands up to DATA, and what each of them is.
pub(super) struct Plan {
    pub group: Group,
    pub steps: Vec<Step>,
}

/// One command of a plan; RCPT with the recipient's position in the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Reset,
    Mail,
    Rcpt(usize),
    Data,
}

/// Everything that decides the parameters of one transaction.
struct Terms<'a> {
    transaction: &'a Transaction<'a>,
    offers: &'a EhloLines,
    size: u64,
    utf8: bool,
}

impl Plan {
    /// Plans `transaction` with a message of `size` octets, RSET first where `reset` asks for it. Recipients that the
    /// server cannot be given are refused in `answers`, one each.
    ///
    /// # Errors
    /// The reply for all recipients, where the server cannot take the message.
    pub fn new(
        transaction: &Transaction<'_>,
        size: u64,
        offers: &EhloLines,
        answers: &mut [Result<(), Reply>],
        reset: bool,
    ) -> Result<Self, Reply> {
        check_message(transaction, size, offers)?;
        let terms = Terms {
            transaction,
            offers,
            size,
            utf8: offers.smtputf8 && needs_utf8(transaction),
        };
        let mut plan = Self {
            group: Group::default(),
            steps: Vec::with_capacity(answers.len() + 3),
        };
        if reset {
            plan.push(Step::Reset, |line| line.extend_from_slice(b"RSET"));
        }
        let sender = transaction.sender.map(|sender| terms.mailbox(sender));
        let sender = sender.transpose().map_err(|()| no_utf8("MAIL"))?;
        plan.push(Step::Mail, |line| terms.mail(sender.as_deref(), line));
        for (position, (recipient, answer)) in
            transaction.recipients.iter().zip(answers).enumerate()
        {
            match terms.mailbox(&recipient.address) {
                Ok(mailbox) => plan.push(Step::Rcpt(position), |line| {
                    terms.rcpt(recipient, &mailbox, line);
                }),
                Err(()) => *answer = Err(no_utf8("RCPT")),
            }
        }
        plan.push(Step::Data, |line| line.extend_from_slice(b"DATA"));
        Ok(plan)
    }

    /// No recipient is left to ask for.
    pub fn is_empty(&self) -> bool {
        !self.steps.iter().any(|step| matches!(step, Step::Rcpt(_)))
    }

    fn push(&mut self, step: Step, write: impl FnOnce(&mut Vec<u8>)) {
        self.group.push(step.command(), write);
        self.steps.push(step);
    }
}

impl Step {
    fn command(self) -> &'static str {
        match self {
            Self::Reset => "RSET",
            Self::Mail => "MAIL",
            Self::Rcpt(_) => "RCPT",
            Self::Data => "DATA",
        }
    }
}

fn check_message(t: &Transaction<'_>, size: u64, offers: &EhloLines) -> Result<(), Reply> {
    // RFC 1870 §6.1: SIZE 0 is no limit.
    if let Some(limit) = offers.size.filter(|limit| (1..size).contains(limit)) {
        let text = format!("the message has {size} octets, the next hop takes {limit}");
        return Err(Reply::local(552, EnhancedCode(5, 3, 4), text, "MAIL"));
    }
    if t.smtputf8 && t.eight_bit_header && !offers.smtputf8 {
        return Err(no_utf8("MAIL"));
    }
    if (t.eight_bit_header || t.eight_bit_body) && !offers.eight_bit_mime {
        let text = "the message has 8-bit content and the next hop does not offer 8BITMIME";
        return Err(Reply::local(554, EnhancedCode(5, 6, 3), text, "MAIL"));
    }
    Ok(())
}

fn needs_utf8(t: &Transaction<'_>) -> bool {
    let ascii = |address: &Address| address.is_ascii();
    let addresses = t.sender.is_none_or(ascii) && t.recipients.iter().all(|r| ascii(&r.address));
    !addresses || (t.smtputf8 && t.eight_bit_header)
}

fn no_utf8(command: &str) -> Reply {
    let text = "the address or the header needs SMTPUTF8 and the next hop does not offer it";
    Reply::local(550, EnhancedCode(5, 6, 7), text, command)
}

impl Terms<'_> {
    /// The address as it can be said here: with its domain in A-labels where the server has no SMTPUTF8.
    fn mailbox<'a>(&self, address: &'a Address) -> Result<Cow<'a, str>, ()> {
        if self.utf8 || address.is_ascii() {
            return Ok(address.as_str().into());
        }
        let ascii = address.to_ascii().ok_or(())?;
        Ok(Cow::Owned(ascii.into()))
    }

    fn mail(&self, sender: Option<&str>, line: &mut Vec<u8>) {
        let t = self.transaction;
        line.extend_from_slice(b"MAIL FROM:<");
        line.extend_from_slice(sender.unwrap_or_default().as_bytes());
        line.push(b'>');
        if self.offers.size.is_some() {
            line.extend_from_slice(format!(" SIZE={}", self.size).as_bytes());
        }
        let eight_bit = t.eight_bit_header || t.eight_bit_body || t.body == BodyType::EightBitMime;
        if eight_bit && self.offers.eight_bit_mime {
            line.extend_from_slice(b" BODY=8BITMIME");
        }
        if self.utf8 {
            line.extend_from_slice(b" SMTPUTF8");
        }
        if t.require_tls && self.offers.requiretls {
            line.extend_from_slice(b" REQUIRETLS");
        }
        if self.offers.dsn {
            self.mail_dsn(line);
        }
    }

    /// RFC 3461 §4.3 and §4.4.
    fn mail_dsn(&self, line: &mut Vec<u8>) {
        match self.transaction.ret {
            Some(Ret::Full) => line.extend_from_slice(b" RET=FULL"),
            Some(Ret::Headers) => line.extend_from_slice(b" RET=HDRS"),
            None => {}
        }
        if let Some(envid) = self.transaction.envid {
            line.extend_from_slice(b" ENVID=");
            write_xtext(envid, line);
        }
    }

    fn rcpt(&self, recipient: &Recipient, mailbox: &str, line: &mut Vec<u8>) {
        line.extend_from_slice(b"RCPT TO:<");
        line.extend_from_slice(mailbox.as_bytes());
        line.push(b'>');
        if self.offers.dsn {
            rcpt_dsn(recipient, line);
        }
    }
}

/// RFC 3461 §4.1 and §4.2.
fn rcpt_dsn(recipient: &Recipient, line: &mut Vec<u8>) {
    if let Some(notify) = recipient.notify {
        line.extend_from_slice(b" NOTIFY=");
        line.extend_from_slice(notify_value(notify).as_bytes());
    }
    // An original recipient beyond ASCII has an encoding of its own (RFC 6533 §3), which few servers know.
    let original = recipient.orcpt.as_deref().filter(|text| text.is_ascii());
    if let Some((kind, address)) = original.and_then(|text| text.split_once(';')) {
        line.extend_from_slice(b" ORCPT=");
        line.extend(kind.bytes().filter(u8::is_ascii_graphic));
        line.push(b';');
        write_xtext(address, line);
    }
}

fn notify_value(notify: Notify) -> String {
    let Notify::On {
        success,
        failure,
        delay,
    } = notify
    else {
        return "NEVER".into();
    };
    let words = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
    let asked = words.iter().filter(|(asked, _)| *asked);
    let asked: Vec<&str> = asked.map(|(_, word)| *word).collect();
    // All three unset asks for nothing, which NEVER says.
    if asked.is_empty() {
        "NEVER".into()
    } else {
        asked.join(",")
    }
}

/// RFC 3461 §4: an octet outside printable ASCII, `+` and `=` become `+` and two hexadecimal digits.
fn write_xtext(text: &str, line: &mut Vec<u8>) {
    for octet in text.bytes() {
        match octet {
            b'+' | b'=' => line.extend_from_slice(format!("+{octet:02X}").as_bytes()),
            b'!'..=b'~' => line.push(octet),
            _ => line.extend_from_slice(format!("+{octet:02X}").as_bytes()),
        }
    }
}

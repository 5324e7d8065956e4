//! Delivery status notifications that we write (RFC 3461, RFC 3462, RFC 3464, RFC 6533).
//!
//! Whatever comes from elsewhere (replies, host names, ORCPT, ENVID) is stripped of controls before it is written,
//! so that no server can put a field or a part into our notice.

use super::Notices;
use crate::mail::headers::{HeaderSection, folded};
use crate::mail::{Address, BodyType, Envelope, MessageId, Notify, Recipient, Reply, Ret};
use crate::units::Timestamp;

/// RFC 3464 §2.3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Failed,
    /// Not delivered yet, and still tried.
    Delayed,
    Delivered,
    /// Handed to a server that does not promise notices itself.
    Relayed,
}

/// What became of one recipient.
#[derive(Debug, Clone)]
pub struct Outcome<'a> {
    pub recipient: &'a Recipient,
    pub action: Action,
    /// The last reply, a server's or our own.
    pub reply: &'a Reply,
    /// The host that said it.
    pub remote: Option<&'a str>,
    /// For [`Action::Delayed`]: when we will give up.
    pub retry_until: Option<Timestamp>,
}

/// What is given back of the message.
#[derive(Debug, Clone, Copy)]
pub enum Original<'a> {
    /// Its header section.
    Headers(&'a [u8]),
    /// All of it.
    Full(&'a [u8]),
}

/// The message a notice is about, and what to tell of it.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    pub id: MessageId,
    pub envelope: &'a Envelope,
    pub received: Timestamp,
    pub outcomes: &'a [Outcome<'a>],
    pub original: Original<'a>,
    /// The reporting MTA: our name.
    pub hostname: &'a str,
    pub now: Timestamp,
}

/// A notice ready for the intake, which adds Date, Message-ID, Received and signature.
#[derive(Debug, Clone)]
#[must_use = "a notice that is not handed in tells nobody"]
pub struct Notice {
    pub envelope: Envelope,
    pub content: Vec<u8>,
}

/// Whether the sender is told of this outcome. `setting` is the tenant's or the global one. Mail without a return
/// path is never answered, so that a notice is never about a notice (RFC 5321 §4.5.5).
pub fn wanted(envelope: &Envelope, recipient: &Recipient, setting: Notices, what: Action) -> bool {
    if envelope.sender.is_none() || setting == Notices::Never {
        return false;
    }
    match recipient.notify {
        Some(Notify::Never) => false,
        Some(Notify::On {
            success,
            failure,
            delay,
        }) => match what {
            Action::Failed => failure,
            Action::Delayed => delay,
            Action::Delivered | Action::Relayed => success,
        },
        None => setting == Notices::Failures && what == Action::Failed,
    }
}

/// Whether the whole message goes back, not only its header section: where RET asks, and only of a failure
/// (RFC 3461 §4.3).
pub fn returns_full(envelope: &Envelope, what: Action) -> bool {
    envelope.ret == Some(Ret::Full) && what == Action::Failed
}

/// Writes the notice; `None` where there is nobody to tell or nothing to tell of.
pub fn write(report: &Report<'_>) -> Option<Notice> {
    let to = report.envelope.sender.as_ref()?;
    let worst = report
        .outcomes
        .iter()
        .map(|outcome| outcome.action)
        .min_by_key(rank)?;
    let (Original::Headers(original) | Original::Full(original)) = report.original;
    let writer = Writer {
        report,
        boundary: boundary(report.id, original),
        utf8: is_utf8(report, to),
    };
    let content = writer.message(to, worst);
    let mut recipient = Recipient::new(to.clone());
    recipient.notify = Some(Notify::Never);
    Some(Notice {
        envelope: Envelope {
            sender: None,
            recipients: vec![recipient],
            body: match content.is_ascii() {
                true => BodyType::SevenBit,
                false => BodyType::EightBitMime,
            },
            smtputf8: writer.utf8,
            ret: None,
            envid: None,
        },
        content,
    })
}

struct Writer<'a> {
    report: &'a Report<'a>,
    boundary: String,
    /// Addresses or fields are not ASCII: RFC 6533 instead of RFC 3464.
    utf8: bool,
}

impl Writer<'_> {
    fn message(&self, to: &Address, worst: Action) -> Vec<u8> {
        let mut out = Fields::default();
        let daemon = format!(
            "Mail Delivery System <MAILER-DAEMON@{}>",
            self.report.hostname
        );
        out.add("From", &daemon);
        out.add("To", &format!("<{to}>"));
        out.add("Subject", subject(worst));
        if let Some(id) = self.original_id() {
            out.add("In-Reply-To", &id);
        }
        // RFC 3834 §5: nobody's vacation program answers this.
        out.add("Auto-Submitted", "auto-replied");
        out.add("MIME-Version", "1.0");
        let report_type = format!(
            "multipart/report; report-type=delivery-status; boundary=\"{}\"",
            self.boundary
        );
        out.add("Content-Type", &report_type);
        let mut body = self.part("text/plain; charset=utf-8", self.words(worst).as_bytes());
        body.extend(self.part(
            self.kind("message/delivery-status"),
            self.status().as_bytes(),
        ));
        body.extend(self.original());
        body.extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        if !body.is_ascii() {
            out.add("Content-Transfer-Encoding", "8bit");
        }
        [out.0.as_bytes(), b"\r\n", &body].concat()
    }

    /// One part with its delimiter.
    fn part(&self, kind: &str, content: &[u8]) -> Vec<u8> {
        let encoding = if content.is_ascii() { "7bit" } else { "8bit" };
        let head = format!(
            "--{}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n",
            self.boundary
        );
        let end: &[u8] = if content.ends_with(b"\r\n") {
            b""
        } else {
            b"\r\n"
        };
        [head.as_bytes(), content, end, b"\r\n"].concat()
    }

    fn original(&self) -> Vec<u8> {
        match self.report.original {
            Original::Headers(octets) => self.part(self.kind("text/rfc822-headers"), octets),
            Original::Full(octets) => self.part(self.kind("message/rfc822"), octets),
        }
    }

    /// RFC 6533 §4: the media types that may hold UTF-8.
    fn kind(&self, ascii: &'static str) -> &'static str {
        match ascii {
            "message/delivery-status" if self.utf8 => "message/global-delivery-status",
            "text/rfc822-headers" if self.utf8 => "message/global-headers",
            "message/rfc822" if self.utf8 => "message/global",
            _ => ascii,
        }
    }

    /// For people.
    fn words(&self, worst: Action) -> String {
        let mut out = format!(
            "This is the mail system at {}.\r\n\r\n{}\r\n",
            self.report.hostname,
            explanation(worst)
        );
        for outcome in self.report.outcomes {
            let reply = outcome.reply.to_string();
            let said = match (outcome.reply.local, outcome.remote) {
                (false, Some(host)) => format!("{host} said: {reply}"),
                _ => reply,
            };
            let line = format!(
                "<{}> ({}): {said}",
                outcome.recipient.address,
                word(outcome.action)
            );
            out.push_str(&format!(
                "\r\n  {}\r\n",
                folded("", &self.text(&line)).replace('\t', "      ")
            ));
        }
        let id = self.report.id;
        out.push_str(&format!(
            "\r\nThe message was accepted at {} as {id}.\r\n",
            self.report.received.to_rfc5322()
        ));
        out
    }

    /// For programs: RFC 3464 §2.2 and §2.3.
    fn status(&self) -> String {
        let mut out = Fields::default();
        out.add("Reporting-MTA", &format!("dns; {}", self.report.hostname));
        if let Some(envid) = &self.report.envelope.envid {
            out.add("Original-Envelope-Id", &self.text(envid));
        }
        out.add("Arrival-Date", &self.report.received.to_rfc5322());
        for outcome in self.report.outcomes {
            out.0.push_str("\r\n");
            self.recipient(outcome, &mut out);
        }
        out.0
    }

    fn recipient(&self, outcome: &Outcome<'_>, out: &mut Fields) {
        let address = &outcome.recipient.address;
        if let Some(orcpt) = &outcome.recipient.orcpt {
            out.add("Original-Recipient", &self.text(orcpt));
        }
        let kind = if address.is_ascii() {
            "rfc822"
        } else {
            "utf-8"
        };
        out.add("Final-Recipient", &format!("{kind}; {address}"));
        out.add("Action", word(outcome.action));
        out.add("Status", &status(outcome));
        if let Some(host) = outcome.remote {
            out.add("Remote-MTA", &format!("dns; {}", self.text(host)));
        }
        let kind = if outcome.reply.local {
            "x-mailwright"
        } else {
            "smtp"
        };
        out.add(
            "Diagnostic-Code",
            &format!("{kind}; {}", self.text(&outcome.reply.to_string())),
        );
        out.add("Last-Attempt-Date", &self.report.now.to_rfc5322());
        if let Some(until) = outcome.retry_until {
            out.add("Will-Retry-Until", &until.to_rfc5322());
        }
    }

    /// Text from elsewhere: one line, and ASCII where the notice is.
    fn text(&self, text: &str) -> String {
        let fit = |c: char| match c {
            c if c.is_control() => ' ',
            c if c.is_ascii() || self.utf8 => c,
            _ => '?',
        };
        text.chars().map(fit).collect()
    }

    fn original_id(&self) -> Option<String> {
        let (Original::Headers(octets) | Original::Full(octets)) = self.report.original;
        let end = HeaderSection::end(octets, 0).unwrap_or(octets.len());
        let head = HeaderSection::parse(octets.get(..end)?.to_vec()).ok()?;
        let id = head.first("Message-ID")?.text().into_owned();
        let fine =
            id.starts_with('<') && id.ends_with('>') && id.bytes().all(|b| b.is_ascii_graphic());
        fine.then_some(id)
    }
}

/// Header fields under construction; every value is folded and without controls.
#[derive(Default)]
struct Fields(String);

impl Fields {
    fn add(&mut self, name: &str, value: &str) {
        let value = folded(name, value);
        self.0.push_str(&format!("{name}: {value}\r\n"));
    }
}

/// A delimiter that no line of the returned message begins with.
fn boundary(id: MessageId, original: &[u8]) -> String {
    (0u32..)
        .map(|n| format!("=_{id}/{n}"))
        .find(|boundary| memchr::memmem::find(original, boundary.as_bytes()).is_none())
        .unwrap_or_default()
}

fn is_utf8(report: &Report<'_>, to: &Address) -> bool {
    let (Original::Headers(octets) | Original::Full(octets)) = report.original;
    let end = HeaderSection::end(octets, 0).unwrap_or(octets.len());
    let head = octets.get(..end).unwrap_or_default();
    !to.is_ascii()
        || !head.is_ascii()
        || report
            .outcomes
            .iter()
            .any(|outcome| !outcome.recipient.address.is_ascii())
}

/// The code a server gave, or the least that the action says (RFC 3463 §2).
fn status(outcome: &Outcome<'_>) -> String {
    match (outcome.reply.enhanced, outcome.action) {
        (Some(code), _) => code.to_string(),
        (None, Action::Failed) => "5.0.0".into(),
        (None, Action::Delayed) => "4.0.0".into(),
        (None, Action::Delivered | Action::Relayed) => "2.0.0".into(),
    }
}

fn rank(action: &Action) -> u8 {
    match action {
        Action::Failed => 0,
        Action::Delayed => 1,
        Action::Relayed => 2,
        Action::Delivered => 3,
    }
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Failed => "failed",
        Action::Delayed => "delayed",
        Action::Delivered => "delivered",
        Action::Relayed => "relayed",
    }
}

fn subject(worst: Action) -> &'static str {
    match worst {
        Action::Failed => "Undelivered mail",
        Action::Delayed => "Delayed mail",
        Action::Delivered | Action::Relayed => "Delivered mail",
    }
}

fn explanation(worst: Action) -> &'static str {
    match worst {
        Action::Failed => {
            "Your message could not be delivered to the recipients below.\r\nIt will not be tried again."
        }
        Action::Delayed => {
            "Your message could not be delivered yet to the recipients below.\r\nIt is still tried; you need not send it again."
        }
        Action::Delivered => "Your message was delivered to the recipients below.",
        Action::Relayed => {
            "Your message was handed on for the recipients below, to servers\r\nthat may send no further notice."
        }
    }
}

#[cfg(test)]
mod tests;

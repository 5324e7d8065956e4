//! The events. Their JSON form is in `line`.

use crate::mail::{Address, BounceClass, Disposition, Finding, Labels, MessageId, Reply};
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// The message and, where the event is about one, the recipient.
#[derive(Debug, Clone)]
pub struct About {
    pub id: MessageId,
    pub labels: Arc<Labels>,
    /// `None` is the null sender.
    pub sender: Option<Address>,
    pub recipient: Option<Address>,
    /// Octets of the message as sent.
    pub size: u64,
}

/// The TLS session a transaction ran over.
#[derive(Debug, Clone, Serialize)]
pub struct Tls {
    /// `TLSv1.3`, `TLSv1.2`, or `none`.
    pub version: &'static str,
    /// `opportunistic`, `required`, `verify` or `off`: what the route asked for.
    pub policy: &'static str,
}

/// One attempt at one recipient.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u16,
    pub site: Option<Arc<str>>,
    pub source: Option<Arc<str>>,
    /// Who has the mailbox, by its MX.
    pub provider: Option<Arc<str>>,
    pub tls: Option<Tls>,
    /// From acceptance to this outcome.
    pub latency: Duration,
    /// An earlier attempt may have been delivered too: the connection was lost, or the daemon stopped uncleanly,
    /// between the final dot and the reply.
    pub possible_duplicate: bool,
}

/// The state of a circuit breaker between a source and where it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Breaker {
    /// Mail goes.
    #[default]
    Closed,
    /// None goes.
    Open,
    /// One connection finds out.
    HalfOpen,
}

impl Breaker {
    /// As events and reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// Everything that happens to mail.
#[derive(Debug, Clone)]
pub enum Event {
    /// One a recipient, when the message is durable and before the 250; after a kill told by the next start, without
    /// `peer`, where the log does not have it.
    Accepted {
        about: About,
        peer: Option<std::net::IpAddr>,
        /// What the lint found, and what receivers would find.
        why: Option<String>,
    },
    /// A command or a message was refused in session; nothing was taken.
    Rejected {
        tenant: Option<Box<str>>,
        sender: Option<Address>,
        recipient: Option<Address>,
        peer: Option<std::net::IpAddr>,
        reply: Reply,
    },
    /// The outcome of an attempt: `delivered`, `deferred`, `bounced`, `expired`, `dropped` or `suppressed` by its disposition.
    Outcome {
        about: About,
        attempt: Attempt,
        disposition: Disposition,
    },
    Held {
        about: About,
        why: String,
    },
    Released {
        about: About,
        why: String,
    },
    /// An address is suppressed from now on, or no longer.
    Suppressed {
        tenant: Option<Box<str>>,
        recipient: Address,
        /// The message whose fate led to it.
        id: Option<MessageId>,
        /// For whose mail: `global`, `tenant/acme`, `stream/acme/marketing`, `list/acme/news`.
        scope: String,
        /// `None`: it may be written to again.
        reason: Option<&'static str>,
        /// When it ends by itself.
        until: Option<Timestamp>,
        /// Scope, and who or what did it.
        why: String,
    },
    /// A message that had been delivered came back later; its books say `bounced` from now on.
    Returned {
        about: About,
        attempt: Attempt,
        finding: Finding,
        reply: Reply,
    },
    /// A recipient, or its provider, complained of a message or took the complaint back.
    Complained {
        about: About,
        attempt: Attempt,
        /// The Feedback-Type: `abuse`, `fraud`, `not-spam`, … (RFC 5965 §7.3).
        feedback: Box<str>,
        why: String,
    },
    Unsubscribed {
        about: About,
        /// By which way: `one-click`, `page`, `mail`, `feedback`.
        why: String,
    },
    /// Mail came in that nobody understands, or that is not believed; a person may look at it.
    Unread {
        peer: Option<std::net::IpAddr>,
        sender: Option<Address>,
        recipient: Option<Address>,
        /// What is wrong with it, and where it is kept.
        why: String,
    },
    /// Something was decided about the warm-up of a source.
    Warmup {
        source: Arc<str>,
        /// `*` for the source's mail to all of them.
        provider: Arc<str>,
        /// When what holds it ends, where that is known.
        until: Option<Timestamp>,
        /// The decision, and the numbers it rests on.
        why: String,
    },
    /// A source is kept from a site or a provider for a time, probes it, or is let at it again.
    Breaker {
        state: Breaker,
        source: Arc<str>,
        /// `None`: all sites of the provider.
        site: Option<Arc<str>>,
        provider: Arc<str>,
        /// When it is probed, or let at it, where it is open.
        until: Option<Timestamp>,
        /// In a row, where failures opened it.
        failures: Option<u32>,
        /// What the site had said.
        reply: Option<Reply>,
        why: String,
    },
    /// Something was decided about the reputation of a part of the mail.
    Reputation {
        /// `campaign/acme/spring`, `pair/ip-a/google`.
        slice: String,
        /// `watch`, `page`, `slow`, `ease`, `hold`, `release` or `recovered`.
        action: &'static str,
        until: Option<Timestamp>,
        /// The numbers it rests on.
        why: String,
    },
    /// What reports of others say of mail in the name of a domain gives reason to look (RFC 9990).
    Report {
        /// Of the From addresses.
        domain: Box<str>,
        /// Which of our sources sent; `None`: somebody else.
        source: Option<Arc<str>>,
        /// From where it was sent.
        peer: Option<std::net::IpAddr>,
        /// `own-stream-fails` or `foreign-sender`.
        reason: &'static str,
        /// The numbers it rests on.
        why: String,
    },
    /// A host that has spoken TLS does not any more, or does again; a TLS report of ours went out, or did not.
    Tls {
        /// Whose mail it is about.
        domain: Option<Box<str>>,
        /// The MX host.
        host: Option<Box<str>>,
        /// `downgrade`, `restored`, `report-sent` or `report-failed`.
        reason: &'static str,
        /// Until when mail to the host waits.
        until: Option<Timestamp>,
        why: String,
    },
    /// A DKIM key came to another state of its rotation.
    Dkim {
        domain: Box<str>,
        selector: Box<str>,
        /// `published`, `active`, `retiring` or `removed`.
        state: &'static str,
        why: String,
    },
    /// What others see of an address, a domain or a certificate of ours has changed.
    Outside {
        /// `listed`, `delisted`, `ptr-lost`, `ptr-regained`, `ehlo-mismatch`, `ehlo-matches`, `check-failed`,
        /// `check-works`, `certificate-expires` or `certificate-renewed`.
        action: &'static str,
        source: Option<Arc<str>>,
        /// Of the source, as others see it.
        peer: Option<std::net::IpAddr>,
        domain: Option<Box<str>>,
        /// The blocklist.
        zone: Option<Box<str>>,
        /// A person should look at it now.
        page: bool,
        /// What was found, and what to do.
        why: String,
    },
    /// A configuration was loaded, or refused.
    Config {
        ok: bool,
        why: String,
    },
}

impl Event {
    /// The `type` field.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Rejected { .. } => "rejected",
            Self::Outcome { disposition, .. } => match disposition {
                Disposition::Delivered(_) => "delivered",
                Disposition::Deferred { .. } => "deferred",
                Disposition::Bounced { finding, .. } => match finding.class {
                    BounceClass::Expired => "expired",
                    BounceClass::Dropped => "dropped",
                    BounceClass::Suppressed => "suppressed",
                    _ => "bounced",
                },
            },
            Self::Held { .. } => "held",
            Self::Released { .. } => "released",
            Self::Suppressed { .. } => "suppression",
            Self::Returned { .. } => "bounced",
            Self::Complained { .. } => "complained",
            Self::Unsubscribed { .. } => "unsubscribed",
            Self::Unread { .. } => "unread",
            Self::Warmup { .. } => "warmup",
            Self::Breaker { .. } => "breaker",
            Self::Reputation { .. } => "reputation",
            Self::Report { .. } => "report",
            Self::Tls { .. } => "tls",
            Self::Dkim { .. } => "dkim",
            Self::Outside { .. } => "outside",
            Self::Config { .. } => "config",
        }
    }

    /// Nothing more will happen to its recipient: there is exactly one such event a recipient.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Outcome { disposition, .. } if disposition.is_final())
    }
}

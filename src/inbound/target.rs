//! For whom mail comes in: which of our addresses, and whose token it carries.

use crate::bounce::token::{Keys, Purpose, Token, TokenError};
use crate::mail::{Address, EnhancedCode, Reply};
use crate::units::Timestamp;
use std::collections::HashSet;

/// One of our addresses.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// The return path of one of our messages.
    Return(Token),
    /// Where a recipient of one of our messages unsubscribes by mail.
    Unsubscribe(Token),
    /// Where feedback reports go.
    Feedback,
    /// Where DMARC and TLS reports go.
    Reports,
    /// `postmaster` and `abuse` (RFC 2142), which a person reads.
    Person,
}

/// Why mail for an address does not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// The domain is not one of ours: that would be relaying.
    Domain,
    /// Nothing of ours begins or is called so.
    Mailbox,
    Token(TokenError),
}

/// Our addresses for what comes back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Addresses {
    /// Of return paths and unsubscribing by mail, in A-labels.
    domains: HashSet<Box<str>>,
    /// Local part in lower case, domain in A-labels.
    feedback: HashSet<(Box<str>, Box<str>)>,
    reports: HashSet<(Box<str>, Box<str>)>,
}

impl Addresses {
    /// `domains` are those of return paths. The feedback addresses' domains have a postmaster too.
    pub fn new<'a>(
        domains: impl IntoIterator<Item = &'a str>,
        feedback: impl IntoIterator<Item = &'a Address>,
    ) -> Self {
        let domains = domains
            .into_iter()
            .map(|domain| domain.to_ascii_lowercase().into());
        Self {
            domains: domains.collect(),
            feedback: feedback.into_iter().map(parts).collect(),
            reports: HashSet::new(),
        }
    }

    /// With those that reports about our mail come to.
    pub fn with_reports<'a>(self, reports: impl IntoIterator<Item = &'a Address>) -> Self {
        let reports = reports.into_iter().map(parts).collect();
        Self { reports, ..self }
    }

    /// Nothing can come in.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty() && self.feedback.is_empty() && self.reports.is_empty()
    }

    /// Which of our addresses this is.
    ///
    /// # Errors
    /// It is none of them, or its token is none of ours or too old.
    pub fn target(
        &self,
        address: &Address,
        keys: &Keys,
        now: Timestamp,
    ) -> Result<Target, Stranger> {
        let (local, domain) = parts(address);
        let named = self.feedback.iter().chain(&self.reports);
        let is_named = named.into_iter().any(|(_, other)| *other == domain);
        let of_returns = self.domains.contains(&domain);
        if !is_named && !of_returns {
            return Err(Stranger::Domain);
        }
        let open = |token: &str, purpose| keys.open(token, purpose, now).map_err(Stranger::Token);
        let whole = (local.clone(), domain);
        match (local.split_once('-'), &*local) {
            _ if self.feedback.contains(&whole) => Ok(Target::Feedback),
            _ if self.reports.contains(&whole) => Ok(Target::Reports),
            (_, "postmaster" | "abuse") => Ok(Target::Person),
            (Some(("b", token)), _) if of_returns => {
                open(token, Purpose::Return).map(Target::Return)
            }
            (Some(("u", token)), _) if of_returns => {
                open(token, Purpose::Unsubscribe).map(Target::Unsubscribe)
            }
            _ => Err(Stranger::Mailbox),
        }
    }
}

impl Stranger {
    /// As metrics count it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Domain => "relaying",
            Self::Mailbox => "unknown-address",
            Self::Token(TokenError::Expired) => "expired-token",
            Self::Token(TokenError::Forged | TokenError::Shape) => "forged-token",
        }
    }

    /// What the client is told.
    pub fn reply(self) -> Reply {
        let (enhanced, text) = match self {
            Self::Domain => ((7, 1), "relaying is not done here"),
            Self::Mailbox => ((1, 1), "there is no such address here"),
            Self::Token(TokenError::Expired) => (
                (1, 6),
                "this return address is too old: its message was sent too long ago",
            ),
            Self::Token(_) => (
                (1, 1),
                "there is no such address here: its token is not ours",
            ),
        };
        let (subject, detail) = enhanced;
        Reply::local(550, EnhancedCode(5, subject, detail), text, "RCPT")
    }
}

fn parts(address: &Address) -> (Box<str>, Box<str>) {
    let local = address.local().to_ascii_lowercase();
    (local.into(), address.ascii_domain().into())
}

//! The one value that says why mail waits, so that `queue show` and `explain` need no second opinion.

use super::limits::Full;
use super::reputation::{Hold, Slow};
use super::suspension::Suspension;
use super::warmup::Waiting;
use crate::mail::Reply;
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Which limit or fact holds a message back. Its text says what to look at; where that is a number of the
/// configuration, under which key it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "held_by")]
pub enum Held {
    /// The last attempt was put off; the retry schedule says when next.
    Retry { attempt: u16, reply: Arc<Reply> },
    /// The site does not answer; one connection probes it at `until`.
    SiteDown {
        site: Arc<str>,
        until: Timestamp,
        reply: Arc<Reply>,
    },
    /// Our own address cannot be sent from; it is tried again at `until`.
    SourceDown {
        source: Arc<str>,
        until: Timestamp,
        reply: Arc<Reply>,
    },
    /// As many connections to the site are busy as it has shown it can take; `reply` is what last made them fewer.
    SiteWindow {
        site: Arc<str>,
        window: u32,
        most: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply: Option<Arc<Reply>>,
    },
    /// The site finds one connection too much: rests between messages.
    SiteRest {
        site: Arc<str>,
        until: Timestamp,
        reply: Arc<Reply>,
    },
    /// Others go first over the `window` connections that the site takes: `ahead` of its own campaign, `overtaking` of
    /// the stream that goes before its own; `campaigns` of its tenant take turns, and `tenants`.
    Turn {
        ahead: u64,
        overtaking: u64,
        campaigns: u64,
        tenants: u64,
        window: u32,
    },
    /// A configured limit is used up.
    Limit(Full),
    /// The warm-up of the source has no room: the cap of the day is used, or it pauses.
    Warmup(Arc<Waiting>),
    /// A reply rule or an operator keeps the source from the site or the provider.
    Suspended(Arc<Suspension>),
    /// Too many bounces or complaints.
    Reputation(Arc<Hold>),
    /// Bounces, complaints or blocks are on their way to too many: it goes at a share of its pace, the next at `until`.
    Slowed { slow: Arc<Slow>, until: Timestamp },
    /// Outside the hours in which mail may go.
    SendWindow {
        /// `tenant acme`, `provider google`.
        of: Arc<str>,
        window: Arc<str>,
        until: Timestamp,
        /// Where the window stands in the configuration.
        key: Arc<str>,
    },
    /// SPF of its return path does not let this source send, and another of the pool may.
    Spf {
        source: Arc<str>,
        why: Arc<str>,
        remedy: Arc<str>,
    },
    /// No source can take it.
    NoSource { pool: Arc<str>, why: Arc<str> },
    /// What the decision rests on cannot be read.
    State { until: Timestamp, why: Arc<str> },
    /// Not to be sent before a time of the sender's choosing.
    SendAt,
    /// DNS is being asked where the domain's mail goes.
    Routing { domain: Arc<str> },
    /// Its turn has come; a connection is opening or it is being sent.
    Sending { site: Option<Arc<str>> },
    /// The spool cannot read it for now.
    Spool { why: String },
    /// An operator holds it.
    Operator { why: String },
}

impl Held {
    /// When it is worth asking again, where that is known.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::SiteDown { until, .. }
            | Self::SourceDown { until, .. }
            | Self::SiteRest { until, .. }
            | Self::SendWindow { until, .. }
            | Self::Slowed { until, .. }
            | Self::State { until, .. } => Some(*until),
            Self::Limit(full) => Some(full.until),
            Self::Warmup(waiting) => waiting.until,
            Self::Suspended(suspension) => Some(suspension.until),
            Self::Reputation(hold) => Some(hold.until),
            _ => None,
        }
    }
}

/// What it waits for, to follow "waits for".
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry { attempt, reply } => write!(f, "retry after attempt {attempt}: {reply}"),
            Self::SiteDown { site, reply, .. } => write!(f, "{site} is down: {reply}"),
            Self::SourceDown { source, reply, .. } => {
                write!(f, "source {source} cannot be used: {reply}")
            }
            Self::SiteWindow {
                site,
                window,
                most,
                reply,
            } => {
                write!(
                    f,
                    "{site} takes {window} of at most {most} connections at once, all busy"
                )?;
                reply
                    .as_ref()
                    .map_or(Ok(()), |r| write!(f, "; it last said: {r}"))
            }
            Self::SiteRest { site, reply, .. } => {
                write!(
                    f,
                    "{site} wants rests between messages; it last said: {reply}"
                )
            }
            Self::Turn {
                ahead,
                overtaking,
                campaigns,
                tenants,
                window,
            } => write!(
                f,
                "its turn over {window} connections: {ahead} of its campaign and {overtaking} transactional go before \
                 it; {campaigns} campaigns of its tenant and {tenants} tenants take turns"
            ),
            Self::Limit(full) => write!(f, "{full}"),
            Self::Warmup(waiting) => write!(f, "{waiting}"),
            Self::Suspended(suspension) => write!(f, "{suspension}"),
            Self::Reputation(hold) => write!(f, "{hold}"),
            Self::Slowed { slow, .. } => write!(f, "{slow}"),
            Self::SendWindow {
                of, window, key, ..
            } => {
                write!(f, "the send window of {of}, {window} ({key})")
            }
            Self::Spf { why, remedy, .. } => write!(f, "another source: {why}; {remedy}"),
            Self::NoSource { pool, why } => write!(f, "a source: pool {pool}: {why}"),
            Self::State { why, .. } => write!(f, "the store: {why}"),
            Self::SendAt => f.write_str("the time the sender chose"),
            Self::Routing { domain } => write!(f, "DNS, for the MX of {domain}"),
            Self::Sending { site: Some(site) } => write!(f, "being sent to {site}"),
            Self::Sending { site: None } => f.write_str("being sent"),
            Self::Spool { why } => write!(f, "the spool: {why}"),
            Self::Operator { why } if why.is_empty() => f.write_str("an operator's release"),
            Self::Operator { why } => write!(f, "an operator's release: {why}"),
        }
    }
}

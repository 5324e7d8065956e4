//! The one value that says why mail waits, so that `queue show` and `explain` need no second opinion.

use crate::mail::Reply;
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which limit or fact holds a message back.
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
    /// As many connections to the site are busy as it has shown it can take.
    SiteWindow { site: Arc<str>, window: u32 },
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

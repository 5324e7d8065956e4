//! What comes back by mail: notices of failure, complaints, unsubscribing, and mail for a person.
//!
//! A listener with role = "inbound" hands its messages here. Each is understood and acted on before its 250:
//!
//! | for | what it says | what is done |
//! |---|---|---|
//! | `b-TOKEN@` a return path domain | a notice of failure ([`notices`]) | `bounced`, once; the address may be suppressed |
//! | | a notice of anything else, an automatic reply | counted |
//! | that, or a feedback address | a complaint ([`complaints`]) | `complained`, once; suppressed; the warm-up gate hears |
//! | | `opt-out` | as unsubscribing |
//! | | `not-spam`, `auth-failure` | `complained` alone |
//! | `u-TOKEN@` a return path domain | anything | `unsubscribed`, once; suppressed ([`subscriptions`]) |
//! | an address of `[reports]` | a DMARC or TLS report ([`reporting`]) | stored, once; another is kept in a file |
//! | `postmaster@`, `abuse@`, or not understood | | kept in a file ([`unread`]), `unread` |
//!
//! Tokens are what is believed: without one that verifies nobody is suppressed. Where the store, the books or the disk do
//! not answer the reply is 451, and the sender's next try does what is left: everything here may be done twice.

mod complaints;
mod config;
mod find;
mod ledger;
mod notices;
mod reception;
mod reporting;
mod subscriptions;
mod target;
#[cfg(test)]
mod tests;
mod trouble;
mod unread;

pub use config::Config;
pub use reception::Reception;
pub use subscriptions::{Subscription, Unsubscribed};
pub use target::{Addresses, Stranger, Target};
pub use trouble::{NotDone, Trouble};
pub use unread::{Bounds, Unread};

use crate::auth::ClientInfo;
use crate::books::{Books, Entry, Sent};
use crate::bounce::report::Report;
use crate::bounce::rules::Classifier;
use crate::bounce::stamps::Stamps;
use crate::bounce::token::Token;
use crate::clock::Clock;
use crate::events::metrics::Counters;
use crate::events::{About, Attempt, Events};
use crate::mail::{Address, Envelope, MessageId, Reply};
use crate::policy::Policy;
use crate::reports::Reports;
use crate::units::Live;
use std::sync::Arc;

/// Reads what a message says: [`crate::bounce::report::read`].
pub type Reader = fn(&[u8], &Classifier) -> Report;

/// What it works with.
pub struct Parts {
    pub clock: Clock,
    pub config: Live<Config>,
    pub addresses: Live<Addresses>,
    /// With the keys of tokens.
    pub stamps: Live<Stamps>,
    pub classifier: Live<Classifier>,
    pub read: Reader,
    pub books: Books,
    /// With the suppression list.
    pub policy: Policy,
    pub unread: Unread,
    /// What others report about our mail.
    pub reports: Reports,
    pub events: Events,
    /// Everything that comes in, by what it is.
    pub counts: Counters,
}

/// The inbound side. Cheap to clone.
#[derive(Clone)]
pub struct Inbound(Arc<Parts>);

/// What became of a message for one of our addresses.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "mail that nobody reads is lost"]
enum Handled {
    Done,
    /// A person should see it, for this reason.
    Unread(String),
}

impl Inbound {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Messages come in as long as there is anything to send them to.
    pub fn accepting(&self) -> Result<(), Reply> {
        if self.0.events.are_behind() {
            return Err(Trouble::Events.reply("MAIL"));
        }
        Ok(())
    }

    /// Whether mail for `address` comes in here.
    ///
    /// # Errors
    /// The refusal; it is counted.
    pub fn recipient(&self, address: &Address) -> Result<(), Reply> {
        self.target(address).map(drop)
    }

    /// Begins a message. It is held in memory until it is whole.
    ///
    /// # Errors
    /// A recipient is none of ours any more.
    pub fn begin(&self, client: &ClientInfo, envelope: Envelope) -> Result<Reception, Reply> {
        let recipients = envelope.recipients.into_iter();
        let targets = recipients.map(|recipient| {
            let target = self.target(&recipient.address)?;
            Ok((recipient.address, target))
        });
        let targets = targets.collect::<Result<_, Reply>>()?;
        Ok(Reception::new(
            self.clone(),
            client.peer,
            (envelope.sender, targets),
        ))
    }

    fn target(&self, address: &Address) -> Result<Target, Reply> {
        let parts = &self.0;
        let now = parts.clock.now();
        let addresses = parts.addresses.load();
        addresses
            .target(address, parts.stamps.load().keys(), now)
            .map_err(|stranger| {
                parts.counts.count(stranger.name());
                stranger.reply()
            })
    }

    /// Does what a message for one of our addresses asks for.
    async fn handle(&self, target: &Target, report: &Report) -> Result<Handled, Trouble> {
        match (target, report) {
            (Target::Person, _) => Ok(self.leave("person", "it is for a person")),
            (Target::Unsubscribe(token), _) => self.unsubscribe_by_mail(token).await,
            (Target::Return(token), Report::Notice(notice)) => self.returned(token, notice).await,
            (Target::Return(token), Report::Feedback(feedback)) => {
                self.complained(Some(token), feedback).await
            }
            (Target::Feedback, Report::Feedback(feedback)) => self.complained(None, feedback).await,
            // Its content is read by another reader, in its own place.
            (Target::Reports, _) => Ok(Handled::Done),
            (_, Report::Autoreply(_)) => Ok(self.done("autoreply")),
            // Anybody can write to a feedback address; what came back comes to its return path.
            (Target::Feedback, Report::Notice(_)) => {
                Ok(self.leave("notice-astray", "a notice came to a feedback address"))
            }
            (_, Report::Message(_)) => {
                Ok(self.leave("unknown", "it is neither a notice nor a report"))
            }
        }
    }

    fn done(&self, what: &'static str) -> Handled {
        self.0.counts.count(what);
        Handled::Done
    }

    fn leave(&self, what: &'static str, why: &str) -> Handled {
        self.0.counts.count(what);
        Handled::Unread(why.to_owned())
    }

    /// The message of a token that verifies.
    async fn find(&self, token: &Token) -> Result<Option<Entry>, Trouble> {
        Ok(self.0.books.find(token.id).await?)
    }

    fn about(&self, id: MessageId, entry: &Entry, sent: &Sent) -> (About, Attempt) {
        let latency = self.0.clock.now().since(id.accepted());
        sent.told(id, entry, latency)
    }
}

/// What mail is told whose message is not in the books, though its token is ours.
const NOT_IN_THE_BOOKS: &str = "its token is ours, but its message is not in the books";

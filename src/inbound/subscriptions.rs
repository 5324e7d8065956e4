//! Unsubscribing: by mail to `u-TOKEN@`, by the one-click POST of RFC 8058, by the button of a page, by a report.

use super::{Handled, Inbound, NOT_IN_THE_BOOKS, NotDone, Trouble, find};
use crate::books::{Entry, Sent};
use crate::bounce::token::{Purpose, Token};
use crate::events::Event;
use crate::mail::{Address, MessageId};

/// What a token would unsubscribe from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The address, most of it hidden: whoever has a forwarded message sees the page too.
    pub masked: String,
    /// The mailing list, where the message named one.
    pub list: Option<Box<str>>,
}

/// What came of it. Who asks again is told the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsubscribed {
    Now,
    Before,
}

impl Inbound {
    /// What the token in a link is about; nothing is changed.
    ///
    /// # Errors
    /// It is about nothing, or the books cannot be read.
    pub async fn subscription(&self, token: &str) -> Result<Subscription, NotDone> {
        let (_, entry, position) = self.subscriber(token).await?;
        let sent = entry.recipients.get(position).ok_or(NotDone::Unknown)?;
        Ok(Subscription {
            masked: masked(&sent.address),
            list: entry.labels.list.clone(),
        })
    }

    /// Unsubscribes whom the token in a link names; durable when it returns. `how` is told in the event.
    ///
    /// # Errors
    /// It names nobody, or the store or the books do not answer; asking again does what is left.
    pub async fn unsubscribe(&self, token: &str, how: &str) -> Result<Unsubscribed, NotDone> {
        let (id, entry, position) = self.subscriber(token).await?;
        let sent = entry.recipients.get(position).ok_or(NotDone::Unknown)?;
        Ok(self.unsubscribe_one((id, &entry, sent), how).await?)
    }

    pub(super) async fn unsubscribe_by_mail(&self, token: &Token) -> Result<Handled, Trouble> {
        let Some(entry) = self.find(token).await? else {
            return Ok(self.leave("unknown-message", NOT_IN_THE_BOOKS));
        };
        let Some(sent) = find::one(&entry, token) else {
            let why = "its token does not say which recipient it is about";
            return Ok(self.leave("unknown-recipient", why));
        };
        self.unsubscribe_one((token.id, &entry, sent), "by mail")
            .await?;
        Ok(Handled::Done)
    }

    /// Of a feedback report.
    pub(super) async fn opted_out(
        &self,
        of: (MessageId, &Entry, &Sent),
        how: &str,
    ) -> Result<(), Trouble> {
        self.unsubscribe_one(of, how).await.map(drop)
    }

    /// The message of a token, and where its recipient is.
    async fn subscriber(&self, text: &str) -> Result<(MessageId, Entry, usize), NotDone> {
        let now = self.0.clock.now();
        let opened = self
            .0
            .stamps
            .load()
            .keys()
            .open(text, Purpose::Unsubscribe, now);
        let token = opened.inspect_err(|error| {
            self.0.counts.count(super::Stranger::Token(*error).name());
        })?;
        let entry = self.find(&token).await?.ok_or(NotDone::Unknown)?;
        let position = find::one(&entry, &token).map(|sent| sent.position);
        let mut all = entry.recipients.iter();
        let at = all.position(|sent| Some(sent.position) == position);
        Ok((token.id, entry, at.ok_or(NotDone::Unknown)?))
    }

    async fn unsubscribe_one(
        &self,
        (id, entry, sent): (MessageId, &Entry, &Sent),
        how: &str,
    ) -> Result<Unsubscribed, Trouble> {
        if sent.unsubscribed {
            self.0.counts.count("unsubscribed-again");
            return Ok(Unsubscribed::Before);
        }
        self.suppress_subscriber((id, entry, sent), how).await?;
        if !self
            .mark(id, sent.position, |sent| &mut sent.unsubscribed)
            .await?
        {
            return Ok(Unsubscribed::Before);
        }
        let (about, _) = self.about(id, entry, sent);
        self.0.counts.count("unsubscribed");
        self.0.events.emit(&Event::Unsubscribed {
            about,
            why: how.to_owned(),
        });
        Ok(Unsubscribed::Now)
    }
}

/// `a***@e***.com`: enough to know one's own address by.
fn masked(address: &Address) -> String {
    let first = |text: &str| text.chars().next().map(String::from).unwrap_or_default();
    let local = first(address.local().trim_start_matches('"'));
    let domain = address.domain();
    match domain.rsplit_once('.') {
        Some((name, top)) if !domain.starts_with('[') => {
            format!("{local}***@{}***.{top}", first(name))
        }
        _ => format!("{local}***@***"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_to_who_knows_it() {
        for (address, shown) in [
            ("ann@example.com", "a***@e***.com"),
            ("\u{fc}ber@b\u{fc}ro.example", "\u{fc}***@b***.example"),
            ("\"a b\"@mail.example.co.uk", "a***@m***.uk"),
            ("a@[192.0.2.1]", "a***@***"),
            ("a@localhost", "a***@***"),
        ] {
            let address: Address = address.parse().unwrap();
            assert_eq!(masked(&address), shown);
        }
    }
}

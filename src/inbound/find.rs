//! Which recipients of our message a report is about.

use crate::books::{Entry, Sent};
use crate::bounce::report::{Action, Notice, Returned};
use crate::bounce::token::Token;

/// The recipients that a notice says failed, each with what it says of them.
///
/// A return path is one recipient's. A notice that names others was written behind a forwarder; it is believed where all
/// of them failed, and the mildest of what it says is taken.
pub fn failed<'a>(
    entry: &'a Entry,
    token: &Token,
    notice: &'a Notice,
) -> Vec<(&'a Sent, &'a Returned)> {
    if let Some(sent) = one(entry, token) {
        return of_one(sent, &notice.recipients).into_iter().collect();
    }
    if token.recipient.is_some() {
        return Vec::new();
    }
    let said = notice.recipients.iter().filter(|said| has_failed(said));
    let known = said.filter_map(|said| Some((entry.by_address(&said.address)?, said)));
    known.collect()
}

/// Whom a report with this token is about; `original` is the recipient it names.
pub fn recipient<'a>(entry: &'a Entry, token: &Token, original: Option<&str>) -> Option<&'a Sent> {
    if token.recipient.is_some() {
        return one(entry, token);
    }
    entry.by_address(original?)
}

/// The recipient that the token names. Only a message to several has a token that names none, and the books have those
/// alone whose mail was delivered so far: though one is in them, it may be about another.
pub fn one<'a>(entry: &'a Entry, token: &Token) -> Option<&'a Sent> {
    entry.of_token(token.recipient)
}

fn of_one<'a>(sent: &'a Sent, said: &'a [Returned]) -> Option<(&'a Sent, &'a Returned)> {
    let mut own = said
        .iter()
        .filter(|said| sent.is_at(&said.address))
        .peekable();
    if own.peek().is_some() {
        return own.find(|said| has_failed(said)).map(|said| (sent, said));
    }
    if !said.iter().all(has_failed) {
        return None;
    }
    let mild = said.iter().find(|said| !said.finding.condemns());
    mild.or(said.first()).map(|said| (sent, said))
}

fn has_failed(said: &Returned) -> bool {
    said.action == Action::Failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{BounceClass, MessageId};
    use crate::units::Timestamp;

    fn entry(addresses: &[&str]) -> Entry {
        let sent = |(position, address): (u16, &&str)| Sent {
            position,
            address: address.parse().unwrap(),
            site: None,
            source: None,
            provider: None,
            attempt: 1,
            at: Timestamp::default(),
            returned: false,
            complained: false,
            unsubscribed: false,
        };
        Entry {
            labels: Default::default(),
            sender: None,
            size: 1,
            recipients: (1..).zip(addresses).map(sent).collect(),
        }
    }

    fn token(recipient: Option<u16>) -> Token {
        Token {
            id: MessageId(1),
            recipient,
            tenant: 0,
        }
    }

    fn said(address: &str, action: Action, class: BounceClass) -> Returned {
        Returned {
            address: address.into(),
            action,
            status: None,
            diagnostic: None,
            remote_mta: None,
            finding: class.into(),
        }
    }

    fn found(entry: &Entry, token: &Token, said: Vec<Returned>) -> Vec<(String, BounceClass)> {
        let notice = Notice {
            recipients: said,
            ..Notice::default()
        };
        let found = failed(entry, token, &notice).into_iter();
        found
            .map(|(sent, said)| (sent.address.as_str().to_owned(), said.finding.class))
            .collect()
    }

    use Action::{Delayed, Delivered, Failed};
    use BounceClass::{Hard, Soft};

    #[test]
    fn the_tokens_recipient_fails_where_the_notice_says_so() {
        let entry = entry(&["Ann@a.test", "bob@a.test"]);
        let of = |said| found(&entry, &token(Some(1)), said);
        let ann = || vec![("Ann@a.test".to_owned(), Hard)];
        assert_eq!(of(vec![said("ann@A.test", Failed, Hard)]), ann());
        assert_eq!(of(vec![said("ann@a.test", Delayed, Hard)]), []);
        let both = vec![
            said("bob@a.test", Failed, Soft),
            said("ann@a.test", Failed, Hard),
        ];
        assert_eq!(of(both), ann());
        let other_failed = vec![
            said("bob@a.test", Failed, Soft),
            said("ann@a.test", Delivered, Hard),
        ];
        assert_eq!(of(other_failed), []);
        assert_eq!(of(Vec::new()), []);
    }

    #[test]
    fn behind_a_forwarder_all_must_have_failed_and_the_mildest_counts() {
        let entry = entry(&["ann@a.test"]);
        let of = |said| found(&entry, &token(Some(1)), said);
        assert_eq!(of(vec![said("x@far.test", Failed, Hard)]).len(), 1);
        let mixed = vec![
            said("x@far.test", Failed, Hard),
            said("y@far.test", Failed, Soft),
        ];
        assert_eq!(of(mixed), [("ann@a.test".to_owned(), Soft)]);
        let one_lives = vec![
            said("x@far.test", Failed, Hard),
            said("y@far.test", Delivered, Soft),
        ];
        assert_eq!(of(one_lives), []);
    }

    #[test]
    fn a_token_of_the_whole_message_needs_the_address_of_a_recipient() {
        let both = entry(&["ann@a.test", "bob@a.test"]);
        let of = |said| found(&both, &token(None), said);
        assert_eq!(of(vec![said("x@far.test", Failed, Hard)]), []);
        let named = vec![
            said("bob@a.test", Failed, Hard),
            said("x@far.test", Failed, Hard),
        ];
        assert_eq!(of(named), [("bob@a.test".to_owned(), Hard)]);
        let none = found(
            &both,
            &token(Some(7)),
            vec![said("bob@a.test", Failed, Hard)],
        );
        assert_eq!(none, []);
    }

    /// Once a complaint about mail to several was held against the first of them that had it.
    #[test]
    fn one_in_the_books_is_not_the_one_that_a_token_of_several_means() {
        let first = entry(&["ann@a.test"]);
        let of = |said| found(&first, &token(None), said);
        assert_eq!(of(vec![said("x@far.test", Failed, Hard)]), []);
        assert_eq!(of(vec![said("ann@a.test", Failed, Hard)]).len(), 1);
        assert_eq!(recipient(&first, &token(None), Some("redacted")), None);
        assert_eq!(recipient(&first, &token(None), None), None);
        assert!(recipient(&first, &token(None), Some("ann@a.test")).is_some());
    }

    #[test]
    fn a_report_is_about_whom_the_token_names_and_else_whom_it_names_itself() {
        let both = entry(&["ann@a.test", "bob@a.test"]);
        let who = |position, original| {
            let sent = recipient(&both, &token(position), original);
            sent.map(|sent| sent.address.as_str())
        };
        assert_eq!(who(Some(2), Some("ann@a.test")), Some("bob@a.test"));
        assert_eq!(who(None, Some("<ann@a.test>")), Some("ann@a.test"));
        assert_eq!(who(None, Some("redacted@a.test")), None);
        assert_eq!(who(None, None), None);
    }
}

//! Notices of failure: mail that had been delivered came back.

use super::{Handled, Inbound, NOT_IN_THE_BOOKS, Trouble, find};
use crate::books::{Entry, Sent};
use crate::bounce::report::{Action, Notice, Returned};
use crate::bounce::token::Token;
use crate::events::Event;
use crate::mail::{EnhancedCode, MessageId, Reply};

impl Inbound {
    /// Acts on a notice that came to the return path of `token`.
    pub(super) async fn returned(
        &self,
        token: &Token,
        notice: &Notice,
    ) -> Result<Handled, Trouble> {
        if notice.recipients.is_empty() {
            return Ok(self.leave("unknown", "it is a notice about nobody"));
        }
        if let Some(what) = harmless(&notice.recipients) {
            tracing::debug!(id = %token.id, what, "a notice of no failure");
            return Ok(self.done(what));
        }
        let Some(entry) = self.find(token).await? else {
            return Ok(self.leave("unknown-message", NOT_IN_THE_BOOKS));
        };
        let failed = find::failed(&entry, token, notice);
        if failed.is_empty() {
            return Ok(self.leave("unknown-recipient", "it names no recipient of its message"));
        }
        for (sent, said) in failed {
            self.has_returned(token.id, (&entry, sent), said).await?;
        }
        Ok(Handled::Done)
    }

    /// The suppression first: a sender that has to try again finds the books unchanged, and nothing is left out.
    async fn has_returned(
        &self,
        id: MessageId,
        (entry, sent): (&Entry, &Sent),
        said: &Returned,
    ) -> Result<(), Trouble> {
        if sent.returned {
            self.0.counts.count("returned-again");
            return Ok(());
        }
        let reply = reply(said);
        self.hold_against((id, entry, sent), said.finding, &reply)
            .await?;
        if self
            .mark(id, sent.position, |sent| &mut sent.returned)
            .await?
        {
            let (about, attempt) = self.about(id, entry, sent);
            self.0.counts.count("returned");
            self.0.events.emit(&Event::Returned {
                about,
                attempt,
                finding: said.finding,
                reply,
            });
        }
        Ok(())
    }
}

/// What a notice is that tells of no failure.
fn harmless(said: &[Returned]) -> Option<&'static str> {
    let has = |action| said.iter().any(|said| said.action == action);
    match () {
        () if has(Action::Failed) => None,
        () if has(Action::Delayed) => Some("delayed"),
        () => Some("delivered"),
    }
}

/// What the notice says a server had said, as a reply. A code that nobody gave is 550.
fn reply(said: &Returned) -> Reply {
    let text = said.diagnostic.as_deref().unwrap_or_default().trim();
    let digits = text.get(..3).filter(|_| !is_digit(text.as_bytes().get(3)));
    let code: Option<u16> = digits.and_then(|code| code.parse().ok());
    let code = code.filter(|code| (400..600).contains(code));
    let rest = match code {
        Some(_) => text
            .get(3..)
            .unwrap_or_default()
            .trim_start_matches([' ', '-']),
        None => text,
    };
    let said_enhanced = EnhancedCode::split(rest);
    let (enhanced, rest) = match said_enhanced {
        Some((enhanced, rest)) => (Some(enhanced), rest),
        None => {
            let status = said.status.as_deref().and_then(EnhancedCode::split);
            (status.map(|(enhanced, _)| enhanced), rest)
        }
    };
    Reply::said(code.unwrap_or(550), enhanced, rest, "")
}

fn is_digit(octet: Option<&u8>) -> bool {
    octet.is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::BounceClass;

    fn said(status: &str, diagnostic: &str) -> Returned {
        Returned {
            address: String::new(),
            action: Action::Failed,
            status: Some(status.to_owned()),
            diagnostic: Some(diagnostic.to_owned()),
            remote_mta: None,
            finding: BounceClass::Hard.into(),
        }
    }

    #[test]
    fn the_servers_words_become_a_reply() {
        for (status, diagnostic, expected) in [
            ("5.1.1", "550 5.1.1 No such user", "550 5.1.1 No such user"),
            ("5.2.2", "452 mailbox full", "452 5.2.2 mailbox full"),
            ("5.0.0", "550-5.7.1 blocked", "550 5.7.1 blocked"),
            ("5.1.1", "unknown user", "550 5.1.1 unknown user"),
            ("", "", "550 "),
            ("x", "5501 x", "550 5501 x"),
            ("x", "\u{fc}\u{fc} voll", "550 \u{fc}\u{fc} voll"),
        ] {
            assert_eq!(reply(&said(status, diagnostic)).to_string(), expected);
        }
    }

    #[test]
    fn only_a_failure_is_acted_on() {
        let of = |actions: &[Action]| {
            let said = actions.iter().map(|action| Returned {
                action: *action,
                ..said("", "")
            });
            harmless(&said.collect::<Vec<_>>())
        };
        assert_eq!(of(&[Action::Delayed, Action::Failed]), None);
        assert_eq!(of(&[Action::Delayed, Action::Delivered]), Some("delayed"));
        assert_eq!(of(&[Action::Relayed, Action::Expanded]), Some("delivered"));
    }
}

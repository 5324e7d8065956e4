//! Feedback reports: a recipient or its provider complained, or took it back.

use super::{Handled, Inbound, NOT_IN_THE_BOOKS, Stranger, Trouble, find};
use crate::books::{Entry, Sent};
use crate::bounce::report::Feedback;
use crate::bounce::token::{Purpose, Token, TokenError};
use crate::events::Event;
use crate::mail::MessageId;

/// What is done about a kind of feedback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Complaint,
    OptOut,
    /// Told, and nothing else: `not-spam` takes a complaint back, `auth-failure` is about signatures.
    Told(&'static str),
}

impl Meaning {
    /// RFC 5965 §7.3, RFC 6591 §3.1. A type that is not known is a complaint as `other` is.
    fn of(feedback_type: &str) -> Self {
        match feedback_type {
            "not-spam" => Self::Told("not-spam"),
            "auth-failure" => Self::Told("auth-failure"),
            "opt-out" | "opt-out-list" => Self::OptOut,
            _ => Self::Complaint,
        }
    }
}

impl Inbound {
    /// Acts on a feedback report; `token` is that of the return path it came to.
    pub(super) async fn complained(
        &self,
        token: Option<&Token>,
        feedback: &Feedback,
    ) -> Result<Handled, Trouble> {
        let Some(token) = self.believed(token, &feedback.original.tokens) else {
            return Ok(self.leave(
                "complaint-without-token",
                "it is a feedback report without a token of ours",
            ));
        };
        let Some(entry) = self.find(&token).await? else {
            return Ok(self.leave("unknown-message", NOT_IN_THE_BOOKS));
        };
        let original = feedback.original_recipient.as_deref();
        let Some(sent) = find::recipient(&entry, &token, original) else {
            let why = "it is a feedback report that does not say which recipient it is about";
            return Ok(self.leave("unknown-recipient", why));
        };
        let of = (token.id, &entry, sent);
        match Meaning::of(&feedback.feedback_type) {
            Meaning::Complaint => self.has_complained(of, feedback).await?,
            Meaning::OptOut => self.opted_out(of, "by a feedback report (opt-out)").await?,
            Meaning::Told(what) => {
                self.0.counts.count(what);
                self.tell_complaint(of, feedback);
            }
        }
        Ok(Handled::Done)
    }

    /// The token to go by: that of the return path first, then those in the content that verify; of one message, one that
    /// names a recipient.
    fn believed(&self, envelope: Option<&Token>, content: &[String]) -> Option<Token> {
        let (stamps, now) = (self.0.stamps.load(), self.0.clock.now());
        let mut refused = None;
        let mut believed: Vec<Token> = envelope.copied().into_iter().collect();
        for text in content {
            match stamps.keys().open(text, Purpose::Return, now) {
                Ok(token) => believed.push(token),
                Err(TokenError::Shape) => {}
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        let Some(first) = believed.first() else {
            if let Some(error) = refused {
                self.0.counts.count(Stranger::Token(error).name());
            }
            return None;
        };
        let named = |token: &&Token| token.id == first.id && token.recipient.is_some();
        Some(*believed.iter().find(named).unwrap_or(first))
    }

    async fn has_complained(
        &self,
        (id, entry, sent): (MessageId, &Entry, &Sent),
        feedback: &Feedback,
    ) -> Result<(), Trouble> {
        if sent.complained {
            self.0.counts.count("complained-again");
            return Ok(());
        }
        self.suppress_complainer((id, entry, sent), feedback)
            .await?;
        if self
            .mark(id, sent.position, |sent| &mut sent.complained)
            .await?
        {
            self.0.counts.count("complained");
            self.tell_complaint((id, entry, sent), feedback);
            if let (Some(source), Some(provider)) = (&sent.source, &sent.provider) {
                self.0
                    .policy
                    .complained(source, provider, self.0.clock.now());
            }
        }
        Ok(())
    }

    fn tell_complaint(&self, (id, entry, sent): (MessageId, &Entry, &Sent), feedback: &Feedback) {
        let (about, attempt) = self.about(id, entry, sent);
        let by = [
            feedback.user_agent.as_deref(),
            feedback.reporting_mta.as_deref(),
        ];
        let by = by
            .into_iter()
            .flatten()
            .next()
            .unwrap_or("somebody unnamed");
        self.0.events.emit(&Event::Complained {
            about,
            attempt,
            feedback: known(&feedback.feedback_type).into(),
            why: format!(
                "a feedback report by {}",
                by.chars().take(LONGEST).collect::<String>()
            ),
        });
    }
}

/// Of what a stranger wrote, so many characters are told.
const LONGEST: usize = 128;

/// A type of feedback as events tell it.
pub(super) fn known(feedback_type: &str) -> &str {
    let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match feedback_type {
        text if (1..=32).contains(&text.len()) && is_word(text) => text,
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_complaint_is_known_and_everything_else_is_one() {
        for (text, meaning) in [
            ("abuse", Meaning::Complaint),
            ("fraud", Meaning::Complaint),
            ("virus", Meaning::Complaint),
            ("other", Meaning::Complaint),
            ("x-newer", Meaning::Complaint),
            ("opt-out", Meaning::OptOut),
            ("not-spam", Meaning::Told("not-spam")),
            ("auth-failure", Meaning::Told("auth-failure")),
        ] {
            assert_eq!(Meaning::of(text), meaning, "{text}");
        }
    }
}

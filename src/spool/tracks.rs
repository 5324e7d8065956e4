//! How far the recipients of a message have come, as the ledger keeps it.

use super::Progress;
use super::record::FoldedRecipient;
use crate::mail::{Disposition, Reply};
use crate::units::Timestamp;
use std::collections::HashSet;
use std::sync::Arc;

/// How far one recipient has come, in 24 octets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Track {
    last: Option<Arc<Reply>>,
    until: Timestamp,
    attempts: u16,
    /// The journalled attempt whose outcome is not known yet; 0 is none.
    pending: u16,
    done: bool,
    in_doubt: bool,
}

/// Most messages have one recipient: theirs needs no allocation.
#[derive(Debug)]
pub enum Tracks {
    One(Track),
    Many(Box<[Track]>),
    /// Of a message whose body is a file of its own: beside that an allocation is little.
    Large(Box<[Track]>),
}

impl Tracks {
    /// Of a message just accepted.
    pub fn fresh(recipients: usize, large: bool) -> Self {
        match recipients {
            1 if !large => Self::One(Track::default()),
            n => Self::of(vec![Track::default(); n], large),
        }
    }

    pub fn of(tracks: Vec<Track>, large: bool) -> Self {
        if large {
            return Self::Large(tracks.into());
        }
        match <[Track; 1]>::try_from(tracks) {
            Ok([one]) => Self::One(one),
            Err(many) => Self::Many(many.into()),
        }
    }

    pub fn is_large(&self) -> bool {
        matches!(self, Self::Large(_))
    }

    pub fn all(&self) -> &[Track] {
        match self {
            Self::One(track) => std::slice::from_ref(track),
            Self::Many(tracks) | Self::Large(tracks) => tracks,
        }
    }

    pub fn all_mut(&mut self) -> &mut [Track] {
        match self {
            Self::One(track) => std::slice::from_mut(track),
            Self::Many(tracks) | Self::Large(tracks) => tracks,
        }
    }
}

impl Track {
    pub fn unfolded(recipient: FoldedRecipient, replies: &mut Replies) -> Self {
        Self {
            last: recipient.last.map(|reply| replies.share(&reply)),
            until: recipient.until,
            attempts: recipient.attempts,
            pending: recipient.pending,
            done: recipient.done,
            in_doubt: recipient.in_doubt,
        }
    }

    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Whether an outcome of `attempt` may be its second: an earlier attempt was never answered.
    pub fn is_in_doubt(&self, attempt: u16) -> bool {
        self.in_doubt || self.is_unanswered_by(attempt)
    }

    /// An unclean stop left it without an answer; of a fresh message that is not known, and may be.
    pub fn is_unanswered(&self, fresh: bool) -> bool {
        !self.done && (self.pending > 0 || fresh && !self.in_doubt)
    }

    pub fn doubt(&mut self, attempt: u16) {
        // A doubt that no outcome has resolved before the next attempt was left by an unclean stop.
        let left = self.pending > 0 && self.pending != attempt;
        self.in_doubt |= left || attempt == 0;
        self.attempts = self.attempts.max(self.pending);
        self.pending = attempt;
    }

    /// An attempt is open, and it is not this one.
    fn is_unanswered_by(&self, attempt: u16) -> bool {
        self.pending > 0 && self.pending != attempt
    }

    pub fn outcome(&mut self, attempts: u16, disposition: &Disposition, replies: &mut Replies) {
        if self.done {
            return;
        }
        self.in_doubt |= self.is_unanswered_by(attempts);
        self.pending = 0;
        self.attempts = attempts;
        match disposition {
            Disposition::Deferred { until, why, .. } => {
                self.in_doubt |= disposition.leaves_doubt();
                self.until = *until;
                self.last = Some(replies.share(why));
            }
            Disposition::Delivered(_) | Disposition::Bounced { .. } => {
                self.done = true;
                self.last = None;
            }
        }
    }

    pub fn progress(&self) -> Progress {
        Progress {
            done: self.done,
            attempts: self.attempts,
            until: self.until,
            in_doubt: self.in_doubt,
            last: self.last.clone(),
        }
    }

    pub fn folded(&self) -> FoldedRecipient {
        FoldedRecipient {
            done: self.done,
            attempts: self.attempts,
            until: self.until,
            in_doubt: self.in_doubt,
            pending: self.pending,
            last: self.last.clone(),
        }
    }
}

/// Equal replies held once: a site that is down says the same of a hundred thousand recipients.
#[derive(Debug, Default)]
pub struct Replies(HashSet<Arc<Reply>>);

impl Replies {
    const MOST: usize = 1024;

    fn share(&mut self, reply: &Reply) -> Arc<Reply> {
        if let Some(known) = self.0.get(reply) {
            return Arc::clone(known);
        }
        if self.0.len() >= Self::MOST {
            self.0.clear();
        }
        let new = Arc::new(reply.clone());
        self.0.insert(Arc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_is_resolved_by_its_own_outcome_only() {
        let deferred = Disposition::Deferred {
            until: Timestamp::from_millis(5),
            finding: crate::mail::BounceClass::Throttled.into(),
            why: Reply::said(451, None, "later", "."),
        };
        let mut replies = Replies::default();
        let mut track = Track::default();
        track.doubt(1);
        track.outcome(1, &deferred, &mut replies);
        assert!(!track.progress().in_doubt);
        track.doubt(2);
        track.doubt(3);
        track.outcome(3, &deferred, &mut replies);
        assert!(track.progress().in_doubt, "attempt 2 was never answered");
    }
}

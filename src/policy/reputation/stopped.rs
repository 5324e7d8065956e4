//! What the suppression list took in, gave back, and kept from leaving.

use super::Reputation;
use super::book::Shown;
use super::counts::{Counts, Metric};
use super::rings::Window;
use super::slice::{NOBODY, Slice};
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};

/// Addresses and mail of one reason and scope, within a window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stopped {
    /// `hard`, `soft`, `complaint`, `unsubscribe`, `manual` or `invalid`; `-` for what was taken off the list.
    pub reason: String,
    /// `global`, `tenant/acme`, `stream/acme/marketing`, `list/acme/news`; `others` for what is beyond the most that are told
    /// apart.
    pub scope: String,
    /// Addresses put on the list, but for imports; and in the window before.
    pub listed: u64,
    pub listed_before: u64,
    /// Addresses taken off it.
    pub unlisted: u64,
    /// Recipients refused at submission.
    pub refused: u64,
    /// Recipients whose mail was taken and not sent.
    pub dropped: u64,
}

impl Reputation {
    /// An address is on the list from now on, or, without a reason, no longer.
    pub(super) fn count_listed(&self, scope: &str, reason: Option<&str>, now: Timestamp) {
        let metric = match reason {
            Some(_) => Metric::Listed,
            None => Metric::Unlisted,
        };
        self.stopped((reason.unwrap_or(NOBODY), scope), metric, now);
    }

    /// The list kept mail from a recipient: [`Metric::Refused`] at submission, or [`Metric::Suppressed`] before it left.
    pub fn stopped(&self, (reason, scope): (&str, &str), metric: Metric, now: Timestamp) {
        let slice = Slice::Suppression(reason.into(), scope.into());
        self.0.book.lock().count(slice, &[metric], 1, now);
    }

    /// What the list did within a window, that which stopped most first.
    pub fn suppressed(&self, window: Window, now: Timestamp) -> Vec<Stopped> {
        let of_the_list = |slice: &Slice| matches!(slice, Slice::Suppression(..));
        let shown = self.show(of_the_list, window, now).into_iter();
        let mut all: Vec<Stopped> = shown.filter_map(stopped).collect();
        let weight = |s: &Stopped| (s.refused + s.dropped, s.listed + s.unlisted);
        all.sort_by_key(|s| std::cmp::Reverse(weight(s)));
        all
    }
}

fn stopped(shown: Shown) -> Option<Stopped> {
    let (counts, before) = (shown.counts, shown.before);
    let Slice::Suppression(reason, scope) = shown.slice else {
        return None;
    };
    (counts != Counts::default()).then(|| Stopped {
        reason: reason.to_string(),
        scope: scope.to_string(),
        listed: counts.get(Metric::Listed),
        listed_before: before.get(Metric::Listed),
        unlisted: counts.get(Metric::Unlisted),
        refused: counts.get(Metric::Refused),
        dropped: counts.get(Metric::Suppressed),
    })
}

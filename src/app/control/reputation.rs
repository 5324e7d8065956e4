//! What operators ask of reputations.

use super::Daemon;
use crate::bounce::replies::ReplyPattern;
use crate::http::{Refusal, Release, Released, Report, WhichReputation};
use crate::policy::reputation::{Slice, Window};

/// Stands in events where nobody is named.
const OPERATOR: &str = "an operator";

impl Daemon {
    pub(super) fn report(&self, which: &WhichReputation) -> Result<Report, Refusal> {
        let by: Vec<String> = which
            .by
            .split(',')
            .map(str::trim)
            .map(str::to_owned)
            .collect();
        let by: Vec<String> = by.into_iter().filter(|kind| !kind.is_empty()).collect();
        if let Some(kind) = by
            .iter()
            .find(|kind| !Slice::KINDS.contains(&kind.as_str()))
        {
            let kinds = Slice::KINDS.join(", ");
            return Err(Refusal::Unknown(format!(
                "there is no report by \"{kind}\": write one of {kinds}"
            )));
        }
        let (since, at) = (window(&which.since)?, self.clock.now());
        let reputation = self.policy.reputation();
        Ok(Report {
            since,
            at,
            slices: reputation.report(&by, since, at),
            replies: self.heard.replies().within(since, which.replies, at),
            suppressed: reputation.suppressed(since, at),
            outside: self.outside.known().book(),
        })
    }

    pub(super) fn said(&self, since: Option<&str>) -> Result<Vec<ReplyPattern>, Refusal> {
        Ok(match since {
            None => self.heard.replies().patterns(),
            Some(since) => {
                let (since, now) = (window(since)?, self.clock.now());
                self.heard.replies().within(since, usize::MAX, now)
            }
        })
    }

    pub(super) async fn release_reputation(&self, order: &Release) -> Result<Released, Refusal> {
        let slice: Slice =
            order
                .slice
                .parse()
                .map_err(|error: crate::policy::reputation::NotASlice| {
                    Refusal::Unknown(error.to_string())
                })?;
        let by = order.why.as_deref().unwrap_or(OPERATOR);
        let released = self.policy.release(&slice, by).await;
        Ok(Released {
            released: released.into_iter().collect(),
            eased: self.policy.ease(&slice, by).into_iter().collect(),
        })
    }
}

fn window(since: &str) -> Result<Window, Refusal> {
    let names = || Window::ALL.map(Window::name).join(", ");
    let refused = || {
        Refusal::Unknown(format!(
            "\"{since}\" is no window: write one of {}",
            names()
        ))
    };
    Window::named(since).ok_or_else(refused)
}

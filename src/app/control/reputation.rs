//! What operators ask of reputations.

use super::Daemon;
use crate::http::{Refusal, Release, Released, WhichReputation};
use crate::policy::reputation::{Row, Slice, Window};

/// Stands in events where nobody is named.
const OPERATOR: &str = "an operator";

impl Daemon {
    pub(super) fn report(&self, which: &WhichReputation) -> Result<Vec<Row>, Refusal> {
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
        let Some(window) = Window::named(&which.since) else {
            let names = Window::ALL.map(Window::name).join(", ");
            let since = &which.since;
            return Err(Refusal::Unknown(format!(
                "\"{since}\" is no window: write one of {names}"
            )));
        };
        let reputation = self.policy.reputation();
        Ok(reputation.report(&by, window, self.clock.now()))
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
        })
    }
}

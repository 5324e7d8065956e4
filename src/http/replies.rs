//! Refusals that were heard, by pattern.

use super::Control;
use super::problem::Problem;
use crate::bounce::replies::ReplyPattern;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The query of `GET /api/v1/replies`: what is left out fits all. The answer is a list of [`ReplyPattern`]s.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WhichReplies {
    /// `false`: those alone that no rule knows.
    pub matched: Option<bool>,
    pub provider: Option<String>,
    /// So many at most.
    pub limit: Option<usize>,
    /// Heard within `15m`, `1h`, `24h`, `7d` or `30d`, and counted there; without it all that is known is counted.
    pub since: Option<String>,
}

pub(super) async fn heard<C: Control>(
    State(control): State<Arc<C>>,
    query: Result<Query<WhichReplies>, QueryRejection>,
) -> Result<Json<Vec<ReplyPattern>>, Problem> {
    let Query(which) = query?;
    let since = which.since.as_deref();
    let mut patterns = control.replies(since)?;
    patterns.retain(|pattern| which.fits(pattern));
    patterns.truncate(which.limit.unwrap_or(usize::MAX));
    Ok(Json(patterns))
}

impl WhichReplies {
    fn fits(&self, pattern: &ReplyPattern) -> bool {
        let provider = self.provider.as_ref();
        self.matched
            .is_none_or(|matched| matched == pattern.matched)
            && provider.is_none_or(|name| *name == pattern.provider)
    }
}

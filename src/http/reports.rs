//! What others report about our mail, as the API tells of it.

use super::problem::Problem;
use super::{Control, Refusal};
use crate::reports::advice::Advice;
use crate::reports::rows::Shown;
use crate::reports::{Imported, Order};
use crate::units::Span;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The query of `GET /api/v1/reports`. The answer is a [`Shown`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WhichReports {
    /// With the domains below it; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// By the days that reports are about: `30d`.
    pub since: Span,
}

impl Default for WhichReports {
    fn default() -> Self {
        Self {
            domain: None,
            since: Span::days(30),
        }
    }
}

/// Where a report is handed in, and its octets at most.
pub(super) const IMPORT: &str = "/api/v1/reports/import";
pub(super) const LARGEST_REPORT: usize = 32 << 20;

pub(super) async fn show<C: Control>(
    State(control): State<Arc<C>>,
    query: Result<Query<WhichReports>, QueryRejection>,
) -> Result<Json<Shown>, Problem> {
    let Query(which) = query?;
    Ok(Json(control.reports(&which).await?))
}

/// The body is the file as it is.
pub(super) async fn import<C: Control>(
    State(control): State<Arc<C>>,
    query: Result<Query<Order>, QueryRejection>,
    body: Bytes,
) -> Result<Json<Imported>, Problem> {
    let Query(order) = query?;
    Ok(Json(control.import_report(body.to_vec(), &order).await?))
}

pub(super) async fn advise<C: Control>(
    State(control): State<Arc<C>>,
    query: Result<Query<WhichReports>, QueryRejection>,
) -> Result<Json<Advice>, Problem> {
    let Query(which) = query?;
    if which.domain.is_none() {
        return Err(Refusal::Impossible("say of which domain: ?domain=".to_owned()).into());
    }
    Ok(Json(control.advise(&which).await?))
}

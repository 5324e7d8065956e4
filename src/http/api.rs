//! The handlers.

use super::access::{Access, guard};
use super::{Action, Control, Done, Order, QueueEntry, Reloaded};
use crate::events::metrics::CONTENT_TYPE;
use crate::mail::MessageId;
use crate::queue::Selector;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::Deserialize;
use std::sync::Arc;

/// An order is a few fields; nothing larger is read.
const LARGEST_BODY: usize = 64 << 10;

pub fn router<C: Control>(control: Arc<C>, access: Access) -> Router {
    let guarded = Router::new()
        .route("/metrics", get(metrics::<C>))
        .route("/api/v1/queue", get(list::<C>))
        .route("/api/v1/queue/{name}", get(show::<C>).post(act::<C>))
        .route("/api/v1/reload", post(reload::<C>))
        .fallback(async || Problem::not_found("there is nothing here"))
        .layer(middleware::from_fn(move |request, next| {
            guard(access.clone(), request, next)
        }));
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready::<C>))
        .merge(guarded)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(control)
}

/// An error as the API answers it.
struct Problem(StatusCode, String);

impl Problem {
    fn not_found(what: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, what.into())
    }

    fn bad_request(what: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, what.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0, Json(serde_json::json!({ "error": self.1 }))).into_response()
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

async fn metrics<C: Control>(State(control): State<Arc<C>>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], control.metrics()).into_response()
}

async fn ready<C: Control>(State(control): State<Arc<C>>) -> Response {
    match control.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(reasons) => {
            let body = Json(serde_json::json!({ "reasons": reasons }));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}

/// The query of a listing. The fields are a [`Selector`]'s: a query cannot hold it as a whole.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Listing {
    id: Option<String>,
    site: Option<String>,
    domain: Option<String>,
    tenant: Option<String>,
    campaign: Option<String>,
    source: Option<String>,
    limit: Option<usize>,
}

/// Entries in one answer where no limit is asked for, and at most.
const LIMIT: usize = 100;
const LARGEST_LIMIT: usize = 10_000;

async fn list<C: Control>(
    State(control): State<Arc<C>>,
    query: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<Vec<QueueEntry>>, Problem> {
    let Query(listing) = query?;
    let limit = listing.limit.unwrap_or(LIMIT).min(LARGEST_LIMIT);
    let which = Selector {
        id: listing.id,
        site: listing.site,
        domain: listing.domain,
        tenant: listing.tenant,
        campaign: listing.campaign,
        source: listing.source,
    };
    check(&which)?;
    Ok(Json(control.list(&which, limit).await))
}

async fn show<C: Control>(
    State(control): State<Arc<C>>,
    Path(id): Path<String>,
) -> Result<Json<Vec<QueueEntry>>, Problem> {
    let entries = control.show(message_id(&id)?).await;
    match entries.is_empty() {
        true => Err(Problem::not_found(format!("{id} is not in the queue"))),
        false => Ok(Json(entries)),
    }
}

async fn act<C: Control>(
    State(control): State<Arc<C>>,
    Path(name): Path<String>,
    order: Result<Json<Order>, JsonRejection>,
) -> Result<Json<Done>, Problem> {
    let action: Action = serde_json::from_value(name.as_str().into())
        .map_err(|_| Problem::not_found(format!("{name} is not retry, hold, release or drop")))?;
    let Json(order) = order?;
    check(&order.select)?;
    if order.select.is_empty() != order.all {
        return Err(Problem::bad_request(
            "say which with \"select\", or \"all\": true for the whole queue, not both",
        ));
    }
    let count = control.act(action, &order.select, &order.why).await;
    Ok(Json(Done { count }))
}

async fn reload<C: Control>(State(control): State<Arc<C>>) -> Result<Json<Reloaded>, Problem> {
    let done = control.reload().await;
    done.map(Json)
        .map_err(|problems| Problem(StatusCode::UNPROCESSABLE_ENTITY, problems))
}

/// An id that is none would select nothing; that is told rather than answered with an empty list.
fn check(which: &Selector) -> Result<(), Problem> {
    which
        .id
        .as_deref()
        .map_or(Ok(()), |id| message_id(id).map(drop))
}

fn message_id(text: &str) -> Result<MessageId, Problem> {
    text.parse()
        .map_err(|error: crate::mail::envelope::NotAMessageId| {
            Problem::bad_request(format!("{text}: {error}"))
        })
}

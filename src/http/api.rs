//! The handlers.

use super::access::{Access, guard};
use super::body::Body;
use super::feedback;
use super::lint;
use super::problem::Problem;
use super::replies;
use super::reports;
use super::server::PATIENCE;
use super::suppression;
use super::traffic;
use super::{Action, Control, Done, Listed, Order, QueueEntry, Reloaded};
use crate::events::metrics::CONTENT_TYPE;
use crate::mail::MessageId;
use crate::queue::Selector;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{Request, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::Deserialize;
use std::sync::Arc;

/// An order is a few fields; nothing larger is read.
const LARGEST_BODY: usize = 64 << 10;
/// Of an order that brings a list.
const LARGEST_LIST: usize = 8 << 20;
/// A batch of a thousand events is larger.
const LARGEST_BATCH: usize = 1 << 20;

pub fn router<C: Control>(control: Arc<C>, access: Access) -> Router {
    let guarded = Router::new()
        .route("/metrics", get(metrics::<C>))
        .route("/api/v1/queue", get(list::<C>))
        .route("/api/v1/queue/{name}", get(show::<C>).post(act::<C>))
        .route("/api/v1/reload", post(reload::<C>))
        .route("/api/v1/explain", get(traffic::explain::<C>))
        .route("/api/v1/warmup", get(traffic::warmups::<C>))
        .route("/api/v1/warmup/{name}", post(traffic::steer::<C>))
        .route("/api/v1/sources", get(traffic::sources::<C>))
        .route("/api/v1/replies", get(replies::heard::<C>))
        .route("/api/v1/sources/lift", post(traffic::lift::<C>))
        .route("/api/v1/suppressions", get(suppression::list::<C>))
        .route("/api/v1/suppressions/check", get(suppression::check::<C>))
        .route("/api/v1/suppressions/add", post(suppression::add::<C>))
        .route(
            "/api/v1/suppressions/remove",
            post(suppression::remove::<C>),
        )
        .route("/api/v1/suppressions/erase", post(suppression::erase::<C>))
        .route("/api/v1/reports", get(reports::show::<C>))
        .route(reports::IMPORT, post(reports::import::<C>))
        .route("/api/v1/reports/advice", get(reports::advise::<C>))
        .route("/api/v1/feedback", post(feedback::take::<C>))
        .route("/api/v1/reputation", get(traffic::reputations::<C>))
        .route("/api/v1/reputation/release", post(traffic::release::<C>))
        .fallback(async || Problem::not_found("there is nothing here"))
        .method_not_allowed_fallback(async || {
            Problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path has another method".into(),
            )
        })
        // `whole` bounds what is read.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn(whole))
        .merge(lint::router::<C>())
        .layer(middleware::from_fn(move |request, next| {
            guard(access.clone(), request, next)
        }));
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready::<C>))
        .merge(guarded)
        .with_state(control)
}

async fn whole(request: Request<axum::body::Body>, next: Next) -> Result<Response, Problem> {
    let largest = match request.uri().path() {
        "/api/v1/suppressions/add" => LARGEST_LIST,
        "/api/v1/feedback" => LARGEST_BATCH,
        reports::IMPORT => reports::LARGEST_REPORT,
        _ => LARGEST_BODY,
    };
    whole_up_to(largest, request, next).await
}

/// Reads the body before anything is done: a client that is slow with it holds up nobody but itself, and not for long.
pub(super) async fn whole_up_to(
    largest: usize,
    request: Request<axum::body::Body>,
    next: Next,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let read = tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, largest)).await;
    match read {
        Ok(Ok(body)) => Ok(next.run(Request::from_parts(head, body.into())).await),
        Ok(Err(_)) => Err(Problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is cut short, or over {largest} octets"),
        )),
        Err(_) => Err(Problem(
            StatusCode::REQUEST_TIMEOUT,
            "the body came too slowly".into(),
        )),
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
) -> Result<Response, Problem> {
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
    Ok(listed(control.list(&which, limit).await))
}

/// How many there are beside those in the answer. A client that reads the whole queue need not count.
pub(crate) const MORE: &str = "x-more";
pub(crate) const TOTAL: &str = "x-total-count";

fn listed(listed: Listed) -> Response {
    let more = listed.more.then_some([(MORE, "yes")]);
    let total = listed.total.map(|total| [(TOTAL, total.to_string())]);
    (more, total, Json(listed.entries)).into_response()
}

async fn show<C: Control>(
    State(control): State<Arc<C>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Vec<QueueEntry>>, Problem> {
    let Path(id) = id?;
    let entries = control.show(message_id(&id)?).await;
    match entries.is_empty() {
        true => Err(Problem::not_found(format!("{id} is not in the queue"))),
        false => Ok(Json(entries)),
    }
}

async fn act<C: Control>(
    State(control): State<Arc<C>>,
    name: Result<Path<String>, PathRejection>,
    order: Result<Body<Order>, Problem>,
) -> Result<Json<Done>, Problem> {
    let Path(name) = name?;
    let action: Action = serde_json::from_value(name.as_str().into())
        .map_err(|_| Problem::not_found(format!("{name} is not retry, hold, release or drop")))?;
    let Body(order) = order?;
    check(&order.select)?;
    if order.select.is_empty() != order.all {
        return Err(Problem::bad_request(
            "say which with \"select\", or \"all\": true for the whole queue, not both",
        ));
    }
    Ok(Json(control.act(action, &order.select, &order.why).await))
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

//! What the lint says of a message that nobody sends.

use super::api::whole_up_to;
use super::explain::return_path;
use super::problem::Problem;
use super::{Control, Refusal};
use crate::lint::Finding;
use crate::mail::{Address, Stream};
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::middleware::{self, Next};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Deserializer, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The query of `POST /api/v1/lint`; the body is the message (message/rfc822).
///
/// `?from=news@acme.example&to=ann@example.net&stream=marketing&source=192.0.2.10`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LintQuestion {
    /// The return path; empty, or `<>`, is the null sender; absent: nobody says.
    #[serde(deserialize_with = "read_path")]
    pub from: Option<Option<Address>>,
    pub to: Option<Address>,
    /// The address that it would leave from.
    pub source: Option<IpAddr>,
    pub tenant: Option<Box<str>>,
    /// `marketing`, which is meant where nothing is said, or `transactional`.
    pub stream: Option<Stream>,
    /// Tell of rules that could not be checked too.
    pub verbose: bool,
}

/// What was found, the worst first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Linted {
    /// A rule at level `block` is not kept.
    pub blocked: bool,
    pub findings: Vec<Finding>,
}

/// Octets of a message that are taken.
const LARGEST: usize = 32 << 20;
/// Messages at a time: each is held in memory.
const AT_ONCE: usize = 4;

/// The route, with a body limit of its own.
pub(super) fn router<C: Control>() -> Router<Arc<C>> {
    let seats = Arc::new(Semaphore::new(AT_ONCE));
    let seated = move |request: Request, next: Next| {
        let seats = Arc::clone(&seats);
        async move {
            let _seat = seats.acquire().await.ok();
            whole_up_to(LARGEST, request, next).await
        }
    };
    Router::new()
        .route("/api/v1/lint", post(lint::<C>))
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn(seated))
}

async fn lint<C: Control>(
    State(control): State<Arc<C>>,
    query: Result<Query<LintQuestion>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Linted>, Problem> {
    let Query(question) = query?;
    let message = body.map_err(|error| Problem(error.status(), error.body_text()))?;
    if message.is_empty() {
        let remedy = "send the message as the body, such as: curl --data-binary @message.eml";
        return Err(Problem::bad_request(format!("the body is empty: {remedy}")));
    }
    let linted: Result<Linted, Refusal> = control.lint(&question, message).await;
    Ok(Json(linted?))
}

fn read_path<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<Address>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    return_path(&text)
        .map(Some)
        .map_err(serde::de::Error::custom)
}

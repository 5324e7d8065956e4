//! The bodies of orders.

use super::problem::Problem;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

/// An order in JSON, whatever its content type says: `curl -d` calls everything a form. A web page may send forms to
/// anywhere; the guard before this has seen to that.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|error| Problem(error.status(), error.body_text()))?;
        let body: serde_json::Value = serde_json::from_slice(&body).map_err(|error| {
            let remedy = "send JSON, such as: curl --json '{\"source\": \"ip-a\"}'";
            Problem::bad_request(format!("the body is no JSON: {error}; {remedy}"))
        })?;
        read(body).map(Self)
    }
}

/// What an order says, where it is one of its kind.
pub(super) fn read<T: DeserializeOwned>(body: serde_json::Value) -> Result<T, Problem> {
    let read = serde_json::from_value(body);
    read.map_err(|error| Problem(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
}

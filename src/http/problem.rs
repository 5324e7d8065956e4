//! Errors as the API answers them.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// Why an order was not carried out, or a question not answered; the text says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It names something that is not there: 404.
    Unknown(String),
    /// It cannot be done as it is asked for: 422.
    Impossible(String),
    /// It may work another time: 503.
    Unavailable(String),
}

/// `{"error": "…"}` with a status.
pub(super) struct Problem(pub StatusCode, pub String);

impl Problem {
    pub fn not_found(what: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, what.into())
    }

    pub fn bad_request(what: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, what.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0, Json(serde_json::json!({ "error": self.1 }))).into_response()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown(why) => Self::not_found(why),
            Refusal::Impossible(why) => Self(StatusCode::UNPROCESSABLE_ENTITY, why),
            Refusal::Unavailable(why) => Self(StatusCode::SERVICE_UNAVAILABLE, why),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        let text = rejection.body_text();
        let said = text.strip_prefix("Failed to deserialize query string: ");
        Self(rejection.status(), said.unwrap_or(&text).to_owned())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

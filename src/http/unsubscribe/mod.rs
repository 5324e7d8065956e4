//! The public face for who no longer wants mail: `/u/TOKEN`, on an address of its own.
//!
//! | method | answers |
//! |---|---|
//! | `POST` with `List-Unsubscribe=One-Click`, as form or multipart (RFC 8058 §3.2) | 200, now and again |
//! | `GET`, `HEAD` | a page with a button; nothing is changed, so that programs that follow links unsubscribe nobody |
//!
//! A token that is none of ours is 404, one that is too old 410, a form of another kind 400; 503 with `Retry-After` where
//! it cannot be written down now. No cookies, no redirects, no scripts. The token is all that is asked for.

mod form;
mod page;

use super::server::{self, PATIENCE};
use crate::inbound::{Inbound, NotDone};
use crate::tls::server::ServerTls;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use page::Page;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A form with one field, with the boundaries of a careful client.
const LARGEST_BODY: usize = 8 << 10;

/// When to come again while nothing can be written down. Seconds.
const COME_AGAIN: &str = "60";

/// Answers on `listener` until `stop`, in TLS where there is a certificate to show.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    inbound: Inbound,
    stop: CancellationToken,
) {
    server::run(listener, tls, router(inbound), stop).await;
}

fn router(inbound: Inbound) -> Router {
    Router::new()
        .route("/u/{token}", get(ask).post(unsubscribe))
        .fallback(async || Page::nothing_here().answer(StatusCode::NOT_FOUND))
        .layer(middleware::map_response(guarded))
        .with_state(inbound)
}

async fn ask(State(inbound): State<Inbound>, Path(token): Path<String>) -> Response {
    match inbound.subscription(&token).await {
        Ok(subscription) => Page::confirm(&subscription).answer(StatusCode::OK),
        Err(error) => refusal(&error).0,
    }
}

async fn unsubscribe(
    State(inbound): State<Inbound>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    let is_browser = wants_html(request.headers());
    let answer = match one_click(request).await {
        Ok(()) => act(&inbound, &token).await,
        Err(status) => (
            Page::no_order().answer(status),
            "what was sent is no order to unsubscribe\n",
        ),
    };
    let (page, text) = answer;
    if is_browser {
        return page;
    }
    let (mut head, _) = page.into_parts();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    head.headers.insert(header::CONTENT_TYPE, plain);
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from(text))
}

/// The answer as a page, and as a line for programs.
async fn act(inbound: &Inbound, token: &str) -> (Response, &'static str) {
    match inbound.unsubscribe(token, "by one click (RFC 8058)").await {
        Ok(_) => (Page::done().answer(StatusCode::OK), "unsubscribed\n"),
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &NotDone) -> (Response, &'static str) {
    use crate::bounce::token::TokenError::Expired;
    match error {
        NotDone::Token(Expired) | NotDone::Unknown => (
            Page::too_old().answer(StatusCode::GONE),
            "this link is too old\n",
        ),
        NotDone::Token(_) => (
            Page::not_ours().answer(StatusCode::NOT_FOUND),
            "this link is none of ours\n",
        ),
        NotDone::Trouble(error) => {
            tracing::warn!(%error, "nobody can be unsubscribed now");
            let mut page = Page::later().answer(StatusCode::SERVICE_UNAVAILABLE);
            let wait = HeaderValue::from_static(COME_AGAIN);
            page.headers_mut().insert(header::RETRY_AFTER, wait);
            (page, "this cannot be done now, try again later\n")
        }
    }
}

/// Whether the request is the order of RFC 8058. The status of one that is not.
async fn one_click(request: Request) -> Result<(), StatusCode> {
    let (head, body) = request.into_parts();
    let read = tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, LARGEST_BODY)).await;
    let body = match read {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => return Err(StatusCode::REQUEST_TIMEOUT),
    };
    let kind = head.headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_order = form::is_one_click(kind, &body);
    is_order.then_some(()).ok_or(StatusCode::BAD_REQUEST)
}

fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    accept.is_some_and(|kinds| kinds.to_ascii_lowercase().contains("text/html"))
}

/// What is said of every answer: kept and indexed nowhere, and nothing in it but its own text and style.
async fn guarded(mut response: Response) -> Response {
    let policy = page::content_security_policy();
    let fixed = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        axum::response::Html(self.html()).into_response()
    }
}

impl Page {
    fn answer(self, status: StatusCode) -> Response {
        (status, self).into_response()
    }
}

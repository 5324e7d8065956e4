//! Who may use the API: holders of a token, or, without tokens, whoever reaches the loopback address.

use super::Config;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

/// The tokens of `[http] tokens`. Cheap to clone; says nothing of them in `Debug`.
#[derive(Clone, Default)]
pub struct Access {
    tokens: Arc<[Box<str>]>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Access({} tokens)", self.tokens.len())
    }
}

/// Why the tokens could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the token file {0} cannot be read: {1}")]
    File(Box<str>, std::io::Error),
    #[error("others than its owner can read the token file {0}: chmod 0600 it")]
    Open(Box<str>),
    #[error("the environment variable {0} is not set, or is not UTF-8")]
    Variable(Box<str>),
    #[error("there is no token in {0}")]
    Empty(Box<str>),
    #[error("tokens is neither \"file:PATH\" nor \"env:NAME\"")]
    Form,
}

impl Access {
    /// Reads the tokens that `config` refers to: one a line, empty lines and `#` comments left out.
    ///
    /// # Errors
    /// They cannot be read, others can read them too, or there is none.
    pub fn load(config: &Config) -> Result<Self, TokenError> {
        let Some(reference) = config.tokens.as_deref() else {
            return Ok(Self::default());
        };
        let text = match reference.split_once(':') {
            Some(("file", path)) => read_private(path)?,
            Some(("env", name)) => {
                std::env::var(name).map_err(|_| TokenError::Variable(name.into()))?
            }
            _ => return Err(TokenError::Form),
        };
        let lines = text.lines().map(str::trim);
        let tokens: Arc<[Box<str>]> = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(Box::from)
            .collect();
        match tokens.is_empty() {
            true => Err(TokenError::Empty(reference.into())),
            false => Ok(Self { tokens }),
        }
    }

    /// One of the tokens, for our own `queue` command.
    pub fn any_token(&self) -> Option<&str> {
        self.tokens.first().map(|token| &**token)
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
        if self.tokens.is_empty() {
            // A web page in a browser on this machine can reach loopback too; it always names its origin.
            return text(header::ORIGIN).is_none() && names_loopback(text(header::HOST));
        }
        let given = text(header::AUTHORIZATION).and_then(|v| v.strip_prefix("Bearer "));
        let given = given.unwrap_or_default().as_bytes();
        // All are compared, each in constant time.
        self.tokens.iter().fold(false, |found, token| {
            let same = aws_lc_rs::constant_time::verify_slices_are_equal(token.as_bytes(), given);
            found | same.is_ok()
        })
    }
}

/// Lets through who may, and answers 401 to the others.
pub async fn guard(access: Access, request: Request<Body>, next: Next) -> Response {
    if access.admits(request.headers()) {
        return next.run(request).await;
    }
    let refusal = "this needs a bearer token of [http] tokens, or a direct request on loopback";
    let body = axum::Json(serde_json::json!({ "error": refusal }));
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, "Bearer")],
        body,
    )
        .into_response()
}

/// A name that an attacker's DNS may point to loopback is no loopback name.
fn names_loopback(host: Option<&str>) -> bool {
    let Some(host) = host else { return true };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let literal = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || literal
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

fn read_private(path: &str) -> Result<String, TokenError> {
    let failed = |error| TokenError::File(path.into(), error);
    let mode = std::fs::metadata(Path::new(path))
        .map_err(failed)?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(TokenError::Open(path.into()));
    }
    std::fs::read_to_string(path).map_err(failed)
}

//! The policy file, over HTTPS (RFC 8461 §3.3).

use super::policy::{Policy, PolicyError};
use crate::dns::Resolver;
use crate::tls::client::{ClientTls, Fault};
use crate::tls::https::{Https, HttpsError};
use axum::body::{Body, Bytes};
use hyper::header::CONTENT_TYPE;
use hyper::http::response::Parts;
use hyper::{Request, StatusCode};

/// Where it is.
const PATH: &str = "/.well-known/mta-sts.txt";
/// Larger files are none (§3.3 suggests this limit).
const LARGEST: usize = 64 << 10;

/// Why a policy could not be had. A domain whose policy cannot be had has none, unless one is known from before.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{0}")]
    Https(#[from] HttpsError),
    #[error("{host}: {error}")]
    Answer { host: String, error: String },
    #[error("the policy of {host} {error}")]
    Policy { host: String, error: PolicyError },
    #[error("{host} took longer than {limit:?}")]
    TooSlow {
        host: String,
        limit: std::time::Duration,
    },
}

impl FetchError {
    /// As TLS reports tell it (RFC 8460 §4.3.2.2).
    pub fn fault(&self) -> Fault {
        match self {
            Self::Policy { .. } => Fault::StsPolicyInvalid,
            Self::Https(error) if error.fault().is_some_and(Fault::is_of_certificate) => {
                Fault::StsWebpkiInvalid
            }
            Self::Https(_) | Self::Answer { .. } | Self::TooSlow { .. } => {
                Fault::StsPolicyFetchError
            }
        }
    }
}

/// Whom to ask for it.
pub struct Fetcher {
    https: Https,
    port: u16,
}

impl Fetcher {
    /// Policy hosts listen on `port`.
    pub fn new(resolver: Resolver, tls: ClientTls, port: u16) -> Self {
        // The name, the port and the path are not the stranger's to choose.
        let https = Https {
            resolver,
            tls,
            hidden: true,
        };
        Self { https, port }
    }

    pub(super) fn resolver(&self) -> &Resolver {
        &self.https.resolver
    }

    /// The policy of `domain`. No redirect is followed, and the certificate must be for the policy host.
    ///
    /// # Errors
    /// There is none, or none that can be had.
    pub async fn fetch(&self, domain: &str) -> Result<Policy, FetchError> {
        let host = host_of(domain);
        let wrong = |error: String| FetchError::Answer {
            host: host.clone(),
            error,
        };
        let request = Request::get(PATH).body(Body::empty());
        let request = request.map_err(|error| wrong(error.to_string()))?;
        let asked = self.https.ask((&host, self.port), request, LARGEST).await;
        let (parts, octets): (Parts, Bytes) = asked?;
        if parts.status != StatusCode::OK {
            return Err(wrong(format!("answered {} to GET {PATH}", parts.status)));
        }
        let kind = parts.headers.get(CONTENT_TYPE);
        if !kind.is_some_and(|kind| is_plain(kind.as_bytes())) {
            return Err(wrong(format!("GET {PATH} gave no text/plain")));
        }
        Policy::parse(&octets).map_err(|error| FetchError::Policy { host, error })
    }
}

/// The policy host of a domain.
pub(super) fn host_of(domain: &str) -> String {
    format!("mta-sts.{domain}")
}

fn is_plain(kind: &[u8]) -> bool {
    let media = kind.split(|octet| *octet == b';').next();
    media.is_some_and(|media| media.trim_ascii().eq_ignore_ascii_case(b"text/plain"))
}

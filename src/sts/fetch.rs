//! The policy file, over HTTPS (RFC 8461 §3.3).

use super::policy::{Policy, PolicyError};
use crate::dns::{DnsFailure, Resolver};
use crate::tls::client::{self, ClientTls};
use axum::body::{Body, to_bytes};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use std::net::{IpAddr, SocketAddr};
use tokio::net::TcpStream;

/// Where it is.
const PATH: &str = "/.well-known/mta-sts.txt";
/// Larger files are none (§3.3 suggests this limit).
const LARGEST: usize = 64 << 10;
/// Addresses of the policy host that are tried.
const MOST_ADDRESSES: usize = 4;

/// Why a policy could not be had. A domain whose policy cannot be had has none, unless one is known from before.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{0}")]
    Dns(#[from] DnsFailure),
    #[error("{host}: {error}")]
    Connection { host: String, error: std::io::Error },
    #[error("{host}: {error}")]
    Http { host: String, error: String },
    #[error("the policy of {host} {error}")]
    Policy { host: String, error: PolicyError },
    #[error("{host} took longer than {limit:?}")]
    TooSlow {
        host: String,
        limit: std::time::Duration,
    },
}

/// Whom to ask for it.
pub struct Fetcher {
    pub resolver: Resolver,
    pub tls: ClientTls,
    pub port: u16,
}

impl Fetcher {
    /// The policy of `domain`. No redirect is followed, and the certificate must be for the policy host.
    pub async fn fetch(&self, domain: &str) -> Result<Policy, FetchError> {
        let host = host_of(domain);
        let addresses = self.resolver.addresses(&host).await?;
        let stream = self.connect(&host, &addresses).await;
        let stream = match stream {
            Ok(stream) => {
                self.tls
                    .connect(client::Policy::Verify, &host, stream)
                    .await
            }
            Err(error) => Err(error),
        };
        let stream = stream.map_err(|error| FetchError::Connection {
            host: host.clone(),
            error,
        })?;
        let octets = get(TokioIo::new(stream), &host).await;
        let octets = octets.map_err(|error| FetchError::Http {
            host: host.clone(),
            error,
        })?;
        Policy::parse(&octets).map_err(|error| FetchError::Policy { host, error })
    }

    async fn connect(&self, host: &str, addresses: &[IpAddr]) -> std::io::Result<TcpStream> {
        let mut last = std::io::Error::other(format!("{host} has no address"));
        for address in addresses.iter().take(MOST_ADDRESSES) {
            match TcpStream::connect(SocketAddr::new(*address, self.port)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The policy host of a domain.
pub(super) fn host_of(domain: &str) -> String {
    format!("mta-sts.{domain}")
}

async fn get<S>(stream: TokioIo<S>, host: &str) -> Result<axum::body::Bytes, String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let handshake = http1::handshake(stream).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let request = Request::get(PATH)
        .header(HOST, host)
        .header(USER_AGENT, "mailwright")
        .body(Body::empty())
        .map_err(|error| error.to_string())?;
    let exchange = async move {
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| error.to_string())?;
        if response.status() != hyper::StatusCode::OK {
            return Err(format!("answered {} to GET {PATH}", response.status()));
        }
        let kind = response.headers().get(CONTENT_TYPE);
        if !kind.is_some_and(|kind| is_plain(kind.as_bytes())) {
            return Err(format!("GET {PATH} gave no text/plain"));
        }
        let body = to_bytes(Body::new(response.into_body()), LARGEST).await;
        body.map_err(|error| error.to_string())
    };
    tokio::pin!(exchange, connection);
    tokio::select! {
        done = &mut exchange => done,
        // The server has closed; what it sent before is still to be read.
        _closed = &mut connection => exchange.await,
    }
}

fn is_plain(kind: &[u8]) -> bool {
    let media = kind.split(|octet| *octet == b';').next();
    media.is_some_and(|media| media.trim_ascii().eq_ignore_ascii_case(b"text/plain"))
}

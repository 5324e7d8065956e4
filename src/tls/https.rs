//! One question over HTTPS, to a host that strangers name: nothing is followed, what comes is bounded.

use super::client::{ClientTls, Fault, Policy};
use crate::dns::{DnsFailure, Resolver, is_public};
use axum::body::{Body, Bytes, to_bytes};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, USER_AGENT};
use hyper::http::response::Parts;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Addresses of a host that are tried.
const MOST_ADDRESSES: usize = 4;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    #[error("{0}")]
    Dns(#[from] DnsFailure),
    #[error("{host}: {error}")]
    Connection { host: String, error: io::Error },
    #[error("{host}: {error}")]
    Http { host: String, error: String },
}

impl HttpsError {
    /// What is wrong with the host's certificate, where that is why.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Connection { error, .. } => Some(Fault::of(error)),
            Self::Dns(_) | Self::Http { .. } => None,
        }
    }
}

/// Asks, a connection each.
#[derive(Clone)]
pub struct Https {
    pub resolver: Resolver,
    pub tls: ClientTls,
    /// Addresses that the internet does not see are asked too: whoever names the host may mean a service of ours.
    pub hidden: bool,
}

impl Https {
    /// The answer to `request`, which names a path of `host`, with its body of up to `most` octets. The certificate must
    /// be for the host; no redirect is followed. How long it may take is the caller's to say.
    ///
    /// # Errors
    /// There is no address, no connection, or no whole answer.
    pub async fn ask(
        &self,
        (host, port): (&str, u16),
        request: Request<Body>,
        most: usize,
    ) -> Result<(Parts, Bytes), HttpsError> {
        let addresses = self.resolver.addresses(host).await?;
        let addresses = addresses.iter().copied();
        let addresses: Vec<IpAddr> = addresses
            .filter(|address| self.hidden || is_public(address.to_canonical()))
            .collect();
        let connected = async {
            let stream = connect(&addresses, port).await?;
            self.tls.connect(Policy::Verify, host, stream).await
        };
        let stream = connected.await.map_err(|error| HttpsError::Connection {
            host: host.to_owned(),
            error,
        })?;
        let authority = match port {
            443 => host.to_owned(),
            port => format!("{host}:{port}"),
        };
        let answer = exchange(TokioIo::new(stream), &authority, request, most).await;
        answer.map_err(|error| HttpsError::Http {
            host: host.to_owned(),
            error,
        })
    }
}

async fn connect(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::other("it has no address");
    for address in addresses.iter().take(MOST_ADDRESSES) {
        match TcpStream::connect(SocketAddr::new(*address, port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn exchange<S>(
    stream: TokioIo<S>,
    authority: &str,
    mut request: Request<Body>,
    most: usize,
) -> Result<(Parts, Bytes), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    say_who(request.headers_mut(), authority).map_err(|error| error.to_string())?;
    let handshake = http1::handshake(stream).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let exchange = async move {
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| error.to_string())?;
        let (parts, body) = response.into_parts();
        let body = to_bytes(Body::new(body), most).await;
        Ok((parts, body.map_err(|error| error.to_string())?))
    };
    tokio::pin!(exchange, connection);
    tokio::select! {
        done = &mut exchange => done,
        // The server has closed; what it sent before is still to be read.
        _closed = &mut connection => exchange.await,
    }
}

fn say_who(headers: &mut HeaderMap, authority: &str) -> Result<(), hyper::http::Error> {
    headers.insert(HOST, HeaderValue::from_str(authority)?);
    headers.insert(USER_AGENT, HeaderValue::from_static("mailwright"));
    Ok(())
}

//! One `GET` over verified TLS, as senders fetch a policy (RFC 8461 §3.3): no redirects, no long answers, no waiting.

use crate::tls::client::{ClientTls, Policy};
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Fetches small texts.
#[derive(Clone)]
pub struct Https {
    pub tls: ClientTls,
    /// 443, but for tests.
    pub port: u16,
}

/// RFC 8461 §3.3 suggests 64 KiB and a minute; a person waits here.
const LARGEST: u64 = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(10);

impl Https {
    /// The body at `path` of `host`, which is asked at `address`.
    ///
    /// # Errors
    /// No connection, no valid certificate for the host, any status but 200, or an answer over 64 KiB.
    pub async fn get(&self, host: &str, address: IpAddr, path: &str) -> io::Result<String> {
        let answer = tokio::time::timeout(PATIENCE, self.fetch(host, address, path)).await;
        let answer =
            answer.map_err(|_| io::Error::other(format!("{address} does not answer")))??;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .ok_or_else(|| io::Error::other("the answer is no HTTP"))?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        match status {
            "200" => Ok(body.to_owned()),
            _ => Err(io::Error::other(format!("the status is {status}"))),
        }
    }

    /// HTTP/1.0, whose answers end with the connection and come in one piece.
    async fn fetch(&self, host: &str, address: IpAddr, path: &str) -> io::Result<Vec<u8>> {
        let stream = TcpStream::connect((address, self.port)).await?;
        let mut stream = self.tls.connect(Policy::Verify, host, stream).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        let read = (&mut stream)
            .take(LARGEST + 1)
            .read_to_end(&mut answer)
            .await;
        match read {
            // Some servers close without saying so in TLS.
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
            _ if answer.len() as u64 > LARGEST => {
                return Err(io::Error::other("the answer is too long"));
            }
            _ => {}
        }
        Ok(answer)
    }
}

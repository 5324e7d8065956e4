//! A buffered line stream over TCP or TLS; both test peers speak through it.

use crate::tls::client::{ClientTls, Policy};
use bytes::{Buf, BytesMut};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsStream};

/// Longest line a peer reads; a test peer is generous, not endless.
const MAX_LINE: usize = 64 * 1024;
const READ: usize = 32 * 1024;
const FAREWELL: Duration = Duration::from_secs(2);

pub(super) struct Wire {
    stream: Stream,
    input: BytesMut,
    output: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// A TLS handshake failed and took the socket with it.
    Gone,
}

impl Wire {
    pub fn new(socket: TcpStream) -> Self {
        // Nagle's algorithm would hold a short reply back; a socket that cannot do without it still works.
        let _slower = socket.set_nodelay(true);
        Self {
            stream: Stream::Plain(socket),
            input: BytesMut::new(),
            output: Vec::new(),
        }
    }

    /// Octets received and not consumed yet.
    pub fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// Whether a whole line waits already: the client pipelines, and an answer can wait too.
    pub fn has_line(&self) -> bool {
        memchr::memchr(b'\n', &self.input).is_some()
    }

    /// The next line without its line end; `None` when the other side has closed.
    pub async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.input) {
                let mut line = self.input.split_to(end + 1).to_vec();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(Some(line));
            }
            if self.input.len() > MAX_LINE {
                return Err(io::Error::other("a line without end"));
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Waits for more input; 0 is the end of the stream.
    pub async fn fill(&mut self) -> io::Result<usize> {
        self.input.reserve(READ);
        match &mut self.stream {
            Stream::Plain(socket) => socket.read_buf(&mut self.input).await,
            Stream::Tls(tls) => tls.read_buf(&mut self.input).await,
            Stream::Gone => Ok(0),
        }
    }

    /// Where answers gather until [`Wire::flush`].
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    pub async fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(&self.output).await?,
            Stream::Tls(tls) => {
                tls.write_all(&self.output).await?;
                tls.flush().await?;
            }
            Stream::Gone => return Err(io::ErrorKind::NotConnected.into()),
        }
        self.output.clear();
        Ok(())
    }

    /// Ends our half, then waits a moment for the other: closing with octets unread would reset the connection, and
    /// the last reply could be lost with it.
    pub async fn finish(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.shutdown().await?,
            Stream::Tls(tls) => tls.shutdown().await?,
            Stream::Gone => return Ok(()),
        }
        let drained = tokio::time::timeout(FAREWELL, async {
            while self.fill().await? > 0 {
                self.input.clear();
            }
            Ok(())
        });
        drained.await.unwrap_or(Ok(()))
    }

    /// Whether a TLS session is up.
    pub fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// `TLSv1.3` and its like, once a TLS session is up.
    pub fn tls_version(&self) -> Option<&'static str> {
        let Stream::Tls(tls) = &self.stream else {
            return None;
        };
        match tls.get_ref().1.protocol_version()? {
            rustls::ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
            rustls::ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
            _ => Some("TLS"),
        }
    }

    /// The server's half of STARTTLS. What came in clear before the handshake is thrown away (RFC 3207 §6).
    pub async fn accept_tls(&mut self, config: Arc<rustls::ServerConfig>) -> io::Result<()> {
        let socket = self.plain()?;
        let tls = TlsAcceptor::from(config).accept(socket).await?;
        self.stream = Stream::Tls(Box::new(TlsStream::Server(tls)));
        Ok(())
    }

    /// The client's half of STARTTLS, whatever the server's certificate.
    pub async fn connect_tls(&mut self, tls: &ClientTls, host: &str) -> io::Result<()> {
        let socket = self.plain()?;
        let tls = tls.connect(Policy::Required, host, socket).await?;
        self.stream = Stream::Tls(Box::new(TlsStream::Client(tls)));
        Ok(())
    }

    fn plain(&mut self) -> io::Result<TcpStream> {
        self.input.advance(self.input.len());
        match std::mem::replace(&mut self.stream, Stream::Gone) {
            Stream::Plain(socket) => Ok(socket),
            other => {
                self.stream = other;
                Err(io::Error::other("STARTTLS within TLS"))
            }
        }
    }
}

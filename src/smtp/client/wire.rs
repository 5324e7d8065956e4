//! The octets of a conversation, under mail-send's client.
//!
//! mail-send reads each reply into a fresh buffer and forgets what came behind it; it also keeps one octet of each
//! part of an enhanced code and drops the text of errors. So the wire frames replies itself, with our codec, and keeps
//! them whole in a queue; mail-send reads of each only its code, one reply a read, which it cannot misunderstand.
//! Writes are gathered until a flush: one segment, or one TLS record, for each pipelined group.

use crate::mail::Reply;
use crate::smtp::codec::ReplyParser;
use rustls::ProtocolVersion;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A connection to a server, in clear or encrypted.
pub(super) struct Wire {
    socket: Socket,
    input: Input,
    output: Output,
    /// Replies that mail-send has read the code of; taken by whoever sent the commands.
    replies: VecDeque<Reply>,
    /// 421 was said: the server goes away, further replies are not waited for.
    closing: bool,
}

enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What came and is not yet a reply.
struct Input {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    parser: ReplyParser,
}

/// What was written and has not left.
struct Output {
    buffer: Vec<u8>,
    sent: usize,
}

/// Octets read at a time; replies are rarely longer.
const INPUT: usize = 4096;
/// Octets gathered before they leave unasked.
const OUTPUT: usize = 64 * 1024;
/// Room for output that an idle connection keeps.
const KEPT: usize = 16 * 1024;

impl Wire {
    pub fn plain(stream: TcpStream) -> Self {
        Self::new(Socket::Plain(stream))
    }

    pub fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self::new(Socket::Tls(Box::new(stream)))
    }

    fn new(socket: Socket) -> Self {
        Self {
            socket,
            input: Input {
                buffer: vec![0; INPUT].into(),
                start: 0,
                end: 0,
                parser: ReplyParser::default(),
            },
            output: Output {
                buffer: Vec::new(),
                sent: 0,
            },
            replies: VecDeque::new(),
            closing: false,
        }
    }

    /// The oldest reply that was read, as the answer to `command`.
    pub fn take_reply(&mut self, command: &str) -> Option<Reply> {
        let mut reply = self.replies.pop_front()?;
        reply.command = command.into();
        Some(reply)
    }

    /// Octets that were written and have not been handed to the socket.
    pub fn unsent(&self) -> usize {
        self.output.buffer.len() - self.output.sent
    }

    /// Room to append to what leaves with the next flush.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output.buffer
    }

    /// Enough is gathered that it should leave.
    pub fn is_full(&self) -> bool {
        self.unsent() >= OUTPUT
    }

    /// The TCP stream, to speak TLS on it. Refused with `None` where octets have come that no command asked for: they
    /// were sent in clear and must not count as said under TLS (command injection).
    pub fn into_tcp(self) -> Option<TcpStream> {
        let quiet = self.input.start == self.input.end && self.input.parser.is_idle();
        match self.socket {
            Socket::Plain(stream) if quiet => Some(stream),
            _ => None,
        }
    }

    /// `TLSv1.3` and its kin; `None` in clear.
    pub fn tls_version(&self) -> Option<&'static str> {
        match &self.socket {
            Socket::Plain(_) => None,
            Socket::Tls(stream) => match stream.get_ref().1.protocol_version()? {
                ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
                ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
                other => other.as_str(),
            },
        }
    }

    /// Looks, without waiting, whether the server has said anything unasked: nothing, a reply, or its end.
    ///
    /// # Errors
    /// The connection is closed, or holds what is no reply.
    pub fn poll_unasked(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Reply>> {
        ready!(self.poll_frame(cx))?;
        let reply = self.replies.pop_back();
        Poll::Ready(reply.ok_or_else(|| io::ErrorKind::UnexpectedEof.into()))
    }

    /// Something of a reply has come that was not asked for.
    pub fn is_unquiet(&self) -> bool {
        self.input.start != self.input.end || !self.input.parser.is_idle()
    }

    /// Waits for a whole reply, puts it into the queue and gives its code.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<u16>> {
        loop {
            if let Some(reply) = self.input.frame()? {
                let code = reply.code;
                self.closing |= code == 421;
                self.replies.push_back(reply);
                return Poll::Ready(Ok(code));
            }
            if self.closing {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            ready!(self.poll_fill(cx))?;
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut room = ReadBuf::new(&mut self.input.buffer);
        ready!(self.socket.poll_read(cx, &mut room))?;
        let filled = room.filled().len();
        (self.input.start, self.input.end) = (0, filled);
        if filled == 0 {
            let why = "the server closed the connection";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, why)));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.output.rest() {
            let sent = ready!(self.socket.poll_write(cx, rest))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.output.sent += sent;
        }
        self.output.buffer.clear();
        self.output.buffer.shrink_to(KEPT);
        self.output.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl Input {
    /// A reply from what has come, where it is whole.
    fn frame(&mut self) -> io::Result<Option<Reply>> {
        let waiting = self.buffer.get(self.start..self.end).unwrap_or_default();
        let (taken, reply) = self
            .parser
            .ingest(waiting, "")
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.start += taken;
        Ok(reply)
    }
}

impl Output {
    fn rest(&self) -> Option<&[u8]> {
        self.buffer.get(self.sent..).filter(|rest| !rest.is_empty())
    }
}

impl Socket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, octets),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, octets),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// One reply a read, as its code alone.
impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let code = ready!(self.poll_frame(cx))?;
        let line = format!("{code} -\r\n");
        if buf.remaining() < line.len() {
            return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
        }
        buf.put_slice(line.as_bytes());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_full() {
            ready!(self.poll_drain(cx))?;
        }
        self.output.buffer.extend_from_slice(octets);
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        self.socket.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        self.socket.poll_shutdown(cx)
    }
}

#[cfg(test)]
impl Wire {
    /// Waits until octets, or the end, have come.
    pub async fn readable(&self) {
        if self.input.start < self.input.end {
            return;
        }
        if let Socket::Plain(stream) = &self.socket {
            stream.readable().await.unwrap();
        }
    }
}

//! Conversations with scripted servers on loopback.

mod opening;
mod terms;
mod transacting;

use super::*;
use crate::mail::{Address, BodyType, EnhancedCode, Notify, Recipient, Ret};
use crate::spool::SpoolError;
use crate::tls::client::ClientTls;
use crate::units::Span;
use bytes::Bytes;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The server's side of a conversation. A conversation that goes another way than the script fails the test.
struct Server<S = TcpStream> {
    stream: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Server<S> {
    fn new(stream: S) -> Self {
        let read = Vec::new();
        Self { stream, read }
    }

    async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Everything up to and with `end`.
    async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = memchr::memmem::find(&self.read, end.as_bytes()) {
                let rest = self.read.split_off(at + end.len());
                let taken = std::mem::replace(&mut self.read, rest);
                return String::from_utf8(taken).unwrap();
            }
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk).await.unwrap();
            assert!(count > 0, "the client left; unread: {:?}", self.read);
            self.read.extend_from_slice(&chunk[..count]);
        }
    }

    /// One line, without its CRLF.
    async fn line(&mut self) -> String {
        self.until("\r\n").await.trim_end().to_owned()
    }

    /// Greets and answers EHLO with these keywords.
    async fn hello(&mut self, keywords: &[&str]) {
        self.say("220 mx.test ESMTP\r\n").await;
        self.ehlo(keywords).await;
    }

    async fn ehlo(&mut self, keywords: &[&str]) {
        assert_eq!(self.line().await, "EHLO mta.test");
        let mut text = String::from("250-mx.test hello\r\n");
        for keyword in keywords {
            text += &format!("250-{keyword}\r\n");
        }
        self.say(&format!("{text}250 HELP\r\n")).await;
    }

    /// What is left to read until the client closes.
    async fn rest(mut self) -> String {
        self.stream.read_to_end(&mut self.read).await.unwrap_or(0);
        String::from_utf8_lossy(&self.read).into_owned()
    }
}

/// Starts a server with this script; gives its address.
async fn serve<F, T>(
    script: impl FnOnce(Server) -> F + Send + 'static,
) -> (SocketAddr, JoinHandle<T>)
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        script(Server::new(stream)).await
    });
    (address, server)
}

fn target(address: SocketAddr) -> Target<'static> {
    Target {
        address,
        host: "mx.test",
        source: None,
        ehlo: "mta.test",
        tls: Policy::Off,
        examine: false,
    }
}

fn client_tls() -> ClientTls {
    ClientTls::new(&Default::default()).unwrap()
}

async fn open(address: SocketAddr) -> Result<Connection, Failure> {
    Connection::open(&target(address), &Timeouts::default(), &client_tls()).await
}

/// Content in pieces, as the spool would give it.
struct Pieces(VecDeque<Bytes>);

impl Pieces {
    fn of(text: &str) -> Self {
        Self([Bytes::copy_from_slice(text.as_bytes())].into())
    }
}

impl Source for Pieces {
    fn len(&self) -> u64 {
        self.0.iter().map(|piece| piece.len() as u64).sum()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, SpoolError> {
        Ok(self.0.pop_front())
    }
}

/// Content that the spool cannot read to its end.
struct Corrupt(bool);

impl Source for Corrupt {
    fn len(&self) -> u64 {
        1000
    }

    async fn next(&mut self) -> Result<Option<Bytes>, SpoolError> {
        if std::mem::replace(&mut self.0, true) {
            return Err(SpoolError::Corrupt("segment 7".into()));
        }
        Ok(Some(Bytes::from_static(b"Subject: half\r\n\r\n")))
    }
}

const MESSAGE: &str = "Subject: x\r\n\r\nhello\r\n";

fn recipients(addresses: &[&str]) -> Vec<Recipient> {
    let address = |text: &&str| Recipient::new(text.parse().unwrap());
    addresses.iter().map(address).collect()
}

fn transaction<'a>(sender: &'a Address, recipients: &'a [Recipient]) -> Transaction<'a> {
    Transaction {
        sender: Some(sender),
        recipients: recipients.iter().collect(),
        body: BodyType::SevenBit,
        smtputf8: false,
        eight_bit_header: false,
        eight_bit_body: false,
        ret: None,
        envid: None,
        require_tls: false,
    }
}

fn sender() -> Address {
    "me@us.test".parse().unwrap()
}

async fn journalled() -> Result<(), Infallible> {
    Ok(())
}

/// Sends [`MESSAGE`] to these recipients.
async fn send(connection: &mut Connection, to: &[&str]) -> Transacted {
    let (sender, recipients) = (sender(), recipients(to));
    let transaction = transaction(&sender, &recipients);
    connection
        .transact(&transaction, &mut Pieces::of(MESSAGE), journalled())
        .await
}

fn phase(failure: &Failure) -> &str {
    &failure.reply().command
}

const ALL: &[&str] = &["PIPELINING", "SIZE 10000", "8BITMIME", "SMTPUTF8", "DSN"];

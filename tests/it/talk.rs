//! A client that says exactly what a test wants said.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::journal::PATIENCE;

/// An SMTP connection in clear, as octets.
pub struct Talk {
    socket: TcpStream,
    input: Vec<u8>,
}

impl Talk {
    /// Connects and reads the greeting.
    pub async fn to(address: SocketAddr) -> (Talk, String) {
        let socket = TcpStream::connect(address).await.expect("a listener");
        // The final dot is written apart, and would wait for the message's acknowledgement.
        socket.set_nodelay(true).expect("an open connection");
        let mut talk = Talk {
            socket,
            input: Vec::new(),
        };
        let greeting = talk.reply().await;
        (talk, greeting)
    }

    /// Connects, expects 220, says EHLO.
    pub async fn open(address: SocketAddr) -> Talk {
        let (mut talk, greeting) = Talk::to(address).await;
        assert!(greeting.starts_with("220"), "{greeting}");
        let hello = talk.say("EHLO client.test").await;
        assert!(hello.starts_with("250"), "{hello}");
        talk
    }

    /// Sends a line and reads the reply.
    pub async fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.reply().await
    }

    pub async fn send(&mut self, octets: &[u8]) {
        self.socket
            .write_all(octets)
            .await
            .expect("an open connection");
    }

    /// Says that nothing more will be said.
    pub async fn close(&mut self) {
        // The server may have closed already.
        let _closed = self.socket.shutdown().await;
    }

    /// A whole reply, lines joined by `\n`; empty when the server has closed.
    pub async fn reply(&mut self) -> String {
        let mut lines = Vec::new();
        loop {
            while let Some(end) = self.input.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                if line.get(3) != Some(&b'-') {
                    return lines.join("\n");
                }
            }
            if self.read(PATIENCE).await == 0 {
                return lines.join("\n");
            }
        }
    }

    async fn read(&mut self, patience: Duration) -> usize {
        let mut buffer = [0; 4096];
        let read = tokio::time::timeout(patience, self.socket.read(&mut buffer)).await;
        let read = read.expect("an answer in time").unwrap_or(0);
        self.input.extend_from_slice(&buffer[..read]);
        read
    }

    /// MAIL, RCPT and DATA, each of which must be granted.
    pub async fn envelope(&mut self, from: &str, to: &[&str]) {
        let reply = self.say(&format!("MAIL FROM:<{from}>")).await;
        assert!(reply.starts_with("250"), "{reply}");
        for recipient in to {
            let reply = self.say(&format!("RCPT TO:<{recipient}>")).await;
            assert!(reply.starts_with("250"), "{reply}");
        }
        let reply = self.say("DATA").await;
        assert!(reply.starts_with("354"), "{reply}");
    }

    /// A whole transaction; gives the reply to the final dot. `message` ends in CRLF and has no line that starts with
    /// a dot.
    pub async fn submit(&mut self, from: &str, to: &[&str], message: &str) -> String {
        self.envelope(from, to).await;
        self.send(message.as_bytes()).await;
        self.send(b".\r\n").await;
        self.reply().await
    }

    /// The same to one recipient, with its commands in one go (RFC 2920).
    pub async fn submit_at_once(&mut self, from: &str, to: &str, message: &str) -> String {
        let commands = format!("MAIL FROM:<{from}>\r\nRCPT TO:<{to}>\r\nDATA\r\n");
        self.send(commands.as_bytes()).await;
        for expected in ["250", "250", "354"] {
            let reply = self.reply().await;
            assert!(reply.starts_with(expected), "{to}: {reply}");
        }
        self.send(format!("{message}.\r\n").as_bytes()).await;
        self.reply().await
    }
}

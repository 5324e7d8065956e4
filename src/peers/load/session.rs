//! One session of the generator: connects, sends what is due, connects again.

use super::{Job, Tally};
use crate::mail::Reply;
use crate::peers::{stamp, wire::Wire};
use crate::smtp::codec::{EhloLines, ReplyParser};
use base64::Engine as _;
use bytes::Buf;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// The longest wait for a connection or a reply.
const PATIENCE: Duration = Duration::from_secs(60);
/// Before the next try at a server that cannot be reached.
const PAUSE: Duration = Duration::from_millis(50);
/// The name asked for in TLS; whatever certificate comes will do.
const HOST: &str = "load.invalid";

pub(super) struct Worker<'a> {
    job: &'a Job,
    link: Option<Link>,
}

/// A connection that is ready for MAIL.
struct Link {
    wire: Wire,
    pipelining: bool,
    /// The last transaction was left half done.
    unclean: bool,
    sent: u64,
}

/// Why a message was not accepted.
enum Failure {
    /// The server said no; the session goes on.
    Refused(String),
    /// The connection is of no use any more.
    Broken(String),
}

impl Failure {
    fn broken(stage: &str, error: &io::Error) -> Self {
        Self::Broken(format!("{stage}: {error}"))
    }
}

impl<'a> Worker<'a> {
    pub fn new(job: &'a Job) -> Self {
        Self { job, link: None }
    }

    /// Sends until the job says that nothing is due any more.
    pub async fn run(mut self, tally: &mut Tally) {
        while let Some((number, due)) = self.job.pace.next().await {
            match self.send(number, due).await {
                Ok(recipients) => tally.accept(recipients, due.elapsed()),
                Err(Failure::Refused(what)) => tally.fail(what, 1),
                Err(Failure::Broken(what)) => {
                    self.link = None;
                    tally.fail(what, 1);
                    sleep(PAUSE).await;
                }
            }
        }
        if let Some(mut link) = self.link.take() {
            link.quit().await;
        }
    }

    /// Sends message `number`, which was due at `due`; gives the recipients accepted.
    async fn send(&mut self, number: u64, due: Instant) -> Result<u64, Failure> {
        let job = self.job;
        let mut link = match self.link.take() {
            Some(link) => link,
            None => Link::open(job).await?,
        };
        let sent = link.transact(job, number, due).await;
        link.sent += 1;
        link.unclean = sent.is_err();
        if job.config.per_connection.is_some_and(|n| link.sent >= n) {
            link.quit().await;
        } else {
            self.link = Some(link);
        }
        sent
    }
}

impl Link {
    async fn open(job: &Job) -> Result<Link, Failure> {
        let connected = timeout(PATIENCE, TcpStream::connect(&*job.config.to)).await;
        let socket = connected
            .map_err(io::Error::from)
            .flatten()
            .map_err(|e| Failure::broken("connect", &e))?;
        let mut link = Link {
            wire: Wire::new(socket),
            pipelining: false,
            unclean: false,
            sent: 0,
        };
        link.expect("connect", 220).await?;
        link.hello().await?;
        if let Some(tls) = &job.tls {
            link.ask("STARTTLS", 220).await?;
            let handshake = link.wire.connect_tls(tls, HOST).await;
            handshake.map_err(|e| Failure::broken("STARTTLS", &e))?;
            link.hello().await?;
        }
        if let Some((user, password)) = &job.config.auth {
            let secret =
                base64::engine::general_purpose::STANDARD.encode(format!("\0{user}\0{password}"));
            link.command(&format!("AUTH PLAIN {secret}"));
            link.flush("AUTH").await?;
            link.expect("AUTH", 235).await?;
        }
        Ok(link)
    }

    async fn hello(&mut self) -> Result<(), Failure> {
        self.command("EHLO load.example");
        self.flush("EHLO").await?;
        let answer = self.answer("EHLO").await?;
        self.pipelining = EhloLines::parse(&answer).pipelining;
        wanted("EHLO", 250, answer).map_err(Failure::Broken)
    }

    /// MAIL, RCPT and DATA in one write where the server takes that, then the content.
    async fn transact(&mut self, job: &Job, number: u64, due: Instant) -> Result<u64, Failure> {
        let id = job.id(number);
        let recipients = recipients(job, number);
        let mut commands = Vec::new();
        if self.unclean {
            commands.push(("RSET", "RSET".to_owned()));
        }
        commands.push(("MAIL", format!("MAIL FROM:<{}>", job.config.from)));
        for recipient in &recipients {
            commands.push(("RCPT", format!("RCPT TO:<{recipient}>")));
        }
        commands.push(("DATA", "DATA".to_owned()));
        let (accepted, refused) = self.envelope(&commands).await?;
        match refused {
            Some(what) if accepted == 0 => return Err(Failure::Refused(what)),
            _ => {}
        }
        let stamp = stamp::field(job.due_at(due));
        self.content(job, &id, &recipients, &stamp);
        let unwritten = |e| Failure::broken("ledger", &e);
        if job.ledger.is_some() {
            self.flush("content").await?;
        }
        job.note("dot", &id).map_err(unwritten)?;
        self.wire.output().extend_from_slice(b".\r\n");
        self.flush(".").await?;
        let answer = self.answer(".").await?;
        closing(".", &answer)?;
        wanted(".", 250, answer).map_err(Failure::Refused)?;
        job.note("250", &id).map_err(unwritten)?;
        Ok(accepted)
    }

    /// Says the commands; gives the recipients accepted where DATA was granted, and the first refusal.
    async fn envelope(
        &mut self,
        commands: &[(&'static str, String)],
    ) -> Result<(u64, Option<String>), Failure> {
        let (mut accepted, mut refused) = (0, None);
        if self.pipelining {
            for (_, line) in commands {
                self.command(line);
            }
            self.flush("MAIL").await?;
        }
        for (verb, line) in commands {
            if !self.pipelining {
                self.command(line);
                self.flush(verb).await?;
            }
            let answer = self.answer(verb).await?;
            closing(verb, &answer)?;
            let good = if *verb == "DATA" { 354 } else { 250 };
            match wanted(verb, good, answer) {
                Ok(()) if *verb == "RCPT" => accepted += 1,
                Ok(()) => {}
                Err(what) => {
                    if *verb == "DATA" {
                        accepted = 0;
                    }
                    refused.get_or_insert(what);
                }
            }
        }
        Ok((accepted, refused))
    }

    /// Header section and body; no line begins with a dot.
    fn content(&mut self, job: &Job, id: &str, recipients: &[String], stamp: &str) {
        let mut head = String::with_capacity(352);
        let (from, fields) = (&job.config.from, &job.config.fields);
        // Writing to a String cannot fail.
        let _written = write!(
            head,
            "From: <{from}>\r\nTo: <{}>\r\nSubject: load {id}\r\nMessage-ID: <{id}@load.example>\r\nX-Load-Id: {id}\r\n\
             {fields}{stamp}MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n",
            recipients.first().map_or("nobody@load.example", |r| r),
        );
        self.wire.output().extend_from_slice(head.as_bytes());
        self.wire.output().extend_from_slice(&job.body);
    }

    async fn quit(&mut self) {
        self.command("QUIT");
        // The mail is in; how the farewell goes changes nothing.
        if self.flush("QUIT").await.is_ok() {
            let _farewell = self.answer("QUIT").await;
        }
    }

    fn command(&mut self, line: &str) {
        let output = self.wire.output();
        output.extend_from_slice(line.as_bytes());
        output.extend_from_slice(b"\r\n");
    }

    async fn flush(&mut self, stage: &str) -> Result<(), Failure> {
        let flushed = timeout(PATIENCE, self.wire.flush()).await;
        flushed
            .map_err(io::Error::from)
            .flatten()
            .map_err(|e| Failure::broken(stage, &e))
    }

    async fn ask(&mut self, line: &str, code: u16) -> Result<(), Failure> {
        self.command(line);
        self.flush(line).await?;
        self.expect(line, code).await
    }

    /// Reads a reply that must have this code for the connection to be of use.
    async fn expect(&mut self, stage: &str, code: u16) -> Result<(), Failure> {
        let answer = self.answer(stage).await?;
        wanted(stage, code, answer).map_err(Failure::Broken)
    }

    async fn answer(&mut self, stage: &str) -> Result<Reply, Failure> {
        let mut parser = ReplyParser::default();
        loop {
            let input = self.wire.input();
            let (taken, reply) = parser
                .ingest(input, stage)
                .map_err(|e| Failure::Broken(format!("{stage}: {e}")))?;
            input.advance(taken);
            if let Some(reply) = reply {
                return Ok(reply);
            }
            let filled = timeout(PATIENCE, self.wire.fill()).await;
            let filled = filled
                .map_err(io::Error::from)
                .flatten()
                .map_err(|e| Failure::broken(stage, &e))?;
            if filled == 0 {
                return Err(Failure::Broken(format!("{stage}: connection closed")));
            }
        }
    }
}

/// 421 is the last thing a server says.
fn closing(stage: &str, answer: &Reply) -> Result<(), Failure> {
    match answer.code {
        421 => Err(Failure::Broken(format!("{stage}: {answer}"))),
        _ => Ok(()),
    }
}

fn wanted(stage: &str, code: u16, answer: Reply) -> Result<(), String> {
    match answer.code == code {
        true => Ok(()),
        false => Err(format!("{stage}: {answer}")),
    }
}

fn recipients(job: &Job, number: u64) -> Vec<String> {
    let config = &job.config;
    let id = job.id(number);
    (0..config.recipients.max(1) as u64)
        .map(|i| {
            let domain = (number + i) % config.domains.max(1);
            format!("{id}-{i}@d{domain}.load.example")
        })
        .collect()
}

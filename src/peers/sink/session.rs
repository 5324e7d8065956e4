//! One connection to a sink.

use super::content::{end, unstuff};
use super::{Keep, Message, Shared, Stage};
use crate::peers::script::Action;
use crate::peers::wire::Wire;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::TcpStream;

pub(super) struct Session {
    wire: Wire,
    shared: Arc<Shared>,
    peer: SocketAddr,
    number: u64,
    helo: Box<str>,
    transaction: Option<Transaction>,
}

struct Transaction {
    sender: Box<str>,
    parameters: Box<str>,
    recipients: Vec<Box<str>>,
}

/// What an answer means for what comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// 2xx or 3xx was said.
    Granted,
    /// 4xx, 5xx or nonsense was said.
    Refused,
    /// The script ends the connection.
    End,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.counts.open.fetch_sub(1, Relaxed);
        self.shared.changed.notify_waiters();
    }
}

impl Session {
    pub fn new(socket: TcpStream, peer: SocketAddr, number: u64, shared: Arc<Shared>) -> Self {
        Self {
            wire: Wire::new(socket),
            shared,
            peer,
            number,
            helo: "".into(),
            transaction: None,
        }
    }

    /// Serves until either side closes.
    pub async fn run(mut self) -> io::Result<()> {
        let peer = self.peer.ip().to_string();
        let greeting = format!("220 {} ESMTP", self.shared.config.hostname);
        let mut step = self.answer(Stage::Connect, &[&peer], &greeting).await?;
        while step != Step::End {
            if !self.wire.has_line() {
                self.flush().await?;
            }
            let Some(line) = self.wire.line().await? else {
                return Ok(());
            };
            step = self.command(&String::from_utf8_lossy(&line)).await?;
        }
        self.flush().await?;
        self.wire.finish().await
    }

    async fn command(&mut self, line: &str) -> io::Result<Step> {
        if self.shared.config.keep == Keep::Memory {
            let mut journal = self.shared.journal.lock();
            journal.commands.push((self.number, line.into()));
        }
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" => self.hello(argument.trim()).await,
            "STARTTLS" => self.start_tls().await,
            "AUTH" => self.auth(argument).await,
            "MAIL" => self.mail(argument).await,
            "RCPT" => self.rcpt(argument).await,
            "DATA" => self.data().await,
            "RSET" => {
                self.transaction = None;
                self.answer(Stage::Rset, &[], "250 2.0.0 flushed").await
            }
            "NOOP" => Ok(self.say(b"250 2.0.0 still here\r\n")),
            "QUIT" => {
                let step = self.answer(Stage::Quit, &[], "221 2.0.0 bye").await?;
                Ok(if step == Step::Granted {
                    Step::End
                } else {
                    step
                })
            }
            _ => Ok(self.say(b"502 5.5.1 not here\r\n")),
        }
    }

    async fn hello(&mut self, name: &str) -> io::Result<Step> {
        self.helo = name.into();
        self.transaction = None;
        let config = &self.shared.config;
        let mut lines = vec![config.hostname.to_string()];
        lines.extend(config.extensions.iter().map(|e| e.to_string()));
        if config.tls.is_some() && !self.wire.is_tls() {
            lines.push("STARTTLS".to_owned());
        }
        if let Some(most) = config.rcpt_max {
            lines.push(format!("LIMITS RCPTMAX={most}"));
        }
        let last = lines.pop().unwrap_or_default();
        let mut reply: String = lines.iter().map(|l| format!("250-{l}\r\n")).collect();
        reply.push_str("250 ");
        reply.push_str(&last);
        self.answer(Stage::Ehlo, &[name], &reply).await
    }

    async fn start_tls(&mut self) -> io::Result<Step> {
        let Some(tls) = self.shared.config.tls.clone() else {
            return Ok(self.say(b"502 5.5.1 no TLS here\r\n"));
        };
        let step = self
            .answer(Stage::StartTls, &[], "220 2.0.0 go ahead")
            .await?;
        if step == Step::Granted {
            self.flush().await?;
            self.helo = "".into();
            self.wire.accept_tls(tls).await?;
        }
        Ok(step)
    }

    /// Everyone is welcome; only the initial-response form of RFC 4954 is known.
    async fn auth(&mut self, argument: &str) -> io::Result<Step> {
        self.answer(Stage::Auth, &[argument], "235 2.7.0 welcome")
            .await
    }

    async fn mail(&mut self, argument: &str) -> io::Result<Step> {
        let Some((sender, parameters)) = path(argument, "FROM:") else {
            return Ok(self.say(b"501 5.5.4 MAIL FROM:<address>\r\n"));
        };
        let step = self
            .answer(Stage::Mail, &[sender], "250 2.1.0 sender ok")
            .await?;
        if step == Step::Granted {
            self.transaction = Some(Transaction {
                sender: sender.into(),
                parameters: parameters.into(),
                recipients: Vec::new(),
            });
        }
        Ok(step)
    }

    async fn rcpt(&mut self, argument: &str) -> io::Result<Step> {
        let Some((recipient, _)) = path(argument, "TO:") else {
            return Ok(self.say(b"501 5.5.4 RCPT TO:<address>\r\n"));
        };
        let Some(transaction) = &self.transaction else {
            return Ok(self.say(b"503 5.5.1 MAIL first\r\n"));
        };
        let most = self.shared.config.rcpt_max.unwrap_or(usize::MAX);
        if transaction.recipients.len() >= most {
            return Ok(self.say(b"452 4.5.3 too many recipients\r\n"));
        }
        let step = self
            .answer(Stage::Rcpt, &[recipient], "250 2.1.5 recipient ok")
            .await?;
        if let (Step::Granted, Some(transaction)) = (step, &mut self.transaction) {
            transaction.recipients.push(recipient.into());
        }
        Ok(step)
    }

    async fn data(&mut self) -> io::Result<Step> {
        let Some(transaction) = self.transaction.take_if(|t| !t.recipients.is_empty()) else {
            return Ok(self.say(b"503 5.5.1 RCPT first\r\n"));
        };
        let step = self
            .answer(Stage::Data, &transaction.subjects(), "354 go ahead")
            .await?;
        if step != Step::Granted {
            return Ok(step);
        }
        self.flush().await?;
        let content = self.content().await?;
        self.shared.arrived(&content);
        self.dot(transaction, content).await
    }

    /// Reads up to the end of data.
    async fn content(&mut self) -> io::Result<Box<[u8]>> {
        let mut searched = 0;
        loop {
            let kind = self.shared.config.end_of_data;
            let input = self.wire.input();
            if let Some((stop, next)) = end(input, searched, kind) {
                let mut octets = input.split_to(next);
                octets.truncate(stop);
                return Ok(unstuff(&octets));
            }
            searched = input.len();
            if self.wire.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The message counts as taken unless the script refuses it: also where the answer is lost.
    async fn dot(&mut self, transaction: Transaction, content: Box<[u8]>) -> io::Result<Step> {
        let rule = self.rule(Stage::Dot, &transaction.subjects());
        let refused = matches!(
            &rule,
            Some((_, Action::Say(octets) | Action::SayAndClose(octets))) if !is_positive(octets)
        );
        if !refused {
            let message = Message {
                connection: self.number,
                peer: self.peer,
                helo: self.helo.clone(),
                tls: self.wire.tls_version(),
                sender: transaction.sender,
                parameters: transaction.parameters,
                recipients: transaction.recipients,
                content,
            };
            self.shared.take(message).await?;
        }
        self.act(rule, "250 2.0.0 taken").await
    }

    /// The script's answer at `stage`, or else the usual one.
    async fn answer(&mut self, stage: Stage, subjects: &[&str], usual: &str) -> io::Result<Step> {
        let rule = self.rule(stage, subjects);
        self.act(rule, usual).await
    }

    fn rule(&self, stage: Stage, subjects: &[&str]) -> Option<(Duration, Action)> {
        let rules = self.shared.rules.load();
        let mut applying = rules.iter().filter_map(|r| r.applies(stage, subjects));
        applying
            .next()
            .map(|(latency, action)| (latency, action.clone()))
    }

    async fn act(&mut self, rule: Option<(Duration, Action)>, usual: &str) -> io::Result<Step> {
        let (latency, action) = rule.unwrap_or((Duration::ZERO, Action::Pass));
        if !latency.is_zero() {
            self.wire.flush().await?;
            tokio::time::sleep(latency).await;
        }
        if action == Action::Wait {
            self.wire.flush().await?;
            self.shared.another_script().await;
        }
        match action {
            Action::Pass | Action::Wait => {
                let output = self.wire.output();
                output.extend_from_slice(usual.as_bytes());
                output.extend_from_slice(b"\r\n");
                Ok(Step::Granted)
            }
            Action::Say(octets) => Ok(self.say(&octets)),
            Action::SayAndClose(octets) => {
                self.say(&octets);
                Ok(Step::End)
            }
            Action::Close => Ok(Step::End),
            Action::Silence => self.fall_silent().await,
        }
    }

    /// Reads and says nothing until the client gives up.
    async fn fall_silent(&mut self) -> io::Result<Step> {
        self.wire.flush().await?;
        while self.wire.fill().await? > 0 {
            self.wire.input().clear();
        }
        Ok(Step::End)
    }

    fn say(&mut self, reply: &[u8]) -> Step {
        self.wire.output().extend_from_slice(reply);
        if is_positive(reply) {
            return Step::Granted;
        }
        self.shared.counts.refused.fetch_add(1, Relaxed);
        self.shared.changed.notify_waiters();
        Step::Refused
    }

    async fn flush(&mut self) -> io::Result<()> {
        let latency = self.shared.config.latency;
        if !latency.is_zero() && !self.wire.output().is_empty() {
            tokio::time::sleep(latency).await;
        }
        self.wire.flush().await
    }
}

impl Transaction {
    /// Whom a rule at DATA or DOT may name: any recipient, or the sender.
    fn subjects(&self) -> Vec<&str> {
        let recipients = self.recipients.iter().map(|r| &**r);
        recipients.chain([&*self.sender]).collect()
    }
}

fn is_positive(reply: &[u8]) -> bool {
    matches!(reply.first(), Some(b'2' | b'3'))
}

/// `FROM:<a@b> SIZE=3` → `a@b` and `SIZE=3`.
fn path<'a>(argument: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let argument = argument.trim_start();
    let given = argument.get(..keyword.len())?;
    let rest = argument.get(keyword.len()..)?.trim_start();
    let (path, parameters) = rest.strip_prefix('<')?.split_once('>')?;
    given
        .eq_ignore_ascii_case(keyword)
        .then_some((path, parameters.trim()))
}

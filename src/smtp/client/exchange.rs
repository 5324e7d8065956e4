//! Commands and their answers: a group goes out in one write, its replies come back in order.

use super::failure::Failure;
use super::wire::Wire;
use crate::mail::Reply;
use mail_send::SmtpClient;
use std::time::Duration;

/// Commands that travel together (RFC 2920). Each has a name for the replies to it.
#[derive(Default)]
pub(super) struct Group {
    octets: Vec<u8>,
    ends: Vec<(usize, &'static str)>,
}

impl Group {
    /// Adds a command; `write` appends its line without CRLF.
    pub fn push(&mut self, command: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.octets);
        self.octets.extend_from_slice(b"\r\n");
        self.ends.push((self.octets.len(), command));
    }

    /// The commands one by one, for a server without PIPELINING.
    pub fn singly(&self) -> impl Iterator<Item = Group> {
        let names = self.ends.iter().map(|(_, command)| *command);
        self.lines().zip(names).map(|(line, command)| Group {
            octets: line.to_vec(),
            ends: vec![(line.len(), command)],
        })
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        let ranges = starts.zip(self.ends.iter().map(|(end, _)| *end));
        ranges.map(|(start, end)| self.octets.get(start..end).unwrap_or_default())
    }

    /// The name of the command at `position`.
    fn command(&self, position: usize) -> &'static str {
        self.ends.get(position).map_or("", |(_, command)| command)
    }
}

/// Replies in the order of their commands, as many as came, and why no more came.
pub(super) struct Answers {
    pub replies: Vec<Reply>,
    pub failure: Option<Failure>,
}

/// Sends a group and reads its replies. 421 ends the conversation, whatever it answers.
pub(super) async fn exchange(
    client: &mut SmtpClient<Wire>,
    group: &Group,
    patience: Duration,
) -> Answers {
    client.timeout = patience;
    let outcome = client.cmds(group.lines()).await;
    let mut replies = Vec::with_capacity(group.ends.len());
    while let Some(reply) = client.stream.take_reply(group.command(replies.len())) {
        replies.push(reply);
    }
    let leaving = replies.iter().find(|reply| reply.code == 421);
    let failure = match (leaving, outcome) {
        (Some(reply), _) => Some(Failure::Said(reply.clone())),
        (None, Ok(_)) => None,
        (None, Err(error)) => Some(explain(error, patience, group.command(replies.len()))),
    };
    Answers { replies, failure }
}

/// Reads one reply that answers no line of ours: the greeting, or the answer to the final dot.
pub(super) async fn listen(
    client: &mut SmtpClient<Wire>,
    patience: Duration,
    phase: &'static str,
) -> Result<Reply, Failure> {
    let read = tokio::time::timeout(patience, client.read()).await;
    let outcome = read.unwrap_or(Err(mail_send::Error::Timeout));
    match (client.stream.take_reply(phase), outcome) {
        (Some(reply), _) => Ok(reply),
        (None, Err(error)) => Err(explain(error, patience, phase)),
        (None, Ok(_)) => Err(Failure::lost(phase, "the reply was lost")),
    }
}

fn explain(error: mail_send::Error, patience: Duration, phase: &str) -> Failure {
    match error {
        mail_send::Error::Timeout => {
            let within = crate::units::Span(patience);
            Failure::lost(phase, format!("no answer within {within}"))
        }
        mail_send::Error::Io(error) => Failure::lost(phase, error),
        other => Failure::lost(phase, other),
    }
}

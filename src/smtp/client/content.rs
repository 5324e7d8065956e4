//! The content of a message on its way: stuffed, streamed, and ended by the dot that hands it over.

use super::Connection;
use super::exchange::listen;
use super::failure::Failure;
use super::transact::Source;
use crate::mail::Reply;
use crate::smtp::codec::Stuffer;
use crate::units::Span;
use std::fmt::Display;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// How long a broken connection is listened to for the reason it broke.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Connection {
    /// Streams `content`, awaits `before_dot`, ends the message and waits for the answer.
    pub(super) async fn content<S, J, E>(
        &mut self,
        content: &mut S,
        before_dot: J,
    ) -> Result<Reply, Failure>
    where
        S: Source,
        J: Future<Output = Result<(), E>>,
        E: Display,
    {
        let mut stuffer = Stuffer::default();
        loop {
            let piece = content.next().await;
            let Some(piece) = piece.map_err(|error| Failure::unreadable(&error))? else {
                break;
            };
            stuffer.push(&piece, self.client.stream.output());
            if self.client.stream.is_full()
                && let Err(failure) = self.leave("content").await
            {
                return self.last_words().await.ok_or(failure);
            }
        }
        before_dot
            .await
            .map_err(|error| Failure::local("content", error))?;
        stuffer.finish(self.client.stream.output());
        self.end().await
    }

    /// The empty message that answers a 354 nobody is behind (RFC 2920 §3.1). Its reply says nothing about anyone.
    pub(super) async fn lone_dot(&mut self) -> Result<(), Failure> {
        Stuffer::default().finish(self.client.stream.output());
        self.leave(".").await?;
        let reply = listen(&mut self.client, self.timeouts.dot.0, ".").await?;
        if reply.code == 421 {
            return Err(Failure::Said(reply));
        }
        Ok(())
    }

    /// The dot leaves. From here on silence may mean that the server has the message.
    async fn end(&mut self) -> Result<Reply, Failure> {
        if let Err(failure) = self.leave(".").await {
            // What the socket never took, the server never got.
            let kept = self.client.stream.unsent() > 0;
            let failure = if kept { failure } else { failure.after_dot() };
            return self.last_words().await.ok_or(failure);
        }
        let reply = listen(&mut self.client, self.timeouts.dot.0, ".").await;
        let reply = reply.map_err(Failure::after_dot)?;
        match reply.code {
            354 => Err(Failure::lost(".", format!("unexpected {reply}")).after_dot()),
            300..=399 => Err(Failure::lost(".", format!("unexpected {reply}")).after_dot()),
            _ => Ok(reply),
        }
    }

    async fn leave(&mut self, phase: &'static str) -> Result<(), Failure> {
        let patience = self.timeouts.block.0;
        match tokio::time::timeout(patience, self.client.stream.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::lost(phase, error)),
            Err(_) => {
                let why = format!("the server took nothing within {}", Span(patience));
                Err(Failure::lost(phase, why))
            }
        }
    }

    /// A server that breaks off mid-way has often said why: a refusal it left behind is its answer.
    async fn last_words(&mut self) -> Option<Reply> {
        self.broken = true;
        let reply = listen(&mut self.client, LAST_WORDS, "content").await.ok()?;
        (400..600).contains(&reply.code).then_some(reply)
    }
}

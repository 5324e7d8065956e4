//! The content of a message on its way: stuffed, streamed, and ended by the dot that hands it over.

use super::Connection;
use super::exchange::listen;
use super::failure::Failure;
use super::transact::Source;
use crate::mail::Reply;
use crate::smtp::codec::dot_stuff;
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

/// Turns pieces of content into octets behind 354.
///
/// Bare CR and LF never leave: intake refuses or repairs them, and what slipped past it is repaired here, because a
/// server that takes them for line ends would see another message than we sent.
struct Stuffer {
    at_line_start: bool,
    /// A CR at the end of a piece waits for its LF.
    held_cr: bool,
}

impl Default for Stuffer {
    fn default() -> Self {
        Self {
            at_line_start: true,
            held_cr: false,
        }
    }
}

impl Stuffer {
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let Some(first) = piece.first() else { return };
        let mut rest = piece;
        if std::mem::take(&mut self.held_cr) {
            self.stuff(b"\r\n", out);
            if *first == b'\n' {
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        if let Some(before) = rest.strip_suffix(b"\r") {
            self.held_cr = true;
            rest = before;
        }
        if ends_lines_properly(rest) {
            self.stuff(rest, out);
        } else {
            self.stuff(&repaired(rest), out);
        }
    }

    /// Ends the last line where the content does not, and the message.
    fn finish(&mut self, out: &mut Vec<u8>) {
        if self.held_cr || !self.at_line_start {
            self.stuff(b"\r\n", out);
        }
        out.extend_from_slice(b".\r\n");
    }

    fn stuff(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        dot_stuff(&mut self.at_line_start, octets, out);
    }
}

/// Every CR has its LF and every LF its CR. A first LF without CR counts as bare: a held CR has taken its own.
fn ends_lines_properly(octets: &[u8]) -> bool {
    let after_cr = |at: usize| octets.get(at + 1) == Some(&b'\n');
    let before_lf = |at: usize| at > 0 && octets.get(at - 1) == Some(&b'\r');
    memchr::memchr_iter(b'\n', octets).all(before_lf)
        && memchr::memchr_iter(b'\r', octets).all(after_cr)
}

fn repaired(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() + 64);
    let mut previous = 0;
    for &octet in octets {
        match octet {
            b'\n' if previous == b'\r' => {}
            b'\r' | b'\n' => out.extend_from_slice(b"\r\n"),
            _ => out.push(octet),
        }
        previous = octet;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::codec::{ContentRules, DataReceiver, LineEndings};
    use proptest::prelude::*;

    fn sent(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut stuffer, mut out) = (Stuffer::default(), Vec::new());
        for piece in pieces {
            stuffer.push(piece, &mut out);
        }
        stuffer.finish(&mut out);
        out
    }

    #[test]
    fn dots_are_doubled_and_lines_ended() {
        assert_eq!(sent(&[]), b".\r\n");
        assert_eq!(sent(&[b"a\r\n.\r\n..b"]), b"a\r\n..\r\n...b\r\n.\r\n");
        assert_eq!(sent(&[b"a\r", b"\n.", b"b\r\n"]), b"a\r\n..b\r\n.\r\n");
    }

    #[test]
    fn no_bare_line_end_leaves() {
        assert_eq!(sent(&[b"a\n.\nb"]), b"a\r\n..\r\nb\r\n.\r\n");
        assert_eq!(sent(&[b"a\r.\r\nb\r"]), b"a\r\n..\r\nb\r\n.\r\n");
        assert_eq!(sent(&[b"a\r", b".\r\n"]), b"a\r\n..\r\n.\r\n");
        assert_eq!(sent(&[b"a\r", b"\r", b"\n"]), b"a\r\n\r\n.\r\n");
    }

    /// What a strict receiver makes of what was sent.
    fn received(wire: &[u8]) -> Option<Vec<u8>> {
        let rules = ContentRules {
            max_size: 1 << 20,
            max_line: 1000,
            eight_bit: true,
            line_endings: LineEndings::Refuse,
        };
        let (mut data, mut out) = (DataReceiver::new(rules), Vec::new());
        let progress = data.ingest(wire, &mut out);
        let whole = progress.done && progress.consumed == wire.len() && data.violation().is_none();
        whole.then_some(out)
    }

    proptest! {
        #[test]
        fn what_a_strict_receiver_gets_is_what_was_sent(
            lines in proptest::collection::vec("[.a-cé]{0,5}", 0..20), at in 0usize..60,
        ) {
            let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let (head, tail) = text.as_bytes().split_at(at.min(text.len()));
            prop_assert_eq!(received(&sent(&[head, tail])), Some(text.into_bytes()));
        }

        #[test]
        fn cuts_change_nothing_and_the_end_is_single(text in "[.\r\na]{0,40}", cut in 0usize..40) {
            let (head, tail) = text.as_bytes().split_at(cut.min(text.len()));
            let whole = sent(&[text.as_bytes()]);
            prop_assert_eq!(&sent(&[head, tail]), &whole);
            let text = String::from_utf8(whole).unwrap();
            prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
            let ends: Vec<_> = format!("\r\n{text}").match_indices("\r\n.\r\n").map(|(at, _)| at).collect();
            prop_assert_eq!(ends, vec![text.len() + 2 - 5]);
        }
    }
}

//! The content of a message: DATA and BDAT.

use super::{Output, Refusal, Session, State, Step, replies};
use crate::mail::{Address, BodyType, MessageId, Reply};
use crate::smtp::codec::{
    BdatReceiver, ContentRules, DataReceiver, Progress, Violation, write_reply,
};
use std::io::Write as _;

/// A message that is open at the door.
#[derive(Debug)]
pub struct Message {
    intake: Intake,
    /// For the event, where the message is refused.
    sender: Option<Address>,
    /// The door said no while content came in; the rest is read and dropped.
    refusal: Option<Reply>,
}

#[derive(Debug)]
enum Intake {
    Data(DataReceiver),
    Bdat {
        receiver: BdatReceiver,
        /// Octets of the chunk under way; `None` between chunks, where commands are read.
        chunk: Option<u64>,
        last: bool,
    },
}

impl Message {
    pub fn wants_content(&self) -> bool {
        match &self.intake {
            Intake::Data(_) => true,
            Intake::Bdat { chunk, .. } => chunk.is_some(),
        }
    }

    fn begin_chunk(&mut self, size: u64, is_last: bool) {
        if let Intake::Bdat {
            receiver,
            chunk,
            last,
        } = &mut self.intake
        {
            receiver.begin_chunk(size);
            *chunk = Some(size);
            *last = is_last;
        }
    }

    /// The size of the chunk just read, where more chunks follow.
    fn end_chunk(&mut self) -> Option<u64> {
        match &mut self.intake {
            Intake::Bdat {
                chunk, last: false, ..
            } => chunk.take(),
            _ => None,
        }
    }

    fn ingest(&mut self, input: &[u8], out: &mut Output) -> Progress {
        let progress = match &mut self.intake {
            Intake::Data(receiver) => receiver.ingest(input, &mut out.content),
            Intake::Bdat { receiver, last, .. } => {
                let progress = receiver.ingest(input, &mut out.content);
                if progress.done && *last {
                    receiver.finish(&mut out.content);
                }
                progress
            }
        };
        if self.violation().is_some() || self.refusal.is_some() {
            out.content.clear();
        }
        progress
    }

    fn violation(&self) -> Option<Violation> {
        match &self.intake {
            Intake::Data(receiver) => receiver.violation(),
            Intake::Bdat { receiver, .. } => receiver.violation(),
        }
    }

    fn octets(&self) -> u64 {
        match &self.intake {
            Intake::Data(receiver) => receiver.octets(),
            Intake::Bdat { receiver, .. } => receiver.octets(),
        }
    }

    /// Why the message is not taken, as far as we know by now.
    fn verdict(&self, limit: u64) -> Option<Reply> {
        let command = match &self.intake {
            Intake::Data(_) => ".",
            Intake::Bdat { .. } => "BDAT",
        };
        match self.violation() {
            Some(Violation::TooBig) => Some(replies::too_big(limit, command)),
            Some(violation) => Some(violation.reply()),
            None => self.refusal.clone(),
        }
    }
}

impl Session {
    pub(super) fn on_data(&mut self, behind: bool, out: &mut Output) -> Step {
        if let Some(refusal) = self.content_order("DATA") {
            return self.refuse(refusal, out);
        }
        // RFC 2920 §3.1: DATA is the last command of a group. Content ahead of the 354 was put there by someone who
        // does not know whether it would be read as content or as commands.
        if behind {
            return self.refuse(replies::said_too_early("DATA"), out);
        }
        self.begin(|rules| Intake::Data(DataReceiver::new(rules)))
    }

    pub(super) fn on_bdat(&mut self, size: u64, last: bool, out: &mut Output) -> Step {
        let limit = self.context.limits.max_message_size.0;
        if size > limit {
            return self.give_up(replies::too_big(limit, "BDAT"), out);
        }
        if let State::Message(message) = &mut self.state {
            message.begin_chunk(size, last);
            return Step::Go;
        }
        if let Some(refusal) = self.content_order("BDAT") {
            // RFC 3030 §2: the octets of a refused chunk come all the same.
            self.state = State::Skip {
                remaining: size,
                reply: Box::new(refusal),
            };
            return Step::Go;
        }
        let step = self.begin(|rules| Intake::Bdat {
            receiver: BdatReceiver::new(rules),
            chunk: None,
            last,
        });
        if let State::Message(message) = &mut self.state {
            message.begin_chunk(size, last);
        }
        step
    }

    /// Why content cannot come now.
    fn content_order(&self, command: &str) -> Option<Reply> {
        match &self.state {
            State::Envelope(envelope) if envelope.recipients.is_empty() => {
                Some(replies::no_recipients(command))
            }
            State::Envelope(_) => None,
            State::Message(_) => Some(replies::out_of_order("BDAT is under way", command)),
            _ => Some(replies::out_of_order("MAIL and RCPT first", command)),
        }
    }

    fn begin(&mut self, receiver: impl FnOnce(ContentRules) -> Intake) -> Step {
        let State::Envelope(envelope) = std::mem::replace(&mut self.state, State::Command) else {
            return Step::Go;
        };
        let eight_bit = envelope.body == BodyType::EightBitMime || envelope.smtputf8;
        self.state = State::Message(Box::new(Message {
            intake: receiver(self.context.limits.content_rules(eight_bit)),
            sender: envelope.sender.clone(),
            refusal: None,
        }));
        Step::Begin(envelope)
    }

    /// Answers [`Step::Begin`]: 354 is said only where the door is open.
    pub fn begun(&mut self, answer: Result<(), Reply>, out: &mut Output) -> Step {
        let State::Message(message) = &mut self.state else {
            return Step::Go;
        };
        match (answer, &message.intake) {
            (Ok(()), Intake::Data(_)) => out.replies.extend_from_slice(replies::GO_AHEAD),
            (Ok(()), Intake::Bdat { .. }) => {}
            // The chunk comes all the same; the reply follows it.
            (Err(reply), Intake::Bdat { .. }) => message.refusal = Some(reply),
            (Err(reply), Intake::Data(_)) => {
                let sender = message.sender.take();
                self.state = State::Command;
                return self.refuse_about(reply, (sender, None), out);
            }
        }
        Step::Go
    }

    pub(super) fn take_content(&mut self, input: &[u8], out: &mut Output) -> (usize, Step) {
        let State::Message(message) = &mut self.state else {
            return (0, Step::Read);
        };
        let progress = message.ingest(input, out);
        if progress.done {
            return (progress.consumed, self.end_content(out));
        }
        let limit = self.context.limits.max_message_size.0;
        let step = if message.octets() / 2 > limit {
            // Read on to tell the client so, but not for ever.
            self.give_up(replies::too_big(limit, "."), out)
        } else if out.content.is_empty() {
            Step::Read
        } else {
            Step::Store
        };
        (progress.consumed, step)
    }

    /// The message or the chunk is whole.
    fn end_content(&mut self, out: &mut Output) -> Step {
        let limit = self.context.limits.max_message_size.0;
        let State::Message(mut message) = std::mem::replace(&mut self.state, State::Command) else {
            return Step::Go;
        };
        if let Some(reply) = message.verdict(limit) {
            return self.refuse_about(reply, (message.sender, None), out);
        }
        if let Some(size) = message.end_chunk() {
            // Writing into a Vec cannot fail.
            let _infallible = write!(out.replies, "250 2.0.0 {size} octets received\r\n");
            self.state = State::Message(message);
            return Step::Store;
        }
        self.state = State::Finishing {
            sender: message.sender,
        };
        Step::Finish
    }

    /// Answers [`Step::Store`] where the door refused the content: the rest is read and dropped.
    pub fn content_refused(&mut self, reply: Reply) {
        if let State::Message(message) = &mut self.state {
            message.refusal.get_or_insert(reply);
        }
    }

    /// Answers [`Step::Finish`].
    pub fn finished(&mut self, outcome: Result<MessageId, Reply>, out: &mut Output) -> Step {
        let state = std::mem::replace(&mut self.state, State::Command);
        match outcome {
            Ok(id) => {
                self.idle = 0;
                let _infallible = write!(out.replies, "250 2.0.0 Ok: queued as {id}\r\n");
                Step::Go
            }
            Err(reply) => {
                let sender = match state {
                    State::Finishing { sender } => sender,
                    _ => None,
                };
                self.refuse_about(reply, (sender, None), out)
            }
        }
    }

    pub(super) fn skip(&mut self, input: &[u8], out: &mut Output) -> (usize, Step) {
        let State::Skip { remaining, reply } = &mut self.state else {
            return (0, Step::Read);
        };
        let here = usize::try_from(*remaining)
            .unwrap_or(usize::MAX)
            .min(input.len());
        *remaining -= here as u64;
        if *remaining > 0 {
            return (here, Step::Read);
        }
        let reply = (**reply).clone();
        self.state = State::Command;
        (here, self.refuse(reply, out))
    }

    /// Refuses and closes: what follows on the wire is too much to read.
    fn give_up(&mut self, reply: Reply, out: &mut Output) -> Step {
        self.state = State::Command;
        write_reply(&reply, &mut out.replies);
        Step::Refused(Box::new(Refusal {
            reply,
            sender: None,
            recipient: None,
            close: true,
        }))
    }
}

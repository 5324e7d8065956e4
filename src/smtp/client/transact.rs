//! One message to some recipients at one server.

use super::Connection;
use super::exchange::{Answers, exchange};
use super::failure::Failure;
use super::plan::{Plan, Step};
use crate::mail::{Address, BodyType, Recipient, Reply, Ret};
use crate::spool::{Content, Meta, SpoolError};
use bytes::Bytes;
use std::fmt::Display;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

/// What is to be sent, beside its content.
#[derive(Debug, Clone)]
pub struct Transaction<'a> {
    /// The return path; `None` is `<>`.
    pub sender: Option<&'a Address>,
    pub recipients: Vec<&'a Recipient>,
    pub body: BodyType,
    pub smtputf8: bool,
    /// The content has octets over 127, in its header section or its body.
    pub eight_bit_header: bool,
    pub eight_bit_body: bool,
    pub ret: Option<Ret>,
    pub envid: Option<&'a str>,
    /// MAIL says REQUIRETLS where the server offers it (RFC 8689).
    pub require_tls: bool,
}

impl<'a> Transaction<'a> {
    /// A stored message to some of its recipients.
    pub fn new(meta: &'a Meta, recipients: Vec<&'a Recipient>) -> Self {
        let envelope = &meta.envelope;
        Self {
            sender: envelope.sender.as_ref(),
            recipients,
            body: envelope.body,
            smtputf8: envelope.smtputf8,
            eight_bit_header: meta.eight_bit_header,
            eight_bit_body: meta.eight_bit_body,
            ret: envelope.ret,
            envid: envelope.envid.as_deref(),
            require_tls: meta.labels.tls.is_passed_on(),
        }
    }
}

/// Where content comes from, piece by piece: the spool, or a test.
pub trait Source: Send {
    /// Octets of the whole message.
    fn len(&self) -> u64;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next piece; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, SpoolError>> + Send;
}

impl Source for Content {
    fn len(&self) -> u64 {
        Content::len(self)
    }

    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, SpoolError>> + Send {
        Content::next(self)
    }
}

/// Whether the connection can carry another transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Reusable,
    Closed,
}

/// What came of a transaction.
#[derive(Debug)]
#[must_use = "outcomes that nobody records are mail sent twice or lost"]
pub struct Transacted {
    /// In the order of the transaction: `Err` is a refusal of this recipient, by the server or (a local reply) because
    /// the server lacks what it needs.
    pub recipients: Vec<Result<(), Reply>>,
    /// For the recipients that are `Ok`: the answer to the content, or a refusal of DATA.
    pub reply: Option<Reply>,
    /// For the recipients that are `Ok` where `reply` is `None`: why there is no answer.
    pub failure: Option<Failure>,
    pub state: State,
}

impl Transacted {
    /// What was said about the recipient at `position`. `None`: nothing was, and `failure` says why.
    pub fn said_to(&self, position: usize) -> Option<&Reply> {
        match self.recipients.get(position) {
            Some(Err(refusal)) => Some(refusal),
            _ => self.reply.as_ref(),
        }
    }

    fn new(recipients: usize) -> Self {
        Self {
            recipients: vec![Ok(()); recipients],
            reply: None,
            failure: None,
            state: State::Reusable,
        }
    }

    fn refuse_all(&mut self, reply: &Reply) {
        for recipient in self.recipients.iter_mut().filter(|r| r.is_ok()) {
            *recipient = Err(reply.clone());
        }
    }

    fn closed(mut self, failure: Failure) -> Self {
        self.failure = Some(failure);
        self.state = State::Closed;
        self
    }
}

impl Connection {
    /// Sends one message. `before_dot` is awaited when the server has asked for content and everything but the final
    /// dot is ready to leave: what it makes durable is known to a restart before the server can have the message.
    pub async fn transact<S, J, E>(
        &mut self,
        transaction: &Transaction<'_>,
        content: &mut S,
        before_dot: J,
    ) -> Transacted
    where
        S: Source,
        J: Future<Output = Result<(), E>>,
        E: Display,
    {
        let mut done = Transacted::new(transaction.recipients.len());
        if let Some(failure) = self.unasked().await {
            return done.closed(failure);
        }
        let answers = &mut done.recipients;
        let size = content.len();
        let plan = Plan::new(transaction, size, &self.offers, answers, self.unfinished);
        let plan = match plan {
            Ok(plan) => plan,
            Err(reply) => {
                done.refuse_all(&reply);
                return done;
            }
        };
        if plan.is_empty() {
            return done;
        }
        self.transactions += 1;
        let sent = match self.invitation(&plan, &mut done).await {
            Ok(Invitation::Content) => self.content(content, before_dot).await.map(Some),
            Ok(Invitation::Nobody) => self.lone_dot().await.map(|()| None),
            Ok(Invitation::None) => Ok(None),
            Err(failure) => Err(failure),
        };
        self.conclude(sent, done)
    }

    fn conclude(
        &mut self,
        sent: Result<Option<Reply>, Failure>,
        mut done: Transacted,
    ) -> Transacted {
        match sent {
            Ok(Some(reply)) => {
                self.unfinished = !reply.is_positive();
                if reply.code == 421 || self.broken {
                    done.state = State::Closed;
                }
                done.reply = Some(reply);
                done
            }
            Ok(None) => done,
            Err(failure) => done.closed(failure),
        }
    }

    /// Looks whether the server has spoken, or gone, since the last answer.
    async fn unasked(&mut self) -> Option<Failure> {
        let wire = &mut self.client.stream;
        let said = poll_fn(|cx| Poll::Ready(wire.poll_unasked(cx))).await;
        match said {
            Poll::Ready(Ok(mut reply)) if reply.code == 421 => {
                reply.command = "idle".into();
                Some(Failure::Said(reply))
            }
            Poll::Ready(Ok(reply)) => {
                let why = format!("the server answered before it was asked: {reply}");
                Some(Failure::lost("idle", why))
            }
            Poll::Ready(Err(error)) => Some(Failure::lost("idle", error)),
            Poll::Pending if wire.is_unquiet() => Some(Failure::lost(
                "idle",
                "the server spoke before it was asked",
            )),
            Poll::Pending => None,
        }
    }

    /// Everything up to the answer to DATA: in one write where the server pipelines, one by one where not.
    async fn invitation(
        &mut self,
        plan: &Plan,
        done: &mut Transacted,
    ) -> Result<Invitation, Failure> {
        let mut hearing = Hearing::default();
        self.unfinished = true;
        if self.offers.pipelining {
            let patience = self.patience(&plan.steps);
            let answers = exchange(&mut self.client, &plan.group, patience).await;
            hearing.hear_all(&plan.steps, answers, done)?;
            return Ok(hearing.invitation());
        }
        for (step, single) in plan.steps.iter().zip(plan.group.singly()) {
            if hearing.wants(*step) {
                let patience = self.patience(&[*step]);
                let answers = exchange(&mut self.client, &single, patience).await;
                hearing.hear_all(&[*step], answers, done)?;
            }
        }
        Ok(hearing.invitation())
    }

    /// The longest patience among commands that travel together.
    fn patience(&self, steps: &[Step]) -> Duration {
        let times = &self.timeouts;
        let one = |step: &Step| match step {
            Step::Reset | Step::Mail => times.mail.0,
            Step::Rcpt(_) => times.rcpt.0,
            Step::Data => times.data.0,
        };
        steps.iter().map(one).max().unwrap_or(times.mail.0)
    }
}

/// What the server's answers add up to.
enum Invitation {
    /// 354, and somebody to send to.
    Content,
    /// 354 although nobody was accepted: it waits for a message all the same (RFC 2920 §3.1).
    Nobody,
    None,
}

/// Replies up to DATA, heard one after the other.
#[derive(Default)]
struct Hearing {
    mail_refused: bool,
    accepted: usize,
    invited: bool,
}

impl Hearing {
    /// Whether a command still makes sense for a server that is asked one by one.
    fn wants(&self, step: Step) -> bool {
        match step {
            Step::Reset | Step::Mail => true,
            Step::Rcpt(_) => !self.mail_refused,
            Step::Data => self.accepted > 0,
        }
    }

    fn hear_all(
        &mut self,
        steps: &[Step],
        answers: Answers,
        done: &mut Transacted,
    ) -> Result<(), Failure> {
        for (step, reply) in steps.iter().zip(answers.replies) {
            self.hear(*step, reply, done)?;
        }
        answers.failure.map_or(Ok(()), Err)
    }

    fn hear(&mut self, step: Step, reply: Reply, done: &mut Transacted) -> Result<(), Failure> {
        let refused = (400..600).contains(&reply.code);
        let expected = match step {
            Step::Data => reply.code == 354,
            Step::Reset | Step::Mail | Step::Rcpt(_) => reply.is_positive(),
        };
        if !refused && !expected {
            let why = format!("unexpected {reply}");
            return Err(Failure::lost(&reply.command, why));
        }
        match step {
            Step::Reset if refused => return Err(Failure::Said(reply)),
            Step::Mail if refused => {
                self.mail_refused = true;
                done.refuse_all(&reply);
            }
            Step::Rcpt(position) if !self.mail_refused => {
                self.accepted += usize::from(!refused);
                let answer = done.recipients.get_mut(position).filter(|_| refused);
                if let Some(answer) = answer {
                    *answer = Err(reply);
                }
            }
            Step::Data if refused && self.accepted > 0 => done.reply = Some(reply),
            Step::Data => self.invited = !refused,
            Step::Reset | Step::Mail | Step::Rcpt(_) => {}
        }
        Ok(())
    }

    fn invitation(&self) -> Invitation {
        match (self.invited, self.accepted) {
            (false, _) => Invitation::None,
            (true, 0) => Invitation::Nobody,
            (true, _) => Invitation::Content,
        }
    }
}

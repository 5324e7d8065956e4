//! One connection: reads and writes the socket, and performs the session's steps.

use super::ahead::{self, Ahead};
use super::door::{Door, Reception};
use super::wire::Wire;
use super::{Role, Shared, TlsMode};
use crate::auth::credentials::Verdict;
use crate::events::Event;
use crate::mail::{Address, EnhancedCode, Envelope, Reply};
use crate::smtp::codec::line::MAX_LINE;
use crate::smtp::codec::write_reply;
use crate::smtp::session::{AuthOutcome, Context, Limits, Output, Phase, Refusal, Session, Step};
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Read at once while content comes in. Between messages [`MAX_LINE`] is enough.
const CONTENT_ROOM: usize = 32 * 1024;
/// Replies that gather before they are sent though more commands wait.
const REPLY_ROOM: usize = 8 * 1024;
/// A message may be as slow as it likes for this long.
const RATE_GRACE: Duration = Duration::from_secs(10);
/// How long, and how much, is read behind our last reply. Closing with input unread would destroy that reply.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_OCTETS: usize = 1 << 20;

/// Why a connection ends.
enum End {
    /// The client left, or is told all it is to be told.
    Close,
    /// It is told this first.
    Say(Reply),
}

impl From<io::Error> for End {
    fn from(_gone: io::Error) -> Self {
        End::Close
    }
}

pub struct Connection<D: Door> {
    shared: Arc<Shared<D>>,
    limits: Arc<Limits>,
    peer: IpAddr,
    wire: Wire,
    input: Vec<u8>,
    /// Octets of `input` that the session has taken.
    taken: usize,
    out: Output,
    reception: Option<D::Reception>,
    ahead: Ahead,
    pace: Pace,
    /// When we last said something: the next command is due from then on.
    said: Instant,
}

/// How fast a message comes in. Only the time spent waiting for the client counts.
#[derive(Default)]
struct Pace {
    waited: Duration,
    octets: u64,
}

impl Pace {
    /// Between messages nothing is slow.
    fn follow(&mut self, session: &Session) {
        if !session.has_message() && session.phase() == Phase::Command {
            *self = Self::default();
        }
    }

    /// How long the next octets may take, where `min_rate` octets a second are asked for.
    fn budget(&self, min_rate: u64) -> Duration {
        let Some(earned) = self.octets.checked_div(min_rate) else {
            return Duration::MAX;
        };
        RATE_GRACE
            .saturating_add(Duration::from_secs(earned))
            .saturating_sub(self.waited)
    }
}

impl<D: Door> Connection<D> {
    pub fn new(shared: Arc<Shared<D>>, socket: TcpStream, peer: IpAddr) -> Self {
        Self {
            limits: shared.parts.limits.load_full(),
            shared,
            peer,
            wire: Wire::Clear(socket),
            input: Vec::new(),
            taken: 0,
            out: Output::default(),
            reception: None,
            ahead: Ahead::default(),
            pace: Pace::default(),
            said: Instant::now(),
        }
    }

    /// Serves the connection to its end. A message that is not whole by then is dropped.
    pub async fn serve(mut self) {
        let end = self.converse().await;
        self.reception = None;
        if let Err(End::Say(reply)) = end {
            write_reply(&reply, &mut self.out.replies);
        }
        let _gone = self.say_goodbye().await;
    }

    async fn converse(&mut self) -> Result<(), End> {
        let implicit = self.shared.parts.config.tls == TlsMode::Implicit;
        let version = if implicit {
            Some(self.secure().await?)
        } else {
            None
        };
        let mut session = Session::open(self.context(), &mut self.out);
        if let Some(version) = version {
            session.secured(version);
        }
        loop {
            let waiting = self.input.get(self.taken..).unwrap_or_default();
            let (consumed, step) = session.advance(waiting, &mut self.out);
            self.taken += consumed;
            let step = self.settle(&mut session, step).await?;
            self.act(&mut session, step).await?;
            if !session.has_message() {
                self.reception = None;
            }
            self.pace.follow(&session);
            if self.out.replies.len() > REPLY_ROOM {
                self.flush().await?;
            }
        }
    }

    fn context(&self) -> Context {
        let parts = &self.shared.parts;
        let public = parts.config.role == Role::Inbound;
        Context {
            hostname: parts.hostname.clone(),
            limits: self.limits.clone(),
            peer: Some(self.peer),
            trusted: parts.config.trusts(self.peer),
            starttls: parts.tls.is_some() && parts.config.tls == TlsMode::Starttls,
            auth: !public && parts.gate.has_users(),
            auth_in_clear: parts.config.auth_without_tls && self.peer.is_loopback(),
            public,
        }
    }

    /// Performs the steps that want an answer; returns the step that follows from it.
    async fn settle(&mut self, session: &mut Session, step: Step) -> Result<Step, End> {
        Ok(match step {
            Step::AskDoor => {
                let answer = self.shared.parts.door.accepting();
                session.door_answered(answer, &mut self.out)
            }
            Step::AskRecipient(recipient) => {
                let answer = self.ask_recipient(session, &recipient.address).await;
                session.recipient_answered(answer, &mut self.out)
            }
            Step::CheckPassword { user, password } => {
                let outcome = self.check_password(user, password).await;
                session.authenticated(outcome, &mut self.out)
            }
            Step::Begin(envelope) => {
                let opened = self.begin(session, *envelope);
                session.begun(opened, &mut self.out)
            }
            Step::Finish => {
                let outcome = match (self.store().await, self.reception.take()) {
                    (Ok(()), Some(reception)) => Box::pin(reception.finish()).await,
                    (Err(refusal), _) => Err(refusal),
                    (Ok(()), None) => Err(lost()),
                };
                session.finished(outcome, &mut self.out)
            }
            other => other,
        })
    }

    async fn ask_recipient(&mut self, session: &Session, recipient: &Address) -> Result<(), Reply> {
        if let Some(answer) = self.ahead.take(recipient) {
            return answer;
        }
        let waiting = self.input.get(self.taken..).unwrap_or_default();
        let group = ahead::group(recipient, waiting);
        let tenant = session.tenant().map(Arc::as_ref);
        let answers = self.shared.parts.door.recipients(&group, tenant).await;
        // The door answers for each; were one missing, its mail would be taken and looked at before delivery.
        self.ahead.keep(group, answers).unwrap_or(Ok(()))
    }

    async fn act(&mut self, session: &mut Session, step: Step) -> Result<(), End> {
        match step {
            Step::Read => self.read(session.phase()).await?,
            Step::Store => {
                if let Err(refusal) = self.store().await {
                    session.content_refused(refusal);
                }
            }
            Step::Refused(refusal) => self.refused(session, *refusal)?,
            Step::StartTls => {
                self.flush().await?;
                let version = self.secure().await?;
                session.secured(version);
            }
            Step::Close => return Err(End::Close),
            // Settled before.
            Step::AskDoor
            | Step::AskRecipient(_)
            | Step::Begin(_)
            | Step::CheckPassword { .. }
            | Step::Finish => {}
            Step::Go => {}
        }
        Ok(())
    }

    fn begin(&mut self, session: &Session, envelope: Envelope) -> Result<(), Reply> {
        let client = session.client(envelope.smtputf8);
        self.reception = Some(self.shared.parts.door.begin(client, envelope)?);
        Ok(())
    }

    /// Hands the content gathered to the door.
    async fn store(&mut self) -> Result<(), Reply> {
        if self.out.content.is_empty() {
            return Ok(());
        }
        let reception = self.reception.as_mut().ok_or_else(lost)?;
        let stored = reception.push(&self.out.content).await;
        self.out.content.clear();
        stored
    }

    /// Checks a password. The answer to a wrong one waits, so that guessing is slow.
    async fn check_password(&mut self, user: String, password: Vec<u8>) -> AuthOutcome {
        let gate = &self.shared.parts.gate;
        match gate.check(Some(self.peer), user, password).await {
            Verdict::Granted(tenant) => AuthOutcome::Granted(tenant),
            Verdict::Denied { after } => {
                tokio::time::sleep(after).await;
                AuthOutcome::Denied
            }
            Verdict::TooMany => AuthOutcome::TooMany,
            Verdict::Unavailable => AuthOutcome::Unavailable,
        }
    }

    /// Emits the event of a refusal that is about mail; slips in other commands only count.
    fn refused(&mut self, session: &Session, refusal: Refusal) -> Result<(), End> {
        if !refusal.reply.command.is_empty() {
            self.shared.parts.events.emit(&Event::Rejected {
                tenant: session.tenant().map(|tenant| tenant.name.clone()),
                sender: refusal.sender,
                recipient: refusal.recipient,
                peer: Some(self.peer),
                reply: refusal.reply,
            });
        }
        if refusal.close {
            return Err(End::Close);
        }
        Ok(())
    }

    async fn secure(&mut self) -> Result<&'static str, End> {
        let tls = self.shared.parts.tls.clone().ok_or(End::Close)?;
        // Boxed, so that an idle session does not carry the room for it.
        let handshake = Box::pin(self.wire.secure(tls.acceptor()));
        match timeout(self.limits.handshake_timeout.0, handshake).await {
            Ok(version) => {
                self.said = Instant::now();
                Ok(version?)
            }
            Err(_) => Err(End::Close),
        }
    }

    /// Sends what gathered, then waits for the client.
    async fn read(&mut self, phase: Phase) -> Result<(), End> {
        self.flush().await?;
        self.make_room(phase);
        let before = Instant::now();
        let got = match phase {
            Phase::Command => self.read_command().await?,
            Phase::Content => self.read_content().await?,
        };
        if got == 0 {
            return Err(End::Close);
        }
        self.pace.waited += before.elapsed();
        self.pace.octets += got as u64;
        Ok(())
    }

    /// A command that comes in drips is due when a whole one is.
    async fn read_command(&mut self) -> Result<usize, End> {
        let limit = self.limits.command_timeout.0;
        let limit = limit.saturating_sub(self.said.elapsed());
        let room = MAX_LINE.saturating_sub(self.input.len()).max(1);
        let closing = self.shared.closing.cancelled();
        let read = self.wire.read(&mut self.input, room);
        tokio::select! {
            biased;
            () = closing => Err(End::Say(shutting_down())),
            got = timeout(limit, read) => got.map_err(|_| End::Say(idle()))?.map_err(End::from),
        }
    }

    async fn read_content(&mut self) -> Result<usize, End> {
        let patience = self.limits.content_timeout.0;
        let budget = self.pace.budget(self.limits.min_rate.0);
        let read = self.wire.read(&mut self.input, CONTENT_ROOM);
        let late = if budget < patience { too_slow } else { idle };
        let got = timeout(patience.min(budget), read).await;
        got.map_err(|_| End::Say(late()))?.map_err(End::from)
    }

    /// Forgets the octets taken. Buffers for content are borrowed while a message comes in.
    fn make_room(&mut self, phase: Phase) {
        let taken = std::mem::take(&mut self.taken);
        if taken >= self.input.len() {
            self.input.clear();
        } else {
            self.input.drain(..taken);
        }
        let buffers = &self.shared.buffers;
        match phase {
            Phase::Command if self.input.is_empty() && self.input.capacity() > MAX_LINE => {
                buffers.give(std::mem::take(&mut self.input));
                buffers.give(std::mem::take(&mut self.out.content));
            }
            Phase::Content if self.input.capacity() <= MAX_LINE => {
                let commands = std::mem::replace(&mut self.input, buffers.take());
                self.input.extend_from_slice(&commands);
                // Content that came with the commands is in it already.
                if self.out.content.capacity() == 0 {
                    self.out.content = buffers.take();
                }
            }
            Phase::Command | Phase::Content => {}
        }
    }

    async fn flush(&mut self) -> Result<(), End> {
        if self.out.replies.is_empty() {
            return Ok(());
        }
        let write = self.wire.write(&self.out.replies);
        let written = timeout(self.limits.write_timeout.0, write).await;
        // Where that failed they are of no more use either.
        self.out.replies.clear();
        self.said = Instant::now();
        match written {
            Ok(written) => Ok(written?),
            Err(_) => Err(End::Close),
        }
    }

    /// Sends the last replies and sees to it that they arrive.
    async fn say_goodbye(&mut self) -> Result<(), End> {
        if self.out.replies.is_empty() {
            return Ok(());
        }
        self.flush().await?;
        within(LINGER, self.wire.shutdown()).await?;
        let mut dropped = 0;
        let until = Instant::now() + LINGER;
        while dropped < LINGER_OCTETS {
            self.input.clear();
            let left = until.saturating_duration_since(Instant::now());
            match within(left, self.wire.read(&mut self.input, MAX_LINE)).await? {
                0 => break,
                got => dropped += got,
            }
        }
        Ok(())
    }
}

async fn within<T>(limit: Duration, io: impl Future<Output = io::Result<T>>) -> Result<T, End> {
    match timeout(limit, io).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(End::Close),
    }
}

fn closing(enhanced: (u16, u16), text: &str) -> Reply {
    let (subject, detail) = enhanced;
    Reply::local(421, EnhancedCode(4, subject, detail), text, "")
}

fn idle() -> Reply {
    closing((4, 2), "waited too long for you, closing")
}

fn too_slow() -> Reply {
    closing((4, 2), "the message comes in too slowly, closing")
}

fn shutting_down() -> Reply {
    closing((3, 2), "shutting down, try again later")
}

/// The session finished a message that was never begun; never so, and if it were, the client keeps its mail.
fn lost() -> Reply {
    Reply::local(
        451,
        EnhancedCode(4, 3, 0),
        "the message was lost here, send it again",
        ".",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_nobody_asked_for_is_given_the_time_of_a_message() {
        let context = Context {
            hostname: "mta.test".into(),
            limits: Arc::default(),
            peer: None,
            trusted: true,
            starttls: false,
            auth: false,
            auth_in_clear: false,
            public: false,
        };
        let mut out = Output::default();
        let mut session = Session::open(context, &mut out);
        let mut pace = Pace {
            waited: Duration::from_secs(60),
            octets: 0,
        };
        pace.follow(&session);
        let _step = session.advance(b"BDAT 10\r\n", &mut out);
        assert_eq!(session.phase(), Phase::Content);
        assert_eq!(pace.budget(256), RATE_GRACE);
        pace.waited = RATE_GRACE;
        pace.follow(&session);
        assert_eq!(pace.budget(256), Duration::ZERO);
    }

    #[test]
    fn a_message_must_keep_the_minimum_rate() {
        let budget = |waited, octets| {
            let waited = Duration::from_secs(waited);
            Pace { waited, octets }.budget(100)
        };
        assert_eq!(budget(0, 0), Duration::from_secs(10));
        assert_eq!(budget(12, 500), Duration::from_secs(3));
        assert_eq!(budget(15, 500), Duration::ZERO);
    }
}

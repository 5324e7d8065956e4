//! One message on its way in: gathered, read, acted on.

use super::unread::Bounds;
use super::{Handled, Inbound, Target, Trouble};
use crate::bounce::report::{Original, Report};
use crate::events::Event;
use crate::mail::{Address, MessageId, Reply};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::task::JoinError;

/// A message on its way in. Dropping it leaves nothing behind.
pub struct Reception {
    inbound: Inbound,
    mail: Mail,
}

/// A message with its envelope. Its size is bounded by the session.
struct Mail {
    peer: Option<IpAddr>,
    sender: Option<Address>,
    targets: Vec<(Address, Target)>,
    content: Vec<u8>,
}

impl Reception {
    pub(super) fn new(
        inbound: Inbound,
        peer: Option<IpAddr>,
        (sender, targets): (Option<Address>, Vec<(Address, Target)>),
    ) -> Self {
        let mail = Mail {
            peer,
            sender,
            targets,
            content: Vec::new(),
        };
        Self { inbound, mail }
    }

    /// Takes the next octets.
    pub fn push(&mut self, octets: &[u8]) {
        self.mail.content.extend_from_slice(octets);
    }

    /// Reads the message and does what it asks for. What was done is durable when this returns.
    ///
    /// # Errors
    /// 451 or 452: not all of it could be done, and the client is to send it again.
    pub async fn finish(self) -> Result<MessageId, Reply> {
        let Self { inbound, mail } = self;
        let id = inbound.next_id();
        let mail = Arc::new(mail);
        // A task of its own: what was begun is done though the client leaves, and a fault of ours ends it alone.
        let acting = tokio::spawn(act(inbound.clone(), Arc::clone(&mail)));
        let handled = match acting.await {
            Ok(handled) => handled,
            Err(fault) => {
                tracing::error!(%fault, %id, "a message that came in could not be read, by a fault of ours");
                inbound.0.counts.count("fault");
                let first = mail.targets.first();
                Ok(first.map(|(address, _)| (address.clone(), FAULT.to_owned())))
            }
        };
        let kept = match handled {
            Ok(None) => Ok(()),
            Ok(Some(unread)) => inbound.keep(id, mail, unread).await,
            Err(trouble) => Err(trouble),
        };
        kept.map(|()| id).map_err(|trouble| {
            tracing::warn!(error = %trouble, %id, "what came in could not be acted on; its sender is to try again");
            trouble.reply(".")
        })
    }
}

/// Acts for each of the addresses. Gives the first for which a person should see the message, and why.
async fn act(inbound: Inbound, mail: Arc<Mail>) -> Result<Option<(Address, String)>, Trouble> {
    let report = read(&inbound, &mail).await;
    let mut unread = None;
    for (address, target) in &mail.targets {
        let handled = match target {
            Target::Reports => inbound.reported(&mail.content).await?,
            target => inbound.handle(target, &report).await?,
        };
        match handled {
            Handled::Done => {}
            Handled::Unread(why) => {
                unread.get_or_insert_with(|| (address.clone(), why));
            }
        }
    }
    Ok(unread)
}

/// Reading takes its time, and has a thread of its own for it.
async fn read(inbound: &Inbound, mail: &Arc<Mail>) -> Report {
    let needs_it =
        |(_, target): &(_, Target)| matches!(target, Target::Return(_) | Target::Feedback);
    if !mail.targets.iter().any(needs_it) {
        return Report::Message(Original::default());
    }
    let (parts, mail) = (Arc::clone(&inbound.0), Arc::clone(mail));
    apart(move || (parts.read)(&mail.content, &parts.classifier.load())).await
}

/// Does work that takes its time on a thread of its own. A fault of it is a fault of who waits for it.
pub(super) async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    match done.map_err(JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(fault)) => std::panic::resume_unwind(fault),
        // It was never begun: the runtime ends, and we with it.
        Err(Err(_)) => std::future::pending().await,
    }
}

impl Inbound {
    /// Keeps a message for a person, durably, and tells of it.
    async fn keep(
        &self,
        id: MessageId,
        mail: Arc<Mail>,
        (recipient, why): (Address, String),
    ) -> Result<(), Trouble> {
        let parts = Arc::clone(&self.0);
        let at = parts.clock.now();
        let kept = tokio::task::spawn_blocking({
            let mail = Arc::clone(&mail);
            move || {
                let config = parts.config.load();
                let bounds = Bounds {
                    count: config.unread_count,
                    octets: config.unread_size.0,
                };
                let trace = mail.trace();
                let message = [trace.as_bytes(), &mail.content];
                parts.unread.keep((at, id), &message, bounds)
            }
        });
        let path = kept.await.map_err(std::io::Error::from)??;
        self.0.events.emit(&Event::Unread {
            peer: mail.peer,
            sender: mail.sender.clone(),
            recipient: Some(recipient),
            why: format!("{why}; kept as {}", path.display()),
        });
        Ok(())
    }

    /// A number of its own for the reply and the file; nothing is looked up by it.
    fn next_id(&self) -> MessageId {
        let millis = self.0.clock.now().as_millis();
        MessageId(millis << 20 | rand::random_range(0..1 << 20))
    }
}

/// Why a message is kept that made us stumble.
const FAULT: &str = "reading it failed, by a fault of ours";

impl Mail {
    /// What the envelope said, as fields before the message (RFC 5321 §4.4).
    fn trace(&self) -> String {
        let sender = self.sender.as_ref().map_or("", Address::as_str);
        let mut fields = format!("Return-Path: <{sender}>\r\n");
        for (address, _) in &self.targets {
            fields.push_str(&format!("Delivered-To: {}\r\n", address.as_str()));
        }
        fields
    }
}

//! The single way in: for the listener, for the API, and for the notices we write ourselves.
//!
//! [`Intake::begin`] opens a [`Reception`]; octets are pushed as they arrive; [`Reception::finish`] makes the message
//! ours. In between nothing of the body is kept in memory beyond what the spool's draft holds. The message that is
//! stored is the message that is sent:
//!
//! 1. `DKIM-Signature`, one a key;
//! 2. `Received`, ours, not signed;
//! 3. `Message-ID` and `Date` where they were missing, what the lint says (see `lint`) and what the preflight of SPF, DKIM
//!    and DMARC found (see `alignment`), and what leads answers back to the message (see `stamp`);
//! 4. the fields as they came, octet for octet, without `Bcc`, `Return-Path` and `X-Mailwright-*`;
//! 5. the body as it came (but see `eight_bit`).
//!
//! Nothing changes after signing. A reception that is dropped leaves nothing.

mod alignment;
mod body;
mod compose;
mod config;
mod eight_bit;
mod labels;
pub mod lint;
mod stamp;
mod to_the_end;

pub use config::{Config, EightBit};
pub use labels::{Said, is_name};

use crate::auth::ClientInfo;
use crate::auth::alignment::Alignment;
use crate::auth::credentials::{Tenant, Tenants};
use crate::auth::dkim::{Order, Signers};
use crate::bounce::stamps::Stamps;
use crate::clock::Clock;
use crate::events::{About, Event, Events};
use crate::lint::Settings;
use crate::mail::headers::HeaderSection;
use crate::mail::{Address, EnhancedCode, Envelope, Labels, MessageId, Reply, TlsWish};
use crate::outside::Known;
use crate::policy::reputation::Metric;
use crate::policy::suppression::{Answer, Ask, AtSubmission, Scope};
use crate::policy::{Arrival, Policy};
use crate::spool::{Commit, Meta, Progress, Spool, SpoolError, Stored};
use crate::units::{Live, Timestamp};
use body::Body;
use std::net::IpAddr;
use std::sync::Arc;
use to_the_end::ToTheEnd;

/// Where a message that is ours now goes next.
pub type Handoff = Box<dyn Fn(Stored) + Send + Sync>;

/// When the mail of a domain is given up that may go from an instant on, where its sender has not said.
pub type GivenUp = Box<dyn Fn(&str, Timestamp) -> Timestamp + Send + Sync>;

/// What the intake works with.
pub struct Parts {
    pub config: Live<Config>,
    /// For Received and Message-ID.
    pub hostname: Arc<str>,
    pub signers: Live<Signers>,
    pub tenants: Live<Tenants>,
    pub stamps: Live<Stamps>,
    pub lint: Live<Settings>,
    pub alignment: Alignment,
    /// How others see us.
    pub outside: Known,
    pub spool: Spool,
    pub events: Events,
    pub clock: Clock,
    pub policy: Policy,
    pub given_up: GivenUp,
    /// Called once a message, when it is durable.
    pub handoff: Handoff,
}

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Intake(Arc<Parts>);

impl Intake {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Whether mail can come in now, as a reply where it cannot. Cheap: for MAIL FROM.
    pub fn accepting(&self) -> Result<(), Reply> {
        if self.0.events.are_behind() {
            let text = "the event log cannot keep up, try again later";
            return Err(refuse(452, EnhancedCode(4, 3, 1), text));
        }
        self.0.spool.accepting().map_err(|error| not_now(&error))
    }

    /// Whether mail for these recipients is taken, as far as that is known before the message: `tenant` is who
    /// authenticated. One answer each. What only the message says, and a list that cannot be read, is seen to before
    /// delivery.
    pub async fn recipients(
        &self,
        recipients: &[Address],
        tenant: Option<&Tenant>,
    ) -> Vec<Result<(), Reply>> {
        let labels = Labels {
            tenant: tenant.map(|tenant| Box::from(&*tenant.name)),
            ..Labels::default()
        };
        let list = self.0.policy.suppression();
        if !list.refuses_at_rcpt(labels.tenant.as_deref()) {
            return vec![Ok(()); recipients.len()];
        }
        let recipients: Vec<&Address> = recipients.iter().collect();
        let answers = self.0.known(&recipients, &labels).await;
        let judged = recipients.iter().zip(answers);
        let judged = judged.map(|(recipient, answer)| match answer {
            // Without a header section nobody knows the stream.
            Answer::Suppressed {
                scope: Scope::Stream(..),
                ..
            } => Ok(()),
            answer => {
                self.0.count_refused(std::slice::from_ref(&answer));
                suppressed(&answer, &[recipient]).map_or(Ok(()), Err)
            }
        });
        judged.collect()
    }

    /// Opens a reception, after which 354 may be said.
    pub fn begin(&self, client: ClientInfo, envelope: Envelope) -> Result<Reception, Reply> {
        self.accepting()?;
        if envelope.recipients.is_empty() {
            return Err(refuse(
                554,
                EnhancedCode(5, 5, 1),
                "the message has no recipient",
            ));
        }
        Ok(Reception {
            intake: self.clone(),
            client,
            envelope,
            labels: None,
            size: 0,
            signers: self.0.signers.load_full(),
            state: State::Head(Vec::new()),
        })
    }

    /// Takes a message of our own making, such as a notice, with its labels.
    pub async fn submit(
        &self,
        envelope: Envelope,
        content: &[u8],
        labels: Labels,
    ) -> Result<MessageId, Reply> {
        let ourselves = ClientInfo {
            peer: None,
            helo: "".into(),
            protocol: "",
            tls: None,
            require_tls: false,
            tenant: None,
        };
        let mut reception = self.begin(ourselves, envelope)?;
        reception.labels = Some(labels);
        reception.push(content).await?;
        reception.finish().await
    }
}

/// A message on its way in. Dropped, it was never there.
#[must_use = "a reception that is not finished is a message that is not taken"]
pub struct Reception {
    intake: Intake,
    client: ClientInfo,
    envelope: Envelope,
    /// Of mail of our own making, in place of what its fields say.
    labels: Option<Labels>,
    /// Octets so far.
    size: u64,
    /// Of the time when it began: a reload meanwhile must not ask for what was not hashed.
    signers: Arc<Signers>,
    state: State,
}

enum State {
    /// The closing empty line has not come yet.
    Head(Vec<u8>),
    Body(HeaderSection, Box<Body>),
}

impl Reception {
    /// Takes the next octets of the message, cut anywhere. After an error the reception is of no more use, and the
    /// reply is the answer to the whole message.
    pub async fn push(&mut self, octets: &[u8]) -> Result<(), Reply> {
        let config = self.intake.0.config.load_full();
        self.size += octets.len() as u64;
        if self.size > config.max_message.0 {
            let text = format!("the message is over {}", config.max_message);
            return Err(refuse(552, EnhancedCode(5, 3, 4), text));
        }
        let received = match &mut self.state {
            State::Body(_, body) => return body.push(octets).await,
            State::Head(received) => received,
        };
        let Some(rest) = take_head(received, octets) else {
            return fits(received.len(), &config);
        };
        fits(received.len(), &config)?;
        let head = compose::parse(std::mem::take(received))?;
        let mut body = self.intake.0.body(&config, &self.signers, &head);
        body.push(rest).await?;
        self.state = State::Body(head, Box::new(body));
        Ok(())
    }

    /// Makes the message ours: checked, completed, signed, durable, queued. Only then may 250 be said. The reply of
    /// an error names the reason and, where the sender can do something about it, the remedy.
    pub async fn finish(self) -> Result<MessageId, Reply> {
        let parts = Arc::clone(&self.intake.0);
        let config = parts.config.load_full();
        let (mut head, body) = match self.state {
            State::Body(head, body) => (head, *body),
            // A message may end with its header section (RFC 5322 §3.5).
            State::Head(octets) => {
                let head = compose::parse(octets)?;
                let body = parts.body(&config, &self.signers, &head);
                (head, body)
            }
        };
        let is_ours = self.labels.is_some();
        let (said, author) = parts.check(&head, (&self.client, &self.envelope), self.labels)?;
        if !is_ours {
            let envelope = self.envelope.recipients.iter();
            let recipients: Vec<&Address> = envelope.map(|to| &to.address).collect();
            parts.refuse_suppressed(&recipients, &said.labels).await?;
        }
        compose::strip(&mut head);
        compose::refuse_eight_bit(&head, self.envelope.smtputf8)?;
        let body = body.seal(&mut head).await?;

        let meta = parts.meta(self.envelope, said);
        // What comes back about mail of our own making interests nobody.
        let stamps = (!is_ours).then(|| parts.stamps.load());
        let token = stamps.and_then(|stamps| stamp::stamp(&mut head, &stamps, &meta));
        // Mail of our own making is not held to what platforms are.
        let found = match is_ours {
            true => Found::default(),
            false => {
                let claim = parts.claim(&meta, &author, &self.signers);
                let found = match &claim {
                    Some(claim) => parts.align(&mut head, claim).await?,
                    None => Found::default(),
                };
                found.and(parts.lint(&mut head, &meta, (&body.excerpt, claim.as_ref()))?)
            }
        };
        let arrival = compose::Arrival {
            hostname: &parts.hostname,
            client: &self.client,
            meta: &meta,
            token: token.as_deref(),
        };
        compose::complete(&mut head, &arrival);
        let meta = Meta {
            eight_bit_header: head.is_eight_bit(),
            eight_bit_body: body.eight_bit,
            ..meta
        };
        let order = body.hash.as_ref().map(|body| Order {
            from_domain: author.domain(),
            tenant: meta.labels.tenant.as_deref(),
            head: &head,
            body,
            now: meta.received,
        });
        let signatures = match &order {
            Some(order) => sign(&self.signers, order, meta.id).await?,
            // Never unsigned although there is a key.
            None if self.signers.concern(author.domain()) => return Err(unsigned()),
            None => Vec::new(),
        };
        let commit = Commit {
            meta: Arc::new(meta),
            head: head.to_octets(&signatures),
            body: body.draft,
        };
        let peer = self.client.peer;
        ToTheEnd::new(async move { parts.take(peer, found, commit).await }).await
    }
}

impl Parts {
    fn body(&self, config: &Config, signers: &Signers, head: &HeaderSection) -> Body {
        let hold = match config.eight_bit {
            EightBit::Keep => 0,
            EightBit::Encode => config.encode_limit.0,
        };
        // A message without an author is refused when it is complete.
        let author = compose::author(head, None);
        let signed = author.is_ok_and(|author| signers.concern(author.domain()));
        Body::new(self.spool.draft(), hold, self.examined(), signed)
    }

    /// What is said about the message, and the author whose domain signs: the first that From names.
    fn check(
        &self,
        head: &HeaderSection,
        (client, envelope): (&ClientInfo, &Envelope),
        labels: Option<Labels>,
    ) -> Result<(Said, Address), Reply> {
        // Mail of our own making is from us, whichever tenant's books it belongs to.
        let is_ours = labels.is_some();
        let mut said = said(head, client, labels, self.clock.now())?;
        if client.require_tls {
            // The parameter has the last word (RFC 8689 §4.1).
            said.labels.tls = TlsWish::Requires;
        }
        compose::refuse_loops(head, self.config.load().received_limit)?;
        let tenant = self.tenant(client, &said.labels);
        let author = compose::author(head, tenant.as_deref().filter(|_| !is_ours))?;
        self.choose_pool(&mut said, tenant.as_deref());
        if !is_ours {
            self.receive(&said, envelope)?;
        }
        Ok((said, author))
    }

    /// Refuses mail of which every recipient is suppressed, where that is to be said at submission. Those that are among
    /// others are ended before delivery, and so is all where the list cannot be read now.
    async fn refuse_suppressed(
        &self,
        recipients: &[&Address],
        labels: &Labels,
    ) -> Result<(), Reply> {
        let rules = self.policy.suppression().rules(labels.tenant.as_deref());
        if rules.at_submission == AtSubmission::Drop {
            return Ok(());
        }
        let answers = self.known(recipients, labels).await;
        let free = |answer: &Answer| matches!(answer, Answer::Free { .. });
        if answers.iter().any(free) {
            return Ok(());
        }
        self.count_refused(&answers);
        let first = answers.first();
        first
            .and_then(|first| suppressed(first, recipients))
            .map_or(Ok(()), Err)
    }

    /// What is known of each recipient; nothing is where the list cannot be read.
    async fn known(&self, recipients: &[&Address], labels: &Labels) -> Vec<Answer> {
        let free = || vec![Answer::Free { failing: false }; recipients.len()];
        let asks = recipients.iter().copied();
        let asks: Vec<Ask<'_>> = asks.map(|recipient| Ask { recipient, labels }).collect();
        let answers = self.policy.suppression().check(&asks).await;
        answers.unwrap_or_else(|_| free())
    }

    /// For the report.
    fn count_refused(&self, answers: &[Answer]) {
        for answer in answers {
            if let Answer::Suppressed { scope, reason, .. } = answer {
                self.policy.stopped((*reason, scope), Metric::Refused);
            }
        }
    }

    /// A message leaves from the pool that it asks for; by another MTA's field, where we have such a pool; or from its
    /// tenant's.
    fn choose_pool(&self, said: &mut Said, tenant: Option<&Tenant>) {
        let other = said.other_pool.take();
        let other = other.filter(|pool| self.policy.settings().sources.named(pool).is_some());
        let of_tenant = || tenant.and_then(|tenant| tenant.pool.clone());
        said.labels.pool = said.labels.pool.take().or(other).or_else(of_tenant);
    }

    /// What can be known of a message's way is said while its sender listens.
    fn receive(&self, said: &Said, envelope: &Envelope) -> Result<(), Reply> {
        let now = self.clock.now();
        let begins = said.send_at.unwrap_or(now).max(now);
        let domains = envelope.recipients.iter().map(|to| to.address.domain());
        // That of the recipient who is tried the longest: for the others it may come to an expiry.
        let scheduled = domains.map(|domain| (self.given_up)(domain, begins)).max();
        let arrival = Arrival {
            labels: &said.labels,
            send_at: said.send_at,
            expires: said.expires.or(scheduled),
        };
        self.policy.receive(&arrival, now)
    }

    /// Who the message is from: who authenticated, or the tenant that a trusted client named. A name that is not
    /// configured is a label and no more.
    fn tenant(&self, client: &ClientInfo, labels: &Labels) -> Option<Arc<Tenant>> {
        let named = || {
            let name = labels.tenant.as_deref()?;
            self.tenants.load().get(name).cloned()
        };
        client.tenant.clone().or_else(named)
    }

    fn meta(&self, mut envelope: Envelope, said: Said) -> Meta {
        envelope.envid = envelope.envid.or(said.envid);
        Meta {
            id: self.spool.next_id(),
            envelope,
            labels: Arc::new(said.labels),
            received: self.clock.now(),
            send_at: said.send_at,
            expires: said.expires,
            eight_bit_header: false,
            eight_bit_body: false,
        }
    }

    /// The point of no return: behind the commit the message is ours, whatever happens to the connection.
    async fn take(
        &self,
        peer: Option<IpAddr>,
        found: Found,
        commit: Commit,
    ) -> Result<MessageId, Reply> {
        let size = commit.head.len() as u64 + commit.body.len();
        let meta = Arc::clone(&commit.meta);
        let id = meta.id;
        self.spool
            .commit(commit)
            .await
            .map_err(|error| not_now(&error))?;
        let Found { why, held } = found;
        for recipient in &meta.envelope.recipients {
            let about = About {
                id,
                labels: Arc::clone(&meta.labels),
                sender: meta.envelope.sender.clone(),
                recipient: Some(recipient.address.clone()),
                size,
            };
            let why = why.clone();
            self.events.emit(&Event::Accepted { about, peer, why });
        }
        if let Some(why) = &held {
            self.hold(&meta, size, why).await;
        }
        let progress = vec![Progress::default(); meta.envelope.recipients.len()];
        (self.handoff)(Stored {
            meta,
            size,
            progress,
            held,
        });
        Ok(id)
    }

    /// Writes down that a message is held. A kill before that leaves it like any other; its sender has had no 250 then.
    async fn hold(&self, meta: &Meta, size: u64, why: &str) {
        if let Err(error) = self.spool.hold(meta.id, Some(why)).await {
            tracing::error!(id = %meta.id, %error, "a hold that lasts only until a restart");
        }
        let about = About {
            id: meta.id,
            labels: Arc::clone(&meta.labels),
            sender: meta.envelope.sender.clone(),
            recipient: None,
            size,
        };
        let why = why.to_owned();
        self.events.emit(&Event::Held { about, why });
    }
}

/// What was found in a message, and what is done about that.
#[derive(Debug, Default)]
struct Found {
    /// For the event.
    why: Option<String>,
    /// Why it is held.
    held: Option<Arc<str>>,
}

impl Found {
    fn and(self, more: Option<String>) -> Self {
        let all: Vec<String> = more.into_iter().chain(self.why).collect();
        Self {
            why: (!all.is_empty()).then(|| all.join("; ")),
            held: self.held,
        }
    }
}

/// What a header section says about its message, where nobody has authenticated: nothing is taken in.
///
/// # Errors
/// The reply that would refuse the message for what it says.
pub fn read_labels(head: Vec<u8>, now: Timestamp) -> Result<Said, Reply> {
    labels::read(&compose::parse(head)?, None, now)
}

async fn sign(signers: &Signers, order: &Order<'_>, id: MessageId) -> Result<Vec<u8>, Reply> {
    signers.sign(order).await.map_err(|error| {
        tracing::error!(%id, %error, "no signature");
        unsigned()
    })
}

fn unsigned() -> Reply {
    let text = "the message cannot be signed now";
    refuse(451, EnhancedCode(4, 7, 5), text)
}

/// Adds to `head` what of `octets` belongs to the header section. Where that ends there, gives what is behind it.
fn take_head<'a>(head: &mut Vec<u8>, octets: &'a [u8]) -> Option<&'a [u8]> {
    let seen = head.len();
    if seen == 0 {
        // Most often the section comes in one piece: the body behind it is not copied.
        let end = HeaderSection::end(octets, 0).unwrap_or(octets.len());
        head.extend_from_slice(octets.get(..end)?);
    } else {
        head.extend_from_slice(octets);
    }
    let end = HeaderSection::end(head, seen)?;
    head.truncate(end);
    octets.get(end - seen..)
}

fn fits(head: usize, config: &Config) -> Result<(), Reply> {
    if head as u64 <= config.max_header.0 {
        return Ok(());
    }
    let text = format!("the header section is over {}", config.max_header);
    Err(refuse(552, EnhancedCode(5, 3, 4), text))
}

/// What is said about the message: by ourselves, or by its fields.
fn said(
    head: &HeaderSection,
    client: &ClientInfo,
    labels: Option<Labels>,
    now: Timestamp,
) -> Result<Said, Reply> {
    if let Some(labels) = labels {
        return Ok(Said {
            labels,
            ..Said::default()
        });
    }
    let tenant = client.tenant.as_deref().map(|tenant| &*tenant.name);
    labels::read(head, tenant, now)
}

/// What is said of recipients of which the first is suppressed.
fn suppressed(first: &Answer, recipients: &[&Address]) -> Option<Reply> {
    let told = first.told()?;
    let (whom, command) = match recipients {
        [one] => (one.to_string(), "RCPT"),
        many => (format!("every one of {} recipients", many.len()), "."),
    };
    let text = format!("{whom} is {told}; `mailwright suppress check` tells more");
    let code = EnhancedCode(5, 7, 1);
    Some(Reply::local(550, code, text, command))
}

/// A reply of ours to the end of data.
fn refuse(code: u16, enhanced: EnhancedCode, text: impl AsRef<str>) -> Reply {
    Reply::local(code, enhanced, text, ".")
}

/// The spool's trouble is never the message's fault.
fn not_now(error: &SpoolError) -> Reply {
    match error {
        SpoolError::NoSpace => refuse(
            452,
            EnhancedCode(4, 3, 1),
            "not enough disk space, try again later",
        ),
        SpoolError::Closed => refuse(451, EnhancedCode(4, 3, 2), "shutting down, try again later"),
        SpoolError::Io(_) | SpoolError::NotFound | SpoolError::Corrupt(_) => {
            tracing::error!(%error, "a message could not be stored");
            refuse(
                451,
                EnhancedCode(4, 3, 0),
                "the message could not be stored, try again later",
            )
        }
    }
}

#[cfg(test)]
mod tests;

//! The compliance lint at the door: what we know ourselves of a message, and what becomes of it for what is found.

use super::{Parts, refuse};
use crate::auth::credentials::Tenants;
use crate::auth::dkim::{Outlook, Signers};
use crate::bounce::stamps::{Stamped, Stamps};
use crate::lint::facts::{Domain, KeyKind, Signature, Signing};
use crate::lint::{AtSubmission, Facts, Finding, Level, Message, blocks, examine};
use crate::mail::headers::{HeaderSection, folded};
use crate::mail::{Address, EnhancedCode, Envelope, MessageId, Reply, Stream};
use crate::spool::Meta;

/// What is found, for who reads the message: ids and names of the rules.
pub(super) const FIELD: &str = "X-Mailwright-Lint";

/// What we have and do ourselves.
pub struct Own<'a> {
    pub signers: &'a Signers,
    pub tenants: &'a Tenants,
    /// What would still be put into the message; `None` where that has been done.
    pub stamps: Option<&'a Stamps>,
    /// From so many messages a day on a sender is one in bulk.
    pub bulk_from: u64,
}

/// Whose mail it is, and its envelope as far as that is known.
#[derive(Debug, Clone, Default)]
pub struct Handed<'a> {
    pub tenant: Option<&'a str>,
    pub stream: Option<Stream>,
    pub return_path: Option<Option<Address>>,
    pub recipients: Vec<Address>,
    pub smtputf8: Option<bool>,
}

/// The facts that need neither DNS nor counters.
pub fn facts(message: &Message, own: &Own<'_>, handed: Handed<'_>) -> Facts {
    let mut facts = Facts {
        signing: signing(message, own, handed.tenant),
        stream: handed.stream,
        return_path: handed.return_path,
        recipients: handed.recipients,
        smtputf8: handed.smtputf8,
        ..Facts::default()
    };
    facts.limits.bulk_from = own.bulk_from;
    if let Some(domain) = message.from_domain()
        && let Some(ours) = is_ours(own.tenants, handed.tenant, &domain)
    {
        let known = Domain {
            ours: Some(ours),
            ..Domain::default()
        };
        facts.domains.insert(domain, known);
    }
    if let Some(stamps) = own.stamps {
        add_stamps(stamps, handed.tenant, &mut facts);
    }
    facts
}

/// `None` where nobody is named: the intake takes any domain from who has no tenant.
fn is_ours(tenants: &Tenants, tenant: Option<&str>, domain: &str) -> Option<bool> {
    match tenant {
        Some(name) => tenants.get(name).map(|tenant| tenant.may_use(domain)),
        None => {
            let mut all = tenants.all();
            all.any(|tenant| tenant.may_use(domain)).then_some(true)
        }
    }
}

fn signing(message: &Message, own: &Own<'_>, tenant: Option<&str>) -> Option<Signing> {
    let domain = message.from_domain()?;
    let signatures = own.signers.outlook(&domain, tenant, message.head());
    if signatures.is_empty() {
        return Some(Signing::Unsigned);
    }
    let signatures = signatures.into_iter().map(Signature::from);
    Some(Signing::Signed(signatures.collect()))
}

impl From<Outlook> for Signature {
    fn from(outlook: Outlook) -> Self {
        Self {
            key: match outlook.algorithm {
                "ed25519-sha256" => KeyKind::Ed25519,
                // Smaller ones are refused when they are loaded.
                _ => KeyKind::Rsa { bits: 2048 },
            },
            domain: outlook.domain.into(),
            selector: outlook.selector.into(),
            covers: outlook.covers,
            is_partial: false,
            // A key signs for its own domain and those below it.
            aligned: Some(true),
            published: None,
        }
    }
}

/// What the intake puts in before it signs.
fn add_stamps(stamps: &Stamps, tenant: Option<&str>, facts: &mut Facts) {
    let message = Stamped {
        id: MessageId(0),
        tenant,
        stream: facts.stream,
        recipients: facts.recipients.len().max(1),
    };
    if stamps.unsubscribe(&message).is_some() {
        facts
            .adds
            .extend(["List-Unsubscribe", "List-Unsubscribe-Post"]);
    }
    if stamps.feedback().is_some() {
        facts.adds.push("CFBL-Address");
    }
    facts.traced = Some(stamps.return_domain(tenant).is_some());
}

/// The body as far as it was kept to be examined.
#[derive(Debug, Default)]
pub(super) struct Excerpt {
    pub octets: Vec<u8>,
    /// Octets that there are.
    pub whole: u64,
}

impl Excerpt {
    /// Keeps what of the next octets belongs to the first `wanted`.
    pub(super) fn add(&mut self, octets: &[u8], wanted: u64) {
        let room = wanted.saturating_sub(self.octets.len() as u64);
        let taken = octets
            .len()
            .min(usize::try_from(room).unwrap_or(usize::MAX));
        self.octets.extend(octets.iter().take(taken));
        self.whole += octets.len() as u64;
    }
}

impl Parts {
    /// How much of a body is to be kept: nothing where no mail is examined.
    pub(super) fn examined(&self) -> u64 {
        let settings = self.lint.load();
        if settings.is_on() {
            settings.config.body_limit.0
        } else {
            0
        }
    }

    /// Examines a message that is about to be signed. What is found goes into a field of it; gives that for the event.
    /// `Err` is the reply that refuses it.
    pub(super) fn lint(
        &self,
        head: &mut HeaderSection,
        meta: &Meta,
        body: &Excerpt,
    ) -> Result<Option<String>, Reply> {
        let settings = self.lint.load();
        let labels = &meta.labels;
        let tenant = labels.tenant.as_deref();
        let at = settings.at_submission(tenant);
        if at == AtSubmission::Off {
            return Ok(None);
        }
        let size = head.len() as u64 + body.whole;
        let message = Message::of(head.clone(), &body.octets, size);
        let own = Own {
            signers: &self.signers.load(),
            tenants: &self.tenants.load(),
            stamps: None,
            bulk_from: settings.config.bulk_from,
        };
        let facts = Facts {
            traced: Some(self.stamps.load().return_domain(tenant).is_some()),
            ..facts(
                &message,
                &own,
                handed(tenant, labels.stream, &meta.envelope),
            )
        };
        let found = settings.judge(examine(&message, &facts), tenant, labels.stream);
        if at == AtSubmission::Block && blocks(&found) {
            return Err(refusal(&found));
        }
        let Some(told) = told(&found) else {
            return Ok(None);
        };
        head.prepend(FIELD, &folded(FIELD, &told));
        Ok(Some(format!("lint: {told}")))
    }
}

fn handed<'a>(tenant: Option<&'a str>, stream: Option<Stream>, envelope: &Envelope) -> Handed<'a> {
    let recipients = envelope.recipients.iter().take(MOST_RECIPIENTS);
    Handed {
        tenant,
        stream,
        return_path: Some(envelope.sender.clone()),
        recipients: recipients.map(|to| to.address.clone()).collect(),
        smtputf8: Some(envelope.smtputf8),
    }
}

/// `L14 one-click-missing, L15 unsubscribe-link`; `None` where nothing is worth a word.
fn told(found: &[Finding]) -> Option<String> {
    let mut names: Vec<String> = Vec::new();
    for finding in found.iter().filter(|finding| finding.level >= Level::Warn) {
        let name = format!("{} {}", finding.id, finding.rule);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (!names.is_empty()).then(|| names.join(", "))
}

/// Names the first rule that blocks, what to do about it, and the names of the others.
fn refusal(found: &[Finding]) -> Reply {
    let mut blocking = found.iter().filter(|finding| finding.level == Level::Block);
    let first = blocking.next().map_or_else(String::new, |finding| {
        let Finding {
            id,
            rule,
            evidence,
            fix,
            ..
        } = finding;
        format!("{id} {rule}: {evidence}; {fix}")
    });
    let others: Vec<String> = blocking
        .map(|finding| format!("{} {}", finding.id, finding.rule))
        .collect();
    let others = match others.is_empty() {
        true => String::new(),
        false => format!(" (and {})", others.join(", ")),
    };
    // Evidence may hold what only a session with SMTPUTF8 can say.
    let text = format!("lint: {first}{others}").replace(|c: char| !c.is_ascii(), "?");
    refuse(550, EnhancedCode(5, 7, 1), text)
}

/// Recipients of an envelope that are looked at.
const MOST_RECIPIENTS: usize = 1000;

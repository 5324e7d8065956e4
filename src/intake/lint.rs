//! The compliance lint at the door: what we know ourselves of a message, and what becomes of it for what is found.

use super::alignment::Claim;
use super::{Parts, refuse};
use crate::auth::alignment::{Judgement, KeyReport, KeyState};
use crate::auth::credentials::Tenants;
use crate::auth::dkim::{Outlook, Signers};
use crate::auth::dmarc::{DmarcResult, Policy as Asked, Stance};
use crate::auth::spf;
use crate::bounce::stamps::{Stamped, Stamps};
use crate::lint::facts::{
    Dmarc, DmarcPolicy, DmarcRecord, Domain, KeyKind, Published, Signature, Signing, Source, Spf,
    SpfResult,
};
use crate::lint::{AtSubmission, Facts, Finding, Level, Message, blocks, examine};
use crate::mail::headers::{HeaderSection, folded};
use crate::mail::{Address, EnhancedCode, Envelope, MessageId, Reply, Stream};
use crate::outside::Known;
use crate::spool::Meta;
use std::net::IpAddr;

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
    pub outside: &'a Known,
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
    for domain in message.domains() {
        if let Some(listed) = own.outside.listed(&domain) {
            facts.domains.entry(domain).or_default().listed = Some(listed);
        }
    }
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

/// A source with the names that it was seen to have last.
pub fn as_source(name: &str, address: IpAddr, outside: &Known) -> Source {
    Source {
        name: name.to_owned(),
        address,
        spf: None,
        reverse: outside.reverse(name),
    }
}

/// What the preflight found at one of the sources that may carry the message.
pub fn add_judgement(facts: &mut Facts, source: Source, judgement: &Judgement) {
    let spf = Some(of_spf(judgement));
    facts.sources.push(Source { spf, ..source });
    if let Some(Signing::Signed(signatures)) = &mut facts.signing {
        for key in &judgement.keys {
            let is_of =
                |s: &&mut Signature| *s.domain == *key.domain && *s.selector == *key.selector;
            signatures
                .iter_mut()
                .filter(is_of)
                .for_each(|signature| signature.learn(key));
        }
    }
    // Of several sources, one that carries it well is enough.
    let fresh = of_dmarc(judgement);
    let passed = facts.dmarc.take().filter(|d| d.passes == Some(true));
    facts.dmarc = passed.or(fresh);
}

fn of_spf(judgement: &Judgement) -> Spf {
    let report = &judgement.spf.report;
    let by = report.mechanism.as_ref();
    let by = by.map_or_else(String::new, |by| format!(", by {by}"));
    Spf {
        result: match report.result {
            spf::SpfResult::Pass => SpfResult::Pass,
            spf::SpfResult::Fail => SpfResult::Fail,
            spf::SpfResult::SoftFail => SpfResult::SoftFail,
            spf::SpfResult::Neutral => SpfResult::Neutral,
            spf::SpfResult::None => SpfResult::None,
            spf::SpfResult::TempError => SpfResult::TempError,
            spf::SpfResult::PermError => SpfResult::PermError,
        },
        // Where nobody knows, nothing is said against it.
        aligned: judgement.spf.aligned != Some(false),
        lookups: report.lookups.into(),
        void_lookups: report.voids.into(),
        detail: format!("{}{by}", report.domain),
    }
}

impl Signature {
    fn learn(&mut self, key: &KeyReport) {
        self.aligned = key.aligned;
        self.published = match &key.state {
            KeyState::Ours(published) => {
                if let Some(bits) = published.rsa_bits() {
                    self.key = KeyKind::Rsa { bits };
                }
                Some(Published::Ours)
            }
            KeyState::Other(_) => Some(Published::Other),
            KeyState::Missing => Some(Published::Nothing),
            KeyState::Revoked => Some(Published::Unreadable("it is revoked".to_owned())),
            KeyState::Unusable(why) => Some(Published::Unreadable((*why).to_owned())),
            KeyState::Unknown(_) => None,
        };
    }
}

/// `None` where name servers failed.
fn of_dmarc(judgement: &Judgement) -> Option<Dmarc> {
    let policy = &judgement.policy;
    if policy.failed.is_some() {
        return None;
    }
    let mut walked = policy.walk.found.iter();
    let is_void = walked.any(|(_, record)| record.stance == Stance::Void);
    let (record, at) = match &policy.applied {
        Some(applied) => {
            let record = DmarcRecord::Found {
                policy: match applied.effective {
                    Asked::None => DmarcPolicy::None,
                    Asked::Quarantine => DmarcPolicy::Quarantine,
                    Asked::Reject => DmarcPolicy::Reject,
                },
                has_reports: !applied.record.rua.is_empty(),
            };
            (record, &applied.at)
        }
        None if is_void => {
            let why = "it asks for nothing".to_owned();
            (DmarcRecord::Invalid(why), &policy.domain)
        }
        None => (DmarcRecord::Missing, &policy.domain),
    };
    Some(Dmarc {
        record,
        passes: match judgement.result {
            DmarcResult::Pass => Some(true),
            DmarcResult::Fail => Some(false),
            DmarcResult::None | DmarcResult::TempError => None,
        },
        detail: format!("_dmarc.{at}"),
    })
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
        (body, claim): (&Excerpt, Option<&Claim>),
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
            outside: &self.outside,
        };
        let mut facts = Facts {
            traced: Some(self.stamps.load().return_domain(tenant).is_some()),
            ..facts(
                &message,
                &own,
                handed(tenant, labels.stream, &meta.envelope),
            )
        };
        for (source, judgement) in claim.into_iter().flat_map(|claim| self.judged(claim)) {
            if let Some(address) = source.address {
                let named = as_source(&source.name, address, &self.outside);
                add_judgement(&mut facts, named, &judgement);
            }
        }
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

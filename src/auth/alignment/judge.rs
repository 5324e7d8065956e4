//! One identity at one origin, judged.

use super::finding::{Finding, GOOD_BITS, Kind};
use super::identity::{Identity, Origin, Signature};
use super::published::{KeyState, find};
use super::remedy::About;
use crate::auth::ask::{Ask, a_labels};
use crate::auth::dmarc::{
    Discovery, DmarcResult, Mode, Organization, Stance, discover, organizational,
};
use crate::auth::spf::{self, Question, SpfResult};
use crate::clock::Clock;
use crate::units::Timestamp;

/// What a receiver will find.
#[derive(Debug, Clone)]
pub struct Judgement {
    pub spf: SpfReport,
    /// One a signature, in their order.
    pub keys: Vec<KeyReport>,
    pub policy: Discovery,
    pub result: DmarcResult,
    /// The worst first.
    pub findings: Vec<Finding>,
    /// Until then the answers it rests on are good.
    pub expires: Timestamp,
}

/// SPF of the return path, or of the name in EHLO where there is none.
#[derive(Debug, Clone)]
pub struct SpfReport {
    pub report: spf::Report,
    /// Whether DMARC takes its domain for the From domain; `None` where nobody knows now.
    pub aligned: Option<bool>,
}

/// The key of a signature.
#[derive(Debug, Clone)]
pub struct KeyReport {
    pub domain: Box<str>,
    pub selector: Box<str>,
    pub state: KeyState,
    pub aligned: Option<bool>,
}

/// Fewer terms that ask DNS than this are far from the ten allowed.
const NEAR_LIMIT: u8 = 9;

/// Judges. Asks DNS for what it has to know.
pub async fn judge<A: Ask>(
    ask: &A,
    clock: &Clock,
    identity: &Identity,
    origin: &Origin,
) -> Judgement {
    let now = clock.now();
    let policy = discover(ask, now, &identity.from).await;
    let mut alignment = Alignment {
        ask,
        now,
        expires: policy.expires,
        policy: &policy,
        known: Vec::new(),
    };
    let spf = alignment.spf(clock, identity, origin).await;
    let mut keys = Vec::new();
    for signature in identity.signatures.iter() {
        keys.push(alignment.key(signature).await);
    }
    let expires = alignment.expires;
    let spf_passes = (spf.report.passes(), spf.aligned);
    let identifiers = keys
        .iter()
        .map(|key| (key.passes(), key.aligned))
        .chain([spf_passes]);
    let result = policy.result(identifiers);
    let mut judgement = Judgement {
        spf,
        keys,
        policy,
        result,
        findings: Vec::new(),
        expires,
    };
    judgement.findings = judgement.find(identity, origin);
    judgement
}

/// Asks, and knows which domains belong together.
struct Alignment<'a, A> {
    ask: &'a A,
    now: Timestamp,
    policy: &'a Discovery,
    expires: Timestamp,
    /// Organizations found: the signatures of a message are mostly of one domain.
    known: Vec<(Box<str>, Organization)>,
}

impl<A: Ask> Alignment<'_, A> {
    async fn spf(&mut self, clock: &Clock, identity: &Identity, origin: &Origin) -> SpfReport {
        let sender = identity.return_path.as_deref().unwrap_or_default();
        let question = Question {
            ip: origin.ip,
            sender,
            helo: &origin.ehlo,
            receiver: "unknown",
        };
        let report = spf::check(self.ask, clock, &question).await;
        self.expires = self.expires.min(report.expires);
        let aligned = self
            .aligned(self.mode(|record| record.spf), &report.domain)
            .await;
        SpfReport { report, aligned }
    }

    async fn key(&mut self, signature: &Signature) -> KeyReport {
        let domain = a_labels(&signature.domain);
        let name = format!("{}._domainkey.{domain}", signature.selector);
        let (state, expires) = find(self.ask, self.now, &name, &signature.record).await;
        self.expires = self.expires.min(expires);
        KeyReport {
            aligned: self.aligned(self.mode(|record| record.dkim), &domain).await,
            domain: domain.into(),
            selector: signature.selector.clone(),
            state,
        }
    }

    fn mode(&self, of: impl FnOnce(&crate::auth::dmarc::Record) -> Mode) -> Mode {
        let applied = self.policy.applied.as_ref();
        applied
            .map(|applied| of(&applied.record))
            .unwrap_or_default()
    }

    async fn aligned(&mut self, mode: Mode, domain: &str) -> Option<bool> {
        if *self.policy.domain == *domain || mode == Mode::Strict {
            return self.policy.aligned(mode, domain, None);
        }
        if !self.known.iter().any(|(name, _)| **name == *domain) {
            let found = organizational(self.ask, self.now, domain).await;
            self.expires = self.expires.min(found.expires);
            self.known.push((domain.into(), found));
        }
        let found = self.known.iter().find(|(name, _)| **name == *domain);
        let organization = found.and_then(|(_, organization)| organization.domain.as_deref());
        self.policy.aligned(mode, domain, organization)
    }
}

impl spf::Report {
    /// Whether it counts for DMARC; `None` where name servers failed.
    fn passes(&self) -> Option<bool> {
        match self.result {
            SpfResult::TempError => None,
            result => Some(result == SpfResult::Pass),
        }
    }
}

impl KeyReport {
    /// Whether our signature will verify; `None` where name servers failed.
    pub fn passes(&self) -> Option<bool> {
        match self.state {
            KeyState::Ours(_) => Some(true),
            KeyState::Unknown(_) => None,
            _ => Some(false),
        }
    }
}

impl Judgement {
    /// What is wrong for sure, the worst first.
    pub fn faults(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.is_fault())
    }

    /// Whether SPF lets the source send for the return path.
    pub fn lets_send(&self) -> bool {
        self.spf.report.result == SpfResult::Pass
    }

    /// Why the source may not send for the return path; `None` where it may, or where nobody knows now.
    pub fn forbids(&self) -> Option<&Finding> {
        match self.spf.report.result {
            SpfResult::Pass | SpfResult::TempError => None,
            _ => {
                let is_of_spf = |kind: &Kind| matches!(kind, Kind::Spf(_) | Kind::SpfError(_));
                self.findings
                    .iter()
                    .find(|finding| is_of_spf(&finding.kind))
            }
        }
    }

    fn find(&self, identity: &Identity, origin: &Origin) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut note = |domain: &str, kinds: Vec<Kind>| {
            let about = About {
                domain,
                from: &self.policy.domain,
                origin,
            };
            findings.extend(kinds.into_iter().map(|kind| about.finding(kind)));
        };
        note(&self.spf.report.domain, self.of_spf());
        for (key, signature) in self.keys.iter().zip(identity.signatures.iter()) {
            let name = format!("{}._domainkey.{}", key.selector, key.domain);
            note(&name, key.kinds(signature));
        }
        note(&self.policy.domain, self.of_signatures());
        let at = self
            .policy
            .applied
            .as_ref()
            .map_or(&self.policy.domain, |applied| &applied.at);
        note(at, self.of_policy());
        for name in &self.policy.walk.ambiguous {
            note(name, vec![Kind::SeveralPolicies]);
        }
        // Stable: what is equally bad stays in the order of SPF, DKIM, DMARC.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.weight));
        findings
    }

    fn of_spf(&self) -> Vec<Kind> {
        let report = &self.spf.report;
        let mut kinds = Vec::new();
        match (&report.error, report.result) {
            (Some(error), _) => kinds.push(Kind::SpfError(error.clone())),
            (None, SpfResult::Pass) => {}
            (None, result) => kinds.push(Kind::Spf(result)),
        }
        if report.error.is_none() && report.lookups >= NEAR_LIMIT {
            kinds.push(Kind::SpfNearLimit(report.lookups));
        }
        if report.personal {
            kinds.push(Kind::SpfPersonal);
        }
        if self.policy.applied.is_some() && self.spf.aligned == Some(false) {
            kinds.push(Kind::SpfUnaligned);
        }
        kinds
    }

    fn of_signatures(&self) -> Vec<Kind> {
        if self.keys.is_empty() {
            return vec![Kind::Unsigned];
        }
        // Without a policy nobody asks for alignment.
        let asked = self.policy.applied.is_some();
        let aligned = self.keys.iter().any(|key| key.aligned != Some(false));
        if asked && !aligned {
            vec![Kind::DkimUnaligned]
        } else {
            Vec::new()
        }
    }

    fn of_policy(&self) -> Vec<Kind> {
        if self.policy.failed.is_some() {
            return vec![Kind::PolicyUnknown];
        }
        let Some(applied) = &self.policy.applied else {
            let void = self
                .policy
                .walk
                .found
                .iter()
                .any(|(_, record)| record.stance == Stance::Void);
            return vec![if void {
                Kind::PolicyVoid
            } else {
                Kind::NoPolicy
            }];
        };
        let record = &applied.record;
        let mut kinds = Vec::new();
        if self.result == DmarcResult::Fail {
            kinds.push(Kind::Unauthenticated(applied.effective));
        }
        if record.rua.is_empty() {
            kinds.push(Kind::NoReports);
        }
        if record.testing {
            kinds.push(Kind::PolicyTesting);
        }
        if let Some(pct @ 1..100) = record.pct {
            kinds.push(Kind::PolicySampled(pct));
        }
        kinds
    }
}

/// What every message has, or ought to have, and a signature without it lets others change (RFC 6376 §5.4.1).
const COVERED: [&str; 5] = ["From", "To", "Subject", "Date", "Message-ID"];

impl KeyReport {
    fn kinds(&self, signature: &Signature) -> Vec<Kind> {
        let mut kinds = Vec::new();
        match &self.state {
            KeyState::Ours(published) => {
                if published.testing {
                    kinds.push(Kind::KeyTesting);
                }
                if let Some(bits) = published.rsa_bits().filter(|bits| *bits < GOOD_BITS) {
                    kinds.push(Kind::KeyShort(bits));
                }
            }
            state => kinds.push(Kind::Key(state.clone())),
        }
        let missing = COVERED.into_iter().filter(|field| !signature.covers(field));
        kinds.extend(missing.map(Kind::NotCovered));
        kinds
    }
}

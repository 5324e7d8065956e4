//! What receivers would make of a message, for people.

use super::Daemon;
use crate::auth::alignment::{Action, Finding, Identity, Judgement, KeyReport, KeyState, Origin};
use crate::auth::ask::a_labels;
use crate::delivery::Explained;
use crate::http::{Aligned, Question};
use std::sync::Arc;

impl Daemon {
    /// At each source that may carry it; its author is taken to be of the domain of its return path.
    pub(super) async fn aligned(&self, question: &Question, explained: &Explained) -> Vec<Aligned> {
        let (tenant, from) = (question.tenant.as_deref(), question.from.as_ref());
        let Some(from) = from.filter(|_| self.alignment.action(tenant) != Action::Off) else {
            return Vec::new();
        };
        let domain = from.domain();
        let identity = self.speaking_for(domain, Some(domain), tenant);
        let sources = self.candidates(explained);
        let origins: Vec<Arc<Origin>> = sources
            .iter()
            .map(|(_, origin)| Arc::clone(origin))
            .collect();
        let judged = self.alignment.judge(&identity, &origins).await;
        let sources = sources.into_iter().zip(judged);
        let told = sources.filter_map(|((source, origin), judgement)| {
            Some(aligned(source, &origin, judgement?.as_ref()))
        });
        told.collect()
    }

    /// What mail from `from` says of itself that is handed in with a return path at `sender`; `None` is the null sender.
    pub(super) fn speaking_for(
        &self,
        from: &str,
        sender: Option<&str>,
        tenant: Option<&str>,
    ) -> Identity {
        let from = a_labels(from);
        let stamps = self.lives.stamps.load();
        let return_path = sender.map(|sender| stamps.return_domain(tenant).unwrap_or(sender));
        Identity {
            return_path: return_path.map(|domain| a_labels(domain).into()),
            signatures: self.lives.signers.load().expected(&from, tenant),
            from: from.into(),
        }
    }

    fn candidates(&self, explained: &Explained) -> Vec<(Arc<str>, Arc<Origin>)> {
        let settings = self.policy.settings();
        let origin = |name: &Arc<str>| {
            let mut all = settings.sources.all();
            let source = all.find(|source| source.name == *name)?;
            Some((Arc::clone(name), source.origin.clone()?))
        };
        let candidates = explained.explanation.candidates.iter();
        candidates
            .filter_map(|candidate| origin(&candidate.source))
            .collect()
    }
}

fn aligned(source: Arc<str>, origin: &Origin, judgement: &Judgement) -> Aligned {
    let spf = &judgement.spf;
    let (result, domain) = (spf.report.result.name(), &spf.report.domain);
    Aligned {
        source,
        address: origin.ip,
        spf: format!("{result} for {domain}, {}", in_a_word(spf.aligned)),
        dkim: judgement.keys.iter().map(key).collect(),
        dmarc: dmarc(judgement),
        findings: judgement.findings.iter().map(finding).collect(),
    }
}

fn key(key: &KeyReport) -> String {
    let KeyReport {
        domain,
        selector,
        state,
        aligned,
    } = key;
    let state = match state {
        KeyState::Ours(_) => "ours",
        KeyState::Other(_) => "another key",
        KeyState::Revoked => "revoked",
        KeyState::Missing => "not there",
        KeyState::Unusable(why) => why,
        KeyState::Unknown(_) => "not known now",
    };
    let aligned = in_a_word(*aligned);
    format!("{selector}._domainkey.{domain}: {state}, {aligned}")
}

fn dmarc(judgement: &Judgement) -> String {
    let result = judgement.result.name();
    match &judgement.policy.applied {
        Some(applied) => {
            let (policy, at) = (applied.effective.name(), &applied.at);
            format!("{result}, p={policy} at {at}")
        }
        None => format!("{result}, no record for {}", judgement.policy.domain),
    }
}

fn finding(finding: &Finding) -> String {
    let Finding {
        kind, text, remedy, ..
    } = finding;
    format!("{} {text} ({remedy})", kind.rule())
}

fn in_a_word(aligned: Option<bool>) -> &'static str {
    match aligned {
        Some(true) => "aligned",
        Some(false) => "not aligned",
        None => "nobody knows whether aligned",
    }
}

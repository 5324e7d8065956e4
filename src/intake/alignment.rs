//! The preflight at the door: whether receivers will take a message for its domain's own, and what is done where not.
//!
//! What is at hand is acted on at once. What is not yet known of a domain is asked of DNS: in the background where it is
//! only to be told, so that the first messages of a domain pass untold; while the sender waits where the message would be
//! marked, held or refused, since otherwise a campaign were out before the first answer is in. Name servers that fail or
//! are late are never held against a message.

use super::{Found, Parts};
use crate::auth::alignment::{Action, Answer, Finding, Identity, Judgement, Origin};
use crate::auth::ask::a_labels;
use crate::auth::dkim::Signers;
use crate::mail::headers::{HeaderSection, folded};
use crate::mail::{Address, Reply};
use crate::policy::sources::Source;
use crate::spool::Meta;
use std::sync::Arc;

/// What is wrong, for who reads the message.
pub(super) const FIELD: &str = "X-Mailwright-Alignment";

/// What a message claims to be, and from where it may leave.
pub(super) struct Claim {
    action: Action,
    identity: Identity,
    /// Those of its pool with an address that is known.
    sources: Vec<Arc<Source>>,
}

impl Claim {
    fn origins(&self) -> Vec<Arc<Origin>> {
        let sources = self.sources.iter();
        sources.filter_map(|source| source.origin.clone()).collect()
    }
}

impl Parts {
    /// `None` where nothing is asked about the message, or nobody knows where it will come from.
    pub(super) fn claim(&self, meta: &Meta, author: &Address, signers: &Signers) -> Option<Claim> {
        let tenant = meta.labels.tenant.as_deref();
        let action = self.alignment.action(tenant);
        if action == Action::Off {
            return None;
        }
        let settings = self.policy.settings();
        let pool = settings.sources.pool(&meta.labels);
        let sources = pool.into_iter().flat_map(|pool| pool.sources());
        let known = |source: &&Arc<Source>| source.is_present() && source.origin.is_some();
        let sources: Vec<Arc<Source>> = sources.filter(known).cloned().collect();
        if sources.is_empty() {
            return None;
        }
        let from = a_labels(author.domain());
        let stamps = self.stamps.load();
        let return_path = meta.envelope.sender.as_ref().map(|sender| {
            let own = stamps.return_domain(tenant).map(Box::from);
            own.unwrap_or_else(|| sender.ascii_domain().into())
        });
        Some(Claim {
            action,
            identity: Identity {
                signatures: signers.expected(&from, tenant),
                from: from.into(),
                return_path,
            },
            sources,
        })
    }

    /// Asks the preflight. `Err` is the reply that refuses the message.
    pub(super) async fn align(
        &self,
        head: &mut HeaderSection,
        claim: &Claim,
    ) -> Result<Found, Reply> {
        let origins = claim.origins();
        let answer = match claim.action.interferes() {
            true => self.alignment.answer(&claim.identity, &origins).await,
            false => self.alignment.known(&claim.identity, &origins),
        };
        match answer {
            Answer::Good => self.alignment.count("passed"),
            Answer::Unknown => self.alignment.count("unknown"),
            Answer::Faulty(judgement) => return self.act(head, claim.action, &judgement),
        }
        Ok(Found::default())
    }

    fn act(
        &self,
        head: &mut HeaderSection,
        action: Action,
        judgement: &Judgement,
    ) -> Result<Found, Reply> {
        let told = told(judgement);
        let mut found = Found {
            why: Some(format!("alignment: {told}")),
            held: None,
        };
        match action {
            Action::Off | Action::Report => self.alignment.count("reported"),
            Action::Warn => {
                self.alignment.count("warned");
                head.prepend(FIELD, &folded(FIELD, &told));
            }
            Action::Hold => {
                self.alignment.count("held");
                found.held = found.why.as_deref().map(Arc::from);
            }
            Action::Reject => {
                self.alignment.count("rejected");
                if let Some(worst) = judgement.faults().next() {
                    return Err(worst.reply());
                }
            }
        }
        Ok(found)
    }

    /// What is at hand of each source, for the lint.
    pub(super) fn judged(&self, claim: &Claim) -> Vec<(Arc<Source>, Arc<Judgement>)> {
        let sources = claim.sources.iter();
        let judged = sources.filter_map(|source| {
            let origin = source.origin.as_ref()?;
            let judgement = self.alignment.judged(&claim.identity, origin)?;
            Some((Arc::clone(source), judgement))
        });
        judged.collect()
    }
}

/// `L08 the SPF record of … does not let … send (add …); L06 …`; in ASCII, whatever strangers have in their records.
fn told(judgement: &Judgement) -> String {
    let one = |finding: &Finding| {
        let Finding {
            kind, text, remedy, ..
        } = finding;
        format!("{} {text} ({remedy})", kind.rule())
    };
    let all: Vec<String> = judgement.faults().map(one).collect();
    let all = all.join("; ");
    all.replace(|c: char| !c.is_ascii(), "?")
}

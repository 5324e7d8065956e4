//! The lint as operators and platforms ask for it: with what the daemon knows beside the message.

use super::Daemon;
use crate::auth::alignment::{Action, Identity, Origin};
use crate::http::{LintQuestion, Linted, Refusal};
use crate::intake::lint::{Handed, Own, add_judgement, as_source, facts};
use crate::intake::read_labels;
use crate::lint::facts::{Rate, RateKind, Source};
use crate::lint::{Facts, Message, Settings, blocks, examine, network_lines, unchecked};
use crate::mail::{Address, Labels, Stream};
use crate::outside::Known;
use crate::policy::reputation::{self, Slice, Window};
use crate::policy::suppression::{Answer, Ask};
use crate::units::Timestamp;
use axum::body::Bytes;
use std::net::IpAddr;
use std::sync::Arc;

impl Daemon {
    pub(super) async fn lint_message(
        &self,
        question: &LintQuestion,
        octets: Bytes,
    ) -> Result<Linted, Refusal> {
        // A large message takes its time, and other questions do not wait for it.
        let read = tokio::task::spawn_blocking(move || Message::parse(&network_lines(&octets)));
        let message = read
            .await
            .map_err(|error| Refusal::Unavailable(format!("the message was not read: {error}")))?;
        let labels = labels(&message, question, self.clock.now());
        let mut facts = self.own_facts(&message, question, &labels);
        self.add_judgements(&mut facts, &message, (question, &labels))
            .await;
        facts.rates = self.rates(labels.tenant.as_deref());
        facts.suppressed = self.suppressed_of(&facts.recipients, &labels).await?;
        Ok(self.judged(&message, &facts, &labels, question.verbose))
    }

    fn own_facts(&self, message: &Message, question: &LintQuestion, labels: &Labels) -> Facts {
        let own = Own {
            signers: &self.lives.signers.load(),
            tenants: &self.lives.tenants.load(),
            stamps: Some(&self.lives.stamps.load()),
            bulk_from: self.lives.lint.load().config.bulk_from,
            outside: self.outside.known(),
        };
        let handed = Handed {
            tenant: labels.tenant.as_deref(),
            stream: labels.stream,
            return_path: question.from.clone(),
            recipients: question.to.iter().cloned().collect(),
            smtputf8: None,
        };
        facts(message, &own, handed)
    }

    /// What receivers would find of it in DNS, at the source that is asked about or else at those of its pool. Answers that
    /// are late are left out.
    async fn add_judgements(
        &self,
        facts: &mut Facts,
        message: &Message,
        (question, labels): (&LintQuestion, &Labels),
    ) {
        let sources = self.sources_of(question, labels);
        let identity = self.identity(message, question, labels);
        let origins: Vec<_> = sources
            .iter()
            .filter_map(|(_, origin)| origin.clone())
            .collect();
        if let Some(identity) = &identity {
            self.alignment.judge(identity, &origins).await;
        }
        for (source, origin) in sources {
            let judged = identity.as_ref().zip(origin.as_ref());
            let judged =
                judged.and_then(|(identity, origin)| self.alignment.judged(identity, origin));
            match judged {
                Some(judgement) => add_judgement(facts, source, &judgement),
                None if question.source.is_some() => facts.sources.push(source),
                None => {}
            }
        }
    }

    fn sources_of(
        &self,
        question: &LintQuestion,
        labels: &Labels,
    ) -> Vec<(Source, Option<Arc<Origin>>)> {
        let settings = self.policy.settings();
        if let Some(address) = question.source {
            let all = settings.sources.all();
            let ours = all.filter_map(|ours| Some((&*ours.name, ours.address?)));
            let mut all = settings.sources.all();
            let origin = all
                .find(|ours| ours.address == Some(address))
                .and_then(|ours| ours.origin.clone());
            return vec![(source(address, ours, self.outside.known()), origin)];
        }
        let pool = settings.sources.pool(labels);
        let sources = pool.into_iter().flat_map(|pool| pool.sources());
        let known = sources.filter_map(|source| {
            let named = as_source(&source.name, source.address?, self.outside.known());
            Some((named, source.origin.clone()))
        });
        known.collect()
    }

    /// `None` where a tenant's mail is not judged, and where nobody knows what it says of itself.
    fn identity(
        &self,
        message: &Message,
        question: &LintQuestion,
        labels: &Labels,
    ) -> Option<Identity> {
        let tenant = labels.tenant.as_deref();
        let from = message.from_domain();
        let from = from.filter(|_| self.alignment.action(tenant) != Action::Off)?;
        let sender = match &question.from {
            Some(path) => path.as_ref().map(|path| path.domain().to_owned()),
            None => {
                let stamps = self.lives.stamps.load();
                Some(stamps.return_domain(tenant)?.to_owned())
            }
        };
        Some(self.speaking_for(&from, sender.as_deref(), tenant))
    }

    fn judged(&self, message: &Message, facts: &Facts, labels: &Labels, verbose: bool) -> Linted {
        judged(&self.lives.lint.load(), message, facts, labels, verbose)
    }

    /// Of a day, where its mail belongs to a tenant.
    fn rates(&self, tenant: Option<&str>) -> Vec<Rate> {
        let Some(tenant) = tenant else {
            return Vec::new();
        };
        let own = Slice::Tenant(tenant.into());
        let now = self.clock.now();
        let row = self.policy.reputation().row(&own, Window::Day, now);
        let rates = row.into_iter().flat_map(|row| row.rates);
        let rates = rates.filter_map(|rated| {
            let kind = match rated.rate {
                reputation::Rate::Bounce => RateKind::Bounces,
                reputation::Rate::Complaint => RateKind::Complaints,
                reputation::Rate::Block | reputation::Rate::Trap => return None,
            };
            Some(Rate {
                kind,
                part: rated.numerator,
                of: rated.denominator,
                slice: format!("tenant {tenant}, 24 h"),
            })
        });
        rates.collect()
    }

    async fn suppressed_of(
        &self,
        recipients: &[Address],
        labels: &Labels,
    ) -> Result<Vec<(Address, String)>, Refusal> {
        let asks: Vec<Ask<'_>> = recipients
            .iter()
            .map(|recipient| Ask { recipient, labels })
            .collect();
        let answers = self.policy.suppression().check(&asks).await;
        let answers = answers.map_err(|error| Refusal::Unavailable(error.to_string()))?;
        let told = recipients.iter().zip(answers);
        let told = told.filter_map(|(recipient, answer)| match answer {
            Answer::Suppressed { scope, reason, .. } => Some((
                recipient.clone(),
                format!("suppressed ({scope}): {}", reason.told()),
            )),
            Answer::Free { .. } => None,
        });
        Ok(told.collect())
    }
}

/// A source by its address; without a name where none of ours has it.
pub fn source<'s>(
    address: IpAddr,
    mut named: impl Iterator<Item = (&'s str, IpAddr)>,
    outside: &Known,
) -> Source {
    let name = named.find(|(_, own)| *own == address);
    let name = name.map_or("an unknown source", |(name, _)| name);
    as_source(name, address, outside)
}

/// What the question says, and where it says nothing the message.
fn labels(message: &Message, question: &LintQuestion, now: Timestamp) -> Labels {
    let (tenant, stream) = (question.tenant.clone(), question.stream);
    said(message, (tenant, stream), now)
}

/// Labels of a message; what is said beside it goes first.
pub fn said(
    message: &Message,
    (tenant, stream): (Option<Box<str>>, Option<Stream>),
    now: Timestamp,
) -> Labels {
    // A fault in its labels is the intake's to tell.
    let read = read_labels(message.head().to_octets(b""), now);
    let labels = read.map(|said| said.labels).unwrap_or_default();
    Labels {
        tenant: tenant.or(labels.tenant),
        stream: stream.or(labels.stream),
        ..labels
    }
}

/// Examines, at the levels that are configured.
pub fn judged(
    settings: &Settings,
    message: &Message,
    facts: &Facts,
    labels: &Labels,
    verbose: bool,
) -> Linted {
    let found = examine(message, facts);
    let mut findings = settings.judge(found, labels.tenant.as_deref(), labels.stream);
    if verbose {
        findings.extend(unchecked(facts));
    }
    Linted {
        blocked: blocks(&findings),
        findings,
    }
}

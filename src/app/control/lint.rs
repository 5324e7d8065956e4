//! The lint as operators and platforms ask for it: with what the daemon knows beside the message.

use super::Daemon;
use crate::http::{LintQuestion, Linted, Refusal};
use crate::intake::lint::{Handed, Own, facts};
use crate::intake::read_labels;
use crate::lint::facts::{Rate, RateKind, Source};
use crate::lint::{Facts, Message, Settings, blocks, examine, network_lines, unchecked};
use crate::mail::{Address, Labels, Stream};
use crate::policy::reputation::{self, Slice, Window};
use crate::policy::suppression::{Answer, Ask};
use crate::units::Timestamp;
use axum::body::Bytes;
use std::net::IpAddr;

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
        };
        let handed = Handed {
            tenant: labels.tenant.as_deref(),
            stream: labels.stream,
            return_path: question.from.clone(),
            recipients: question.to.iter().cloned().collect(),
            smtputf8: None,
        };
        let mut facts = facts(message, &own, handed);
        if let Some(address) = question.source {
            let sources = &self.config.lock().source;
            let named = sources.iter().map(|source| (&*source.name, source.address));
            facts.sources.push(source(address, named));
        }
        facts
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
pub fn source<'s>(address: IpAddr, mut named: impl Iterator<Item = (&'s str, IpAddr)>) -> Source {
    let name = named.find(|(_, own)| *own == address);
    Source {
        name: name
            .map_or("an unknown source", |(name, _)| name)
            .to_owned(),
        address,
        spf: None,
        reverse: None,
    }
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

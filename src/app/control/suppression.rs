//! What operators and platforms ask of the suppression list.

use super::Daemon;
use crate::http::{
    Addition, Changed, Erased, Erasure, IsSuppressed, QueueRecipient, Refusal, Suppress,
    SuppressedPage, Verdict, WhichSuppressed,
};
use crate::mail::{Address, Labels, Stream};
use crate::policy::suppression::{Ask, AtSubmission, By, Entry, Record, Scope};
use crate::store::StoreError;
use std::time::Duration;

/// How long the event log may take before the answer is given without it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Stands in the history where nobody is named.
const API: &str = "the API";
/// Records in one answer where no limit is asked for, and at most.
const LIMIT: usize = 1_000;
const LARGEST_LIMIT: usize = 10_000;

impl Daemon {
    pub(super) async fn list_suppressed(
        &self,
        which: &WhichSuppressed,
    ) -> Result<SuppressedPage, Refusal> {
        let list = self.policy.suppression();
        if !list.rules(None).records {
            return Err(Refusal::Impossible(
                "no records are kept: write suppression.records = true to list what is added from then on".to_owned(),
            ));
        }
        let limit = which.limit.unwrap_or(LIMIT).min(LARGEST_LIMIT);
        let page = list
            .list(which.after.unwrap_or(0), limit)
            .await
            .map_err(unavailable)?;
        let mut records = page.records;
        records.retain(|record| fits(record, which));
        Ok(SuppressedPage {
            records,
            next: page.next,
        })
    }

    pub(super) async fn check_suppressed(
        &self,
        which: &IsSuppressed,
    ) -> Result<Vec<Record>, Refusal> {
        let labels = Labels {
            tenant: which.tenant.as_deref().map(Into::into),
            stream: which.stream,
            list: which.list.as_deref().map(Into::into),
            ..Labels::default()
        };
        let scopes: Vec<Scope> = Scope::of(&labels).collect();
        let list = self.policy.suppression();
        list.records_of(&which.address, &scopes)
            .await
            .map_err(unavailable)
    }

    pub(super) async fn change_suppressed(&self, order: &Suppress) -> Result<Changed, Refusal> {
        let list = self.policy.suppression();
        let by = |by: &Option<String>| By::Operator(by.as_deref().unwrap_or(API).into());
        let count = match order {
            Suppress::Add(order) => {
                let entry = |new: &Addition| entry(new, by(&order.by));
                let entries: Vec<Entry> = order.entries.iter().map(entry).collect();
                match entries.as_slice() {
                    [one] => list.add(one.clone()).await,
                    many => list.add_all(many).await.map(drop),
                }
                .map(|()| entries.len() as u64)
            }
            Suppress::Remove(order) => {
                let removed = list
                    .remove(&order.scope, &order.address, &by(&order.by))
                    .await;
                removed.map(u64::from)
            }
        };
        Ok(Changed {
            count: count.map_err(unavailable)?,
        })
    }

    /// What the list says of the recipient, and what that means for the mail.
    pub(super) async fn add_suppression(
        &self,
        verdict: &mut Verdict,
        recipient: &Address,
        labels: &Labels,
    ) {
        let list = self.policy.suppression();
        let asks = [Ask { recipient, labels }];
        let answer = match list.check(&asks).await.map(|mut answers| answers.pop()) {
            Ok(answer) => answer,
            Err(error) => {
                let note = format!("who is suppressed cannot be read, so it would wait: {error}");
                verdict.notes.push(note);
                return;
            }
        };
        let Some(told) = answer.and_then(|answer| answer.told()) else {
            return;
        };
        let fate = match list.rules(labels.tenant.as_deref()).at_submission {
            AtSubmission::Reject => "would be refused at submission",
            AtSubmission::Drop => "would be taken and dropped",
        };
        verdict.summary = format!("{fate}: {recipient} is {told}; else it {}", verdict.summary);
        verdict.suppressed = Some(told);
    }

    /// Says of the recipients of an entry which would not be written to any more.
    pub(super) async fn mark_suppressed(&self, labels: &Labels, recipients: &mut [QueueRecipient]) {
        let addresses: Vec<Option<Address>> = recipients
            .iter()
            .map(|recipient| recipient.address.parse().ok())
            .collect();
        let asks = addresses.iter().flatten();
        let asks: Vec<Ask<'_>> = asks.map(|recipient| Ask { recipient, labels }).collect();
        // Whoever looks at the queue while the store is away sees why it waits without this.
        let answers = self.policy.suppression().check(&asks).await;
        let mut answers = answers.unwrap_or_default().into_iter();
        for (recipient, _) in recipients
            .iter_mut()
            .zip(&addresses)
            .filter(|(_, a)| a.is_some())
        {
            recipient.suppressed = answers.next().and_then(|answer| answer.told());
        }
    }

    /// The list first, so that nothing new is told of the address; the log last, which the end of waiting mail is told
    /// to.
    pub(super) async fn forget(&self, order: &Erasure) -> Result<Erased, Refusal> {
        let (list, address) = (self.policy.suppression(), &order.address);
        let records = list.erase(address, order.forget, &self.scopes()).await;
        let records = records.map_err(unavailable)?;
        let messages = self.delivery.forget(address).await as u64;
        let erased = self.log.erase(address, self.clock.now());
        let lines = match tokio::time::timeout(PATIENCE, erased).await {
            Ok(lines) => Some(lines.map_err(|error| {
                Refusal::Unavailable(format!("the event log still names it: {error}; ask again"))
            })?),
            // It goes on; an archive of years takes minutes.
            Err(_) => None,
        };
        Ok(Erased {
            records,
            messages,
            lines,
        })
    }

    /// Every scope that has a name here. Lists have theirs from the mail.
    fn scopes(&self) -> Vec<Scope> {
        let config = self.config.lock();
        let named = config.tenant.iter().map(|tenant| tenant.name.as_str());
        let named: Vec<Option<Box<str>>> = named.map(|name| Some(name.into())).collect();
        let mut scopes = vec![Scope::Global];
        for owner in named.into_iter().chain([None]) {
            scopes.extend(owner.clone().map(Scope::Tenant));
            let streams = [Stream::Marketing, Stream::Transactional];
            scopes.extend(streams.map(|stream| Scope::Stream(owner.clone(), stream)));
        }
        scopes
    }
}

fn entry(new: &Addition, by: By) -> Entry {
    Entry {
        scope: new.scope.clone(),
        address: new.address.clone(),
        reason: new.reason,
        until: new.until,
        source: None,
        by,
        note: new.note.as_str().into(),
    }
}

fn fits(record: &Record, which: &WhichSuppressed) -> bool {
    let entry = &record.entry;
    let of_tenant = which
        .tenant
        .as_deref()
        .is_none_or(|tenant| entry.scope.tenant() == Some(tenant));
    of_tenant && which.reason.is_none_or(|reason| reason == entry.reason)
}

fn unavailable(error: StoreError) -> Refusal {
    Refusal::Unavailable(error.to_string())
}

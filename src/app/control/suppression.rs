//! What operators and platforms ask of the suppression list.

use super::Daemon;
use crate::http::{
    Addition, Changed, IsSuppressed, Refusal, Suppress, SuppressedPage, WhichSuppressed,
};
use crate::mail::Labels;
use crate::policy::suppression::{By, Entry, Record, Scope};
use crate::store::StoreError;

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
        if !list.config().records {
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
                    many => list.add_all(many).await,
                }
                .map(|()| entries.len() as u64)
            }
            Suppress::Remove(order) => {
                let removed = list
                    .remove(&order.scope, &order.address, &by(&order.by))
                    .await;
                removed.map(u64::from)
            }
            Suppress::Erase(order) => list.erase(&order.address, order.forget).await,
        };
        Ok(Changed {
            count: count.map_err(unavailable)?,
        })
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

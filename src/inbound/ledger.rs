//! What is written down of what came in: marks in the books, entries of the suppression list.

use super::{Inbound, Trouble};
use crate::books::{Entry, Mark, Sent};
use crate::bounce::report::Feedback;
use crate::mail::{Finding, MessageId, Reply, Stream};
use crate::policy::suppression::{self, By, Reason, Scope};

impl Inbound {
    /// Sets a mark of one recipient in the books. Whether this was the first to set it: who was not tells nothing again.
    pub(super) async fn mark(
        &self,
        id: MessageId,
        position: u16,
        mark: Mark,
    ) -> Result<bool, Trouble> {
        Ok(self.0.books.change(id, position, mark).await?)
    }

    /// What a notice says of an address is held against it, where it is the address's failure.
    pub(super) async fn hold_against(
        &self,
        (id, entry, sent): (MessageId, &Entry, &Sent),
        finding: Finding,
        reply: &Reply,
    ) -> Result<(), Trouble> {
        let (about, _) = self.about(id, entry, sent);
        let list = self.0.policy.suppression();
        Ok(list.hear(&about, finding, reply, By::Notice).await?)
    }

    pub(super) async fn suppress_complainer(
        &self,
        (id, entry, sent): (MessageId, &Entry, &Sent),
        feedback: &Feedback,
    ) -> Result<(), Trouble> {
        let note = format!(
            "feedback: {}",
            super::complaints::known(&feedback.feedback_type)
        );
        let what = (tenant_of(entry), Reason::Complaint, By::Feedback);
        self.suppress((id, sent), what, note).await
    }

    /// The list that the message named, else the marketing mail of its tenant.
    pub(super) async fn suppress_subscriber(
        &self,
        (id, entry, sent): (MessageId, &Entry, &Sent),
        how: &str,
    ) -> Result<(), Trouble> {
        let labels = &entry.labels;
        let tenant = labels.tenant.clone();
        let scope = match &labels.list {
            Some(list) => Scope::List(tenant, list.clone()),
            None => Scope::Stream(tenant, Stream::Marketing),
        };
        let what = (scope, Reason::Unsubscribe, By::Recipient);
        self.suppress((id, sent), what, how.to_owned()).await
    }

    async fn suppress(
        &self,
        (id, sent): (MessageId, &Sent),
        (scope, reason, by): (Scope, Reason, By),
        note: String,
    ) -> Result<(), Trouble> {
        let entry = suppression::Entry {
            scope,
            address: sent.address.clone(),
            reason,
            until: None,
            source: Some(id),
            by,
            note: note.into(),
        };
        Ok(self.0.policy.suppression().add(entry).await?)
    }
}

/// Mail without a tenant is everybody's.
fn tenant_of(entry: &Entry) -> Scope {
    entry
        .labels
        .tenant
        .clone()
        .map_or(Scope::Global, Scope::Tenant)
}

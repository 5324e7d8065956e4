//! Where what comes back about a recipient goes to, and what it finds there.

use super::settle::{Part, Record};
use super::{Batch, Delivery};
use crate::auth::alignment::{Action, Alignment, Identity};
use crate::books::{Entry, Sent};
use crate::bounce::stamps::Stamps;
use crate::mail::{Address, Disposition, Labels};
use crate::spool::Meta;
use std::sync::Arc;

/// Whether each recipient of a message has a return path of its own, and so a transaction. The null sender stays: what
/// fails is told to nobody (RFC 5321 §4.5.5).
pub(super) fn is_own(stamps: &Stamps, meta: &Meta) -> bool {
    meta.envelope.sender.is_some()
        && stamps
            .return_domain(meta.labels.tenant.as_deref())
            .is_some()
}

impl Batch {
    /// MAIL FROM of a part, where it is not the sender.
    pub(super) fn return_path(&self, part: &Part) -> Option<Address> {
        let meta = &self.stored.meta;
        let [position] = *part.recipients.as_slice() else {
            return None;
        };
        meta.envelope.sender.as_ref()?;
        let tenant = meta.labels.tenant.as_deref();
        self.stamps.return_path(meta.id, position, tenant)
    }
}

impl Delivery {
    /// The return path as SPF knows it, of mail that was handed in with one at `sender`. `None` where there is none, where a
    /// tenant's mail is not judged, and where there is one source alone.
    pub(super) fn return_identity(
        &self,
        labels: &Labels,
        sender: Option<&str>,
    ) -> Option<Identity> {
        let (with, tenant) = (&self.0.with, labels.tenant.as_deref());
        let is_asked = || with.policy.settings().sources.are_several();
        let sender =
            sender.filter(|_| is_asked() && with.alignment.action(tenant) != Action::Off)?;
        let stamps = with.stamps.load();
        let domain = stamps.return_domain(tenant).unwrap_or(sender);
        Some(Identity::of_return_path(domain))
    }

    /// Who knows which sources may send for it.
    pub(super) fn spf<'a>(
        &'a self,
        return_path: Option<&'a Identity>,
    ) -> Option<(&'a Alignment, &'a Identity)> {
        Some((&self.0.with.alignment, return_path?))
    }

    /// Writes down what was delivered, where something may come back about it.
    pub(super) fn keep_books(&self, record: &Record) {
        let with = &self.0.with;
        if !with.stamps.load().is_on() {
            return;
        }
        let recipients: Vec<Sent> = record.delivered().collect();
        if recipients.is_empty() {
            return;
        }
        let meta = &record.stored.meta;
        let entry = Entry {
            labels: Arc::clone(&meta.labels),
            sender: meta.envelope.sender.clone(),
            size: record.stored.size,
            recipients,
        };
        with.books.note(meta.id, entry);
    }
}

impl Record {
    fn delivered(&self) -> impl Iterator<Item = Sent> {
        let recipients = &self.stored.meta.envelope.recipients;
        self.outcomes
            .iter()
            .filter_map(|(position, attempt, disposition)| {
                let Disposition::Delivered(_) = disposition else {
                    return None;
                };
                let recipient = recipients.get(usize::from(*position))?;
                Some(Sent {
                    position: *position,
                    address: recipient.address.clone(),
                    site: self.via.site.clone(),
                    source: self.via.source.clone(),
                    provider: self.via.provider.clone(),
                    attempt: *attempt,
                    at: self.at,
                    returned: false,
                    complained: false,
                    unsubscribed: false,
                })
            })
    }
}

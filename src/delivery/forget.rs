//! Mail that waits for an address whose owner asks to be forgotten.

use super::Delivery;
use crate::mail::{Address, BounceClass, EnhancedCode, MessageId, Reply};
use crate::policy::suppression;
use crate::queue::Selector;
use crate::spool::Stored;
use std::collections::BTreeSet;

impl Delivery {
    /// Ends what waits for an address, without telling its sender; returns how many messages it was, when that is in the
    /// books. What is being sent meanwhile is not touched, and whoever else a message is for waits on as before.
    pub async fn forget(&self, address: &Address) -> usize {
        let _turn = self.0.command.lock().await;
        let mut ended = 0;
        for id in self.to_domain_of(address) {
            let Ok(stored) = self.0.with.spool.stored(id).await else {
                continue;
            };
            ended += usize::from(self.end_at(id, &positions(&stored, address)).await);
        }
        ended
    }

    /// What waits for its domain, however that was written.
    fn to_domain_of(&self, address: &Address) -> BTreeSet<MessageId> {
        let ascii = address.ascii_domain();
        let (unicode, _) = idna::domain_to_unicode(&ascii);
        let of_domain = |domain: &str| {
            let selector = Selector {
                domain: Some(domain.to_owned()),
                ..Selector::default()
            };
            let views = self.0.with.queue.list(&selector, usize::MAX).into_iter();
            views.map(|view| view.id)
        };
        of_domain(&ascii).chain(of_domain(&unicode)).collect()
    }

    async fn end_at(&self, id: MessageId, positions: &[u16]) -> bool {
        let text = "dropped: the recipient asked to be forgotten";
        let why = Reply::local(550, EnhancedCode(5, 7, 1), text, "drop");
        let mut ended = false;
        for jobs in self.0.with.queue.take_recipients(id, positions) {
            if let Some(batch) = self.load(jobs, None).await {
                self.end(batch, BounceClass::Dropped, &why).await;
                ended = true;
            }
        }
        ended
    }
}

fn positions(stored: &Stored, address: &Address) -> Vec<u16> {
    let recipients = (0..).zip(&stored.meta.envelope.recipients);
    recipients
        .filter(|(_, recipient)| suppression::is_same(&recipient.address, address))
        .map(|(position, _)| position)
        .collect()
}

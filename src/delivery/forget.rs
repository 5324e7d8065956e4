//! Mail that waits for an address whose owner asks to be forgotten.

use super::Delivery;
use crate::mail::{Address, BounceClass, EnhancedCode, Reply};
use crate::policy::suppression;
use crate::queue::Selector;
use crate::spool::Stored;

impl Delivery {
    /// Ends what waits for an address, without telling its sender; returns how many messages it was, when that is in the
    /// books. What is being sent meanwhile is not touched.
    pub async fn forget(&self, address: &Address) -> usize {
        let _turn = self.0.command.lock().await;
        let selector = Selector {
            domain: Some(address.domain().to_owned()),
            ..Selector::default()
        };
        let mut ids: Vec<_> = self.0.with.queue.list(&selector, usize::MAX);
        ids.dedup_by_key(|view| view.id);
        let mut ended = 0;
        for id in ids.into_iter().map(|view| view.id) {
            let Ok(stored) = self.0.with.spool.stored(id).await else {
                continue;
            };
            let positions = positions(&stored, address);
            if !positions.is_empty() {
                ended += usize::from(self.end_at(&Selector::of(id), &positions).await);
            }
        }
        ended
    }

    async fn end_at(&self, selector: &Selector, positions: &[u16]) -> bool {
        let text = "dropped: the recipient asked to be forgotten";
        let why = Reply::local(550, EnhancedCode(5, 7, 1), text, "drop");
        let mut ended = false;
        for jobs in self.0.with.queue.take(selector) {
            if let Some(batch) = self.load(jobs, None).await {
                let whom = |position| positions.contains(&position);
                self.end_those(batch, BounceClass::Dropped, &why, whom)
                    .await;
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

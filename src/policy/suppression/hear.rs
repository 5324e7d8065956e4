//! What became of mail, and what that says of its recipients.

use super::Suppression;
use super::config::Config;
use super::entry::{By, Entry, Reason};
use super::mark::Failing;
use crate::events::About;
use crate::mail::{Address, Finding, Reply};
use crate::store::{self, StoreError};
use crate::units::Timestamp;
use std::time::Duration;

/// No suppression that ends by itself is longer.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

impl Suppression {
    /// A message was refused for good, or given up; what that says of its recipient.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn hear(
        &self,
        about: &About,
        finding: Finding,
        reply: &Reply,
        by: By,
    ) -> Result<(), StoreError> {
        let Some(recipient) = &about.recipient else {
            return Ok(());
        };
        if !finding.condemns() && !finding.counts_against() {
            return Ok(());
        }
        let tenant = about.labels.tenant.as_deref();
        let config = self.rules(tenant);
        let mut entry = Entry {
            scope: config.reach(tenant),
            address: recipient.clone(),
            reason: Reason::Hard,
            until: None,
            source: Some(about.id),
            by,
            note: reply.to_string().into(),
        };
        if finding.condemns() {
            return self.add(entry).await;
        }
        let (until, counted) = self.count_failure(recipient, &config).await?;
        if let Some(until) = until {
            (entry.reason, entry.until) = (Reason::Soft, Some(until));
            self.add(entry).await?;
        }
        // Last: where the address could not be suppressed, it is to be when this is told again.
        self.0.store.set_cells(&[counted]).await
    }

    /// One more message failed softly: until when the address is to be suppressed for it, where it is, and what has been
    /// counted then.
    async fn count_failure(
        &self,
        recipient: &Address,
        config: &Config,
    ) -> Result<(Option<Timestamp>, store::Change), StoreError> {
        let now = self.0.clock.now();
        let cell = self.0.printer.failing(self.0.printer.print(recipient));
        let there = self.0.store.cells(std::slice::from_ref(&cell)).await?;
        let there = there.into_iter().flatten().next();
        let mut failing = there
            .and_then(|octets| Failing::read(&octets))
            .unwrap_or_default();
        let mut until = None;
        if failing.add(config.soft_window.0, now) >= usize::from(config.soft_limit) {
            let span = config.soft_for.0.saturating_mul(1 << failing.times.min(8));
            until = Some(now + span.min(LONGEST));
            failing.suppressed();
        }
        Ok((until, (cell, Some(failing.write()))))
    }

    /// Mail to an address whose mail failed before has been delivered: what was counted against it counts no more.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn delivered(&self, recipient: &Address) -> Result<(), StoreError> {
        let cell = self.0.printer.failing(self.0.printer.print(recipient));
        self.0.store.set_cells(&[(cell, None)]).await
    }
}

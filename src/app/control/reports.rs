//! What operators ask of reports, and what they hand in.

use super::Daemon;
use crate::http::{Refusal, WhichReports};
use crate::reports::advice::{Advice, advise};
use crate::reports::period::Day;
use crate::reports::rows::Shown;
use crate::reports::{Imported, Order, Reports, ReportsError, Which, text};

impl Daemon {
    pub(super) async fn show_reports(&self, which: &WhichReports) -> Result<Shown, Refusal> {
        let which = self.which(which)?;
        self.blocking(move |reports| reports.show(&which)).await
    }

    pub(super) async fn take_report(
        &self,
        octets: Vec<u8>,
        order: &Order,
    ) -> Result<Imported, Refusal> {
        let order = order.clone();
        self.blocking(move |reports| reports.import(&octets, &order))
            .await
    }

    pub(super) async fn advise_on(&self, which: &WhichReports) -> Result<Advice, Refusal> {
        let which = self.which(which)?;
        let domain = which.domain.clone().unwrap_or_default();
        let shown = self.blocking(move |reports| reports.show(&which)).await?;
        Ok(advise(&domain, &shown))
    }

    fn which(&self, which: &WhichReports) -> Result<Which, Refusal> {
        let domain = which.domain.as_deref().map(|domain| {
            text::domain(domain)
                .ok_or_else(|| Refusal::Impossible(format!("\"{domain}\" is no domain")))
        });
        let now = self.clock.now().as_secs();
        Ok(Which {
            domain: domain.transpose()?,
            since: Day::of(now.saturating_sub(which.since.0.as_secs())),
        })
    }

    /// On a thread that may wait for the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(Reports) -> Result<T, ReportsError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let reports = self.reports.clone();
        let done = tokio::task::spawn_blocking(move || act(reports)).await;
        let done = done.map_err(|fault| Refusal::Unavailable(fault.to_string()))?;
        done.map_err(|error| Refusal::Unavailable(error.to_string()))
    }
}
